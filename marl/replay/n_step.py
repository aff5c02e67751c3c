"""n-step transitions made while collecting, for buffers that store the next observation.

The alternative to finding windows at sampling time (`RingReplay.later`, `marl.algos.returns`):
there the step before a reset cannot be used, because the true last observation is not in the
buffer. Here the collector hands it in, so at a truncation (a time limit) the value of the state
that was truly reached is bootstrapped, and only at a termination nothing is.
"""
# ruff: noqa: N803, N815 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class NStepWindow:
    """Returns of B windows.

    Attributes:
        return_BN: Σ_k γ^k r_k up to the window's last step.
        discount_B: γ^m of the value after m counted steps; 0 where the last one terminated.
        last_B: position in the window of the last step counted; the state to bootstrap from is
            the one that step led to.
    """

    return_BN: Tensor
    discount_B: Tensor
    last_B: Tensor


def n_step_window(
    reward_TBN: Tensor, terminated_TB: Tensor, truncated_TB: Tensor, gamma: float
) -> NStepWindow:
    """Returns of windows of T steps, each cut after the first step that ends an episode.

    Args:
        reward_TBN: rewards, time first.
        terminated_TB: bool, the step ended the episode for good.
        truncated_TB: bool, the step was the last for another reason; its next state is known.
        gamma: discount per step.
    """
    if not reward_TBN.shape[:2] == terminated_TB.shape == truncated_TB.shape:
        raise ValueError(
            f"rewards (T, B, N) {tuple(reward_TBN.shape)}, terminated {tuple(terminated_TB.shape)} "
            f"and truncated {tuple(truncated_TB.shape)} (T, B) do not fit"
        )
    is_over = (terminated_TB | truncated_TB).to(torch.int64)
    is_counted = is_over.cumsum(0) - is_over == 0  # no earlier step ended the episode
    last = is_counted.sum(0) - 1
    powers = gamma ** torch.arange(len(reward_TBN), device=reward_TBN.device)
    weight = is_counted * powers[:, None]
    is_terminal = terminated_TB.gather(0, last[None])[0]
    return NStepWindow(
        return_BN=(reward_TBN * weight[..., None]).sum(0),
        discount_B=torch.where(is_terminal, 0.0, gamma ** (last + 1)),
        last_B=last,
    )


class NStepAccumulator:
    """Turns steps of B clouds into n-step transitions, n - 1 steps later.

    Args:
        steps: n.
        gamma: discount per step.
    """

    def __init__(self, steps: int, gamma: float) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1; got {steps}")
        self.steps, self.gamma = steps, gamma
        self._waiting: list[dict[str, dict[str, Tensor]]] = []

    def push(
        self,
        now: Mapping[str, Tensor],
        after: Mapping[str, Tensor],
        reward_BN: Tensor,
        terminated_B: Tensor,
        truncated_B: Tensor,
    ) -> dict[str, Tensor] | None:
        """Take one step of all clouds.

        Args:
            now: what the step began with, such as observations and actions; name → (B, ...).
            after: the state it truly led to, before any reset; name → (B, ...).
            reward_BN: rewards.
            terminated_B: bool.
            truncated_B: bool.

        Returns:
            B transitions that begin n - 1 steps ago, or None while fewer steps are known: the
            names of `now`; "return" (B, N); "discount" (B, 1) of the next value; and "next_" +
            the names of `after`.
        """
        self._waiting.append(
            {
                "now": dict(now),
                "after": dict(after),
                "outcome": {
                    "reward": reward_BN,
                    "terminated": terminated_B.to(torch.bool),
                    "truncated": truncated_B.to(torch.bool),
                },
            }
        )
        return self._take() if len(self._waiting) == self.steps else None

    def flush(self) -> list[dict[str, Tensor]]:
        """The windows still waiting, each as long as what is known of it; oldest first.

        For when collection stops in the middle of episodes, as before a reset of all clouds.
        """
        out = []
        while self._waiting:
            out.append(self._take())
        return out

    def state_dict(self) -> dict[str, Any]:
        """The steps that wait."""
        return {"waiting": list(self._waiting)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self._waiting = list(state["waiting"])

    def _take(self) -> dict[str, Tensor]:
        """The transition from the oldest step on, which then leaves."""
        outcome = {
            name: torch.stack([step["outcome"][name] for step in self._waiting])
            for name in ("reward", "terminated", "truncated")
        }
        window = n_step_window(
            outcome["reward"], outcome["terminated"], outcome["truncated"], self.gamma
        )
        clouds = torch.arange(len(window.last_B), device=window.last_B.device)
        following = {
            f"next_{name}": torch.stack([step["after"][name] for step in self._waiting])[
                window.last_B, clouds
            ]
            for name in self._waiting[0]["after"]
        }
        first = self._waiting.pop(0)
        return {
            **first["now"],
            "return": window.return_BN,
            "discount": window.discount_B[:, None],
            **following,
        }
