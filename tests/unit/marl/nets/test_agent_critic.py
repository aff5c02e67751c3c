"""Critics that attend over agents: by hand, and as a stack of MLPs is called."""

import math

import pytest
import torch

from marl.nets.agent_critic import AttentionCritic
from marl.nets.config import NetConfig

STATE, AGENTS, KNOBS = 4, 3, 2
SMALL = NetConfig(hidden=(8,), token=8, heads=2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def critic(judged=(None, 0, 2), net=SMALL):
    return AttentionCritic(net, STATE, AGENTS, KNOBS, judged, generator=generator())


def inputs(rows=5):
    return torch.randn((rows, STATE + AGENTS * KNOBS), generator=generator(1))


def test_an_agents_value_is_that_of_its_own_encoding_and_what_it_heard():
    made, x = critic((1,), SMALL.model_copy(update={"heads": 1, "has_layer_norm": False})), inputs()
    state, action = x[:, :STATE], x[:, STATE:].view(-1, AGENTS, KNOBS)

    def linear(stack, y, layer=0):
        return y @ stack.weights[layer][0] + stack.biases[layer][0]

    weight = made.from_action[0].view(AGENTS, KNOBS, 8)
    encoded = [
        torch.relu(
            linear(made.from_state, state)[:, i * 8 : (i + 1) * 8] + action[:, i] @ weight[i]
        )
        for i in range(AGENTS)
    ]
    asked = linear(made.query, encoded[1])
    scores = [(asked * linear(made.key, encoded[j])).sum(1) / math.sqrt(8) for j in (0, 2)]
    share = torch.stack(scores, 1).softmax(1)
    heard = [torch.nn.functional.leaky_relu(linear(made.value, encoded[j])) for j in (0, 2)]
    other = share[:, :1] * heard[0] + share[:, 1:] * heard[1]
    hidden = torch.relu(linear(made.head, torch.cat((encoded[1], other), 1)))
    torch.testing.assert_close(made(x)[0], linear(made.head, hidden, 1))


def test_nobody_asks_itself_and_weights_sum_to_one():
    weights = critic().weights(inputs())
    assert weights.shape == (3, 5, 2, AGENTS, AGENTS)
    torch.testing.assert_close(weights.sum(-1), torch.ones((3, 5, 2, AGENTS)))
    assert (weights.diagonal(dim1=-2, dim2=-1) == 0).all()


def test_it_is_called_like_a_stack_of_mlps():
    made, x = critic(), inputs()
    assert made(x).shape == (3, 5, 1)
    torch.testing.assert_close(made(x.expand(3, *x.shape)), made(x))
    torch.testing.assert_close(made(x, first=2), made(x)[:2])


def test_gradients_reach_every_agents_action_and_every_weight():
    made, x = critic(), inputs().requires_grad_()
    made(x).sum().backward()
    assert (x.grad.abs().sum(0) > 0).all()
    for name, parameter in made.named_parameters():
        assert (parameter.grad.flatten(1).abs().sum(1) > 0).all(), name


def test_impossible_critics_are_refused():
    with pytest.raises(ValueError, match="this team has one"):
        AttentionCritic(SMALL, STATE, 1, KNOBS, (None,), generator=generator())
    with pytest.raises(ValueError, match="token 8 is not a multiple of heads 3"):
        critic(net=SMALL.model_copy(update={"heads": 3}))
