"""The picture of learning: held-in gain over training, with intervals over seeds."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.report.drawing import (
    INK,
    WIDTH,
    Picture,
    add_legend,
    colours_of,
    new_figure,
    to_svg,
)
from marl.evaluate.report.inputs import ReportInputs

_STYLES: Final = ("-", "--", "-.", ":")
_COLOURS: Final = 6  # distinct ones before a line style is added
_Z: Final = 1.96
_MILLION: Final = 1e6


def draw_learning(inputs: ReportInputs, content: Mapping[str, Any]) -> Picture:
    """Gain over the rule on held-in episodes: a thin line a seed, the mean, its 95 % band.

    Calibration, many cheap steps without a gradient, is dotted and ends in a diamond.

    The band is a Student interval over training seeds; with a single seed it is that of the
    evaluation's episodes instead, and the title says so.
    """
    names = [n for n in content["policies"] if n in set(inputs.learning["policy"])]
    colours = colours_of([str(i) for i in range(_COLOURS)])
    figure, axes = new_figure(WIDTH, 3.4)
    axis, told = axes[0, 0], []
    for index, name in enumerate(names):
        colour, style = colours[str(index % _COLOURS)], _STYLES[index // _COLOURS % len(_STYLES)]
        rows = inputs.learning.filter(pl.col("policy") == name).sort("training_seed", "env_steps")
        seeds = [one for _, one in rows.group_by("training_seed", maintain_order=True)]
        is_lead = name in content["leads"]  # of many learners, bands of the few are enough
        for one in seeds if len(seeds) > 1 and is_lead else ():
            axis.plot(
                one["env_steps"] / _MILLION, one["gain"], color=colour, linewidth=0.6, alpha=0.5
            )
        steps, mean, half, trained = _band(rows)
        million = steps / _MILLION
        axis.plot(million[:trained], mean[:trained], style, color=colour, lw=1.8, label=name)
        if trained < len(steps):
            axis.plot(million[trained - 1 :], mean[trained - 1 :], ":", color=colour, lw=1.8)
            axis.plot(million[-1:], mean[-1:], "D", color=colour, markersize=5)
        if is_lead:
            axis.fill_between(
                million, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0
            )
        told.append(
            f"{name} from {mean[0]:+.4f} to {mean[trained - 1]:+.4f}"
            f"{f', calibrated {mean[-1]:+.4f}' if trained < len(steps) else ''}, "
            f"{len(seeds)} seed(s)"
        )
    axis.axhline(0, color=INK, linewidth=1)
    axis.set_xlabel("environment steps trained, millions")
    axis.set_ylabel(f"gain over {inputs.reference}, held-in")
    add_legend(axis, ncols=min(4, len(names)), loc="lower left", bbox_to_anchor=(0, 1.0))
    over = "training seeds" if content["counts"]["training_seeds"] > 1 else "episodes of one seed"
    return Picture(
        "learning",
        f"Learning curves; dotted, to a diamond: calibration (bands of the leading policies: 95 % "
        f"over {over})",
        f"{'; '.join(told)}.",
        to_svg(figure),
        content["sources"]["learning"],
    )


def _band(rows: pl.DataFrame) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int]:
    """Steps, mean gain, and half the width of its 95 % interval, at steps that all seeds have.

    Lastly how many of them are of training: a calibration's has the epoch of the one before.
    """
    from scipy.stats import t

    seeds = rows["training_seed"].n_unique()
    means = (
        rows.group_by("env_steps")
        .agg(
            pl.len().alias("seeds"),
            pl.col("epoch").max(),
            pl.col("gain").mean(),
            pl.col("gain").std().alias("spread"),
            pl.col("gain_se").mean(),
        )
        .filter(pl.col("seeds") == seeds)
        .sort("env_steps")
    )
    steps, mean = means["env_steps"].to_numpy(), means["gain"].to_numpy()
    trained = means["epoch"].n_unique()
    if seeds == 1:
        return steps, mean, _Z * means["gain_se"].to_numpy(), trained
    half = float(t.ppf(0.975, seeds - 1)) / np.sqrt(seeds) * means["spread"].to_numpy()
    return steps, mean, half, trained
