"""One A/B experiment from pilot to verdict.

The plan's mathematics is `design`, looking is `monitor`, words and files are `telling`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.evaluate.ab.arms import Arm, paired_figures, require_common
from marl.evaluate.ab.design import Design, Method, always_valid, group_sequential, sd_limit
from marl.evaluate.ab.monitor import Guard, Look, Verdict, monitor
from marl.frozen import Frozen
from marl.train.seeding import derive_seed

DEFAULT_EFFECT_SHARE: Final = 0.05  # of A's mean in the pilot
DEFAULT_MARGIN_SHARE: Final = 0.01  # a guard's, likewise
SCHEMA_VERSION: Final = 1


class GuardAsked(Frozen):
    """A guard as it is asked for.

    Attributes:
        metric: column of episodes.
        margin: in the metric's unit, or as a share of A's mean in the pilot.
        is_share: which of the two.
    """

    metric: str
    margin: float = DEFAULT_MARGIN_SHARE
    is_share: bool = True


class Settings(Frozen):
    """What is asked of an experiment.

    Attributes:
        scenario: kind of demand.
        metric: what decides.
        guards: metrics that must not get worse.
        minimum_effect: smallest difference worth finding, in the metric's unit; 5 % of A's mean in
            the pilot if None.
        alpha, power: over all looks together.
        method: how looks are paid for.
        looks: how many.
        futility: conditional power below which it is given up.
        pilot_episodes: of the training split.
        max_episodes: most held-out ones to play now.
        seed: of the weather.
    """

    scenario: str = "replay"
    metric: str = "reward"
    guards: tuple[GuardAsked, ...] = ()
    minimum_effect: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    method: Method = "obrien-fleming"
    looks: int = 4
    futility: float = 0.1
    pilot_episodes: int = 64
    max_episodes: int = 1024
    seed: int = 0


class Pilot(Frozen):
    """What the training episodes said; nothing of it decides.

    Attributes:
        episodes: how many.
        sd: standard deviation of paired differences.
        sd_limit: what the plan assumes: its upper 80 % confidence limit.
        mean_a: A's mean of the metric.
    """

    episodes: int
    sd: float
    sd_limit: float
    mean_a: float


class Result(Frozen):
    """The experiment, as it is stored.

    Attributes:
        schema_version: of this shape.
        a, b: the arms; A is what runs now, B what might be shipped.
        is_synthetic: whether the workload was generated.
        is_higher_better: direction of the metric; every difference is B minus A, its sign turned
            where lower is better, so that positive means B is better.
        settings, pilot, design, verdict: see there.
    """

    schema_version: int = SCHEMA_VERSION
    a: str
    b: str
    is_synthetic: bool
    is_higher_better: bool
    settings: Settings
    pilot: Pilot
    design: Design
    verdict: Verdict


def run(
    a: Arm,
    b: Arm,
    settings: Settings,
    *,
    on_plan: Callable[[Pilot, Design], None] | None = None,
    on_look: Callable[[Look], None] | None = None,
) -> Result:
    """Plan by a pilot of training episodes, then look at held-out ones until there is a verdict.

    The pilot and the experiment have weather of their own; held-out episodes tune nothing.

    Args:
        a: what runs now.
        b: what might be shipped.
        settings: what is asked.
        on_plan: called with the plan before a held-out episode is played.
        on_look: called after each look.

    Raises:
        ValueError: settings that cannot be, a metric without a known direction, or arms whose
            rewards have nothing in common.
    """
    require_common(a, b, settings.metric)
    metrics = [settings.metric, *(guard.metric for guard in settings.guards)]
    if len(set(metrics)) < len(metrics):
        raise ValueError(f"the metric and its guards must be different columns; got {metrics}")
    signs = {metric: 1.0 if is_higher_better(metric) else -1.0 for metric in metrics}
    pilot, guards, effect = _plan_inputs(a, b, settings, metrics)
    design = _design(settings, pilot, effect)
    if on_plan:
        on_plan(pilot, design)
    weather = derive_seed(settings.seed, "ab")

    def source(episodes: int) -> Mapping[str, NDArray[np.float64]]:
        figures = paired_figures(a, b, settings.scenario, "held_out", episodes, weather, metrics)
        return {name: signs[name] * (two - one) for name, (one, two) in figures.items()}

    verdict = monitor(
        design,
        source,
        settings.metric,
        guards,
        max_episodes=settings.max_episodes,
        on_look=on_look,
    )
    return Result(
        a=a.name,
        b=b.name,
        is_synthetic=a.world.is_synthetic,
        is_higher_better=signs[settings.metric] > 0,
        settings=settings,
        pilot=pilot,
        design=design,
        verdict=verdict,
    )


def is_higher_better(metric: str) -> bool:
    """The metric's direction, as the report knows it.

    Raises:
        ValueError: the report does not know it.
    """
    from marl.evaluate.report.metrics import METRICS

    directions = {one.column: one.is_higher_better for one in METRICS}
    if metric not in directions:
        raise ValueError(f"which direction of {metric!r} is good? Known: {', '.join(directions)}")
    return directions[metric]


def _plan_inputs(
    a: Arm, b: Arm, settings: Settings, metrics: Sequence[str]
) -> tuple[Pilot, tuple[Guard, ...], float]:
    figures = paired_figures(
        a,
        b,
        settings.scenario,
        "train",
        settings.pilot_episodes,
        derive_seed(settings.seed, "ab pilot"),
        metrics,
    )
    ours, theirs = figures[settings.metric]
    sd = float((theirs - ours).std(ddof=1)) if len(ours) > 1 else 0.0
    pilot = Pilot(
        episodes=len(ours),
        sd=sd,
        sd_limit=sd_limit(sd, len(ours)),
        mean_a=float(ours.mean()),
    )
    guards = tuple(
        Guard(
            metric=guard.metric,
            margin=guard.margin * (abs(figures[guard.metric][0].mean()) if guard.is_share else 1.0),
        )
        for guard in settings.guards
    )
    effect = settings.minimum_effect
    if effect is None:
        effect = DEFAULT_EFFECT_SHARE * abs(pilot.mean_a)
    if not effect > 0:
        raise ValueError(
            f"the smallest difference worth finding must be above 0; got {effect:g} "
            f"(A's mean of {settings.metric} in the pilot is {pilot.mean_a:g}): "
            "say --minimum-effect"
        )
    return pilot, guards, effect


def _design(settings: Settings, pilot: Pilot, effect: float) -> Design:
    told = {"alpha": settings.alpha, "power": settings.power}
    if settings.method == "msprt":
        return always_valid(pilot.sd_limit, effect, looks=settings.looks, **told)
    return group_sequential(
        pilot.sd_limit,
        effect,
        looks=settings.looks,
        method=settings.method,
        futility=settings.futility,
        **told,
    )
