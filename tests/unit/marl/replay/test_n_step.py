"""n-step transitions against a loop over clouds that follows each window step by step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.replay.n_step import NStepAccumulator, n_step_window

GAMMA = 0.9


def test_by_hand():
    reward = torch.tensor([[1.0] * 3, [2.0] * 3, [4.0] * 3])[..., None]
    terminated = torch.tensor([[0, 1, 0], [0, 0, 0], [0, 0, 0]]).bool()
    truncated = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0]]).bool()
    window = n_step_window(reward, terminated, truncated, 0.5)
    assert window.return_BN[:, 0].tolist() == [1 + 1 + 1, 1, 1 + 1]
    assert window.discount_B.tolist() == [0.125, 0, 0.25]
    assert window.last_B.tolist() == [2, 0, 1]


def world(clouds, steps, seed):
    """Random steps; `now` and `after` are labels, so that what is joined can be read off."""
    g = torch.Generator().manual_seed(seed)
    reward = torch.randn((steps, clouds, 2), generator=g)
    end = torch.rand((2, steps, clouds), generator=g) < 0.2
    label = torch.arange(steps * clouds, dtype=torch.float32).view(steps, clouds, 1)
    return reward, end[0], end[1], label


def slow(reward, terminated, truncated, label, n, t, b):
    """The transition of cloud b that begins at t."""
    total = torch.zeros(2)
    for k in range(n):
        if t + k == len(reward):
            k -= 1
            break
        total += GAMMA**k * reward[t + k, b]
        if terminated[t + k, b] or truncated[t + k, b]:
            break
    discount = 0.0 if terminated[t + k, b] else GAMMA ** (k + 1)
    return total, discount, label[t + k, b] + 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 14), st.integers(0, 10_000))
def test_against_a_slow_loop(n, clouds, steps, seed):
    reward, terminated, truncated, label = world(clouds, steps, seed)
    made, out = NStepAccumulator(n, GAMMA), []
    for t in range(steps):
        new = made.push(
            {"x": label[t]}, {"x": label[t] + 0.5}, reward[t], terminated[t], truncated[t]
        )
        assert (new is not None) == (t >= n - 1)
        out += [new] if new is not None else []
    out += made.flush()
    assert len(out) == steps
    assert made.flush() == []
    for t, transition in enumerate(out):
        assert transition.keys() == {"x", "return", "discount", "next_x"}
        assert torch.equal(transition["x"], label[t])
        for b in range(clouds):
            total, discount, after = slow(reward, terminated, truncated, label, n, t, b)
            assert torch.allclose(transition["return"][b], total, atol=1e-6)
            assert float(transition["discount"][b, 0]) == pytest.approx(discount)
            assert transition["next_x"][b] == after


def test_continues_from_its_state():
    reward, terminated, truncated, label = world(3, 8, 0)

    def feed(made, t):
        return made.push({"x": label[t]}, {"x": label[t]}, reward[t], terminated[t], truncated[t])

    one, two = NStepAccumulator(3, GAMMA), NStepAccumulator(3, GAMMA)
    for t in range(4):
        feed(one, t)
    two.load_state_dict(one.state_dict())
    for t in range(4, 8):
        a, b = feed(one, t), feed(two, t)
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        NStepAccumulator(0, GAMMA)
    flags = torch.zeros((2, 3), dtype=torch.bool)
    with pytest.raises(ValueError, match="do not fit"):
        n_step_window(torch.zeros((2, 4, 1)), flags, flags, GAMMA)
