"""Effects on numbers made by hand; intervals that cover what they should; what is called shown."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import t, ttest_1samp, wilcoxon

from marl.evaluate.ablation.effects import compared, seeds_bootstrap
from marl.evaluate.ablation.forest import forest
from marl.evaluate.ablation.grid import Contrast
from marl.evaluate.ablation.noise import TrainingNoise, training_noise, widened
from marl.evaluate.ablation.told import document, markdown, text
from marl.evaluate.statistics import Interval, holm

ASKED = Contrast(run="b/x", reference="b")


def frame(rewards, **columns):
    return pl.DataFrame(
        {"scenario": "mixed", "episode": range(len(rewards)), "reward": rewards, **columns}
    )


def made(rng, seeds, gains, noise=0.0, episodes=40):
    """Runs whose objective is weather plus a gain, plus each training's own luck."""
    weather = rng.normal(-0.2, 0.05, episodes)
    runs = {
        name: {
            s: frame(weather + gain + rng.normal(0, noise) + rng.normal(0, 0.001, episodes))
            for s in range(seeds)
        }
        for name, gain in gains.items()
    }
    return runs, dict.fromkeys(gains, frame(weather))


def test_an_effect_by_hand():
    rewards = {
        "b": {0: [0.0, 0.0, 0.0, 0.0], 1: [1.0, 1.0, 1.0, 1.0]},
        "b/x": {0: [0.1, 0.2, 0.3, 0.4], 1: [1.3, 1.2, 1.1, 1.4], 2: [9.0] * 4},
    }
    runs = {
        name: {s: frame(r, cost_usd=[2.0 + s] * 4) for s, r in by_seed.items()}
        for name, by_seed in rewards.items()
    }
    rule = frame([0.5, 0.5, 0.5, 0.7])
    (found,) = compared([ASKED], runs, {"b/x": rule}, 0)
    assert found.seeds == (0, 1)  # seed 2 has no partner
    assert found.by_seed == pytest.approx((0.25, 0.25))
    assert found.difference == pytest.approx(0.25)
    assert found.gain == pytest.approx(0.75 - 0.55)
    assert found.reference_gain == pytest.approx(0.5 - 0.55)
    assert found.metrics == {"cost_usd": 0.0}
    assert found.improvement == 1.0
    by_episode = np.array([0.2, 0.2, 0.2, 0.4])
    assert found.p_value == pytest.approx(wilcoxon(by_episode).pvalue)
    assert found.p_holm == found.p_value
    assert found.is_within_seed
    # Pool: b has (0, 1), its mean square .5 / 1 df; b/x has (.25, 1.25, 9).
    squares = 0.5 + np.var([0.25, 1.25, 9.0]) * 3
    half = t.ppf(0.975, 3) * np.sqrt(2 * squares / 3 / 2)
    assert found.noise_hi == pytest.approx(0.25 + np.hypot(half, found.hi - 0.25))
    assert found.verdict == "n.s."


def test_training_noise_is_the_error_mean_square_and_widens():
    noise = training_noise([np.array([1.0, 3.0]), np.array([0.0, 3.0, 6.0]), np.array([7.0])])
    assert noise == TrainingNoise((2.0 + 18.0) / 3, 3)
    assert training_noise([np.array([1.0])]) is None
    exact = Interval(estimate=1.0, lo=1.0, hi=1.0)
    half = t.ppf(0.975, 3) * np.sqrt(2 * noise.variance / 4)
    assert widened(exact, 4, noise).hi == pytest.approx(1 + half)
    # Two bases alike: Welch has twice the degrees of freedom.
    half = t.ppf(0.975, 6) * np.sqrt(2 * noise.variance / 4)
    assert widened(exact, 4, noise, noise).lo == pytest.approx(1 - half)
    still = TrainingNoise(0.0, 1)
    within = Interval(estimate=1.0, lo=0.5, hi=1.2)
    assert widened(within, 2, still, still) == within


def test_with_many_seeds_and_no_episode_noise_it_is_the_t_interval():
    rng = np.random.default_rng(3)
    difference = np.repeat(rng.normal(0.3, 1.0, (40, 1)), 10, axis=1)
    found = seeds_bootstrap(difference, rng, resamples=40_000)
    exact = ttest_1samp(difference[:, 0], 0).confidence_interval()
    assert found.estimate == pytest.approx(difference.mean())
    assert (found.lo, found.hi) == pytest.approx((exact.low, exact.high), abs=0.03)
    with pytest.raises(ValueError, match="one seed has no spread"):
        seeds_bootstrap(difference[:1], rng)


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_the_truth_although_seeds_are_few(seeds):
    """Nominal 95 %; episodes alone, as if seeds were nothing, cover far less."""
    rng = np.random.default_rng(seeds)
    hits = alone = 0
    tries, episodes = 600, 32
    for _ in range(tries):
        x = rng.normal(0, 1.0, (seeds, 1)) + rng.normal(0, 0.7, episodes)
        x = x + rng.normal(0, 1.0, (seeds, episodes))
        found = seeds_bootstrap(x, rng, resamples=400)
        hits += found.lo <= 0 <= found.hi
        spread = 1.96 * x.mean(0).std(ddof=1) / episodes**0.5
        alone += abs(x.mean()) <= spread
    assert 0.93 <= hits / tries <= 0.98
    assert alone / tries < 0.7


def test_what_is_called_shown():
    rng = np.random.default_rng(0)
    asked = [ASKED, Contrast(run="b/y", reference="b"), Contrast(run="b/z", reference="b")]
    gains = {"b": 0.0, "b/x": 0.01, "b/y": 0.0, "b/z": -0.01}
    for seeds in (2, 4):
        runs, rules = made(rng, seeds, gains, noise=0.0004)
        found = compared(asked, runs, rules, 0)
        assert [one.verdict for one in found] == ["better", "n.s.", "worse"]
        assert [one.p_holm for one in found] == list(holm([one.p_value for one in found]))
        assert [one.is_within_seed for one in found] == [seeds < 3] * 3
    # A training's luck as large as the effect: episodes are sure, runs are not.
    luck = {"b": {0: -0.01, 1: 0.01}, "b/x": {0: 0.012, 1: 0.02}}
    runs = {
        name: {s: frame(rng.normal(gain, 0.0005, 40)) for s, gain in by_seed.items()}
        for name, by_seed in luck.items()
    }
    (found,) = compared([ASKED], runs, {"b/x": frame(np.zeros(40))}, 0)
    assert found.lo > 0
    assert found.p_holm < 0.001
    assert found.verdict == "n.s."
    runs, rules = made(rng, 1, gains)  # one seed shows nothing
    found = compared(asked, runs, rules, 0)
    assert {(one.verdict, one.noise_lo) for one in found} == {("n.s.", None)}


def test_no_effect_is_rarely_called_one():
    rng = np.random.default_rng(1)
    names = ["b", *(f"b/x{i}" for i in range(6))]
    asked = [Contrast(run=name, reference="b") for name in names[1:]]
    wrong = 0
    tries = 20
    for _ in range(tries):
        runs, rules = made(rng, 2, dict.fromkeys(names, 0.0), noise=0.002, episodes=24)
        wrong += sum(one.verdict != "n.s." for one in compared(asked, runs, rules, 0))
    assert wrong / (tries * len(asked)) <= 0.08


def test_itself_has_no_effect_and_nonsense_is_refused():
    runs, rules = made(np.random.default_rng(0), 3, {"b": 0.0})
    (found,) = compared([Contrast(run="b", reference="b")], runs, rules, 0)
    assert (found.difference, found.lo, found.hi, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert found.verdict == "n.s."
    runs["b/x"] = {7: runs["b"][0]}
    with pytest.raises(ValueError, match="no training seed in common"):
        compared([ASKED], runs, {"b/x": rules["b"]}, 0)
    runs["b/x"] = {0: runs["b"][0].head(9)}
    with pytest.raises(ValueError, match="different episodes"):
        compared([ASKED], runs, {"b/x": rules["b"]}, 0)
    runs["b/x"] = {0: runs["b"][0].with_columns(reward=pl.lit(float("nan")))}
    with pytest.raises(ValueError, match="not finite"):
        compared([ASKED], runs, {"b/x": rules["b"]}, 0)


def test_tables_and_picture_say_the_same():
    rng = np.random.default_rng(0)
    runs, rules = made(rng, 2, {"b": 0.0, "b/x": 0.01, "b/y": 0.0}, noise=1e-5)
    asked = [ASKED, Contrast(run="b/y", reference="b/x")]
    found = compared(asked, runs, rules, 0)
    failed = {"b-z-seed1": "exploded in epoch 3"}
    words = markdown(found, failed)
    first = next(line for line in words.splitlines() if line.startswith("| b/x"))
    assert f"{found[0].difference:+.4f} [{found[0].lo:+.4f}, {found[0].hi:+.4f}]" in first
    assert "n.s." not in first
    assert "Intervals of 2 of 2 rows are within seed only" in words
    assert "b-z-seed1: no result, exploded in epoch 3" in words
    assert "b/y" in text(found, failed)
    told = document(found, failed, {"seeds": [0, 1]})
    assert [one["verdict"] for one in told["effects"]] == ["better", "worse"]
    assert told["failed"] == failed
    picture = forest(found)
    assert "b: y (against b/x): -0.01" in picture.alt
    assert picture.svg.startswith("<svg")
    assert f"<desc>{picture.alt}</desc>" in picture.svg
    assert 'role="img"' in picture.svg
    with pytest.raises(ValueError, match="no effect to draw"):
        forest([])
