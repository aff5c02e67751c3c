"""A transformer over a list: order and closed slots mean nothing, everything else counts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marl.nets.sequence import find_sequence
from marl.nets.transformer import SequenceTransformer

SLOTS, FIELDS = 5, ("work", "left", "is_open")
NAMES = ("load", *(f"job{slot}_{name}" for slot in range(SLOTS) for name in FIELDS), "hour")
LAYOUT = find_sequence(NAMES)
SIZES = (2, len(NAMES))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def encoder(depth=2):
    return SequenceTransformer(
        SIZES, (None, LAYOUT), token=8, heads=2, depth=depth, feed_forward=2, generator=generator()
    )


def inputs(is_open, rows=3, seed=1):
    """(2, rows, F) observations whose list's slots are open as given, noise in the closed ones."""
    x = torch.randn((2, rows, len(NAMES)), generator=generator(seed))
    x[0, :, 2:] = 0
    x[1][:, list(LAYOUT.is_open)] = torch.tensor(is_open, dtype=torch.float32)
    return x


def moved(x, order):
    """The same observations with the list's entries in another order."""
    y = x.clone()
    for to, slot in enumerate(order):
        y[1][:, list(LAYOUT.columns[to])] = x[1][:, list(LAYOUT.columns[slot])]
        y[1][:, LAYOUT.is_open[to]] = x[1][:, LAYOUT.is_open[slot]]
    return y


OPEN = st.lists(st.booleans(), min_size=SLOTS, max_size=SLOTS)


@given(is_open=OPEN, order=st.permutations(range(SLOTS)), depth=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_the_order_of_entries_means_nothing(is_open, order, depth):
    made, x = encoder(depth), inputs(is_open)
    torch.testing.assert_close(made(moved(x, order)), made(x), atol=1e-5, rtol=1e-5)
    weights = made.weights(x)[..., list(order)]
    torch.testing.assert_close(made.weights(moved(x, order)), weights, atol=1e-5, rtol=1e-5)


@given(is_open=OPEN, depth=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_what_stands_in_closed_slots_means_nothing(is_open, depth):
    made, x = encoder(depth), inputs(is_open)
    other = x.clone()
    for slot, one in enumerate(is_open):
        if not one:
            other[1][:, list(LAYOUT.columns[slot])] = 50.0
    torch.testing.assert_close(made(other), made(x), atol=1e-5, rtol=1e-5)
    weights = made.weights(x)
    assert (weights[0] == 0).all()  # the first agent has no list
    total = torch.full((3, 2), float(any(is_open)))
    torch.testing.assert_close(weights[1].sum(-1), total)
    assert (weights[1][..., [not one for one in is_open]] == 0).all()


def test_closed_slots_at_the_end_are_as_if_they_were_not_there():
    short = find_sequence(NAMES[: 1 + 2 * len(FIELDS)])
    few = SequenceTransformer(
        (2, 1 + 2 * len(FIELDS)), (None, short), token=8, heads=2, depth=2, feed_forward=2,
        generator=generator(),
    )  # fmt: skip
    x = inputs([1, 1, 0, 0, 0])
    found = few(x[..., : 1 + 2 * len(FIELDS)])[1][..., :8]
    torch.testing.assert_close(encoder()(x)[1][..., :8], found, atol=1e-5, rtol=1e-5)


def test_other_fields_stand_beside_the_pooled_list():
    made, x = encoder(), inputs([1, 0, 1, 0, 0])
    found = made(x)
    assert made.out_features == (8 + 2, 8 + 2)
    assert (found[0, :, :8] == 0).all()
    assert torch.equal(found[0, :, 8:], x[0, :, :2])
    assert torch.equal(found[1, :, 8:], x[1][:, [0, len(NAMES) - 1]])


def test_a_block_by_hand_pools_the_only_open_entry():
    # With one open slot attention has no choice: the weight is 1 and pooling is a plain network.
    made, x = encoder(depth=1), inputs([0, 0, 1, 0, 0])

    def norm(y):
        return torch.nn.functional.layer_norm(y, (8,))

    def linear(stack, y, layer=0):
        return y @ stack.weights[layer][0] + stack.biases[layer][0]

    (block,) = made.blocks
    token = linear(made.embed, x[1][:, list(LAYOUT.columns[2])])
    value = linear(block.key_value, norm(token))[:, 8:]
    hidden = made.seed[0] + linear(block.out, value)
    wide = torch.relu(linear(block.feed_forward, norm(hidden)))
    wanted = norm(hidden + linear(block.feed_forward, wide, 1))
    torch.testing.assert_close(made(x)[1, :, :8], wanted)


def test_gradients_reach_open_entries_and_every_weight():
    made, x = encoder(), inputs([1, 0, 1, 1, 0]).requires_grad_()
    (made(x) * torch.randn((2, 3, 10), generator=generator(2))).sum().backward()
    for slot, one in enumerate((1, 0, 1, 1, 0)):
        columns = list(LAYOUT.columns[slot])
        assert (x.grad[1][:, columns].abs().sum() > 0) == bool(one)
    for name, parameter in made.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_teams_without_a_list_or_with_different_ones_are_refused():
    other = find_sequence(NAMES[: 1 + 2 * len(FIELDS)])
    sizes = {"token": 8, "heads": 2, "depth": 1, "feed_forward": 2, "generator": generator()}
    with pytest.raises(ValueError, match=r"no agent observes one.*request_agents"):
        SequenceTransformer((2, 3), (None, None), **sizes)
    with pytest.raises(ValueError, match="same fields and slots"):
        SequenceTransformer((len(NAMES), len(NAMES)), (LAYOUT, other), **sizes)
