"""Exploration noise has the deviation and correlation it says."""

import pytest
import torch

from marl.algos.exploration import Noise


def series(kind, theta, steps=400):
    noise = Noise(kind, (2, 200, 3), theta, torch.Generator().manual_seed(4))
    return torch.stack([noise.sample(0.5) for _ in range(steps)])


@pytest.mark.parametrize(
    ("kind", "theta", "lag_one"), [("gaussian", 0.15, 0.0), ("ou", 0.15, 0.85)]
)
def test_stationary_deviation_and_correlation(kind, theta, lag_one):
    values = series(kind, theta)
    assert float(values[0].std()) == pytest.approx(0.5, rel=0.06)  # from the first step on
    assert float(values.std()) == pytest.approx(0.5, rel=0.03)
    correlation = (values[1:] * values[:-1]).mean() / values.var()
    assert float(correlation) == pytest.approx(lag_one, abs=0.02)


def test_state_continues_exactly():
    noise = Noise("ou", (1, 2, 2), 0.2, torch.Generator().manual_seed(0))
    noise.sample(1.0)
    other = Noise("ou", (1, 2, 2), 0.2, torch.Generator())
    state = noise.state_dict()
    other.load_state_dict(state)
    assert torch.equal(noise.sample(1.0), other.sample(1.0))
