"""What is remembered and known beforehand: shapes, days, schedules, and no look at the held-out."""

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.traces.schema import WINDOW_US
from marl.workload.demand import (
    CHANNELS,
    CLASSES,
    DAY_US,
    HORIZON,
    KNOWN,
    STEP_S,
    DemandBatch,
)
from marl.workload.generators import KINDS, MixedGenerator, make_generator
from marl.workload.memory import BANK_DAYS, DAY_WINDOWS, Bank, scheduled_vcpu
from marl.workload.toy import TOY_KINDS, TOY_SHARES, ToyGenerator

CPU = CHANNELS.index("compute_vcpu")
SHAPE = (len(CLASSES), len(CHANNELS))


def rng(seed=0):
    return np.random.default_rng(seed)


def history_of(model, is_held_out=None):
    """(N, C, R) the whole history, or a part of it, in order."""
    frame = model.history
    if is_held_out is not None:
        frame = frame.filter(pl.col("is_held_out") == is_held_out)
    parts = [
        frame.filter(pl.col("workload_class") == name).sort("window_us").select(CHANNELS)
        for name in CLASSES
    ]
    return np.stack([part.to_numpy().astype(np.float32) for part in parts], axis=1)


def place(model, start_us):
    return (np.asarray(start_us) - model.history["window_us"].min()) // WINDOW_US


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from((*KINDS, *(f"toy {kind}" for kind in TOY_KINDS), "mixed")),
    split=st.sampled_from(["train", "held_out"]),
    episodes=st.integers(1, 5),
    steps=st.integers(1, 300),
    seed=st.integers(0, 2**32),
)
def test_every_generator_fills_what_is_known(fitted, kind, split, episodes, steps, seed):
    if kind.startswith("toy"):
        made = ToyGenerator(kind=kind.split()[1])
    elif kind == "mixed":
        made = MixedGenerator([make_generator(fitted, one, split) for one in KINDS])
    else:
        made = make_generator(fitted, kind, split)
    batch = made.sample(episodes, steps, rng(seed))
    assert batch.values.shape == (episodes, steps, *SHAPE)
    for name, rest in KNOWN.items():
        known = getattr(batch, name)
        assert known.shape == (episodes, steps + HORIZON, *rest)
        assert known.dtype == np.float32
    assert (batch.announced == 1).all()
    work = batch.values[:, :, 1:, CPU]
    assert (batch.scheduled[:, :steps] <= 0.75 * work * 1.0001).all()
    assert (batch.scheduled <= 0.75 * batch.day_ago[:, :, 1:, CPU] * 1.0001).all()
    again = made.sample(episodes, steps, rng(seed))
    for name in KNOWN:
        assert (getattr(again, name) == getattr(batch, name)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"day_ago": np.zeros((2, 3, *SHAPE), np.float32)}, r"day_ago must be .* \(2, 15, 3, 7\)"),
        ({"week_ago": np.zeros((2, 15, *SHAPE))}, "week_ago must be float32.*float64"),
        ({"announced": np.ones((2, 15, 1), np.float32)}, "announced must be"),
        ({"announced": np.full((2, 15), np.nan, np.float32)}, "announced must be finite"),
        ({"scheduled": np.zeros((2, 15, 3), np.float32)}, r"scheduled must be .*\(2, 15, 2\)"),
        ({"scheduled": np.full((2, 15, 2), -1, np.float32)}, "not negative"),
        ({"scheduled": np.full((2, 15, 2), np.inf, np.float32)}, "finite"),
    ],
)
def test_batches_refuse_wrong_knowledge(change, message):
    with pytest.raises(ValueError, match=message):
        DemandBatch(np.zeros((2, 3, *SHAPE), np.float32), np.zeros(2, np.int64), STEP_S, **change)


def test_replay_remembers_its_own_earlier_windows(fitted):
    table = history_of(fitted)
    batch = make_generator(fitted, "replay", "held_out").sample(30, 144, rng())
    at = place(fitted, batch.start_us)[:, None] + np.arange(144 + HORIZON)
    assert (batch.values == table[at[:, :144]]).all()
    assert (batch.day_ago == table[at - 288]).all()
    # Seven days of which the last 2.8 are held out: a full week back is not there, so the most
    # whole days that are stand in.
    days = np.minimum(at // 288, 7)
    assert days.min() >= 4
    assert (batch.week_ago == table[at - 288 * days]).all()


def test_replay_of_the_training_part_never_shows_the_held_out_part(fitted):
    spoilt = fitted.model_copy(
        update={
            "history": fitted.history.with_columns(
                pl.when("is_held_out").then(pl.col(name) * 1000 + 7e6).otherwise(name).alias(name)
                for name in CHANNELS
            )
        }
    )
    for kind in KINDS:
        for is_wrapped in (False, True):
            for steps in (144, 700):
                batch, other = (
                    make_generator(one, kind, is_wrapped=is_wrapped).sample(60, steps, rng())
                    for one in (fitted, spoilt)
                )
                for name in ("values", "day_ago", "week_ago", "scheduled"):
                    assert (getattr(batch, name) == getattr(other, name)).all(), (kind, name)


def test_first_day_of_the_training_part_borrows_tomorrow_and_never_its_own_future(fitted):
    table = history_of(fitted, is_held_out=False)
    batch = make_generator(fitted, "replay").sample(300, 144, rng())
    at = place(fitted, batch.start_us)[:, None] + np.arange(144 + HORIZON)
    first, later = at < 288, at >= 288
    assert first.any()
    assert (batch.day_ago[first] == table[at[first] + 288]).all()
    assert (batch.week_ago[first] == table[at[first] + 288]).all()
    assert (batch.day_ago[later] == table[at[later] - 288]).all()
    # An episode longer than a day would meet tomorrow itself: the mean stands in.
    long = make_generator(fitted, "replay").sample(50, 400, rng())
    at = place(fitted, long.start_us)[:, None] + np.arange(400 + HORIZON)
    assert long.day_ago[at < 288] == pytest.approx(
        np.broadcast_to(table.mean(0), (int((at < 288).sum()), *SHAPE)), rel=1e-4
    )


def test_a_trace_of_less_than_a_day_is_remembered_by_its_mean(fitted):
    begin = fitted.history["window_us"].min()
    short = fitted.model_copy(
        update={
            "history": fitted.history.filter(
                pl.col("window_us") < begin + 200 * WINDOW_US
            ).with_columns(is_held_out=pl.col("window_us") >= begin + 120 * WINDOW_US)
        }
    )
    mean = history_of(short, is_held_out=False).mean(0)
    for split in ("train", "held_out"):
        batch = make_generator(short, "replay", split).sample(5, 40, rng())
        for remembered in (batch.day_ago, batch.week_ago):
            assert remembered == pytest.approx(
                np.broadcast_to(mean, remembered.shape), rel=1e-4, abs=1e-6
            )


def test_mix_holds_for_what_is_remembered(fitted):
    for kind in KINDS:
        full = make_generator(fitted, kind).sample(4, 20, rng())
        half = make_generator(fitted, kind, mix={"web": 0.5, "batch": 1}).sample(4, 20, rng())
        assert (half.day_ago[:, :, 2] == 0).all()
        assert (half.week_ago[:, :, 2] == 0).all()
        assert (half.scheduled[..., 1] == 0).all()
        if kind == "replay":
            assert half.day_ago[:, :, 0] == pytest.approx(full.day_ago[:, :, 0] / 2)


@pytest.mark.parametrize("kind", ["steady", "cyclical"])
def test_drawn_days_have_the_mean_and_cycle_of_the_process(fitted, kind):
    batch = make_generator(fitted, kind).sample(600, 144, rng())
    for remembered in (batch.day_ago, batch.week_ago):
        assert remembered[:, :144].mean((0, 1)) == pytest.approx(batch.values.mean((0, 1)), rel=0.1)
        hour = ((batch.start_us[:, None] // WINDOW_US + np.arange(144)) % DAY_WINDOWS) // 72
        for quarter in range(4):
            now, then = (
                x[hour == quarter][:, 1, 0].mean() for x in (batch.values, remembered[:, :144])
            )
            assert then == pytest.approx(now, rel=0.15)


def test_training_and_evaluation_remember_different_days(fitted):
    seen = [
        set(
            make_generator(fitted, "steady", split).sample(2000, 5, rng()).day_ago[..., CPU].ravel()
        )
        for split in ("train", "train", "held_out")
    ]
    assert seen[0] == seen[1]
    assert len(seen[0] & seen[2]) < 0.01 * len(seen[0])


def test_bank_by_hand():
    def clock(start_us, steps, rng):
        """Demand that counts windows since midnight, 1000 for each path."""
        assert (start_us == 0).all()
        out = np.arange(steps) + 1000 * np.arange(len(start_us))[:, None]
        return np.broadcast_to(out[..., None, None], (*out.shape, *SHAPE)).astype(np.float32)

    bank = Bank(clock, seed=0)
    start_us = np.array([0, 3 * WINDOW_US, 5 * DAY_US + 287 * WINDOW_US])
    day, week = bank.recall(start_us, 4, rng())
    for drawn in (day, week):
        assert (
            drawn[:, :, 0, 0] % 1000 == [[0, 1, 2, 3], [3, 4, 5, 6], [287, 288, 289, 290]]
        ).all()
    many = bank.recall(np.zeros(4000, np.int64), 1, rng())
    days = [np.unique(one[:, 0, 0, 0] // 1000) for one in many]
    assert (days[0] == np.arange(BANK_DAYS)).all()
    assert (many[0][:, 0, 0, 0] != many[1][:, 0, 0, 0]).all()


def test_memory_does_not_depend_on_what_was_drawn_before(fitted):
    fresh, used = (make_generator(fitted, "cyclical") for _ in range(2))
    used.sample(7, 33, rng(5))
    one, two = (made.sample(3, 20, rng(1)) for made in (fresh, used))
    assert (one.day_ago == two.day_ago).all()
    assert (one.week_ago == two.week_ago).all()


def test_schedules_by_hand():
    values, day = (np.zeros((1, 4, *SHAPE), np.float32) for _ in range(2))
    values[0, :, 1, CPU] = (8, 2, 0, 4)  # batch
    day[0, :, 1, CPU] = (4, 6, 5, 0)
    values[0, :, 2, CPU] = day[0, :, 2, CPU] = 10  # ML
    values[0, :, 0, CPU] = day[0, :, 0, CPU] = 99  # web has no schedules
    drawn = np.stack([scheduled_vcpu(values, day, rng(i))[0] for i in range(4000)])
    assert drawn.mean(0)[:, 0] == pytest.approx([2, 1, 0, 0], rel=0.02)
    assert drawn.mean(0)[:, 1] == pytest.approx([5, 5, 5, 5], rel=0.02)
    assert (drawn[:, :, 1].min(), drawn[:, :, 1].max()) == pytest.approx((2.5, 7.5), abs=0.01)


def test_what_a_kind_does_not_know_a_mixture_does_not_know():
    class Forgetful:
        name = "forgetful"

        def sample(self, episodes, steps, rng):
            batch = ToyGenerator().sample(episodes, steps, rng)
            return DemandBatch(batch.values, batch.start_us, announced=batch.announced)

    batch = MixedGenerator([ToyGenerator(), Forgetful()]).sample(3, 4, rng())
    assert batch.day_ago is None
    assert batch.scheduled is None
    assert batch.announced.shape == (3, 4 + HORIZON)
    with pytest.raises(ValueError, match="at least one"):
        MixedGenerator([])


def test_toy_kinds_by_their_closed_form():
    noon = np.array([DAY_US // 4])  # the sine's top
    web = CLASSES.index("web")
    assert ToyGenerator(100).expected_vcpu(noon)[0, web] == pytest.approx(100 * 0.5 * 1.4)
    assert ToyGenerator(100, kind="steady").expected_vcpu(noon)[0, web] == pytest.approx(50)
    steady = ToyGenerator(100, noise=0, kind="steady").sample(2, 5, rng())
    assert steady.values[..., CPU] == pytest.approx(np.tile([50, 30, 20], (2, 5, 1)))
    assert steady.day_ago[..., CPU] == pytest.approx(np.tile([50, 30, 20], (2, 17, 1)))
    calm, burst = (
        ToyGenerator(100, noise=0, kind=kind).sample(100, 144, rng()).values[..., CPU]
        for kind in ("cyclical", "burst")
    )
    assert (burst >= calm * 0.9999).all()
    assert burst.max() > 1.4 * calm.max()
    mixed = ToyGenerator(100, noise=0, kind="steady", mix={"web": 2}).sample(1, 2, rng())
    assert mixed.values[0, 0, :, CPU] == pytest.approx([100, 0, 0])
    assert mixed.values[0, 0, 1:].max() == 0
    assert sum(TOY_SHARES.values()) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"toy demand 'spiky'; known: steady"):
        ToyGenerator(kind="spiky")
