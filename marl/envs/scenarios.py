"""Scenarios by name: look one up, climb them in order, make their demand, show them as a table.

Which there are is `scenario_data`; making an environment of one belongs to `registry`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from marl.envs.scenario_data import ROWS, Scenario
from marl.workload.config import Split
from marl.workload.demand import CLASSES, DemandGenerator
from marl.workload.events import EventGenerator
from marl.workload.generators import KINDS, MixedGenerator, make_generator
from marl.workload.model import WorkloadModel
from marl.workload.toy import TOY_KINDS, TOY_SHARES, ToyGenerator, ToyKind

__all__ = [
    "SCENARIOS",
    "Scenario",
    "by_difficulty",
    "generator_for",
    "mix_factors",
    "reference_generator_for",
    "scenario",
    "scenarios_table",
]

SPLITS: Final[tuple[Split, ...]] = ("train", "held_out")
SCENARIOS: Final[dict[str, Scenario]] = {
    row.name: replace(row, difficulty=place) for place, row in enumerate(ROWS, start=1)
}


def scenario(name: str) -> Scenario:
    """The scenario of a name.

    Raises:
        ValueError: there is none; the message lists the names.
    """
    if name not in SCENARIOS:
        raise ValueError(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def by_difficulty() -> tuple[Scenario, ...]:
    """Every scenario, the easiest first: the order a curriculum climbs."""
    return tuple(sorted(SCENARIOS.values(), key=lambda one: one.difficulty))


def generator_for(scenario: Scenario, model: WorkloadModel | None, split: Split) -> DemandGenerator:
    """The demand of a scenario, its events included.

    Replay goes round where an episode is longer than its part of the trace. Without a model the
    toy's kinds stand in: `replay` is then the toy's burst demand (there is no trace to replay), and
    `mixed` takes the toy's three kinds in turn.

    Args:
        scenario: which.
        model: the fitted workload; None for the toy.
        split: part of the trace; the toy has no trace and is the same for both.

    Raises:
        ValueError: an unknown split, or a class of the mix that the workload does not show.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    base = _toy(scenario) if model is None else _fitted(scenario, model, split)
    return EventGenerator(base, scenario.events) if scenario.events else base


def reference_generator_for(scenario: Scenario, model: WorkloadModel | None) -> DemandGenerator:
    """The demand that a scenario's reference is measured on: its training demand without events.

    Quotas and floors follow the reference; measured with flash crowds in it, it would grant the
    capacity for them beforehand, and more than Cloud SQL's largest machine can carry.
    """
    return generator_for(replace(scenario, events=()), model, "train")


def mix_factors(
    mix: Mapping[str, float] | None, mean_vcpu: Mapping[str, float]
) -> dict[str, float] | None:
    """Factor by class that gives a mix its shares of compute, total compute unchanged.

    Args:
        mix: share by class, summing to 1; classes left out have none. None for no change.
        mean_vcpu: mean compute by class.

    Raises:
        ValueError: the mix asks for a class without compute.
    """
    if mix is None:
        return None
    if absent := sorted(name for name, share in mix.items() if share > 0 >= mean_vcpu[name]):
        raise ValueError(f"the workload shows no demand of {', '.join(absent)}, which {mix} needs")
    total = sum(mean_vcpu.values())
    return {name: share * total / mean_vcpu[name] for name, share in mix.items() if share > 0}


def _fitted(scenario: Scenario, model: WorkloadModel, split: Split) -> DemandGenerator:
    ncu = {
        name: model.classes[name].cpu_ncu.mean if name in model.classes else 0.0 for name in CLASSES
    }
    kinds = KINDS if scenario.demand == "mixed" else (scenario.demand,)
    parts = [
        make_generator(model, kind, split, mix, is_wrapped=True)
        for mix in _mixes(scenario, ncu)
        for kind in kinds
    ]
    return parts[0] if len(parts) == 1 else MixedGenerator(parts)


def _toy(scenario: Scenario) -> DemandGenerator:
    mixes = _mixes(scenario, TOY_SHARES)
    if scenario.demand == "mixed":
        return MixedGenerator(
            [ToyGenerator(kind=kind, mix=mix) for mix in mixes for kind in TOY_KINDS]
        )
    kind: ToyKind = "burst" if scenario.demand == "replay" else scenario.demand
    return ToyGenerator(kind=kind, mix=mixes[0])


def _mixes(scenario: Scenario, mean_vcpu: Mapping[str, float]) -> list[dict[str, float] | None]:
    """Factors of the scenario's own mix, and of the further ones that the workload can show."""
    shown = [mix for mix in scenario.also if all(mean_vcpu[name] > 0 for name in mix or ())]
    return [mix_factors(mix, mean_vcpu) for mix in (scenario.mix, *shown)]


def scenarios_table() -> str:
    """Every scenario as a Markdown table, the easiest first."""
    lines = [
        "| # | scenario | what happens, and why here | teaches | demand | compute | events "
        "| cloud |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in by_difficulty():
        mixes = [mix or {} for mix in (one.mix, *one.also)]
        told = Counter(", ".join(f"{name} {share:.0%}" for name, share in m.items()) for m in mixes)
        cells = (
            str(one.difficulty),
            f"`{one.name}`",
            one.summary,
            one.teaches,
            one.demand,
            "; ".join(
                (mix or "as in the workload") + (f" ({count} in turn)" if count > 1 else "")
                for mix, count in told.items()
            ),
            ", ".join(f"{event.name} {event.per_day:g}/day" for event in one.events) or "–",
            ", ".join(f"`{key}={value:g}`" for key, value in one.overrides.items()) or "–",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
