"""The machines of the embedded cell: shapes as in cell a of 2019, outages, where tasks may go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marl.traces.synthetic import figures
from marl.traces.synthetic.laws import Array
from marl.traces.synthetic.population import Cell

_DAY_US = 86_400_000_000
_MACHINES_PER_SWITCH = 38  # 10,001 machines on 261 switches in cell a
_STEADY_SHARE = 0.2  # machines that never fail in the trace: tasks cut off elsewhere go there


@dataclass(frozen=True)
class Machines:
    """The park, M machines; outages, one entry each.

    Attributes:
        machine_id: (M,) ids as the trace writes them, ascending.
        platform, switch: (M,) indices.
        cpu_ncu, memory_nmu: (M,) capacities.
        reports_cpi: (M,) whether cycles per instruction are measured there.
        is_steady: (M,) without an outage.
        out_machine, out_start_us, out_end_us: (O,) which machine is away when.
    """

    machine_id: NDArray[np.int64]
    platform: NDArray[np.int64]
    switch: NDArray[np.int64]
    cpu_ncu: Array
    memory_nmu: Array
    reports_cpi: NDArray[np.bool_]
    is_steady: NDArray[np.bool_]
    out_machine: NDArray[np.int64]
    out_start_us: NDArray[np.int64]
    out_end_us: NDArray[np.int64]

    def cell(self, jobs_per_hour: float) -> Cell:
        """What bounds the jobs that run here."""
        return Cell(
            cpu_ncu=float(self.cpu_ncu.sum()),
            memory_nmu=float(self.memory_nmu.sum()),
            largest_cpu_ncu=float(self.cpu_ncu.max()),
            largest_memory_nmu=float(self.memory_nmu.max()),
            jobs_per_hour=jobs_per_hour,
        )

    def choose(
        self,
        cpu_ncu: Array,
        memory_nmu: Array,
        rng: np.random.Generator,
        among: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        """A machine for each request, in proportion to capacity, large enough where one is.

        Args:
            cpu_ncu: (N,) CPU requests.
            memory_nmu: (N,) memory requests.
            rng: owned by the caller.
            among: (M,) machines allowed; None allows all.

        Returns:
            (N,) machine indices.
        """
        allowed = np.flatnonzero(among) if among is not None else np.arange(len(self.machine_id))
        picked = self._pick(allowed, self.cpu_ncu, cpu_ncu, rng)
        small = np.flatnonzero(self.memory_nmu[picked] < memory_nmu)
        picked[small] = self._pick(allowed, self.memory_nmu, memory_nmu[small], rng)
        return picked

    def _pick(
        self, allowed: NDArray[np.int64], capacity: Array, request: Array, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        order = allowed[np.argsort(capacity[allowed], kind="stable")]
        sizes = capacity[order]
        edges = np.concatenate([[0.0], np.cumsum(self.cpu_ncu[order])])
        first = np.minimum(np.searchsorted(sizes, request), len(order) - 1)
        point = edges[first] + rng.random(len(request)) * (edges[-1] - edges[first])
        return order[np.clip(np.searchsorted(edges, point, side="right") - 1, 0, len(order) - 1)]


def draw(count: int, begin_us: int, end_us: int, rng: np.random.Generator) -> Machines:
    """Draw `count` machines, and their outages between two trace times."""
    weights = np.array([shape[3] for shape in figures.MACHINE_SHAPES], dtype=float)
    edges = np.cumsum(weights / weights.sum())
    # Evenly spaced points through the shapes: a small park has nearly the published mix.
    points = (np.arange(count) + rng.random()) / count
    shape = rng.permutation(np.minimum(np.searchsorted(edges, points), len(weights) - 1))
    column = [np.array([row[part] for row in figures.MACHINE_SHAPES]) for part in range(3)]
    steady = np.zeros(count, dtype=bool)
    steady[rng.permutation(count)[: max(1, round(_STEADY_SHARE * count))]] = True
    days = (end_us - begin_us) / _DAY_US
    expected = figures.MACHINE_OUTAGES_PER_DAY * days / (1.0 - _STEADY_SHARE)
    times = np.where(steady, 0, rng.poisson(expected, count))
    away = np.repeat(np.arange(count), times)
    start = rng.integers(begin_us, end_us, size=len(away))
    length = np.clip(rng.lognormal(np.log(1800.0), 1.2, len(away)), 120.0, 86_400.0)
    order = np.lexsort((start, away))
    away, start, length = away[order], start[order], length[order]
    end = start + (length * 1e6).astype(np.int64)
    clash = np.zeros(len(away), dtype=bool)
    clash[1:] = (away[1:] == away[:-1]) & (start[1:] <= end[:-1] + 60_000_000)
    return Machines(
        machine_id=370_000_000_000 + np.cumsum(rng.integers(1_000, 2_000_000, count)),
        platform=column[0][shape].astype(np.int64),
        switch=np.arange(count) // _MACHINES_PER_SWITCH,
        cpu_ncu=column[1][shape].astype(float),
        memory_nmu=column[2][shape].astype(float),
        reports_cpi=rng.random(count) >= figures.NULL_CPI_SHARE,
        is_steady=steady | (np.bincount(away[~clash], minlength=count) == 0),
        out_machine=away[~clash],
        out_start_us=start[~clash],
        out_end_us=end[~clash],
    )
