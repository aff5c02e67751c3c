"""Checks of group `training`: plausible prices, and policies that load and act."""

from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.quality.checks import fact_check, suite_check
from assets.quality.gx import expect

SUITES: Final = {
    "price_catalog": (
        expect("TableRowCountToBeBetween", min_value=20),
        *(
            expect("ColumnValuesToNotBeNull", column=name)
            for name in ("item", "unit", "usd", "source", "date")
        ),
        expect("ColumnValuesToBeUnique", column="item"),
        expect("ColumnValuesToBeBetween", column="usd", min_value=0, max_value=1000),
        expect("ColumnValuesToMatchRegex", column="date", regex=r"^20\d\d-\d\d(?:-\d\d)?$"),
    )
}


def rows(folder: Path) -> pl.LazyFrame:
    """The price table."""
    return pl.scan_parquet(folder / "rows" / "*.parquet")


def policies_act(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """Every policy file loads without running code and gives finite actions in [-1, 1]."""
    import torch

    from marl.train.policy_file import PolicyFileError, load_policy_file

    wrong = []
    files = sorted(folder.glob("*.safetensors"))
    for path in files:
        try:
            stored = load_policy_file(path)
        except PolicyFileError as error:
            wrong.append(f"{path.name}: {error}")
            continue
        team = stored.card.spec().members  # of a single controller too: the agents by name
        noise = torch.Generator().manual_seed(0)
        player = stored.player()
        player.begin(16)
        obs = {
            agent: torch.randn((16, size), generator=noise)
            for agent, size in zip(team.agents, team.obs_sizes, strict=True)
        }
        actions = player.decide(obs, team.action_mask().expand(16, -1, -1))
        action = torch.cat(tuple(actions.values()), 1)
        if not torch.isfinite(action).all() or action.abs().max() > 1 + 1e-6:
            wrong.append(f"{path.name}: actions are not finite numbers in [-1, 1]")
    if not files:
        wrong.append("no policy file")
    return not wrong, "; ".join(wrong) or f"{len(files)} policies act", {"policies": len(files)}


CHECKS: Final = [
    *(suite_check(table, suite, rows) for table, suite in SUITES.items()),
    fact_check(
        "trained_policies",
        "policies_act",
        policies_act,
        description="Every policy file loads safely and acts within bounds.",
    ),
]
