"""A bill whose parts are not the whole is refused, whichever way it is cut."""

import polars as pl
import pytest

from assets.evaluation.bill_checks import bills_add_up

GOOD = {
    "cost_usd": 100.0, "cost_compute_usd": 60.0, "cost_storage_usd": 10.0,
    "cost_network_usd": 25.0, "cost_database_usd": 5.0, "cost_on_demand_usd": 50.0,
    "cost_spot_usd": 10.0, "cost_committed_usd": 25.0, "cost_traffic_usd": 15.0,
}  # fmt: skip


def stored(folder, **changes):
    (folder / "rows").mkdir()
    pl.DataFrame([GOOD, GOOD | changes]).write_parquet(folder / "rows" / "part-000000.parquet")
    return bills_add_up(folder)


def test_bills_that_add_up_pass(tmp_path):
    assert stored(tmp_path, cost_storage_usd=10.0001)[0]  # float32's rounding


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cost_spot_usd": 11.0}, "by purchase"),
        ({"cost_database_usd": 4.0}, "by service"),
        ({"cost_usd": 99.0}, "by service"),
        ({"cost_spot_usd": float("nan")}, "by purchase"),
    ],
)
def test_one_that_does_not_is_refused(tmp_path, changes, said):
    passed, sentence, _ = stored(tmp_path, **changes)
    assert not passed
    assert said in sentence
