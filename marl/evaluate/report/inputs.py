"""What a report is made from, and quick ways to look its numbers up.

Frames in, nothing worked out: sentences and tables are `content`'s, drawing `pictures`'.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from marl.evaluate.promotion.record import Decision
from marl.evaluate.slices import Slice

MAIN_SCENARIO: Final = "replay"  # the trace itself: what every headline is about


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report is made from.

    Attributes:
        episodes: one row per policy × scenario × training seed × episode (DESIGN §6).
        comparisons: one row per scenario × policy × metric, paired against `reference`, as
            `marl.evaluate.statistics.compare` gives them.
        trajectories: policy → one held-out episode step by step, all in the same weather.
        learning: `policy`, `training_seed`, `epoch`, `env_steps`, `reward`, `gain` (above the
            rule), its `gain_se` of the held-in evaluations, and `is_kept` for the one whose policy
            was kept. A calibration's evaluation has the epoch of the one before.
        trace: the slice of the trace, as in provenance.
        profile: the run profile's knobs.
        reference: the policy compared against.
        code_version, config_hash: of the run.
        is_synthetic: the trace is the embedded, synthetic one.
        bounds: policies that know what nobody can; never the best policy, never a baseline.
        frontier: episodes of the points of the baselines' cost-SLO frontiers, with `family`.
        savings: what each policy saves at equal service level (`marl.evaluate.frontier.savings`).
        gap: each policy's share of the gap to the clairvoyant planner (`statistics.gap_closed`).
        robustness: a row per perturbation × severity × policy, the summary of the asset
            `robustness_episodes`; empty where it was not made.
        decision: which policy is in service, and why; None where none was made.
        slices: what the best policy does over two inputs, at stages of its training.
        baselines: how each tuned baseline was tuned, for people.
        workload: goodness-of-fit summary; empty where there is none.
        notes: what is missing or limited, one sentence each.
    """

    episodes: pl.DataFrame
    comparisons: pl.DataFrame
    trajectories: Mapping[str, pl.DataFrame]
    learning: pl.DataFrame
    trace: Mapping[str, Any]
    profile: Mapping[str, Any]
    reference: str
    code_version: str
    config_hash: str
    is_synthetic: bool
    bounds: Sequence[str] = ("clairvoyant",)
    frontier: pl.DataFrame = field(default_factory=pl.DataFrame)
    savings: pl.DataFrame = field(default_factory=pl.DataFrame)
    gap: pl.DataFrame = field(default_factory=pl.DataFrame)
    robustness: pl.DataFrame = field(default_factory=pl.DataFrame)
    decision: Decision | None = None
    slices: Sequence[Slice] = ()
    baselines: Mapping[str, str] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Numbers:
    """Means of episodes and rows of comparisons, looked up by name.

    Args:
        inputs: of the report.

    Raises:
        ValueError: there are no episodes of the reference policy.
    """

    def __init__(self, inputs: ReportInputs) -> None:
        frame = inputs.episodes
        known = frame["policy"].unique().sort().to_list()
        if inputs.reference not in known:
            raise ValueError(
                f"the reference policy {inputs.reference!r} has no episodes; there are: {known}"
            )
        keys = ["scenario", "policy", "training_seed", "episode"]
        figures = [n for n, kind in frame.schema.items() if kind.is_numeric() and n not in keys]
        means = frame.group_by("scenario", "policy").agg(pl.col(figures).mean())
        self._means = {(r["scenario"], r["policy"]): r for r in means.iter_rows(named=True)}
        self._rows = {
            (r["scenario"], r["policy"], r["metric"]): r
            for r in inputs.comparisons.iter_rows(named=True)
        }
        names = frame["scenario"].unique().sort().to_list()
        self.scenarios: list[str] = sorted(names, key=lambda name: (name != MAIN_SCENARIO, name))
        self.main = self.scenarios[0]

    def mean(self, scenario: str, policy: str, column: str) -> float | None:
        """Mean over episodes and training seeds; None where not played or not measured."""
        value = self._means.get((scenario, policy), {}).get(column)
        return None if value is None else float(value)

    def row(self, scenario: str, policy: str, metric: str) -> dict[str, Any] | None:
        """The comparison with the reference; None where there is none."""
        return self._rows.get((scenario, policy, metric))

    def rank(self, policies: Iterable[str], scenario: str) -> list[str]:
        """Policies by their mean objective in a scenario, the best first; not played comes last."""

        def key(name: str) -> tuple[float, str]:
            value = self.mean(scenario, name, "reward")
            return (float("inf") if value is None else -value, name)

        return sorted(policies, key=key)

    def has_played(self, policy: str, scenario: str) -> bool:
        """Whether there are episodes."""
        return (scenario, policy) in self._means
