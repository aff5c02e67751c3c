"""Checks of `champion_policy`: decision and champion agree, and a promotion had what it needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assets.quality.checks import fact_check

if TYPE_CHECKING:
    from marl.evaluate.promotion.record import Decision


def decision_stands(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """The policy in the folder is the one decided on, it acts, and the numbers bear the verdict."""
    from marl.evaluate.promotion.champion import CHAMPION, Kept, read_decision

    try:
        decision = read_decision(folder)
        kept = Kept.load(folder / CHAMPION)
        kept.policy()
    except ValueError as error:
        return False, str(error), {}
    wrong = list(_contradictions(decision))
    if kept.contender.sha256 != decision.winner.sha256:
        wrong.append(f"decided on {decision.winner}, but the folder holds {kept.contender}")
    return (
        not wrong,
        "; ".join(wrong) or f"{decision.verdict}, {decision.winner} is in service",
        {"verdict": decision.verdict},
    )


def champion_earns_its_place(folder: Path) -> tuple[bool, str, dict[str, Any]]:
    """A learned champion does not lose to the tuned reactive rule, and nothing else is amiss."""
    from marl.evaluate.promotion.champion import ChampionError, read_decision

    try:
        warnings = read_decision(folder).warnings
    except ChampionError as error:
        return False, str(error), {}
    return not warnings, " ".join(warnings) or "nothing to warn of", {"warnings": len(warnings)}


def _contradictions(decision: "Decision") -> Iterator[str]:
    before, winner, challenger = decision.champion, decision.winner, decision.challenger
    if decision.verdict == "KEEP" and winner.sha256 != before.sha256:
        yield f"KEEP, but {winner} is another policy than the champion {before}"
    if decision.verdict == "ROLL BACK" and before.sha256 not in decision.barred:
        yield f"rolled back, but {before} is not barred"
    if decision.verdict != "KEEP" and winner.sha256 in decision.barred:
        yield f"{winner} is barred"
    if decision.verdict == "PROMOTE":
        if challenger is None or winner.sha256 != challenger.sha256:
            yield f"promoted {winner}, which is not the challenger {challenger}"
        yield from _unearned(decision)


def _unearned(decision: "Decision") -> Iterator[str]:
    from marl.evaluate.promotion.record import POOLED

    places = {decision.main_scenario, *([POOLED] if len(decision.scenarios) > 1 else [])}
    shown = {one.scope: one for one in decision.objective}
    if absent := sorted(places - set(shown)):
        yield f"promoted without the objective's difference in {', '.join(absent)}"
    for scope in sorted(places & set(shown)):
        if not shown[scope].lo > 0:
            yield f"promoted, but the interval begins at {shown[scope].lo:+.4f} in {scope}"
    if decision.episodes < decision.rules.min_episodes:
        yield f"promoted on {decision.episodes} episodes"
    asked = {guard.name for guard in decision.rules.guards}
    if silent := sorted(asked - {one.guard for one in decision.guards}):
        yield f"promoted, but guards {', '.join(silent)} found nothing"
    for one in decision.guards:
        if one.is_veto:
            yield f"promoted, but guard {one.guard} is {one.finding} in {one.difference.scope}"
    for rival in decision.rivals:
        if rival.hi < 0:
            yield f"promoted, but it loses to {rival.against} in {rival.scope}"


PROMOTION_CHECKS: Final = [
    fact_check(
        "champion_policy",
        "decision_stands",
        decision_stands,
        description="Decision and stored policy agree; a promotion has its intervals and guards.",
    ),
    fact_check(
        "champion_policy",
        "champion_earns_its_place",
        champion_earns_its_place,
        description="The champion does not lose to the tuned rule; it still fits the world.",
        blocking=False,
    ),
]
