"""A demand known in closed form: for tests, and for a cloud without a fitted workload.

Nothing here is fitted; what is belongs to `generators`.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from marl.traces.schema import WINDOW_US
from marl.workload.bursts import BurstConfig, crowds
from marl.workload.coefficients import Coefficients, coefficients, services_demand
from marl.workload.demand import CLASSES, DAY_US, HORIZON, DemandBatch, check_size
from marl.workload.memory import Bank, scheduled_vcpu
from marl.workload.mix import mix_weights

ToyKind = Literal["steady", "burst", "cyclical"]
TOY_KINDS: Final[tuple[ToyKind, ...]] = ("steady", "burst", "cyclical")
TOY_SHARES: Final = {"web": 0.5, "batch": 0.3, "ml": 0.2}
_AMPLITUDES: Final = {"web": 0.4, "batch": -0.2, "ml": 0.0}  # of the daily sine, of the mean
_BANK_SEED: Final = 2


class ToyGenerator:
    """A daily sine per class times lognormal noise of mean 1.

    Of class c at trace time t: compute = `mean_vcpu`·share_c·mix_c·(1 + amplitude_c·sin(2πt/day))·
    noise, memory = `gib_per_vcpu`·compute without noise, tasks = compute without noise; the other
    channels follow by `coefficients.services_demand`. Episodes begin on a whole window of the first
    week. `steady` has no sine; `burst` has it and flash crowds on every class
    (`bursts.crowds`). Yesterday and last week are draws of the same process (`memory.Bank`).

    Args:
        mean_vcpu: of all classes together, without bursts, at a mix of 1.
        noise: standard deviation of its logarithm.
        gib_per_vcpu: memory.
        assumed: coefficients of the other channels.
        kind: `steady`, `burst` or `cyclical`.
        mix: factor by class on its demand, as for `generators.make_generator`.
    """

    name = "toy"

    def __init__(
        self,
        mean_vcpu: float = 256.0,
        noise: float = 0.1,
        gib_per_vcpu: float = 4.0,
        assumed: Coefficients | None = None,
        kind: ToyKind = "cyclical",
        mix: Mapping[str, float] | None = None,
    ) -> None:
        if not (mean_vcpu >= 0 and noise >= 0 and gib_per_vcpu >= 0):
            raise ValueError(
                "mean_vcpu, noise and gib_per_vcpu must be >= 0; "
                f"got {mean_vcpu}, {noise}, {gib_per_vcpu}"
            )
        if kind not in TOY_KINDS:
            raise ValueError(f"unknown kind of toy demand {kind!r}; known: {', '.join(TOY_KINDS)}")
        self.mean_vcpu, self.noise, self.gib_per_vcpu = mean_vcpu, noise, gib_per_vcpu
        self.assumed = assumed or coefficients()
        self.kind = kind
        self._share = np.array([TOY_SHARES[name] for name in CLASSES]) * mix_weights(mix)
        self._bursts = BurstConfig()
        self._bank = Bank(self._draw_values, _BANK_SEED)

    def expected_vcpu(self, time_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """(..., C) mean compute at trace times (...,), vCPU, bursts aside."""
        sine = np.sin(2 * np.pi * (time_us % DAY_US) / DAY_US)[..., None]
        amplitude = np.array([_AMPLITUDES[name] for name in CLASSES])
        if self.kind == "steady":
            amplitude = np.zeros_like(amplitude)
        return np.asarray(self.mean_vcpu * self._share * (1 + amplitude * sine))

    def sample(self, episodes: int, steps: int, rng: np.random.Generator) -> DemandBatch:
        """Draw `episodes` episodes of `steps` steps; see `DemandGenerator`."""
        check_size(episodes, steps)
        start_us = rng.integers(0, 7 * DAY_US // WINDOW_US, episodes) * WINDOW_US
        length = steps + HORIZON
        values = self._draw_values(start_us, length, rng)
        day_ago, week_ago = self._bank.recall(start_us, length, rng)
        return DemandBatch(
            values=values[:, :steps],
            start_us=start_us,
            day_ago=day_ago,
            week_ago=week_ago,
            announced=np.ones((episodes, length), np.float32),
            scheduled=scheduled_vcpu(values, day_ago, rng),
        )

    def _draw_values(
        self, start_us: NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """(B, T, C, R) demand of independent paths."""
        time_us = start_us[:, None] + np.arange(steps) * WINDOW_US
        expected = self.expected_vcpu(time_us)
        if self.kind == "burst":
            for index in range(len(CLASSES)):
                factors = crowds(self._bursts, len(start_us), steps, rng)
                expected[:, :, index] *= factors
        draw = rng.standard_normal(expected.shape, dtype=np.float32)
        noise = np.exp(self.noise * draw - self.noise**2 / 2)
        drivers = np.stack([expected, expected * noise, expected * self.gib_per_vcpu], axis=-1)
        mean_gib = self.mean_vcpu * self.gib_per_vcpu * self._share
        return services_demand(drivers.astype(np.float32), mean_gib, 1.0, self.assumed)
