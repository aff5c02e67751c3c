"""Stationary Gaussian noise with memory: sums of AR(1) processes of unit variance.

The building block of the arrivals' modulation and of the levels' residuals. What is modulated
belongs to `arrivals` and `levels`.
"""

from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from marl.frozen import Frozen

Floats = NDArray[np.float64]
_LAGS: Final = 36  # three hours: the lags the memory is fitted to
_MAX_PHI: Final = 0.9995


class ArNoise(Frozen):
    """z_t = Σ_i √w_i z_{i,t}, each z_i an AR(1) process with unit variance and coefficient φ_i.

    Its variance is 1 and its autocorrelation Σ_i w_i φ_i^k: one component is a plain AR(1), two
    give a fast and a slow part.
    """

    weights: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    phis: tuple[float, ...] = Field(default=(0.0,), min_length=1)

    @model_validator(mode="after")
    def _is_stationary(self) -> Self:
        if len(self.weights) != len(self.phis) or abs(sum(self.weights) - 1) > 1e-6:
            raise ValueError(f"weights {self.weights} must match phis {self.phis} and sum to 1")
        if min(self.weights) < 0 or max(abs(phi) for phi in self.phis) >= 1:
            raise ValueError(f"weights must be >= 0 and |phi| < 1; got {self.weights}, {self.phis}")
        return self

    def autocorrelation(self, lags: NDArray[np.integer]) -> Floats:
        """Autocorrelation at whole lags."""
        parts = [w * phi ** np.abs(lags) for w, phi in zip(self.weights, self.phis, strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    def sample(self, rows: int, steps: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(rows, steps) independent stationary paths."""
        from scipy.signal import lfilter

        total = np.zeros((rows, steps), np.float32)
        for weight, phi in zip(self.weights, self.phis, strict=True):
            if weight == 0:
                continue
            draw = rng.standard_normal((rows, steps), dtype=np.float32)
            if phi != 0:
                scale = np.float32(np.sqrt(1 - phi * phi))
                first = draw[:, :1].copy()  # already has the stationary variance
                draw *= scale
                draw[:, :1] = first
                one = np.array([1.0], np.float32)
                draw = lfilter(one, np.array([1.0, -phi], np.float32), draw, axis=1)
            total += np.float32(np.sqrt(weight)) * draw
        return total


def autocorrelation(values: Floats, lags: int) -> Floats:
    """(lags + 1,) sample autocorrelation (biased estimate); 1 then zeros where nothing varies."""
    centred = values - values.mean() if len(values) else values
    variance = float(centred @ centred)
    out = np.zeros(lags + 1)
    out[0] = 1.0
    if variance > 0:
        size = 1 << int(np.ceil(np.log2(2 * len(values))))
        spectrum = np.fft.rfft(centred, size)
        raw = np.fft.irfft(spectrum * np.conj(spectrum), size)[: min(lags + 1, len(values))]
        out[: len(raw)] = raw / variance
    return out


def fit_noise(values: Floats, components: int = 2) -> ArNoise:
    """AR(1) components whose autocorrelation is nearest (least squares) to that of `values`.

    Over the lags of the first three hours. The slow component is kept only where it lowers the
    squared error by a fifth, so that short or plain series get a plain AR(1).
    """
    from scipy.optimize import least_squares

    lags = min(_LAGS, len(values) // 4)
    if lags < 1 or np.ptp(values) == 0:
        return ArNoise()
    wanted = autocorrelation(values, lags)[1:]
    at = np.arange(1, lags + 1)
    one = least_squares(
        lambda p: p[0] ** at - wanted, [np.clip(wanted[0], 0.01, 0.99)], bounds=(0, _MAX_PHI)
    )
    plain = ArNoise(phis=(float(one.x[0]),))
    if components < 2 or lags < 6:
        return plain
    two = least_squares(
        lambda p: p[0] * p[1] ** at + (1 - p[0]) * p[2] ** at - wanted,
        [0.5, 0.3, 0.95],
        bounds=(0, [1, _MAX_PHI, _MAX_PHI]),
    )
    if two.cost > 0.8 * one.cost:
        return plain
    share = float(two.x[0])
    return ArNoise(weights=(share, 1 - share), phis=(float(two.x[1]), float(two.x[2])))
