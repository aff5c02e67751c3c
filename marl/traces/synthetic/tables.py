"""Native 2019 tables in Arrow, as BigQuery exports them: nested records, 64-bit numbers.

Turns the arrays of `events`, `usage` and `machines` into files; draws nothing but names.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from marl.files import staged
from marl.traces.synthetic import figures
from marl.traces.synthetic.events import NO_MACHINE, Events, request_scale, uses_batch_scheduler
from marl.traces.synthetic.machines import Machines
from marl.traces.synthetic.population import Jobs
from marl.traces.synthetic.usage import coarse

_INT: Final = pa.int64()
_FLOAT: Final = pa.float64()
_RESOURCES: Final = pa.struct([("cpus", _FLOAT), ("memory", _FLOAT)])
_CONSTRAINT: Final = pa.struct([("name", pa.string()), ("value", pa.string()), ("relation", _INT)])
_ROW_GROUP: Final = 256 << 10
_DEDICATED: Final = -1


class Names:
    """Ids and hashed names of jobs, alloc sets and users, as opaque as Google's.

    Attributes:
        job_id, alloc_id: (J,) collection ids, ascending with the time of submission.
        user, logical: (J,) hashes.
    """

    def __init__(self, jobs: Jobs, seed: int, rng: np.random.Generator) -> None:
        """Draw ids and hash names; the same seed gives the same names."""
        ids = 380_000_000_000 + np.cumsum(rng.integers(1, 40_000, 2 * len(jobs)))
        self.alloc_id, self.job_id = ids[::2], ids[1::2]
        users = [_hashed("user", seed, user) for user in range(int(jobs.user.max()) + 1)]
        programs = rng.integers(0, 6, len(jobs))
        self.user: list[str] = [users[user] for user in jobs.user]
        self.logical: list[str] = [
            _hashed("program", seed, user, kind, program)
            for user, kind, program in zip(jobs.user, jobs.kind, programs, strict=True)
        ]
        self.seed = seed

    def collection(self, job: int, is_alloc: bool) -> str:
        """Name of one collection."""
        return _hashed("alloc" if is_alloc else "job", self.seed, job)


def collection_table(events: Events, jobs: Jobs, names: Names) -> pa.Table:
    """`collection_events`, one row per event."""
    job, alloc = events.job, events.is_alloc
    in_alloc = jobs.is_in_alloc[job] & ~alloc
    nothing = pa.nulls(len(job), _INT)
    batch = uses_batch_scheduler(jobs)[job] & ~alloc
    return pa.table(
        {
            "time": pa.array(events.time_us),
            "type": pa.array(events.code.astype(np.int64)),
            "collection_id": pa.array(np.where(alloc, names.alloc_id[job], names.job_id[job])),
            "scheduling_class": pa.array(jobs.scheduling_class[job].astype(np.int64)),
            "missing_type": nothing,
            "collection_type": pa.array(alloc.astype(np.int64)),
            "priority": pa.array(jobs.priority[job].astype(np.int64)),
            "alloc_collection_id": pa.array(np.where(in_alloc, names.alloc_id[job], 0)),
            "user": pa.array([names.user[index] for index in job], pa.string()),
            "collection_name": pa.array(
                [names.collection(int(i), bool(a)) for i, a in zip(job, alloc, strict=True)],
                pa.string(),
            ),
            "collection_logical_name": pa.array(
                [names.logical[index] for index in job], pa.string()
            ),
            "parent_collection_id": nothing,
            "start_after_collection_ids": _empty_lists(len(job), _INT),
            "max_per_machine": nothing,
            "max_per_switch": nothing,
            "vertical_scaling": pa.array(np.where(alloc, 1, jobs.scaling[job]).astype(np.int64)),
            "scheduler": pa.array(batch.astype(np.int64)),
        }
    )


def instance_table(events: Events, jobs: Jobs, machines: Machines, names: Names) -> pa.Table:
    """`instance_events`, one row per event."""
    job, alloc = events.job, events.is_alloc
    in_alloc = jobs.is_in_alloc[job] & ~alloc
    cpu, memory = (coarse(values) for values in request_scale(events, jobs))
    is_placed = events.machine != NO_MACHINE
    machine_id = machines.machine_id[np.maximum(events.machine, 0)]
    instance = events.instance.astype(np.int64)
    # A handful of rows name no machine of the cell: the task sits on a dedicated one.
    odd = (events.time_us * 31 + instance) % round(1 / figures.DEDICATED_MACHINE_SHARE) == 0
    machine_id = np.where(is_placed & odd & (events.time_us > 0), _DEDICATED, machine_id)
    asks_nothing = _zero_cpu(job)
    return pa.table(
        {
            "time": pa.array(events.time_us),
            "type": pa.array(events.code.astype(np.int64)),
            "collection_id": pa.array(np.where(alloc, names.alloc_id[job], names.job_id[job])),
            "scheduling_class": pa.array(jobs.scheduling_class[job].astype(np.int64)),
            "missing_type": pa.nulls(len(job), _INT),
            "collection_type": pa.array(alloc.astype(np.int64)),
            "priority": pa.array(jobs.priority[job].astype(np.int64)),
            "alloc_collection_id": pa.array(np.where(in_alloc, names.alloc_id[job], 0)),
            "instance_index": pa.array(instance),
            "machine_id": pa.array(machine_id, mask=~is_placed),
            "alloc_instance_index": pa.array(np.where(in_alloc, instance, -1)),
            "resource_request": _resources(
                np.where(asks_nothing, 0.0, cpu), memory, np.isnan(events.scale)
            ),
            "constraint": _empty_lists(len(job), _CONSTRAINT),
        }
    )


def usage_table(
    rows: dict[str, NDArray[Any]], jobs: Jobs, machines: Machines, names: Names
) -> pa.Table:
    """`instance_usage`, one row per window."""
    job = rows["job"]
    in_alloc = jobs.is_in_alloc[job]
    count = len(job)
    sizes = np.where(rows["is_histogram_empty"], 0, rows["histogram"].shape[1])
    flat = rows["histogram"][~rows["is_histogram_empty"]].ravel()
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.table(
        {
            "start_time": pa.array(rows["start_time"]),
            "end_time": pa.array(rows["end_time"]),
            "collection_id": pa.array(names.job_id[job]),
            "instance_index": pa.array(rows["instance"].astype(np.int64)),
            "machine_id": pa.array(machines.machine_id[rows["machine"]]),
            "alloc_collection_id": pa.array(np.where(in_alloc, names.alloc_id[job], 0)),
            "alloc_instance_index": pa.array(np.where(in_alloc, rows["instance"], -1)),
            "collection_type": pa.array(np.zeros(count, dtype=np.int64)),
            "average_usage": _resources(rows["average_cpus"], rows["average_memory"]),
            "maximum_usage": _resources(rows["maximum_cpus"], rows["maximum_memory"]),
            "random_sample_usage": _resources(rows["sample_cpus"], np.full(count, np.nan)),
            "assigned_memory": _floats(rows["assigned_memory"]),
            "page_cache_memory": _floats(rows["page_cache_memory"]),
            "cycles_per_instruction": _floats(rows["cycles_per_instruction"]),
            "memory_accesses_per_instruction": _floats(rows["memory_accesses_per_instruction"]),
            "sample_rate": _floats(rows["sample_rate"]),
            "cpu_usage_distribution": pa.ListArray.from_arrays(offsets, _floats(flat)),
            "tail_cpu_usage_distribution": _empty_lists(count, _FLOAT),
        }
    )


def machine_table(machines: Machines, end_us: int, seed: int) -> pa.Table:
    """`machine_events`: everything added at time 0, then removals and returns, sorted by time."""
    count = len(machines.machine_id)
    away = machines.out_machine
    time = np.concatenate([np.zeros(count, np.int64), machines.out_start_us, machines.out_end_us])
    code = np.repeat([1, 2, 1], [count, len(away), len(away)])
    machine = np.concatenate([np.arange(count), away, away])
    keep = np.flatnonzero(time < end_us)
    keep = keep[np.lexsort((machine[keep], time[keep]))]
    time, code, machine = time[keep], code[keep], machine[keep]
    # As in cell a: removals and a few additions come without a capacity.
    lacks = (code == 2) | ((machine % 101 == 100) & (time > 0))
    return pa.table(
        {
            "time": pa.array(time),
            "machine_id": pa.array(machines.machine_id[machine]),
            "type": pa.array(code),
            "switch_id": pa.array([_hashed("switch", seed, machines.switch[m]) for m in machine]),
            "capacity": _resources(machines.cpu_ncu[machine], machines.memory_nmu[machine], lacks),
            "platform_id": pa.array([_hashed("platform", machines.platform[m]) for m in machine]),
            "missing_data_reason": pa.nulls(len(machine), _INT),
        }
    )


def write(path: Path, table: pa.Table) -> None:
    """Write one zstd Parquet file, whole or not at all. The same table gives the same bytes."""
    with staged(path) as aside:
        pq.write_table(
            table, aside, compression="zstd", compression_level=3, row_group_size=_ROW_GROUP
        )


def _zero_cpu(job: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which jobs ask for no CPU: every seventieth, the published share of rows."""
    return job % round(1 / figures.ZERO_CPU_REQUEST_SHARE) == 7


def _resources(
    cpus: NDArray[Any], memory: NDArray[Any], lacks: NDArray[np.bool_] | None = None
) -> pa.StructArray:
    mask = None if lacks is None else pa.array(lacks)
    return pa.StructArray.from_arrays(
        [_floats(cpus), _floats(memory)], fields=list(_RESOURCES), mask=mask
    )


def _floats(values: NDArray[Any]) -> pa.Array:
    """Float64, NaN as null."""
    return pa.array(values.astype(np.float64), from_pandas=True)


def _empty_lists(count: int, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(np.zeros(count + 1, np.int32), pa.array([], kind))


def _hashed(*parts: object) -> str:
    """44 characters, like the trace's own hashes."""
    text: Sequence[str] = [str(part) for part in parts]
    return base64.b64encode(hashlib.sha256("/".join(text).encode()).digest()).decode()
