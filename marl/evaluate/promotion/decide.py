"""The decision: an interval of the objective above zero, no guard that vetoes, no better rule.

Promotion asks for everything at once (an intersection-union test; Berger 1982, Technometrics 24),
so the several questions need no correction: the chance of promoting a policy that is no better is
at most that of one of them, (1 - level) / 2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from marl.evaluate.policies import REFERENCE
from marl.evaluate.promotion.guards import Guard, PromotionRules
from marl.evaluate.promotion.paired import Pair, Played
from marl.evaluate.promotion.record import (
    OBJECTIVE,
    POOLED,
    Contender,
    Decision,
    Difference,
    Finding,
    GuardFinding,
)

# Told beside the objective, where the episodes have them; guards may name others.
_TOLD: Final = (
    "cost_usd",
    "slo_attainment",
    "availability",
    "deadline_miss_share",
    "latency_p99_ms",
    "carbon_gco2",
    "changes",
)


@dataclass(frozen=True)
class Contest:
    """What is decided on.

    Attributes:
        episodes: tonight's episodes table: every rule and every policy trained tonight.
        champion_episodes: the champion's, where it is not among them; the same weather.
        scenarios: the main one first.
        rivals: tuned rules that the challenger must not lose to.
        seed: of the episodes and of the bootstrap.
        is_synthetic: the trace was generated.
    """

    episodes: pl.DataFrame
    champion_episodes: pl.DataFrame | None
    scenarios: tuple[str, ...]
    rivals: tuple[str, ...]
    seed: int
    is_synthetic: bool

    @property
    def whole(self) -> tuple[str, ...]:
        """The scopes that count as a whole: the main scenario, and all of them pooled."""
        return self.scenarios if len(self.scenarios) == 1 else (self.scenarios[0], POOLED)

    def rule(self, name: str) -> Played:
        """Episodes of a tuned rule."""
        return Played.of(self.episodes, self.scenarios, name)

    def learned(self, contender: Contender) -> Played:
        """Episodes of a policy trained tonight."""
        return Played.of(self.episodes, self.scenarios, contender.name, contender.training_seed)

    def champion(self, contender: Contender) -> Played:
        """Episodes of the one in service."""
        frame = self.episodes if self.champion_episodes is None else self.champion_episodes
        return Played.of(frame, self.scenarios, contender.name, contender.training_seed)


def decide(
    champion: Contender,
    challenger: Contender | None,
    contest: Contest,
    rules: PromotionRules,
    barred: Sequence[str] = (),
) -> Decision:
    """PROMOTE or KEEP, with every number and every objection.

    Args:
        champion: in service.
        challenger: None where no policy was trained.
        contest: episodes of all.
        rules: what decides.
        barred: sha256 of policies that were rolled back.

    Raises:
        ValueError: episodes are missing or do not pair, or a guard's metric is not among them.
    """
    incumbent = contest.champion(champion)
    reference = contest.rule(REFERENCE)
    health: tuple[Difference, ...] = ()
    if champion.is_learned:
        against = _pair(incumbent, reference, contest, rules)
        health = tuple(against.difference(OBJECTIVE, scope) for scope in contest.whole)
    objective: tuple[Difference, ...] = ()
    metrics: tuple[Difference, ...] = ()
    guards: tuple[GuardFinding, ...] = ()
    rivals: tuple[Difference, ...] = ()
    objections = ["No policy was trained."]
    if challenger is not None:
        candidate = contest.learned(challenger)
        pair = _pair(candidate, incumbent, contest, rules)
        places = dict.fromkeys([*contest.whole, *contest.scenarios])
        objective = tuple(pair.difference(OBJECTIVE, scope) for scope in places)
        told = [one for one in _TOLD if one in contest.episodes.columns]
        metrics = tuple(pair.difference(name, scope) for scope in contest.whole for name in told)
        # Against the rule too: margins towards the champion alone would add up over the nights.
        pairs = [pair]
        if champion.is_learned:
            pairs.append(_pair(candidate, reference, contest, rules))
        guards = tuple(
            finding for one in pairs for guard in rules.guards for finding in judge(guard, one)
        )
        rivals = tuple(
            _pair(candidate, contest.rule(name), contest, rules).difference(OBJECTIVE, scope)
            for name in contest.rivals
            for scope in contest.whole
        )
        objections = list(
            _objections(champion, challenger, objective[: len(contest.whole)], rules, barred)
        )
        if challenger.sha256 != champion.sha256:
            objections += [_veto(finding) for finding in guards if finding.is_veto]
            objections += [
                f"It loses to the tuned rule {one.against} in {one.scope}: {_interval(one)}."
                for one in rivals
                if one.hi < 0
            ]
    is_promoted = challenger is not None and not objections
    winner = challenger if challenger is not None and is_promoted else champion
    reasons = tuple(objections) or (_praise(champion, objective[: len(contest.whole)], guards),)
    return Decision(
        verdict="PROMOTE" if is_promoted else "KEEP",
        reasons=reasons,
        warnings=tuple(
            f"The champion loses to the tuned rule {one.against} in {one.scope}: {_interval(one)}; "
            "consider rolling it back."
            for one in health
            if one.hi < 0 and not is_promoted
        ),
        champion=champion,
        challenger=challenger,
        winner=winner,
        promoted_by=reasons[0] if is_promoted else "",
        main_scenario=contest.scenarios[0],
        scenarios=contest.scenarios,
        episodes=next(iter(incumbent.rows.values())).height,
        seed=contest.seed,
        is_synthetic=contest.is_synthetic,
        objective=objective,
        metrics=metrics,
        guards=guards,
        rivals=rivals,
        health=health,
        rules=rules,
        barred=tuple(barred),
    )


def judge(guard: Guard, pair: Pair) -> Iterator[GuardFinding]:
    """What a guard finds in every place of its scope.

    What is left of the margin is taken episode by episode, a − b + m or its like relative to b, so
    that the opponent's mean is a random quantity too where the margin is a share of it.
    """
    scenarios = list(pair.one.rows)
    is_whole = guard.scope == "whole"
    scopes = [scenarios[0], POOLED][: len(scenarios)] if is_whole else scenarios
    sign = 1.0 if guard.is_higher_better else -1.0
    for scope in scopes:
        a, b = pair.one.values(guard.metric, scope), pair.other.values(guard.metric, scope)
        accepted = guard.margin * abs(b) if guard.is_relative else guard.margin
        slack = pair.interval(sign * (a - b) + accepted, guard.name, scope)
        finding: Finding = "kept"
        if slack.hi < 0:
            finding = "violated"
        elif slack.lo < 0 and guard.burden == "challenger":
            finding = "unproven"
        excuse = guard.unless_better
        if finding != "kept" and excuse and pair.difference(excuse, scope).lo > 0:
            finding = "excused"
        yield GuardFinding(
            guard=guard.name,
            difference=pair.difference(guard.metric, scope),
            margin=guard.margin,
            is_relative=guard.is_relative,
            slack_lo=slack.lo,
            slack_hi=slack.hi,
            finding=finding,
        )


def _pair(one: Played, other: Played, contest: Contest, rules: PromotionRules) -> Pair:
    return Pair(one, other, contest.seed, rules.level)


def _objections(
    champion: Contender,
    challenger: Contender,
    whole: Sequence[Difference],
    rules: PromotionRules,
    barred: Sequence[str],
) -> Iterator[str]:
    if challenger.sha256 == champion.sha256:
        yield f"Nothing new: the challenger {challenger} is the champion itself."
        return
    if challenger.sha256 in barred:
        yield f"{challenger} was rolled back before, and is barred."
    if whole[0].episodes < rules.min_episodes:
        yield f"{whole[0].episodes} paired episodes are fewer than {rules.min_episodes}."
    new, old = str(challenger), str(champion)
    if new == old:  # the same learner and seed, of another night
        new, old = f"The new {new}", f"the {old} in service"
    for one in whole:
        if not one.lo > 0:
            word = "is worse" if one.hi < 0 else "was not shown to be better"
            yield f"{new} {word} than {old} in {one.scope}: {_interval(one)}."


def _veto(finding: GuardFinding) -> str:
    one = finding.difference
    word = "is violated" if finding.finding == "violated" else "was not shown to hold"
    margin = f"{finding.margin:.1%}" if finding.is_relative else f"{finding.margin:g}"
    return (
        f"Guard {finding.guard} {word} against {one.against} in {one.scope}: {one.metric} "
        f"{one.difference:+.4g} [{one.lo:+.4g}, {one.hi:+.4g}], margin {margin}."
    )


def _praise(
    champion: Contender, whole: Sequence[Difference], guards: Sequence[GuardFinding]
) -> str:
    told = "; ".join(f"{one.scope} {_interval(one)}" for one in whole)
    excused = sum(one.finding == "excused" for one in guards)
    note = f", {excused} of them excused by a better service level" if excused else ""
    return f"better than {champion}: {told}; none of {len(guards)} findings of guards vetoes{note}."


def _interval(one: Difference) -> str:
    return f"{one.difference:+.4f} [{one.lo:+.4f}, {one.hi:+.4f}]"
