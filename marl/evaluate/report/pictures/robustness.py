"""Pictures of degradation: the objective as perturbations grow, and who is ahead."""

from collections.abc import Mapping
from typing import Any, Final

from marl.evaluate.report.drawing import (
    INK,
    WIDTH,
    Picture,
    colours_of,
    new_figure,
    to_svg,
)

_COLUMNS: Final = 2


def draw_degradation(content: Mapping[str, Any]) -> Picture:
    """A panel a perturbation: mean objective over severity, a line a policy.

    Without bands: those of means overlap, because episodes differ far more than policies do in the
    same episode; paired differences are `draw_lead`'s.
    """
    title = "The objective as perturbations grow"
    return _over_severity(content, "degradation", title, "reward", has_band=False)


def draw_lead(content: Mapping[str, Any]) -> Picture:
    """A panel a perturbation: paired difference to the best rule over severity, with intervals."""
    title = "Difference to the best rule in the same episodes (above the line: better; bands: 95 %)"
    return _over_severity(content, "lead", title, "difference", has_band=True)


def _over_severity(
    content: Mapping[str, Any], name: str, title: str, column: str, *, has_band: bool
) -> Picture:
    """A panel a perturbation, a line a policy that has the column; one legend above all."""
    rows = content["robustness"]
    colours = colours_of(list(dict.fromkeys(row["policy"] for row in rows)))
    kinds = list(dict.fromkeys(row["perturbation"] for row in rows))
    down = -(-len(kinds) // _COLUMNS)
    figure, axes = new_figure(WIDTH, 0.8 + 2.0 * down, down, _COLUMNS)
    handles: dict[str, Any] = {}
    told = []
    for axis, kind in zip(axes.flat, kinds, strict=False):
        part = [row for row in rows if row["perturbation"] == kind]
        for policy, colour in colours.items():
            line = [row for row in part if row["policy"] == policy and row[column] is not None]
            if not line:
                continue
            x, y = ([row[one] for row in line] for one in ("severity", column))
            (handles[policy],) = axis.plot(x, y, "o-", color=colour, markersize=3, linewidth=1.4)
            interval = ""
            if has_band:
                lo, hi = ([row[f"{column}_{end}"] for row in line] for end in ("lo", "hi"))
                axis.fill_between(x, lo, hi, color=colour, alpha=0.2, linewidth=0)
                interval = f" [{lo[-1]:+.4f}, {hi[-1]:+.4f}]"
            told.append(
                f"{kind}, {policy}: {y[0]:+.4f} at {x[0]:g}, {y[-1]:+.4f}{interval} at {x[-1]:g}"
            )
        if has_band:
            axis.axhline(0, color=INK, linewidth=1.0)
        axis.set_title(kind.replace("_", " "), fontsize=9)
        axis.set_xlabel(part[0]["unit"], fontsize=8)
    for axis in axes.flat[len(kinds) :]:
        axis.set_axis_off()
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper left", ncols=4, fontsize=8,
        labelcolor=INK, frameon=False,
    )  # fmt: skip
    words = f"{'; '.join(told)}."
    return Picture(name, title, words, to_svg(figure), content["sources"]["robustness"])
