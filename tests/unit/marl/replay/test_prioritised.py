"""Prioritised replay against the paper's formulas, and its draws against their distribution."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from marl.replay.prioritised import BlockSums, PrioritisedReplay, PriorityConfig
from marl.replay.ring import RingReplay


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(count, start=0):
    return {"x": torch.arange(start, start + count, dtype=torch.float32)[:, None]}


def replay(capacity, added, *, lanes=1, ahead=0, **settings):
    made = PrioritisedReplay(
        RingReplay(capacity, {"x": 1}, lanes), PriorityConfig(**settings), ahead
    )
    made.add(rows(added))
    return made


def test_draws_follow_the_priorities():
    made = replay(200, 200)
    error = torch.rand(200, generator=generator(1)) ** 4
    made.update(torch.arange(200), error)
    expected = (error.double() + 1e-6) ** 0.6
    assert torch.allclose(made.probability(torch.arange(200)), expected / expected.sum())
    drawn = torch.cat([made.sample(64, g, 0.0).index_B for g in [generator(2)] for _ in range(800)])
    seen = torch.bincount(drawn, minlength=200)
    share = expected / expected.sum()
    assert chisquare(seen.numpy(), (share * len(drawn)).numpy()).pvalue > 1e-3
    # The test can tell: the same draws do not fit uniform sampling.
    assert chisquare(seen.numpy()).pvalue < 1e-9


def test_a_draw_takes_one_row_from_each_equal_part_of_the_mass():
    made = replay(128, 128)  # equal masses: every row exactly once in 128 draws
    assert made.sample(128, generator(), 0.0).index_B.tolist() == list(range(128))


def test_weights_by_hand():
    made = replay(4, 4, alpha=0.5, beta=0.4, epsilon=1e-12)
    made.update(torch.arange(4), torch.tensor([1.0, -4.0, 9.0, 16.0]))
    # p^α: 1, 2, 3, 4; P = .1, .2, .3, .4
    assert made.probability(torch.arange(4)).tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    for done, beta in ((0.0, 0.4), (0.5, 0.7), (1.0, 1.0)):
        drawn = made.sample(1000, generator(), done)
        assert set(drawn.index_B.tolist()) == {0, 1, 2, 3}
        by_hand = {i: (4 * (i + 1) / 10) ** -beta for i in range(4)}
        expected = [by_hand[i] / by_hand[0] for i in drawn.index_B.tolist()]
        assert drawn.weight_B.tolist() == pytest.approx(expected, rel=1e-6)


def test_weights_at_the_end_of_annealing_make_the_mean_unbiased():
    made = replay(50, 50)
    value = torch.rand(50, generator=generator(3), dtype=torch.float64)
    made.update(torch.arange(50), value * 5)
    drawn = made.sample(200_000, generator(4), 1.0)
    weight = drawn.weight_B.double()
    estimate = (weight * value[drawn.index_B]).sum() / weight.sum()
    assert float(estimate) == pytest.approx(float(value.mean()), rel=0.01)


def test_new_rows_get_the_largest_priority_so_far_and_old_ones_are_overwritten():
    made = replay(6, 4)
    made.update(torch.arange(4), torch.tensor([0.1, 0.2, 7.0, 0.3]))
    made.add(rows(4))  # rows 4, 5, 0, 1
    mass = (torch.tensor([7, 7, 7, 0.3, 7, 7], dtype=torch.float64) + 1e-6) ** 0.6
    assert torch.allclose(made.probability(torch.arange(6)), mass / mass.sum())


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 60),
    st.integers(0, 4),
    st.lists(st.integers(1, 70), min_size=1, max_size=12),
)
def test_open_rows_are_those_with_enough_later_steps(lanes, slots, ahead, blocks):
    made = PrioritisedReplay(RingReplay(lanes * slots, {"x": 1}, lanes), PriorityConfig(), ahead)
    stored = []  # row numbers in order of age
    for block in blocks:
        steps = min(block, slots)
        at = made.ring.cursor
        made.add(rows(steps * lanes))
        new = [(at + i) % made.ring.capacity for i in range(steps * lanes)]
        stored = [i for i in stored if i not in new] + new
    is_open = stored[: max(len(stored) - ahead * lanes, 0)]
    mass = made._masses.flat
    assert sorted(mass.nonzero().flatten().tolist()) == sorted(is_open)
    assert torch.equal(made._masses.sums, made._masses.mass.cumsum(1)[:, -1])
    assert made._masses.total == pytest.approx(float(mass.sum()), rel=1e-12)
    if not is_open:
        with pytest.raises(ValueError, match="steps ahead"):
            made.sample(4, generator(), 0.0)
        return
    # Updating a closed row does not open it.
    made.update(torch.tensor(stored), torch.ones(len(stored)))
    assert set(made.sample(64, generator(), 0.0).index_B.tolist()) <= set(is_open)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(0, 2**32), st.floats(1e-12, 1e9))
def test_rows_without_mass_are_never_drawn(count, seed, scale):
    sums, g = BlockSums(count), generator(seed)
    mass = torch.rand(count, generator=g, dtype=torch.float64) * scale
    mass[torch.rand(count, generator=g) < 0.7] = 0
    mass[int(torch.randint(count, (), generator=g))] = scale
    sums.set(torch.arange(count), mass)
    index, drawn = sums.draw(300, g)
    assert torch.equal(drawn, mass[index])
    assert (drawn > 0).all()


def test_where_rounding_leads_past_a_blocks_last_mass_the_last_is_taken(monkeypatch):
    """Draws at the edges of blocks whose ends have no mass, and sums that do not add up."""
    sums = BlockSums(512)
    mass = torch.rand(512, generator=generator(8), dtype=torch.float64)
    mass[torch.arange(512) % 16 == 0] = 0
    mass[torch.arange(512) % 16 >= 14] = 0
    sums.set(torch.arange(512), mass)
    for edge in (0.0, 1.0 - 2**-53):
        monkeypatch.setattr(
            torch, "rand", lambda n, edge=edge, **_: torch.full((n,), edge).double()
        )
        for factor in (1 - 1e-9, 1 + 1e-9):  # far worse than rounding
            sums.sums *= factor
            sums._is_current = False
            for count in (1, 2, 7, 300):
                assert (sums.draw(count, generator())[1] > 0).all()


def test_each_of_several_batches_drawn_at_once_is_a_draw_of_its_own():
    made = replay(100, 100)
    error = torch.rand(100, generator=generator(1)) ** 4
    made.update(torch.arange(100), error)
    share = made.probability(torch.arange(100))
    g = generator(2)
    rounds = [made.sample_batches(5, 20, g, 0.5) for _ in range(1500)]
    for batch in range(5):
        drawn = torch.cat([draws[batch].index_B for draws in rounds])
        seen = torch.bincount(drawn, minlength=100)
        assert chisquare(seen.numpy(), (share * len(drawn)).numpy()).pvalue > 1e-3
    # One row from each twentieth of the mass in every batch; one from each hundredth in all.
    top = share.cumsum(0)
    for draws in rounds[:20]:
        together = torch.cat([draw.index_B for draw in draws]).sort().values
        parts = torch.arange(100) / 100
        assert (top[together] > parts).all()
        assert (top[together] - share[together] < parts + 0.01).all()
        for draw in draws:
            assert (top[draw.index_B] > torch.arange(20) / 20).all()
            by_hand = (share[draw.index_B] / share[draw.index_B].min()) ** -0.7
            assert torch.allclose(draw.weight_B, by_hand.float(), rtol=1e-5)


def test_same_state_same_draws_after_a_checkpoint_and_no_global_state():
    made = replay(300, 250, ahead=2)
    made.update(torch.arange(240), torch.rand(240, generator=generator(5)))
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    assert file.tell() < 250 * (4 + 8) + 4000
    file.seek(0)
    other = PrioritisedReplay(RingReplay(300, {"x": 1}), PriorityConfig(), 2)
    other.load_state_dict(torch.load(file, weights_only=True))
    before = torch.get_rng_state()
    for each in (made, other):
        each.add(rows(100, 250))
    one, two = made.sample(512, generator(6), 0.3), other.sample(512, generator(6), 0.3)
    assert torch.equal(one.index_B, two.index_B)
    assert torch.equal(one.weight_B, two.weight_B)
    assert torch.equal(before, torch.get_rng_state())


def test_what_does_not_fit_is_refused():
    made = replay(4, 4)
    with pytest.raises(ValueError, match="not finite"):
        made.update(torch.arange(2), torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match="errors"):
        made.update(torch.arange(2), torch.ones(3))
    with pytest.raises(ValueError, match="without priorities"):
        PrioritisedReplay(made.ring, PriorityConfig())
