"""Calibration of trained actors: how far each knob's residuals reach, and a constant beside them.

First-order learners climb the return of smooth clouds, which is not quite that of the clouds that
policies are judged in, and every learner's knobs tremble with what it observes, which costs
restarts. Both are mended by a few numbers a knob, so few that they can be searched where it counts:
an evolution strategy in the exact clouds (rank-weighted recombination of μ of λ candidates:
Rechenberg 1973; Hansen 2023, arXiv:1604.00772, equation 6; step sizes stay). Candidates of a
generation are compared in the same weather, each generation has weather of its own, all of it from
the training split.
"""
# ruff: noqa: N803, N806 - dimension letters as suffixes, P candidates; legend in marl/algos/base.py

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol, cast

import torch
from pydantic import Field
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.frozen import Frozen
from marl.nets.actor import TeamActor
from marl.train.env import BatchedEnv, MakeEnv
from marl.train.hold import held_step
from marl.train.seeding import derive_seed

if TYPE_CHECKING:
    from marl.train.config import TrainConfig

_LARGEST_GAIN: Final = 2.0


class CalibrationConfig(Frozen):
    """Settings of the search; the defaults are what the profiles use.

    Attributes:
        generations: how often all candidates are played.
        candidates: λ, settings in each generation; the best quarter of them is recombined.
        episodes: played by each candidate of a generation.
        gain_step: standard deviation of changes of a gain.
        shift_step: standard deviation of changes of a shift, in action units.
        share: chance that a candidate changes a number at all. A change of all numbers at once
            would drown each in the noise of the others.
    """

    generations: int = Field(default=24, ge=1)
    candidates: int = Field(default=24, ge=4)
    episodes: int = Field(default=48, ge=1)
    gain_step: float = Field(default=0.25, ge=0)
    shift_step: float = Field(default=0.05, ge=0)
    share: float = Field(default=0.2, gt=0, le=1)

    def env_steps(self, episode_steps: int) -> int:
        """Steps of single clouds that the search plays."""
        return self.generations * self.candidates * self.episodes * episode_steps


class _Copying(BatchedEnv, Protocol):
    """Environments that candidates can be compared in."""

    def copies(self, count: int) -> BatchedEnv:
        """As many times the same episodes, copy by copy (`marl.envs.batched`)."""
        ...


@torch.no_grad()
def calibrate(
    actor: TeamActor,
    spec: TeamSpec,
    make_env: MakeEnv,
    config: "TrainConfig",
    search: CalibrationConfig,
    say: Callable[[str], None],
) -> Iterator[dict[str, float]]:
    """Move the actors' `gain` and `shift` to where they earn most, a generation at a time.

    Args:
        actor: trained; changed when the last generation has been played.
        spec: of the team.
        make_env: environments on the training split that have `copies`.
        config: of the run: its seed, how long episodes are and decisions last.
        search: how to search.
        say: receives a line at the end.

    Yields:
        Figures of each generation: `calibration/reward` of the setting it began with,
        `calibration/spread` over candidates.

    Raises:
        ValueError: the environments cannot be copied.
    """
    generator = torch.Generator().manual_seed(derive_seed(config.seed, "calibration"))
    step = torch.stack(
        (
            torch.full_like(actor.gain, search.gain_step),
            torch.full_like(actor.shift, search.shift_step),
        )
    ) * spec.action_mask().to(actor.gain.device)
    mean_2NA = torch.stack((actor.gain, actor.shift))
    weights = _weights(search.candidates // 4).to(mean_2NA.device)
    for generation in range(search.generations):
        seed = derive_seed(config.seed, "calibration", generation)
        drawn = torch.randn((search.candidates, *step.shape), generator=generator)
        is_moved = torch.rand(drawn.shape, generator=generator) < search.share
        is_moved[0] = False  # the setting so far, to be told of
        candidates = mean_2NA + (drawn * is_moved).to(step.device) * step
        candidates[:, 0].clamp_(0.0, _LARGEST_GAIN)
        env = _copies(make_env(search.episodes, seed), seed, search.candidates)
        reward = _rewards(env, actor, spec, config, candidates)
        best = reward.topk(len(weights)).indices
        mean_2NA = torch.tensordot(weights, candidates[best], 1)
        yield {
            "calibration/reward": float(reward[0]),
            "calibration/spread": float(reward.std()),
        }
    actor.gain.copy_(mean_2NA[0])
    actor.shift.copy_(mean_2NA[1])
    moved = (mean_2NA[1].abs() > search.shift_step / 2).sum()
    say(f"calibrated: {int(moved)} of {int((step[1] > 0).sum())} knobs shifted by half a step")


def _weights(parents: int) -> Tensor:
    """(μ,) weights of the best candidates, falling with the logarithm of their rank; sum 1."""
    ranks = torch.arange(1, parents + 1)
    weights = math.log(parents + 0.5) - ranks.log()
    return weights / weights.sum()


def _copies(env: BatchedEnv, seed: int, count: int) -> BatchedEnv:
    if not hasattr(env, "copies"):
        raise ValueError(
            f"calibration compares candidates in copies of the same episodes, which "
            f"{type(env).__name__} has none of: give it `copies`, or train without `calibration`"
        )
    env.reset(seed=seed)
    return cast(_Copying, env).copies(count)


def _rewards(
    env: BatchedEnv,
    actor: TeamActor,
    spec: TeamSpec,
    config: "TrainConfig",
    candidates_P2NA: Tensor,
) -> Tensor:
    """(P,) mean reward per step of each candidate."""
    count = len(candidates_P2NA)
    episodes = env.num_envs // count
    gain, shift = candidates_P2NA.repeat_interleave(episodes, 0).unbind(1)
    memory = actor.begin(env.num_envs)
    obs = env.reset()
    total = torch.zeros(env.num_envs, dtype=torch.float64, device=gain.device)
    for _ in range(config.epoch_steps // config.hold_steps):
        residual, memory = actor.step(spec.pack_obs(obs), memory)
        actions = spec.unpack_actions(actor.calibrated(residual, gain, shift))
        played = held_step(env, actions, config.hold_steps)
        total += torch.stack([played.reward[agent] for agent in env.agents]).mean(0)
        obs = played.obs
    return total.view(count, episodes).mean(1) / (config.epoch_steps // config.hold_steps)
