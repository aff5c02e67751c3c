"""Fitted beside real, in pictures: over time, QQ, distribution, memory, daily cycle, lifetimes.

Draws what `evidence` holds and `goodness` found; the page around the pictures is `report`'s. Uses
matplotlib's objects, never its global state, so that pictures may be drawn anywhere.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from marl.workload.distances import kaplan_meier
from marl.workload.evidence import UNITS, MarkEvidence, SeriesEvidence
from marl.workload.goodness import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
REAL, FITTED, TRAIN = "#0072B2", "#D55E00", "#999999"  # Okabe & Ito: told apart by all eyes
_TITLES: Final = {
    "collection_arrivals": "collections submitted",
    "compute_vcpu": "compute demand",
    "memory_gib": "memory demand",
    "cpu_request_ncu": "CPU request",
    "memory_request_nmu": "memory request",
    "lifetime_s": "lifetime",
}
_STYLE: Final[Any] = {  # matplotlib types its keys as literals
    "svg.hashsalt": "stratoform",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
_HOUR_US: Final = 3_600_000_000


def render(figure: Figure, form: Literal["png", "svg"] = "png") -> bytes:
    """Bytes of a figure, the same for the same figure."""
    import matplotlib

    stream = io.BytesIO()
    unstamped: dict[str, Any] = {"Software": None} if form == "png" else {"Date": None}
    with matplotlib.rc_context(_STYLE):
        figure.savefig(stream, format=form, dpi=110, metadata=unstamped)
    return stream.getvalue()


def series_picture(one: SeriesEvidence, found: Comparison, is_synthetic: bool) -> Figure:
    """One series: over time above; QQ, distribution, autocorrelation and daily cycle below."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(13, 6.4))
        # Fixed margins: matplotlib's layout engines take longer than everything drawn here.
        grid = figure.add_gridspec(
            2, 4, left=0.05, right=0.985, top=0.93, bottom=0.075, hspace=0.32, wspace=0.26
        )
        _over_time(figure.add_subplot(grid[0, :]), one)
        _qq(figure.add_subplot(grid[1, 0]), found)
        _distribution(figure.add_subplot(grid[1, 1]), one.real, one.fitted.ravel(), found)
        _memory(figure.add_subplot(grid[1, 2]), found)
        _daily(figure.add_subplot(grid[1, 3]), found)
        figure.suptitle(_title(one.workload_class, one.quantity, is_synthetic, one.imputed_share))
    return figure


def marks_picture(marks: list[MarkEvidence], found: list[Comparison], is_synthetic: bool) -> Figure:
    """Requests and lifetimes of one class: distribution above, QQ below, a column each."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(13, 6.4))
        grid = {"left": 0.05, "right": 0.985, "top": 0.9, "bottom": 0.075, "hspace": 0.35}
        axes = figure.subplots(2, 3, squeeze=False, gridspec_kw=grid)
        for spare in axes[:, len(marks) :].ravel():
            spare.set_axis_off()
        for column, (one, compared) in enumerate(zip(marks, found, strict=True)):
            if one.is_censored.any():
                _survival(axes[0, column], one, compared)
            else:
                _distribution(axes[0, column], one.real, one.fitted, compared)
            axes[0, column].set_xscale("log")
            axes[0, column].set_title(_TITLES[one.quantity])
            _qq(axes[1, column], compared, is_log=True)
        figure.suptitle(
            _title(marks[0].workload_class, "requests and lifetimes", is_synthetic, 0.0)
        )
    return figure


def _title(name: str, quantity: str, is_synthetic: bool, imputed: float) -> str:
    title = f"{name}: {_TITLES.get(quantity, quantity)}, held-out stretch"
    title += f" — real values {imputed:.0%} imputed" if imputed else ""
    return title + (" — SYNTHETIC TRACE" if is_synthetic else "")


def _over_time(axes: Axes, one: SeriesEvidence) -> None:
    step = one.time_us[1] - one.time_us[0] if len(one.time_us) > 1 else _HOUR_US
    days = one.time_us / (24 * _HOUR_US)
    before = (one.time_us[0] - step * np.arange(len(one.train), 0, -1)) / (24 * _HOUR_US)
    low, high = np.quantile(one.fitted, [0.05, 0.95], axis=0)
    axes.plot(before, one.train, color=TRAIN, lw=0.6, label="real, training part")
    axes.fill_between(days, low, high, color=FITTED, alpha=0.25, lw=0, label="fitted, 5–95 %")
    axes.plot(days, one.real, color=REAL, lw=0.7, label="real, held out")
    axes.plot(days, one.fitted[0], color=FITTED, lw=0.6, alpha=0.9, label="fitted, one draw")
    axes.set(xlabel="days since trace start", ylabel=UNITS[one.quantity])
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.legend(ncols=4, loc="upper left")


def _qq(axes: Axes, found: Comparison, is_log: bool = False) -> None:
    pairs = np.array([[real, fitted] for _, real, fitted in found.qq]).reshape(-1, 2)
    if is_log:
        pairs = pairs[(pairs > 0).all(axis=1)]
        axes.set(xscale="log", yscale="log")
    if len(pairs):
        ends = [pairs.min(), pairs.max()]
        axes.plot(ends, ends, color="black", lw=0.8, alpha=0.6)
        axes.plot(pairs[:, 0], pairs[:, 1], "o", color=FITTED, ms=3.5)
    axes.set(title="QQ, 1–99 %", xlabel=f"real [{found.unit}]", ylabel=f"fitted [{found.unit}]")


def _distribution(axes: Axes, real: Floats, fitted: Floats, found: Comparison) -> None:
    for values, colour, label in ((fitted, FITTED, "fitted"), (real, REAL, "real")):
        ordered = np.sort(values)
        pick = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 1000)).astype(int))
        axes.step(ordered[pick], (pick + 1) / len(ordered), color=colour, lw=1.2, label=label)
    _label_distance(axes, found, "share of values below")


def _survival(axes: Axes, one: MarkEvidence, found: Comparison) -> None:
    times, survival = kaplan_meier(one.real, one.is_censored)
    ordered = np.sort(one.fitted)
    pick = np.unique(np.linspace(0, len(ordered) - 1, 1000).astype(int))
    axes.step(ordered[pick], 1 - (pick + 1) / len(ordered), color=FITTED, lw=1.2, label="fitted")
    axes.step(times, survival, color=REAL, lw=1.2, where="post", label="real (Kaplan–Meier)")
    _label_distance(axes, found, "share still alive")


def _label_distance(axes: Axes, found: Comparison, label: str) -> None:
    axes.set(
        title=f"KS {found.ks.distance:.3f} (critical {found.ks.critical:.3f})",
        xlabel=found.unit,
        ylabel=label,
        ylim=(-0.02, 1.02),
    )
    axes.legend(loc="best")


def _memory(axes: Axes, found: Comparison) -> None:
    rows = np.array([row for row in found.acf if row[0] <= 36]).reshape(-1, 3)
    if len(rows):
        axes.plot(rows[:, 0] * 5, rows[:, 2], color=FITTED, lw=1.2, marker=".", label="fitted")
        axes.plot(rows[:, 0] * 5, rows[:, 1], color=REAL, lw=1.2, marker=".", label="real")
        axes.legend(loc="best")
    axes.axhline(0, color="black", lw=0.6)
    axes.set(title="autocorrelation", xlabel="lag [min]", ylabel="correlation", ylim=(-0.4, 1.02))


def _daily(axes: Axes, found: Comparison) -> None:
    rows = np.array(found.daily).reshape(-1, 3)
    axes.plot(rows[:, 0], rows[:, 2], color=FITTED, lw=1.2, marker=".", label="fitted")
    axes.plot(rows[:, 0], rows[:, 1], color=REAL, lw=1.2, marker=".", label="real")
    axes.set(
        title="daily cycle", xlabel="hour of the trace's day", ylabel=found.unit, xlim=(-1, 24)
    )
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")
