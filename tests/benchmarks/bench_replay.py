"""Replay at capacity 10^6, batches of 1,024, one thread, beside the plain ways of doing the same.

Run: `python -m tests.benchmarks.bench_replay [--capacity 1000000] [--rounds 7]`

Two kinds of rows: "one agent" (an MPE agent's transition with its next observation, 43 numbers) and
"team of four" (a step of four such agents with the global state, 276 numbers). A round measures
every way in turn, so that noise hits all alike; medians of CPU time over the rounds. Sampling means
drawing indices and copying the rows out; prioritised sampling also gives importance weights, "32 at
once" draws as many batches under the same priorities, and "+ update" sets the priorities of the
batch as well. Peers: one tensor per field with ordinary
indexing, a binary sum tree of tensors (Schaul et al. 2016), and `torch.multinomial` over all
priorities.

Bars: 20 million rows/s added in blocks of 1,024 and 1.5 million/s sampled uniformly, with rows of
one agent; prioritised sampling at most 3 times uniform's time. Nothing is asserted.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from marl.replay.prioritised import Draw, PrioritisedReplay, PriorityConfig
from marl.replay.ring import RingReplay

BATCH = 1024
LAYOUTS = {
    "one agent": {"obs": 18, "action": 5, "reward": 1, "next_obs": 18, "end": 1},
    "team of four": {"obs": 96, "state": 96, "action": 20, "reward": 4, "end": 2, "future": 58},
}
Rows = dict[str, Tensor]


class FieldRing:
    """The plain way: one tensor per field, ordinary indexing."""

    def __init__(self, capacity: int, fields: Mapping[str, int]) -> None:
        self.fields = {name: torch.zeros((capacity, width)) for name, width in fields.items()}
        self.capacity, self.cursor = capacity, 0

    def add(self, block: Rows) -> None:
        """Append; the capacity is a multiple of the block."""
        for name, rows in block.items():
            self.fields[name][self.cursor : self.cursor + len(rows)] = rows
        self.cursor = (self.cursor + BATCH) % self.capacity

    def sample(self, generator: torch.Generator) -> Rows:
        """A uniform batch."""
        index = torch.randint(self.capacity, (BATCH,), generator=generator)
        return {name: rows[index] for name, rows in self.fields.items()}


class BinaryTree:
    """The paper's sum tree, one level of all descents at a time."""

    def __init__(self, mass: Tensor) -> None:
        self.levels = (len(mass) - 1).bit_length()
        self.tree = torch.zeros(2 << self.levels, dtype=torch.float64)
        self.set(torch.arange(len(mass)), mass)

    def set(self, index: Tensor, mass: Tensor) -> None:
        """Priorities of rows."""
        node = index + (1 << self.levels)
        self.tree[node] = mass
        for _ in range(self.levels):
            node = node // 2
            self.tree[node] = self.tree[2 * node] + self.tree[2 * node + 1]

    def draw(self, generator: torch.Generator) -> Tensor:
        """Rows, one from each equal part of the mass."""
        part = torch.rand(BATCH, dtype=torch.float64, generator=generator) + torch.arange(BATCH)
        sought, node = part * (self.tree[1] / BATCH), torch.ones(BATCH, dtype=torch.int64)
        for _ in range(self.levels):
            node = node * 2
            left = self.tree[node]
            is_right = sought >= left
            sought = torch.where(is_right, sought - left, sought)
            node = node + is_right
        return node - (1 << self.levels)


def ways(capacity: int, fields: Mapping[str, int]) -> dict[str, Callable[[], object]]:
    """Name → one operation on 1,024 rows."""
    g = torch.Generator().manual_seed(0)
    block = {name: torch.rand((BATCH, width), generator=g) for name, width in fields.items()}
    ring, plain = RingReplay(capacity, fields), FieldRing(capacity, fields)
    replay = PrioritisedReplay(RingReplay(capacity, fields), PriorityConfig())
    for _ in range(capacity // BATCH):
        ring.add(block)
        plain.add(block)
        replay.add(block)
    error = torch.rand(capacity, generator=g) ** 3
    replay.update(torch.arange(capacity), error)
    mass = (error.double() + 1e-6) ** 0.6
    tree, flat = BinaryTree(mass), mass.to(torch.float32)
    errors = [torch.rand(BATCH, generator=g) for _ in range(16)]

    def uniform() -> Rows:
        return ring.rows(ring.sample(BATCH, g))

    def prioritised() -> Tensor:
        draw = replay.sample(BATCH, g, 0.5)
        replay.ring.rows(draw.index_B)
        return draw.index_B

    waiting: list[Draw] = []

    def prioritised_at_once() -> Tensor:
        if not waiting:
            waiting.extend(replay.sample_batches(replay.config.draws, BATCH, g, 0.5))
        index = waiting.pop().index_B
        replay.ring.rows(index)
        return index

    def update(index: Tensor) -> None:
        replay.update(index, errors[int(torch.randint(16, (), generator=g))])

    def binary_updated() -> None:
        index = tree.draw(g)
        weight = tree.tree[index + (1 << tree.levels)] ** -0.7
        replay.ring.rows(index)
        weight /= weight.amax()
        tree.set(index, errors[0].double() ** 0.6)

    def multinomial_updated() -> None:
        index = torch.multinomial(flat, BATCH, replacement=True, generator=g)
        weight = flat[index] ** -0.7
        replay.ring.rows(index)
        weight /= weight.amax()
        flat[index] = errors[0] ** 0.6

    return {
        "add": lambda: ring.add(block),
        "add, a tensor per field": lambda: plain.add(block),
        "add, prioritised": lambda: replay.add(block),
        "uniform": uniform,
        "uniform, a tensor per field": lambda: plain.sample(g),
        "prioritised": prioritised,
        "prioritised, 32 at once": prioritised_at_once,
        "prioritised + update": lambda: update(prioritised()),
        "32 at once + update": lambda: update(prioritised_at_once()),
        "binary tree + update": binary_updated,
        "multinomial + update": multinomial_updated,
    }


def microseconds(operation: Callable[[], object], repeats: int = 128) -> float:
    """Mean CPU time of one operation: what other programs take of the machine does not count."""
    started = time.process_time()
    for _ in range(repeats):
        operation()
    return (time.process_time() - started) / repeats * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    capacity = arguments.capacity - arguments.capacity % BATCH
    for layout, fields in LAYOUTS.items():
        operations = ways(capacity, fields)
        times: dict[str, list[float]] = {name: [] for name in operations}
        for _ in range(arguments.rounds):
            for name, operation in operations.items():
                times[name].append(microseconds(operation))
        median = {name: statistics.median(values) for name, values in times.items()}
        width = sum(fields.values())
        sys.stdout.write(f"{layout}: {width} numbers a row, {capacity} rows\n")
        for name, us in median.items():
            base = "add" if name.startswith("add") else "uniform"
            sys.stdout.write(
                f"  {name:28} {us:8.0f} µs  {BATCH / us:6.1f} M rows/s  "
                f"{us / median[base]:6.2f} × {base}\n"
            )
        del operations


if __name__ == "__main__":
    main()
