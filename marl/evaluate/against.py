"""`python -m marl.evaluate.against predictive`: stored episodes against any policy among them.

The report compares with one reference; a sceptic asks about another. Nothing is played: the table
is made from `evaluation_episodes` by `statistics.compare`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from marl.evaluate.statistics import compare

_METRICS = ("reward", "cost_usd", "slo_attainment")


def table(episodes: pl.DataFrame, reference: str, policies: Sequence[str] | None = None) -> str:
    """A Markdown table: reward, cost and service level against the reference, in every scenario.

    Args:
        episodes: one row per policy × scenario × training seed × episode (`rollout`).
        reference: the policy compared against. Policies that did not play all of its scenarios (the
            planner) are left out.
        policies: those to compare; all if None.

    Raises:
        ValueError: no episodes of the reference, or of one of `policies`.
    """
    scenarios = episodes["scenario"].unique(maintain_order=True).to_list()
    played = episodes.group_by("policy", maintain_order=True).agg(pl.col("scenario").n_unique())
    whole = played.filter(pl.col("scenario") == len(scenarios))["policy"].to_list()
    wanted = [name for name in policies or whole if name != reference]
    if absent := sorted(set(wanted) - set(whole)):
        raise ValueError(f"no episodes in every scenario of {', '.join(absent)}; there are {whole}")
    kept = episodes.filter(pl.col("policy").is_in([reference, *wanted]))
    compared = compare(kept, reference, _METRICS)
    lines = [
        f"| scenario | policy | reward, difference to {reference} [95 %] | cost | service level |",
        "|---|---|---|---|---|",
    ]
    for scenario in scenarios:
        for name in wanted:
            reward, cost, level = (_row(compared, scenario, name, metric) for metric in _METRICS)
            note = "" if reward["is_significant"] else ", not significant"
            interval = f"{reward['difference']:+.4f} [{reward['lo']:+.4f}, {reward['hi']:+.4f}]"
            told = [
                scenario,
                name,
                f"{interval}{note}",
                f"{cost['difference'] / cost['reference_mean']:+.1%}",
                f"{level['difference'] * 100:+.2f} pp",
            ]
            lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def _row(compared: pl.DataFrame, scenario: str, policy: str, metric: str) -> dict[str, float]:
    return compared.row(
        by_predicate=(pl.col("scenario") == scenario)
        & (pl.col("policy") == policy)
        & (pl.col("metric") == metric),
        named=True,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m marl.evaluate.against", description=__doc__)
    parser.add_argument("reference", help="a policy of the stored episodes")
    parser.add_argument("policies", nargs="*", help="those to compare; all if none is named")
    parser.add_argument("--data", type=Path, default=os.environ.get("STRATOFORM_DATA", "data"))
    options = parser.parse_args(argv)
    rows = options.data / "evaluation_episodes" / "rows"
    if not rows.is_dir():
        parser.error(f"no stored episodes in {rows}: materialise evaluation_episodes first")
    try:
        told = table(
            pl.read_parquet(rows / "*.parquet"), options.reference, options.policies or None
        )
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
