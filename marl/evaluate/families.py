"""The baselines of provisioning: what each kind of operator may set, in the knobs' own units."""

from collections.abc import Mapping
from typing import Final

from marl.cloud.actions import encode, knobs
from marl.cloud.types import SERVICES
from marl.evaluate.baselines import BaselineFamily, JointAction, Kind
from marl.evaluate.rules import RULES
from marl.evaluate.tuning import Begin

# A careful engineer's autoscaler: HPA's usual 60 %, no floor, ten minutes before scaling in (the
# default of a managed instance group), even over zones, a third of the data as free disk space, a
# standby and one read replica, objects to nearline after a month (Google's minimum stay), premium
# network, no cache.
_ENGINEER: Final = {
    "target_utilisation": 0.6,
    "floor_share": 0.0,
    "scale_in_window": 10.0,
    "spot_share": 0.0,
    "arm_share": 0.0,
    "highmem_share": 0.0,
    "gpu_share": 0.0,
    "zone_spread": 1.0,
    "fallback_share": 1.0,
    "commitment_share": 0.2,
    "three_year_share": 0.0,
    "free_space_share": 0.3,
    "provisioned_share": 0.0,
    "nearline_after": 30.0,
    "cdn_share": 0.0,
    "premium_share": 1.0,
    "zone_locality": 0.0,
    "read_replicas": 1.0,
    "has_ha": 1.0,
    "cache_share": 0.0,
    "storage_free_share": 0.3,
}
# A static plan: capacity for the peak times a tuned headroom, bought once, nothing scales (the
# autoscaler's target is at its limit, so that only demand above the floor could move it).
_STATIC: Final = {**_ENGINEER, "target_utilisation": 0.95, "floor_share": 1.2}
_STATIC_RANGES: Final = {
    "floor_share": (1.0, 1.5),
    "free_space_share": (0.05, 1.0),
    "read_replicas": (0.0, 3.0),
}
# What a careful engineer's sizing rules leave open (docs/baselines.md): N + 1 over three zones, so
# that two carry the load at full use: a target of at most 2/3; a base that is always there and
# bought by commitment, on-demand for the peak, no spot; the rest as `_ENGINEER` has it.
_EXPERT: Final = {**_ENGINEER, "floor_share": 0.3, "commitment_share": 0.3}
_EXPERT_RANGES: Final = {
    "target_utilisation": (0.45, 0.67),
    "floor_share": (0.2, 0.6),
    "commitment_share": (0.2, 0.6),
    "free_space_share": (0.2, 0.5),
    "read_replicas": (1.0, 2.0),
}

# Factors on the weight of performance along a frontier: normalised, the weights of cost and
# performance go from .32 and .25 to .04 and .91. Points lie close where good policies do.
FRONTIER_FACTORS: Final = (0.5, 1.5, 2.5, 4.0, 16.0)


def provisioning_families() -> tuple[BaselineFamily, ...]:
    """Every baseline that is tuned: plans, target tracking with every knob free, and every rule.

    A rule continues the search of the reactive one: its knobs stay free beside its parameters.
    """
    everything = {knob.name: (knob.low, knob.high) for agent in SERVICES for knob in knobs(agent)}
    reactive = _family("reactive", _ENGINEER, everything)
    rules = (
        {"name": kind, "kind": kind, "parameters": rule.parameters, "continues": reactive.name}
        for kind, rule in RULES.items()
    )
    return (
        _family("static_peak", _STATIC, _STATIC_RANGES),
        _family("expert", _EXPERT, _EXPERT_RANGES),
        reactive,
        *(reactive.model_copy(update=rule) for rule in rules),
    )


def family(name: str) -> BaselineFamily:
    """The baseline of that name.

    Raises:
        ValueError: there is none; the message lists the names.
    """
    every = {one.name: one for one in provisioning_families()}
    if name not in every:
        raise ValueError(f"no baseline {name!r}; there are: {', '.join(every)}")
    return every[name]


def frontier_families() -> tuple[BaselineFamily, ...]:
    """Those a policy's cost at equal service level is measured against: all that scale freely."""
    return tuple(
        one for one in provisioning_families() if one.name not in ("static_peak", "expert")
    )


def provisioning_beginnings() -> dict[Kind, Begin]:
    """How the search of a rule that continues another's begins (`tuning.tune_baselines`)."""
    return {kind: rule.first for kind, rule in RULES.items()}


def _family(
    name: str, start: Mapping[str, float], free: Mapping[str, tuple[float, float]]
) -> BaselineFamily:
    lows = {knob: free.get(knob, (value, value))[0] for knob, value in start.items()}
    highs = {knob: free.get(knob, (value, value))[1] for knob, value in start.items()}
    return BaselineFamily(name=name, low=_action(lows), high=_action(highs), start=_action(start))


def _action(values: Mapping[str, float]) -> JointAction:
    return {
        agent: tuple(
            encode(agent, {knob.name: values[knob.name] for knob in knobs(agent)}).tolist()
        )
        for agent in SERVICES
    }
