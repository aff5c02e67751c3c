"""The report's pictures, as SVG text with an alternative text each; readable on light and dark.

Matplotlib's object interface only: no global figure state. What is said in words is `content`'s.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.frontier import efficient
from marl.evaluate.report.content import ReportInputs
from marl.evaluate.report.metrics import SERVICES

# Okabe–Ito: told apart by colour-blind readers, and visible on white and on near-black.
PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
INK: Final = "#7a828c"  # mid grey: enough contrast on both backgrounds
_UNITS: Final = {"compute": "vCPU", "storage": "IOPS", "network": "Gbit/s", "database": "vCPU"}


@dataclass(frozen=True)
class Picture:
    """An inline SVG and what it shows, in words."""

    name: str
    title: str
    alt: str
    svg: str


# So far from the others that a picture with them shows nothing else; the words tell of them too.
_FAR_OFF: Final = ("static_peak", "random")
_ELSEWHERE: Final = f"{' and '.join(_FAR_OFF)}, far off, in words only"


def draw_all(inputs: ReportInputs, content: Mapping[str, Any]) -> list[Picture]:
    """Every picture the report has data for, in the order a reader meets them."""
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(content["policies"])}
    pictures = [
        _forest(content, colours),
        _cost_slo(inputs, content, colours),
        _cost_services(content),
    ]
    if inputs.learning.height:
        pictures.append(_learning(inputs, colours))
    if inputs.trajectories:
        pictures.append(_episode_capacity(inputs, colours))
        pictures.append(_episode_outcome(inputs, colours))
    return pictures


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.hashsalt": "stratoform",  # same data, same bytes
        "svg.fonttype": "path",
        "font.size": 9.0,
        **{key: INK for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")},
        "axes.edgecolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    figure.patch.set_alpha(0)
    for axis in axes.flat:
        axis.patch.set_alpha(0)
        axis.grid(visible=True, color=INK, alpha=0.25, linewidth=0.5)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "stratoform", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _legend(axis: Any, **kwargs: Any) -> None:
    axis.legend(labelcolor=INK, frameon=False, **kwargs)


def _forest(content: Mapping[str, Any], colours: Mapping[str, str]) -> Picture:
    """Difference of the objective to the reference, with intervals, per scenario and policy."""
    rows = [
        (row["scenario"], cell["policy"], cell)
        for row in content["by_scenario"]
        for cell in row["cells"]
        if cell["difference"] is not None
    ]
    drawn = [row for row in rows if row[1] not in _FAR_OFF]
    figure, axes = _figure(7.2, 0.9 + 0.26 * max(len(drawn), 1))
    axis = axes[0, 0]
    for y, (_, policy, cell) in enumerate(reversed(drawn)):
        axis.plot([cell["lo"], cell["hi"]], [y, y], color=colours[policy], linewidth=2)
        face = colours[policy] if cell["is_significant"] else "none"
        axis.plot(cell["difference"], y, "o", color=colours[policy], markerfacecolor=face)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(range(len(drawn)), [f"{s} · {p}" for s, p, _ in reversed(drawn)])
    axis.set_xlabel(
        f"difference of the composite objective to {content['reference']} (right is better)"
    )
    told = "; ".join(f"{p} in {s}: {c['interval']}" for s, p, c in rows)
    return Picture(
        "forest",
        f"How much better or worse, with 95 % intervals (hollow: not significant; {_ELSEWHERE})",
        f"Differences to {content['reference']}: {told}.",
        _svg(figure),
    )


def _cost_slo(
    inputs: ReportInputs, content: Mapping[str, Any], colours: Mapping[str, str]
) -> Picture:
    """Mean cost against mean service level of every policy, in the main scenario."""
    main = inputs.episodes.filter(pl.col("scenario") == content["main_scenario"])
    means = main.group_by("policy").agg(pl.col("cost_usd", "slo_attainment").mean()).sort("policy")
    figure, axes = _figure(7.2, 3.0)
    axis = axes[0, 0]
    for policy, cost, slo in means.filter(~pl.col("policy").is_in(_FAR_OFF)).iter_rows():
        axis.scatter(cost, 100 * slo, color=colours[policy], s=42, label=policy, zorder=3)
    for name, line in _frontier_lines(inputs, content["main_scenario"]).items():
        axis.plot(line[0], 100 * line[1], color=colours.get(name, INK), linewidth=1, zorder=2)
    axis.set_xlabel("cost, USD per episode (left is better)")
    axis.set_ylabel("service level attained, % (up is better)")
    _legend(axis)
    told = "; ".join(f"{p}: {c:.2f} USD, {s:.2%}" for p, c, s in means.iter_rows())
    told += "".join(
        f". Frontier of {name}: "
        + ", ".join(f"{c:.2f} USD at {s:.2%}" for c, s in zip(*line, strict=True))
        for name, line in _frontier_lines(inputs, content["main_scenario"]).items()
    )
    title = f"What a service level costs (lines: the tuned rules at other weights; {_ELSEWHERE})"
    return Picture("cost_slo", title, f"{told}.", _svg(figure))


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


def _cost_services(content: Mapping[str, Any]) -> Picture:
    """Stacked cost by service for each policy."""
    rows = content["cost_by_service"]
    figure, axes = _figure(7.2, 0.9 + 0.34 * len(rows))
    axis = axes[0, 0]
    left = np.zeros(len(rows))
    for service, colour in zip(SERVICES, PALETTE, strict=False):
        widths = np.array([row[service] or 0.0 for row in rows])
        axis.barh(range(len(rows)), widths, left=left, color=colour, label=service)
        left += widths
    axis.set_yticks(range(len(rows)), [row["policy"] for row in rows])
    axis.invert_yaxis()
    axis.set_xlabel("cost, USD per episode")
    _legend(axis, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    told = "; ".join(
        f"{row['policy']}: " + ", ".join(f"{s} {row[s] or 0:.2f}" for s in SERVICES) for row in rows
    )
    return Picture("cost_by_service", "Cost by service", f"USD per episode. {told}.", _svg(figure))


def _learning(inputs: ReportInputs, colours: Mapping[str, str]) -> Picture:
    """Held-in objective over training, a thin line per seed and a thick one for their mean."""
    figure, axes = _figure(7.2, 2.8)
    axis = axes[0, 0]
    names = inputs.learning["policy"].unique().sort().to_list()
    told = []
    for name in names:
        colour = colours[name]
        rows = inputs.learning.filter(pl.col("policy") == name)
        for seed in rows["training_seed"].unique().sort():
            one = rows.filter(pl.col("training_seed") == seed).sort("env_steps")
            axis.plot(one["env_steps"], one["reward"], color=colour, linewidth=0.7, alpha=0.6)
        mean = rows.group_by("env_steps").agg(pl.col("reward").mean()).sort("env_steps")
        axis.plot(mean["env_steps"], mean["reward"], color=colour, linewidth=2, label=name)
        told.append(f"{name} from {mean['reward'][0]:.4f} to {mean['reward'][-1]:.4f}")
    axis.set_xlabel("environment steps trained")
    axis.set_ylabel("objective, held-in evaluation")
    _legend(axis)
    return Picture("learning", "Learning curves", f"{'; '.join(told)}.", _svg(figure))


def _episode_capacity(inputs: ReportInputs, colours: Mapping[str, str]) -> Picture:
    """Demand and each policy's capacity over one episode, a panel per service."""
    figure, axes = _figure(7.2, 6.4, rows=4)
    for axis, service in zip(axes[:, 0], SERVICES, strict=True):
        for index, (policy, steps) in enumerate(sorted(inputs.trajectories.items())):
            hours = steps["step"].to_numpy() / 12.0  # 5-minute steps
            if index == 0:
                demand = steps[f"demand_{service}"]
                axis.fill_between(hours, demand, color=INK, alpha=0.3, label="demand", linewidth=0)
            axis.step(
                hours, steps[f"capacity_{service}"], where="post",
                color=colours[policy], linewidth=1.4, label=policy,
            )  # fmt: skip
        axis.set_ylabel(f"{service}\n{_UNITS[service]}")
        axis.set_ylim(bottom=0)
    _legend(axes[0, 0], ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    axes[-1, 0].set_xlabel("hours into the episode")
    return Picture(
        "episode_capacity",
        "One held-out episode: what was asked for, and what each policy held ready",
        f"Demand and capacity of {', '.join(SERVICES)} over one episode, for "
        f"{' and '.join(sorted(inputs.trajectories))}.",
        _svg(figure),
    )


def _episode_outcome(inputs: ReportInputs, colours: Mapping[str, str]) -> Picture:
    """Latency, service level and running cost over the same episode."""
    panels = (
        ("latency_p95_ms", "latency p95, ms"),
        ("slo_attainment", "service level"),
        ("cost_usd", "cost so far, USD"),
    )
    figure, axes = _figure(7.2, 4.8, rows=len(panels))
    for policy, steps in sorted(inputs.trajectories.items()):
        hours = steps["step"].to_numpy() / 12.0
        for axis, (column, label) in zip(axes[:, 0], panels, strict=True):
            values = steps[column].cum_sum() if column == "cost_usd" else steps[column]
            axis.plot(hours, values, color=colours[policy], linewidth=1.3, label=policy)
            axis.set_ylabel(label)
    _legend(axes[0, 0], ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    axes[-1, 0].set_xlabel("hours into the episode")
    told = "; ".join(
        f"{policy} ends at {steps['cost_usd'].sum():.2f} USD"
        for policy, steps in sorted(inputs.trajectories.items())
    )
    return Picture("episode_outcome", "The same episode: what users felt and what it cost", told,
                   _svg(figure))  # fmt: skip
