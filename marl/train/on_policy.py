"""One on-policy training run's moving parts: collect a rollout, learn from it, throw it away.

The on-policy sibling of `marl.train.trainer`, with the same interface to `marl.train.loop`. Of
`TrainConfig` it does not use what only a replay buffer needs: `updates_per_step`, `batch_size`,
`capacity`, `n_step` and `noise*` (how much is explored is learned, see `marl.nets.gaussian`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from marl.algos.mappo import Mappo, MappoConfig
from marl.algos.rollout import Rollout
from marl.train.clouds import Clouds, seen_by_critics
from marl.train.config import TrainConfig
from marl.train.env import BatchedEnv, MakeEnv, open_knobs
from marl.train.held_in import held_in_rewards, refuse_divergence
from marl.train.hold import HeldStep
from marl.train.seeding import derive_seed


class OnPolicyTrainer:
    """Environment and learner of one run; an epoch is one rollout and all passes over it.

    The first `warmup_epochs` only fill the normalisers and train the critics.

    Args:
        config: the run's settings; its learner is a MappoConfig.
        make_env: makes environments on the training split.
        baseline: agent → constant action (the tuned rule) that actors depart from.
    """

    def __init__(
        self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
    ) -> None:
        learner: object = config.learner
        if not isinstance(learner, MappoConfig):
            raise TypeError(f"expected a MappoConfig; got {type(learner).__name__}")
        self.config = config
        self.clouds = Clouds(config, make_env, baseline, is_joint=learner.is_joint)
        self.env, self.held_in_env = self.clouds.env, self.clouds.held_in_env
        self.spec, self.device = self.clouds.spec, self.clouds.device
        self.learner = Mappo(
            learner,
            self.spec,
            self.spec.pack_vector(baseline),
            torch.Generator().manual_seed(derive_seed(config.seed, "learner")),
            self.device,
        )
        self.epoch = 0  # finished epochs

    @property
    def env_steps(self) -> int:
        """Steps of single clouds collected so far."""
        return self.epoch * self.config.epoch_steps * self.config.num_envs

    def run_epoch(self) -> dict[str, float]:
        """One rollout and the updates from it; means of everything measured.

        Raises:
            DivergenceError: a loss, a gradient or a parameter is not finite.
        """
        config = self.config
        rollout, measured = self.collect()
        self.learner.anneal(self.epoch / max(config.epochs - 1, 1))
        is_warm_up = self.epoch < config.warmup_epochs
        if is_warm_up:  # no probabilities are compared yet, and critics begin with scaled inputs
            self.learner.observe(rollout)
        measured |= self.learner.update(rollout, config.gamma, is_critic_only=is_warm_up)
        if not is_warm_up:
            self.learner.observe(rollout)
        self.epoch += 1
        means = {name: float(value) for name, value in measured.items()}
        refuse_divergence(means, self.learner, self.epoch)
        return means

    @torch.no_grad()
    def collect(self) -> tuple[Rollout, dict[str, Tensor]]:
        """A rollout of one epoch's steps in all clouds, in the epoch's own weather."""
        config = self.config
        obs = self.spec.pack_obs(self.clouds.begin(self.epoch))
        self.learner.begin(config.num_envs)
        columns: dict[str, list[Tensor]] = {}
        terms: list[Mapping[str, Tensor]] = []
        earned_TBN = []  # noqa: N806 - dimension letters, legend in marl/algos/base.py
        decisions = config.epoch_steps // config.hold_steps
        state = self.clouds.state()
        for t in range(decisions):
            later = self._later()
            mask = open_knobs(self.env, self.spec, config.hold_steps)
            residual, latent, log_prob = self.learner.explore(obs, mask)
            action = self.learner.actor.action(residual)
            played = self.clouds.play(self.spec.unpack_actions(action))
            step, earned, reward = played.step, played.earned_BN, played.reward_BN
            terms.append(step.terms)
            if self.learner.config.is_team:
                reward = reward.mean(1, keepdim=True).expand(-1, len(self.spec.agents))
            next_obs = self.spec.pack_obs(step.obs)
            next_state = self.clouds.state()
            true_obs, true_state, is_known = self._successors(step, next_obs, next_state, later)
            is_end = step.truncated | step.terminated
            row = {
                "obs_TBNF": obs,
                "state_TBS": state,
                "latent_TBNA": latent,
                "log_prob_TBN": log_prob,
                "mask_TBNA": mask,
                "reward_TBN": reward,
                "terminated_TB": step.terminated,
                # The next reset cuts what the rollout's last step began.
                "cut_TB": torch.ones_like(is_end) if t == decisions - 1 else is_end,
                "is_known_TB": is_known,
                "next_obs_TBNF": true_obs,
                "next_state_TBS": true_state,
            }
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
            earned_TBN.append(earned)
            obs, state = next_obs, next_state
        rollout = Rollout(**{name: torch.stack(values) for name, values in columns.items()})
        means = torch.stack(earned_TBN).mean((0, 1))
        named = {f"reward/{agent}": means[i] for i, agent in enumerate(self.spec.agents)}
        named |= {key: torch.stack([one[key] for one in terms]).mean() for key in terms[0]}
        return rollout, {"reward": means.mean(), **named}

    def held_in_rewards(self, *, is_baseline: bool = False) -> Tensor:
        """(evaluate_envs,) mean reward per step of the policy, or of the baseline (`held_in`)."""
        return held_in_rewards(
            self.held_in_env, self.spec, self.learner, self.config, is_baseline=is_baseline
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {"epoch": self.epoch, "learner": self.learner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.epoch = int(state["epoch"])
        self.learner.load_state_dict(state["learner"])

    def _later(self) -> Tensor | None:
        """The future as it will be at the next decision; an ended episode cannot be asked."""
        horizon, hold = self.config.critic_horizon, self.config.hold_steps
        if not horizon:
            return None
        future: Tensor = self.env.future(horizon + hold)  # type: ignore[attr-defined]
        return future[:, future.shape[1] // (horizon + hold) * hold :]

    def _successors(
        self, step: HeldStep, obs: Tensor, state: Tensor, later: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The states that a step led to, and (B,) whether they are known.

        The time limit is no end of the process: where it cut an episode the value of the true last
        state counts, not that of the next episode's first, which the environment already shows.
        """
        is_cut = step.truncated & ~step.terminated
        if not is_cut.any():
            return obs, state, ~is_cut
        last_obs, last_state = _finals(self.env)
        shadow = self.clouds.shadow
        beside = None if shadow is None else _finals(shadow)[1]
        if last_obs is None or last_state is None or (shadow is not None and beside is None):
            return obs, state, ~is_cut
        last = seen_by_critics(last_state, beside, later)
        return (
            torch.where(is_cut[:, None, None], self.spec.pack_obs(last_obs), obs),
            torch.where(is_cut[:, None], last, state),
            torch.ones_like(is_cut),
        )


def _finals(env: BatchedEnv) -> tuple[Mapping[str, Tensor] | None, Tensor | None]:
    """The true last observations and state, of environments that keep them."""
    return getattr(env, "final_obs", None), getattr(env, "final_state", None)
