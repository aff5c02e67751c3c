"""Against scipy on the same numbers, by hand, and by simulation."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from marl.evaluate.statistics import (
    compare,
    gap_closed,
    holm,
    interquartile_mean,
    paired_bootstrap,
    probability_of_improvement,
    share_of_gap,
    signed_rank_p,
)


def frame(rows):
    """(policy, training_seed, episodes' rewards) into the table rollout makes."""
    return pl.concat(
        pl.DataFrame(
            {
                "policy": policy,
                "scenario": "steady",
                "training_seed": pl.Series([seed] * len(values), dtype=pl.Int64),
                "episode": np.arange(len(values)),
                "reward": np.asarray(values, dtype=np.float64),
            }
        )
        for policy, seed, values in rows
    )


def draws(n=80, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=n)
    return base, base + shift + 0.3 * rng.normal(size=n)


def test_equals_scipy_on_the_same_numbers():
    a, b = draws()
    d = b - a
    assert interquartile_mean(d) == pytest.approx(stats.trim_mean(d, 0.25))
    assert signed_rank_p(d) == stats.wilcoxon(b, a).pvalue
    ours = paired_bootstrap(d, np.random.default_rng(5))
    theirs = stats.bootstrap((d,), np.mean, n_resamples=2000, rng=np.random.default_rng(5))
    assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-12)


def test_interquartile_mean_by_hand():
    assert interquartile_mean(np.array([100.0, 2, 3, 4, 5, 6, 7, -90])) == pytest.approx(4.5)


def test_holm_by_hand_and_in_the_order_given():
    # Sorted .01 .02 .03 .04 → ×4 ×3 ×2 ×1 → .04 .06 .06 .04 → running maximum .04 .06 .06 .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_and_bonferronis_and_keeps_the_order(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_a_policy_against_itself_and_an_identical_one():
    a, _ = draws()
    table = compare(frame([("reactive", None, a), ("same", None, a)]))
    for row in table.iter_rows(named=True):
        assert (row["difference"], row["lo"], row["hi"]) == (0, 0, 0)
        assert (row["p_value"], row["p_holm"], row["is_significant"]) == (1, 1, False)
        assert row["probability_of_improvement"] == 0.5


def test_a_better_policy_is_found_a_noisy_equal_one_is_not():
    a, better = draws(shift=0.2)
    _, equal = draws()
    table = compare(frame([("reactive", None, a), ("better", 0, better), ("equal", 0, equal)]))
    found = table.filter(policy="better").row(0, named=True)
    assert found["is_significant"]
    assert found["lo"] > 0
    assert found["difference"] == pytest.approx((better - a).mean())
    assert found["mean"] - found["reference_mean"] == pytest.approx(found["difference"])
    assert found["probability_of_improvement"] == pytest.approx((better > a).mean())
    assert found["episodes"] == 80
    assert not table.filter(policy="equal")["is_significant"][0]


def test_training_seeds_are_averaged_not_counted_as_more_episodes():
    a, b = draws(shift=0.1)
    two = compare(frame([("reactive", None, a), ("new", 0, b), ("new", 1, b + 0.2)]))
    row = two.filter(policy="new").row(0, named=True)
    assert row["episodes"] == 80
    assert row["difference"] == pytest.approx((b - a).mean() + 0.1)


def test_same_seed_same_table_whatever_the_order_of_rows():
    a, b = draws(shift=0.1)
    table = frame([("reactive", None, a), ("new", 0, b)])
    assert compare(table).equals(compare(table.reverse()))


def test_unpaired_missing_and_not_finite_are_refused():
    a, b = draws()
    with pytest.raises(ValueError, match="different episodes in steady: 79 and 80"):
        compare(frame([("reactive", None, a), ("new", 0, b[:79])]))
    with pytest.raises(ValueError, match=r"no episodes of the reference 'reactive'; there are"):
        compare(frame([("new", 0, b)]))
    with pytest.raises(ValueError, match="reward of new in steady holds values that are not"):
        compare(frame([("reactive", None, a), ("new", 0, np.where(b > 1, np.nan, b))]))


def test_probability_of_improvement_counts_ties_half():
    assert probability_of_improvement(np.array([1.0, -1.0, 0.0, 2.0])) == 0.625


def test_the_95_percent_interval_covers_the_truth_as_often_as_it_says():
    """Skewed paired differences, as costs are; 64 episodes, the fewest any profile plays."""
    rng = np.random.default_rng(2)
    covered = 0
    trials = 1000
    for _ in range(trials):
        sample = rng.gamma(4.0, 0.5, 64)  # mean 2, skewness 1
        interval = paired_bootstrap(sample, rng, resamples=600)
        covered += interval.lo <= 2.0 <= interval.hi
    assert 0.93 <= covered / trials <= 0.97


def test_equal_policies_are_called_different_no_more_often_than_alpha():
    rng = np.random.default_rng(3)
    false = sum(signed_rank_p(rng.laplace(size=64)) < 0.05 for _ in range(1000))
    assert false / 1000 <= 0.065


def test_the_share_of_a_gap_by_hand():
    reference, ceiling = np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])
    rng = np.random.default_rng(0)
    half = share_of_gap(reference + 1.0, reference, ceiling, rng)
    assert (half.estimate, half.lo, half.hi) == (0.5, 0.5, 0.5)  # in every episode, whatever drawn
    assert share_of_gap(reference, reference, ceiling, rng).estimate == 0.0
    assert share_of_gap(ceiling, reference, ceiling, rng).estimate == 1.0
    uneven = share_of_gap(reference + np.array([0.0, 1.0, 2.0]), reference, ceiling, rng)
    assert uneven.estimate == 0.5
    assert uneven.lo == pytest.approx(0.0, abs=0.2)
    assert uneven.hi == pytest.approx(1.0, abs=0.2)
    with pytest.raises(ValueError, match="no gap to close"):
        share_of_gap(ceiling, ceiling, reference, rng)


def test_the_gap_table_pairs_episodes_and_averages_training_seeds():
    rows = []
    for scenario in ("one", "two"):
        for episode in range(6):
            rows.append((scenario, "reactive", None, episode, float(episode)))
            rows += [(scenario, "apg", s, episode, episode + 0.2 + 0.2 * s) for s in (0, 1)]
            if scenario == "one":  # the planner was played in one scenario only
                rows.append((scenario, "clairvoyant", None, episode, episode + 1.0))
    names = ["scenario", "policy", "training_seed", "episode", "reward"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    table = gap_closed(frame, "reactive", "clairvoyant")
    assert table.select("scenario", "policy").rows() == [("one", "apg")]
    assert table["estimate"].item() == pytest.approx(0.3)
    assert gap_closed(
        frame.filter(pl.col("scenario") == "two"), "reactive", "clairvoyant"
    ).is_empty()
    with pytest.raises(ValueError, match="different episodes"):
        gap_closed(frame[1:], "reactive", "clairvoyant")
