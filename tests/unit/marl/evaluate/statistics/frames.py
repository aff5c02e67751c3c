"""Tables of episodes for tests of statistics."""

import numpy as np
import polars as pl


def frame(rows, scenario="steady"):
    """(policy, training_seed, episodes' rewards) into the table rollout makes."""
    return pl.concat(
        pl.DataFrame(
            {
                "policy": policy,
                "scenario": scenario,
                "training_seed": pl.Series([seed] * len(values), dtype=pl.Int64),
                "episode": np.arange(len(values)),
                "reward": np.asarray(values, dtype=np.float64),
            }
        )
        for policy, seed, values in rows
    )


def draws(n=80, seed=0, shift=0.0):
    """Rewards of a reference and of a policy `shift` above it, paired by weather."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=n)
    return base, base + shift + 0.3 * rng.normal(size=n)


def many_evaluations(policies, count, rng):
    """`count` evaluations in one table, each as a scenario of its own.

    Args:
        policies: policy → its metrics → (count, E) figures.
        count: evaluations.
        rng: shuffles the rows, as no order is promised.
    """
    parts = []
    for policy, metrics in policies.items():
        episodes = next(iter(metrics.values())).shape[1]
        scenarios = np.repeat([f"evaluation {i:04}" for i in range(count)], episodes)
        parts.append(
            pl.DataFrame(
                {"scenario": scenarios, "episode": np.tile(np.arange(episodes), count)}
                | {metric: values.ravel() for metric, values in metrics.items()}
            ).with_columns(policy=pl.lit(policy), training_seed=pl.lit(None, dtype=pl.Int64))
        )
    table = pl.concat(parts)
    return table[rng.permutation(table.height)]
