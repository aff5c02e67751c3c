"""An episode's return as a function of actions or of a policy: what first-order learners climb.

In smooth rounding (`rounding.SMOOTH`) the return has gradients to every continuous action and to
the network that chose it; in exact rounding it is what evaluation would give. An episode may be cut
into windows, each begun at the state that the one before left, `detached` or not. The dynamics are
`dynamics`; learners belong to `marl.algos`. How true the smooth clouds are: docs/differentiable.md.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from marl.cloud.actions import WIDTH
from marl.cloud.dynamics import Cloud, initial_state, knobs_from_actions, step
from marl.cloud.figures import FIGURES
from marl.cloud.rounding import SMOOTH, Rounding
from marl.cloud.types import SERVICES, CloudState
from marl.cloud.weather import Weather

# Agent → (B, F) observations, as `BatchedEnv` gives them, to agent → (B, A) actions in [-1, 1].
Policy = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

_TEAM: Final = FIGURES.index("reward_team")
_T = TypeVar("_T")


def episode_return(
    cloud: Cloud,
    weather: Weather,
    actions: Tensor | Policy,
    start: int = 0,
    steps: int | None = None,
    state: CloudState | None = None,
    rounding: Rounding = SMOOTH,
) -> tuple[Tensor, CloudState]:
    """Mean team reward per step over a window of an episode.

    Args:
        cloud: what stays fixed.
        weather: of the episode; its B clouds are the batch.
        actions: (T, WIDTH, B) in [-1, 1], row i for step `start` + i, or (WIDTH, B) held through
            the window, or a policy. Outside [-1, 1] is clipped, as environments do: no gradient
            comes back from there.
        start: first step.
        steps: how many; to the episode's end if absent.
        state: the clouds before step `start`; `initial_state` of that step's weather if absent.
        rounding: smooth for gradients, exact to evaluate.

    Returns:
        (B,) mean team reward, and the state after the last step.

    Raises:
        ValueError: the window leaves the episode, or actions have the wrong shape.
    """
    steps = len(weather) - start if steps is None else steps
    if start < 0 or steps < 1 or start + steps > len(weather):
        raise ValueError(
            f"steps {start} .. {start + steps - 1} are not within the episode's {len(weather)}"
        )
    batch = weather.packed.shape[-1]
    if isinstance(actions, Tensor) and actions.shape not in {(steps, WIDTH, batch), (WIDTH, batch)}:
        raise ValueError(
            f"actions must be ({steps}, {WIDTH}, {batch}), or ({WIDTH}, {batch}) to be held; "
            f"got {tuple(actions.shape)}"
        )
    now = initial_state(weather.at(start), cloud) if state is None else state
    total = torch.zeros_like(now.elapsed)
    for t in range(start, start + steps):
        if isinstance(actions, Tensor):
            chosen = actions if actions.dim() == 2 else actions[t - start]
        else:
            chosen = chosen_by(actions, now, weather, t, cloud)
        knobs = knobs_from_actions(chosen.clamp(-1.0, 1.0), cloud)
        now, outcome = step(now, knobs, weather.at(t), cloud, rounding)
        total = total + outcome.figures[_TEAM]
    return total / steps, now


def chosen_by(
    policy: Policy, state: CloudState, weather: Weather, step: int, cloud: Cloud
) -> Tensor:
    """(WIDTH, B) what a policy does before a step; each agent sees its own observation alone."""
    features = cloud.observe(state, weather.told[step])
    actions = policy(cloud.show(features, state, weather, step))
    return torch.cat([actions[agent].t() for agent in SERVICES])


def detached(state: CloudState) -> CloudState:
    """The same clouds without their past: gradients of a later window end here."""
    return _mapped(state, Tensor.detach)


def in_double(value: _T) -> _T:
    """A cloud, state or weather with its float32 tensors in float64: for differences of returns."""
    return _mapped(value, lambda x: x.double() if x.dtype == torch.float32 else x)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(part, change) for part in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    parts = {f.name: _mapped(getattr(value, f.name), change) for f in dataclasses.fields(value)}
    return dataclasses.replace(value, **parts)
