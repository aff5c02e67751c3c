"""What a promotion must show, and what it may not make worse: as data.

A guard compares one metric of the challenger with an opponent's on the same episodes and vetoes.
How is `decide`'s matter.
"""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from marl.frozen import Frozen

Scope = Literal["whole", "each"]
Burden = Literal["challenger", "guard"]


class Guard(Frozen):
    """A margin within which the challenger must stay.

    Attributes:
        name: of the guard.
        metric: column of the episodes table.
        is_higher_better: direction of the metric.
        margin: how much worse is accepted: in the metric's unit, or as a share of the opponent's
            mean where `is_relative`.
        is_relative: see `margin`.
        scope: "whole": the main scenario, and the mean over all of them; "each": every scenario for
            itself.
        burden: who has to prove. "challenger": non-inferiority, the whole interval lies within the
            margin, so that too few episodes are a veto. "guard": vetoed where the whole interval
            lies beyond it; for metrics so noisy that nobody could prove the other.
        unless_better: a metric (higher is better) whose significant rise, in the same place,
            excuses what this guard finds.
        why: what the margin means to an operator.
    """

    name: str
    metric: str
    is_higher_better: bool
    margin: float = Field(ge=0)
    is_relative: bool = False
    scope: Scope = "whole"
    burden: Burden = "challenger"
    unless_better: str | None = None
    why: str


GUARDS: Final = (
    Guard(
        name="service_level",
        metric="slo_attainment",
        is_higher_better=True,
        margin=0.0025,
        why="a quarter of a point is half the error budget of an objective of 99.5 %",
    ),
    Guard(
        name="cost",
        metric="cost_usd",
        is_higher_better=False,
        margin=0.02,
        is_relative=True,
        unless_better="slo_attainment",
        why="2 % is a bill's usual noise; more is paid only for a better service level",
    ),
    Guard(
        name="cost_limit",
        metric="cost_usd",
        is_higher_better=False,
        margin=0.10,
        is_relative=True,
        why="a tenth more needs a person's consent, whatever it buys",
    ),
    Guard(
        name="availability",
        metric="availability",
        is_higher_better=True,
        margin=0.001,
        why="one more request in a thousand turned away",
    ),
    Guard(
        name="deadlines",
        metric="deadline_miss_share",
        is_higher_better=False,
        margin=0.005,
        why="half a point more of batch and ML work late",
    ),
    Guard(
        name="latency_p99",
        metric="latency_p99_ms",
        is_higher_better=False,
        margin=0.10,
        is_relative=True,
        burden="guard",
        why="a tenth slower; a few overloaded days make its mean, so that nobody could prove less",
    ),
    Guard(
        name="service_level_anywhere",
        metric="slo_attainment",
        is_higher_better=True,
        margin=0.01,
        scope="each",
        burden="guard",
        why="no kind of demand pays with a point of its service level for the others' gain",
    ),
    Guard(
        name="objective_anywhere",
        metric="reward",
        is_higher_better=True,
        margin=0.005,
        scope="each",
        burden="guard",
        why="no kind of demand loses more than what a good policy gains over the tuned rule",
    ),
)


class PromotionRules(Frozen):
    """All that decides, beside the episodes.

    Attributes:
        level: of every interval; at .95 a policy that is no better is promoted at most once in 40
            nights in which it is tried.
        min_episodes: fewer paired episodes promote nobody: bootstrap intervals of a handful are
            too narrow.
        guards: see `Guard`.
    """

    level: float = Field(default=0.95, gt=0.5, lt=1)
    min_episodes: int = Field(default=20, ge=2)
    guards: tuple[Guard, ...] = GUARDS

    def with_margins(self, margins: Mapping[str, float]) -> "PromotionRules":
        """The same with other margins, guard → margin.

        Raises:
            ValueError: no guard of that name, or a negative margin.
        """
        known = [guard.name for guard in self.guards]
        if unknown := sorted(set(margins) - set(known)):
            raise ValueError(f"no guard {', '.join(unknown)}; there are: {', '.join(known)}")
        return PromotionRules(
            level=self.level,
            min_episodes=self.min_episodes,
            guards=tuple(
                Guard.model_validate(
                    guard.model_dump() | {"margin": margins.get(guard.name, guard.margin)}
                )
                for guard in self.guards
            ),
        )
