"""Which of a run's learned policies challenges: chosen by training's own, held-in evaluation.

Choosing on held-out episodes would make the chosen one's difference there too good by luck (the
winner's curse); those are kept for the decision.
"""

from pathlib import Path

import polars as pl

from marl.evaluate.policies import trained_policy_name
from marl.evaluate.promotion.record import Contender
from marl.evaluate.world import ORACLE
from marl.files import sha256_file


def pick_challenger(trained: Path) -> Contender | None:
    """The policy with the largest held-in gain, mean over training seeds; of it, the best seed.

    Args:
        trained: folder of `trained_policies`: policy files and `learning.parquet`.

    Returns:
        None where nothing was trained that could be deployed: oracles, which are shown the true
        demand ahead, cannot.

    Raises:
        FileNotFoundError: the chosen policy has no file.
    """
    learning = pl.read_parquet(trained / "learning.parquet")
    kept = learning.filter(pl.col("is_kept"), ~pl.col("policy").str.ends_with(ORACLE))
    if kept.is_empty():
        return None
    means = kept.group_by("policy").agg(pl.col("gain").mean())
    name: str = means.sort("gain", "policy", descending=[True, False])["policy"][0]
    seeds = kept.filter(pl.col("policy") == name)
    best = seeds.sort("gain", "training_seed", descending=[True, False]).row(0, named=True)
    seed = int(best["training_seed"])
    path = trained / trained_policy_name(name, seed)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, though {trained / 'learning.parquet'} tells of it: "
            "materialise trained_policies again"
        )
    return Contender(
        name=name,
        training_seed=seed,
        sha256=sha256_file(path),
        held_in_gain=float(best["gain"]),
    )
