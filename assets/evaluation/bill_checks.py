"""Check of the episodes' bills: cut by service or by purchase, the parts are the whole."""

from pathlib import Path
from typing import Any, Final

from assets.quality.checks import fact_check

_CUTS: Final = {
    "service": ("compute", "storage", "network", "database"),
    "purchase": ("on_demand", "spot", "committed", "traffic"),
}
_TOLERANCE: Final = 1e-4  # of the bill: steps are reckoned in float32


def bills_add_up(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """In every episode the parts of each cut of the bill add up to it."""
    import polars as pl

    rows = pl.scan_parquet(folder / "rows" / "*.parquet")
    wrong, off = [], {}
    for cut, parts in _CUTS.items():
        added = pl.sum_horizontal(f"cost_{part}_usd" for part in parts)
        share = (added - pl.col("cost_usd")).abs() / pl.col("cost_usd").clip(lower_bound=1e-9)
        worst = rows.select(share.nan_max()).collect().item()
        off[cut] = worst
        if worst is None or not worst <= _TOLERANCE:
            wrong.append(f"by {cut} the parts differ from the bill by up to {worst} of it")
    return not wrong, "; ".join(wrong) or "every bill is the sum of its parts", off


BILL_CHECKS: Final = [
    fact_check(
        "evaluation_episodes",
        "bills_add_up",
        bills_add_up,
        description="By service and by purchase, the parts of every bill add up to it.",
    ),
]
