"""Champion and challenger: is tonight's learned policy to take the place of the one in service?

`challenger` picks the candidate, `champion` keeps what is in service, `guards` says as data what
may not get worse, `decide` decides on paired held-out episodes, `record` is the decision's schema
and `words` its page. Playing episodes is `rollout`'s, statistics are `marl.evaluate.statistics`',
MLflow's aliases `marl.train.tracking`'s. docs/promotion.md.
"""

from marl.evaluate.promotion.decide import Contest, decide
from marl.evaluate.promotion.guards import GUARDS, Guard, PromotionRules
from marl.evaluate.promotion.record import Contender, Decision

__all__ = ["GUARDS", "Contender", "Contest", "Decision", "Guard", "PromotionRules", "decide"]
