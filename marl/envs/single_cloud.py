"""What the PettingZoo and Gymnasium faces share: one cloud, numpy in and out.

Tensors of a batch of one become arrays and floats, once a step. The faces add their API's shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from marl.cloud.actions import SIZES, WIDTH, knobs
from marl.cloud.observation import LIMIT
from marl.cloud.types import POOLS, SERVICES
from marl.cloud.weather import unpack
from marl.envs.batched import BatchedEnv
from marl.envs.levels import build_levels
from marl.envs.registry import make
from marl.envs.single_requests import RequestRows
from marl.envs.spaces import MaskedBox, MaskedMultiDiscrete, checked_face
from marl.levels import Levels

Array = NDArray[Any]
RENDER_MODES: Final = ("rgb_array",)
RENDER_SIZE: Final = (960, 640)  # width, height in pixels
_TIER: Final = POOLS.index("tier")
_ENDS: Final = tuple(int(end) for end in np.cumsum(SIZES))
SIZE_OF: Final = dict(zip(SERVICES, SIZES, strict=True))
_KNOBS_OF: Final = {
    agent: slice(end - SIZE_OF[agent], end) for agent, end in zip(SERVICES, _ENDS, strict=True)
}


@dataclass(frozen=True)
class Shown:
    """What one cloud shows between two steps.

    Attributes:
        state: (S,) global state.
        observations: agent to (F,).
        masks: agent to (A,), (A · L,) or (1 + 2 · A,) int8, by the face of the actions.
        requests: (R, fields).
        request_mask: (R,) int8.
    """

    state: Array
    observations: dict[str, Array]
    masks: dict[str, Array]
    requests: Array
    request_mask: Array


class SingleCloud:
    """One cloud of a batch of one, with Gymnasium's idea of an episode: no autoreset.

    The batched environment begins the next episode by itself; what it shows then is kept for the
    next `reset`, so that a sequence of episodes is the same on every face.
    """

    def __init__(
        self,
        actions: str = "continuous",
        levels: int = 5,
        centre: Mapping[str, Sequence[float]] | None = None,
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        """Take the arguments of `marl.envs.make`, except `num_envs`.

        Args:
            actions: "continuous", "grid" or "moves", see `marl.envs.discrete`.
            levels: of the discrete faces, see `build_levels`.
            centre: of the discrete faces, see `build_levels`.
            render_mode: None or "rgb_array".
            arguments: of `make`.

        Raises:
            ValueError: `num_envs` other than 1, an unknown face or mode, or what `make` refuses.
        """
        if arguments.pop("num_envs", 1) != 1:
            raise ValueError("this face holds one cloud; use marl.envs.make for a batch")
        if render_mode is not None and render_mode not in RENDER_MODES:
            raise ValueError(
                f"render_mode must be None or {RENDER_MODES[0]!r}; got {render_mode!r}"
            )
        self.face = checked_face(actions)
        self.levels: Levels = build_levels(levels, centre)
        self.render_mode = render_mode
        self.env: BatchedEnv = make(num_envs=1, **arguments)
        self.is_running = False
        self.requests = RequestRows(self.env.cloud.params)
        self._rows = {
            agent: rows.cpu().numpy()
            for agent, rows in zip(SERVICES, self.env.cloud.observed, strict=True)
        }
        self._set = np.full((1, WIDTH), self.levels.middle)
        self._shown: Shown | None = None
        self._is_begun = False
        self._is_review: list[bool] = []
        self._free_by_case: dict[tuple[bool, bool, bool], Array] = {}
        self._free: Array = np.ones((1, WIDTH), np.int8)
        self._history: list[Array] = []
        self._names = self.env.figure_names

    @property
    def shown(self) -> Shown:
        """What there is to see now; raises RuntimeError before the first reset."""
        if self._shown is None:
            raise RuntimeError("call reset() first")
        return self._shown

    def reset(self, seed: int | None) -> Shown:
        """The first things seen of the next episode, or of the seed's first."""
        if seed is not None or not self._is_begun:
            self.env.reset(seed)
        self._is_begun = False
        self.is_running = True
        weather = self.env.weather
        self.requests.begin(weather)
        # The steps of the one cloud stand where a batch of clouds would.
        hours = unpack(weather.packed[:, :, 0].t().contiguous(), weather.zones)
        self._is_review = (hours.is_review > 0).tolist()
        self._set = np.full((1, WIDTH), self.levels.middle)
        self._history = []
        self._look()
        return self.shown

    def step(self, choices: Mapping[str, Any]) -> tuple[list[float], bool, dict[str, float]]:
        """Rewards in the agents' order, whether the episode's time is up, and named quantities.

        Raises:
            RuntimeError: the episode is over or has not begun.
            ValueError: actions missing, of a wrong shape or type, out of range (discrete), or
                not numbers. The cloud is then as it was.
        """
        if not self.is_running:
            raise RuntimeError("the episode is over or has not begun: call reset()")
        if choices.keys() != _KNOBS_OF.keys():
            missing, unknown = set(SERVICES) - set(choices), set(choices) - set(SERVICES)
            raise ValueError(
                f"actions are for {SERVICES}; missing {sorted(missing)}, unknown "
                f"{sorted(str(one) for one in unknown)}"
            )
        if self.face == "continuous":
            numbers = [_numbers(agent, choices[agent]) for agent in SERVICES]
            with np.errstate(over="ignore"):  # too large for float32 is clipped like any other
                actions = np.concatenate(numbers, dtype=np.float32, casting="unsafe")
        else:
            indices = [self._choices(agent, choices[agent]) for agent in SERVICES]
            chosen = np.concatenate(indices, dtype=np.int64, casting="unsafe")
            if self.face == "grid":
                self._set = chosen[None]
            else:
                self._set = self.levels.moved(self._set, chosen[None], self._free)
            actions = self.levels.actions(self._set)[0]
        reward, figures, is_over = self.env.advance(self._joined(actions))
        if is_over:
            self._look_back()
        else:
            self._look()
        row = _numpy(figures)[:, 0]
        if self.render_mode is not None:
            self._history.append(row.copy())
        named = dict(zip(self._names, row.tolist(), strict=True))
        return _numpy(reward)[:, 0].tolist(), is_over, named

    def _joined(self, actions: Array) -> Tensor:
        """(WIDTH, 1) actions of all agents, clipped to [-1, 1]; refuses what is not a number."""
        missing = np.isnan(actions)
        if missing.any():
            bad = [agent for agent in SERVICES if missing[_KNOBS_OF[agent]].any()]
            raise ValueError(f"not-a-number in the actions of {bad}")
        clipped = np.minimum(np.maximum(actions, -1.0), 1.0)
        return torch.from_numpy(clipped)[:, None].to(self.env.device)

    def history(self) -> dict[str, Array]:
        """Named quantities of the episode, each (steps so far,).

        Raises:
            RuntimeError: no render mode was asked for, so nothing was kept.
        """
        if self.render_mode is None:
            raise RuntimeError('nothing is kept to draw: make it with render_mode="rgb_array"')
        if not self._history:
            return {}
        return dict(zip(self._names, np.stack(self._history, 1), strict=True))

    def render(self) -> Array:
        """(H, W, 3) uint8 picture of the episode so far; white before its first step."""
        from marl.envs.render import frame  # what draws is only needed where somebody looks

        steps = len(self._history)
        if not steps:
            return np.full((RENDER_SIZE[1], RENDER_SIZE[0], 3), 255, np.uint8)
        return frame(self.history(), steps - 1, RENDER_SIZE)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """A fresh space of one agent's action."""
        return space_of(self.face, SIZE_OF[agent], self.levels.count)

    def mask_size(self, agent: str) -> int:
        """Length of one agent's action mask."""
        size = SIZE_OF[agent]
        sizes = {"continuous": size, "grid": size * self.levels.count, "moves": 1 + 2 * size}
        return sizes[self.face]

    def observation_size(self, agent: str | None) -> int:
        """Length of an agent's observation, or of the global state."""
        names = self.env.state_names if agent is None else self.env.observation_names[agent]
        settings = WIDTH if agent is None else SIZE_OF[agent]
        return len(names) + (settings if self.face == "moves" else 0)

    def _choices(self, agent: str, choice: Any) -> Array:
        size = SIZE_OF[agent]
        shape, most = ((size,), self.levels.count) if self.face == "grid" else ((), 1 + 2 * size)
        array = np.asarray(choice)
        if array.dtype.kind not in "iu" or array.shape != shape:
            what = f"{shape} whole numbers" if shape else "one whole number"
            raise ValueError(f"action of {agent!r} must be {what}; got {choice!r}")
        if array.min() < 0 or array.max() >= most:
            got = array.tolist()
            raise ValueError(f"action of {agent!r} must be within 0 .. {most - 1}; got {got}")
        return array.reshape(-1)

    def _look(self) -> None:
        """Show the cloud as it is before the coming step."""
        env, step = self.env, self.env.step_index
        state = env.cloud_state
        # All that masks depend on; the masks of each case are the batched environment's.
        case = (
            bool(_numpy(state.pending_pools)[1:, _TIER, 0].any()),
            self._is_review[step],
            bool(_numpy(state.hyperdisk_wait)[0] <= 1.0),
        )
        if case not in self._free_by_case:
            masks = env.action_masks()
            self._free_by_case[case] = torch.cat([masks[a] for a in SERVICES], 1).cpu().numpy()
        self._free = self._free_by_case[case]
        rows, mask = self.requests.at(step, _numpy(state.served)[:, 0])
        self._show(_numpy(env.state())[0], rows, mask, self._masks())

    def _look_back(self) -> None:
        """Show the end of the episode: every action is open, as none will be taken."""
        env = self.env
        self.is_running, self._is_begun = False, True
        if env.final_state is None or env.final_requests is None:
            raise RuntimeError("an episode ended without a final state")
        requests = env.final_requests
        masks = {agent: np.ones(self.mask_size(agent), np.int8) for agent in SERVICES}
        rows, mask = _numpy(requests.values)[0], _numpy(requests.mask)[0].astype(np.int8)
        self._show(_numpy(env.final_state)[0], rows, mask, masks)

    def _show(self, state: Array, rows: Array, mask: Array, masks: dict[str, Array]) -> None:
        observations = {agent: state[own] for agent, own in self._rows.items()}
        for agent in self.env.cloud.params.config.request_agents:
            listed = np.clip(np.column_stack((rows, mask)), -LIMIT, LIMIT).ravel()
            observations[agent] = np.concatenate((observations[agent], listed), dtype=np.float32)
        if self.face == "moves":
            settings = self.levels.actions(self._set)[0]
            observations = {
                agent: np.concatenate((one, settings[_KNOBS_OF[agent]]))
                for agent, one in observations.items()
            }
            state = np.concatenate((state, settings))
        self._shown = Shown(state, observations, masks, rows, mask)

    def _masks(self) -> dict[str, Array]:
        if self.face == "continuous":
            joined, ends = self._free[0].copy(), _ENDS
        elif self.face == "grid":
            joined = self.levels.grid_masks(self._free)[0].view(np.int8)
            ends = tuple(end * self.levels.count for end in _ENDS)
        else:
            joined = self.levels.move_masks(self._set, self._free)[0].view(np.int8)
            ends = tuple(2 * end + i for i, end in enumerate(_ENDS, start=1))
        starts = (0, *ends[:-1])
        return {a: joined[i:j] for a, i, j in zip(SERVICES, starts, ends, strict=True)}


def space_of(face: str, size: int, levels: int) -> spaces.Space[Any]:
    """A space of `size` knobs on a face of the actions."""
    if face == "continuous":
        return MaskedBox(-1.0, 1.0, (size,), np.float32)
    if face == "grid":
        return MaskedMultiDiscrete([levels] * size)
    return spaces.Discrete(1 + 2 * size)


def _numbers(agent: str, action: Any) -> Array:
    """(A,) float32 of what somebody gave as an action."""
    array = np.asarray(action)
    if array.dtype.kind not in "fiu" or array.shape != (SIZE_OF[agent],):
        names = ", ".join(knob.name for knob in knobs(agent))
        raise ValueError(
            f"action of {agent!r} must be ({SIZE_OF[agent]},) numbers [{names}]; got "
            f"{array.shape} of {array.dtype}"
        )
    return array


def _numpy(tensor: Tensor) -> Array:
    """The numbers of a tensor, shared with it on a CPU."""
    return (tensor if tensor.device.type == "cpu" else tensor.cpu()).numpy()
