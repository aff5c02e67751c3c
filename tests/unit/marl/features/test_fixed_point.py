"""Fixed point: exact, reversible, independent of how rows are cut."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl.features.fixed_point import SCALE, from_fixed, per, to_fixed


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_sums_do_not_depend_on_the_order(values):
    def total(numbers):
        fixed = to_fixed(pl.col("value")).sum()
        return pl.DataFrame({"value": numbers}).select(fixed).item()

    assert total(values) == total(values[::-1]) == total(sorted(values))
    assert total(values) / SCALE == pytest.approx(sum(values), abs=len(values) / SCALE)


def test_null_stays_null_and_what_does_not_fit_is_an_error():
    frame = pl.DataFrame({"value": [None, 0.5]})
    assert frame.select(from_fixed(to_fixed(pl.col("value"))))["value"].to_list() == [None, 0.5]
    for bad in (float("nan"), float("inf"), 1e9):
        with pytest.raises(pl.exceptions.InvalidOperationError):
            pl.DataFrame({"value": [bad]}).select(to_fixed(pl.col("value")))


def test_a_quotient_is_the_same_alone_and_among_others():
    numbers = [number * 7919 for number in range(1, 500)]
    together = pl.DataFrame({"n": numbers}).select(per(pl.col("n"), 3e8))["n"].to_list()
    alone = [pl.DataFrame({"n": [n]}).select(per(pl.col("n"), 3e8)).item() for n in numbers]
    assert alone == together
    assert alone == pytest.approx([n / 3e8 for n in numbers])
