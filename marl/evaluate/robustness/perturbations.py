"""Which perturbations there are, as data: a row each, mild to severe.

A row's severity becomes a `Change`: settings of the cloud, changes to demand, trouble at a fixed
time, wrong metrics, late actions. Who makes clouds of it is `stage`. Rates, factors and lengths
are assumptions, chosen from what an operator has seen to what ends in a post-mortem.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from marl.evaluate.robustness.demand import DemandChange, Level, ShiftedDay, Spike
from marl.evaluate.robustness.senses import Senses
from marl.evaluate.robustness.trouble import Kind, Trouble

UNPERTURBED: Final = "none"
OTHER_WORKLOAD: Final = "other_workload"
_HOUR: Final = 12  # steps


@dataclass(frozen=True)
class Change:
    """What a perturbation does at one severity; nothing by default.

    Attributes:
        overrides: fields of `marl.cloud.config.CloudConfig`.
        demand: changes to the demand drawn.
        mix_drift: share of batch and ML compute that turns into web.
        workload: folder of another fitted workload, brought to the same mean compute.
        trouble: at a fixed time.
        senses: what monitoring gets wrong.
        delay_steps: steps until actions arrive.
        disturbance: first step, and the step after the last, of what passes: recovery is counted
            from there. None where it does not pass.
    """

    overrides: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    demand: tuple[DemandChange, ...] = ()
    mix_drift: float = 0.0
    workload: Path | None = None
    trouble: Trouble | None = None
    senses: Senses = field(default_factory=Senses)
    delay_steps: int = 0
    disturbance: tuple[int, int] | None = None


@dataclass(frozen=True)
class Perturbation:
    """One way in which the world may differ.

    Attributes:
        name: key of tables.
        summary: what happens.
        unit: of a severity.
        severities: rising, 0 first: unperturbed.
        make: severity above 0 and steps of an episode → what changes.
    """

    name: str
    summary: str
    unit: str
    severities: tuple[float, ...]
    make: Callable[[float, int], Change]

    def change(self, severity: float, episode_steps: int) -> Change:
        """What changes at this severity; nothing at 0.

        Raises:
            ValueError: below 0, or an episode too short for what passes.
        """
        if severity < 0:
            raise ValueError(f"{self.name}: severity must be >= 0; got {severity}")
        return Change() if severity == 0 else self.make(severity, episode_steps)


def _passing(episode_steps: int, hours: float) -> tuple[int, int]:
    """When what passes does: from a third of the episode on, at most for a third of it."""
    start = episode_steps // 3
    if start < 1:
        raise ValueError(f"an episode of {episode_steps} steps is too short for what passes")
    return start, start + max(1, min(round(hours * _HOUR), episode_steps // 3))


def _settings(**made: Callable[[float], Any]) -> Callable[[float, int], Change]:
    return lambda severity, _: Change(
        overrides={name: value(severity) for name, value in made.items()}
    )


def _fixed(value: float) -> Callable[[float], float]:
    return lambda _: value


def _same(severity: float) -> float:
    return severity


def _spike(severity: float, steps: int) -> Change:
    start, end = _passing(steps, 1)
    return Change(demand=(Spike(severity, start, end - start),), disturbance=(start, end))


def _trouble(kind: Kind, zones: int | None) -> Callable[[float, int], Change]:
    def make(hours: float, steps: int) -> Change:
        start, end = _passing(steps, hours)
        trouble = Trouble(kind, zones, start, end - start)
        return Change(trouble=trouble, disturbance=(start, end))

    return make


def _senses(**made: Callable[[float], Any]) -> Callable[[float, int], Change]:
    return lambda severity, _: Change(
        senses=Senses(**{name: value(severity) for name, value in made.items()})
    )


def _order_s(minutes: float) -> float:
    return 60.0 * minutes


ROWS: Final[tuple[Perturbation, ...]] = (
    Perturbation(
        "vm_failures",
        "VMs fail at random times",
        "failures per VM and hour",
        (0.0, 0.02, 0.2),
        _settings(vm_failure_per_h=_same),
    ),
    Perturbation(
        "zone_outage",
        "the first zone, home of the database, is down from a third of the episode on",
        "hours",
        (0.0, 1.0, 3.0),
        _trouble("outage", 1),
    ),
    Perturbation(
        "stock_out",
        "zones have no machine of a kind to give, two hours at a time",
        "share of the time",
        (0.0, 0.3, 0.6),
        _settings(stock_out_time_share=_same, stock_out_hours=_fixed(2.0)),
    ),
    Perturbation(
        "spot_storm",
        "every zone reclaims its spot VMs and gives none, from a third of the episode on",
        "hours",
        (0.0, 1.0, 3.0),
        _trouble("storm", None),
    ),
    Perturbation(
        "demand_spike",
        "every class asks for several times as much for an hour, a third into the episode",
        "times the demand",
        (0.0, 2.0, 5.0, 10.0),
        _spike,
    ),
    Perturbation(
        "price_shock",
        "spot prices multiply for four hours at a time, three times a day; never above on-demand",
        "times the spot price",
        (0.0, 2.0, 4.0),
        _settings(
            price_shock_factor=_same,
            price_shock_per_day=_fixed(3.0),
            price_shock_hours=_fixed(4.0),
        ),
    ),
    Perturbation(
        "slow_disks",
        "disks give a fraction of their IOPS, an hour at a time, four times a day",
        "times slower",
        (0.0, 3.0, 10.0),
        _settings(
            disk_slow_factor=_same, disk_slow_per_day=_fixed(4.0), disk_slow_hours=_fixed(1.0)
        ),
    ),
    Perturbation(
        "quota_cut",
        "the project's quota shrinks, three hours at a time, three times a day",
        "share of the quota lost",
        (0.0, 0.85, 0.95),
        _settings(
            quota_cut_share=lambda lost: 1.0 - lost,
            quota_cut_per_day=_fixed(3.0),
            quota_cut_hours=_fixed(3.0),
        ),
    ),
    Perturbation(
        "slow_orders",
        "machines, database changes and caches take longer to come (median; at most half an hour)",
        "minutes",
        (0.0, 10.0, 25.0),
        _settings(
            vm_boot_median_s=_order_s,
            database_median_s=lambda minutes: max(660.0, _order_s(minutes)),
            redis_median_s=lambda minutes: max(263.0, _order_s(minutes)),
        ),
    ),
    Perturbation(
        "stale_metrics",
        "agents and autoscalers read what was measured so many steps before",
        "steps of 5 minutes",
        (0.0, 1.0, 3.0, 6.0),
        _senses(stale_steps=round),
    ),
    Perturbation(
        "missing_metrics",
        "metrics are not there, each by itself, and keep their last value",
        "chance a step",
        (0.0, 0.3, 0.6),
        _senses(missing_share=_same),
    ),
    Perturbation(
        "zeroed_metrics",
        "metrics are not there, each by itself, and read 0",
        "chance a step",
        (0.0, 0.02, 0.1, 0.3),
        _senses(missing_share=_same, is_zeroed=lambda _: True),
    ),
    Perturbation(
        "noisy_metrics",
        "metrics are off by a Gaussian error",
        "standard deviation over value",
        (0.0, 0.1, 0.3, 0.6),
        _senses(noise_sigma=_same),
    ),
    Perturbation(
        "late_actions",
        "what agents decide arrives so many steps later; the first decision holds until then",
        "steps of 5 minutes",
        (0.0, 1.0, 3.0, 6.0),
        lambda severity, _: Change(delay_steps=round(severity)),
    ),
    Perturbation(
        "grown_demand",
        "all demand, yesterday's too, is larger than what policies were made for",
        "times the demand",
        (0.0, 1.5, 2.0),
        lambda severity, _: Change(demand=(Level(severity),)),
    ),
    Perturbation(
        "shifted_day",
        "the same demand comes later by the clock",
        "hours",
        (0.0, 6.0, 12.0),
        lambda severity, _: Change(demand=(ShiftedDay(severity),)),
    ),
    Perturbation(
        "drifted_mix",
        "part of batch and ML compute turns into web, total compute unchanged",
        "share that turns",
        (0.0, 0.25, 0.5),
        lambda severity, _: Change(mix_drift=severity),
    ),
)
PERTURBATIONS: Final[dict[str, Perturbation]] = {row.name: row for row in ROWS}


def other_workload(folder: Path) -> Perturbation:
    """Demand of another fitted workload (another cell, another year) at the same mean compute."""
    return Perturbation(
        OTHER_WORKLOAD,
        f"demand as in the workload {folder.name}, brought to the same mean compute",
        "1: the other workload",
        (0.0, 1.0),
        lambda _, __: Change(workload=folder),
    )


def perturbations(names: tuple[str, ...], workload: Path | None = None) -> list[Perturbation]:
    """The rows of these names, in the order of the table; all if there is none.

    Args:
        names: of `ROWS`; empty: all of them.
        workload: folder of another fitted workload, played last.

    Raises:
        ValueError: an unknown name; the message lists them.
    """
    if unknown := sorted(set(names) - set(PERTURBATIONS)):
        raise ValueError(
            f"no perturbation {', '.join(unknown)}; there are: {', '.join(PERTURBATIONS)}"
        )
    rows = [row for row in ROWS if not names or row.name in names]
    return rows if workload is None else [*rows, other_workload(workload)]
