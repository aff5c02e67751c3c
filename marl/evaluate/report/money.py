"""Where money, service and carbon go: cost by service and purchase type, and what trades off."""

from typing import Any, Final

import numpy as np

from marl.evaluate.report.groups import Cast
from marl.evaluate.report.inputs import Numbers
from marl.evaluate.report.metrics import SERVICES

# The bill cut by how capacity is bought (docs/simulator.md); the parts add up to `cost_usd`.
PURCHASES: Final = ("on_demand", "committed", "spot", "traffic")


def cost_by_service(numbers: Numbers, cast: Cast) -> list[dict[str, Any]]:
    """Per policy that played the main scenario: USD per episode of each service."""
    return [
        {
            "policy": policy,
            **{s: numbers.mean(numbers.main, policy, f"cost_{s}_usd") for s in SERVICES},
        }
        for policy in cast.policies
        if numbers.has_played(policy, numbers.main)
    ]


def cost_by_purchase(numbers: Numbers, cast: Cast) -> list[dict[str, Any]]:
    """Per policy: USD per episode bought on demand, committed, as spot VMs, and for traffic.

    On demand is all capacity that is neither spot nor committed, of every service. Empty where the
    episodes do not say (those of clouds other than this simulator's).
    """
    rows = []
    for policy in cast.policies:
        mean = {
            part: numbers.mean(numbers.main, policy, f"cost_{part}_usd")
            for part in ("capacity", "committed", "spot", "traffic")
        }
        if all(value is not None for value in mean.values()):
            capacity, committed, spot, traffic = (value or 0.0 for value in mean.values())
            parts = (capacity - committed - spot, committed, spot, traffic)
            rows.append({"policy": policy, **dict(zip(PURCHASES, parts, strict=True))})
    return rows


def trade_offs(numbers: Numbers, cast: Cast) -> list[dict[str, Any]]:
    """Cost, service level and carbon of every policy, and whether another beats it in all three."""
    rows: list[dict[str, Any]] = [
        {
            "policy": policy,
            "group": cast.group_of(policy),
            **{
                column: numbers.mean(numbers.main, policy, column)
                for column in ("cost_usd", "slo_attainment", "carbon_gco2")
            },
        }
        for policy in cast.policies
        if numbers.has_played(policy, numbers.main)
    ]
    points = np.array([[r["cost_usd"], -r["slo_attainment"], r["carbon_gco2"]] for r in rows])
    for row, is_kept in zip(rows, not_dominated(points), strict=True):
        row["is_efficient"] = bool(is_kept)
    return rows


def not_dominated(points: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, Any]":
    """(n,) bool: no other row of (n, k) is at most as large everywhere and smaller somewhere."""
    is_no_larger = (points[:, None] <= points[None]).all(-1)  # (i, j): i at most j everywhere
    is_smaller = (points[:, None] < points[None]).any(-1)
    return np.asarray(~(is_no_larger & is_smaller).any(0))
