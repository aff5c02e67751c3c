"""A run's experience as sequences, for learners with memory; the sibling of `Experience`.

An epoch of every cloud is one stored episode, cut again by `begin` where the environment began
anew within it. How memories are replayed belongs to `marl.algos.sac_gru`.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.algos.sac_gru import SequenceBatch, sequence_batch
from marl.nets.norm import RunningNorm
from marl.replay.episodes import EpisodeBatch, EpisodeReplay
from marl.train.config import TrainConfig
from marl.train.experience import replay_fields


class SequenceExperience:
    """Buffer and reward statistics of one run.

    `capacity` and `batch_size` count decisions, as of other learners: a batch holds as many
    sequences as make up its size.

    Args:
        config: the run's settings.
        spec: sizes of the team.
        sequence: decisions of a drawn sequence, or the epoch's where that is shorter.
        burn_in: see SacConfig.
        generator: the random state of all drawing.
        device: where the buffer lives.

    Raises:
        ValueError: settings that only single decisions can serve, or no room for an epoch.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: TeamSpec,
        *,
        sequence: int,
        burn_in: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        if config.priority is not None or config.hindsight is not None:
            raise ValueError(f"{config.learner.name} draws sequences: no priority, no hindsight")
        decisions = config.epoch_steps // config.hold_steps
        if config.capacity < decisions * config.num_envs:
            raise ValueError(
                f"capacity {config.capacity} holds no epoch of {decisions} decisions of "
                f"{config.num_envs} clouds"
            )
        self.config, self.spec, self.generator = config, spec, generator
        self.window = min(sequence, decisions)
        self.burn_in = burn_in if self.window == sequence else 0  # whole epochs need none
        self.replay = EpisodeReplay(
            config.capacity // decisions, decisions, {**replay_fields(spec), "begin": 1}, device
        )
        # Not clipped: rare, large losses are what reliability is about.
        self.reward_norm = RunningNorm((len(spec.agents),), clip=math.inf).to(device)
        self._steps: list[dict[str, Tensor]] = []  # of the present epoch

    def add(self, block: Mapping[str, Tensor]) -> None:
        """Store one step of all clouds; an epoch can be drawn once it is over."""
        self.reward_norm.update(block["reward"])
        before = self._steps[-1]["end"] if self._steps else torch.ones_like(block["end"])
        self._steps.append({**block, "begin": before.amax(1, keepdim=True)})
        if len(self._steps) == self.replay.steps:
            names = self._steps[0]
            episodes = {name: torch.stack([one[name] for one in self._steps]) for name in names}
            self._steps = []
            length = torch.full((episodes["end"].shape[1],), self.replay.steps)
            self.replay.add(episodes, length)

    def draws(self, updates: int, done: float) -> Iterator[EpisodeBatch]:
        """Sequences for each of `updates` batches; `done` has no effect."""
        count = max(1, self.config.batch_size // self.window)
        for _ in range(updates):
            yield self.replay.sample(count, self.generator, self.window)

    def batch(self, draw: EpisodeBatch) -> SequenceBatch:
        """The sequences drawn, rewards normalised as they are now."""
        return sequence_batch(
            draw.fields,
            self.reward_norm(draw.fields["reward"]),
            len(self.spec.agents),
            gamma=self.config.gamma,
            n_step=self.config.n_step,
            burn_in=self.burn_in,
        )

    def rate(self, draw: EpisodeBatch, batch: SequenceBatch, error_B: Tensor) -> None:  # noqa: N803 - see base.py
        """Refused: sequences are drawn uniformly.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("sequences have no priorities")

    def state_dict(self) -> dict[str, Any]:
        """Sequences, statistics, random state; between epochs only."""
        if self._steps:
            raise RuntimeError("an epoch's sequences are stored at its end")
        return {
            "replay": self.replay.state_dict(),
            "reward_norm": self.reward_norm.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()`."""
        self.replay.load_state_dict(state["replay"])
        self.reward_norm.load_state_dict(state["reward_norm"])
        self.generator.set_state(state["generator"])
