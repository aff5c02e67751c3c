"""The plan of an experiment: how many episodes, when to look, how far is far enough.

Made before a held-out episode is seen. The mathematics is `boundaries`; applying it is `monitor`.
"""

import math
from typing import Final, Literal

from marl.evaluate.ab.boundaries import (
    boundaries,
    crossing,
    drift_for_power,
    mixture_critical,
    obrien_fleming_spending,
    pocock_spending,
)
from marl.evaluate.statistics.power import episodes_needed
from marl.frozen import Frozen

Method = Literal["obrien-fleming", "pocock", "msprt"]
SPENDING: Final = {"obrien-fleming": obrien_fleming_spending, "pocock": pocock_spending}
_FEWEST: Final = 8  # episodes between looks: fewer have no standard deviation worth the name
_LONGEST: Final = 10_000_000  # episodes beyond which an effect is too small to plan for


class Design(Frozen):
    """The plan.

    Attributes:
        method: how looks are paid for.
        alpha: two-sided level over all looks together.
        power: chance of finding `effect`, looks and futility counted.
        effect: smallest difference worth finding, in the metric's unit, as B better than A.
        sd: standard deviation of paired differences that the plan assumes.
        episodes: at each look, how many held-out episodes have been seen; the last is the end.
        critical: at each look, how many standard errors from zero decide.
        futility: conditional power below which going on is given up; 0 for never.
        single_look_episodes: what one look at the end would need.
        expected_episodes: on average until a decision, if the difference is `effect`.
    """

    method: Method
    alpha: float
    power: float
    effect: float
    sd: float
    episodes: tuple[int, ...]
    critical: tuple[float, ...]
    futility: float
    single_look_episodes: int
    expected_episodes: float

    def fraction(self, look: int) -> float:
        """Share of the planned episodes seen at a look."""
        return self.episodes[look] / self.episodes[-1]


def group_sequential(
    sd: float,
    effect: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    looks: int = 4,
    method: Literal["obrien-fleming", "pocock"] = "obrien-fleming",
    futility: float = 0.1,
) -> Design:
    """Equally spaced looks, α spent over them (Lan and DeMets 1983).

    Giving up where conditional power under `effect` is below γ costs power: misses become at most
    β / (1 − γ) (Lan, Simon and Halperin 1982). The plan is for β (1 − γ), so the power is kept. It
    is not binding: α holds whether or not one gives up.

    Args:
        sd: of paired differences, from the pilot (`sd_limit`).
        effect: smallest difference worth finding, > 0.
        alpha: two-sided level.
        power: chance of finding it.
        looks: how many.
        method: shape of the spending.
        futility: γ.

    Raises:
        ValueError: an argument outside its range.
    """
    _check(sd, effect, alpha, power, looks)
    if not 0 <= futility < 0.5:
        raise ValueError(f"futility must be in [0, 0.5); got {futility}")
    even = [(look + 1) / looks for look in range(looks)]
    planned = 1 - (1 - power) * (1 - futility)
    even_critical = boundaries(even, alpha, SPENDING[method])
    drift = drift_for_power(even_critical, even, planned)
    single = episodes_needed(sd, effect, alpha=alpha, power=power, efficiency=1.0)
    # The addition is for a deviation that is estimated (Guenther 1981), as in `episodes_needed`.
    total = _within(math.ceil((drift * sd / effect) ** 2 + even_critical[-1] ** 2 / 2), effect)
    total = max(total, _FEWEST * looks)
    episodes = tuple(math.ceil(total * fraction) for fraction in even)
    fractions = [n / total for n in episodes]
    critical = boundaries(fractions, alpha, SPENDING[method])
    return Design(
        method=method,
        alpha=alpha,
        power=power,
        effect=effect,
        sd=sd,
        episodes=episodes,
        critical=tuple(critical),
        futility=futility,
        single_look_episodes=single,
        expected_episodes=_expected(
            episodes, critical, effect / sd * math.sqrt(total) if sd else 9
        ),
    )


def always_valid(
    sd: float, effect: float, *, alpha: float = 0.05, power: float = 0.8, looks: int = 16
) -> Design:
    """The mixture sequential probability ratio test: any look is allowed, planned or not.

    The mixture is as wide as the effect sought. The end is where one look alone would have the
    power, so that looking on the way only adds to it.

    Args:
        sd: of paired differences, from the pilot (`sd_limit`).
        effect: smallest difference worth finding, > 0.
        alpha: two-sided level over all looks.
        power: chance of finding it.
        looks: how many, equally spaced.

    Raises:
        ValueError: an argument outside its range.
    """
    from scipy.special import ndtri

    _check(sd, effect, alpha, power, looks)
    ratio = effect / sd if sd else 1.0
    need = float(ndtri(power))
    low, high = 1, 2
    while ratio * math.sqrt(high) - mixture_critical(high, ratio, alpha) < need:
        low, high = high, _within(2 * high, effect)
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = ratio * math.sqrt(middle) - mixture_critical(middle, ratio, alpha) >= need
        low, high = (low, middle) if is_enough else (middle, high)
    total = max(high, _FEWEST * looks)
    episodes = tuple(math.ceil(total * (look + 1) / looks) for look in range(looks))
    critical = [mixture_critical(n, ratio, alpha) for n in episodes]
    return Design(
        method="msprt",
        alpha=alpha,
        power=power,
        effect=effect,
        sd=sd,
        episodes=episodes,
        critical=tuple(critical),
        futility=0.0,
        single_look_episodes=episodes_needed(sd, effect, alpha=alpha, power=power, efficiency=1.0),
        expected_episodes=_expected(episodes, critical, ratio * math.sqrt(total)),
    )


def sd_limit(sd: float, episodes: int, confidence: float = 0.8) -> float:
    """Upper confidence limit of a pilot's standard deviation (Browne 1995).

    A plan by the pilot's own figure is too small every other time; by this limit, one time in five.

    Raises:
        ValueError: fewer than two episodes.
    """
    from scipy.special import chdtri

    if episodes < 2:
        raise ValueError(f"a pilot needs at least 2 episodes; got {episodes}")
    degrees = episodes - 1
    return float(sd * math.sqrt(degrees / chdtri(degrees, confidence)))


def _expected(episodes: tuple[int, ...], critical: list[float], drift: float) -> float:
    """Episodes until a boundary is crossed, on average; the end where none is."""
    fractions = [n / episodes[-1] for n in episodes]
    above, below = crossing(critical, fractions, min(drift, 9.0))
    stops = above + below
    stops[-1] = 1 - stops[:-1].sum()
    return float(sum(stop * n for stop, n in zip(stops, episodes, strict=True)))


def _within(episodes: int, effect: float) -> int:
    if episodes > _LONGEST:
        raise ValueError(f"an effect of {effect:g} needs over {_LONGEST:,} episodes: ask for more")
    return episodes


def _check(sd: float, effect: float, alpha: float, power: float, looks: int) -> None:
    if not (math.isfinite(sd) and sd >= 0 and math.isfinite(effect) and effect > 0):
        raise ValueError(f"sd must be >= 0 and effect > 0; got {sd} and {effect}")
    if not 0 < alpha < 1 or not alpha < power < 1:
        raise ValueError(f"alpha must be in (0, 1) and power in (alpha, 1); got {alpha}, {power}")
    if looks < 1:
        raise ValueError(f"looks must be at least 1; got {looks}")
