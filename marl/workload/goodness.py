"""How well the fitted workload matches the held-out stretch: figures, and stated thresholds.

The arrays compared come from `evidence`; tests of one sample from `distances`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marl.frozen import Frozen
from marl.workload.demand import DAY_US
from marl.workload.distances import (
    KsResult,
    effective_size,
    ks_censored,
    ks_two_samples,
    quantile_pairs,
)
from marl.workload.evidence import UNITS, Evidence, MarkEvidence, SeriesEvidence, gather
from marl.workload.model import WorkloadModel
from marl.workload.noise import autocorrelation

Floats = NDArray[np.float64]
LAGS: Final = (1, 12, 288)  # five minutes, an hour, a day
_HOUR_US: Final = DAY_US // 24


class Thresholds(Frozen):
    """What counts as a good fit.

    A figure passes when its error is within the threshold, or when the real figure lies within the
    central 98 % of the replicas: a true model would be that far off one time in fifty.

    Attributes:
        ks_alpha: level of the Kolmogorov–Smirnov test (on the effective sample size).
        ks_distance: a distance that is fine whatever the test says; with enough data every model
            is rejected.
        mean_error, p95_error: relative.
        dispersion_ratio: most by which fitted and real index of dispersion may differ, as a factor.
        acf_error: absolute, at each lag.
        daily_error: root mean square difference of the hourly means, of the real mean.
    """

    ks_alpha: float = Field(default=0.01, gt=0, lt=1)
    ks_distance: float = Field(default=0.1, gt=0)
    mean_error: float = Field(default=0.2, gt=0)
    p95_error: float = Field(default=0.25, gt=0)
    dispersion_ratio: float = Field(default=2.0, gt=1)
    acf_error: float = Field(default=0.2, gt=0)
    daily_error: float = Field(default=0.25, gt=0)


class Check(Frozen):
    """One figure beside its threshold.

    Attributes:
        name: of the figure.
        real, fitted: its value in the held-out stretch, and of the model (mean over replicas).
        low, high: central 98 % of the replicas; None where there are none.
        error: what the threshold bounds.
        threshold: the bound.
        is_passed: whether the error is within it, or real within low–high.
    """

    name: str
    real: float
    fitted: float
    low: float | None = None
    high: float | None = None
    error: float
    threshold: float
    is_passed: bool


class Comparison(Frozen):
    """One quantity of one class.

    Attributes:
        workload_class, quantity, unit: what is compared.
        observations: held-out values; `effective` after allowing for autocorrelation.
        imputed_share: share of the real values that were imputed, not measured.
        ks: the test.
        qq: (probability, real quantile, fitted quantile).
        acf: (lag, real, fitted) up to three hours, and a day where long enough.
        daily: (hour of the trace's day, real mean, fitted mean).
        checks: against thresholds.
    """

    workload_class: str
    quantity: str
    unit: str
    observations: int
    effective: float
    imputed_share: float = 0.0
    ks: KsResult
    qq: tuple[tuple[float, float, float], ...]
    acf: tuple[tuple[int, float, float], ...] = ()
    daily: tuple[tuple[int, float, float], ...] = ()
    checks: tuple[Check, ...]

    @property
    def is_passed(self) -> bool:
        """Whether every check passed."""
        return all(check.is_passed for check in self.checks)


class GoodnessReport(Frozen):
    """Every comparison, with what it was made from."""

    source: str
    is_synthetic: bool
    held_out_windows: int
    thresholds: Thresholds
    comparisons: tuple[Comparison, ...]
    not_compared: tuple[str, ...]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return sum(check.is_passed for one in self.comparisons for check in one.checks)

    @property
    def total(self) -> int:
        """How many checks there are."""
        return sum(len(one.checks) for one in self.comparisons)


def goodness(
    model: WorkloadModel,
    thresholds: Thresholds | None = None,
    evidence: Evidence | None = None,
    seed: int = 0,
) -> GoodnessReport:
    """Compare the model with its held-out stretch.

    Args:
        model: the fitted workload.
        thresholds: what counts as good.
        evidence: arrays to compare (`gather`); None draws them.
        seed: of the draws.
    """
    limits = thresholds or Thresholds()
    found = evidence or gather(model, seed)
    comparisons, left_out = [], []
    for series in found.series:
        if series.real.sum() == 0 and series.fitted.sum() == 0:
            left_out.append(f"{series.workload_class} {series.quantity}: zero throughout")
        else:
            comparisons.append(_compare_series(series, limits))
    for marks in found.marks:
        complete = int((~marks.is_censored).sum())
        if complete < 10:
            left_out.append(
                f"{marks.workload_class} {marks.quantity}: {complete} held-out values (10 needed)"
            )
        else:
            comparisons.append(_compare_marks(marks, limits))
    return GoodnessReport(
        source=model.source,
        is_synthetic=model.is_synthetic,
        held_out_windows=model.history.filter("is_held_out")["window_us"].n_unique(),
        thresholds=limits,
        comparisons=tuple(comparisons),
        not_compared=tuple(left_out),
    )


def _check(name: str, real: float, fitted: Floats, error: float, threshold: float) -> Check:
    low, high = (float(np.quantile(fitted, q)) for q in (0.01, 0.99))
    return Check(
        name=name,
        real=real,
        fitted=float(fitted.mean()),
        low=low,
        high=high,
        error=error,
        threshold=threshold,
        is_passed=bool(error <= threshold or low <= real <= high),
    )


def _relative(real: float, fitted: float) -> float:
    return abs(fitted - real) / max(abs(real), abs(fitted), 1e-12)


def _compare_series(one: SeriesEvidence, limits: Thresholds) -> Comparison:
    # The daily cycle is known to the model; what is left around it decides how much was seen.
    effective = effective_size(one.real - one.fitted.mean(axis=0))
    ks = ks_two_samples(one.real, one.fitted.ravel(), effective, limits.ks_alpha)
    checks = [_ks_check(ks, limits)]
    means = one.fitted.mean(axis=1)
    checks.append(
        _check(
            "mean",
            float(one.real.mean()),
            means,
            _relative(one.real.mean(), means.mean()),
            limits.mean_error,
        )
    )
    tops = np.quantile(one.fitted, 0.95, axis=1)
    top = float(np.quantile(one.real, 0.95))
    checks.append(_check("p95", top, tops, _relative(top, float(tops.mean())), limits.p95_error))
    spreads = one.fitted.var(axis=1) / np.maximum(means, 1e-12)
    spread = float(one.real.var() / max(one.real.mean(), 1e-12))
    ratio = max(spread, 1e-12) / max(float(spreads.mean()), 1e-12)
    checks.append(
        _check(
            "index of dispersion", spread, spreads, max(ratio, 1 / ratio), limits.dispersion_ratio
        )
    )
    longest = max((lag for lag in LAGS if 2 * lag < len(one.real)), default=0)
    reach = max(longest, min(36, len(one.real) // 2))
    real_acf = autocorrelation(one.real, reach)
    fitted_acf = np.stack([autocorrelation(row, reach) for row in one.fitted])
    for lag in LAGS:
        if lag <= longest:
            error = abs(float(real_acf[lag] - fitted_acf[:, lag].mean()))
            checks.append(
                _check(
                    f"autocorrelation, lag {lag}",
                    float(real_acf[lag]),
                    fitted_acf[:, lag],
                    error,
                    limits.acf_error,
                )
            )
    daily = _daily(one)
    if len(daily) == 24:
        checks.append(_daily_check(one, limits))
    shown = sorted({*range(1, min(reach, 36) + 1), *(lag for lag in LAGS if lag <= longest)})
    return Comparison(
        workload_class=one.workload_class,
        quantity=one.quantity,
        unit=UNITS[one.quantity],
        observations=len(one.real),
        effective=effective,
        imputed_share=one.imputed_share,
        ks=ks,
        qq=quantile_pairs(one.real, one.fitted.ravel()),
        acf=tuple((k, float(real_acf[k]), float(fitted_acf[:, k].mean())) for k in shown),
        daily=daily,
        checks=tuple(checks),
    )


def _ks_check(ks: KsResult, limits: Thresholds) -> Check:
    bound = max(ks.critical, limits.ks_distance)
    return Check(
        name="Kolmogorov–Smirnov distance",
        real=0.0,
        fitted=ks.distance,
        error=ks.distance,
        threshold=bound,
        is_passed=ks.distance <= bound,
    )


def _hourly(one: SeriesEvidence) -> tuple[NDArray[np.int64], Floats]:
    """Hours of the day that occur, and a (hours, T) matrix that averages a series over each."""
    hours = (one.time_us % DAY_US) // _HOUR_US
    present = np.unique(hours)
    member = (hours[None, :] == present[:, None]).astype(float)
    return present, member / member.sum(axis=1, keepdims=True)


def _daily(one: SeriesEvidence) -> tuple[tuple[int, float, float], ...]:
    present, average = _hourly(one)
    real, fitted = average @ one.real, average @ one.fitted.mean(axis=0)
    return tuple(
        (int(hour), float(a), float(b)) for hour, a, b in zip(present, real, fitted, strict=True)
    )


def _daily_check(one: SeriesEvidence, limits: Thresholds) -> Check:
    """Distance of the hourly means from the model's expectation, real beside that of replicas."""
    _, average = _hourly(one)
    expected = average @ one.fitted.mean(axis=0)
    scale = max(float(one.real.mean()), 1e-12)
    real = float(np.sqrt(((average @ one.real - expected) ** 2).mean()) / scale)
    drawn = np.sqrt(((one.fitted @ average.T - expected) ** 2).mean(axis=1)) / scale
    return _check("daily cycle, RMS ÷ mean", real, drawn, real, limits.daily_error)


def _compare_marks(one: MarkEvidence, limits: Thresholds) -> Comparison:
    complete = one.real[~one.is_censored]
    if one.is_censored.any():
        ks = ks_censored(one.real, one.is_censored, one.fitted, limits.ks_alpha)
    else:
        ks = ks_two_samples(one.real, one.fitted, len(one.real), limits.ks_alpha)
    return Comparison(
        workload_class=one.workload_class,
        quantity=one.quantity,
        unit=UNITS[one.quantity],
        observations=len(one.real),
        effective=float(len(complete)),
        ks=ks,
        qq=quantile_pairs(one.real, one.fitted, one.is_censored),
        checks=(_ks_check(ks, limits),),
    )
