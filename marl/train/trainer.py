"""One off-policy training run's moving parts: collect, update, evaluate, and their whole state.

When to do which, where files go and what to report belong to `marl.train.loop`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.algos.exploration import exploration
from marl.algos.maddpg import Maddpg, MaddpgConfig
from marl.algos.sac import Sac
from marl.algos.sac_config import SacConfig
from marl.algos.sac_gru import RecurrentSac
from marl.algos.soft_actor_critic import SoftActorCritic
from marl.nets.actor import forget
from marl.train.clouds import Clouds
from marl.train.config import TrainConfig
from marl.train.env import MakeEnv
from marl.train.experience import AnyExperience, Experience, replay_fields
from marl.train.goals import goals_of
from marl.train.held_in import held_in_rewards, refuse_divergence
from marl.train.seeding import derive_seed
from marl.train.sequences import SequenceExperience


class Trainer:
    """Environment, learner, buffer and statistics of one run.

    Args:
        config: the run's settings.
        make_env: makes environments on the training split.
        baseline: agent → constant action (the tuned rule) that actors depart from.
    """

    def __init__(
        self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
    ) -> None:
        learner = config.learner
        if not isinstance(learner, MaddpgConfig | SacConfig):
            raise TypeError(f"expected a MaddpgConfig or a SacConfig; got {type(learner).__name__}")
        self.config = config
        self.is_team = learner.is_team
        self.clouds = Clouds(config, make_env, baseline, is_joint=learner.is_joint)
        self.env, self.held_in_env = self.clouds.env, self.clouds.held_in_env
        self.spec, self.device = self.clouds.spec, self.clouds.device
        self.learner = _new_learner(
            learner,
            self.spec,
            self.spec.pack_vector(baseline),
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
        self.memory: Tensor | None = None  # the actors', while an epoch lasts
        if config.hindsight is not None and learner.is_joint:
            raise ValueError(f"hindsight knows where each agent's goal is, not {learner.name}'s")
        self.goals = None if config.hindsight is None else goals_of(self.env, self.spec)
        self.experience = self._new_experience(learner)
        self.epoch = 0  # finished epochs

    @property
    def env_steps(self) -> int:
        """Steps of single clouds collected so far."""
        return self.epoch * self.config.epoch_steps * self.config.num_envs

    def run_epoch(self) -> dict[str, float]:
        """One epoch of steps and updates; means of everything measured.

        Raises:
            DivergenceError: a loss, a gradient or a parameter is not finite.
        """
        config = self.config
        obs = self.spec.pack_obs(self.clouds.begin(self.epoch))
        self.noise.reset()
        self.memory = self.learner.actor.begin(config.num_envs)
        is_learning = self.epoch >= config.warmup_epochs
        done = self.epoch / max(config.epochs - 1, 1)
        sigma = config.noise_sigma + (config.noise_sigma_end - config.noise_sigma) * done
        self.learner.anneal(done)
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        decisions = config.epoch_steps // config.hold_steps
        for t in range(decisions):
            obs, measured = self._collect(obs, sigma, is_last=t == decisions - 1)
            if is_learning:
                measured |= self._learn(done)
            for name, value in measured.items():
                sums[name] = sums.get(name, torch.zeros(())) + value
                counts[name] = counts.get(name, 0) + 1
        self.epoch += 1
        means = {name: float(total) / counts[name] for name, total in sums.items()}
        if not isinstance(self.learner, SoftActorCritic):  # they tell of their own
            means["exploration/sigma"] = sigma
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
            "experience": self.experience.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.epoch = int(state["epoch"])
        self.learner.load_state_dict(state["learner"])
        self.noise.load_state_dict(state["noise"])
        self.experience.load_state_dict(state["experience"])

    def _collect(
        self,
        obs_BNF: Tensor,  # noqa: N803 - dimension letters, legend in marl/algos/base.py
        sigma: float,
        *,
        is_last: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One noisy step of all clouds into the buffer; next observations and what to log."""
        state = self.clouds.state()
        if isinstance(self.learner, SoftActorCritic):
            residual, self.memory = self.learner.explore(obs_BNF, self.memory)
        else:
            noise = self.noise.sample(sigma, self.learner.actor, obs_BNF)
            residual = self.learner.act(obs_BNF, noise)
        action = self.learner.actor.action(residual)
        played = self.clouds.play(self.spec.unpack_actions(action))
        step, earned, reward = played.step, played.earned_BN, played.reward_BN
        self.memory = forget(self.memory, step.terminated | step.truncated)
        if self.is_team:  # before it is normalised, so that the mean is the mean
            reward = reward.mean(1, keepdim=True).expand(-1, len(self.spec.agents))
        # The epoch's last step is a truncation for the learner: the next reset cuts the episode.
        truncated = torch.ones_like(step.truncated) if is_last else step.truncated
        self.learner.observe(obs_BNF, state)
        block = {
            "obs": obs_BNF.flatten(1),
            "state": state,
            "residual": residual.transpose(0, 1).flatten(1),
            "reward": reward,
            "end": torch.stack([step.terminated, truncated], 1).to(torch.float32),
        }
        if self.goals is not None:
            block["achieved"] = self.goals.achieved()
        self.experience.add(block)
        measured = {
            f"reward/{agent}": earned[:, i].mean() for i, agent in enumerate(self.spec.agents)
        }
        return self.spec.pack_obs(step.obs), {"reward": earned.mean(), **measured, **step.terms}

    def _learn(self, done: float) -> dict[str, Tensor]:
        """The updates after one decision."""
        measured: dict[str, Tensor] = {}
        for draw in self.experience.draws(self.config.updates_per_step, done):
            batch = self.experience.batch(draw)
            measured |= self.learner.update(batch)
            if self.config.priority is not None:
                self.experience.rate(draw, batch, self.learner.td_error())
        return measured

    def _new_experience(self, learner: MaddpgConfig | SacConfig) -> AnyExperience:
        generator = self._generator("replay")
        if isinstance(learner, SacConfig) and learner.has_memory:
            return SequenceExperience(
                self.config,
                self.spec,
                sequence=learner.sequence,
                burn_in=learner.burn_in,
                generator=generator,
                device=self.device,
            )
        fields = replay_fields(self.spec, self.goals)
        return Experience(
            self.config, len(self.spec.agents), fields, generator, self.device, self.goals
        )

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, purpose))


def _new_learner(
    config: MaddpgConfig | SacConfig,
    spec: TeamSpec,
    baseline: Tensor,
    generator: torch.Generator,
    device: torch.device | str,
) -> Maddpg | SoftActorCritic[Any]:
    if isinstance(config, MaddpgConfig):
        return Maddpg(config, spec, baseline, generator, device)
    learner = RecurrentSac if config.has_memory else Sac
    return learner(config, spec, baseline, generator, device)
