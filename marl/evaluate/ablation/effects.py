"""What a component is worth: paired differences of objectives, with intervals that respect seeds.

Training runs differ by chance, so episodes alone say how sure one is of *these* policies; only
several seeds say something of the component. Pure statistics of tables; tables are told by `told`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from marl.cloud.types import OBJECTIVES
from marl.evaluate.ablation.grid import Contrast
from marl.evaluate.ablation.noise import TrainingNoise, training_noise, widened
from marl.evaluate.statistics import (
    Interval,
    holm,
    paired_bootstrap,
    probability_of_improvement,
    signed_rank_p,
)
from marl.frozen import Frozen
from marl.train.seeding import derive_seed

LEAST_SEEDS: Final = 3  # fewer say nothing about how seeds spread
ALPHA: Final = 0.05
METRICS: Final = (*(f"reward_{name}" for name in OBJECTIVES), "cost_usd", "slo_attainment")
# run's identity → training seed → its episodes in one scenario, sorted by episode
Episodes = Mapping[str, Mapping[int, pl.DataFrame]]


class Effect(Frozen):
    """Objective of a run minus that of its reference, in one scenario.

    Attributes:
        run: identity of what has the component.
        reference: identity of what has not.
        scenario: kind of demand.
        seeds: training seeds of both.
        episodes: paired episodes of each seed.
        difference: of the objective (reward per step, mean over episodes and seeds).
        lo, hi: its 95 % interval.
        is_within_seed: the interval resamples episodes alone, because there are fewer than
            `LEAST_SEEDS` seeds: it says nothing about other training runs.
        noise_lo, noise_hi: the interval of these runs widened by the noise of training, pooled over
            the base's runs (`noise`); None where no configuration has two seeds.
        by_seed: the difference in each seed.
        gain, reference_gain: objective above the tuned rule's on the same episodes, of both.
        metrics: difference of other columns, where episodes have them.
        improvement: share of episodes, seeds averaged, in which the run is above its reference.
        p_value: Wilcoxon signed-rank of the episodes' differences, seeds averaged.
        p_holm: the same, corrected for all questions of the scenario (`compared`).
    """

    run: str
    reference: str
    scenario: str
    seeds: tuple[int, ...]
    episodes: int = Field(ge=1)
    difference: float
    lo: float
    hi: float
    is_within_seed: bool
    noise_lo: float | None
    noise_hi: float | None
    by_seed: tuple[float, ...]
    gain: float
    reference_gain: float
    metrics: dict[str, float]
    improvement: float
    p_value: float
    p_holm: float = 1.0

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `n.s.`, of the component and not of these runs.

        Shown only if Holm's p is below 5 %, every seed agrees in sign, and 0 lies outside the
        interval: that of the seeds, or with fewer than `LEAST_SEEDS` the one widened by the noise
        of training.
        """
        lo, hi = (self.noise_lo, self.noise_hi) if self.is_within_seed else (self.lo, self.hi)
        if lo is None or hi is None or lo <= 0 <= hi or self.p_holm >= ALPHA:
            return "n.s."
        if len({value > 0 for value in self.by_seed}) > 1:
            return "n.s."
        return "better" if self.difference > 0 else "worse"


def seeds_bootstrap(
    difference_SE: NDArray[np.float64],  # noqa: N803 - S seeds, E episodes
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = 4000,
) -> Interval:
    """Interval of the mean that respects seeds: seeds are resampled, then episodes.

    Every seed plays the same episodes, so one draw of episodes serves all seeds drawn (the
    pigeonhole bootstrap: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2)).
    A percentile bootstrap of few seeds is too narrow: seeds' deviations from their mean are widened
    by sqrt(S / (S − 1)) · t_{S−1} / z (the expanded percentile interval: Hesterberg 2015, "What
    Teachers Should Know About the Bootstrap", section 5.3), t and z being quantiles of the level.

    Args:
        difference_SE: (S, E) paired differences, S at least 2.
        rng: random state.
        level: confidence level.
        resamples: bootstrap resamples.

    Raises:
        ValueError: fewer than two seeds.
    """
    from scipy.stats import norm, t

    seeds, episodes = difference_SE.shape
    if seeds < 2:
        raise ValueError("one seed has no spread; use episodes alone")
    upper = 0.5 * (1.0 + level)
    wide = math.sqrt(seeds / (seeds - 1)) * t.ppf(upper, seeds - 1) / norm.ppf(upper)
    means = difference_SE.mean(1, keepdims=True)
    widened = difference_SE + (wide - 1.0) * (means - means.mean())
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    by_episode = rng.multinomial(episodes, np.full(episodes, 1 / episodes), resamples) / episodes
    drawn = np.einsum("re,re->r", by_seed @ widened, by_episode)
    lo, hi = np.percentile(drawn, [100 * (1 - upper), 100 * upper])
    return Interval(estimate=float(difference_SE.mean()), lo=float(lo), hi=float(hi))


def compared(
    contrasts: Sequence[Contrast], episodes: Episodes, rules: Mapping[str, pl.DataFrame], seed: int
) -> list[Effect]:
    """Every contrast's effect in one scenario, Holm's correction over all of them.

    A placebo is asked like all others. Seeds that only one of the two has are left out.

    Args:
        contrasts: the questions, whose runs and references have episodes of a common seed.
        episodes: of every run.
        rules: run's identity → the tuned rule's episodes in the same clouds.
        seed: of the bootstrap.

    Raises:
        ValueError: episodes do not pair, or are not finite; runs without a common seed.
    """
    pools = _pools(episodes)
    found = [
        _effect(one, episodes[one.run], episodes[one.reference], rules[one.run], pools, seed)
        for one in contrasts
    ]
    adjusted = holm([effect.p_value for effect in found])
    return [
        effect.model_copy(update={"p_holm": float(p)})
        for effect, p in zip(found, adjusted, strict=True)
    ]


def _pools(episodes: Episodes) -> dict[str, TrainingNoise | None]:
    """Base → noise of its runs."""
    means: dict[str, list[NDArray[np.float64]]] = {}
    for name, frames in episodes.items():
        own = np.array([_mean(frame, "reward") for frame in frames.values()])
        if len(own):
            means.setdefault(_base(name), []).append(own)
    return {base: training_noise(runs) for base, runs in means.items()}


def _base(name: str) -> str:
    return name.partition("/")[0]


def _effect(
    asked: Contrast,
    run: Mapping[int, pl.DataFrame],
    reference: Mapping[int, pl.DataFrame],
    rule: pl.DataFrame,
    pools: Mapping[str, TrainingNoise | None],
    seed: int,
) -> Effect:
    seeds = tuple(sorted(run.keys() & reference.keys()))
    if not seeds:
        raise ValueError(f"{asked.run} and {asked.reference} have no training seed in common")
    numbers = rule["episode"].to_list()
    for frame in (*run.values(), *reference.values()):
        if frame["episode"].to_list() != numbers:
            raise ValueError(
                f"{asked.run}, {asked.reference} and the rule have different episodes: compare the "
                "same ones only"
            )
    ours, theirs = (
        np.stack([side[one]["reward"].to_numpy().astype(np.float64) for one in seeds])
        for side in (run, reference)
    )
    difference = ours - theirs
    if not np.isfinite(difference).all():
        raise ValueError(f"{asked.run} against {asked.reference}: rewards that are not finite")
    scenario = str(rule["scenario"][0])
    rng = np.random.default_rng(derive_seed(seed, scenario, asked.run, asked.reference))
    by_episode = difference.mean(0)
    within = paired_bootstrap(by_episode, rng)
    is_within = len(seeds) < LEAST_SEEDS
    bounds = within if is_within else seeds_bootstrap(difference, rng)
    noisy = None
    noise, other = pools[_base(asked.run)], pools[_base(asked.reference)]
    if noise is not None and other is not None:
        is_same = _base(asked.run) == _base(asked.reference)
        noisy = widened(within, len(seeds), noise, None if is_same else other)
    tuned = float(rule["reward"].mean())  # type: ignore[arg-type]
    return Effect(
        run=asked.run,
        reference=asked.reference,
        scenario=scenario,
        seeds=seeds,
        episodes=len(by_episode),
        difference=float(difference.mean()),
        lo=bounds.lo,
        hi=bounds.hi,
        is_within_seed=is_within,
        noise_lo=None if noisy is None else noisy.lo,
        noise_hi=None if noisy is None else noisy.hi,
        by_seed=tuple(float(value) for value in difference.mean(1)),
        gain=float(ours.mean()) - tuned,
        reference_gain=float(theirs.mean()) - tuned,
        metrics={
            name: float(
                np.mean([_mean(run[one], name) - _mean(reference[one], name) for one in seeds])
            )
            for name in METRICS
            if all(name in side[one].columns for side in (run, reference) for one in seeds)
        },
        improvement=probability_of_improvement(by_episode),
        p_value=signed_rank_p(by_episode),
    )


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].mean())  # type: ignore[arg-type]
