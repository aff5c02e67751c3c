"""Boundaries of a test that looks more than once, and what crosses them: mathematics alone.

Z_k is the standardised mean at information fraction t_k = n_k / N; under drift θ (its expectation
at t = 1) the process S = Z √t is Brownian motion with drift θ. Which boundaries an experiment has
is `design`.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FAR: Final = 8.0  # a boundary nothing reaches: beyond it the normal holds 1e-15
_NODES: Final = 320  # of Gauss-Legendre between two boundaries; 100 looks still change no 4th digit

Spending = Callable[[float, float], float]


def obrien_fleming_spending(fraction: float, alpha: float) -> float:
    """α spent by information fraction t: 2 − 2Φ(z_{1−α/2} / √t) (Lan and DeMets 1983, α*₁)."""
    from scipy.special import ndtr, ndtri

    if fraction <= 0:
        return 0.0
    return float(2 * ndtr(-ndtri(1 - alpha / 2) / math.sqrt(min(fraction, 1.0))))


def pocock_spending(fraction: float, alpha: float) -> float:
    """α spent by information fraction t: α ln(1 + (e − 1) t) (Lan and DeMets 1983, α*₂)."""
    return alpha * math.log1p((math.e - 1) * min(max(fraction, 0.0), 1.0))


def boundaries(
    fractions: Sequence[float], alpha: float, spending: Spending = obrien_fleming_spending
) -> list[float]:
    """Two-sided symmetric boundaries c_k: stop at look k where |Z_k| ≥ c_k.

    Each side spends `spending(t, α/2)`; c_k makes the chance of crossing first at look k what is
    newly spent (Lan and DeMets 1983), by recursive integration (Armitage, McPherson and Rowe 1969;
    Jennison and Turnbull 2000, chapter 19).

    Args:
        fractions: t_k, increasing, in (0, 1].
        alpha: two-sided level.
        spending: cumulative α spent on one side at a fraction.

    Raises:
        ValueError: fractions do not increase within (0, 1], or alpha is not in (0, 1).
    """
    from scipy.optimize import brentq

    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be in (0, 1); got {alpha}")
    steps = np.diff([0.0, *fractions])
    if not len(fractions) or (steps <= 0).any() or fractions[-1] > 1 + 1e-12:
        raise ValueError(f"fractions must increase within (0, 1]; got {list(fractions)}")
    found: list[float] = []
    walk = _Walk(0.0)
    spent = 0.0
    for fraction in fractions:
        total = spending(fraction, alpha / 2)
        new, spent = total - spent, total
        above = walk.to(fraction)
        if above(FAR) >= new:
            critical = FAR
        else:
            critical = float(brentq(lambda c: above(c) - new, 0.0, FAR, xtol=1e-10))  # noqa: B023
        found.append(critical)
        walk.stop(critical)
    return found


def crossing(
    critical: Sequence[float], fractions: Sequence[float], drift: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The chances of crossing first at each look: (K,) above, (K,) below."""
    above = _crossing_above(critical, fractions, drift)
    # What goes below under a drift is what goes above under its mirror image.
    return above, above if drift == 0 else _crossing_above(critical, fractions, -drift)


def drift_for_power(critical: Sequence[float], fractions: Sequence[float], power: float) -> float:
    """The drift θ under which the upper boundary is crossed with this chance; N = (θ σ / δ)².

    Raises:
        ValueError: power is not between the chance under no drift and 1.
    """
    from scipy.optimize import brentq

    least = float(_crossing_above(critical, fractions, 0.0).sum())
    if not least < power < 1:
        raise ValueError(f"power must be in ({least:.4f}, 1); got {power}")

    def missing(drift: float) -> float:
        return float(_crossing_above(critical, fractions, drift).sum()) - power

    return float(brentq(missing, 0.0, 2 * FAR, xtol=1e-6))


def conditional_power(z: float, fraction: float, drift: float, final: float) -> float:
    """P(Z_1 ≥ final | Z_t = z) under a drift (Lan, Simon and Halperin 1982).

    Args:
        z: statistic at the information fraction.
        fraction: t in (0, 1).
        drift: expectation of Z at t = 1.
        final: last boundary.
    """
    from scipy.special import ndtr

    rest = 1 - fraction
    return float(ndtr((z * math.sqrt(fraction) + drift * rest - final) / math.sqrt(rest)))


def mixture_critical(episodes: int, spread: float, alpha: float) -> float:
    """Boundary of |Z_n| of the mixture sequential probability ratio test, valid at every n.

    Johari, Pekelis and Walsh (2022, "Always valid inference", section 4; Robbins 1970): effects are
    mixed by N(0, τ²), and with r = n τ²/σ² the ratio exceeds 1/α where
    Z² > 2 (1 + 1/r) (ln(1/α) + ½ ln(1 + r)).

    Args:
        episodes: n.
        spread: τ/σ, the mixture's in standard deviations of a difference.
        alpha: level over all looks together.
    """
    r = episodes * spread**2
    return math.sqrt(2 * (1 + 1 / r) * (math.log(1 / alpha) + 0.5 * math.log1p(r)))


def _crossing_above(
    critical: Sequence[float], fractions: Sequence[float], drift: float
) -> NDArray[np.float64]:
    found = []
    walk = _Walk(drift)
    for c, fraction in zip(critical, fractions, strict=True):
        found.append(walk.to(fraction)(c))
        walk.stop(c)
    return np.array(found)


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


class _Walk:
    """The density of Z at the last look over the paths that have not stopped."""

    def __init__(self, drift: float) -> None:
        self.drift = drift
        self.fraction = self.at = 0.0
        self.z = np.zeros(1)  # nodes
        self.mass = np.ones(1)  # density × quadrature weight

    def to(self, fraction: float) -> Callable[[float], float]:
        """Go on to a fraction; c → the chance of Z ≥ c there."""
        from scipy.special import ndtr

        self.at = fraction
        step = fraction - self.fraction
        known = self.z * math.sqrt(self.fraction) + self.drift * step

        def above(c: float) -> float:
            tails = ndtr((known - c * math.sqrt(fraction)) / math.sqrt(step))
            return float(self.mass @ tails)

        return above

    def stop(self, critical: float) -> None:
        """Paths beyond ± critical end."""
        step = self.at - self.fraction
        nodes, weights = _quadrature()
        z = nodes * critical
        known = self.z * math.sqrt(self.fraction) + self.drift * step
        scaled = (z[:, None] * math.sqrt(self.at) - known[None, :]) / math.sqrt(step)
        density = np.exp(-0.5 * scaled**2) @ self.mass / math.sqrt(2 * math.pi * step)
        self.z, self.mass = z, density * math.sqrt(self.at) * weights * critical
        self.fraction = self.at
