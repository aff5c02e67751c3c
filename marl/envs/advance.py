"""How a batch of clouds advances by one step: eagerly, or compiled (`compiled`); exact or smooth.

One function from state, actions and weather to state, rewards, figures and features, so that all
ways share every line of the dynamics.
"""

import dataclasses
from collections.abc import Callable
from typing import Final

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

# Clouds in a call of a compiled step that serves any number of them. As many as a search for
# baselines plays at once (`marl.evaluate.scorers`: 12 candidates in 96 episodes, 24 in 48), so that
# one set of kernels will do.
BLOCK: Final = 1152


def exact(
    state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, cloud: Cloud
) -> Advanced:
    """One step in exact rounding, operation by operation; see `Advance`."""
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
        return exact
    return _serving(cloud, CompiledStep(exact, cloud, device=cloud.params.device))


def any_number(advance: Advance, block: int = BLOCK) -> Advance:
    """A way to advance `block` clouds, for any number: block by block, the last one filled up.

    Filling up costs less than compiling once more for another number, or than going on eagerly.
    """

    def blocks(
        state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, cloud: Cloud
    ) -> Advanced:
        count = actions.shape[-1]
        if count == block:
            return advance(state, actions, weather, told, cloud)
        done = []
        for first in range(0, count, block):
            cut = _Cut(first, min(block, count - first), block)
            parts = {f.name: cut(getattr(state, f.name)) for f in dataclasses.fields(state)}
            rest = cut(actions), cut(weather), cut(told)
            done.append((cut.size, advance(CloudState(**parts), *rest, cloud)))
        return _joined(done)

    return blocks


@dataclasses.dataclass(frozen=True)
class _Cut:
    """Columns `first` .. `first + size - 1` of a tensor, then its last one again up to `block`."""

    first: int
    size: int
    block: int

    def __call__(self, x: Tensor) -> Tensor:
        own = x[..., self.first : self.first + self.size]
        if self.size == self.block:
            return own.contiguous()
        more = own[..., -1:].expand(*own.shape[:-1], self.block - self.size)
        return torch.cat((own, more), -1)


def _joined(blocks: list[tuple[int, Advanced]]) -> Advanced:
    """Outcomes of blocks of clouds side by side, each block's first `size` ones."""

    def join(parts: list[Tensor]) -> Tensor:
        kept = [x[..., :size] for x, (size, _) in zip(parts, blocks, strict=True)]
        return torch.cat(kept, -1) if len(kept) > 1 else kept[0].contiguous()

    names = [field.name for field in dataclasses.fields(CloudState)]
    state = {name: join([getattr(done[0], name) for _, done in blocks]) for name in names}
    _, rewards, figures, features = zip(*(done for _, done in blocks), strict=True)
    return CloudState(**state), join(list(rewards)), join(list(figures)), join(list(features))


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
