"""Generalised advantage estimates by hand, and against a sum written down from the definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.algos.returns import gae


def one(reward, value, next_value, terminated, cut, gamma=0.5, lam=0.5):
    def column(numbers):
        return torch.tensor(numbers, dtype=torch.float64)[:, None, None]

    flags = [torch.tensor(flag)[:, None] for flag in (terminated, cut)]
    result = gae(column(reward), column(value), column(next_value), *flags, gamma, lam)
    return result[:, 0, 0].tolist()


# Rewards 1, 2, 4; values 2, 4, 8, then 16; γ = λ = 1/2, so γλ = 1/4.
# δ = 1 + 4/2 − 2 = 1;  2 + 8/2 − 4 = 2;  4 + 16/2 − 8 = 4.
@pytest.mark.parametrize(
    ("next_value", "terminated", "cut", "expected"),
    [
        # A₂ = 4; A₁ = 2 + 4/4 = 3; A₀ = 1 + 3/4.
        ([4, 8, 16], [0, 0, 0], [0, 0, 1], [1.75, 3.0, 4.0]),
        # Ended for good at the last step: δ₂ = 4 − 8 = −4; A₁ = 2 − 1 = 1; A₀ = 1 + 1/4.
        ([4, 8, 16], [0, 0, 1], [0, 0, 1], [1.25, 1.0, -4.0]),
        # The time limit after the second step, in a state worth 6: δ₁ = 2 + 3 − 4 = 1, no carry.
        ([4, 6, 16], [0, 0, 0], [0, 1, 1], [1.25, 1.0, 4.0]),
        # Ended for good after the second step, whatever comes next: δ₁ = 2 − 4 = −2.
        ([4, 99, 16], [0, 1, 0], [0, 0, 1], [0.5, -2.0, 4.0]),
        ([4, 99, 16], [0, 1, 0], [0, 1, 1], [0.5, -2.0, 4.0]),
    ],
)
def test_by_hand(next_value, terminated, cut, expected):
    assert one([1, 2, 4], [2, 4, 8], next_value, terminated, cut) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.floats(0, 1), st.floats(0, 1))
def test_equals_the_sum_of_discounted_errors(seed, steps, gamma, lam):
    generator = torch.Generator().manual_seed(seed)
    reward, value, next_value = torch.randn(
        (3, steps, 5, 2), generator=generator, dtype=torch.float64
    )
    terminated = torch.rand((steps, 5), generator=generator) < 0.2
    cut = torch.rand((steps, 5), generator=generator) < 0.2
    result = gae(reward, value, next_value, terminated, cut, gamma, lam)
    for b in range(5):
        for t in range(steps):
            total = torch.zeros(2, dtype=torch.float64)
            for k in range(t, steps):
                ahead = 0.0 if terminated[k, b] else next_value[k, b]
                total += (gamma * lam) ** (k - t) * (reward[k, b] + gamma * ahead - value[k, b])
                if terminated[k, b] or cut[k, b]:
                    break
            assert torch.allclose(result[t, b], total, atol=1e-9)


def test_lambda_one_is_the_return_and_zero_the_one_step_error():
    flags = torch.tensor([0, 0, 1])[:, None]
    reward = torch.tensor([1.0, 2.0, 4.0])[:, None, None]
    value = torch.tensor([3.0, 5.0, 7.0])[:, None, None]
    following = torch.tensor([5.0, 7.0, 8.0])[:, None, None]
    full = gae(reward, value, following, flags * 0, flags, 0.5, 1.0)
    # 1 + 2/2 + 4/4 + 8/8 = 4, less V = 3.
    assert float(full[0]) == 4.0 - 3.0
    single = gae(reward, value, following, flags * 0, flags, 0.5, 0.0)
    assert torch.equal(single, reward + 0.5 * following - value)


def test_shapes_that_would_broadcast_in_silence_are_refused():
    good, flags = torch.zeros(3, 4, 2), torch.zeros(3, 4)
    with pytest.raises(ValueError, match=r"next values \(3, 4, 1\) must have one shape"):
        gae(good, good, good[..., :1], flags, flags, 0.9, 0.9)
    with pytest.raises(ValueError, match=r"flags \(4, 3\) and \(3, 4\) must be \(T, B\)"):
        gae(good, good, good, flags.T, flags, 0.9, 0.9)
