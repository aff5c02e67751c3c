"""n-step returns by hand and against a loop over rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.algos.returns import n_step_return


def one(rewards, terminated, truncated, gamma=0.5):
    r = torch.tensor(rewards, dtype=torch.float64)[:, None, None]
    result = n_step_return(
        r, torch.tensor(terminated)[:, None], torch.tensor(truncated)[:, None], gamma
    )
    return (
        float(result.return_BN[0, 0]),
        float(result.discount_B[0]),
        int(result.steps_B[0]),
        bool(result.is_usable_B[0]),
    )


# rewards 1, 2, 4 and discount 1/2: 1 + 2/2 + 4/4 = 3 over three steps.
@pytest.mark.parametrize(
    ("terminated", "truncated", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], (3.0, 0.125, 3, True)),
        ([0, 0, 1], [0, 0, 0], (3.0, 0.0, 3, True)),
        ([0, 1, 0], [0, 0, 0], (2.0, 0.0, 2, True)),
        ([1, 0, 0], [0, 0, 0], (1.0, 0.0, 1, True)),
        ([0, 0, 0], [0, 0, 1], (2.0, 0.25, 2, True)),
        ([0, 0, 0], [0, 1, 0], (1.0, 0.5, 1, True)),
        ([0, 0, 0], [1, 0, 0], (0.0, 1.0, 0, False)),
        # What follows an episode's end belongs to another episode.
        ([0, 1, 1], [1, 0, 0], (0.0, 1.0, 0, False)),
        ([0, 0, 1], [0, 1, 0], (1.0, 0.5, 1, True)),
        # Ended for good at the time limit: it did end.
        ([0, 1, 0], [0, 1, 0], (2.0, 0.0, 2, True)),
    ],
)
def test_by_hand(terminated, truncated, expected):
    assert one([1.0, 2.0, 4.0], terminated, truncated) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0, 0.99))
def test_equals_a_loop_over_rows(seed, steps, gamma):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn((steps, 7, 2), generator=generator, dtype=torch.float64)
    terminated = torch.rand((steps, 7), generator=generator) < 0.2
    truncated = torch.rand((steps, 7), generator=generator) < 0.2
    result = n_step_return(rewards, terminated, truncated, gamma)
    for b in range(7):
        total, discount, count = torch.zeros(2, dtype=torch.float64), 1.0, 0
        for t in range(steps):
            if truncated[t, b] and not terminated[t, b]:
                break
            total += discount * rewards[t, b]
            discount *= gamma
            count += 1
            if terminated[t, b]:
                discount = 0.0
                break
        assert torch.allclose(result.return_BN[b], total)
        assert float(result.discount_B[b]) == pytest.approx(discount)
        assert int(result.steps_B[b]) == count
        assert bool(result.is_usable_B[b]) == (count > 0)
