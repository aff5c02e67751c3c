"""The demand a workload makes: classes, channels, and the array that carries them.

This is the one hand-over between the workload (which makes it) and the simulated cloud (which
serves it). Fitting and generating belong to their own modules.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

STEP_S: Final = 300.0
CLASSES: Final = ("web", "batch", "ml")
CHANNELS: Final = (
    "requests_per_s",  # web requests, or batch/ML tasks, entering through the network
    "compute_vcpu",  # CPU work offered: vCPUs that would be busy if all of it were served at once
    "memory_gib",  # memory held while that work runs
    "network_gbps",  # traffic, both directions
    "storage_iops",  # disk operations per second
    "storage_gib",  # data resident on disks
    "database_qps",  # queries per second
)


@dataclass(frozen=True)
class DemandBatch:
    """Demand of a batch of episodes.

    Attributes:
        values: (B, T, C, R) float32, B episodes × T steps × classes × channels; finite and >= 0.
        start_us: (B,) int64, trace time at which each episode begins (for time of day and week).
        step_s: seconds a step lasts.
    """

    values: NDArray[np.float32]
    start_us: NDArray[np.int64]
    step_s: float = STEP_S

    def __post_init__(self) -> None:
        """Refuse what the simulator could not serve."""
        shape = self.values.shape
        if len(shape) != 4 or shape[2:] != (len(CLASSES), len(CHANNELS)):
            raise ValueError(
                f"demand must be (episodes, steps, {len(CLASSES)}, {len(CHANNELS)}); got {shape}"
            )
        if self.start_us.shape != shape[:1]:
            raise ValueError(f"start_us must be ({shape[0]},); got {self.start_us.shape}")
        if not np.isfinite(self.values).all() or (self.values < 0).any():
            raise ValueError("demand must be finite and not negative")


class DemandGenerator(Protocol):
    """A source of episodes' demand: steady, burst, cyclical, or replay of the trace itself."""

    name: str

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` independent episodes of `steps` steps. Same rng state, same demand."""
        ...
