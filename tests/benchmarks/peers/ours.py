"""Our learners on `simple_spread`, through our own trainers."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.algos.maddpg import MaddpgConfig
from marl.algos.mappo import MappoConfig
from marl.algos.qmix import Qmix, QmixConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig
from marl.train.discrete import DiscreteTrainer
from marl.train.env import MakeEnv
from marl.train.experience import Experience, choice_fields
from marl.train.trainers import AnyTrainer, build_trainer
from tests.benchmarks.peers.spread import AGENTS, FORCES, STEPS, Budget, Spread

BASELINE = {f"agent_{i}": [0.0, 0.0] for i in range(AGENTS)}
Learner = MaddpgConfig | MappoConfig | QmixConfig


class Forces:
    """Choices among VMAS's discrete actions, in the place of `marl.train.moves.Moves`."""

    def __init__(self, spec: TeamSpec) -> None:
        self.spec = spec
        self.seen = TeamSpec(
            spec.agents, spec.obs_sizes, (len(FORCES),) * len(spec.agents), spec.state_size
        )

    def begin(self, clouds: int) -> None:
        """Nothing outlasts a step here, but how many there are."""
        self._clouds = clouds

    def restart(self, is_over_B: Tensor) -> None:  # noqa: N803 - as Moves
        """Nothing to do."""

    def settings(self) -> Tensor:
        """(B, 0): there are none."""
        return torch.zeros((self._clouds, 0))

    def see(self, obs: Mapping[str, Tensor]) -> Tensor:
        """(B, N, F)."""
        return self.seen.pack_obs(obs)

    def masks(self, open_BNA: Tensor) -> Tensor:  # noqa: N803
        """(B, N, 9): all are open."""
        return torch.ones((len(open_BNA), len(self.spec.agents), len(FORCES)))

    def take(self, choice_BN: Tensor, open_BNA: Tensor) -> dict[str, Tensor]:  # noqa: N803
        """Agent → (B, 2)."""
        return dict(zip(self.spec.agents, FORCES[choice_BN].unbind(1), strict=True))


class ForcesTrainer(DiscreteTrainer):
    """The trainer of discrete learners, choosing forces instead of moves of knobs."""

    def __init__(self, config: TrainConfig, make_env: MakeEnv, baseline: Mapping[str, Any]) -> None:
        super().__init__(config, make_env, baseline)
        forces = Forces(self.spec)
        self.moves = forces  # type: ignore[assignment]
        self.learner = Qmix(
            self.learner.config, forces.seen, self._generator("learner"), self.device
        )
        self.experience = Experience(
            config,
            len(self.spec.agents),
            choice_fields(forces.seen),
            self._generator("replay"),
            self.device,
        )


def learner_config(algorithm: str, budget: Budget) -> Learner:
    """The learner with the budget's networks and steps, everything else its own."""
    shared: dict[str, Any] = {"net": NetConfig(hidden=budget.hidden, has_layer_norm=False)}
    if algorithm == "mappo":
        return MappoConfig(
            **shared,
            actor_lr=budget.lr,
            critic_lr=budget.lr,
            passes=budget.passes,
            minibatches=budget.minibatches,
            residual_bound=1.0,
            sigma=0.6,
        )
    if algorithm == "qmix":
        return QmixConfig(
            **shared,
            lr=budget.lr,
            tau=budget.tau,
            epsilon_start=1.0,
            hyper_hidden=0,  # TorchRL's mixer has none
            first_bonus=0.0,  # no choice is "keep everything" here
            first_margin=0.0,
        )
    return MaddpgConfig(
        **shared,
        actor_lr=budget.lr,
        critic_lr=budget.lr,
        tau=budget.tau,
        residual_bound=1.0,
        action_gain=1.0,
        actor_warmup=0,
    )


def trainer(algorithm: str, budget: Budget, seed: int, **changes: Any) -> AnyTrainer:
    """A trainer of `budget.iterations` epochs; the first is collected without updates."""
    learner = learner_config(algorithm, budget)
    learner = learner.model_copy(update=changes.pop("learner", {}))
    settings: dict[str, Any] = {
        "learner": learner,
        "seed": seed,
        "epochs": budget.iterations,
        "epoch_steps": STEPS,
        "hold_steps": 1,
        "num_envs": budget.envs,
        "warmup_epochs": 1,
        "updates_per_step": max(1, budget.updates // STEPS),
        "batch_size": budget.batch,
        "capacity": 1_000_000,
        "gamma": budget.gamma,
        "noise": "gaussian",
        "noise_sigma": 0.6,
        "noise_sigma_end": 0.1,
        "evaluate_envs": 1,
        "critic_horizon": 0,
        "is_relative": False,
    }
    config = TrainConfig(**{**settings, **changes})
    if algorithm == "qmix":
        return ForcesTrainer(config, Spread, BASELINE)
    return build_trainer(config, Spread, BASELINE)


def player(trained: AnyTrainer) -> Callable[[Tensor], Tensor]:
    """(B, N, F) → (B, N, 2), without exploration."""
    learner: Any = trained.learner
    if isinstance(learner, Qmix):
        every = torch.ones((1, AGENTS, len(FORCES)))
        return lambda obs: FORCES[learner.act(obs, every.expand(len(obs), -1, -1))]
    actor = learner.policy()
    return lambda obs: actor.action(actor(obs))
