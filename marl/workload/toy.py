"""A demand known in closed form: for tests, and for a cloud without a fitted workload.

Nothing here is fitted; what is belongs to `generators`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.coefficients import Coefficients, coefficients, services_demand
from marl.workload.demand import CLASSES, DemandBatch

DAY_US: Final = 86_400_000_000
_SHARES: Final = {"web": 0.5, "batch": 0.3, "ml": 0.2}
_AMPLITUDES: Final = {"web": 0.4, "batch": -0.2, "ml": 0.0}  # of the daily sine, of the mean


class ToyGenerator:
    """A daily sine per class times lognormal noise of mean 1.

    Of class c at trace time t: compute = `mean_vcpu`·share_c·(1 + amplitude_c·sin(2πt/day))·noise,
    memory = `gib_per_vcpu`·compute without noise, tasks = compute without noise; the other channels
    follow by `coefficients.services_demand`. Episodes begin on a whole window of the first week.
    """

    name = "toy"

    def __init__(
        self,
        mean_vcpu: float = 256.0,
        noise: float = 0.1,
        gib_per_vcpu: float = 4.0,
        assumed: Coefficients | None = None,
    ) -> None:
        if not (mean_vcpu >= 0 and noise >= 0 and gib_per_vcpu >= 0):
            raise ValueError(
                "mean_vcpu, noise and gib_per_vcpu must be >= 0; "
                f"got {mean_vcpu}, {noise}, {gib_per_vcpu}"
            )
        self.mean_vcpu, self.noise, self.gib_per_vcpu = mean_vcpu, noise, gib_per_vcpu
        self.assumed = assumed or coefficients()

    def expected_vcpu(self, time_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """(..., C) mean compute at trace times (...,), vCPU."""
        sine = np.sin(2 * np.pi * (time_us % DAY_US) / DAY_US)[..., None]
        share = np.array([_SHARES[name] for name in CLASSES])
        amplitude = np.array([_AMPLITUDES[name] for name in CLASSES])
        return np.asarray(self.mean_vcpu * share * (1 + amplitude * sine))

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` episodes of `steps` steps; see `DemandGenerator`."""
        start_us = rng.integers(0, 7 * DAY_US // WINDOW_US, episodes) * WINDOW_US
        time_us = start_us[:, None] + np.arange(steps) * WINDOW_US
        expected = self.expected_vcpu(time_us)
        draw = rng.standard_normal(expected.shape, dtype=np.float32)
        noise = np.exp(self.noise * draw - self.noise**2 / 2)
        drivers = np.stack([expected, expected * noise, expected * self.gib_per_vcpu], axis=-1)
        mean_gib = self.mean_vcpu * self.gib_per_vcpu * np.array([_SHARES[c] for c in CLASSES])
        values = services_demand(drivers.astype(np.float32), mean_gib, 1.0, self.assumed)
        return DemandBatch(values=values, start_us=start_us)
