"""How many paired episodes a difference needs, and which difference so many episodes find.

Before an experiment or to judge one that found nothing. One look at the end; designs that look
while episodes come are `marl.evaluate.ab`.
"""

import math
from typing import Final

# Asymptotic relative efficiency of Wilcoxon's signed-rank test to the t-test under normal
# differences (Lehmann 1975, section 4.3); above 1 for heavy tails, never below .864 (Hodges and
# Lehmann 1956).
WILCOXON_EFFICIENCY: Final = 3 / math.pi
ALPHA: Final = 0.05
POWER: Final = 0.8


def episodes_needed(
    sd: float,
    effect: float,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
    questions: int = 1,
    efficiency: float = WILCOXON_EFFICIENCY,
) -> int:
    """Paired episodes with which a two-sided test finds a difference with the stated power.

    n = ((z_{1−α/2} + z_{power}) σ / δ)² / e + z_{1−α/2}² / 2: the normal approximation over the
    test's efficiency e, and Guenther's (1981) addition for a standard deviation that is estimated.

    Args:
        sd: σ, standard deviation of the paired differences (a pilot's).
        effect: δ, the true difference to find, in the same unit.
        alpha: two-sided level.
        power: chance of finding it.
        questions: how many Holm's correction will cover; the level is α / questions, its strictest
            step.
        efficiency: of the test, relative to the t-test: 3/π for Wilcoxon's under normal
            differences, 1 for the t-test.

    Raises:
        ValueError: an argument outside its range, or an effect of zero.
    """
    _check(alpha, power, questions)
    if sd < 0 or effect == 0 or not math.isfinite(effect) or not math.isfinite(sd):
        raise ValueError(f"sd must be >= 0 and effect finite and not 0; got {sd} and {effect}")
    z_alpha, z_power = _quantiles(alpha / questions, power)
    normal = ((z_alpha + z_power) * sd / effect) ** 2 / efficiency
    return max(2, math.ceil(normal + z_alpha**2 / 2))


def minimum_detectable_effect(
    sd: float,
    episodes: int,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
    questions: int = 1,
    efficiency: float = WILCOXON_EFFICIENCY,
) -> float | None:
    """The smallest difference that so many paired episodes find with the stated power.

    `episodes_needed` solved for the effect; arguments as there. None where there are too few
    episodes to find any.
    """
    _check(alpha, power, questions)
    z_alpha, z_power = _quantiles(alpha / questions, power)
    effective = (episodes - z_alpha**2 / 2) * efficiency
    return None if effective <= 0 else (z_alpha + z_power) * sd / math.sqrt(effective)


def power_of(
    sd: float,
    effect: float,
    episodes: int,
    *,
    alpha: float = ALPHA,
    questions: int = 1,
    efficiency: float = WILCOXON_EFFICIENCY,
) -> float:
    """The chance that so many paired episodes find a difference: `episodes_needed` solved for it.

    The chance of finding it with the wrong sign is left out.
    """
    from scipy.special import ndtr

    _check(alpha, POWER, questions)
    z_alpha, _ = _quantiles(alpha / questions, POWER)
    effective = (episodes - z_alpha**2 / 2) * efficiency
    if effective <= 0:
        return 0.0
    if sd == 0:
        return 0.0 if effect == 0 else 1.0
    return float(ndtr(abs(effect) / sd * math.sqrt(effective) - z_alpha))


def _quantiles(alpha: float, power: float) -> tuple[float, float]:
    from scipy.special import ndtri

    return float(ndtri(1 - alpha / 2)), float(ndtri(power))


def _check(alpha: float, power: float, questions: int) -> None:
    if not 0 < alpha < 1 or not alpha / 2 < power < 1:
        raise ValueError(
            f"alpha must be in (0, 1) and power in (alpha/2, 1); got {alpha} and {power}"
        )
    if questions < 1:
        raise ValueError(f"questions must be at least 1; got {questions}")
