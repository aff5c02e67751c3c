"""Boundaries against published tables, the multivariate normal, and simulated paths."""

import numpy as np
import pytest
from scipy import stats

from marl.evaluate.ab.boundaries import (
    boundaries,
    conditional_power,
    crossing,
    drift_for_power,
    mixture_critical,
    obrien_fleming_spending,
    pocock_spending,
)

QUARTERS = (0.25, 0.5, 0.75, 1.0)
FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.mark.parametrize(
    ("fractions", "spending", "published"),
    [  # two-sided .05, as Lan and DeMets' program and gsDesign print them
        (QUARTERS, obrien_fleming_spending, (4.333, 2.963, 2.359, 2.014)),
        (FIFTHS, obrien_fleming_spending, (4.877, 3.357, 2.680, 2.290, 2.031)),
        (FIFTHS, pocock_spending, (2.438, 2.427, 2.410, 2.397, 2.386)),
    ],
)
def test_as_published(fractions, spending, published):
    assert boundaries(fractions, 0.05, spending) == pytest.approx(published, abs=1e-3)


def test_one_look_is_the_plain_test():
    assert boundaries([1.0], 0.05) == pytest.approx([1.95996], abs=1e-5)
    assert drift_for_power([1.95996], [1.0], 0.8) == pytest.approx(1.95996 + 0.84162, abs=1e-4)


@pytest.mark.parametrize("drift", [0.0, 1.5])
def test_crossing_is_the_multivariate_normals(drift):
    """Of uneven looks: inside at the first two and above at the third is a box's probability."""
    fractions, critical = np.array([0.3, 0.4, 1.0]), [2.5, 1.5, 2.0]
    above, below = crossing(critical, fractions, drift)
    root = np.sqrt(np.minimum.outer(fractions, fractions) / np.maximum.outer(fractions, fractions))
    normal = stats.multivariate_normal(drift * np.sqrt(fractions), root, maxpts=10**6, abseps=1e-9)
    inside = np.array(critical[:2])
    box = normal.cdf([*inside, 9.0], lower_limit=[*-inside, 2.0])
    assert above[2] == pytest.approx(box, abs=1e-6)
    box = normal.cdf([*inside, -2.0], lower_limit=[*-inside, -9.0])
    assert below[2] == pytest.approx(box, abs=1e-6)


@pytest.mark.parametrize("looks", [1, 4, 30])
@pytest.mark.parametrize("spending", [obrien_fleming_spending, pocock_spending])
def test_all_of_alpha_is_spent_and_no_more(looks, spending):
    fractions = [(look + 1) / looks for look in range(looks)]
    critical = boundaries(fractions, 0.05, spending)
    above, below = crossing(critical, fractions)
    assert above == pytest.approx(below, abs=1e-12)
    assert above.sum() + below.sum() == pytest.approx(0.05, abs=1e-8)
    spent = [spending(fraction, 0.025) for fraction in fractions]
    assert np.cumsum(above) == pytest.approx(spent, abs=1e-8)
    power = crossing(critical, fractions, drift_for_power(critical, fractions, 0.9))[0].sum()
    assert power == pytest.approx(0.9, abs=1e-7)


def test_conditional_power_is_that_of_simulated_ends():
    rng = np.random.default_rng(0)
    fraction, z, drift, final = 0.4, 1.2, 2.5, 2.0
    ends = z * fraction**0.5 + drift * 0.6 + rng.normal(0, 0.6**0.5, 400_000)
    assert conditional_power(z, fraction, drift, final) == pytest.approx(
        np.mean(ends >= final), abs=0.003
    )


def test_the_mixtures_boundary_by_hand_and_by_its_own_ratio():
    # r = 100 · .2² = 4: 2 · 1.25 · (ln 20 + ½ ln 5) = 2.5 · 3.80045 = 9.50113.
    critical = mixture_critical(100, 0.2, 0.05)
    assert critical == pytest.approx(9.50113**0.5, abs=1e-5)
    # There the likelihood ratio, averaged over N(0, .2²) by quadrature, is 1/α.
    effects = np.linspace(-3, 3, 20_001)
    ratio = np.exp(10 * critical * effects - 50 * effects**2) * stats.norm.pdf(effects, 0, 0.2)
    assert np.trapezoid(ratio, effects) == pytest.approx(20, rel=1e-6)


def test_the_mixture_may_be_looked_at_after_every_episode():
    rng = np.random.default_rng(1)
    numbers = np.arange(1, 1001)
    z = rng.normal(size=(2000, 1000)).cumsum(1) / np.sqrt(numbers)
    critical = np.array([mixture_critical(n, 0.3, 0.05) for n in numbers])
    assert np.mean((np.abs(z) >= critical).any(1)) <= 0.05
    assert np.mean((np.abs(z) >= 1.96).any(1)) > 0.3  # what looking costs without it


def test_nonsense_is_refused():
    for fractions in ([], [0.5, 0.5], [0.5, 1.1], [0.0, 1.0]):
        with pytest.raises(ValueError, match="increase within"):
            boundaries(fractions, 0.05)
    with pytest.raises(ValueError, match="alpha must be"):
        boundaries([1.0], 0.0)
    with pytest.raises(ValueError, match="power must be in"):
        drift_for_power([1.96], [1.0], 0.01)
