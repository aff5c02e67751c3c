"""How a batch of clouds advances by one step: eagerly, or compiled (`compiled`); exact or smooth.

One function from state, actions and weather to state, rewards, figures and features, so that all
ways share every line of the dynamics.
"""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from marl.cloud.compiled import CompiledStep, checked_mode
from marl.cloud.dynamics import Cloud, knobs_from_actions, step
from marl.cloud.rounding import EXACT, SMOOTH, Rounding
from marl.cloud.types import CloudState
from marl.cloud.weather import unpack

# (state, (WIDTH, B) actions, (rows, B) weather, (told, B) foresight after the step, cloud) →
# (state, (S, B) reward, (figures, B), (features, B)).
Advanced = tuple[CloudState, Tensor, Tensor, Tensor]
Advance = Callable[[CloudState, Tensor, Tensor, Tensor, Cloud], Advanced]


def eager(
    state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, cloud: Cloud
) -> Advanced:
    """One step, operation by operation; see `Advance`."""
    return advanced(state, actions, weather, told, cloud, EXACT)


def smooth(
    state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, cloud: Cloud
) -> Advanced:
    """The same in smooth rounding: gradients flow from all it returns to state and actions."""
    return advanced(state, actions, weather, told, cloud, SMOOTH)


def advanced(
    state: CloudState,
    actions: Tensor,
    weather: Tensor,
    told: Tensor,
    cloud: Cloud,
    rounding: Rounding,
) -> Advanced:
    """One step in any rounding; see `Advance`."""
    knobs, drawn = knobs_from_actions(actions, cloud), unpack(weather, cloud.params.config.zones)
    after, outcome = step(state, knobs, drawn, cloud, rounding)
    return after, outcome.reward, outcome.figures, cloud.observe(after, told)


def advance_for(mode: str, cloud: Cloud) -> Advance:
    """The way of `mode` to advance these clouds.

    Args:
        mode: "eager", or "compiled": fused kernels without gradients (`compiled.CompiledStep`).
        cloud: baked into the kernels.

    Raises:
        ValueError: an unknown mode.
        CompilerMissingError: "compiled" where there is no C++ compiler.
    """
    if checked_mode(mode) == "eager":
        return eager
    return _serving(cloud, CompiledStep(eager, cloud, device=cloud.params.device))


def smooth_for(mode: str, cloud: Cloud) -> Advance:
    """The way of `mode` to advance these clouds in smooth rounding, with gradients.

    Args:
        mode: "eager", or "compiled": fused kernels, those of the way back too. Where gradients are
            switched off it is eager all the same.
        cloud: baked into the kernels.

    Raises:
        ValueError: an unknown mode.
        CompilerMissingError: "compiled" where there is no C++ compiler.
    """
    if checked_mode(mode) == "eager":
        return smooth
    differentiable = CompiledStep(smooth, cloud, device=cloud.params.device, has_gradients=True)

    def fused(state: CloudState, actions: Tensor, weather: Tensor, told: Tensor) -> Advanced:
        if not torch.is_grad_enabled():
            return smooth(state, actions, weather, told, cloud)
        # Of what asks for gradients the kernels are made: always everything, so that one will do.
        parts = {
            field.name: _asking(getattr(state, field.name)) for field in dataclasses.fields(state)
        }
        return differentiable(CloudState(**parts), _asking(actions), weather, told)

    return _serving(cloud, fused)


def _serving(
    cloud: Cloud, fused: Callable[[CloudState, Tensor, Tensor, Tensor], Advanced]
) -> Advance:
    """What is built into `fused` as the `Advance` of that cloud, and of no other."""

    def compiled(
        state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, same: Cloud
    ) -> Advanced:
        if same is not cloud:
            raise ValueError("a compiled step serves only the cloud it was built for")
        return fused(state, actions, weather, told)

    return compiled


def _asking(x: Tensor) -> Tensor:
    return x if x.requires_grad else x.detach().requires_grad_()
