"""Sums that do not depend on the order of their terms: resources as 64-bit integers.

Floating-point sums differ in the last digits with the number of threads, and running totals of
what comes and goes drift. Multiples of 2⁻⁴⁰ NCU add exactly, so results are identical everywhere
and what stops running is subtracted to exactly zero. Room: 8.4 million NCU in one sum.
"""

from typing import Final

import polars as pl

SCALE: Final = 2**40


def to_fixed(value: pl.Expr) -> pl.Expr:
    """Round to the nearest multiple of 2⁻⁴⁰; null stays null, beyond the range is an error."""
    return (value * SCALE).round().cast(pl.Int64)


def from_fixed(value: pl.Expr) -> pl.Expr:
    """Back to floating point."""
    return value.cast(pl.Float64) / SCALE


def per(value: pl.Expr, unit: float) -> pl.Expr:
    """`value / unit`, the same to the last bit however the rows are cut into slices.

    Polars divides a single row by a number, but multiplies several rows by its reciprocal.
    """
    return value * (1 / unit)
