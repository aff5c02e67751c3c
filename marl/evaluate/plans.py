"""What planners find: the decisions of known episodes, and what they earn.

Finding them is `clairvoyant`'s (by slopes) and `plan_search`'s (by chance).
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Plan:
    """The best plan found for each of B episodes.

    Attributes:
        actions: (D, WIDTH, B) in [-1, 1], decision by decision.
        hold_steps: steps that each is held.
        reward: (B,) mean reward per step and agent, in exact rounding.
        start_reward: (B,) the same of the plan that search began with.
    """

    actions: Tensor
    hold_steps: int
    reward: Tensor
    start_reward: Tensor
