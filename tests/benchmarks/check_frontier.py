"""`python -m tests.benchmarks.check_frontier`: savings at equal service level, well-tuned rules.

The report measures savings against frontiers that its profile tunes as long as it has time for; a
badly tuned frontier flatters every policy. Here those of the stored baselines are tuned for as many
generations as asked, at weights close to where good policies lie, played on the stored evaluation's
weather, and each learned policy's saving is printed for every scenario with its 95 % interval.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import polars as pl

from assets.provenance import Provenance
from marl.cloud.config import CloudConfig
from marl.evaluate.baselines import BaselineSet
from marl.evaluate.families import frontier_families
from marl.evaluate.frontier import savings
from marl.evaluate.policies import BASELINES_FILE
from marl.evaluate.study import play_frontiers
from marl.evaluate.tuning import with_frontiers
from marl.evaluate.world import stored_world
from marl.files import write_json


def main() -> int:
    """Tune, play, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("STRATOFORM_DATA", "data"))
    parser.add_argument("--generations", type=int, default=30)
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 2.0, 4.0, 8.0])
    parser.add_argument("--scenarios", nargs="+", help="all that are stored if none is named")
    parser.add_argument("--tuning-episodes", type=int, default=32)
    options = parser.parse_args()
    played = Provenance.load(options.data / "evaluation_episodes").config["settings"]["profile"]
    world = stored_world(options.data, played["episode_steps"])
    found = BaselineSet.model_validate_json(
        (options.data / BASELINES_FILE).read_text(encoding="utf-8")
    )
    tuned = with_frontiers(
        found,
        frontier_families(),
        world.scorer(options.tuning_episodes, played["seed"]).by_kind(),
        options.factors,
        options.generations,
        CloudConfig().weights.performance,
        lambda line: print(line, file=sys.stderr),  # noqa: T201 - progress of a command
    )
    episodes = pl.read_parquet(options.data / "evaluation_episodes" / "rows" / "*.parquet")
    learned = episodes.filter(pl.col("training_seed").is_not_null())
    scenarios = options.scenarios or episodes["scenario"].unique(maintain_order=True).to_list()
    count = episodes["episode"].n_unique()
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / BASELINES_FILE.name, tuned.model_dump(mode="json"))
        frontier = pl.concat(
            play_frontiers(Path(folder), world, name, count, played["seed"]) for name in scenarios
        )
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160):
        means = frontier.group_by("scenario", "family", "factor", maintain_order=True)
        points = means.agg(pl.col("cost_usd", "slo_attainment").mean())
        rows = [savings(learned, frontier, name, seed=played["seed"]) for name in scenarios]
        saved = pl.concat(
            row.with_columns(scenario=pl.lit(name))
            for name, row in zip(scenarios, rows, strict=True)
        )
        sys.stdout.write(f"{points}\n{saved}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
