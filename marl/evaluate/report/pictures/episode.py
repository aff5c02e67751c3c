"""Pictures of one held-out episode: the best learner beside the baselines, in the same weather."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from marl.evaluate.report.drawing import INK, WIDTH, Picture, add_legend, new_figure, to_svg
from marl.evaluate.report.inputs import ReportInputs
from marl.evaluate.report.metrics import SERVICES
from marl.evaluate.report.pictures.outcome import lead_colours

_UNITS: Final = {"compute": "vCPU", "storage": "IOPS", "network": "Gbit/s", "database": "vCPU"}
_STEPS_PER_H: Final = 12.0  # a step is five minutes
_PANELS: Final = (
    ("latency_p95_ms", "latency p95, ms"),
    ("slo_attainment", "service level"),
    ("cost_usd", "cost so far, USD"),
)


def _shown(inputs: ReportInputs, content: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """The best learner, the reference and the strongest rule, of those that are told."""
    wanted = (content["best_policy"], content["reference"], content["best_baseline"])
    names = [name for name in dict.fromkeys(wanted) if name in inputs.trajectories]
    return {name: inputs.trajectories[name] for name in names or sorted(inputs.trajectories)[:3]}


def draw_capacity(inputs: ReportInputs, content: Mapping[str, Any]) -> Picture:
    """Demand and each policy's capacity over one episode, a panel per service."""
    told, colours = _shown(inputs, content), lead_colours(content)
    figure, axes = new_figure(WIDTH, 6.4, rows=4)
    for axis, service in zip(axes[:, 0], SERVICES, strict=True):
        for index, (policy, steps) in enumerate(told.items()):
            hours = steps["step"].to_numpy() / _STEPS_PER_H
            if index == 0:
                demand = steps[f"demand_{service}"]
                axis.fill_between(hours, demand, color=INK, alpha=0.3, label="demand", linewidth=0)
            axis.step(
                hours, steps[f"capacity_{service}"], where="post",
                color=colours[policy], linewidth=1.4, label=policy,
            )  # fmt: skip
        axis.set_ylabel(f"{service}\n{_UNITS[service]}")
        axis.set_ylim(bottom=0)
    add_legend(axes[0, 0], ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    axes[-1, 0].set_xlabel("hours into the episode")
    held = "; ".join(
        f"{policy} holds on average "
        + ", ".join(
            f"{float(steps[f'capacity_{s}'].mean()):.1f} {_UNITS[s]} of {s}"  # type: ignore[arg-type]
            for s in SERVICES
        )
        for policy, steps in told.items()
    )
    return Picture(
        "episode_capacity",
        "One held-out episode: what was asked for (before caches and retries), and what each "
        "policy held ready",
        f"{held}.",
        to_svg(figure),
        content["sources"]["episode"],
    )


def draw_outcome(inputs: ReportInputs, content: Mapping[str, Any]) -> Picture:
    """Latency, service level and running cost over the same episode."""
    told, colours = _shown(inputs, content), lead_colours(content)
    figure, axes = new_figure(WIDTH, 5.0, rows=len(_PANELS))
    for policy, steps in told.items():
        hours = steps["step"].to_numpy() / _STEPS_PER_H
        for axis, (column, label) in zip(axes[:, 0], _PANELS, strict=True):
            values = steps[column].cum_sum() if column == "cost_usd" else steps[column]
            axis.plot(hours, values, color=colours[policy], linewidth=1.3, label=policy)
            axis.set_ylabel(label)
    add_legend(axes[0, 0], ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    axes[-1, 0].set_xlabel("hours into the episode")
    ends = "; ".join(f"{p} ends at {s['cost_usd'].sum():.2f} USD" for p, s in told.items())
    return Picture(
        "episode_outcome",
        "The same episode: what users felt and what it cost",
        f"{ends}.",
        to_svg(figure),
        content["sources"]["episode"],
    )
