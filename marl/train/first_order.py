"""One first-order run's moving parts: windows of smooth clouds, updates, exact evaluation.

The same interface as `marl.train.trainer.Trainer`, so that `marl.train.loop` serves both. Each
epoch replays new weather once, in windows between which gradients are cut; nothing is stored. Each
window begins at the state of the exact clouds, so that what is only true of smooth ones never adds
up to states that do not exist. The learner is `marl.algos.first_order`; the world with gradients is
`smooth_rollout`.
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
from marl.train.env import BatchedEnv, MakeEnv, team_spec, twin
from marl.train.held_in import (
    HELD_IN_SEED,
    held_in_rewards,
    refuse_divergence,
    refuse_not_finite,
)
from marl.train.hold import held_step
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

    config_type: type[FirstOrderConfig] = FirstOrderConfig
    learner_type: type[FirstOrder] = FirstOrder

    def __init__(
        self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
    ) -> None:
        learner: object = config.learner
        if not isinstance(learner, self.config_type):
            raise TypeError(
                f"expected a {self.config_type.__name__} as learner; got {type(learner).__name__}"
            )
        decisions = config.epoch_steps // config.hold_steps
        if decisions % learner.window:
            raise ValueError(
                f"an epoch of {decisions} decisions is not a whole number of windows of "
                f"{learner.window}"
            )
        self.config = config
        self.has_critic = learner.name == "shac"
        self.is_relative = self.has_critic and config.is_relative
        self.make_env = make_env
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
        self.learner = self.learner_type(
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
        rule = twin(self.env, self.make_env, seed) if self.is_relative else None
        self.noise.reset()
        is_learning = self.epoch >= config.warmup_epochs
        done = self.epoch / max(config.epochs - 1, 1)
        self.learner.anneal(done)
        sigma = self.learner.begin(config.num_envs, 1.0 - done)
        length = self.learner.config.window
        rows: list[dict[str, Tensor]] = []
        self.memory = self.learner.actor.begin(config.num_envs)
        windows = config.epoch_steps // config.hold_steps // length
        for index in range(windows):
            # Each window begins where the exact clouds are, beside which it was played.
            exact = () if index == windows - 1 else (self.env, rule)
            with torch.set_grad_enabled(is_learning):
                window, measured = self._play(rule, exact, length, is_learning=is_learning)
            if is_learning:
                measured |= self.learner.update(window)
            elif self.has_critic:
                measured |= self.learner.update_critic(window)
            self.learner.observe(window.obs_TBNF.flatten(0, 1), window.state_TBS.flatten(0, 1))
            rows.append(measured)
        self.epoch += 1
        means = {name: float(sum(row[name] for row in rows)) / len(rows) for name in rows[0]}
        means["exploration/sigma"] = sigma if is_learning else config.noise_sigma
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
        rule: BatchedEnv | None,
        exact: Sequence[BatchedEnv | None],
        length: int,
        *,
        is_learning: bool,
    ) -> tuple[Window, dict[str, Tensor]]:
        """One window of decisions from where the environment is; what it leaves, what to log.

        Args:
            rule: plays the baseline in the same weather, where rewards are relative to it.
            exact: the environment and `rule`, to be played on with the same decisions for the next
                window to begin there; nothing where there is no next one.
            length: decisions.
            is_learning: without exploration noise.
        """
        config, learner = self.config, self.learner
        rollout = rollout_of(self.env)
        beside = rollout if rule is None else rollout_of(rule)
        limit = learner.config.carry_limit / (config.num_envs * length)  # the loss is a mean
        share = config.gamma if learner.config.discount == "gradient" else 1.0
        rewards, logits, states, seen = [], [], [], []
        terms: list[dict[str, Tensor]] = []  # of rollouts that tell what rewards are made of
        earned = torch.zeros((), device=self.device)
        for t in range(length):
            kept = share if t else 0.0
            rollout.fade(kept, limit)
            if self.memory is not None:
                self.memory = faded(self.memory, kept, limit)
            states.append(self._seen(rollout, beside).detach())
            obs = self.spec.pack_obs(rollout.obs())
            seen.append(obs.detach())
            logit, self.memory = learner.actor.logits(learner.sensors.read(obs), self.memory)
            noise = None
            if not is_learning:
                noise = self.noise.sample(config.noise_sigma, learner.actor, obs)
            residual = learner.residual(logit, noise)
            joint = learner.actor.action(residual)
            refuse_not_finite({"actions": float(joint.detach().sum())}, self.epoch)
            action = self.spec.unpack_actions(joint)
            reward = rollout.advance(action, config.hold_steps)
            earned += reward.detach().mean() / length
            terms.append(getattr(rollout, "terms", dict)())
            with torch.no_grad():
                if rule is not None:
                    reward = reward - beside.advance(self.baseline_actions, config.hold_steps)
                for env, played in zip(exact, (action, self.baseline_actions), strict=False):
                    if env is not None:
                        held_step(env, played, config.hold_steps)
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
        told = {name: torch.stack([one[name] for one in terms]).mean() for name in terms[0]}
        return window, {"reward": earned, **told}

    def _seen(self, rollout: DifferentiableRollout, beside: DifferentiableRollout) -> Tensor:
        """(B, S) what the critic sees: state, difference to the baseline's, the future.

        Width 0 where there is no critic. The weather does not depend on actions, so a critic that
        sees it keeps the gradient right (Mao et al. 2019, arXiv:1807.02264); actors never see it.
        """
        state = rollout.state()
        if not self.has_critic:
            return state[:, :0]
        parts = [state, rollout.future(self.config.critic_horizon)]
        if self.is_relative:
            parts.append(state - beside.state())
        return torch.cat(parts, 1)

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, purpose))
