"""The checks of `robustness_episodes` are fed bad data and must name what is wrong."""

import polars as pl
import pytest

from assets.evaluation.robustness_checks import (
    perturbed_episodes_pair,
    robustness_is_finite,
    zero_is_unperturbed,
)
from marl.evaluate.robustness.frame import SCHEMA, robustness_frame
from marl.evaluate.robustness.perturbations import Change, Perturbation

ROW = Perturbation("storm", "a storm", "zones", (0.0, 2.0), lambda *_: Change())
CHECKS = (perturbed_episodes_pair, zero_is_unperturbed, robustness_is_finite)


@pytest.fixture
def folder(tmp_path):
    rows = [
        {
            "perturbation": name, "severity": severity, "policy": policy, "training_seed": seed,
            "episode": episode, "reward": -0.1 * episode - severity - 0.01 * len(policy),
            "slo_attainment": 0.9, "cost_usd": 3.0, "requests": 100.0 + episode,
            "demand_compute": 5.0, "demand_database": 1.0, "zones_down": 0.0, "quota": 1.0,
            "spot_ratio": 0.3, "disk_speed": 1.0, "recovery_steps": 2 if severity else None,
        }
        for name, severity in (("none", 0.0), ("storm", 2.0))
        for policy, seed in (("reactive", None), ("maddpg", 0))
        for episode in range(6)
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"training_seed": pl.Int64})
    write(tmp_path, frame, robustness_frame(frame, [ROW]))
    return tmp_path


def write(folder, frame, summary):
    (folder / "rows").mkdir(exist_ok=True)
    frame.write_parquet(folder / "rows" / "part-000000.parquet")
    summary.write_parquet(folder / "summary.parquet")


def change(folder, column, value, where, table="rows/part-000000.parquet"):
    frame = pl.read_parquet(folder / table)
    kind = frame.schema[column]
    new = pl.when(where).then(pl.lit(value)).otherwise(pl.col(column)).cast(kind)
    frame.with_columns(new.alias(column)).write_parquet(folder / table)


STORMY = (pl.col("perturbation") == "storm") & (pl.col("severity") > 0)
LEARNED = pl.col("policy") == "maddpg"


@pytest.mark.parametrize("check", CHECKS)
def test_good_data_pass(folder, check):
    passed, said, _ = check(folder)
    assert passed, said


@pytest.mark.parametrize(
    "column", ["requests", "demand_compute", "quota", "spot_ratio", "zones_down", "disk_speed"]
)
def test_another_weather_for_one_policy_is_named(folder, column):
    change(folder, column, 7.0, STORMY & LEARNED & (pl.col("episode") == 3))
    passed, said, _ = perturbed_episodes_pair(folder)
    assert not passed
    assert f"storm 2: {column} differs between policies" in said


def test_a_missing_episode_or_policy_is_named(folder):
    path = folder / "rows" / "part-000000.parquet"
    frame = pl.read_parquet(path)
    frame.filter(~(STORMY & LEARNED & (pl.col("episode") == 5))).write_parquet(path)
    assert "storm 2: policies have different episodes" in perturbed_episodes_pair(folder)[1]
    frame.filter(~(STORMY & LEARNED)).write_parquet(path)
    assert "storm 2: policies have different episodes" in perturbed_episodes_pair(folder)[1]
    frame.filter(~LEARNED).write_parquet(path)
    assert "only 1 policy" in perturbed_episodes_pair(folder)[1]


def test_a_curve_that_begins_elsewhere_is_named(folder):
    summary = pl.read_parquet(folder / "summary.parquet")
    change(folder, "reward", -9.0, LEARNED & (pl.col("severity") == 0), "summary.parquet")
    passed, said, _ = zero_is_unperturbed(folder)
    assert not passed
    assert "storm: reward at severity 0 is not the unperturbed one" in said
    summary.filter(~(LEARNED & (pl.col("severity") == 0))).write_parquet(folder / "summary.parquet")
    assert "storm: not every policy" in zero_is_unperturbed(folder)[1]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("reward", float("nan"), "reward holds values that are not finite"),
        ("slo_attainment", None, "slo_attainment holds nulls"),
        ("slo_attainment", 1.2, "a service level outside [0, 1] in 1 rows"),
        ("reward_lo", 5.0, "an interval upside down in 1 rows"),
        ("worst", 5.0, "worst above the mean in 1 rows"),
        ("recovery_steps", -1.0, "a negative recovery in 1 rows"),
        ("p_holm", 1.5, "a p-value outside [0, 1] in 1 rows"),
    ],
)
def test_figures_that_cannot_be_are_named(folder, column, value, said):
    change(folder, column, value, STORMY & LEARNED, "summary.parquet")
    passed, told, _ = robustness_is_finite(folder)
    assert not passed
    assert said in told


def test_other_columns_are_refused(folder):
    path = folder / "summary.parquet"
    pl.read_parquet(path).drop("worst").write_parquet(path)
    passed, said, _ = robustness_is_finite(folder)
    assert not passed
    assert "columns" in said


def test_nothing_is_fine_where_the_profile_asks_for_nothing(tmp_path):
    nothing = {"perturbation": pl.String, "severity": pl.Float64, "policy": pl.String}
    write(tmp_path, pl.DataFrame(schema=nothing), pl.DataFrame(schema=SCHEMA))
    for check in CHECKS:
        passed, said, _ = check(tmp_path)
        assert passed, said
