"""Which policy is in service, and why: the promotion's decision as the report tells it.

What decides is `marl.evaluate.promotion`; all its numbers are in `decision.md` beside it.
"""

from collections import Counter
from typing import Any

from marl.evaluate.promotion.record import Decision, Difference
from marl.evaluate.report.tables import OBJECTIVE, interval


def in_service(decision: Decision | None) -> dict[str, Any] | None:
    """Verdict, reasons, and the objective in every scope; None where nothing was decided."""
    if decision is None:
        return None
    found = Counter(finding.finding for finding in decision.guards)
    return {
        "verdict": decision.verdict,
        "winner": str(decision.winner),
        "champion": str(decision.champion),
        "challenger": None if decision.challenger is None else str(decision.challenger),
        "reasons": list(decision.reasons),
        "warnings": list(decision.warnings),
        "objective": [_row(one) for one in decision.objective],
        "rivals": [_row(one) for one in decision.rivals],
        "guards": dict(sorted(found.items())),
    }


def _row(one: Difference) -> dict[str, Any]:
    told = one.model_dump(mode="json")
    return told | {"shown": interval(OBJECTIVE, told)}


def in_service_answer(told: dict[str, Any] | None) -> dict[str, str]:
    """Question and answer for the first screen; nothing where nothing was decided."""
    if told is None:
        return {}
    is_same = told["challenger"] == told["winner"]  # by name: of another night
    new = f"the newly trained {told['challenger']}" if is_same else told["challenger"]
    way = {
        "PROMOTE": f"promoted in place of {told['champion']}",
        "KEEP": "kept" if told["challenger"] is None else f"kept; {new} was not promoted",
        "ROLL BACK": f"rolled back to, from {told['champion']}",
    }
    answer = f"{told['winner']}, {way[told['verdict']]}. Why: {' '.join(told['reasons'])}"
    return {"What is in service": " ".join([answer, *told["warnings"]])}
