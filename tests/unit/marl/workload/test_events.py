"""Events by hand, in any number, and what a calendar may say of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from marl.workload.demand import CHANNELS, CLASSES, HORIZON, DemandBatch
from marl.workload.events import (
    DEMAND_SPIKE,
    FLASH_CROWD,
    LAUNCH_DAY,
    RETRY_TRIGGER,
    EventConfig,
    EventGenerator,
    Events,
    apply,
    draw_events,
    factors,
    profile,
    span,
)
from marl.workload.toy import ToyGenerator

PRESETS = (FLASH_CROWD, LAUNCH_DAY, RETRY_TRIGGER, DEMAND_SPIKE)
WEB, STORED = CLASSES.index("web"), CHANNELS.index("storage_gib")
PLAIN = EventConfig(
    name="plain", per_day=1, least=2, most=4, ramp_s=600, plateau_s=300, half_life_s=300
)


def rng(seed=0):
    return np.random.default_rng(seed)


def events(*rows):
    episode, start, believed, real = zip(*rows, strict=True)
    return Events(
        np.array(episode),
        np.array(start),
        np.array(believed, np.float32),
        np.array(real, np.float32),
    )


def test_course_by_hand():
    # Half way up after five minutes, the top after ten, kept for five, then halved every five.
    assert profile(PLAIN, 6) == pytest.approx([0.5, 1, 1, 0.5, 0.25, 0.125])
    assert span(PLAIN) == 2 + 1 + 5


def test_factors_by_hand():
    some = events((0, 1, 9, 3), (0, 2, 9, 2), (1, -1, 9, 5), (1, 4, 9, 3))
    made = factors(PLAIN, some, some.real, 2, 5)
    assert made[0] == pytest.approx([1, 1 + 2 * 0.5, 1 + 2 + 0.5, 1 + 2 + 1, 1 + 2 * 0.5 + 1])
    assert made[1] == pytest.approx([1 + 4, 1 + 4, 1 + 2, 1 + 1, 1 + 0.5 + 2 * 0.5])


def test_events_change_their_classes_alone_and_no_data_on_disk():
    batch = ToyGenerator().sample(2, 6, rng())
    one = events((1, 0, 3, 3))
    made = apply(batch, PLAIN, one)
    assert (made.values[0] == batch.values[0]).all()
    assert (made.values[1, :, 1:] == batch.values[1, :, 1:]).all()
    wanted = batch.values[1, :, WEB] * (1 + 2 * profile(PLAIN, 6))[:, None]
    wanted[:, STORED] = batch.values[1, :, WEB, STORED]
    assert made.values[1, :, WEB] == pytest.approx(wanted)
    assert (made.announced == 1).all()
    for name in ("day_ago", "week_ago", "scheduled"):
        assert getattr(made, name) is getattr(batch, name)
    everyone = apply(batch, DEMAND_SPIKE, one)
    assert (everyone.values[1, 0, :, 1] == batch.values[1, 0, :, 1] * 3).all()


@settings(max_examples=40, deadline=None)
@given(
    config=st.sampled_from(PRESETS),
    per_day=st.floats(0, 40),
    steps=st.integers(1, 200),
    seed=st.integers(0, 2**32),
)
def test_demand_never_falls_and_the_calendar_names_only_what_is_announced(
    config, per_day, steps, seed
):
    config = config.model_copy(update={"per_day": per_day})
    inner = ToyGenerator()
    plain = inner.sample(3, steps, rng(seed))
    made = EventGenerator(inner, [config]).sample(3, steps, rng(seed))
    again = EventGenerator(inner, [config]).sample(3, steps, rng(seed))
    assert (made.values == again.values).all()
    assert (made.announced == again.announced).all()
    assert (made.values >= plain.values).all()
    assert (made.values[..., STORED] == plain.values[..., STORED]).all()
    assert (made.announced >= 1).all()
    assert made.announced.shape == (3, steps + HORIZON)
    if not config.is_announced:
        assert (made.announced == 1).all()
    if per_day == 0:
        assert (made.values == plain.values).all()


def test_events_come_as_often_and_as_large_as_stated():
    days = 400
    for config in PRESETS:
        drawn = draw_events(config, days, 288, rng())
        inside = (drawn.start >= 0).sum()
        assert inside / days == pytest.approx(config.per_day, rel=0.1)
        # Some are under way when an episode begins.
        assert drawn.start.min() == 1 - span(config)
        assert config.least <= drawn.believed.min() < drawn.believed.max() <= config.most
        assert np.log(drawn.believed).mean() == pytest.approx(
            np.log(config.least * config.most) / 2, abs=0.04
        )
        if not config.is_announced:
            assert (drawn.real == drawn.believed).all()


def test_the_calendar_never_reveals_what_really_comes():
    steps, seeds = 60, 40
    certain = LAUNCH_DAY.model_copy(update={"per_day": 20.0, "called_off_share": 0.0})
    drawn = draw_events(certain, 3000, 288, rng())
    extra = np.log((drawn.real - 1) / (drawn.believed - 1))
    assert extra.std() == pytest.approx(0.3, rel=0.03)
    assert np.exp(extra).mean() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(extra, drawn.believed)[0, 1]) < 0.03
    # The same belief, other noise: the calendar does not move.
    loud = certain.model_copy(update={"noise_sigma": 1.0, "called_off_share": 0.5})
    for seed in range(seeds):
        one, two = (
            EventGenerator(ToyGenerator(), [config]).sample(2, steps, rng(seed))
            for config in (certain, loud)
        )
        assert (one.announced == two.announced).all()
    assert (one.values != two.values).any()


def test_launches_called_off_stay_on_the_calendar():
    off = LAUNCH_DAY.model_copy(update={"per_day": 30.0, "called_off_share": 1.0})
    plain = ToyGenerator().sample(4, 144, rng())
    made = EventGenerator(ToyGenerator(), [off]).sample(4, 144, rng())
    assert (made.values == plain.values).all()
    assert made.announced.max() > 1.4
    drawn = draw_events(LAUNCH_DAY, 4000, 288, rng())
    assert (drawn.real == 1).mean() == pytest.approx(0.1, abs=0.01)


def test_a_launch_beyond_the_episode_is_announced_within_the_horizon():
    batch = ToyGenerator().sample(1, 10, rng())
    made = apply(batch, LAUNCH_DAY, events((0, 12, 3, 3)))
    assert (made.values == batch.values).all()
    assert (made.announced[0, :12] == 1).all()
    assert made.announced[0, 12:15] == pytest.approx([1 + 2 / 3, 1 + 4 / 3, 3])


def test_a_generator_without_a_calendar_gets_one():
    class Forgetful:
        name = "forgetful"

        def sample(self, episodes, steps, rng):
            batch = ToyGenerator().sample(episodes, steps, rng)
            return DemandBatch(batch.values, batch.start_us)

    made = EventGenerator(Forgetful(), [FLASH_CROWD]).sample(2, 5, rng())
    assert made.announced is None
    made = EventGenerator(Forgetful(), [FLASH_CROWD, LAUNCH_DAY]).sample(2, 5, rng())
    assert made.announced.shape == (2, 5 + HORIZON)
    assert EventGenerator(Forgetful(), [FLASH_CROWD]).name == "forgetful+flash_crowd"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"most": 1.5}, "most 1.5 is below least 2"),
        ({"least": 0.5}, "greater than or equal to 1"),
        ({"per_day": -1}, "greater than or equal to 0"),
        ({"classes": ("web", "hpc")}, "classes must be some of web, batch, ml"),
        ({"classes": ()}, "classes must be some of"),
        ({"classes": ("ml",), "is_announced": True}, "names web demand only"),
        ({"noise_sigma": 0.3}, "belong to announced events"),
        ({"speed": 1}, "Extra inputs"),
    ],
)
def test_impossible_events_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        EventConfig(**{**PLAIN.model_dump(), **change})


def test_steps_of_another_length_are_refused():
    class Slow:
        name = "slow"

        def sample(self, episodes, steps, rng):
            batch = ToyGenerator().sample(episodes, steps, rng)
            return DemandBatch(batch.values, batch.start_us, step_s=60.0)

    with pytest.raises(ValueError, match=r"steps of 300.0 s; got 60.0 s"):
        EventGenerator(Slow(), [FLASH_CROWD]).sample(1, 2, rng())
