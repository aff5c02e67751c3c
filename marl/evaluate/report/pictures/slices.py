"""Pictures of what a policy decides: decision boundaries, and how they came about in training."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from marl.evaluate.report.drawing import INK, PALETTE, WIDTH, Picture, new_figure, to_svg
from marl.evaluate.slices import Slice

_LEVELS: Final = 12
_FLAT: Final = 1e-3  # of a knob's range: less than that is no boundary
_PALE: Final = "#e9e9e6"


def _colours() -> Any:
    """Blue below the rule, vermilion above it, pale at it."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("rule", [PALETTE[0], _PALE, PALETTE[5]])


def _reach(one: Slice) -> float:
    """The largest distance of the knob from the rule in any stage; colours go so far."""
    width = one.high - one.low
    far = max(float(np.abs(values - one.rule).max()) for values in one.stages.values())
    return max(far, _FLAT * width)


def _fill(axis: Any, one: Slice, stage: str) -> Any:
    """Colour a panel by the knob's value, with the line at which it is the rule's."""
    from matplotlib.colors import CenteredNorm

    values = one.stages[stage]
    # A flat panel still has one colour: its levels lie a hair apart.
    hair = _FLAT * (one.high - one.low)
    levels = np.linspace(values.min() - hair, values.max() + hair, _LEVELS)
    norm = CenteredNorm(one.rule, _reach(one))
    filled = axis.contourf(one.x, one.y, values, levels=levels, cmap=_colours(), norm=norm)
    if values.min() < one.rule - hair and values.max() > one.rule + hair:
        axis.contour(one.x, one.y, values, levels=[one.rule], colors="black", linewidths=1.2)
    axis.plot(*one.at, "+", color="black", markersize=9)
    axis.grid(visible=False)
    return filled


def _words(field: str) -> str:
    return field.replace("_", " ")


def draw_boundaries(slices: Sequence[Slice], content: Mapping[str, Any]) -> Picture:
    """A panel an agent: its most telling knob over the two inputs that move it most."""
    figure, axes = new_figure(WIDTH, 3.1 * ((len(slices) + 1) // 2), (len(slices) + 1) // 2, 2)
    for axis, one in zip(axes.flat, slices, strict=False):
        stage = list(one.stages)[-1]
        filled = _fill(axis, one, stage)
        bar = figure.colorbar(filled, ax=axis, format="%.2f", shrink=0.9)
        bar.ax.axhline(one.rule, color="black", linewidth=1.2)
        bar.ax.tick_params(colors=INK, labelsize=8)
        bar.outline.set_visible(False)
        axis.set_title(f"{one.agent}: {_words(one.knob)}", fontsize=9)
        axis.set_xlabel(_words(one.x_field), fontsize=8)
        axis.set_ylabel(_words(one.y_field), fontsize=8)
    for axis in axes.flat[len(slices) :]:
        axis.set_axis_off()
    return Picture(
        "boundaries",
        f"What {slices[0].policy} decides: each agent's most telling knob over the two inputs that "
        "move it most (pale and black line: the tuned rule's value; blue below, red above; "
        "+: the median)",
        " ".join(_told(one) for one in slices),
        to_svg(figure),
        content["sources"]["slices"],
    )


def _told(one: Slice) -> str:
    last = list(one.stages.values())[-1]
    effects = ", ".join(f"{_words(field)} by {effect:.3g}" for field, effect in one.inputs[:3])
    return (
        f"{one.agent}: {_words(one.knob)} ({one.unit}) lies between {last.min():.3g} and "
        f"{last.max():.3g}, the rule's is {one.rule:.3g}; inputs that move it most: {effects}."
    )


def draw_evolution(slices: Sequence[Slice], content: Mapping[str, Any]) -> Picture:
    """The same slices at stages of training, an agent a row."""
    stages = list(slices[0].stages)
    figure, axes = new_figure(
        WIDTH, 0.4 + 1.6 * len(slices), len(slices), len(stages), sharex="row", sharey="row"
    )
    for row, one in zip(axes, slices, strict=True):
        for axis, stage in zip(row, stages, strict=True):
            _fill(axis, one, stage)
            axis.tick_params(labelsize=7)
        row[0].set_ylabel(f"{one.agent}\n{_words(one.knob)}", fontsize=8)
    for axis, stage in zip(axes[0], stages, strict=True):
        axis.set_title(stage, color=INK)
    told = " ".join(
        f"{one.agent}, {_words(one.knob)}: "
        + "; ".join(f"{stage} {v.min():.3g} to {v.max():.3g}" for stage, v in one.stages.items())
        + "."
        for one in slices
    )
    return Picture(
        "evolution",
        f"How {slices[0].policy} came to decide so: the same slices through training (the best "
        "policy so far; axes and colours as above)",
        told,
        to_svg(figure),
        content["sources"]["slices"],
    )
