"""Objects in buckets: how a lifecycle rule moves them to colder classes, and what reading costs.

Ages of objects are exponential with mean A, ages of what is read exponential with mean R < A: the
share of the data older than a is e^(-a/A), the share of the reads that go to it e^(-a/R), which is
the (A/R)th power of the former. So the classes' shares say what reads cost. Moves go one way: a
rule never brings an object back to a warmer class.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from marl.cloud.actions import row
from marl.cloud.params import CloudParams

_NEARLINE = row("storage", "nearline_after")
# Coldline and archive follow at these multiples of nearline's age.
LATER: Final = (1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Objects:
    """Objects after a step."""

    colder: Tensor  # (3, B) share in nearline or colder, coldline or colder, archive
    gib: Tensor  # (4, B) by class
    moved_gib: Tensor  # (3, B) into nearline, coldline, archive in this step
    read_gib: Tensor  # (4, B) read from each class in this step


def move(colder: Tensor, knobs: Tensor, stored_gib: Tensor, params: CloudParams) -> Objects:
    """One step of the lifecycle rule.

    Args:
        colder: (3, B) before the step.
        knobs: (WIDTH, B) physical values.
        stored_gib: (B,) all data.
        params: of the cloud.
    """
    config = params.config
    days = params.step_s / 86_400.0
    due = torch.stack(
        [torch.exp(knobs[_NEARLINE] * (-times / config.object_age_days)) for times in LATER]
    )
    moved = (due - colder).clamp_min(0.0) * min(1.0, days / config.lifecycle_days)
    colder = colder + moved
    objects = stored_gib * config.object_share
    reads = objects * (config.object_reads_per_day * days)
    read = colder ** (config.object_age_days / config.object_read_age_days)
    return Objects(
        colder=colder,
        gib=_by_class(colder) * objects,
        moved_gib=moved * objects,
        read_gib=_by_class(read) * reads,
    )


def _by_class(colder: Tensor) -> Tensor:
    """(4, B) differences of shares at or beyond each class."""
    return torch.cat((1.0 - colder[:1], colder[:2] - colder[1:], colder[2:]))
