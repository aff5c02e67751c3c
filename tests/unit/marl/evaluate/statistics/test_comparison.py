"""The comparison table: its figures, its decisions in simulated evaluations, what it refuses."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from marl.evaluate.statistics import compare, episodes_needed, minimum_detectable_effect
from tests.unit.marl.evaluate.statistics.frames import draws, frame, many_evaluations

EVALUATIONS = 1000


def test_a_policy_against_itself_and_an_identical_one():
    a, _ = draws()
    table = compare(frame([("reactive", None, a), ("same", None, a)]))
    for row in table.iter_rows(named=True):
        assert (row["difference"], row["lo"], row["hi"]) == (0, 0, 0)
        assert (row["p_value"], row["p_holm"], row["is_significant"]) == (1, 1, False)
        assert [row[f] for f in ("probability_of_improvement", "poi_lo", "poi_hi")] == [0.5] * 3
        assert (row["effect_size"], row["rank_biserial"], row["mde"]) == (0, 0, 0)


def test_a_better_policy_is_found_a_noisy_equal_one_is_not():
    a, better = draws(shift=0.2)
    _, equal = draws()
    table = compare(frame([("reactive", None, a), ("better", 0, better), ("equal", 0, equal)]))
    found = table.filter(policy="better").row(0, named=True)
    assert found["is_significant"]
    assert found["lo"] > 0
    d = better - a
    assert found["difference"] == pytest.approx(d.mean())
    assert found["mean"] - found["reference_mean"] == pytest.approx(found["difference"])
    assert found["probability_of_improvement"] == pytest.approx((better > a).mean())
    assert found["poi_lo"] < found["probability_of_improvement"] < found["poi_hi"]
    assert found["effect_size"] == pytest.approx(d.mean() / d.std(ddof=1))
    assert found["mde"] == pytest.approx(minimum_detectable_effect(d.std(ddof=1), 80))
    assert found["episodes"] == 80
    assert not table.filter(policy="equal")["is_significant"][0]


def test_any_policy_may_be_the_reference():
    a, b = draws(shift=0.2)
    table = frame([("reactive", None, a), ("apg", 0, b), ("apg", 1, b), ("maddpg", 0, a + 0.1)])
    ours = compare(table, "reactive").filter(policy="apg").row(0, named=True)
    theirs = compare(table, "apg").filter(policy="reactive").row(0, named=True)
    assert theirs["difference"] == pytest.approx(-ours["difference"])
    assert theirs["rank_biserial"] == pytest.approx(-ours["rank_biserial"])
    assert theirs["p_value"] == pytest.approx(ours["p_value"])
    itself = compare(table, "apg").filter(policy="apg").row(0, named=True)
    assert (itself["difference"], itself["p_holm"], itself["seed_lo"]) == (0, 1, None)


def test_training_seeds_are_averaged_not_counted_as_more_episodes():
    a, b = draws(shift=0.1)
    two = compare(frame([("reactive", None, a), ("new", 0, b), ("new", 1, b + 0.2)]))
    row = two.filter(policy="new").row(0, named=True)
    assert (row["episodes"], row["training_seeds"]) == (80, 2)
    assert row["difference"] == pytest.approx((b - a).mean() + 0.1)
    # Two seeds .2 apart say little of a third: t of one degree of freedom.
    assert row["seed_lo"] < row["lo"] - 0.5
    one = compare(frame([("reactive", None, a), ("new", 0, b)])).filter(policy="new")
    assert one["seed_lo"].to_list() == [None]


def test_same_seed_same_table_whatever_the_order_of_rows():
    a, b = draws(shift=0.1)
    table = frame([("reactive", None, a), ("new", 0, b)])
    assert compare(table).equals(compare(table.reverse()))


def test_unpaired_missing_and_not_finite_are_refused():
    a, b = draws()
    with pytest.raises(ValueError, match="different episodes in steady: 79 and 80"):
        compare(frame([("reactive", None, a), ("new", 0, b[:79])]))
    with pytest.raises(ValueError, match="different episodes in other: 80 and 0"):
        compare(pl.concat([frame([("reactive", None, a)]), frame([("new", 0, b)], "other")]))
    with pytest.raises(ValueError, match="training seeds of new have different episodes in steady"):
        compare(frame([("reactive", None, a), ("new", 0, b), ("new", 1, b[:79])]))
    with pytest.raises(ValueError, match=r"no episodes of the reference 'reactive'; there are"):
        compare(frame([("new", 0, b)]))
    with pytest.raises(ValueError, match="reward of new in steady holds values that are not"):
        compare(frame([("reactive", None, a), ("new", 0, np.where(b > 1, np.nan, b))]))


def test_leaving_out_intervals_changes_no_decision():
    rng = np.random.default_rng(0)
    rows = [("reactive", None, rng.normal(size=60))]
    rows += [(f"p{i}", 0, rows[0][2] + rng.normal(i / 10, 1, 60)) for i in range(6)]
    for alpha in (0.05, 0.01):
        full = compare(frame(rows), alpha=alpha)
        quick = compare(frame(rows), alpha=alpha, intervals=False)
        decided = ["p_value", "p_holm", "is_significant", "difference", "effect_size"]
        assert full.select(decided).equals(quick.select(decided))
        assert quick["lo"].null_count() == 7
        assert 1 <= full["is_significant"].sum() <= 5


def test_detail_is_a_family_of_its_own():
    """The objective is corrected for how many policies there are, not for every column there is."""
    a, b = draws(shift=0.1)
    table = frame([("reactive", None, a), ("new", 0, b)]).with_columns(
        cost_usd=-pl.col("reward"), changes=pl.col("reward")
    )
    raw = compare(table, metrics=["reward"]).filter(policy="new")["p_holm"].item()
    found = dict(compare(table).filter(policy="new").select("metric", "p_holm").rows())
    expected = {"reward": raw, "cost_usd": 2 * raw, "changes": 2 * raw}
    assert found == pytest.approx(expected)
    asked = compare(table, metrics=["reward", "cost_usd", "changes"]).filter(policy="new")
    assert asked["p_holm"].to_list() == pytest.approx([3 * raw] * 3)


def noise(rng, kind, shape):
    """Of mean zero and standard deviation one."""
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "heavy-tailed":
        return rng.laplace(size=shape) / 2**0.5
    return 2.0 - rng.gamma(4.0, 0.5, shape)  # skewness -1: the middle lies above the mean


@pytest.mark.parametrize("kind", ["normal", "heavy-tailed", "skewed"])
def test_an_equal_policy_is_called_better_in_at_most_5_percent_of_evaluations(kind):
    """Two policies and two metrics an evaluation, 64 episodes, Holm's correction and all."""
    rng = np.random.default_rng(7)
    shape = (EVALUATIONS, 64)
    weather = {metric: rng.normal(size=shape) for metric in ("reward", "slo_attainment")}
    policies = {"reactive": weather} | {
        name: {metric: base + noise(rng, kind, shape) for metric, base in weather.items()}
        for name in ("one", "two")
    }
    table = compare(
        many_evaluations(policies, EVALUATIONS, rng), metrics=list(weather), intervals=False
    )
    called = table.filter("is_significant", pl.col("difference") > 0)
    assert called["scenario"].n_unique() / EVALUATIONS <= 0.05
    false = table.filter("is_significant")
    assert (
        false["scenario"].n_unique() / EVALUATIONS <= 0.05 + 2 * (0.05 * 0.95 / EVALUATIONS) ** 0.5
    )


def test_the_ranks_alone_would_call_an_equal_policy_better():
    """Why a decision asks the mean too: here the signed-rank test is right and no answer."""
    rng = np.random.default_rng(8)
    skewed = noise(rng, "skewed", (EVALUATIONS, 64))
    p_values = stats.wilcoxon(skewed, axis=1).pvalue
    assert np.mean((p_values < 0.05) & (skewed.mean(1) > 0)) > 0.08


def test_a_policy_5_percent_cheaper_is_found_with_the_stated_power():
    """Four questions an evaluation, so the plan asks for the level of Holm's strictest step."""
    rng = np.random.default_rng(9)
    power, sd, saved = 0.8, 12.0, 5.0
    n = episodes_needed(sd, saved, power=power, questions=4)
    shape = (EVALUATIONS, n)
    weather = {"cost_usd": rng.gamma(25.0, 4.0, shape), "slo_attainment": rng.normal(size=shape)}
    same = {m: base + rng.normal(0, sd, shape) for m, base in weather.items()}
    cheaper = {m: base + rng.normal(0, sd, shape) for m, base in weather.items()}
    cheaper["cost_usd"] = cheaper["cost_usd"] - saved
    policies = {"reactive": weather, "same": same, "cheaper": cheaper}
    table = compare(
        many_evaluations(policies, EVALUATIONS, rng), metrics=list(weather), intervals=False
    )
    found = table.filter("is_significant", pl.col("difference") < 0)
    found = found.filter(policy="cheaper", metric="cost_usd").height / EVALUATIONS
    assert found >= power - 2 * (power * (1 - power) / EVALUATIONS) ** 0.5
    assert found <= 0.9  # and not by asking for far too many
