"""Replay of whole episodes, for learners with memory (recurrent networks, transformers).

Episodes may differ in length; what lies beyond an episode's end is zero, and a mask says so. What
the fields mean belongs to the learner.
"""
# ruff: noqa: N815 - dimension letters as suffixes, legend in marl/algos/base.py

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from marl.replay.ring import RingReplay


@dataclass(frozen=True)
class EpisodeBatch:
    """Sampled sequences, time first.

    Attributes:
        fields: name → (T, B, width).
        is_valid_TB: false beyond an episode's end.
        index_B: which slot each sequence came from.
        start_B: the step within its episode at which each sequence begins.
    """

    fields: dict[str, Tensor]
    is_valid_TB: Tensor
    index_B: Tensor
    start_B: Tensor


class EpisodeReplay:
    """A ring buffer of episodes with uniform sampling.

    Args:
        capacity: most episodes kept.
        steps: the longest episode.
        fields: name → width per step; float32.
        device: where the tensors live.
    """

    def __init__(
        self,
        capacity: int,
        steps: int,
        fields: Mapping[str, int],
        device: torch.device | str = "cpu",
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1; got {steps}")
        self.steps = steps
        self.widths = dict(fields)
        # One row of the ring is an episode: all its steps, then its length.
        self._ring = RingReplay(
            capacity, {"steps": steps * sum(self.widths.values()), "length": 1}, device=device
        )
        self.capacity = self._ring.capacity

    def __len__(self) -> int:
        """Episodes stored."""
        return len(self._ring)

    def add(self, episodes: Mapping[str, Tensor], length_B: Tensor) -> None:  # noqa: N803
        """Append B finished episodes, overwriting the oldest.

        Args:
            episodes: name → (T, B, width), T at most `steps`; what lies beyond an episode's length
                is ignored.
            length_B: steps of each, 1 .. T.

        Raises:
            ValueError: a field or a shape does not fit, or a length is out of range.
        """
        if episodes.keys() != self.widths.keys():
            raise ValueError(f"expected the fields {sorted(self.widths)}; got {sorted(episodes)}")
        long, count = next(iter(episodes.values())).shape[:2]
        for name, values in episodes.items():
            if values.shape != (long, count, self.widths[name]):
                raise ValueError(
                    f"{name} must be ({long}, {count}, {self.widths[name]}); got "
                    f"{tuple(values.shape)}"
                )
        if long > self.steps or length_B.shape != (count,):
            raise ValueError(
                f"{long} steps and lengths {tuple(length_B.shape)} of {count} episodes; at most "
                f"{self.steps} steps are kept"
            )
        if bool(((length_B < 1) | (length_B > long)).any()):
            raise ValueError(f"lengths must be within 1 .. {long}; got {length_B.tolist()}")
        joined = torch.cat([episodes[name].to(torch.float32) for name in self.widths], 2)
        is_valid = torch.arange(long, device=joined.device)[:, None] < length_B.to(joined.device)
        joined = torch.where(is_valid[..., None], joined, 0.0).transpose(0, 1)
        padded = torch.nn.functional.pad(joined, (0, 0, 0, self.steps - long))
        self._ring.add({"steps": padded.flatten(1), "length": length_B[:, None]})

    def sample(
        self, count: int, generator: torch.Generator, window: int | None = None
    ) -> EpisodeBatch:
        """Draw episodes uniformly, with replacement.

        Args:
            count: how many.
            generator: the caller's random state.
            window: only this many consecutive steps of each, from a start drawn uniformly among
                those that fit (an episode shorter than the window is given whole); all if None.
        """
        window = self.steps if window is None else window
        if not 1 <= window <= self.steps:
            raise ValueError(f"window must be within 1 .. {self.steps}; got {window}")
        index = self._ring.sample(count, generator)
        length = self._ring.fields["length"][index, 0].to(torch.int64)
        starts = (length - window).clamp(min=0) + 1  # how many there are
        drawn = torch.rand(count, dtype=torch.float64, generator=generator).to(index.device)
        start = (drawn * starts).to(torch.int64)
        width = sum(self.widths.values())
        whole = self._ring.fields["steps"].unflatten(1, (self.steps, width))
        # Gathered step by step, so that short windows of long episodes are cheap.
        step = start + torch.arange(window, device=index.device)[:, None]  # (T, B)
        is_valid = step < length
        values = whole[index, step.clamp(max=self.steps - 1)] * is_valid[..., None]
        parts = values.split(list(self.widths.values()), 2)
        return EpisodeBatch(dict(zip(self.widths, parts, strict=True)), is_valid, index, start)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue; as `RingReplay.state_dict`, no copy."""
        return {"steps": self.steps, "widths": dict(self.widths), "ring": self._ring.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()` of a replay of the same shape."""
        found = (int(state["steps"]), dict(state["widths"]))
        if found != (self.steps, self.widths):
            raise ValueError(f"expected {(self.steps, self.widths)}; got {found}")
        self._ring.load_state_dict(state["ring"])
