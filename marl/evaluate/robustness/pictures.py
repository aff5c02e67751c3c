"""Pictures of robustness: degradation over severity, and how long recovery takes.

What a report does with them belongs to `marl.evaluate.report`.
"""

from typing import Final

import polars as pl

from marl.evaluate.report.drawing import (
    WIDTH,
    Picture,
    add_legend,
    colours_of,
    new_figure,
    to_svg,
)
from marl.evaluate.report.pictures.robustness import draw_degradation

SOURCE: Final = "python -m marl.evaluate.robustness"
_STEP_MIN: Final = 5.0


def degradation(frame: pl.DataFrame) -> Picture:
    """Reward over severity, a panel a perturbation and a line a policy, with 95 % bands.

    Args:
        frame: of `robustness_frame`.
    """
    return draw_degradation({"robustness": frame.to_dicts(), "sources": {"robustness": SOURCE}})


def recovery(frame: pl.DataFrame) -> Picture:
    """Mean minutes from a disturbance's end until the service level is the twin's again.

    Args:
        frame: of `robustness_frame`.

    Raises:
        ValueError: nothing in it passes.
    """
    rows = frame.filter(pl.col("recovery_steps").is_not_null())
    if not rows.height:
        raise ValueError("no disturbance that passes: there is no recovery to show")
    colours = colours_of(rows["policy"].unique(maintain_order=True).to_list())
    cells = list(
        dict.fromkeys(rows.select("perturbation", "severity", "unit").iter_rows())  # in order
    )
    figure, axes = new_figure(WIDTH, 0.9 + 0.3 * len(cells))
    axis, told = axes[0, 0], []
    for policy, colour in colours.items():
        own = rows.filter(pl.col("policy") == policy)
        minutes = {
            (name, severity, unit): _STEP_MIN * steps
            for name, severity, unit, steps in own.select(
                "perturbation", "severity", "unit", "recovery_steps"
            ).iter_rows()
        }
        heights = [y for y, cell in enumerate(reversed(cells)) if cell in minutes]
        widths = [minutes[cell] for cell in reversed(cells) if cell in minutes]
        axis.plot(widths, heights, "o", color=colour, label=policy)
        told += [f"{n} {s:g} {u}, {policy}: {m:.0f} min" for (n, s, u), m in minutes.items()]
    axis.set_yticks(range(len(cells)), [f"{n} · {s:g} {u}" for n, s, u in reversed(cells)])
    axis.set_xlabel("minutes after its end (left is better)")
    axis.set_xlim(left=0)
    add_legend(axis, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return Picture(
        "recovery",
        "How long until the service is as it would have been",
        f"{'; '.join(told)}.",
        to_svg(figure),
        SOURCE,
    )
