"""Hindsight learning: actors imitate plans made with the whole weather known.

Provisioning is a decision process with exogenous inputs, so once an episode is over its best plan
can be sought: a teacher that no policy can equal, told to actors that see only the present
(Sinclair et al. 2023, arXiv:2207.06272). Rows come from the states that the actors themselves reach
(dataset aggregation: Ross et al. 2011, arXiv:1011.0686, without keeping old rows). What is learned
is the plan's mean given the observation: right where the best decision is linear in what is not
known, biased where being short costs more than being long. Plans are made in
`marl.train.hindsight`.
"""
# ruff: noqa: N815 - dimension letters as suffixes, legend in marl/algos/base.py

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from marl.algos.first_order import FirstOrder, FirstOrderConfig, Window
from marl.algos.steps import clipped_step


class HindsightLearnerConfig(FirstOrderConfig):
    """Hyper-parameters of hindsight learning; those of windows and actors are APG's.

    Attributes:
        name: "hindsight".
        lookahead: decisions beyond the window that a plan is judged by, so that its last ones do
            not live on what is left.
        plan_steps: gradient steps of a plan, from what the actors did.
        plan_lr: Adam step of a plan, in units of outputs before squashing.
        passes: times that a window's rows are used.
        minibatches: parts they are shuffled into in each pass.
        noise: as in APG; none, because plans need no slope where the actors stand.
    """

    name: Literal["hindsight"] = "hindsight"  # type: ignore[assignment]
    lookahead: int = Field(default=12, ge=0)
    plan_steps: int = Field(default=8, ge=1)
    plan_lr: float = Field(default=0.1, gt=0)
    passes: int = Field(default=4, ge=1)
    minibatches: int = Field(default=8, ge=1)
    noise: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _has_no_memory(self) -> "HindsightLearnerConfig":
        if self.net.kind == "gru":
            raise ValueError("hindsight learns row by row: it has no use for a memory (net.kind)")
        return self


@dataclass(frozen=True)
class PlannedWindow(Window):
    """A window with its plan.

    Attributes:
        planned_obs_TBNF: what agents would have seen along the plan.
        planned_TNBA: the plan's residuals.
        is_better_B: 1 where the plan earned more than the actors did.
    """

    planned_obs_TBNF: Tensor
    planned_TNBA: Tensor
    is_better_B: Tensor


class Hindsight(FirstOrder):
    """The learner; see the module docstring."""

    config: HindsightLearnerConfig

    def update(self, window: Window) -> dict[str, Tensor]:
        """Move every actor towards its part of the plan, where the plan was better."""
        if not isinstance(window, PlannedWindow):
            raise TypeError("hindsight learns from planned windows")
        obs = window.planned_obs_TBNF.flatten(0, 1)
        goal = window.planned_TNBA.transpose(0, 1).flatten(1, 2)  # (N, T·B, A)
        weight = window.is_better_B.repeat(len(window.planned_obs_TBNF))
        losses = []
        for _ in range(self.config.passes):
            order = torch.randperm(len(obs), generator=self.generator).to(obs.device)
            for rows in order.chunk(self.config.minibatches):
                logit, _ = self.actor.logits(obs[rows], None)
                error = (torch.tanh(logit) - goal[:, rows]).square() * self.mask[:, None]
                loss = (error.sum((0, 2)) * weight[rows]).mean()
                saturation = (logit.square() * self.mask[:, None]).sum((0, 2)).mean()
                norms = clipped_step(
                    loss + self.config.residual_l2 * saturation,
                    self.actor_optimiser,
                    self.config.grad_limit,
                )
                losses.append(loss.detach())
                self.updates += 1
        return {
            "actor_loss": torch.stack(losses).mean(),
            "actor_grad_norm": norms.mean(),
            "plan/better": window.is_better_B.mean(),
            "plan/distance": (goal.square().mean()).sqrt(),
        }
