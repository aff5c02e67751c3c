"""Changes to demand, worked by hand; the demand beneath stays the same draw."""

import numpy as np
import pytest

from marl.evaluate.robustness.demand import ChangedDemand, Level, ShiftedDay, Spike
from marl.workload.demand import CHANNELS
from marl.workload.toy import ToyGenerator

GIB = CHANNELS.index("storage_gib")


def drawn(*changes, seed=1):
    rng = np.random.default_rng(seed)
    return ChangedDemand(ToyGenerator(), changes).sample(2, 10, rng)


def test_a_spike_multiplies_its_steps_alone_and_no_stored_data():
    plain, spiked = drawn(), drawn(Spike(5.0, 3, 2))
    ratio = spiked.values / plain.values
    assert np.allclose(ratio[:, 3:5, :, :GIB], 5.0)
    assert np.allclose(ratio[:, 3:5, :, GIB + 1 :], 5.0)
    assert np.array_equal(spiked.values[..., GIB], plain.values[..., GIB])
    for outside in (slice(0, 3), slice(5, 10)):
        assert np.array_equal(spiked.values[:, outside], plain.values[:, outside])
    for known in ("day_ago", "week_ago", "announced", "scheduled"):
        assert np.array_equal(getattr(spiked, known), getattr(plain, known))


def test_a_level_grows_everything_remembered_too():
    plain, grown = drawn(), drawn(Level(1.5))
    for name in ("values", "day_ago", "week_ago", "scheduled"):
        assert np.allclose(getattr(grown, name), 1.5 * getattr(plain, name))
    assert np.array_equal(grown.announced, plain.announced)


def test_a_shifted_day_is_the_same_demand_by_another_clock():
    plain, shifted = drawn(), drawn(ShiftedDay(6.0))
    assert (shifted.start_us - plain.start_us == 6 * 3_600_000_000).all()
    assert np.array_equal(shifted.values, plain.values)


def test_changes_come_in_order_and_another_step_length_is_refused():
    both = drawn(Level(2.0), Spike(3.0, 0, 1))
    assert np.allclose(both.values[:, 0, :, 0], 6.0 * drawn().values[:, 0, :, 0])

    class Hourly(ToyGenerator):
        def sample(self, episodes, steps, rng):
            batch = super().sample(episodes, steps, rng)
            return type(batch)(batch.values, batch.start_us, step_s=3600.0)

    with pytest.raises(ValueError, match="steps of 300"):
        ChangedDemand(Hourly(), [Level(2.0)]).sample(1, 4, np.random.default_rng(0))
