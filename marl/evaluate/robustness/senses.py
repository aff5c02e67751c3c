"""What monitoring gets wrong: values that are old, missing, zero or noisy.

The errors of a step follow from the environment's seed, the episode, the step and the cloud alone,
never from what a policy did: every policy meets the same ones. Where they are put in belongs to
`clouds`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.cloud.observation import LIMIT
from marl.cloud.weather import BLOCK
from marl.train.seeding import derive_seed

_DRAWS: Final[dict[str, Callable[..., Tensor]]] = {"missing": torch.rand, "noise": torch.randn}


@dataclass(frozen=True)
class Senses:
    """How wrong the metrics are; all zero: not at all.

    Attributes:
        stale_steps: how many steps old what is shown is; before that many have passed, the first.
        missing_share: chance of each metric at each step not to be there.
        is_zeroed: a missing metric reads 0; else it keeps its last value.
        noise_sigma: standard deviation of each metric's error over its value (Gaussian).
    """

    stale_steps: int = 0
    missing_share: float = 0.0
    is_zeroed: bool = False
    noise_sigma: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.stale_steps < 0 or self.noise_sigma < 0 or not 0 <= self.missing_share <= 1:
            raise ValueError(f"senses must be >= 0, a share at most 1; got {self}")

    @property
    def is_clear(self) -> bool:
        """Nothing is wrong with them."""
        return self == Senses() or self == Senses(is_zeroed=True)


@dataclass(frozen=True)
class Moment:
    """When something is drawn: what its random numbers follow from.

    Attributes:
        seed: of the environment.
        episode: since the seed was set.
        step: within the episode.
        clouds: how many different ones; copies of a cloud share their numbers.
        copies: of all clouds, copy by copy.
    """

    seed: int
    episode: int
    step: int
    clouds: int
    copies: int = 1

    def draw(self, what: str, width: int) -> Tensor:
        """(copies · clouds, width) numbers: uniform for "missing", normal for "noise"."""
        blocks = []
        for block in range(-(-self.clouds // BLOCK)):
            seed = derive_seed(self.seed, "senses", what, self.episode, self.step, block)
            rng = torch.Generator().manual_seed(seed)
            blocks.append(_DRAWS[what]((BLOCK, width), generator=rng))
        return torch.cat(blocks)[: self.clouds].repeat(self.copies, 1)


def misread(
    values: Tensor, before: Tensor | None, columns: slice, width: int, senses: Senses, now: Moment
) -> Tensor:
    """(B, F) what is read instead of `values`.

    Args:
        values: true (B, F).
        before: what was read at the step before; None at the first, which has nothing to keep.
        columns: where these metrics stand among all of the moment, so that each has its own error.
        width: number of all metrics.
        senses: how wrong; `stale_steps` is not done here.
        now: the moment.
    """
    read = values
    if senses.noise_sigma > 0:
        noise = now.draw("noise", width)[:, columns].to(values.device)
        read = read * (1.0 + senses.noise_sigma * noise)
    if senses.missing_share > 0:
        gone = now.draw("missing", width)[:, columns].to(values.device) < senses.missing_share
        kept = torch.zeros_like(read) if senses.is_zeroed else (read if before is None else before)
        read = torch.where(gone, kept, read)
    return read


def misread_observations(
    seen: Mapping[str, Tensor],
    before: Mapping[str, Tensor] | None,
    is_measured: Mapping[str, Tensor],
    first: int,
    senses: Senses,
    now: Moment,
) -> dict[str, Tensor]:
    """Agent → (B, F) what is read instead of the observations `seen`.

    Args:
        seen: agent → (B, F).
        before: what was read at the step before, if there was one.
        is_measured: agent → (F,) bool: columns that carry errors from their measurement already.
        first: metrics of the moment that stand before the observations'.
        senses: how wrong.
        now: the moment.
    """
    width = first + sum(rows.shape[1] for rows in seen.values())
    told, at = {}, first
    for agent, rows in seen.items():
        columns = slice(at, at + rows.shape[1])
        old = None if before is None else before[agent]
        read = misread(rows, old, columns, width, senses, now).clamp(-LIMIT, LIMIT)
        told[agent] = torch.where(is_measured[agent], rows, read)
        at = columns.stop
    return told


def older(loads: Tensor, steps: int) -> Tensor:
    """(W, …) a history, newest first, as it was `steps` before; its oldest entry fills the end."""
    lag = torch.arange(len(loads), device=loads.device) + steps
    return loads[lag.clamp_max(len(loads) - 1)]
