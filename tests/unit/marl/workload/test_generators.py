"""Generators: what they draw has the model's rate, dispersion, memory and cycle; and is sane."""

import time

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.traces.schema import WINDOW_US
from marl.workload import daily
from marl.workload.bursts import BurstConfig, crowd_profile, crowds, gangs
from marl.workload.demand import CHANNELS, CLASSES, DemandBatch
from marl.workload.generators import KINDS, make_generator
from marl.workload.noise import autocorrelation

CPU = CHANNELS.index("compute_vcpu")


def draw(model, kind, episodes=200, steps=288, seed=0, **options):
    return make_generator(model, kind, **options).sample(
        episodes, steps, np.random.default_rng(seed)
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(KINDS),
    split=st.sampled_from(["train", "held_out"]),
    episodes=st.integers(1, 6),
    steps=st.integers(1, 300),
    seed=st.integers(0, 2**32),
)
def test_any_draw_is_finite_not_negative_and_of_the_asked_shape(
    fitted, kind, split, episodes, steps, seed
):
    batch = draw(fitted, kind, episodes, steps, seed, split=split)
    assert batch.values.shape == (episodes, steps, len(CLASSES), len(CHANNELS))
    assert batch.values.dtype == np.float32
    assert np.isfinite(batch.values).all()
    assert (batch.values >= 0).all()
    stretch = fitted.history.filter(pl.col("is_held_out") == (split == "held_out"))["window_us"]
    assert (batch.start_us % WINDOW_US == 0).all()
    assert batch.start_us.min() >= stretch.min()
    assert batch.start_us.max() <= stretch.max()
    again = draw(fitted, kind, episodes, steps, seed, split=split)
    assert (again.values == batch.values).all()
    assert (again.start_us == batch.start_us).all()


@pytest.mark.parametrize("kind", ["steady", "cyclical"])
def test_mean_is_the_training_parts(fitted, kind):
    values = draw(fitted, kind, 400).values
    for index, name in enumerate(CLASSES):
        train = fitted.history.filter(~pl.col("is_held_out"), pl.col("workload_class") == name)
        assert values[:, :, index, CPU].mean() == pytest.approx(
            train["compute_vcpu"].mean(), rel=0.06
        )


def test_spread_and_memory_are_the_training_parts(fitted):
    values = draw(fitted, "cyclical", 300).values
    for index, name in enumerate(CLASSES):
        train = fitted.history.filter(~pl.col("is_held_out"), pl.col("workload_class") == name)
        real = train["compute_vcpu"].to_numpy()
        made = values[:, :, index, CPU].astype(float)
        assert made.std() == pytest.approx(real.std(), rel=0.25), name
        # Episodes last a day; memory is compared on real stretches of a day as well.
        stretches = [real[i : i + 288] for i in range(0, len(real) - 288, 96)]
        for lag in (1, 12):
            wanted = np.mean([autocorrelation(x, lag)[lag] for x in stretches])
            found = np.mean([autocorrelation(x, lag)[lag] for x in made])
            assert found == pytest.approx(wanted, abs=0.15), (name, lag)


def test_cycle_is_in_cyclical_and_not_in_steady(fitted):
    swings = {}
    for kind in ("steady", "cyclical"):
        batch = draw(fitted, kind, 600)
        hour = ((batch.start_us[:, None] + np.arange(288) * WINDOW_US) // 3_600_000_000) % 24
        tasks = batch.values[:, :, CLASSES.index("batch"), 0]
        means = np.array([tasks[hour == h].mean() for h in range(24)])
        swings[kind] = np.ptp(means) / means.mean()
    truth = daily.factor(np.arange(288) * WINDOW_US, (0.3, 0.1))
    assert swings["cyclical"] == pytest.approx(np.ptp(truth), rel=0.25)
    assert swings["steady"] < 0.15


def test_arrivals_dispersion_is_the_models(fitted):
    arrivals = fitted.classes["ml"].arrivals
    at = np.tile(np.arange(288) * WINDOW_US, (500, 1))
    counts = arrivals.sample(at, np.random.default_rng(0), is_cyclical=False)
    assert counts.var() / counts.mean() == pytest.approx(arrivals.dispersion, rel=0.05)


def test_cpu_and_memory_move_together(fitted):
    values = draw(fitted, "steady", 100).values
    for index, name in enumerate(CLASSES):
        pair = values[:, :, index, [CPU, CHANNELS.index("memory_gib")]].reshape(-1, 2)
        assert np.corrcoef(pair.T)[0, 1] > 0.6, name


def test_replay_is_the_history_itself(fitted):
    batch = draw(fitted, "replay", 40, 100, split="held_out")
    history = fitted.history.filter("is_held_out")
    for episode, start in enumerate(batch.start_us):
        rows = history.filter(pl.col("window_us") >= int(start)).head(300)
        real = rows.select(CHANNELS).to_numpy().reshape(100, 3, len(CHANNELS))
        assert batch.values[episode] == pytest.approx(real, rel=1e-5)
    train = draw(fitted, "replay", 200, 288)
    assert (train.start_us + 288 * WINDOW_US <= fitted.split_us).all()


def test_replay_longer_than_its_part_is_refused_or_wrapped(fitted):
    with pytest.raises(ValueError, match=r"replay of 900 steps \(75\.0 h\).*has 806"):
        draw(fitted, "replay", 2, 900, split="held_out")
    wrapped = draw(fitted, "replay", 5, 900, split="held_out", is_wrapped=True)
    assert (wrapped.values[:, 806:] == wrapped.values[:, : 900 - 806]).all()


def test_replay_noise_is_off_by_default_and_keeps_the_mean(fitted):
    plain = draw(fitted, "replay", 300)
    noisy = draw(fitted, "replay", 300, replay_noise=0.2)
    assert (plain.start_us == noisy.start_us).all()
    assert noisy.values[..., CPU].mean() == pytest.approx(plain.values[..., CPU].mean(), rel=0.01)
    ratio = noisy.values[..., CPU] / np.maximum(plain.values[..., CPU], 1e-6)
    assert np.log(ratio[plain.values[..., CPU] > 1]).std() == pytest.approx(0.2, rel=0.02)


def test_mix_scales_and_leaves_out_classes(fitted):
    full = draw(fitted, "replay", 10)
    half = draw(fitted, "replay", 10, mix={"web": 0.5, "ml": 2})
    assert half.values[:, :, 0] == pytest.approx(full.values[:, :, 0] * 0.5)
    assert half.values[:, :, 1].max() == 0
    assert half.values[:, :, 2] == pytest.approx(full.values[:, :, 2] * 2)
    only = draw(fitted, "cyclical", 5, mix={"batch": 1})
    assert only.values[:, :, [0, 2]].max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "spiky"}, "unknown kind.*steady, burst, cyclical, replay"),
        ({"kind": "steady", "split": "test"}, "unknown split"),
        ({"kind": "steady", "mix": {"web": 1, "hpc": 1}}, r"unknown classes in the mix: \['hpc'\]"),
        ({"kind": "steady", "mix": {"web": -1}}, ">= 0"),
        ({"kind": "replay", "mix": {"web": float("inf")}}, "finite"),
        ({"kind": "replay", "replay_noise": -0.1}, "replay noise"),
    ],
)
def test_nonsense_is_refused(fitted, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_generator(fitted, **arguments)
    with pytest.raises(ValueError, match="at least 1"):
        draw(fitted, "steady", 0, 10)


def test_crowds_by_hand():
    config = BurstConfig(crowd_rise_s=600, crowd_half_life_s=1800)
    profile = crowd_profile(config, 15)
    assert profile[:2].tolist() == [0.5, 1.0]
    assert profile[7] == pytest.approx(0.5)  # six windows of five minutes after the peak
    assert profile[13] == pytest.approx(0.25)


def test_crowds_come_as_often_and_as_large_as_stated():
    config = BurstConfig(crowds_per_day=3, crowd_least=0.5, crowd_tail=2.5, crowd_most=4)
    extra = crowds(config, 3000, 288, np.random.default_rng(0)) - 1
    assert extra.min() >= 0
    tail = 2.5
    cut = (4 / 0.5) ** -tail
    mean_size = 0.5 * tail / (tail - 1) * (1 - cut ** ((tail - 1) / tail)) + 4 * cut
    wanted = 3 / 288 * mean_size * crowd_profile(config, 288).sum()
    assert extra.mean() == pytest.approx(wanted, rel=0.05)
    assert (crowds(BurstConfig(crowds_per_day=0), 5, 9, np.random.default_rng(0)) == 1).all()


def test_gangs_hold_their_resources_for_their_lives(fitted):
    one = fitted.classes["ml"]
    config = BurstConfig(gangs_per_day=4, gang_most=1.0)
    made = gangs(config, one, 500, 288, np.random.default_rng(0))
    assert made.min() >= 0
    arrivals = (made[..., 0] > 0).sum() / 500
    assert arrivals == pytest.approx(4, rel=0.1)
    largest = made[..., 1].max() / one.cpu_ncu.mean
    assert 0.2 < largest < 8  # several cut gangs may overlap
    rises = (np.diff(made[..., 1], axis=1) > 1e-9).sum() / 500
    assert rises == pytest.approx(4, rel=0.1)


def test_burst_demand_exceeds_cyclical_demand(fitted):
    calm, burst = (
        draw(fitted, kind, 300).values[..., CPU].sum(axis=2) for kind in ("cyclical", "burst")
    )
    assert burst.mean() > calm.mean()
    assert np.quantile(burst, 0.999) > 1.3 * np.quantile(calm, 0.999)
    none = BurstConfig(crowds_per_day=0, gangs_per_day=0)
    quiet = draw(fitted, "burst", 300, bursts=none).values[..., CPU].sum(axis=2)
    assert quiet.mean() == pytest.approx(calm.mean(), rel=0.05)


def test_a_thousand_days_take_about_a_second_of_processor_time(fitted):
    draw(fitted, "burst", 4)
    begin = time.process_time()
    draw(fitted, "burst", 1024)
    assert time.process_time() - begin < 2.0


def test_batches_refuse_what_the_cloud_could_not_serve():
    good = np.zeros((2, 3, 3, len(CHANNELS)), np.float32)
    start = np.zeros(2, np.int64)
    DemandBatch(good, start)
    with pytest.raises(ValueError, match="finite and not negative"):
        DemandBatch(good - 1, start)
    with pytest.raises(ValueError, match="demand must be"):
        DemandBatch(good[..., :2], start)
    with pytest.raises(ValueError, match="start_us"):
        DemandBatch(good, np.zeros(3, np.int64))
