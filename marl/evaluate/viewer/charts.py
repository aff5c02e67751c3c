"""Which charts the page has: titles, units, lines; and the series they need beyond the figures.

Data only, no layout: the browser draws (`templates/viewer.js.j2`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from marl.cloud.actions import knobs
from marl.cloud.types import KINDS, SERVICES
from marl.evaluate.viewer.record import Record
from marl.workload.demand import CLASSES


@dataclass(frozen=True)
class Line:
    """A series in a chart.

    Attributes:
        key: its name in `series_of`.
        label: in the legend.
        look: `line`, `area` (what was asked for) or `limit` (what should not be passed).
    """

    key: str
    label: str
    look: str = "line"


@dataclass(frozen=True)
class Chart:
    """One chart: everything it shows has the same unit and the same time axis."""

    key: str
    title: str
    unit: str
    group: str
    lines: tuple[Line, ...]
    is_log: bool = False


_UNITS: Final = {"compute": "vCPU", "storage": "IOPS", "network": "Gbit/s", "database": "vCPU"}


def charts(zones: int) -> tuple[Chart, ...]:
    """Every chart but the knobs', in the order of the page."""
    service = tuple(
        Chart(
            name,
            f"{name.capitalize()}: capacity against demand",
            unit,
            "Capacity",
            (
                Line(f"demand_{name}", "demand before caches", "area"),
                Line(f"capacity_{name}", "capacity"),
            ),
        )
        for name, unit in _UNITS.items()
    )
    by_zone = tuple(Line(f"vms_zone{zone}", f"zone {zone}") for zone in range(zones))
    by_kind = tuple(Line(f"vms_{kind}", kind) for kind in KINDS)
    by_cost = tuple(Line(f"usd_per_h_{name}", name) for name in SERVICES)
    by_class = tuple(Line(f"demand_{name}_vcpu", name) for name in CLASSES)
    return (
        *service,
        Chart("zones", "VMs by zone", "VMs", "Capacity", by_zone),
        Chart("kinds", "VMs by kind of machine", "VMs", "Capacity", by_kind),
        Chart(
            "purchases",
            "VMs by purchase",
            "VMs",
            "Capacity",
            (
                Line("vms_on_demand", "on demand"),
                Line("vms_spot", "spot"),
                Line("vms_committed", "under commitment"),
            ),
        ),
        Chart("classes", "Demand by class of work", "vCPU", "Capacity", by_class),
        Chart(
            "orders",
            "Orders: on their way, refused",
            "VMs",
            "Capacity",
            (
                Line("pending_vms", "pending"),
                Line("refusals", "refused"),
                Line("preemptions", "preempted"),
            ),
        ),
        Chart(
            "latency",
            "Latency of a web request",
            "ms, logarithmic",
            "Service",
            (
                Line("latency_p50_ms", "p50"),
                Line("latency_p95_ms", "p95"),
                Line("latency_p99_ms", "p99"),
                Line("slo_ms", "objective", "limit"),
            ),
            is_log=True,
        ),
        Chart(
            "service_level",
            "Work done in time",
            "% of what was due",
            "Service",
            (Line("in_time_percent", "in time"),),
        ),
        Chart(
            "lost",
            "Requests lost, and coming again",
            "1/s",
            "Service",
            (Line("lost_per_s", "lost"), Line("retries_per_s", "retried")),
        ),
        Chart(
            "backlog",
            "Work carried over",
            "vCPU × steps",
            "Service",
            tuple(Line(f"backlog_{name}", name) for name in CLASSES),
        ),
        Chart("cost", "Cost by service", "USD/h", "Cost and carbon", by_cost),
        Chart(
            "spent",
            "Cost so far",
            "USD",
            "Cost and carbon",
            (Line("spent_usd", "spent"), Line("budget_to_date_usd", "budget", "limit")),
        ),
        Chart(
            "spot_price",
            "Spot price of the general kind",
            "% of on demand",
            "Cost and carbon",
            (Line("spot_percent", "spot"),),
        ),
        Chart(
            "carbon", "Carbon", "kg CO2e/h", "Cost and carbon", (Line("kg_per_h", "all services"),)
        ),
        Chart(
            "reward",
            "Objectives, unweighted (0 is best)",
            "per step",
            "Cost and carbon",
            tuple(
                Line(f"reward_{name}", name)
                for name in ("cost", "performance", "reliability", "sustainability")
            ),
        ),
    )


def knob_table() -> list[dict[str, Any]]:
    """Every knob of every agent with its range, in the order of the actions."""
    return [
        {
            "agent": agent,
            "key": f"{agent}_{knob.name}",
            "label": knob.name.replace("_", " "),
            "unit": knob.unit,
            "low": knob.low,
            "high": knob.high,
        }
        for agent in SERVICES
        for knob in knobs(agent)
    ]


def series_of(record: Record) -> dict[str, list[float]]:
    """Everything the page can show, by name: the record's columns and what charts add to them."""
    steps, per_h = record.steps, 3600.0 / record.step_s
    column = pl.col
    derived: Mapping[str, pl.Expr] = {
        **{f"usd_per_h_{s}": column(f"cost_{s}_usd") * per_h for s in SERVICES},
        **{f"vms_{k}": column(f"vms_on_demand_{k}") + column(f"vms_spot_{k}") for k in KINDS},
        "vms_on_demand": pl.sum_horizontal(f"vms_on_demand_{kind}" for kind in KINDS),
        "vms_spot": pl.sum_horizontal(f"vms_spot_{kind}" for kind in KINDS),
        "vms_committed": column("committed_1y") + column("committed_3y"),
        "slo_ms": pl.lit(record.slo_ms),
        "in_time_percent": column("slo_attainment") * 100,
        "lost_per_s": column("dropped") / record.step_s,
        "retries_per_s": column("retries") / record.step_s,
        "spent_usd": column("cost_usd").cum_sum(),
        "budget_to_date_usd": (column("step") + 1) * record.budget_usd,
        "spot_percent": column("spot_ratio") * 100,
        "kg_per_h": column("carbon_gco2") * (per_h / 1000),
    }
    full = steps.with_columns(**derived).drop("step")
    return {name: full[name].cast(pl.Float64).to_list() for name in full.columns}


def as_json(chart: Chart) -> dict[str, Any]:
    """A chart as the browser reads it."""
    return asdict(chart)
