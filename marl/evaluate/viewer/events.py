"""What happened in an episode, as named spans of steps: weather's, the cloud's, the team's.

Read out of the weather and the figures, never out of a policy. Which lane of the page shows what is
`LANES`; drawing is `page`'s.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.cloud.config import CloudConfig
from marl.cloud.foresight import FORESIGHT
from marl.cloud.types import KINDS
from marl.cloud.weather import Weather

EVENT_SCHEMA: Final = {
    "origin": pl.String,  # weather, cloud, team
    "kind": pl.String,
    "text": pl.String,
    "start": pl.Int64,  # first step
    "end": pl.Int64,  # the step after the last
}
# kind → origin and name, in the order the page shows them.
LANES: Final = {
    "zone_outage": ("weather", "zone outage"),
    "stock_out": ("weather", "stock-out"),
    "spot_reclaim": ("weather", "spot reclaimed"),
    "price_shock": ("weather", "spot price shock"),
    "quota_cut": ("weather", "quota cut"),
    "disk_slow": ("weather", "slow disks"),
    "failover": ("weather", "database failover"),
    "launch": ("weather", "launch announced"),
    "preemption": ("cloud", "VMs preempted"),
    "vm_failure": ("cloud", "VMs failed"),
    "refusal": ("cloud", "orders refused"),
    "lost_requests": ("cloud", "requests lost"),
    "slo_miss": ("cloud", "service level below 99 %"),
    "over_budget": ("cloud", "over budget"),
    "commitment": ("team", "commitment bought"),
    "tier_change": ("team", "database tier"),
    "replica_change": ("team", "read replicas"),
    "standby_change": ("team", "standby"),
}
_SLO_SHARE: Final = 0.99  # a step below it is told as an event
_LOST: Final = 0.5  # requests of a step; less is rounding

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


class Event(NamedTuple):
    """A row of `EVENT_SCHEMA`."""

    origin: Literal["weather", "cloud", "team"]
    kind: str
    text: str
    start: int
    end: int


def spans(flags: Flags) -> Iterator[tuple[int, int]]:
    """(first, after the last) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    yield from ((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def events_of_weather(weather: Weather, row: int, config: CloudConfig) -> list[Event]:
    """What happened to cloud `row` whatever was done: outages, stock-outs, prices, launches ...

    Args:
        weather: of the episode.
        row: which cloud.
        config: of the cloud; says how large a price shock is.
    """
    steps = [weather.at(t) for t in range(len(weather))]

    def read(name: str) -> Values:
        return np.array([getattr(one, name)[..., row].tolist() for one in steps], np.float64)

    found: list[Event] = []

    def add(kind: str, flags: Flags, text: Callable[[slice], str]) -> None:
        found.extend(Event("weather", kind, text(slice(a, b)), a, b) for a, b in spans(flags))

    is_up, shocked, sold_out = read("is_up"), read("is_shocked"), read("is_sold_out")
    quota, disk_speed, failover = read("quota"), read("disk_speed"), read("failover")
    for zone in range(weather.zones):
        add("zone_outage", is_up[:, zone] < 1, _say(f"zone {zone} is down"))
        add("spot_reclaim", shocked[:, zone] > 0, _say(f"zone {zone} takes spot VMs back"))
        for k, kind in enumerate(KINDS):
            flags = sold_out[:, k * weather.zones + zone] > 0
            add("stock_out", flags, _say(f"no {kind} VMs in zone {zone}"))
    add("quota_cut", quota < 1, lambda at: f"{quota[at].min():.0%} of the quota is left")
    add(
        "disk_slow",
        disk_speed < 1,
        lambda at: f"disks at {disk_speed[at].min():.0%} of their speed",
    )
    add("failover", failover > 0, _say("the database primary fails"))
    ratio = read("spot_ratio")
    is_dear = price_shocks(ratio, config.price_shock_factor)
    add(
        "price_shock",
        is_dear,
        lambda at: f"spot at {ratio[at, 0].max():.0%} of the on-demand price",
    )
    told = weather.told[: len(weather), :, row].cpu().numpy()
    ahead = told[:, FORESIGHT.index("announced_hour")].astype(np.float64)
    add("launch", ahead > 0, lambda at: f"up to {1 + ahead[at].max():.2g} times the web traffic")
    return found


def price_shocks(ratio: Values, factor: float) -> Flags:
    """(T,) whether the spot price is raised by a shock, from prices (T, M) of the kinds.

    A shock multiplies every kind's price by `factor` at once, less where that would pass on-demand;
    between shocks prices move a little, at midnight. A jump of more than half the shock, in
    logarithms, is therefore a shock's begin or end.
    """
    threshold = 0.5 * math.log(factor)
    if threshold <= 0:
        return np.zeros(len(ratio), np.bool_)
    moves = np.diff(np.log(ratio), axis=0)
    jumps = np.take_along_axis(moves, np.abs(moves).argmax(1)[:, None], 1)[:, 0]
    edges = [(t + 1, jump > 0) for t, jump in enumerate(jumps) if abs(jump) > threshold]
    flags = np.zeros(len(ratio), np.bool_)
    is_on = bool(edges) and not edges[0][1]  # the first edge is an end: it was dear from the start
    start = 0
    for at, is_rise in [*edges, (len(ratio), not is_on)]:
        flags[start:at] = is_on
        start, is_on = at, is_rise
    return flags


def events_of_steps(steps: pl.DataFrame) -> list[Event]:
    """What came of it and what the team changed, from the figures of an episode."""

    def read(name: str) -> Values:
        return steps[name].to_numpy().astype(np.float64)

    found: list[Event] = []

    def counted(kind: str, values: Values, least: float, unit: str) -> None:
        found.extend(
            Event("cloud", kind, f"{values[a:b].sum():,.0f} {unit}", a, b)
            for a, b in spans(values > least)
        )

    counted("preemption", read("preemptions"), 0, "spot VMs lost")
    counted("vm_failure", read("failures"), 0, "VMs failed")
    counted("refusal", read("refusals"), 0, "VMs refused, summed over attempts")
    counted("lost_requests", read("dropped"), _LOST, "requests timed out")
    slo, over = read("slo_attainment"), read("over_budget")
    found += [
        Event("cloud", "slo_miss", f"down to {slo[a:b].min():.1%} in time", a, b)
        for a, b in spans(slo < _SLO_SHARE)
    ]
    found += [
        Event("cloud", "over_budget", f"up to {over[a:b].max():.1%} above the budget to date", a, b)
        for a, b in spans(over > 0)
    ]
    changes: Sequence[tuple[str, str, str]] = (
        ("commitment", "committed_1y", "VMs committed for one year"),
        ("commitment", "committed_3y", "VMs committed for three years"),
        ("tier_change", "units_tier", "steps of 2 vCPU"),
        ("replica_change", "units_replica", "read replicas"),
        ("standby_change", "has_ha", "standby (1 is there)"),
    )
    for kind, name, unit in changes:
        values = read(name)
        for at in np.flatnonzero(np.diff(values)) + 1:
            text = f"{values[at - 1]:g} → {values[at]:g} {unit}"
            found.append(Event("team", kind, text, int(at), int(at) + 1))
    return found


def _say(text: str) -> Callable[[slice], str]:
    return lambda _: text
