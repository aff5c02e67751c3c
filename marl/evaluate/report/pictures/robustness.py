"""The picture of degradation: the objective as a perturbation grows, best learner and baseline."""

from collections.abc import Mapping
from typing import Any, Final

from marl.evaluate.report.drawing import (
    WIDTH,
    Picture,
    add_legend,
    colours_of,
    new_figure,
    to_svg,
)

_COLUMNS: Final = 2


def draw_degradation(content: Mapping[str, Any]) -> Picture:
    """A panel a perturbation: mean objective with its interval over severity, a line a policy."""
    rows = content["robustness"]
    colours = colours_of(list(dict.fromkeys(row["policy"] for row in rows)))
    kinds = list(dict.fromkeys(row["perturbation"] for row in rows))
    down = -(-len(kinds) // _COLUMNS)
    figure, axes = new_figure(WIDTH, 0.5 + 2.0 * down, down, _COLUMNS)
    told = []
    for axis, kind in zip(axes.flat, kinds, strict=False):
        part = [row for row in rows if row["perturbation"] == kind]
        for policy in dict.fromkeys(row["policy"] for row in part):
            line = [row for row in part if row["policy"] == policy]
            x = [row["severity"] for row in line]
            y = [row["reward"] for row in line]
            colour = colours[policy]
            axis.plot(x, y, "o-", color=colour, markersize=3, linewidth=1.4, label=policy)
            lo, hi = ([row[name] for row in line] for name in ("reward_lo", "reward_hi"))
            axis.fill_between(x, lo, hi, color=colour, alpha=0.15, linewidth=0)
            told.append(f"{kind}, {policy}: {y[0]:.4f} at {x[0]:g}, {y[-1]:.4f} at {x[-1]:g}")
        axis.set_title(kind.replace("_", " "), fontsize=9)
        axis.set_xlabel(part[0]["unit"], fontsize=8)
    for axis in axes.flat[len(kinds) :]:
        axis.set_axis_off()
    add_legend(axes[0, 0], fontsize=8)
    return Picture(
        "degradation",
        "The objective as perturbations grow (bands: 95 %)",
        f"{'; '.join(told)}.",
        to_svg(figure),
        content["sources"]["robustness"],
    )
