"""Attention by hand, and the encoder that weighs observation fields."""

import math

import pytest
import torch

from marl.nets.attention import FieldAttention, attend, masked_softmax


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def encoder(sizes=(3, 5), **settings):
    return FieldAttention(sizes, **{"token": 6, "heads": 2, "generator": generator(), **settings})


def inputs(sizes=(3, 5), rows=7):
    x = torch.randn((len(sizes), rows, max(sizes)), generator=generator(1))
    for agent, size in enumerate(sizes):
        x[agent, :, size:] = 0
    return x


def test_a_masked_softmax_by_hand():
    scores = torch.tensor([[0.0, math.log(3.0), 50.0], [1.0, 2.0, 3.0]])
    is_open = torch.tensor([[True, True, False], [False, False, False]])
    found = masked_softmax(scores, is_open)
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]))


def test_attention_by_hand():
    # One head of width 4: scores are q·k / 2, so 2 ln 3 / 2 and 0: weights 3/4 and 1/4.
    query = torch.tensor([[math.log(3.0), 0.0, 0.0, 0.0]])
    key = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]])
    value = torch.tensor([[4.0, 0.0, 0.0, 1.0], [0.0, 8.0, 0.0, 1.0]])
    out, weights = attend(query, key, value, torch.ones((1, 2), dtype=torch.bool), 1)
    torch.testing.assert_close(weights, torch.tensor([[[0.75, 0.25]]]))
    torch.testing.assert_close(out, torch.tensor([[3.0, 2.0, 0.0, 1.0]]))


def test_heads_share_the_width_as_in_torchs_own_attention():
    query, key, value = torch.randn((3, 5, 4, 8), generator=generator())
    is_open = torch.rand((5, 1, 4), generator=generator(2)) < 0.7
    is_open[..., 0] = True
    out, weights = attend(query, key, value, is_open, 2)
    split = [x.unflatten(-1, (2, 4)).transpose(1, 2) for x in (query, key, value)]
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *split, attn_mask=is_open[:, None].expand(5, 2, 4, 4)
    )
    torch.testing.assert_close(out, wanted.transpose(1, 2).flatten(2))
    torch.testing.assert_close(weights.sum(-1), torch.ones((5, 2, 4)))


@pytest.mark.parametrize("has_layer_norm", [True, False])
def test_folded_attention_equals_attention_over_tokens_laid_out(has_layer_norm):
    made, x = encoder(has_layer_norm=has_layer_norm), inputs()
    found = made(x)
    for agent, size in enumerate((3, 5)):
        tokens = x[agent, :, :size, None] * made.value[agent, :size] + made.field[agent, :size]
        for head in range(2):
            weights = (tokens @ made.query[agent, :, head] / 6**0.5).softmax(-1)
            pooled = (weights[..., None] * tokens).sum(1)
            if has_layer_norm:
                pooled = torch.nn.functional.layer_norm(pooled, (6,))
            torch.testing.assert_close(found[agent, :, head * 6 : (head + 1) * 6], pooled)
            torch.testing.assert_close(made.weights(x)[agent, :, head, :size], weights)


def test_weights_sum_to_one_and_padding_has_none():
    weights = encoder().weights(inputs())
    assert weights.shape == (2, 7, 2, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones((2, 7, 2)))
    assert (weights[0, :, :, 3:] == 0).all()
    assert (weights[1] > 0).all()


def test_what_stands_in_padding_means_nothing():
    made, x = encoder(), inputs()
    noisy = x.clone()
    noisy[0, :, 3:] = 99.0
    torch.testing.assert_close(made(noisy), made(x))


def test_gradients_reach_every_weight_but_those_of_padding_and_no_other_agent():
    made, x = encoder(), inputs().requires_grad_()
    made(x)[0].sin().sum().backward()
    assert x.grad[1].abs().sum() == 0
    for parameter in (made.value, made.field):
        assert (parameter.grad[0, :3].abs().sum(-1) > 0).all()
        assert parameter.grad[0, 3:].abs().sum() == 0
        assert parameter.grad[1].abs().sum() == 0
    assert (made.query.grad[0] != 0).all()
