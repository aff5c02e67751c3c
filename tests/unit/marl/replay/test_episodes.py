"""Episodes against a list of what was stored."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.replay.episodes import EpisodeReplay


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def episodes(lengths, first=1, long=None):
    """Step t of episode e is the number 100 e + t, and rubbish beyond the end."""
    long = long or max(lengths)
    number = 100 * torch.arange(first, first + len(lengths)) + torch.arange(long)[:, None]
    values = number[..., None].to(torch.float32)
    return {"x": values, "y": -values.expand(-1, -1, 2)}, torch.tensor(lengths)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.integers(1, 7), min_size=1, max_size=14),
    st.integers(1, 7),
    st.integers(0, 1000),
)
def test_windows_are_whole_consecutive_and_from_kept_episodes(capacity, lengths, window, seed):
    made = EpisodeReplay(capacity, 7, {"x": 1, "y": 2})
    for i, length in enumerate(lengths):
        made.add(*episodes([length], i + 1, long=7))
    kept = dict(enumerate(lengths, 1))
    kept = {e: kept[e] for e in list(kept)[-capacity:]}
    assert len(made) == len(kept)
    batch = made.sample(40, generator(seed), window)
    assert batch.fields["x"].shape == (window, 40, 1)
    for b in range(40):
        x = batch.fields["x"][:, b, 0]
        e = int(x[0]) // 100
        taken = min(window, kept[e])
        start = int(batch.start_B[b])
        assert start + taken <= kept[e]
        expected = [100.0 * e + start + t for t in range(taken)] + [0.0] * (window - taken)
        assert x.tolist() == expected
        assert (batch.fields["y"][:, b] == -x[:, None]).all()
        assert batch.is_valid_TB[:, b].tolist() == [t < taken for t in range(window)]


def test_episodes_and_starts_are_drawn_uniformly():
    made = EpisodeReplay(4, 5, {"x": 1, "y": 2})
    made.add(*episodes([5, 5, 5, 5]))
    batch = made.sample(30_000, generator(1), 3)
    pairs = torch.bincount(batch.index_B * 3 + batch.start_B, minlength=12)
    assert (pairs - 2500).abs().max() < 4 * 2500**0.5
    same = made.sample(30_000, generator(1), 3)
    assert torch.equal(batch.fields["x"], same.fields["x"])


def test_state_survives():
    one, two = (EpisodeReplay(3, 5, {"x": 1, "y": 2}) for _ in range(2))
    one.add(*episodes([5, 2]))
    two.load_state_dict(one.state_dict())
    for made in (one, two):
        made.add(*episodes([3, 4], 3))
    a, b = one.sample(50, generator()), two.sample(50, generator())
    assert torch.equal(a.fields["x"], b.fields["x"])
    assert torch.equal(a.is_valid_TB, b.is_valid_TB)
    with pytest.raises(ValueError, match="expected"):
        EpisodeReplay(3, 6, {"x": 1, "y": 2}).load_state_dict(one.state_dict())


@pytest.mark.parametrize(
    ("block", "length", "message"),
    [
        ({"x": torch.zeros(3, 2, 1)}, [1, 1], "expected the fields"),
        ({"x": torch.zeros(3, 2, 1), "y": torch.zeros(3, 2, 1)}, [1, 1], "y must be"),
        ({"x": torch.zeros(3, 2, 1), "y": torch.zeros(3, 2, 2)}, [1, 4], "within 1 .. 3"),
        ({"x": torch.zeros(3, 2, 1), "y": torch.zeros(3, 2, 2)}, [1], "at most 4 steps"),
        ({"x": torch.zeros(5, 2, 1), "y": torch.zeros(5, 2, 2)}, [1, 1], "at most 4 steps"),
    ],
)
def test_what_does_not_fit_is_refused(block, length, message):
    made = EpisodeReplay(2, 4, {"x": 1, "y": 2})
    with pytest.raises(ValueError, match=message):
        made.add(block, torch.tensor(length))
    assert len(made) == 0
    with pytest.raises(ValueError, match="window must be"):
        made.sample(1, generator(), 5)
