"""Looking at held-out episodes as they come: after each block ship B, keep A, or continue.

Decides from paired differences whose sign says which is better; playing is `arms`, the plan
`design`, words `telling`.
"""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.ab.boundaries import conditional_power
from marl.evaluate.ab.design import Design
from marl.evaluate.statistics.intervals import standard_error, varies
from marl.evaluate.statistics.significance import (
    hall_inverse,
    hall_transform,
    skewness_over_root_n,
)
from marl.frozen import Frozen

# Of a metric, paired differences (n,) of the first n episodes, positive where B is better.
Source = Callable[[int], Mapping[str, NDArray[np.float64]]]
_UNLIKELY: Final = 38.0  # standard errors: what a difference without any spread counts as


class Decision(StrEnum):
    """What to do."""

    SHIP = "SHIP"
    KEEP = "KEEP"
    CONTINUE = "CONTINUE"


class Guard(Frozen):
    """A metric that B must not make worse by more than a margin.

    Attributes:
        metric: column of episodes.
        margin: in the metric's unit, ≥ 0.
    """

    metric: str
    margin: float


class GuardAt(Frozen):
    """A guard at a look: difference (positive: better) with its repeated interval.

    Attributes:
        state: "held" where the interval excludes worse than the margin, "broken" where it holds
            nothing else, "open" between.
    """

    metric: str
    margin: float
    estimate: float
    lo: float
    hi: float
    state: str


class Look(Frozen):
    """What one look saw; figures are oriented so that positive means B is better.

    Attributes:
        episodes: seen so far.
        estimate: mean difference.
        lo, hi: repeated confidence interval (Jennison and Turnbull 1989): over all looks together
            it covers with 1 − α.
        z: standardised difference.
        critical: boundary of |z|.
        conditional_power: of shipping at the end if the difference is the effect sought; None at
            the end and under mSPRT.
        guards: each guard.
    """

    episodes: int
    estimate: float
    lo: float
    hi: float
    z: float
    critical: float
    conditional_power: float | None
    guards: tuple[GuardAt, ...]


class Verdict(Frozen):
    """The decision and what led to it.

    Attributes:
        decision: what to do.
        reason: why, in a word: "better", "worse", "guard broken", "guard open", "futile",
            "not shown", "no difference", "episodes left".
        looks: all that were taken.
        episodes_left: of the plan.
    """

    decision: Decision
    reason: str
    looks: tuple[Look, ...]
    episodes_left: int


def monitor(
    design: Design,
    source: Source,
    metric: str,
    guards: tuple[Guard, ...] = (),
    *,
    max_episodes: int | None = None,
    on_look: Callable[[Look], None] | None = None,
) -> Verdict:
    """Look until the design decides, its episodes end, or no more are allowed.

    B is shipped when the metric's boundary was crossed upwards, at this look or before, and every
    guard is held: each guard is tested at the full level, since all must hold (Berger 1982). A
    guard still open asks for more episodes. B is not shipped once the boundary is crossed
    downwards, a guard is broken, or going on is futile. Where not one episode differs, the answer
    is known at the first look.

    Args:
        design: the plan.
        source: paired differences of the first n episodes.
        metric: what decides.
        guards: metrics that must not get worse.
        max_episodes: most that may be played now; the plan's end if None.
        on_look: called after each look.

    Raises:
        ValueError: `max_episodes` is below the first look, or a difference is not finite.
    """
    limit = design.episodes[-1] if max_episodes is None else max_episodes
    if limit < design.episodes[0]:
        raise ValueError(
            f"the first look needs {design.episodes[0]} episodes and at most {limit} are allowed: "
            "allow more, plan more looks, or ask for a larger effect"
        )
    looks: list[Look] = []
    is_shown = False
    for index, episodes in enumerate(design.episodes):
        if episodes > limit:
            break
        differences = source(episodes)
        look = _look(design, index, differences, metric, guards)
        looks.append(look)
        if on_look:
            on_look(look)
        is_shown |= look.z >= look.critical
        is_same = not differences[metric].any()
        if decided := _decide(design, look, is_shown=is_shown, is_same=is_same):
            return _verdict(design, *decided, looks)
    waits = "guard open" if is_shown else "episodes left"
    return _verdict(design, Decision.CONTINUE, waits, looks)


def standardised(difference: NDArray[np.float64]) -> float:
    """The normal quantile of the p-value of the mean: its size tells how far from chance it is.

    Of the t statistic, so that small samples keep their level (Jennison and Turnbull 2000, section
    4.4, "significance level approach"), and of its correction for skewness
    (`significance.hall_transform`), whichever is nearer to zero; 0 where they differ in sign.
    """
    from scipy.special import ndtri, stdtr

    if not varies(difference):
        return math.copysign(_UNLIKELY, difference.mean()) if difference.any() else 0.0
    t = float(difference.mean()) / standard_error(difference)
    corrected = hall_transform(t, skewness_over_root_n(difference))
    if t * corrected <= 0:
        return 0.0
    least = min(abs(t), abs(corrected))
    tail = float(stdtr(len(difference) - 1, -least))
    z = -float(ndtri(tail)) if tail > 0 else _UNLIKELY
    return math.copysign(min(z, _UNLIKELY), t)


def repeated_interval(
    difference: NDArray[np.float64], critical: float
) -> tuple[float, float, float]:
    """Mean, and the interval of values that a look with this boundary would not refute."""
    from scipy.special import ndtr, stdtrit

    mean = float(difference.mean())
    if not varies(difference):
        return mean, mean, mean
    t = -float(stdtrit(len(difference) - 1, ndtr(-critical)))
    r = skewness_over_root_n(difference)
    error = standard_error(difference)
    return (
        mean,
        mean - max(t, hall_inverse(t, r)) * error,
        mean + max(t, -hall_inverse(-t, r)) * error,
    )


def _look(
    design: Design,
    index: int,
    differences: Mapping[str, NDArray[np.float64]],
    metric: str,
    guards: tuple[Guard, ...],
) -> Look:
    for name, values in differences.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite")
    difference, critical = differences[metric], design.critical[index]
    estimate, lo, hi = repeated_interval(difference, critical)
    z = standardised(difference)
    return Look(
        episodes=len(difference),
        estimate=estimate,
        lo=lo,
        hi=hi,
        z=z,
        critical=critical,
        conditional_power=_conditional_power(design, index, difference, z),
        guards=tuple(_guard(guard, differences[guard.metric], critical) for guard in guards),
    )


def _guard(guard: Guard, difference: NDArray[np.float64], critical: float) -> GuardAt:
    estimate, lo, hi = repeated_interval(difference, critical)
    # No worse at all is held even at a margin of nothing.
    is_held = lo > -guard.margin or lo == hi == estimate >= -guard.margin
    state = "held" if is_held else "broken" if hi < -guard.margin else "open"
    return GuardAt(
        metric=guard.metric, margin=guard.margin, estimate=estimate, lo=lo, hi=hi, state=state
    )


def _conditional_power(
    design: Design, index: int, difference: NDArray[np.float64], z: float
) -> float | None:
    """By the deviation that was seen, not the planned one."""
    if design.method == "msprt" or index == len(design.episodes) - 1:
        return None
    if not varies(difference):
        return float(z > 0)
    drift = design.effect / float(difference.std(ddof=1)) * math.sqrt(design.episodes[-1])
    return conditional_power(z, design.fraction(index), drift, design.critical[-1])


def _decide(
    design: Design, look: Look, *, is_shown: bool, is_same: bool
) -> tuple[Decision, str] | None:
    is_last = look.episodes == design.episodes[-1]
    if is_same:
        return Decision.KEEP, "no difference"
    if any(guard.state == "broken" for guard in look.guards):
        return Decision.KEEP, "guard broken"
    if is_shown:
        if all(guard.state == "held" for guard in look.guards):
            return Decision.SHIP, "better"
        return (Decision.KEEP, "guard open") if is_last else None
    if look.z <= -look.critical:
        return Decision.KEEP, "worse"
    if is_last:
        return Decision.KEEP, "not shown"
    if look.conditional_power is not None and look.conditional_power < design.futility:
        return Decision.KEEP, "futile"
    return None


def _verdict(design: Design, decision: Decision, reason: str, looks: list[Look]) -> Verdict:
    return Verdict(
        decision=decision,
        reason=reason,
        looks=tuple(looks),
        episodes_left=design.episodes[-1] - looks[-1].episodes,
    )
