"""How a batch of clouds advances by one step: eagerly, or compiled (`compiled`).

One function from state, actions and weather to state, rewards, figures and features, so that both
ways share every line of the dynamics.
"""

from collections.abc import Callable

from torch import Tensor

from marl.cloud.compiled import CompiledStep, checked_mode
from marl.cloud.dynamics import Cloud, knobs_from_actions, step
from marl.cloud.types import CloudState
from marl.cloud.weather import unpack

# (state, (WIDTH, B) actions, (rows, B) weather, (told, B) foresight after the step, cloud) →
# (state, (S, B) reward, (figures, B), (features, B)).
Advance = Callable[
    [CloudState, Tensor, Tensor, Tensor, Cloud], tuple[CloudState, Tensor, Tensor, Tensor]
]


def eager(
    state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, cloud: Cloud
) -> tuple[CloudState, Tensor, Tensor, Tensor]:
    """One step, operation by operation; see `Advance`."""
    knob_values = knobs_from_actions(actions, cloud)
    after, outcome = step(state, knob_values, unpack(weather, cloud.params.config.zones), cloud)
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
    fused = CompiledStep(eager, cloud, device=cloud.params.device)

    def compiled(
        state: CloudState, actions: Tensor, weather: Tensor, told: Tensor, same: Cloud
    ) -> tuple[CloudState, Tensor, Tensor, Tensor]:
        if same is not cloud:
            raise ValueError("a compiled step serves only the cloud it was built for")
        return fused(state, actions, weather, told)

    return compiled
