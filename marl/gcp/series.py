"""Figures of a column of a trajectory: quantiles, means, sizes that only come in steps."""

import math

import polars as pl


def at(values: pl.Series, quantile: float) -> float:
    """The value at a quantile; one that occurs, the higher of two."""
    return float(values.quantile(quantile, "higher"))  # type: ignore[arg-type]


def mean(values: pl.Series) -> float:
    """The mean over steps."""
    return float(values.mean())  # type: ignore[arg-type]


def up(value: float, step: int = 1) -> int:
    """The next multiple of `step`, one at least, forgiving what float32 adds."""
    return max(step, math.ceil(value / step - 1e-4) * step)
