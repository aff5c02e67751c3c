"""Robustness in words: a Markdown table, and which policy suffers where."""

from typing import Any

import polars as pl


def markdown(frame: pl.DataFrame, best: str) -> str:
    """A row for each perturbation and severity: every policy's reward, and what it is worth.

    Args:
        frame: of `robustness_frame`.
        best: the best baseline.
    """
    policies = frame["policy"].unique(maintain_order=True).to_list()
    names = [best, *(name for name in policies if name != best)]
    heads = [f"{best} (worst 5 %)", *(f"{name} − {best} [95 %]" for name in names[1:])]
    passes = frame["recovery_steps"].is_not_null().any()
    heads += ["recovery, min: " + " / ".join(names)] if passes else []
    lines = ["| perturbation | severity | " + " | ".join(heads) + " |"]
    lines.append("|---" * (2 + len(heads)) + "|")
    for cell in _cells(frame):
        first = next(iter(cell.values()))
        row = [first["perturbation"], f"{first['severity']:g} {first['unit']}"]
        row.append(f"{cell[best]['reward']:+.4f} ({cell[best]['worst']:+.3f})")
        row += [_difference(cell[name]) for name in names[1:]]
        if passes:
            times = [cell[name]["recovery_steps"] for name in names]
            row.append("" if times[0] is None else " / ".join(f"{5 * t:.0f}" for t in times))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def findings(frame: pl.DataFrame, best: str) -> list[str]:
    """Sentences: what costs each policy most, and where it is no longer better than the baseline.

    Args:
        frame: of `robustness_frame`.
        best: the best baseline.
    """
    told = [f"The best baseline, by its unperturbed reward, is {best}."]
    for (policy,), part in frame.group_by("policy", maintain_order=True):
        plain = part.filter(pl.col("severity") == 0)["reward"]
        changed = part.filter(pl.col("severity") > 0)
        if not changed.height:
            continue
        losses = changed.with_columns(loss=plain[0] - pl.col("reward")).sort(
            "loss", descending=True
        )
        worst = losses.unique("perturbation", keep="first", maintain_order=True).head(3)
        text = f"{policy} loses most to " + ", ".join(
            f"{row['perturbation']} {row['severity']:g} ({-row['loss']:+.4f})"
            for row in worst.iter_rows(named=True)
        )
        told.append(text + "." + ("" if policy == best else _against(changed, best)))
    return told


def _against(changed: pl.DataFrame, best: str) -> str:
    significant = pl.col("is_significant")
    groups = {
        "better": changed.filter(significant & (pl.col("difference") > 0)).height,
        "worse": changed.filter(significant & (pl.col("difference") < 0)).height,
    }
    text = (
        f" Against {best} it is significantly better in {groups['better']} of {changed.height} "
        f"cells, worse in {groups['worse']}"
    )
    where = changed.filter(significant & (pl.col("difference") < 0))
    if where.height:
        text += ": " + ", ".join(
            f"{row['perturbation']} {row['severity']:g} ({row['difference']:+.4f})"
            for row in where.iter_rows(named=True)
        )
    return text + "."


def _cells(frame: pl.DataFrame) -> list[dict[str, dict[str, Any]]]:
    """Policy → row for each perturbation and severity; the unperturbed one once."""
    cells: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        key = ("", 0.0) if row["severity"] == 0 else (row["perturbation"], row["severity"])
        told = row if row["severity"] > 0 else {**row, "perturbation": "none", "unit": ""}
        cells.setdefault(key, {}).setdefault(row["policy"], told)
    return list(cells.values())


def _difference(row: dict[str, Any]) -> str:
    note = "" if row["is_significant"] else ", n. s."
    interval = f"[{row['difference_lo']:+.4f}, {row['difference_hi']:+.4f}]"
    return f"{row['difference']:+.4f} {interval}{note}"
