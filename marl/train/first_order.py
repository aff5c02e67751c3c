"""One first-order run's moving parts: windows of smooth episodes, updates, exact evaluation.

The same interface as `marl.train.trainer.Trainer`, so that `marl.train.loop` serves both. Each
epoch replays new weather once, in windows between which gradients are cut; nothing is stored. The
learner is `marl.algos.first_order`; the world with gradients is `smooth_rollout`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from marl.algos.exploration import exploration
from marl.algos.first_order import DifferentiableRollout, FirstOrder, FirstOrderConfig, Window
from marl.nets.norm import RunningNorm
from marl.train.config import TrainConfig
from marl.train.env import MakeEnv, team_spec
from marl.train.held_in import HELD_IN_SEED, held_in_rewards, refuse_divergence
from marl.train.seeding import derive_seed
from marl.train.smooth_rollout import faded, rollout_of


class FirstOrderTrainer:
    """Environment, learner and statistics of one run.

    Of `TrainConfig` it reads `learner`, `seed`, `epochs`, `epoch_steps`, `hold_steps`, `num_envs`,
    `warmup_epochs` (played around the baseline, to learn how observations and rewards spread),
    `gamma`, the noise settings (in warm-up only), `evaluate_envs`, `critic_horizon` and
    `is_relative` (both SHAC only). Nothing is replayed, so settings of buffers have no effect.

    Args:
        config: the run's settings.
        make_env: makes environments on the training split, differentiable ones (`rollout_of`).
        baseline: agent → constant action (the tuned rule) that actors depart from.
    """

    def __init__(
        self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
    ) -> None:
        learner: object = config.learner
        if not isinstance(learner, FirstOrderConfig):
            raise TypeError(f"expected a FirstOrderConfig as learner; got {type(learner).__name__}")
        decisions = config.epoch_steps // config.hold_steps
        if decisions % learner.window:
            raise ValueError(
                f"an epoch of {decisions} decisions is not a whole number of windows of "
                f"{learner.window}"
            )
        self.config = config
        self.has_critic = learner.name == "shac"
        seed = derive_seed(config.seed, "env")
        self.env = make_env(config.num_envs, seed)
        self.held_in_env = make_env(config.evaluate_envs, HELD_IN_SEED)
        self.env.reset(seed=seed)
        rollout = rollout_of(self.env)
        self.spec = team_spec(self.env, self._seen(rollout, rollout).shape[1])
        self.device = self.env.state().device
        self.baseline_actions = {
            agent: torch.tensor([list(baseline[agent])], device=self.device).expand(
                config.num_envs, -1
            )
            for agent in self.spec.agents
        }
        self.learner = FirstOrder(
            learner,
            self.spec,
            self.spec.pack_vector(baseline),
            config.gamma,
            self._generator("learner"),
            self.device,
        )
        self.noise = exploration(
            config.noise,
            self.learner.actor,
            self.spec.action_sizes,
            config.num_envs,
            config.noise_theta,
            self._generator("noise"),
        )
        self.reward_norm = RunningNorm((1,), clip=math.inf).to(self.device)
        self.memory: Tensor | None = None  # the actors', between an epoch's windows
        self.epoch = 0  # finished epochs

    @property
    def env_steps(self) -> int:
        """Steps of single clouds played so far."""
        return self.epoch * self.config.epoch_steps * self.config.num_envs

    def run_epoch(self) -> dict[str, float]:
        """One epoch of windows, an update after each; means of everything measured.

        Raises:
            DivergenceError: a loss, a gradient or a parameter is not finite.
        """
        config = self.config
        seed = derive_seed(config.seed, "epoch", self.epoch)
        self.env.reset(seed=seed)
        rollout = rollout_of(self.env)
        beside = rollout.fork()
        self.noise.reset()
        is_learning = self.epoch >= config.warmup_epochs
        self.learner.anneal(self.epoch / max(config.epochs - 1, 1))
        length = self.learner.config.window
        rows: list[dict[str, Tensor]] = []
        self.memory = self.learner.actor.begin(config.num_envs)
        for _ in range(config.epoch_steps // config.hold_steps // length):
            with torch.set_grad_enabled(is_learning):
                window, measured = self._play(rollout, beside, length, is_learning=is_learning)
            if is_learning:
                measured |= self.learner.update(window)
            elif self.has_critic:
                measured |= self.learner.update_critic(window)
            self.learner.observe(window.obs_TBNF.flatten(0, 1), window.state_TBS.flatten(0, 1))
            rows.append(measured)
        self.epoch += 1
        means = {name: float(sum(row[name] for row in rows)) / len(rows) for name in rows[0]}
        refuse_divergence(means, self.learner, self.epoch)
        return means

    def held_in_rewards(self, *, is_baseline: bool = False) -> Tensor:
        """(evaluate_envs,) mean reward per step of the policy, or of the baseline (`held_in`)."""
        return held_in_rewards(
            self.held_in_env, self.spec, self.learner, self.config, is_baseline=is_baseline
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "learner": self.learner.state_dict(),
            "noise": self.noise.state_dict(),
            "reward_norm": self.reward_norm.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.epoch = int(state["epoch"])
        self.learner.load_state_dict(state["learner"])
        self.noise.load_state_dict(state["noise"])
        self.reward_norm.load_state_dict(state["reward_norm"])

    def _play(
        self,
        rollout: DifferentiableRollout,
        beside: DifferentiableRollout,
        length: int,
        *,
        is_learning: bool,
    ) -> tuple[Window, dict[str, Tensor]]:
        """One window of decisions from where the last one ended; what it leaves, what to log."""
        config, learner = self.config, self.learner
        share = config.gamma if learner.config.discount == "gradient" else 1.0
        rewards, logits, states, seen = [], [], [], []
        earned = torch.zeros((), device=self.device)
        for t in range(length):
            kept = share if t else 0.0
            rollout.fade(kept)
            if self.memory is not None:
                self.memory = faded(self.memory, kept)
            states.append(self._seen(rollout, beside).detach())
            obs = self.spec.pack_obs(rollout.obs())
            seen.append(obs.detach())
            logit, self.memory = learner.actor.logits(obs, self.memory)
            noise = None
            if not is_learning:
                noise = self.noise.sample(config.noise_sigma, learner.actor, obs)
            residual = learner.residual(logit, noise)
            action = self.spec.unpack_actions(learner.actor.action(residual))
            reward = rollout.advance(action, config.hold_steps)
            earned += reward.detach().mean() / length
            if self.has_critic and config.is_relative:
                with torch.no_grad():
                    reward = reward - beside.advance(self.baseline_actions, config.hold_steps)
            self.reward_norm.update(reward.detach()[:, None])
            rewards.append(reward)
            logits.append(logit)
        window = Window(
            reward_TB=self.reward_norm(torch.stack(rewards)[..., None])[..., 0],
            logit_TNBA=torch.stack(logits),
            state_TBS=torch.stack(states),
            last_state_BS=self._seen(rollout, beside),
            obs_TBNF=torch.stack(seen),
        )
        return window, {"reward": earned}

    def _seen(self, rollout: DifferentiableRollout, beside: DifferentiableRollout) -> Tensor:
        """(B, S) what the critic sees: state, difference to the baseline's, the future.

        Width 0 where there is no critic. The weather does not depend on actions, so a critic that
        sees it keeps the gradient right (Mao et al. 2019, arXiv:1807.02264); actors never see it.
        """
        state = rollout.state()
        if not self.has_critic:
            return state[:, :0]
        parts = [state, rollout.future(self.config.critic_horizon)]
        if self.config.is_relative:
            parts.append(state - beside.state())
        return torch.cat(parts, 1)

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, purpose))
