"""Multipliers find the known prices of small constrained problems."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.cloud.lagrange import (
    Constraint,
    Gains,
    from_state_dict,
    initial_state,
    penalty,
    state_dict,
    update,
    violations,
)

PID = Gains(integral=0.2, proportional=0.5, derivative=0.5, smoothing=0.5)


def t(*values):
    return torch.tensor(values, dtype=torch.float64)


def solve(constraints, gains, steps=600, noise=0.0, seed=0):
    """Maximise −Σ(x_k − 2)² subject to the constraints on x: the agent always answers best.

    Against multipliers λ and means x, the best answer is x_k = 2 − Σ_j λ_j s_j/(2 scale_j) over
    the constraints j on x_k, s_j = ±1 by sense.
    """
    generator = torch.Generator().manual_seed(seed)
    names = [c.name for c in constraints]
    state, history = initial_state(constraints), []
    for _ in range(steps):
        x = {name: 2.0 for name in names}
        for c, price in zip(constraints, state.multipliers.tolist(), strict=True):
            sign = 1.0 if c.sense == "at_most" else -1.0
            x[c.name] -= sign * price / (2 * c.scale)
        means = {
            k: v + noise * torch.randn(8, generator=generator, dtype=torch.float64)
            for k, v in x.items()
        }
        state = update(state, violations(means, constraints), gains)
        history.append(state.multipliers)
    return state, torch.stack(history), x


@pytest.mark.parametrize("gains", [Gains(integral=0.1), PID], ids=["ascent", "pid"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_multiplier_is_that_of_kuhn_and_tucker(gains, scale):
    # max −(x − 2)² with x ≤ 1: 2(x − 2) + λ = 0 at x = 1, so λ = 2; per scale, 2 · scale.
    state, _, x = solve([Constraint("x", 1.0, scale=scale)], gains, steps=1500)
    assert state.multipliers.item() == pytest.approx(2.0 * scale, rel=1e-6)
    assert x["x"] == pytest.approx(1.0, abs=1e-6)


def test_at_least_is_priced_alike():
    state, _, x = solve([Constraint("x", 3.5, "at_least")], Gains(integral=0.1))
    assert state.multipliers.item() == pytest.approx(3.0)
    assert x["x"] == pytest.approx(3.5)


@pytest.mark.parametrize("gains", [Gains(integral=0.1), PID], ids=["ascent", "pid"])
def test_a_slack_constraint_costs_nothing(gains):
    state, history, x = solve([Constraint("x", 2.5), Constraint("y", 1.0)], gains, noise=0.1)
    assert (history[:, 0] == 0.0).all()
    assert x["x"] == 2.0
    assert history[-200:, 1].mean().item() == pytest.approx(2.0, abs=0.1)
    assert state.integral[0] == 0.0  # no credit is saved up for later


def slow_agent(gains, steps=400):
    """The same problem, with an agent that moves only a tenth of the way to its best answer."""
    constraint = [Constraint("x", 1.0)]
    state, x, history = initial_state(constraint), 2.0, []
    for _ in range(steps):
        x += 0.1 * (2.0 - state.multipliers.item() / 2 - x)
        state = update(state, violations({"x": t(x)}, constraint), gains)
        history.append(x)
    return torch.tensor(history)


def test_pid_swings_less_than_ascent():
    # Stooke et al.: the integral alone overshoots when the policy lags behind the multiplier.
    ascent = slow_agent(Gains(integral=0.3))
    pid = slow_agent(Gains(integral=0.3, proportional=2.0, derivative=1.0))
    for path in (ascent, pid):
        assert path[-1].item() == pytest.approx(1.0, abs=0.01)
    assert pid.min().item() > ascent.min().item() + 0.1  # undershoot below the limit


def test_one_update_by_hand():
    constraints = [Constraint("usd", 10.0, scale=4.0), Constraint("slo", 0.99, "at_least", 0.01)]
    means = {"usd": t(12.0, 16.0), "slo": t(0.995, 1.0)}
    found = violations(means, constraints)
    torch.testing.assert_close(found, t(0.5, -0.5, 1.5, -1.0).reshape(2, 2))
    gains = Gains(integral=0.1, proportional=1.0, derivative=2.0)
    first = update(initial_state(constraints), found, gains)
    # e = 1, −0.75; nothing came before, so no derivative.
    torch.testing.assert_close(first.multipliers, t(1.1, 0.0))
    second = update(first, t(2.0, -0.5)[None], gains)
    # 2 + 0.3 + 2·(2 − 1); 0.25·2 − 0.5 = 0 for the other, and its integral stays at 0.
    torch.testing.assert_close(second.multipliers, t(4.3, 0.0))
    torch.testing.assert_close(second.integral, t(0.3, 0.0))
    torch.testing.assert_close(penalty(second, found), 4.3 * found[:, 0])


def test_smoothing_averages_the_violation():
    gains = Gains(integral=0.0, proportional=1.0, smoothing=0.75)
    state = initial_state([Constraint("x", 0.0)])
    values = []
    for error in (1.0, 0.0, 0.0):
        state = update(state, t(error)[None], gains)
        values.append(state.multipliers.item())
    assert values == pytest.approx([1.0, 0.75, 0.5625])


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    st.sampled_from([Gains(integral=0.5), PID]),
)
def test_multipliers_stay_within_their_bounds(errors, gains):
    state = initial_state([Constraint("x", 0.0)])
    for error in errors:
        state = update(state, t(error)[None], gains)
        assert 0.0 <= state.multipliers.item() <= gains.most
        assert 0.0 <= state.integral.item() <= gains.most


def test_the_penalty_has_gradients_to_the_violation_only():
    constraints = [Constraint("x", 1.0, scale=2.0)]
    state = initial_state(constraints, start=3.0)
    x = t(2.0, 0.0).requires_grad_()
    charged = penalty(state, violations({"x": x}, constraints))
    assert charged.tolist() == [1.5, -1.5]
    charged.sum().backward()
    assert x.grad.tolist() == [1.5, 1.5]
    assert penalty(state, torch.ones(2, 1)).dtype == torch.float32


def test_a_checkpoint_goes_on_exactly():
    constraints = [Constraint("x", 1.0), Constraint("y", 0.5)]
    state, _, _ = solve(constraints, PID, steps=7, noise=0.3)
    again = from_state_dict(state_dict(state), constraints)
    error = t(0.3, -0.2)[None]
    torch.testing.assert_close(
        update(again, error, PID).multipliers, update(state, error, PID).multipliers
    )
    assert float(again.updates) == 7


def test_bad_input_is_refused():
    constraints = [Constraint("x", 1.0)]
    state = initial_state(constraints)
    with pytest.raises(KeyError, match=r"'x'.*'y'"):
        violations({"y": t(1.0)}, constraints)
    with pytest.raises(ValueError, match="no episode"):
        update(state, torch.zeros(0, 1), Gains())
    with pytest.raises(ValueError, match=r"\(E, 1\)"):
        update(state, t(1.0), Gains())
    with pytest.raises(ValueError, match="nan"):
        update(state, t(float("nan"))[None], Gains())
    with pytest.raises(ValueError, match="2 violations for 1"):
        penalty(state, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="same name"):
        initial_state([*constraints, Constraint("x", 2.0)])
    with pytest.raises(ValueError, match="leave the Lagrangian out"):
        initial_state([])
    with pytest.raises(ValueError, match="start at 0"):
        initial_state(constraints, start=-1.0)
    with pytest.raises(ValueError, match="2 constraints"):
        from_state_dict(state_dict(state), [*constraints, Constraint("y", 2.0)])
    with pytest.raises(ValueError, match="below 0"):
        from_state_dict(state_dict(state) | {"multipliers": t(-1.0)}, constraints)
    with pytest.raises(ValueError, match="the checkpoint"):
        from_state_dict({}, constraints)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constraint("", 1.0), "name"),
        (lambda: Constraint("x", float("inf")), "limit inf"),
        (lambda: Constraint("x", 1.0, "below"), "'below'"),
        (lambda: Constraint("x", 1.0, scale=0.0), "scale 0"),
        (lambda: Gains(integral=-0.1), "integral -0.1"),
        (lambda: Gains(smoothing=1.0), "smoothing 1.0"),
        (lambda: Gains(most=0.0), "most 0.0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
