"""Shaping step by step, by hand; that policies stay is shown in tests/learning/test_shaping.py."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.cloud.shaping import (
    ShapingConfig,
    difference,
    potential,
    projected_shortage,
    restart,
    schedule,
    shape,
    start,
)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_schedule_by_hand():
    linear = ShapingConfig(weight=2.0, final=0.5, begin=100, end=200)
    assert [schedule(s, linear) for s in (0, 99, 100, 150, 200, 10**9)] == [
        2.0,
        2.0,
        2.0,
        1.25,
        0.5,
        0.5,
    ]
    cosine = ShapingConfig(begin=0, end=100, curve="cosine")
    assert schedule(50, cosine) == pytest.approx(0.5)
    assert schedule(25, cosine) == pytest.approx(0.5 + 0.5 * 2**-0.5)
    assert schedule(7, ShapingConfig(begin=7, end=7)) == 0.0  # a step, not a division by zero


@settings(deadline=None)
@given(st.integers(0, 500), st.sampled_from(["linear", "cosine"]))
def test_schedule_never_rises(step, curve):
    config = ShapingConfig(begin=50, end=400, curve=curve)
    assert 0.0 <= schedule(step + 1, config) <= schedule(step, config) <= 1.0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"gamma": 1.1}, "gamma 1.1"),
        ({"weight": -1.0}, "weight -1.0"),
        ({"final": float("nan")}, "final nan"),
        ({"begin": 5, "end": 4}, "from step 5 to 4"),
        ({"curve": "steps"}, "'steps'"),
    ],
)
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        ShapingConfig(**bad)


def test_ends_of_episodes():
    before, after = t(-1.0, -1.0, -1.0, -1.0), t(-0.5, -0.5, -0.5, -0.5)
    terminated, truncated = flags(0, 1, 0, 1), flags(0, 0, 1, 1)
    keeps = difference(before, after, terminated, truncated, ShapingConfig(gamma=0.8))
    assert keeps.tolist() == pytest.approx([0.6, 1.0, 0.6, 1.0])
    config = ShapingConfig(gamma=0.8, bootstraps_truncation=False)
    drops = difference(before, after, terminated, truncated, config)
    assert drops.tolist() == pytest.approx([0.6, 1.0, 1.0, 1.0])


def episode(config, potentials, terminated, truncated, state=None):
    """The shaping rewards of one episode, its states' potentials given."""
    state = state or start(potentials[:1], config)
    rewards = []
    for i, value in enumerate(potentials[1:]):
        last = i == len(potentials) - 2
        reward, state = shape(
            state, value[None], flags(last and terminated), flags(last and truncated), config
        )
        rewards.append(float(reward))
    return rewards, state


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_an_episode_telescopes_while_the_weight_falls(curve):
    config = ShapingConfig(gamma=0.9, begin=2, end=7, curve=curve)
    values = torch.randn(11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ended, _ = episode(config, values, terminated=True, truncated=False)
    assert sum(0.9**i * r for i, r in enumerate(ended)) == pytest.approx(-float(values[0]))
    cut, _ = episode(config, values[:6], terminated=False, truncated=True)
    rest = 0.9**5 * schedule(5, config) * float(values[5])
    assert sum(0.9**i * r for i, r in enumerate(cut)) == pytest.approx(rest - float(values[0]))


def test_restart_charges_new_episodes_with_their_own_first_state():
    config = ShapingConfig(gamma=1.0, weight=2.0, begin=0, end=4)  # w: 2, 1.5, 1, 0.5, 0
    state = start(t(-1.0, -1.0), config)
    reward, state = shape(state, t(-0.4, -0.6), flags(0, 0), flags(1, 0), config)
    assert reward.tolist() == pytest.approx([2.0 - 0.6, 2.0 - 0.9])
    state = restart(state, flags(1, 0), t(-0.2, 99.0), config)
    assert state.step == 1
    assert state.charged.tolist() == pytest.approx([-0.3, -0.9])
    reward, _ = shape(state, t(0.0, 0.0), flags(0, 0), flags(0, 0), config)
    assert reward.tolist() == pytest.approx([0.3, 0.9])


def test_the_clock_goes_on_after_a_checkpoint():
    config = ShapingConfig(begin=0, end=10)
    assert start(t(-1.0), config, step=5).charged.item() == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="step -1"):
        start(t(-1.0), config, step=-1)


def test_potentials_of_another_batch_are_refused():
    config = ShapingConfig()
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        shape(start(t(0, 0), config), t(0, 0, 0), flags(0, 0), flags(0, 0), config)


def test_shortage_counts_orders():
    load = t(100, 100, 100, 0)[None]
    found = projected_shortage(load, t(60, 60, 80, 0)[None], t(0, 30, 80, 0)[None])
    assert found[0].tolist() == pytest.approx([0.4, 0.1, 0.0, 0.0])


def test_potential_by_hand():
    value = potential(t(0.4, 0.0)[None], t(1.0, 3.0)[None], t(1.0, 2.0), t(0.5, 0.4))
    # 1·0.4 + 0.5·1/2 + 0.4·3/4
    assert value.tolist() == pytest.approx([-0.95])
    with pytest.raises(ValueError, match="overdue"):
        potential(t(0.4, 0.0)[None], t(1.0)[None], t(1.0, 2.0), t(0.5, 0.4))


positive = st.floats(0.0, 1e6)


@settings(deadline=None)
@given(st.lists(positive, min_size=4, max_size=4), st.lists(positive, min_size=4, max_size=4))
def test_more_on_order_is_never_worth_less(load, ordered):
    work, few = t(*load)[None], t(*ordered)[None]
    weights, none = torch.ones(4, dtype=torch.float64), t(0.0)[None]
    some = potential(projected_shortage(work, 0 * few, few), none, weights, t(1.0))
    more = potential(projected_shortage(work, 0 * few, few + work / 2), none, weights, t(1.0))
    assert -4.0 <= float(some) <= float(more) <= 0.0
    served = potential(projected_shortage(work, work, few), none, weights, t(1.0))
    assert float(served) == 0.0


def test_ordering_what_is_needed_pays_at_once():
    config = ShapingConfig(gamma=0.99)
    load, capacity, none = t(100)[None], t(50)[None], t(0)[None]
    short, late, weight = (projected_shortage(load, capacity, none), t(0)[None], t(1.0))
    ordered = projected_shortage(load, capacity, t(50)[None])
    state = start(potential(short, late, weight, weight), config)
    ends = flags(0), flags(0)
    now, _ = shape(state, potential(ordered, late, weight, weight), *ends, config)
    idle, _ = shape(state, potential(short, late, weight, weight), *ends, config)
    assert float(now) == pytest.approx(0.5)
    assert float(now) > float(idle)


def test_gradients_flow_to_the_order():
    ordered = t(30)[None].requires_grad_()
    value = potential(
        projected_shortage(t(100)[None], t(50)[None], ordered), t(0)[None], t(1), t(1)
    )
    value.sum().backward()
    assert ordered.grad.item() == pytest.approx(0.01)
