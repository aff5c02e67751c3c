"""Which scenarios there are: demand, events and trouble by name, from the easiest to the hardest.

Data only; how a scenario becomes a generator of demand belongs to `scenarios`. Rates of trouble are
chosen so that an episode of half a day meets it about once, far more often than it comes in
reality, for an agent that never sees an outage learns nothing about outages: all assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from marl.workload.events import (
    DEMAND_SPIKE,
    FLASH_CROWD,
    LAUNCH_DAY,
    RETRY_TRIGGER,
    EventConfig,
)

Demand = Literal["steady", "burst", "cyclical", "replay", "mixed"]


@dataclass(frozen=True)
class Scenario:
    """A named situation agents are trained and judged in.

    Attributes:
        name: as in `SCENARIOS`.
        summary: what happens, and why it stands where it does in the order.
        teaches: what an agent must learn to do well.
        demand: kind of demand; `mixed` is every kind in turn.
        mix: share of the mean compute by class, summing to 1, total compute as in the workload;
            None is the workload's own mix.
        events: on top of the demand.
        overrides: fields of `marl.cloud.config.CloudConfig`.
        difficulty: place in the order, 1 the easiest; no two are equal.
        also: further mixes, taken in turn with `mix`, as it is given; those the workload cannot
            show are left out.
    """

    name: str
    summary: str
    teaches: str
    demand: Demand
    mix: Mapping[str, float] | None = None
    events: tuple[EventConfig, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    difficulty: int = 0
    also: tuple[Mapping[str, float] | None, ...] = ()


# No trouble at all. Spot markets always have shocks in the model; here next to none.
QUIET: Final[dict[str, float]] = {
    "stock_out_time_share": 0.0,
    "zone_outage_per_day": 0.0,
    "vm_failure_per_h": 0.0,
    "spot_hazard_factor": 0.0,
    "spot_shock_time_share": 1e-4,
    "price_shock_per_day": 0.0,
    "quota_cut_per_day": 0.0,
    "failover_per_step": 0.0,
    "disk_slow_per_day": 0.0,
    "retry_share": 0.0,
}
PRICE_SHOCK: Final = {
    "price_shock_per_day": 3.0,
    "price_shock_hours": 4.0,
    "price_shock_factor": 2.5,
}
QUOTA_CUT: Final = {"quota_cut_per_day": 3.0, "quota_cut_hours": 3.0, "quota_cut_share": 0.3}
DISK_LATENCY: Final = {"disk_slow_per_day": 4.0, "disk_slow_hours": 1.0, "disk_slow_factor": 5.0}
SPOT_STORM: Final = {
    "spot_hazard_factor": 4.0,
    "spot_shock_time_share": 0.2,
    "spot_shock_hours": 1.0,
}
STOCK_OUT: Final = {"stock_out_time_share": 0.25, "stock_out_hours": 2.0}
FAILOVER: Final = {"failover_per_step": 0.02}
ZONE_OUTAGE: Final = {"zone_outage_per_day": 0.7, "zone_outage_hours": 2.0}
RETRIES: Final = {"retry_share": 0.9}

# One class alone would do (no service is without load), but batch or ML alone leave the database at
# a fraction of its smallest tier and web latency without a request: a twentieth of each of the
# others keeps all four agents at work.
_OWN: Final = None  # as the workload has them
_WEB: Final = {"web": 0.9, "batch": 0.05, "ml": 0.05}
_BATCH: Final = {"web": 0.05, "batch": 0.9, "ml": 0.05}
_ML: Final = {"web": 0.05, "batch": 0.05, "ml": 0.9}

# In the order of difficulty.
ROWS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "calm",
        "Even demand and a cloud without trouble: nothing to foresee, so it comes first",
        "size each service once, and keep to it",
        "steady",
        overrides=QUIET,
    ),
    Scenario(
        "batch_steady",
        "Batch jobs around the clock: deadlines of hours forgive a late order",
        "buy cheap capacity and run near full",
        "steady",
        _BATCH,
    ),
    Scenario(
        "ml_steady",
        "ML training around the clock: longer deadlines, but fewer and larger jobs than batch",
        "choose machines by price per unit of work; let work wait",
        "steady",
        _ML,
    ),
    Scenario(
        "web_steady",
        "Web requests at an even rate: the first demand that cannot wait",
        "keep headroom for latency, no more",
        "steady",
        _WEB,
    ),
    Scenario(
        "mixed_steady",
        "All classes at even rates: latency and deadlines share the same machines",
        "serve what waits from what is left over",
        "steady",
    ),
    Scenario(
        "batch_cyclical",
        "Batch with its daily cycle: the first demand that moves, still with slack",
        "carry backlog over the peak instead of buying for it",
        "cyclical",
        _BATCH,
    ),
    Scenario(
        "ml_cyclical",
        "ML with its daily cycle: as batch, with work that holds machines longer",
        "start long work when capacity is cheap",
        "cyclical",
        _ML,
    ),
    Scenario(
        "web_cyclical",
        "Web with its daily cycle: a peak known from yesterday that must be met on time",
        "order ahead by the delay; read yesterday's same hour",
        "cyclical",
        _WEB,
    ),
    Scenario(
        "mixed_cyclical",
        "All classes with their daily cycles, out of step: several moving loads at once",
        "move capacity between classes over the day",
        "cyclical",
    ),
    Scenario(
        "price_shock",
        "Spot prices more than double for hours: costs money, harms no request",
        "leave spot while it is dear, and come back",
        "cyclical",
        overrides=PRICE_SHOCK,
    ),
    Scenario(
        "quota_cut",
        "The project's quota shrinks for hours: harmless below it, then no order goes through",
        "use less per request; keep distance from the quota",
        "cyclical",
        overrides=QUOTA_CUT,
    ),
    Scenario(
        "disk_latency",
        "Disks slow down for an hour: one service of four suffers, and more capacity helps little",
        "see which service is at fault; shift load to cache and faster disks",
        "cyclical",
        overrides=DISK_LATENCY,
    ),
    Scenario(
        "spot_storm",
        "Spot machines vanish by the zone: capacity already there is lost, the kind one chose",
        "spread over zones and purchases; rebuild on demand",
        "cyclical",
        overrides=SPOT_STORM,
    ),
    Scenario(
        "batch_burst",
        "Batch submissions of many tasks: the first sudden demand, with hours to serve it",
        "let the queue absorb a burst",
        "burst",
        _BATCH,
    ),
    Scenario(
        "ml_burst",
        "ML submissions of many workers: fewer and larger bursts than batch",
        "decide which burst is worth new machines",
        "burst",
        _ML,
    ),
    Scenario(
        "web_burst",
        "Web with small flash crowds: sudden demand that cannot wait",
        "react within minutes; hold the headroom that pays",
        "burst",
        _WEB,
    ),
    Scenario(
        "mixed_burst",
        "Bursts of every class: a burst of batch may come in the middle of a crowd",
        "take from what can wait for what cannot",
        "burst",
    ),
    Scenario(
        "stock_out",
        "Zones and machine kinds out of stock: scaling out fails where one is used to it",
        "hold other kinds and zones ready; ask elsewhere",
        "cyclical",
        overrides=STOCK_OUT,
    ),
    Scenario(
        "database_failover",
        "The database primary fails every few hours: one place that all requests pass",
        "pay for a standby and replicas where they are worth it",
        "cyclical",
        overrides=FAILOVER,
    ),
    Scenario(
        "demand_spike",
        "All classes jump within minutes and stay for an hour: nothing can make room",
        "scale every service together, then let go",
        "cyclical",
        events=(DEMAND_SPIKE,),
    ),
    Scenario(
        "zone_outage",
        "A zone is gone for hours: a third of everything at once, the rest must carry it",
        "hold spare capacity in other zones",
        "cyclical",
        overrides=ZONE_OUTAGE,
    ),
    Scenario(
        "launch_day",
        "Web doubles or triples on announced launches; some disappoint, some are called off: named "
        "beforehand, but a rule that only reacts comes too late",
        "prepare for what is announced, correct when it turns out otherwise",
        "cyclical",
        _WEB,
        (LAUNCH_DAY,),
    ),
    Scenario(
        "flash_crowd",
        "Web rises three to ten times within ten minutes, unannounced: more than headroom covers",
        "scale at full speed; protect what can be served",
        "cyclical",
        events=(FLASH_CROWD,),
        overrides={"quota_share": 8.0},  # else the quota decides, and no agent
    ),
    Scenario(
        "retry_storm",
        "Short spikes at the edge of capacity, and nine in ten lost requests come again: one late "
        "decision feeds on itself",
        "break the loop: overprovision briefly after a loss",
        "cyclical",
        _WEB,
        (RETRY_TRIGGER,),
        RETRIES,
    ),
    Scenario(
        "replay",
        "The trace itself: every irregularity of a real workload, which no model has",
        "hold up outside the fitted process",
        "replay",
    ),
    Scenario(
        "mixed",
        "Every kind of demand in turn, the kind not told",
        "tell from what is seen which demand it is",
        "mixed",
    ),
    Scenario(
        "varied",
        "Every kind of demand, half of it in the workload's own mix of classes, half in mixes that "
        "lean to one of them: what policies are trained and tuned on",
        "tell from what is seen which workload it is, and serve it in its own way",
        "mixed",
        also=(_OWN, _OWN, _WEB, _BATCH, _ML),
    ),
    Scenario(
        "everything_at_once",
        "Every kind of demand with every event and every trouble, each at half the rate of its own "
        "scenario: nothing is harder here",
        "put first things first when several go wrong",
        "mixed",
        events=tuple(
            config.model_copy(update={"per_day": config.per_day / 2})
            for config in (LAUNCH_DAY, FLASH_CROWD, RETRY_TRIGGER, DEMAND_SPIKE)
        ),
        overrides={
            **PRICE_SHOCK,
            **QUOTA_CUT,
            **DISK_LATENCY,
            **SPOT_STORM,
            **STOCK_OUT,
            **FAILOVER,
            **ZONE_OUTAGE,
            **RETRIES,
            "price_shock_per_day": PRICE_SHOCK["price_shock_per_day"] / 2,
            "quota_cut_per_day": QUOTA_CUT["quota_cut_per_day"] / 2,
            "disk_slow_per_day": DISK_LATENCY["disk_slow_per_day"] / 2,
            "spot_shock_time_share": SPOT_STORM["spot_shock_time_share"] / 2,
            "stock_out_time_share": STOCK_OUT["stock_out_time_share"] / 2,
            "failover_per_step": FAILOVER["failover_per_step"] / 2,
            "zone_outage_per_day": ZONE_OUTAGE["zone_outage_per_day"] / 2,
        },
    ),
)
