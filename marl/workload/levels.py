"""Levels over time: what arrivals explain of a class's tasks, CPU and memory, and the rest.

A level is (what runs because of recent arrivals + what runs anyway) × daily cycle × noise. Counts
of arrivals belong to `arrivals`; the noise's memory to `noise`.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marl.frozen import Frozen
from marl.workload import daily
from marl.workload.demand import STEP_S
from marl.workload.lifetimes import LifetimeModel
from marl.workload.noise import ArNoise, fit_noise

Floats = NDArray[np.float64]
KERNEL_WINDOWS: Final = 288  # arrivals of one day are followed; what outlives it is in the base
_QUANTILES: Final = 129
_FLOOR_SHARE: Final = 0.02  # of the mean, added before logarithms so that empty windows have one
_MOST: Final = 1.5
_FINE: Final = 8  # points a window is cut into when the kernel is integrated


def survival_kernel(lifetimes: LifetimeModel | None, windows: int = KERNEL_WINDOWS) -> Floats:
    """(windows,) mean share of window k in which a collection of window 0 still runs.

    The kernel of an infinite-server queue (M_t/G/∞: Eick, Massey, Whitt, Management Science 39:2,
    1993, doi:10.1287/mnsc.39.2.241) for arrivals spread evenly over their window. Without a
    lifetime model everything ends in the window it arrived in.
    """
    kernel = np.zeros(windows)
    if lifetimes is None:
        kernel[0] = 1.0
        return kernel
    # Arrival and moment of looking are both even over their windows: their gap is triangular.
    offset = np.arange(1 - _FINE, _FINE)
    weight = (_FINE - np.abs(offset)) / _FINE**2
    steps = np.arange(float(windows * _FINE + _FINE))
    alive = lifetimes.survival(steps * (STEP_S / _FINE))
    alive[0] = 0.5  # in the window of arrival, half of this cell lies before the arrival
    index = np.arange(windows)[:, None] * _FINE + offset
    return np.asarray((np.where(index >= 0, alive[np.maximum(index, 0)], 0.0) * weight).sum(axis=1))


def follow(counts: NDArray[np.floating], kernel: NDArray[np.floating]) -> NDArray[np.floating]:
    """Convolve (…, K−1+T) counts with a kernel (K,); the T values whose past is complete."""
    from scipy import fft

    past, length = len(kernel), counts.shape[-1]
    size = fft.next_fast_len(length, real=True)  # what wraps around lands in the part dropped
    spectrum = fft.rfft(counts, size, axis=-1) * fft.rfft(kernel.astype(counts.dtype), size)
    out = fft.irfft(spectrum, size, axis=-1)[..., past - 1 : length]
    return np.maximum(np.asarray(out), 0)


class LevelModel(Frozen):
    """y_t = scale·[(base + slope·x_t + floor)·daily(t)·exp(F⁻¹(Φ(z_t))) − floor], in [0, most].

    x is the arrivals' echo (`follow`), z unit Gaussian noise with memory, F the empirical
    distribution of the log residual: an autoregressive-to-anything process (Cario & Nelson,
    Operations Research Letters 19:2, 1996, doi:10.1016/0167-6377(96)00017-X).

    Attributes:
        base, slope: non-negative least squares of the level on x.
        floor: of the logarithm, in units of the level.
        daily: Fourier coefficients of what of the daily cycle the arrivals do not explain.
        quantiles: of the log residual, at even steps of z over ±4.
        noise: memory of z.
        scale: makes the model's mean equal that of the training part.
        mean: of the training part.
        most: cut of the level: 1.5 times the training part's largest, for a cell has a size.
    """

    base: float = Field(default=0.0, ge=0)
    slope: float = Field(default=0.0, ge=0)
    floor: float = Field(default=0.0, ge=0)
    daily: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    noise: ArNoise = ArNoise()
    scale: float = Field(default=1.0, ge=0)
    mean: float = Field(default=0.0, ge=0)
    most: float = Field(default=0.0, ge=0)

    def apply(
        self,
        echo: NDArray[np.floating],
        z: NDArray[np.floating],
        time_us: NDArray[np.int64],
        is_cyclical: bool = True,
    ) -> NDArray[np.floating]:
        """Level at `time_us` from the arrivals' echo and noise, all of one shape."""
        if self.mean == 0:
            return np.zeros_like(echo)
        residual = np.interp(z, _z_grid(), _exponentials(self.quantiles)).astype(echo.dtype)
        level = (self.base + self.floor + self.slope * echo) * residual
        if is_cyclical and self.daily:
            level = level * daily.factor(time_us, self.daily).astype(echo.dtype)
        return np.clip((level - self.floor) * self.scale, 0, self.most).astype(echo.dtype)


@cache  # as is the next: asked for by every draw of demand
def _z_grid() -> Floats:
    return np.linspace(-4.0, 4.0, _QUANTILES)


@cache
def _exponentials(quantiles: tuple[float, ...]) -> Floats:
    return np.asarray(np.exp(quantiles))


def fit_level(
    values: Floats, echo: Floats, time_us: NDArray[np.int64], harmonics: int
) -> tuple[LevelModel, Floats]:
    """Fit one level of the training part.

    Args:
        values: (T,) the level per window.
        echo: (T,) the arrivals' echo of the same windows.
        time_us: (T,) start of each window.
        harmonics: of the daily cycle.

    Returns:
        The model, and the (T,) normal scores of its residuals (for correlations between levels).
    """
    from scipy.optimize import nnls
    from scipy.stats import norm

    mean = float(values.mean()) if len(values) else 0.0
    if mean == 0:
        return LevelModel(), np.zeros(len(values))
    unit = max(float(echo.mean()), 1e-12)
    weights, _ = nnls(np.column_stack([np.full(len(echo), mean), echo / unit * mean]), values)
    base, slope = float(weights[0] * mean), float(weights[1] * mean / unit)
    floor = _FLOOR_SHARE * mean
    fitted = base + slope * echo + floor
    logs = np.log(values + floor) - np.log(fitted)
    _, beta = daily.fit_logs(logs, time_us, harmonics)
    factor = daily.factor(time_us, beta)
    residuals = logs - np.log(factor)
    order = np.argsort(np.argsort(residuals, kind="stable"), kind="stable")
    scores = norm.ppf((order + 0.5) / len(residuals))
    quantiles = np.quantile(residuals, norm.cdf(_z_grid()))
    weight = np.diff(norm.cdf(_z_grid()), prepend=0.0)
    expected = float((np.exp(quantiles) * weight / weight.sum()).sum())
    model_mean = float(np.maximum(fitted * factor * expected - floor, 0).mean())
    return LevelModel(
        base=base,
        slope=slope,
        floor=floor,
        daily=beta,
        quantiles=tuple(quantiles.tolist()),
        noise=fit_noise(scores),
        scale=mean / model_mean if model_mean > 0 else 1.0,
        mean=mean,
        most=_MOST * float(values.max()),
    ), scores
