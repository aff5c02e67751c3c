"""Who is who among the policies: learners, rules, bounds; the best of each; who leads a table.

With twenty policies a reader needs an order: groups, and within a group by the objective.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from marl.evaluate.report.inputs import Numbers, ReportInputs

LABELS: Final = {
    "learners": "Learned policies",
    "rules": "Rules and planners, all tuned but random",
    "bounds": "Bounds: they know what nobody can",
}
_LEAD_LEARNERS: Final = 3
_LEAD_RULES: Final = 2  # beside the reference
_FEW: Final = 3  # policies beside the reference; of fewer none is an outlier
_FAR: Final = 5.0  # times the median distance to the reference


@dataclass(frozen=True)
class Cast:
    """The policies of a report.

    Attributes:
        groups: group → its policies, the best first in the main scenario.
        reference: the policy compared against.
        best: the best learned policy; None when none was trained.
        best_rule: the best of the rules, which may be the reference.
        leads: the few that headline tables and pictures show.
        far_off: so much worse than the others that a picture with them shows nothing else.
    """

    groups: dict[str, list[str]]
    reference: str
    best: str | None
    best_rule: str
    leads: list[str]
    far_off: list[str]

    @property
    def policies(self) -> list[str]:
        """All of them, group by group."""
        return [name for names in self.groups.values() for name in names]

    def group_of(self, policy: str) -> str:
        """The group that a policy is in."""
        return next(group for group, names in self.groups.items() if policy in names)


def cast_of(inputs: ReportInputs, numbers: Numbers) -> Cast:
    """Put every policy of the episodes in its group, and find the best."""
    known = inputs.episodes["policy"].unique().to_list()
    trained = set(inputs.learning["policy"].unique()) if inputs.learning.height else set()
    parts = {
        "learners": [n for n in known if n in trained and n not in inputs.bounds],
        "rules": [n for n in known if n not in trained and n not in inputs.bounds],
        "bounds": [n for n in known if n in inputs.bounds],
    }
    groups = {group: numbers.rank(names, numbers.main) for group, names in parts.items()}
    learners = [n for n in groups["learners"] if numbers.has_played(n, numbers.main)]
    rules, reference = groups["rules"], inputs.reference
    far = far_off(numbers, known, reference)
    others = [name for name in rules if name != reference and name not in far]
    leads = [*learners[:_LEAD_LEARNERS], *others[:_LEAD_RULES], reference, *groups["bounds"][:2]]
    return Cast(
        groups=groups,
        reference=reference,
        best=learners[0] if learners else None,
        best_rule=rules[0],
        leads=numbers.rank(dict.fromkeys(leads), numbers.main),
        far_off=numbers.rank(far, numbers.main),
    )


def far_off(numbers: Numbers, policies: Iterable[str], reference: str) -> list[str]:
    """Those whose objective in the main scenario is worse by many times the usual distance."""
    start = numbers.mean(numbers.main, reference, "reward") or 0.0
    means = {n: numbers.mean(numbers.main, n, "reward") for n in policies if n != reference}
    distance = {name: value - start for name, value in means.items() if value is not None}
    if len(distance) < _FEW:
        return []
    usual = float(np.median(np.abs(list(distance.values()))))
    return [name for name, value in distance.items() if value < -_FAR * usual]
