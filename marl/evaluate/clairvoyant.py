"""The clairvoyant planner: search over an episode's knobs, its whole weather known.

What no policy can do, and so the other end of the scale whose near end is the tuned rule: a lower
bound of what the best plan would earn. Plans are sought by slopes of the smooth clouds and judged
in the exact ones, where `plan_search` then goes on by chance. Learners that imitate its plans
belong to `marl.algos`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor

from marl.cloud.actions import SIZES
from marl.cloud.dynamics import Cloud, initial_state, knobs_from_actions, step
from marl.cloud.rounding import EXACT, SMOOTH, Rounding
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import Weather
from marl.envs.batched import BatchedEnv as CloudEnv
from marl.evaluate.plan_search import ClimbConfig, climbed
from marl.evaluate.plans import Plan
from marl.frozen import Frozen
from marl.train.seeding import derive_seed

if TYPE_CHECKING:
    from marl.train.env import BatchedEnv


class PlannerConfig(Frozen):
    """How a plan is sought.

    Attributes:
        hold_steps: steps that a decision is held; 12 (an hour) as the learners decide.
        iterations: gradient steps.
        learning_rate: of Adam (Kingma and Ba 2015), in units of the actions' range [-1, 1], at the
            start; it falls to a tenth along a cosine.
        clip: largest norm of one episode's gradient of its summed reward.
        window_steps: an episode is cut into windows of so many steps, which are climbed side by
            side as if they were so many more clouds: the same gradients in a fraction of the time.
        lookahead_steps: beyond its window, steps whose rewards a window's decisions are told of.
            What an order is worth later than that comes to light when the windows' states are
            renewed, which is at every judgement.
        judge_every: iterations between two judgements in the exact clouds.
    """

    hold_steps: int = Field(default=12, ge=1)
    iterations: int = Field(default=60, ge=0)
    learning_rate: float = Field(default=0.1, gt=0)
    clip: float = Field(default=1.0, gt=0)
    window_steps: int = Field(default=36, ge=1)
    lookahead_steps: int = Field(default=12, ge=0)
    judge_every: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _is_whole(self) -> "PlannerConfig":
        if self.window_steps % self.hold_steps:
            raise ValueError(
                f"window_steps ({self.window_steps}) must be whole decisions of {self.hold_steps}"
            )
        return self


def plan(
    cloud: Cloud,
    weather: Weather,
    start: Tensor,
    config: PlannerConfig,
    progress: Callable[[str], None] | None = None,
    state: CloudState | None = None,
) -> Plan:
    """Climb the smooth return of each episode from `start` on; keep what is best in exact rounding.

    No plan is worse than `start`: that is the first one judged. Gradients are taken around the
    states of the exact clouds.

    Args:
        cloud: what stays fixed.
        weather: of B whole episodes.
        start: (WIDTH,) actions of the tuned rule, or (D, WIDTH, B) of an earlier plan.
        config: how.
        progress: receives a line per judgement.
        state: of the clouds before the first step of `weather`; as an episode begins if absent.
    """
    say = progress or (lambda _: None)
    begun = initial_state(weather.at(0), cloud) if state is None else state
    batch = weather.packed.shape[-1]
    decisions = -(-len(weather) // config.hold_steps)
    if start.dim() == 1:
        start = start[None, :, None].expand(decisions, -1, batch)
    actions = start.to(cloud.params.device).clamp(-1.0, 1.0).clone().requires_grad_()
    windows = _Windows(cloud, weather, config)
    adam = torch.optim.Adam([actions], lr=config.learning_rate)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(
        adam, max(1, config.iterations), config.learning_rate / 10
    )
    first, states = judged(cloud, weather, actions.detach(), config, begun)
    best, kept = first, actions.detach().clone()
    for iteration in range(1, config.iterations + 1):
        adam.zero_grad()
        # Episodes do not touch each other: the gradient of the sum is each episode's own.
        windows.rewards(actions, states).sum().backward()
        gradient = cast(Tensor, actions.grad).neg_()
        norm = gradient.square().sum((0, 1)).sqrt()
        gradient.mul_((config.clip / norm.clamp_min(1e-12)).clamp_max(1.0)).nan_to_num_(nan=0.0)
        adam.step()
        fall.step()
        with torch.no_grad():
            actions.clamp_(-1.0, 1.0)
        if iteration % config.judge_every == 0 or iteration == config.iterations:
            reward, states = judged(cloud, weather, actions.detach(), config, begun)
            kept = torch.where(reward > best, actions.detach(), kept)
            best = torch.maximum(best, reward)
            gain, now = float((best - first).mean()), float((reward - first).mean())
            say(
                f"clairvoyant: {iteration} of {config.iterations}, {gain:+.4f} per step above the "
                f"start (now {now:+.4f})"
            )
    return Plan(kept, config.hold_steps, best, first)


def stages(iterations: int) -> tuple[PlannerConfig, ...]:
    """Hourly decisions first, then every quarter of an hour; `iterations` in all."""
    hourly = PlannerConfig(iterations=iterations // 2)
    finer = {"hold_steps": 3, "iterations": iterations - iterations // 2}
    return hourly, hourly.model_copy(update=finer)


def plan_in_stages(
    cloud: Cloud,
    weather: Weather,
    start: Tensor,
    configs: Sequence[PlannerConfig],
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """`plan` with each of `configs` in turn, from the plan before on: decisions ever shorter held.

    Raises:
        ValueError: decisions do not divide those before them.
    """
    found = plan(cloud, weather, start, configs[0], progress)
    for before, config in pairwise(configs):
        parts, rest = divmod(before.hold_steps, config.hold_steps)
        if rest:
            raise ValueError(
                f"decisions of {before.hold_steps} steps are not whole ones of {config.hold_steps}"
            )
        decisions = -(-len(weather) // config.hold_steps)
        begun = found.actions.repeat_interleave(parts, 0)[:decisions]
        finer = plan(cloud, weather, begun, config, progress)
        found = dataclasses.replace(finer, start_reward=found.start_reward)
    return found


def walk(
    cloud: Cloud,
    weather: Weather,
    state: CloudState,
    actions: Iterable[Tensor],
    rounding: Rounding,
) -> Iterator[tuple[CloudState, Tensor]]:
    """Step by step from the first step of `weather` on: the state before it, its (B,) mean reward.

    Args:
        cloud: what stays fixed.
        weather: of B clouds.
        state: the clouds before its first step.
        actions: (WIDTH, B) in [-1, 1] for each step.
        rounding: smooth for gradients, exact to judge.
    """
    for t, chosen in zip(range(len(weather)), actions, strict=True):
        before = state
        knobs = knobs_from_actions(chosen, cloud)
        state, outcome = step(before, knobs, weather.at(t), cloud, rounding)
        yield before, outcome.reward.mean(0)


@torch.no_grad()
def judged(
    cloud: Cloud, weather: Weather, actions: Tensor, config: PlannerConfig, state: CloudState
) -> tuple[Tensor, list[CloudState]]:
    """(B,) exact mean reward per step of decisions (D, WIDTH, B), and the windows' first states."""
    each = (actions[t // config.hold_steps] for t in range(len(weather)))
    total, states = torch.zeros_like(state.elapsed), []
    for t, (before, reward) in enumerate(walk(cloud, weather, state, each, EXACT)):
        if t % config.window_steps == 0:
            states.append(before)
        total = total + reward
    return total / len(weather), states


class _Windows:
    """All windows of an episode, climbed side by side: B clouds become W · B.

    Steps that lie beyond the episode's end repeat its last weather and earn nothing.
    """

    def __init__(self, cloud: Cloud, weather: Weather, config: PlannerConfig) -> None:
        steps, self._hold = len(weather), config.hold_steps
        starts = torch.arange(0, steps, config.window_steps)
        length = config.window_steps + config.lookahead_steps
        times = starts[:, None] + torch.arange(length)  # (W, L)
        self._cloud = cloud
        inside = (times < steps).to(weather.packed.dtype).t()  # (L, W)
        batch = weather.packed.shape[-1]
        self._weight = inside.repeat_interleave(batch, 1).to(weather.packed.device)
        times = times.clamp_max(steps - 1)
        packed = weather.packed[times].movedim(0, -2).flatten(-2)  # (L, rows, W · B)
        self._weather = dataclasses.replace(weather, packed=packed)
        self._decisions = times // config.hold_steps
        self._own = config.window_steps

    def rewards(self, actions: Tensor, states: list[CloudState]) -> Tensor:
        """(L, W · B) smooth rewards; a decision has gradients in the window it belongs to alone."""
        fixed = actions.detach()
        chosen = []
        for t in range(len(self._weight)):
            source = actions if t < self._own else fixed
            chosen.append(source[self._decisions[:, t]].movedim(0, -2).flatten(-2))
        walked = walk(self._cloud, self._weather, joined(states), chosen, SMOOTH)
        return torch.stack([reward for _, reward in walked]) * self._weight


def joined(states: Sequence[CloudState]) -> CloudState:
    """The clouds of several states side by side."""
    names = [field.name for field in dataclasses.fields(CloudState)]
    parts = {name: torch.cat([getattr(one, name) for one in states], -1) for name in names}
    return CloudState(**parts)


def by_agent(together: Tensor) -> dict[str, Tensor]:
    """Agent → (B, A_i) of (WIDTH, B) actions."""
    parts = together.split(SIZES)
    return {agent: part.t() for agent, part in zip(SERVICES, parts, strict=True)}


class ClairvoyantPolicy:
    """Plans each batch of episodes when it begins, and then acts as planned.

    Args:
        action: agent → the tuned rule's knobs in [-1, 1], which every plan starts from.
        configs: how plans are sought by slopes, stage by stage.
        climb: how they are then improved by chance; not at all if absent.
        clouds: how many of a batch's first clouds are planned for (the rest keep the tuned rule);
            all if absent. An evaluation of fewer episodes than a block of clouds saves time so.
        progress: receives a line per judgement.
    """

    name: Final = "clairvoyant"
    training_seed: int | None = None

    def __init__(
        self,
        action: Mapping[str, Tensor | Sequence[float]],
        configs: Sequence[PlannerConfig] | None = None,
        clouds: int | None = None,
        progress: Callable[[str], None] | None = None,
        climb: ClimbConfig | None = None,
    ) -> None:
        self.action = {agent: torch.as_tensor(values) for agent, values in action.items()}
        self.configs, self.climb = configs or stages(120), climb
        self.clouds = clouds
        self.plan: Plan | None = None
        self._actions = torch.empty(0)
        self._progress = progress
        self._step = 0

    def begin(self, env: "BatchedEnv", seed: int) -> None:
        """Plan for the weather of `env`, which has just been reset.

        Raises:
            TypeError: `env` is no simulated cloud, whose weather could be known.
        """
        if not isinstance(env, CloudEnv):
            raise TypeError(f"{self.name} plans in simulated clouds; got {type(env).__name__}")
        start = torch.cat([self.action[agent] for agent in SERVICES])
        wanted = env.num_envs if self.clouds is None else min(self.clouds, env.num_envs)
        weather = env.weather.first(wanted)
        found = plan_in_stages(env.cloud, weather, start, self.configs, self._progress)
        if self.climb is not None:
            rng = torch.Generator().manual_seed(derive_seed(seed, self.name))
            known = (env.cloud, weather, found, self.climb, rng)
            found = climbed(*known, env.exact_advance, self._progress)
        self.plan = found
        rest = start[None, :, None].expand(len(self.plan.actions), -1, env.num_envs - wanted)
        self._actions = torch.cat((self.plan.actions, rest.to(env.device)), -1)
        self._step = 0

    def act(self, obs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As planned, whatever is observed."""
        if self.plan is None:
            raise RuntimeError(f"{self.name} was asked to act before begin()")
        at = min(self._step // self.plan.hold_steps, len(self._actions) - 1)
        self._step += 1
        return by_agent(self._actions[at])
