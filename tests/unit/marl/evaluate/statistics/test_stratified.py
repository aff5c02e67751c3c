"""Several scenarios together: against rliable, by hand, and coverage where weather is shared."""

import numpy as np
import pytest
from rliable import metrics

from marl.evaluate.statistics import paired_bootstrap, stratified_bootstrap
from tests.unit.marl.evaluate.statistics.rliable_library import library


@pytest.mark.filterwarnings("ignore:random_state is deprecated")
def test_an_interval_as_rliables_on_the_same_numbers():
    """Its runs are our episodes and its tasks our scenarios, drawn apart."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 4)) + np.arange(4)
    strata = [scores[:, task][None] for task in range(4)]
    for statistic, compute in (("mean", metrics.aggregate_mean), ("iqm", metrics.aggregate_iqm)):
        values, theirs = library.get_interval_estimates(
            {"x": scores}, lambda x, f=compute: np.array([f(x)]), reps=4000,
            random_state=np.random.RandomState(0),
        )  # fmt: skip
        ours = stratified_bootstrap(
            strata, rng, statistic=statistic, is_shared=False, resamples=20_000
        )
        assert ours.estimate == pytest.approx(values["x"][0], abs=1e-12)
        width = float(theirs["x"][1, 0] - theirs["x"][0, 0])
        assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs["x"][:, 0]), abs=0.05 * width)


def test_one_scenario_and_seed_is_the_plain_percentile_bootstrap():
    d = np.random.default_rng(1).normal(size=60)
    ours = stratified_bootstrap(
        [d[None]], np.random.default_rng(2), statistic="iqm", resamples=9000
    )
    plain = paired_bootstrap(d, np.random.default_rng(3), statistic="iqm", resamples=9000)
    width = plain.hi - plain.lo
    assert ours.estimate == pytest.approx(plain.estimate, abs=1e-12)
    assert (ours.lo, ours.hi) == pytest.approx((plain.lo, plain.hi), abs=0.05 * width)


def test_weather_that_scenarios_share_is_drawn_together():
    """Two scenarios with the same differences are worth one; drawn apart they would look as two."""
    d = np.random.default_rng(1).normal(size=(1, 200))
    widths = []
    for is_shared in (True, False):
        found = stratified_bootstrap([d, d], np.random.default_rng(0), is_shared=is_shared)
        widths.append(found.hi - found.lo)
    alone = stratified_bootstrap([d], np.random.default_rng(0))
    assert widths[0] == pytest.approx(alone.hi - alone.lo, rel=1e-9)
    assert widths[1] == pytest.approx(widths[0] / 2**0.5, rel=0.1)


def test_seeds_are_drawn_too_where_there_are_several():
    rng = np.random.default_rng(0)
    strata = [np.array([[0.0], [1.0], [2.0]]) + 0.01 * rng.normal(size=(3, 50)) for _ in range(2)]
    anew = stratified_bootstrap(strata, rng)
    as_trained = stratified_bootstrap(strata, rng, is_over_seeds=False)
    assert anew.lo < 0.4
    assert anew.hi > 1.6
    assert as_trained.hi - as_trained.lo < 0.02
    again = stratified_bootstrap(strata, np.random.default_rng(4), statistic="poi")
    assert again == stratified_bootstrap(strata, np.random.default_rng(4), statistic="poi")


def test_pooled_intervals_cover_though_scenarios_share_weather():
    rng = np.random.default_rng(5)
    trials, covered = 600, {"mean": 0, "iqm": 0}
    for _ in range(trials):
        shared = rng.normal(size=64)
        strata = [(shared + rng.normal(size=64))[None] for _ in range(3)]
        for statistic in covered:
            found = stratified_bootstrap(strata, rng, statistic=statistic, resamples=250)
            covered[statistic] += found.lo <= 0 <= found.hi
    assert all(0.92 <= count / trials <= 0.97 for count in covered.values()), covered


def test_what_cannot_be_drawn_together_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"\[\(1, 4\), \(1, 5\)\]; is_shared=False"):
        stratified_bootstrap([np.ones((1, 4)), np.ones((1, 5))], rng)
    with pytest.raises(ValueError, match="one or more arrays"):
        stratified_bootstrap([], rng)
    with pytest.raises(ValueError, match="statistic must be one of mean, iqm, poi"):
        stratified_bootstrap([np.ones((1, 4))], rng, statistic="median")
