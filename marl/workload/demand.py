"""The demand a workload makes: classes, channels, and the array that carries them.

This is the one hand-over between the workload (which makes it) and the simulated cloud (which
serves it). Fitting and generating belong to their own modules.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

STEP_S: Final = 300.0
DAY_US: Final = 86_400_000_000
HORIZON: Final = 12  # steps beyond an episode's end that what is known ahead reaches
SCHEDULED_CLASSES: Final = ("batch", "ml")  # the classes cron submits
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
    """Demand of a batch of episodes, and what a team remembers or knows of it beforehand.

    What is known beforehand covers T + `HORIZON` steps, so that a forecast made at the last step
    has it too. None where the generator remembers nothing.

    Attributes:
        values: (B, T, C, R) float32, B episodes × T steps × classes × channels; finite and >= 0.
        start_us: (B,) int64, trace time at which each episode begins (for time of day and week).
        step_s: seconds a step lasts.
        day_ago: (B, T + H, C, R) float32, the demand 24 h before each step.
        week_ago: the same, 7 days before.
        announced: (B, T + H) float32, factor on web demand that a calendar of launches and
            campaigns names for each step: what the team believes, not what happens. 1 where nothing
            is announced.
        scheduled: (B, T + H, 2) float32, compute (vCPU) of the `SCHEDULED_CLASSES` that schedules
            will submit at each step.
    """

    values: NDArray[np.float32]
    start_us: NDArray[np.int64]
    step_s: float = STEP_S
    day_ago: NDArray[np.float32] | None = None
    week_ago: NDArray[np.float32] | None = None
    announced: NDArray[np.float32] | None = None
    scheduled: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse what the simulator could not serve."""
        shape = self.values.shape
        if len(shape) != 4 or shape[2:] != (len(CLASSES), len(CHANNELS)):
            raise ValueError(
                f"demand must be (episodes, steps, {len(CLASSES)}, {len(CHANNELS)}); got {shape}"
            )
        if self.start_us.shape != shape[:1]:
            raise ValueError(f"start_us must be ({shape[0]},); got {self.start_us.shape}")
        _check("demand", self.values)
        known = (shape[0], shape[1] + HORIZON)
        for name, rest in KNOWN.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != known + rest or array.dtype != np.float32:
                raise ValueError(
                    f"{name} must be float32 of shape {known + rest}, {HORIZON} steps beyond the "
                    f"episode; got {array.dtype} of shape {array.shape}"
                )
            _check(name, array)


# What is known ahead, with its shape beyond (B, T + H).
KNOWN: Final[dict[str, tuple[int, ...]]] = {
    "day_ago": (len(CLASSES), len(CHANNELS)),
    "week_ago": (len(CLASSES), len(CHANNELS)),
    "announced": (),
    "scheduled": (len(SCHEDULED_CLASSES),),
}


def _check(name: str, array: NDArray[np.float32]) -> None:
    # A NaN makes minimum and maximum NaN, and no comparison with it holds.
    if array.size and not (array.min() >= 0 and array.max() < np.inf):
        raise ValueError(f"{name} must be finite and not negative")


def check_size(episodes: int, steps: int) -> None:
    """Refuse an empty draw.

    Raises:
        ValueError: fewer than one episode or step.
    """
    if episodes < 1 or steps < 1:
        raise ValueError(f"episodes and steps must be at least 1; got {episodes} and {steps}")


class DemandGenerator(Protocol):
    """A source of episodes' demand: steady, burst, cyclical, or replay of the trace itself."""

    name: str

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` independent episodes of `steps` steps. Same rng state, same demand."""
        ...
