"""Pictures of what a service level costs in money and carbon, and of what a bill is made of."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.frontier import efficient
from marl.evaluate.report.drawing import (
    INK,
    PALETTE,
    WIDTH,
    Picture,
    add_legend,
    new_figure,
    to_svg,
)
from marl.evaluate.report.inputs import ReportInputs
from marl.evaluate.report.metrics import SERVICES
from marl.evaluate.report.money import PURCHASES
from marl.evaluate.report.pictures.outcome import GROUP_MARKS, elsewhere, lead_colours

_AXES: Final = {
    "cost_usd": "cost, USD (left: better)",
    "slo_attainment": "service level, % (up: better)",
    "carbon_gco2": "carbon, gCO₂e (less is better)",
}
_PANELS: Final = (
    ("cost_usd", "slo_attainment"),
    ("cost_usd", "carbon_gco2"),
    ("carbon_gco2", "slo_attainment"),
)
_SCALE: Final = {"slo_attainment": 100.0}


def draw_trade_offs(inputs: ReportInputs, content: Mapping[str, Any]) -> Picture:
    """Cost, service level and carbon of every policy, two at a time; the rules' frontiers."""
    colours, rows = lead_colours(content), content["trade_offs"]
    drawn = [row for row in rows if row["policy"] not in content["far_off"]]
    lines = _frontier_lines(inputs, content["main_scenario"])
    figure, axes = new_figure(WIDTH, 7.6, rows=3)
    for axis, (x, y) in zip(axes[:, 0], _PANELS, strict=True):
        for row in drawn:
            name = row["policy"]
            is_lead = name in content["leads"]
            axis.scatter(
                row[x] * _SCALE.get(x, 1.0), row[y] * _SCALE.get(y, 1.0), zorder=3,
                color=colours[name], s=46 if is_lead else 18, marker=GROUP_MARKS[row["group"]],
                edgecolors=INK if row["is_efficient"] else "none", linewidths=1.2,
                label=name if is_lead else None,
            )  # fmt: skip
        axis.set_xlabel(_AXES[x])
        axis.set_ylabel(_AXES[y])
    for name, line in lines.items():
        axes[0, 0].plot(line[0], 100 * line[1], color=colours.get(name, INK), linewidth=1, zorder=2)
    if any(row["policy"] not in content["leads"] for row in drawn):
        axes[0, 0].scatter([], [], color=INK, s=18, label="others")
    add_legend(axes[0, 0], ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    told = "; ".join(
        f"{row['policy']}: {row['cost_usd']:.2f} USD, {row['slo_attainment']:.2%}, "
        f"{row['carbon_gco2']:.0f} gCO₂e"
        f"{', beaten by none in all three' if row['is_efficient'] else ''}"
        for row in rows
    )
    told += "".join(
        f". Frontier of {name}: "
        + ", ".join(f"{c:.2f} USD at {s:.2%}" for c, s in zip(*line, strict=True))
        for name, line in lines.items()
    )
    has_lines = "; lines: the tuned rules at other weights" if lines else ""
    return Picture(
        "trade_offs",
        "Cost, service level and carbon (outlined: no other policy is better in all three"
        f"{has_lines}{elsewhere(content)})",
        f"{told}.",
        to_svg(figure),
        content["sources"]["trade_off"],
    )


def _frontier_lines(inputs: ReportInputs, scenario: str) -> dict[str, NDArray[np.float64]]:
    """Baseline → (2, points) mean cost and service level of its frontier's efficient points."""
    if not inputs.frontier.height:
        return {}
    main = inputs.frontier.filter(pl.col("scenario") == scenario)
    means = main.group_by("family", "factor").agg(pl.col("cost_usd", "slo_attainment").mean())
    lines = {}
    for (family,), part in means.sort("family", "factor").group_by("family", maintain_order=True):
        cost, slo = part["cost_usd"].to_numpy(), part["slo_attainment"].to_numpy()
        lines[str(family)] = np.stack([cost, slo])[:, efficient(cost, slo)]
    return lines


def draw_bill(content: Mapping[str, Any]) -> Picture:
    """Stacked cost of every policy: by service, and by how it was bought."""
    cuts = [("by service", content["cost_by_service"], SERVICES)]
    if content["cost_by_purchase"]:
        cuts.append(("by purchase", content["cost_by_purchase"], PURCHASES))
    told = []
    figure, axes = new_figure(
        WIDTH, (1.1 + 0.27 * len(content["cost_by_service"])) * len(cuts), rows=len(cuts)
    )
    for axis, (title, rows, parts) in zip(axes[:, 0], cuts, strict=True):
        left = np.zeros(len(rows))
        for part, colour in zip(parts, PALETTE, strict=False):
            widths = np.array([row[part] or 0.0 for row in rows])
            label = part.replace("_", " ")
            axis.barh(range(len(rows)), widths, left=left, color=colour, label=label)
            left += widths
        axis.set_yticks(range(len(rows)), [row["policy"] for row in rows])
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xlabel(f"cost {title}, USD per episode")
        add_legend(axis, ncols=4, loc="lower right", bbox_to_anchor=(1, 1.0))
        told.append(
            f"{title.capitalize()}, USD per episode: "
            + "; ".join(
                f"{row['policy']}: "
                + ", ".join(f"{part.replace('_', ' ')} {row[part] or 0:.2f}" for part in parts)
                for row in rows
            )
        )
    return Picture(
        "bill",
        "What the bill is made of",
        f"{'. '.join(told)}.",
        to_svg(figure),
        "\n".join(content["sources"][f"cost_{title.replace(' ', '_')}"] for title, *_ in cuts),
    )
