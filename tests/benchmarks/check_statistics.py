"""What the choices in docs/statistics.md rest on, by simulation.

    python -m tests.benchmarks.check_statistics [--data data]

Prints how often intervals cover, how often the signed-rank test alone and the decision of `compare`
call an equal policy better, and how stored differences of scenarios correlate. Not a test: the
suite asserts the chosen methods only; this shows those that were not chosen beside them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

from marl.evaluate.ab import group_sequential, monitor
from marl.evaluate.statistics import (
    both_p,
    paired_bootstrap,
    retraining_interval,
    signed_rank_p,
    stratified_bootstrap,
)

EPISODES = 64
KINDS = {
    "normal, skewness 0": stats.norm(),
    "gamma(4), skewness 1": stats.gamma(4),
    "exponential, skewness 2": stats.expon(),
    "lognormal, skewness 3.3": stats.lognorm(0.75),
}


def mean_coverage(trials, rng):
    """Of the mean's 95 % interval."""
    for name, kind in KINDS.items():
        truth, covered = kind.mean(), np.zeros(2)
        for sample in kind.rvs((trials, EPISODES), random_state=rng):
            ours = paired_bootstrap(sample, rng, resamples=600)
            bca = stats.bootstrap((sample,), np.mean, n_resamples=600, rng=rng).confidence_interval
            covered += [ours.lo <= truth <= ours.hi, bca.low <= truth <= bca.high]
        yield f"mean, {name}", dict(zip(("bootstrap-t", "BCa"), covered / trials, strict=True))


def retraining_coverage(trials, rng):
    """Of the interval for policies trained anew; seeds vary as much as episodes."""
    for seeds in (2, 3, 5):
        covered = np.zeros(2)
        for _ in range(trials):
            effects = rng.normal(size=(seeds, 1)) + rng.gamma(4, 0.5, (1, EPISODES)) - 2
            drawn = effects + rng.normal(size=(seeds, EPISODES))
            both = retraining_interval(drawn), stratified_bootstrap([drawn], rng, resamples=300)
            covered += [one.lo <= 0 <= one.hi for one in both]
        names = ("crossed effects", "bootstrap over seeds")
        yield f"trained anew, {seeds} seeds", dict(zip(names, covered / trials, strict=True))


def false_calls(trials, rng):
    """An equal policy called better at .05, two-sided, one question."""
    for name, kind in KINDS.items():
        for episodes in (64, 128):
            sample = kind.mean() - kind.rvs((trials, episodes), random_state=rng)
            ranks = np.array([signed_rank_p(one) for one in sample])
            both = np.array([both_p(one, p) for one, p in zip(sample, ranks, strict=True)])
            above = sample.mean(1) > 0
            found = {"signed rank": ranks < 0.05, "with the mean": both < 0.05}
            told = {method: np.mean(is_found & above) for method, is_found in found.items()}
            yield f"called better, −({name}), {episodes} episodes", told


def sequential_errors(trials, rng):
    """An equal B shipped, and a better one, by A/B."""
    for method in ("obrien-fleming", "pocock"):
        plan = group_sequential(1.0, 0.3, method=method)
        for name, kind in list(KINDS.items())[:2]:
            sample = (kind.mean() - kind.rvs((trials, plan.episodes[-1]), random_state=rng)) / (
                kind.std()
            )
            shipped = {
                f"truly {gain:+.1f}": np.mean(
                    [_verdict(plan, one + gain).decision == "SHIP" for one in sample]
                )
                for gain in (0.0, 0.3)
            }
            yield f"shipped, {method}, −({name})", shipped


def shared_weather(data):
    """Correlations of a policy's differences to the reactive rule between scenarios."""
    rows = pl.read_parquet(data / "evaluation_episodes" / "rows" / "*.parquet")
    mean = rows.group_by("policy", "scenario", "episode").agg(pl.col("reward").mean())
    scenarios = mean["scenario"].unique().sort().to_list()
    for policy in mean["policy"].unique().sort().to_list():
        wide = [
            mean.filter(policy=name).pivot(on="scenario", index="episode", values="reward")
            for name in (policy, "reactive")
        ]
        if policy == "reactive" or set(scenarios) - set(wide[0].columns):
            continue
        ours, theirs = (w.sort("episode").select(scenarios).to_numpy() for w in wide)
        found = np.corrcoef((ours - theirs).T)
        pairs = found[np.triu_indices(len(scenarios), 1)]
        yield f"correlation of scenarios, {policy}", {"least": pairs.min(), "most": pairs.max()}


def _verdict(plan, path):
    return monitor(plan, lambda n: {"reward": path[:n]}, "reward")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--data", type=Path, help="stored episodes to look at, e.g. data")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    parts = [part(asked.trials, rng) for part in
             (mean_coverage, retraining_coverage, false_calls, sequential_errors)]  # fmt: skip
    if asked.data:
        parts.append(shared_weather(asked.data))
    for part in parts:
        for name, figures in part:
            told = "  ".join(f"{method} {value:.3f}" for method, value in figures.items())
            sys.stdout.write(f"{name}: {told}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
