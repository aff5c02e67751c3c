"""Demand for the four services from a class's tasks, CPU and memory, by documented coefficients.

CPU and memory come from the trace, scaled by stated factors; storage, network and database do not
occur in it and follow from the assumptions below, each with its reason and each overridable.
Fitting and generating belong to `fit` and `generators`.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marl.frozen import Frozen
from marl.workload.demand import CHANNELS, CLASSES, STEP_S

DRIVERS: Final = ("task_arrivals", "compute_vcpu", "memory_gib")
_KIB_PER_S_TO_GBPS: Final = 1024 * 8 / 1e9


class Assumption(Frozen):
    """A figure the trace does not hold: its value, unit, and why it was chosen."""

    value: float = Field(ge=0)
    unit: str
    reason: str
    is_overridden: bool = False


# Two figures turn fractions of the largest machine into a slice of a cloud.
SCALES: Final = {
    "nominal_vcpu_per_ncu": Assumption(
        value=64.0,
        unit="vCPU/NCU",
        reason="Google does not publish the size of the largest machine; 64 hardware threads is a "
        "common two-socket server of the time. It only sets how many tasks the slice holds.",
    ),
    "gib_per_vcpu": Assumption(
        value=4.0,
        unit="GiB/vCPU",
        reason="shape of the largest machine (1 NCU beside 1 NMU): that of n2-standard machines",
    ),
}


def _terms(**values: tuple[float, str, str]) -> dict[str, Assumption]:
    return {
        name: Assumption(value=value, unit=unit, reason=reason)
        for name, (value, unit, reason) in values.items()
    }


# Every class has the same terms (zero where a term has no meaning), so that one formula serves all.
DEFAULTS: Final[dict[str, dict[str, Assumption]]] = {
    "web": _terms(
        requests_per_vcpu_s=(50.0, "1/(s·vCPU)", "20 ms of CPU a request: a typical API handler"),
        requests_per_task=(0.0, "1", "a web task is a long-lived server, not a request"),
        kib_per_request=(
            40.0,
            "KiB",
            "a JSON or HTML answer with headers, both directions; assets from a CDN",
        ),
        network_mbps_per_vcpu=(
            2.0,
            "Mbit/(s·vCPU)",
            "health checks, telemetry, service-to-service calls",
        ),
        iops_per_vcpu=(10.0, "1/(s·vCPU)", "logs and page-cache misses"),
        iops_per_request=(0.2, "1", "one in five requests misses the cache and reads a disk"),
        dataset_gib_per_gib=(
            4.0,
            "GiB/GiB",
            "data on disk per GiB of mean memory: a quarter is hot",
        ),
        scratch_gib_per_gib=(0.25, "GiB/GiB", "temporary files and logs per GiB of memory in use"),
        queries_per_request=(2.0, "1", "a session look-up and one read of data"),
        queries_per_vcpu_s=(0.0, "1/(s·vCPU)", "queries follow requests"),
    ),
    "batch": _terms(
        requests_per_vcpu_s=(0.0, "1/(s·vCPU)", "what enters is tasks"),
        requests_per_task=(1.0, "1", "a task enters once, as a submission"),
        kib_per_request=(256.0, "KiB", "a task's binary and description, mostly from a cache"),
        network_mbps_per_vcpu=(
            40.0,
            "Mbit/(s·vCPU)",
            "MapReduce-style reads and shuffle: 5 MB/s a core",
        ),
        iops_per_vcpu=(
            20.0,
            "1/(s·vCPU)",
            "sequential reads and writes in 256 KiB blocks at 5 MB/s",
        ),
        iops_per_request=(10.0, "1", "opening inputs and committing outputs"),
        dataset_gib_per_gib=(16.0, "GiB/GiB", "inputs and outputs kept per GiB of mean memory"),
        scratch_gib_per_gib=(2.0, "GiB/GiB", "spills and shuffle files per GiB of memory in use"),
        queries_per_request=(4.0, "1", "book-keeping of a task: lease, inputs, outputs, commit"),
        queries_per_vcpu_s=(1.0, "1/(s·vCPU)", "reference data read while working"),
    ),
    "ml": _terms(
        requests_per_vcpu_s=(0.0, "1/(s·vCPU)", "what enters is tasks"),
        requests_per_task=(1.0, "1", "a worker enters once, as a submission"),
        kib_per_request=(4096.0, "KiB", "a worker's code, configuration and starting weights"),
        network_mbps_per_vcpu=(
            80.0,
            "Mbit/(s·vCPU)",
            "gradient exchange and input pipelines: 10 MB/s a core",
        ),
        iops_per_vcpu=(30.0, "1/(s·vCPU)", "shuffled reads of training records in 256 KiB blocks"),
        iops_per_request=(20.0, "1", "reading weights, writing the first checkpoint"),
        dataset_gib_per_gib=(
            24.0,
            "GiB/GiB",
            "training sets and checkpoints kept per GiB of mean memory",
        ),
        scratch_gib_per_gib=(1.0, "GiB/GiB", "checkpoints in flight per GiB of memory in use"),
        queries_per_request=(6.0, "1", "experiment tracking and feature look-ups at start"),
        queries_per_vcpu_s=(0.5, "1/(s·vCPU)", "feature look-ups while training"),
    ),
}


class Coefficients(Frozen):
    """Every assumption in force: scales, and terms by class."""

    scales: dict[str, Assumption]
    terms: dict[str, dict[str, Assumption]]

    def term(self, name: str) -> NDArray[np.float64]:
        """(C,) values of one term, in the order of `CLASSES`."""
        return np.array([self.terms[workload][name].value for workload in CLASSES])

    def rows(self) -> list[dict[str, Any]]:
        """One row an assumption, for tables in reports."""
        named = [("scale", name, one) for name, one in sorted(self.scales.items())]
        named += [
            (workload, name, one)
            for workload in CLASSES
            for name, one in sorted(self.terms[workload].items())
        ]
        return [
            {"key": f"{group}.{name}", **assumption.model_dump()}
            for group, name, assumption in named
        ]


def coefficients(overrides: Mapping[str, float] | None = None) -> Coefficients:
    """The documented assumptions, with some replaced.

    Args:
        overrides: value by key, e.g. `{"web.requests_per_vcpu_s": 80, "scale.gib_per_vcpu": 8}`.

    Raises:
        ValueError: an unknown key (the known ones are listed), or a value that is negative or not
            finite.
    """
    scales = dict(SCALES)
    terms = {workload: dict(DEFAULTS[workload]) for workload in CLASSES}
    groups = {"scale": scales, **terms}
    for key, value in sorted((overrides or {}).items()):
        group, _, name = key.partition(".")
        if name not in groups.get(group, {}):
            known = sorted(f"{g}.{n}" for g, entries in groups.items() for n in entries)
            raise ValueError(f"unknown coefficient {key!r}; known: {', '.join(known)}")
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"coefficient {key!r} must be finite and >= 0; got {value}")
        old = groups[group][name]
        groups[group][name] = Assumption(
            value=value,
            unit=old.unit,
            reason=f"overridden by configuration (default {old.value:g}: {old.reason})",
            is_overridden=True,
        )
    if scales["nominal_vcpu_per_ncu"].value == 0:
        raise ValueError("coefficient 'scale.nominal_vcpu_per_ncu' must be above 0")
    return Coefficients(scales=scales, terms=terms)


def services_demand(
    drivers: NDArray[np.floating],
    mean_memory_gib: NDArray[np.floating],
    slice_share: float,
    assumed: Coefficients,
) -> NDArray[np.float32]:
    """Every channel from the three drivers.

    With tasks a, CPU c and memory m of a class (m̄ its mean in the training part):
    requests = c·requests_per_vcpu_s + a·slice_share·requests_per_task / step;
    network = requests·kib_per_request + c·network_mbps_per_vcpu;
    IOPS = c·iops_per_vcpu + requests·iops_per_request;
    storage = m̄·dataset_gib_per_gib + m·scratch_gib_per_gib;
    queries = requests·queries_per_request + c·queries_per_vcpu_s.

    Args:
        drivers: (..., C, 3) task arrivals per step (of the whole cell), vCPU, GiB (`DRIVERS`).
        mean_memory_gib: (C,) mean memory of the training part, GiB.
        slice_share: part of the cell's tasks that belongs to the slice this demand stands for.
        assumed: the coefficients in force.

    Returns:
        (..., C, R) float32 in the order of `CHANNELS`.
    """
    tasks, cpu, memory = (drivers[..., i] for i in range(3))
    term = {name: assumed.term(name).astype(drivers.dtype) for name in DEFAULTS["web"]}
    requests = cpu * term["requests_per_vcpu_s"]
    requests = requests + tasks * (term["requests_per_task"] * (slice_share / STEP_S))
    channels = {
        "requests_per_s": requests,
        "compute_vcpu": cpu,
        "memory_gib": memory,
        "network_gbps": requests * (term["kib_per_request"] * _KIB_PER_S_TO_GBPS)
        + cpu * (term["network_mbps_per_vcpu"] / 1e3),
        "storage_iops": cpu * term["iops_per_vcpu"] + requests * term["iops_per_request"],
        "storage_gib": memory * term["scratch_gib_per_gib"]
        + mean_memory_gib * term["dataset_gib_per_gib"],
        "database_qps": requests * term["queries_per_request"] + cpu * term["queries_per_vcpu_s"],
    }
    out = np.empty((*drivers.shape[:-1], len(CHANNELS)), np.float32)
    for index, name in enumerate(CHANNELS):
        out[..., index] = channels[name]
    return out
