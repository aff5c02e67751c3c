"""BenchMARL's learners on `simple_spread`, with the budget's numbers and otherwise its defaults."""

import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from benchmarl.algorithms import MaddpgConfig, MappoConfig, QmixConfig
from benchmarl.environments import VmasTask
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from tests.benchmarks.peers.spread import FORCES, Budget

KINDS = {"maddpg": MaddpgConfig, "mappo": MappoConfig, "qmix": QmixConfig}


class Clock(Callback):
    """Remembers (wall, CPU) seconds at the end of every iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps: list[tuple[float, float]] = []

    def on_train_end(self, training_td: Any, group: str) -> None:
        """An iteration's updates are done."""
        self.stamps.append((time.perf_counter(), time.process_time()))


def experiment(algorithm: str, budget: Budget, seed: int, folder: str, clock: Clock) -> Experiment:
    """The budget's numbers in BenchMARL's words."""
    config = ExperimentConfig.get_from_yaml()
    rows = budget.frames_each
    for name, value in {
        "share_policy_params": False,
        "gamma": budget.gamma,
        "lr": budget.lr,
        "polyak_tau": budget.tau,
        "max_n_frames": budget.frames,
        "on_policy_collected_frames_per_batch": rows,
        "on_policy_n_envs_per_worker": budget.envs,
        "on_policy_n_minibatch_iters": budget.passes,
        "on_policy_minibatch_size": rows // budget.minibatches,
        "off_policy_collected_frames_per_batch": rows,
        "off_policy_n_envs_per_worker": budget.envs,
        "off_policy_n_optimizer_steps": budget.updates,
        "off_policy_train_batch_size": budget.batch,
        "evaluation": False,
        "render": False,
        "loggers": [],
        "create_json": False,
        "save_folder": folder,
        "evaluation_episodes": 1,
    }.items():
        if not hasattr(config, name):
            raise AttributeError(f"BenchMARL has no setting {name}")
        setattr(config, name, value)
    network = MlpConfig(
        num_cells=list(budget.hidden), layer_class=nn.Linear, activation_class=nn.ReLU
    )
    return Experiment(
        task=VmasTask.SIMPLE_SPREAD.get_from_yaml(),
        algorithm_config=KINDS[algorithm].get_from_yaml(),
        model_config=network,
        critic_model_config=network,
        seed=seed,
        config=config,
        callbacks=[clock],
    )


def run(algorithm: str, budget: Budget, seed: int) -> tuple[list[Any], Callable[[Tensor], Tensor]]:
    """Train; the clock after each iteration, and the policy without exploration."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trained = experiment(algorithm, budget, seed, folder, clock)
        trained.run()
    return clock.stamps, player(trained.policy)


def player(policy: Any) -> Callable[[Tensor], Tensor]:
    """(B, N, F) → (B, N, 2)."""

    def act(obs: Tensor) -> Tensor:
        seen = TensorDict({"agents": {"observation": obs}}, batch_size=obs.shape[:1])
        with set_exploration_type(ExplorationType.DETERMINISTIC), torch.no_grad():
            action = policy(seen)["agents", "action"]
        return action if action.is_floating_point() else FORCES[action]

    return act
