"""Exploration noise has the deviation and correlation it says."""

import pytest
import torch

from marl.algos.exploration import Noise, ParameterNoise, exploration
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig


def series(kind, theta, steps=400):
    noise = Noise(kind, (2, 200, 3), theta, torch.Generator().manual_seed(4))
    return torch.stack([noise.sample(0.5) for _ in range(steps)])


@pytest.mark.parametrize(
    ("kind", "theta", "lag_one"), [("gaussian", 0.15, 0.0), ("ou", 0.15, 0.85)]
)
def test_stationary_deviation_and_correlation(kind, theta, lag_one):
    values = series(kind, theta)
    assert float(values[0].std()) == pytest.approx(0.5, rel=0.06)  # from the first step on
    assert float(values.std()) == pytest.approx(0.5, rel=0.03)
    correlation = (values[1:] * values[:-1]).mean() / values.var()
    assert float(correlation) == pytest.approx(lag_one, abs=0.02)


def test_state_continues_exactly():
    noise = Noise("ou", (1, 2, 2), 0.2, torch.Generator().manual_seed(0))
    noise.sample(1.0)
    other = Noise("ou", (1, 2, 2), 0.2, torch.Generator())
    state = noise.state_dict()
    other.load_state_dict(state)
    assert torch.equal(noise.sample(1.0), other.sample(1.0))


def actors(hidden=()):
    return TeamActor(
        (2, 1), torch.zeros(2, 2), bound=1.0, last_scale=1.0,
        net=NetConfig(hidden=hidden, has_layer_norm=bool(hidden)),
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip


def test_disturbed_actors_by_hand_and_scale_follows_the_distance():
    actor = actors()
    noise = ParameterNoise(actor, (2, 1), 4, torch.Generator().manual_seed(0), copies=2)
    obs = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]]).expand(4, -1, -1)
    weight, bias = actor.net.mlp.weights[0].detach(), actor.net.mlp.biases[0].detach()
    by_hand = []
    for copy in range(2):
        w = weight + 0.05 * noise.directions["net.mlp.weights.0"][copy]
        b = bias + 0.05 * noise.directions["net.mlp.biases.0"][copy]
        disturbed = torch.tanh(torch.einsum("bnf,nfa->nba", obs[:2], w) + b)
        by_hand.append(disturbed - torch.tanh(torch.einsum("bnf,nfa->nba", obs[:2], weight) + bias))
    expected = torch.cat(by_hand, 1)
    # Three real knobs: both of the first agent, one of the second.
    square = expected.square()
    distance = float(torch.cat([square[0].flatten(), square[1, :, 0]]).mean()) ** 0.5
    first = noise.sample(distance * 1.001, actor, obs)
    assert torch.allclose(first, expected, atol=1e-6)
    assert noise.scale == pytest.approx(0.05 * 1.01)  # too near: further next time
    noise.sample(distance * 1.001, actor, obs)
    assert noise.scale == pytest.approx(0.05)  # 1.01 times too far: nearer again


def test_parameter_noise_arrives_at_the_deviation_asked_for_and_keeps_to_a_direction():
    actor = actors((16,))
    noise = ParameterNoise(actor, (2, 1), 60, torch.Generator().manual_seed(0), copies=7)
    obs = torch.randn(60, 2, 2, generator=torch.Generator().manual_seed(2))
    for _ in range(400):
        last = noise.sample(0.2, actor, obs)
    real = torch.cat([last[0].flatten(), last[1, :, 0]])
    assert float(real.square().mean().sqrt()) == pytest.approx(0.2, rel=0.03)
    again = noise.sample(0.2, actor, obs)
    assert torch.allclose(again, last, atol=0.02)  # one episode, one direction
    noise.reset()
    assert not torch.allclose(noise.sample(0.2, actor, obs), last, atol=0.1)


def test_parameter_noise_continues_exactly_and_leaves_the_actor_alone():
    actor = actors((8,))
    before = {name: value.clone() for name, value in actor.state_dict().items()}
    one = ParameterNoise(actor, (2, 1), 6, torch.Generator().manual_seed(0))
    other = ParameterNoise(actor, (2, 1), 6, torch.Generator().manual_seed(9))
    obs = torch.ones(6, 2, 2)
    one.sample(0.3, actor, obs)
    other.load_state_dict(one.state_dict())
    for each in (one, other):
        each.reset()
    assert torch.equal(one.sample(0.3, actor, obs), other.sample(0.3, actor, obs))
    assert one.scale == other.scale
    assert all(torch.equal(before[name], value) for name, value in actor.state_dict().items())


def test_exploration_by_name():
    actor, generator = actors(), torch.Generator().manual_seed(0)
    made = {k: exploration(k, actor, (2, 1), 3, 0.5, generator) for k in ("gaussian", "parameter")}
    assert isinstance(made["gaussian"], Noise)
    assert isinstance(made["parameter"], ParameterNoise)
