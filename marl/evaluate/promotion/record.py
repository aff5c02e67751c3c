"""The schema of a decision: who stood against whom, every number, the verdict and its reasons."""

from typing import Final, Literal

from pydantic import Field

from marl.evaluate.promotion.guards import PromotionRules
from marl.frozen import Frozen

SCHEMA_VERSION: Final = 1
POOLED: Final = "all scenarios"  # scope: an episode number's mean over the scenarios
OBJECTIVE: Final = "reward"

Verdict = Literal["PROMOTE", "KEEP", "ROLL BACK"]
Finding = Literal["kept", "excused", "unproven", "violated"]


class Contender(Frozen):
    """A policy that stands for the championship.

    Attributes:
        name: what tables call it.
        training_seed: None where nothing was trained.
        sha256: of its policy file; of its settings where it is a rule.
        held_in_gain: what it gained over the tuned reactive rule in training's own evaluation,
            where it was picked by that; None for others.
        model, version: in MLflow's registry; None where it is not registered.
    """

    name: str
    training_seed: int | None
    sha256: str
    held_in_gain: float | None = None
    model: str | None = None
    version: int | None = None

    @property
    def is_learned(self) -> bool:
        """Whether it is a policy file, not a tuned rule."""
        return self.training_seed is not None

    def __str__(self) -> str:
        """Name and training seed."""
        return f"{self.name} (seed {self.training_seed})" if self.is_learned else self.name


class Difference(Frozen):
    """One metric of the one minus the other's, paired by episode.

    Attributes:
        metric: column of the episodes table.
        scope: a scenario, or `POOLED`.
        against: name of the other.
        mean, other_mean: of the two.
        difference, lo, hi: of the mean of paired differences, with its interval.
        p_value: two-sided, Wilcoxon's signed-rank test.
        probability_above: share of episodes in which the first is above, ties counted half.
        episodes: how many pairs.
    """

    metric: str
    scope: str
    against: str
    mean: float
    other_mean: float
    difference: float
    lo: float
    hi: float
    p_value: float
    probability_above: float
    episodes: int


class GuardFinding(Frozen):
    """What a guard found in one place.

    Attributes:
        guard: its name.
        difference: of its metric, there.
        margin, is_relative: accepted.
        slack_lo, slack_hi: interval of what is left of the margin; below zero is beyond it.
        finding: "kept"; "excused" by another metric's rise; "unproven": the interval does not lie
            within the margin, as it must; "violated": it lies beyond. The last two veto.
    """

    guard: str
    difference: Difference
    margin: float
    is_relative: bool
    slack_lo: float
    slack_hi: float
    finding: Finding

    @property
    def is_veto(self) -> bool:
        """Whether it stops a promotion."""
        return self.finding in ("unproven", "violated")


class Decision(Frozen):
    """What was decided, on what.

    Attributes:
        schema_version: of this record.
        verdict: PROMOTE: the challenger takes the champion's place; KEEP; ROLL BACK: a person
            asked for the champion before this one.
        reasons: in words; of KEEP, every objection.
        warnings: what an operator must hear beside.
        champion: who was in service before.
        challenger: None where no policy was trained, and of a roll-back.
        winner: who is in service now.
        promoted_by: the winner's own promotion: its first reason; "" where it never had one.
        main_scenario, scenarios, episodes, seed: what was played, held-out and paired.
        is_synthetic: the trace was generated.
        objective: the composite objective, challenger minus champion: main scenario, pooled, then
            every scenario.
        metrics: others, main scenario and pooled.
        guards: every finding.
        rivals: the objective against tuned rules, which the challenger must not lose to.
        health: the objective of a learned champion against the tuned reactive rule.
        rules: what decided.
        barred: sha256 of policies that were rolled back and are not promoted again.
        provenance: input → its sha256.
    """

    schema_version: int = SCHEMA_VERSION
    verdict: Verdict
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    champion: Contender
    challenger: Contender | None
    winner: Contender
    promoted_by: str = ""
    main_scenario: str
    scenarios: tuple[str, ...]
    episodes: int
    seed: int
    is_synthetic: bool
    objective: tuple[Difference, ...] = ()
    metrics: tuple[Difference, ...] = ()
    guards: tuple[GuardFinding, ...] = ()
    rivals: tuple[Difference, ...] = ()
    health: tuple[Difference, ...] = ()
    rules: PromotionRules
    barred: tuple[str, ...] = ()
    provenance: dict[str, str] = Field(default_factory=dict)

    @property
    def choice(self) -> str:
        """Why the winner is in service, in a paragraph."""
        told = f"{self.winner} is the champion ({self.verdict}): {' '.join(self.reasons)}"
        if self.verdict != "PROMOTE" and self.promoted_by:
            told += f" It was promoted because: {self.promoted_by}"
        return " ".join([told, *self.warnings])
