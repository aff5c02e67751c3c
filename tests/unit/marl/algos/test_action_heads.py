"""What actors' outputs become, worked by hand."""

import math

import pytest
import torch

from marl.algos.action_heads import ChoiceHead, ResidualHead
from marl.algos.base import Batch, TeamSpec
from marl.algos.gumbel import gumbel_noise
from marl.algos.maddpg import Maddpg, MaddpgConfig
from marl.nets.config import NetConfig

MASK = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_residuals_are_squashed_bounded_and_masked():
    head = ResidualHead(MASK, 0.1, 0.3, generator())
    output = torch.full((2, 1, 3), math.atanh(0.8))
    expected = torch.tensor([[[0.8, 0.8, 0.8]], [[0.8, 0.8, 0.0]]])
    torch.testing.assert_close(head.act(output, None), expected)
    torch.testing.assert_close(head.drawn(output), expected)
    loud = head.act(output, torch.tensor([[[0.1, 0.5, -0.3]]] * 2))
    torch.testing.assert_close(loud[0], torch.tensor([[0.9, 1.0, 0.5]]))
    many = head.target(output.expand(2, 4000, 3))
    assert float(many[0].mean()) == pytest.approx(0.794, abs=0.01)  # clipped at one
    assert float((many[0] - 0.8).abs().max()) <= 0.25 + 1e-6
    assert many[1, :, 2].abs().max() == 0
    near = head.near(torch.zeros(4000, 2, 3))
    assert float(near[:, 0].std()) == pytest.approx(0.3, abs=0.01)
    assert near[:, 1, 2].abs().max() == 0


def test_choices_are_the_likeliest_or_drawn_and_never_closed():
    head = ChoiceHead(MASK, 1.0, generator())
    output = torch.tensor([[[0.0, 1.0, 2.0]], [[0.0, 1.0, 9.0]]])
    assert head.act(output, None).argmax(-1).flatten().tolist() == [2, 1]
    noise = torch.tensor([[[3.0, 0.0, 0.0]], [[0.0, 0.0, 9.0]]])
    assert head.act(output, noise).argmax(-1).flatten().tolist() == [0, 1]
    for draw in (head.target, head.drawn):
        many = draw(output.expand(2, 20_000, 3))
        assert (many.sum(-1) == 1).all()
        assert many[1, :, 2].abs().max() == 0
        torch.testing.assert_close(
            many[0].mean(0), torch.softmax(output[0, 0], 0), atol=0.02, rtol=0
        )
    joint = torch.eye(3)[None, :2]
    assert torch.equal(head.near(joint), joint)


def test_actors_of_choices_climb_a_critic_through_their_draws():
    """With a critic that pays for the second agent's second choice alone, only that one moves."""
    spec = TeamSpec(("a", "b"), (1, 1), (3, 2), 1)
    config = MaddpgConfig(
        is_discrete=True, net=NetConfig(hidden=(8,)), actor_lr=1e-2, residual_l2=0.0
    )
    made = Maddpg(config, spec, torch.zeros(2, 3), generator())

    class Paying(torch.nn.Module):
        def forward(self, inputs, first=None):
            return inputs[None, :, 1 + 3 + 1, None]  # state, a's choices, b's first, b's second

    made.critic = Paying()
    obs = torch.ones(64, 2, 1)
    before = torch.softmax(made._output(made.actor.net, obs)[:, 0], -1)
    batch = Batch(
        obs, torch.zeros(64, 1), torch.zeros(64, 2, 3), torch.zeros(64, 2), torch.zeros(64),
        torch.ones(64), obs, torch.zeros(64, 1),
    )  # fmt: skip
    for _ in range(50):
        made._update_actor(batch, batch.state_BS)
    after = torch.softmax(made._output(made.actor.net, obs)[:, 0], -1)
    torch.testing.assert_close(after[0], before[0])
    assert after[1, 1] > before[1, 1] + 0.02


def test_a_seed_decides_the_draws():
    spec = TeamSpec(("a", "b"), (1, 1), (3, 2), 1)
    config = MaddpgConfig(is_discrete=True, net=NetConfig(hidden=(8,)))
    obs = torch.ones(5, 2, 1)
    one, two = (Maddpg(config, spec, torch.zeros(2, 3), generator(4)) for _ in range(2))
    noise = [gumbel_noise((2, 5, 3), made.generator) for made in (one, two)]
    assert torch.equal(one.act(obs, noise[0]), two.act(obs, noise[1]))
