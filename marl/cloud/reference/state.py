"""State and weather of one cloud as plain Python numbers, for the slow reference.

How they change is `capacity` (machines), `serving` (work) and
`accounts` (money, grams, rewards); `reference` joins them.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from marl.cloud.dynamics import Cloud
from marl.cloud.types import (
    AGE_GROUPS,
    DELAY_SLOTS,
    KINDS,
    LOADS,
    POOLS,
    PURCHASES,
    CloudState,
    WeatherStep,
)
from marl.workload.demand import CLASSES

Cell = tuple[str, str, int]  # purchase, kind of machine, zone
Spot = tuple[str, int]  # kind of machine, zone


@dataclass
class LocalWeather:
    """One cloud's weather of one step; see `WeatherStep`."""

    work: dict[str, list[float]]  # by class: five resources and web requests a second
    stored_gib: float
    due: list[float]
    due_now: list[float]
    spot_ratio: dict[str, float]
    is_shocked: list[bool]
    is_sold_out: dict[Spot, bool]
    is_up: list[bool]
    quota: float
    delay: dict[str, int]
    failover: float
    disk_speed: float
    loss_draw: float
    is_new_hour: bool
    is_review: bool

    @classmethod
    def of(cls, weather: WeatherStep, index: int) -> "LocalWeather":
        """The weather of cloud number `index`."""

        def rows(values: Tensor) -> Any:
            return values[..., index].tolist()

        zones = len(weather.is_up)
        sold_out = rows(weather.is_sold_out)
        delays = (int(steps) for steps in rows(weather.delay))
        return cls(
            work=dict(zip(CLASSES, rows(weather.work), strict=True)),
            stored_gib=rows(weather.stored_gib),
            due=rows(weather.due),
            due_now=rows(weather.due_now),
            spot_ratio=dict(zip(KINDS, rows(weather.spot_ratio), strict=True)),
            is_shocked=[value == 1 for value in rows(weather.is_shocked)],
            is_sold_out={
                (kind, z): sold_out[m * zones + z] == 1
                for m, kind in enumerate(KINDS)
                for z in range(zones)
            },
            is_up=[value == 1 for value in rows(weather.is_up)],
            quota=rows(weather.quota),
            delay=dict(zip(("vm", "gpu", "database", "redis"), delays, strict=True)),
            failover=rows(weather.failover),
            disk_speed=rows(weather.disk_speed),
            loss_draw=rows(weather.loss_draw),
            is_new_hour=rows(weather.is_new_hour) == 1,
            is_review=rows(weather.is_review) == 1,
        )


@dataclass
class LocalState:
    """One cloud between two steps; see `CloudState`. Orders are (step they arrive in, what, units).

    Attributes:
        cloud: what stays fixed.
        time: the step that comes next.
    """

    cloud: Cloud
    vms: dict[Cell, float]
    ages: dict[Spot, list[float]]
    refused: dict[Cell, float]
    vm_orders: list[tuple[int, Cell, float]]
    pools: dict[str, float]
    pool_orders: list[tuple[int, str, float]]
    committed: list[float]
    has_ha: float
    cdn: float
    colder: list[float]
    hyperdisk_wait: float
    backlog: dict[str, list[float]]
    served: list[float]
    retries: float
    loads: list[dict[str, float]]  # newest first
    stored_gib: float
    spent_usd: float
    elapsed: float
    measured: list[float]
    time: int = 0

    @property
    def cells(self) -> list[Cell]:
        """Every cell of VMs, in the order machines are counted out."""
        zones = range(self.cloud.params.config.zones)
        return [(p, k, z) for p in PURCHASES for k in KINDS for z in zones]

    @classmethod
    def of(cls, cloud: Cloud, state: CloudState, index: int) -> "LocalState":
        """Cloud number `index` of a batch."""

        def rows(name: str) -> Any:
            return getattr(state, name)[..., index].tolist()

        zones = cloud.params.config.zones
        cells = [(p, k, z) for p in PURCHASES for k in KINDS for z in range(zones)]
        spots = [(k, z) for k in KINDS for z in range(zones)]
        ages = rows("ages")
        return cls(
            cloud=cloud,
            vms=dict(zip(cells, rows("vms"), strict=True)),
            ages={spot: [group[n] for group in ages] for n, spot in enumerate(spots)},
            refused=dict(zip(cells, rows("refused"), strict=True)),
            vm_orders=[
                (slot, cell, units)
                for slot, row in enumerate(rows("pending_vms"))
                for cell, units in zip(cells, row, strict=True)
                if units
            ],
            pools=dict(zip(POOLS, rows("pools"), strict=True)),
            pool_orders=[
                (slot, pool, units)
                for slot, row in enumerate(rows("pending_pools"))
                for pool, units in zip(POOLS, row, strict=True)
                if units
            ],
            committed=rows("committed"),
            has_ha=rows("has_ha"),
            cdn=rows("cdn"),
            colder=rows("colder"),
            hyperdisk_wait=rows("hyperdisk_wait"),
            backlog=dict(zip(CLASSES, rows("backlog"), strict=True)),
            served=rows("served"),
            retries=rows("retries"),
            loads=[dict(zip(LOADS, row, strict=True)) for row in rows("loads")],
            stored_gib=rows("stored_gib"),
            spent_usd=rows("spent_usd"),
            elapsed=rows("elapsed"),
            measured=rows("measured"),
        )

    def flat(self) -> dict[str, list[float]]:
        """Every field of `CloudState` as one list, rows in its order."""
        spots = [cell[1:] for cell in self.cells[: len(self.cells) // 2]]

        def pending(orders: list[Any], things: Any) -> list[float]:
            return [
                sum(n for due, what, n in orders if due == self.time + slot and what == thing)
                for slot in range(DELAY_SLOTS)
                for thing in things
            ]

        return {
            "vms": [self.vms[cell] for cell in self.cells],
            "ages": [self.ages[spot][a] for a in range(AGE_GROUPS) for spot in spots],
            "refused": [self.refused[cell] for cell in self.cells],
            "pending_vms": pending(self.vm_orders, self.cells),
            "pools": [self.pools[pool] for pool in POOLS],
            "pending_pools": pending(self.pool_orders, POOLS),
            "committed": self.committed,
            "has_ha": [self.has_ha],
            "cdn": [self.cdn],
            "colder": self.colder,
            "hyperdisk_wait": [self.hyperdisk_wait],
            "backlog": [value for name in CLASSES for value in self.backlog[name]],
            "served": self.served,
            "retries": [self.retries],
            "loads": [row[name] for row in self.loads for name in LOADS],
            "stored_gib": [self.stored_gib],
            "spent_usd": [self.spent_usd],
            "elapsed": [self.elapsed],
            "measured": self.measured,
        }


@dataclass
class Machines:
    """What the cloud has in one step after arrivals, orders and losses."""

    serving: dict[tuple[str, str], float]  # VMs in zones that are up, by purchase and kind
    vcpu_by_zone: list[float]
    memory_gib: float
    gpu_vms: float
    lost: float
    preempted: float
    refusals: float
    changes: float = 0.0
    is_restarting: bool = False


def numbers(tensor: Tensor) -> list[float]:
    """The values of a tensor of unit prices or scales, one after the other."""
    values: list[float] = tensor.flatten().tolist()
    return values
