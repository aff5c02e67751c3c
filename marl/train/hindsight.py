"""One hindsight run's moving parts: play a window, plan it again with its weather known, imitate.

All but the plans is `marl.train.first_order`'s; what is learned from a plan is
`marl.algos.hindsight`. The planner that evaluation measures against is `marl.evaluate.clairvoyant`:
it plans whole episodes of the cloud, this one windows of any differentiable world.
"""
# ruff: noqa: N803 - dimension letters as suffixes, S planned decisions; legend in marl/algos/base.py

from collections.abc import Sequence

import torch
from torch import Tensor

from marl.algos.first_order import DifferentiableRollout, Window
from marl.algos.hindsight import Hindsight, HindsightLearnerConfig, PlannedWindow
from marl.train.env import BatchedEnv
from marl.train.first_order import FirstOrderTrainer
from marl.train.smooth_rollout import rollout_of


class HindsightTrainer(FirstOrderTrainer):
    """A first-order run whose actors imitate plans instead of following gradients."""

    config_type = HindsightLearnerConfig
    learner_type = Hindsight
    learner: Hindsight

    def _play(
        self,
        rule: BatchedEnv | None,
        exact: Sequence[BatchedEnv | None],
        length: int,
        *,
        is_learning: bool,
    ) -> tuple[Window, dict[str, Tensor]]:
        """A window as the actors play it, and the plan that would have been better."""
        start = rollout_of(self.env)
        with torch.no_grad():
            window, measured = super()._play(rule, exact, length, is_learning=is_learning)
        if not is_learning:
            return window, measured
        ahead = min(self.learner.config.lookahead, length) if exact else 0
        begun = torch.cat((window.logit_TNBA, window.logit_TNBA[-1:].expand(ahead, -1, -1, -1)))
        plan, gain_b = self._plan(start, begun)
        with torch.no_grad():
            seen, _ = self._follow(start, plan[:length])
        planned = PlannedWindow(
            **vars(window),
            planned_obs_TBNF=torch.stack(seen),
            planned_TNBA=torch.tanh(plan[:length]) * self.learner.mask[:, None],
            is_better_B=(gain_b > 0).to(torch.float32),
        )
        return planned, measured | {"plan/gain": gain_b.clamp_min(0.0).mean()}

    def _plan(self, start: DifferentiableRollout, begun_SNBA: Tensor) -> tuple[Tensor, Tensor]:
        """(S, N, B, A) outputs before squashing that earn more, (B,) how much more they earn.

        Clouds do not touch each other, so the gradient of the sum is each cloud's own; Adam takes
        steps of one size whatever a gradient's scale. Each cloud keeps its best plan.
        """
        config = self.learner.config
        plan = begun_SNBA.detach().clone().requires_grad_()
        adam = torch.optim.Adam([plan], lr=config.plan_lr, betas=(0.8, 0.95))
        best, rows = plan.detach().clone(), []
        for step in range(config.plan_steps + 1):
            with torch.set_grad_enabled(step < config.plan_steps):
                _, earned = self._follow(start, plan)
            rows.append(earned.detach())
            is_best = rows[-1] >= torch.stack(rows).amax(0)
            best = torch.where(is_best[None, None, :, None], plan.detach(), best)
            if step < config.plan_steps:
                (gradient,) = torch.autograd.grad(-earned.sum(), plan)
                plan.grad = gradient
                adam.step()
        return best, torch.stack(rows).amax(0) - rows[0]

    def _follow(
        self, start: DifferentiableRollout, plan_SNBA: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Observations before each decision of a plan, and (B,) its mean reward."""
        rollout, learner = start.fork(), self.learner
        limit = learner.config.carry_limit
        seen = []
        total = torch.zeros(plan_SNBA.shape[2], device=self.device)
        for t, logit in enumerate(plan_SNBA):
            rollout.fade(1.0 if t else 0.0, limit)
            seen.append(self.spec.pack_obs(rollout.obs()).detach())
            joint = learner.actor.action(torch.tanh(logit) * learner.mask[:, None])
            actions = self.spec.unpack_actions(joint)
            total = total + rollout.advance(actions, self.config.hold_steps)
        return seen, total / len(plan_SNBA)
