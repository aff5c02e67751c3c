"""One run of a learner of discrete moves (QMIX, VDN): collect, update, evaluate, all its state.

The discrete sibling of `marl.train.trainer`, with the same interface to `marl.train.loop`, in the
same environments: a choice moves a knob around the tuned rule (`marl.train.moves`), and settings
are held like any decision. Of `TrainConfig` it does not use `noise*`: exploration is random choice
(`QmixConfig.epsilon_*`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from marl.algos.qmix import Qmix, QmixConfig
from marl.train.clouds import Clouds
from marl.train.config import TrainConfig
from marl.train.env import BatchedEnv, MakeEnv, open_knobs
from marl.train.experience import Experience, choice_fields
from marl.train.held_in import play_held_in, refuse_divergence
from marl.train.moves import Moves
from marl.train.players import MovesPlayer
from marl.train.seeding import derive_seed


class DiscreteTrainer:
    """Environments, learner, buffer and statistics of one run.

    Args:
        config: the run's settings; its learner is a QmixConfig.
        make_env: makes environments of continuous actions on the training split.
        baseline: agent → constant action (the tuned rule) where every episode's settings begin.
    """

    def __init__(
        self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
    ) -> None:
        learner: object = config.learner
        if not isinstance(learner, QmixConfig):
            raise TypeError(f"expected a QmixConfig; got {type(learner).__name__}")
        self.config = config
        self.clouds = Clouds(config, make_env, baseline)
        self.spec, self.device = self.clouds.spec, self.clouds.device
        self.moves = Moves(self.spec, baseline, learner.levels, learner.residual_bound, self.device)
        self.learner = Qmix(learner, self.moves.seen, self._generator("learner"), self.device)
        self._judge = MovesPlayer(
            Moves(self.spec, baseline, learner.levels, learner.residual_bound, self.device),
            self.learner.policy(),
        )
        self.experience = Experience(
            config,
            len(self.spec.agents),
            choice_fields(self.moves.seen),
            self._generator("replay"),
            self.device,
        )
        self.epoch = 0  # finished epochs

    @property
    def env(self) -> BatchedEnv:
        """Where it trains."""
        return self.clouds.env

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
        obs = self.clouds.begin(self.epoch)
        self.moves.begin(config.num_envs)
        is_learning = self.epoch >= config.warmup_epochs
        done = self.epoch / max(config.epochs - 1, 1)
        self.learner.anneal(done)
        rows: list[dict[str, Tensor]] = []
        decisions = config.epoch_steps // config.hold_steps
        for t in range(decisions):
            obs, measured = self._collect(obs, is_last=t == decisions - 1)
            if is_learning:
                measured |= self._learn(done)
            rows.append(measured)
        self.epoch += 1
        means = {name: float(sum(row[name] for row in rows)) / len(rows) for name in rows[0]}
        means["epsilon"] = self.learner.epsilon
        refuse_divergence(means, self.learner, self.epoch)
        return means

    def held_in_rewards(self, *, is_baseline: bool = False) -> Tensor:
        """(evaluate_envs,) mean reward per step of the policy, or of the baseline (`held_in`)."""
        env, hold = self.clouds.held_in_env, self.config.hold_steps
        self._judge.begin(env.num_envs)
        still = self._judge.moves.actions()

        def decide(obs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            return (
                still if is_baseline else self._judge.decide(obs, open_knobs(env, self.spec, hold))
            )

        return play_held_in(env, self.config, decide, self._judge.restart)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on; settings begin anew with each."""
        return {
            "epoch": self.epoch,
            "learner": self.learner.state_dict(),
            "experience": self.experience.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.epoch = int(state["epoch"])
        self.learner.load_state_dict(state["learner"])
        self.experience.load_state_dict(state["experience"])

    def _collect(
        self, obs: Mapping[str, Tensor], *, is_last: bool
    ) -> tuple[Mapping[str, Tensor], dict[str, Tensor]]:
        """One exploring decision of all clouds into the buffer; next observations, what to log."""
        seen, state = (
            self.moves.see(obs),
            torch.cat((self.clouds.state(), self.moves.settings()), 1),
        )
        knobs = open_knobs(self.env, self.spec, self.config.hold_steps)
        mask = self.moves.masks(knobs)
        choice = self.learner.act(seen, mask, self.learner.epsilon)
        played = self.clouds.play(self.moves.take(choice, knobs))
        step, reward = played.step, played.reward_BN.mean(1, keepdim=True)
        # The epoch's last step is a truncation for the learner: the next reset cuts the episode.
        truncated = torch.ones_like(step.truncated) if is_last else step.truncated
        self.moves.restart(step.terminated | step.truncated)
        self.learner.observe(seen, state)
        self.experience.add(
            {
                "obs": seen.flatten(1),
                "state": state,
                "choice": choice.to(torch.float32),
                "mask": mask.flatten(1),
                "reward": reward,
                "end": torch.stack([step.terminated, truncated], 1).to(torch.float32),
            }
        )
        earned = played.earned_BN
        return step.obs, {
            "reward": earned.mean(),
            **{f"reward/{a}": earned[:, i].mean() for i, a in enumerate(self.spec.agents)},
            **{
                f"kept/{a}": (choice[:, i] == 0).to(torch.float32).mean()
                for i, a in enumerate(self.spec.agents)
            },
        }

    def _learn(self, done: float) -> dict[str, Tensor]:
        """`updates_per_step` updates; figures of the last."""
        measured: dict[str, Tensor] = {}
        for draw in self.experience.draws(self.config.updates_per_step, done):
            batch = self.experience.choices(draw)
            measured = self.learner.update(batch)
            self.experience.rate(draw, batch, self.learner.error_B.abs())
        return measured

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, purpose))
