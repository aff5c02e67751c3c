"""Which trainer a configuration asks for, and what the loop asks of any of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from marl.algos.base import TeamSpec
from marl.algos.first_order import FirstOrderConfig
from marl.algos.hindsight import HindsightLearnerConfig
from marl.algos.maddpg import MaddpgConfig
from marl.algos.mappo import MappoConfig
from marl.algos.qmix import QmixConfig
from marl.nets.actor import TeamActor
from marl.nets.utilities import TeamUtility
from marl.train.config import TrainConfig
from marl.train.discrete import DiscreteTrainer
from marl.train.env import BatchedEnv, MakeEnv
from marl.train.first_order import FirstOrderTrainer
from marl.train.hindsight import HindsightTrainer
from marl.train.on_policy import OnPolicyTrainer
from marl.train.trainer import Trainer


class AnyLearner(Protocol):
    """What the loop reads of a learner."""

    @property
    def updates(self) -> int:
        """Gradient steps so far."""
        ...

    def policy(self) -> TeamActor | TeamUtility:
        """The networks that are kept, without exploration."""
        ...


class AnyTrainer(Protocol):
    """What `marl.train.loop` asks of a trainer: off-policy, on-policy, first-order, discrete."""

    epoch: int

    @property
    def config(self) -> TrainConfig:
        """The run's settings."""
        ...

    @property
    def spec(self) -> TeamSpec:
        """Sizes of the team."""
        ...

    @property
    def env(self) -> BatchedEnv:
        """Where it trains."""
        ...

    @property
    def learner(self) -> AnyLearner:
        """What learns."""
        ...

    @property
    def env_steps(self) -> int:
        """Steps of single clouds so far."""
        ...

    def run_epoch(self) -> dict[str, float]:
        """Collect and update for one epoch; figures for the tracker."""
        ...

    def held_in_rewards(self, *, is_baseline: bool = False) -> Tensor:
        """(episodes,) mean reward per step of the policy, or of the baseline."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue with the same bits."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        ...


def build_trainer(
    config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Sequence[float]]
) -> AnyTrainer:
    """The trainer of `config.learner`; arguments as for `loop.train`.

    Raises:
        ValueError: MADDPG with discrete choices, which knobs are not.
    """
    if isinstance(config.learner, MaddpgConfig) and config.learner.is_discrete:
        raise ValueError(
            "maddpg's is_discrete is for games of choices; here actions are knobs: leave it false, "
            "or train qmix or vdn on moves of knobs"
        )
    if isinstance(config.learner, MappoConfig):
        return OnPolicyTrainer(config, make_env, baseline)
    if isinstance(config.learner, HindsightLearnerConfig):
        return HindsightTrainer(config, make_env, baseline)
    if isinstance(config.learner, FirstOrderConfig):
        return FirstOrderTrainer(config, make_env, baseline)
    if isinstance(config.learner, QmixConfig):
        return DiscreteTrainer(config, make_env, baseline)
    return Trainer(config, make_env, baseline)
