"""A/B: is policy or configuration B better than A, decided while episodes come.

`python -m marl.evaluate.ab A B` plans by a pilot of training episodes, then looks at held-out ones
in blocks and says SHIP, KEEP or CONTINUE. Stored episodes are compared by
`marl.evaluate.statistics`.
"""

from marl.evaluate.ab.design import Design, always_valid, group_sequential, sd_limit
from marl.evaluate.ab.monitor import Decision, Guard, GuardAt, Look, Verdict, monitor

__all__ = [
    "Decision",
    "Design",
    "Guard",
    "GuardAt",
    "Look",
    "Verdict",
    "always_valid",
    "group_sequential",
    "monitor",
    "sd_limit",
]
