"""Pictures of degradation: the objective as perturbations grow, and who is ahead."""

from collections.abc import Callable, Mapping
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
_Row = Mapping[str, Any]


def draw_degradation(content: Mapping[str, Any]) -> Picture:
    """A panel a perturbation: mean objective over severity, a line a policy.

    Without bands: those of means overlap, because episodes differ far more than policies do in the
    same episode; paired differences are `draw_lead`'s.
    """
    told = []

    def draw(axis: Any, line: list[_Row], colour: str) -> None:
        x, y = _over_severity(line, "reward")
        axis.plot(x, y, "o-", color=colour, markersize=3, linewidth=1.4, label=line[0]["policy"])
        told.append(
            f"{line[0]['perturbation']}, {line[0]['policy']}: {y[0]:.4f} at {x[0]:g}, {y[-1]:.4f} "
            f"at {x[-1]:g}"
        )

    svg = _panels(content["robustness"], draw)
    return Picture(
        "degradation",
        "The objective as perturbations grow",
        f"{'; '.join(told)}.",
        svg,
        content["sources"]["robustness"],
    )


def draw_lead(content: Mapping[str, Any]) -> Picture:
    """A panel a perturbation: paired difference to the best rule over severity, with intervals."""
    told = []

    def draw(axis: Any, line: list[_Row], colour: str) -> None:
        compared = [row for row in line if row["difference"] is not None]
        if not compared:
            return
        x, y = _over_severity(compared, "difference")
        axis.plot(x, y, "o-", color=colour, markersize=3, linewidth=1.4, label=line[0]["policy"])
        lo, hi = ([row[name] for row in compared] for name in ("difference_lo", "difference_hi"))
        axis.fill_between(x, lo, hi, color=colour, alpha=0.2, linewidth=0)
        axis.axhline(0, color=INK, linewidth=1.0)
        told.append(
            f"{line[0]['perturbation']}, {line[0]['policy']}: {y[0]:+.4f} at {x[0]:g}, "
            f"{y[-1]:+.4f} [{lo[-1]:+.4f}, {hi[-1]:+.4f}] at {x[-1]:g}"
        )

    svg = _panels(content["robustness"], draw)
    return Picture(
        "lead",
        "Difference to the best rule in the same episodes (above the line: better; bands: 95 %)",
        f"{'; '.join(told)}.",
        svg,
        content["sources"]["robustness"],
    )


def _over_severity(line: list[_Row], column: str) -> tuple[list[float], list[float]]:
    return [row["severity"] for row in line], [row[column] for row in line]


def _panels(rows: list[_Row], draw: Callable[[Any, list[_Row], str], None]) -> str:
    """A panel a perturbation, in it what `draw` draws for each policy; one legend above all."""
    colours = colours_of(list(dict.fromkeys(row["policy"] for row in rows)))
    kinds = list(dict.fromkeys(row["perturbation"] for row in rows))
    down = -(-len(kinds) // _COLUMNS)
    figure, axes = new_figure(WIDTH, 0.8 + 2.0 * down, down, _COLUMNS)
    handles: dict[str, Any] = {}
    for axis, kind in zip(axes.flat, kinds, strict=False):
        part = [row for row in rows if row["perturbation"] == kind]
        for policy in dict.fromkeys(row["policy"] for row in part):
            draw(axis, [row for row in part if row["policy"] == policy], colours[policy])
        axis.set_title(kind.replace("_", " "), fontsize=9)
        axis.set_xlabel(part[0]["unit"], fontsize=8)
        handles |= {
            line.get_label(): line for line in axis.get_lines() if line.get_label() in colours
        }
    for axis in axes.flat[len(kinds) :]:
        axis.set_axis_off()
    figure.legend(
        list(handles.values()), list(handles), loc="outside upper left", ncols=4, fontsize=8,
        labelcolor=INK, frameon=False,
    )  # fmt: skip
    return to_svg(figure)
