"""Prioritised replay, proportional variant, on top of the ring.

Schaul, Quan, Antonoglou and Silver 2016, arXiv:1511.05952, section 3.3 and algorithm 1: row i is
drawn with probability P(i) = p_i^α / Σ_k p_k^α, and its update is weighted with (N · P(i))^−β.
Which error a priority is made of belongs to the learner.

Instead of the paper's binary tree, priorities lie in blocks of 16 with their running sums beside
them: a draw is one search among the running sums of all blocks and one within the block, for a
whole batch at once. Several batches may be drawn under the same priorities; the ascending search
then finds what it needs in the cache (`tests/benchmarks/bench_replay.py`). Sums are taken anew from
their block at every change, so rounding does not pile up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from marl.frozen import Frozen
from marl.replay.ring import RingReplay

_BLOCK: Final = 16
_BELOW_ONE: Final = 1.0 - 1e-12


class PriorityConfig(Frozen):
    """Hyper-parameters, with the values the paper chose for the proportional variant.

    Attributes:
        alpha: how much priorities count; 0 is uniform.
        beta: how much of the sampling's bias the weights take back at the start of a run; rises
            linearly to 1 at its end.
        epsilon: added to every error, so that no row is lost for ever.
        draws: batches drawn at once, under the same priorities and with the weights that belong to
            them, which is cheaper than one by one (Horgan et al. 2018, arXiv:1803.00933, draw up
            to 16 batches ahead); never more than there are updates until new steps arrive.
    """

    alpha: float = Field(default=0.6, ge=0)
    beta: float = Field(default=0.4, ge=0, le=1)
    epsilon: float = Field(default=1e-6, gt=0)
    draws: int = Field(default=32, ge=1)


@dataclass(frozen=True)
class Draw:
    """A sample: `index_B` of rows, and their importance weights `weight_B`, the largest being 1."""

    index_B: Tensor  # noqa: N815 - dimension letters, legend in marl/algos/base.py
    weight_B: Tensor  # noqa: N815


class BlockSums:
    """Non-negative masses of `count` rows that can be drawn in proportion, all on tensors.

    Attributes:
        mass: one per row, float64, in blocks of 16.
        within: running sums of `mass` inside each block; infinite from the last row with mass on,
            so that rounding never leads past it.
        sums: one per block.
    """

    def __init__(self, count: int, device: torch.device | str = "cpu") -> None:
        blocks = -(-count // _BLOCK)
        self.mass = torch.zeros((blocks, _BLOCK), dtype=torch.float64, device=device)
        self.within = torch.full_like(self.mass, torch.inf)
        self.sums = torch.zeros(blocks, dtype=torch.float64, device=device)
        self._running = torch.zeros(blocks + 1, dtype=torch.float64, device=device)
        self._total = 0.0
        self._is_current = True  # whether the running sums are those of the present masses

    @property
    def flat(self) -> Tensor:
        """The masses, row by row; a view that is longer than `count`, with zeros at the end."""
        return self.mass.view(-1)

    @property
    def total(self) -> float:
        """Of all masses."""
        if not self._is_current:
            torch.cumsum(self.sums, 0, out=self._running[1:])
            self._total = float(self._running[-1])
            self._is_current = True
        return self._total

    def set(self, index: Tensor, mass: Tensor) -> None:
        """Give the rows `index` (B,) the masses `mass` (B,)."""
        # Several times as fast as indexing with brackets.
        self.flat.index_copy_(0, index, mass.to(torch.float64))
        block = index // _BLOCK
        within, sums = _running_sums(self.mass.index_select(0, block))
        self.within.index_copy_(0, block, within)
        self.sums.index_copy_(0, block, sums)
        self._is_current = False

    def fill(self, start: int, stop: int, mass: float) -> None:
        """Give the rows start .. stop - 1 one mass."""
        self.flat[start:stop] = mass
        self._sum(start, stop)

    def load(self, mass: Tensor) -> None:
        """Give the first rows these masses, and all others none."""
        self.flat[: len(mass)] = mass.to(self.mass.device)
        self.flat[len(mass) :] = 0.0
        self._sum(0, len(self.flat))

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows (count,) and their masses; the total is cut into `count` equal parts, one row each.

        Rows without mass are never drawn. At least one row must have mass.
        """
        total = self.total
        part = torch.rand(count, dtype=torch.float64, generator=generator).to(self.mass.device)
        part += torch.arange(count, device=part.device)
        sought = part.mul_(total / count).clamp_(max=total * _BELOW_ONE)
        block = _first_above(self._running[1:], sought)
        sought -= self._running.index_select(0, block)
        within = self.within.index_select(0, block)
        place = torch.searchsorted(within, sought[:, None], right=True)[:, 0]
        index = block.mul_(_BLOCK).add_(place)
        return index, self.flat.index_select(0, index)

    def _sum(self, start: int, stop: int) -> None:
        """Take the sums over rows start .. stop - 1 anew."""
        start, stop = start // _BLOCK, -(-stop // _BLOCK)
        self.within[start:stop], self.sums[start:stop] = _running_sums(self.mass[start:stop])
        self._is_current = False


class PrioritisedReplay:
    """A ring whose rows are drawn in proportion to their priority.

    New rows get the largest priority given so far, so that each is soon seen (algorithm 1, line 6).

    Args:
        ring: where the rows are kept; must be empty, and be added to only through this.
        config: hyper-parameters.
        ahead: draw only rows whose cloud has this many later steps stored.
    """

    def __init__(self, ring: RingReplay, config: PriorityConfig, ahead: int = 0) -> None:
        if len(ring):
            raise ValueError(f"the ring already holds {len(ring)} rows without priorities")
        self.ring, self.config, self.ahead = ring, config, ahead
        self._masses = BlockSums(ring.capacity, ring.device)
        self._top = 1.0  # mass of a new row: the largest given so far

    def __len__(self) -> int:
        """Rows stored, those not yet to be drawn among them."""
        return len(self.ring)

    def add(self, block: Mapping[str, Tensor]) -> None:
        """As `RingReplay.add`; rows become open to draws once `ahead` later steps are there."""
        ring, start, before = self.ring, self.ring.cursor, len(self.ring)
        ring.add(block)
        added = (ring.cursor - start) % ring.capacity or ring.capacity
        closed = self.ahead * ring.lanes  # so many of the newest rows may not be drawn
        waiting = min(before, closed, ring.capacity - added)  # of them, those of earlier blocks
        if closed:
            self._fill(start, added, 0.0)
        self._fill(start - waiting, waiting + added - closed, self._top)

    def sample(self, count: int, generator: torch.Generator, done: float) -> Draw:
        """One batch of `sample_batches`."""
        return self.sample_batches(1, count, generator, done)[0]

    def sample_batches(
        self, batches: int, count: int, generator: torch.Generator, done: float
    ) -> list[Draw]:
        """Draw batches of rows (with replacement) and their importance weights.

        The total mass is cut into `count` equal parts and each of them into `batches`; every batch
        gets one row from each part, from a smaller part that is left to chance: so each batch by
        itself is what it would have been if it had been drawn alone.

        Args:
            batches: how many, all under the present priorities.
            count: rows of each.
            generator: the caller's random state.
            done: share of the run that is over, 0 to 1; anneals β.

        Raises:
            ValueError: no row has `ahead` later steps stored.
        """
        if len(self.ring) <= self.ahead * self.ring.lanes:
            raise ValueError(
                f"{len(self.ring)} rows stored; a window of {self.ahead} steps ahead needs more "
                f"than {self.ahead * self.ring.lanes}"
            )
        index, mass = self._masses.draw(batches * count, generator)
        beta = self.config.beta + (1.0 - self.config.beta) * done
        index_BK, mass_BK = index.view(count, batches), mass.view(count, batches)  # noqa: N806
        if batches > 1:
            shift = torch.randint(batches, (count, 1), generator=generator).to(index.device)
            turned = (shift + torch.arange(batches, device=index.device)) % batches
            index_BK, mass_BK = index_BK.gather(1, turned), mass_BK.gather(1, turned)  # noqa: N806
        # (N P)^-β over its largest value in the batch: N and the total cancel.
        weight_BK = (mass_BK / mass_BK.amin(0)).to(torch.float32).pow_(-beta)  # noqa: N806
        return [
            Draw(index, weight)
            for index, weight in zip(
                index_BK.T.contiguous().unbind(), weight_BK.T.contiguous().unbind(), strict=True
            )
        ]

    def update(self, index: Tensor, error: Tensor) -> None:
        """Set the priorities of drawn rows from their errors.

        Args:
            index: (B,) as drawn; rows that may not be drawn at present stay so.
            error: (B,) temporal-difference errors of any sign.

        Raises:
            ValueError: an error is not finite, or shapes differ.
        """
        if index.shape != error.shape or index.dim() != 1:
            raise ValueError(f"{tuple(index.shape)} rows and {tuple(error.shape)} errors")
        mass = (error.detach().to(torch.float64).abs() + self.config.epsilon) ** self.config.alpha
        top = float(mass.amax())
        if not top < float("inf"):
            raise ValueError("an error is not finite")
        self._top = max(self._top, top)
        is_open = self._masses.flat.index_select(0, index) > 0
        self._masses.set(index, torch.where(is_open, mass, 0.0))

    def probability(self, index: Tensor) -> Tensor:
        """P(i) of rows, float64."""
        return self._masses.flat[index] / self._masses.total

    def state_dict(self) -> dict[str, Any]:
        """The ring and the priorities; tensors are views where the ring's are."""
        ring = self.ring.state_dict()
        mass = self._masses.flat[: len(self.ring)]
        compact = torch.from_numpy(mass.numpy()) if mass.device.type == "cpu" else mass.cpu()
        return {"ring": ring, "mass": compact, "top": self._top}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state_dict()` of a replay of the same shape."""
        self.ring.load_state_dict(state["ring"])
        self._masses.load(state["mass"])
        self._top = float(state["top"])

    def _fill(self, start: int, rows: int, mass: float) -> None:
        """One mass for `rows` rows from `start`, around the ring's end."""
        if rows <= 0:
            return
        capacity = self.ring.capacity
        start %= capacity
        self._masses.fill(start, min(start + rows, capacity), mass)
        if start + rows > capacity:
            self._masses.fill(0, start + rows - capacity, mass)


def _running_sums(mass_EB: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803
    """`BlockSums.within` and `BlockSums.sums` of some blocks."""
    within = mass_EB.cumsum(1)
    sums = within[:, -1].clone()
    return within.masked_fill_(within >= sums[:, None], torch.inf), sums


def _first_above(running: Tensor, sought: Tensor) -> Tensor:
    """First position whose running sum exceeds each of the ascending `sought`."""
    if running.device.type != "cpu":
        return torch.searchsorted(running, sought, right=True)
    # Each search of numpy starts from the one before: twice as fast as torch where they ascend.
    return torch.from_numpy(np.searchsorted(running.numpy(), sought.numpy(), side="right"))
