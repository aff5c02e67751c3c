"""Rules that act from what agents see, every one on top of the cloud's own reactive autoscaler.

A rule is a kind of baseline: its parameters are tuned (`marl.evaluate.tuning`) with the same budget
and in the same weather as every other's. Constant settings need no rule: they are knobs.
"""

from typing import Final

from marl.evaluate.rules.autopilot import Autopilot
from marl.evaluate.rules.greedy import Greedy
from marl.evaluate.rules.karpenter import Karpenter
from marl.evaluate.rules.predictive import Predictive
from marl.evaluate.rules.queue_based import QueueBased
from marl.evaluate.rules.rule import Rule
from marl.evaluate.rules.seasonal import Seasonal

__all__ = ["RULES", "Rule"]

RULES: Final[dict[str, Rule]] = {
    rule.kind: rule
    for rule in (Greedy(), QueueBased(), Autopilot(), Seasonal(), Predictive(), Karpenter())
}
