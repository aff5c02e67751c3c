"""MADDPG's updates against a plain, unstacked re-computation from the paper's equations."""

import copy

import pytest
import torch
from torch import nn

from marl.algos.base import Batch, SoftTarget, TeamSpec
from marl.algos.maddpg import Maddpg, MaddpgConfig
from marl.nets.config import NetConfig

SPEC = TeamSpec(("a", "b"), (3, 2), (2, 1), 4)
ROWS = 5


def learner(**settings):
    defaults = {"is_team": False, "action_gain": 1.0, "actor_warmup": 0, "residual_l2": 0.0}
    config = MaddpgConfig(net=NetConfig(hidden=(8,)), **{**defaults, **settings})
    made = Maddpg(config, SPEC, torch.zeros(2, 2), torch.Generator().manual_seed(0))
    # The usual near-zero last layer would hide mistakes in the actors.
    made.actor.net.mlp.weights[-1].data.mul_(50)
    made.target_actor.load_state_dict(made.actor.net.state_dict())
    return made


def batch():
    g = torch.Generator().manual_seed(1)
    obs, after = torch.randn((2, ROWS, 2, 3), generator=g)
    obs[:, 1, 2] = after[:, 1, 2] = 0
    residual = torch.rand((ROWS, 2, 2), generator=g) * 2 - 1
    residual[:, 1, 1] = 0
    return Batch(
        obs_BNF=obs,
        state_BS=torch.randn((ROWS, 4), generator=g),
        residual_BNA=residual,
        return_BN=torch.randn((ROWS, 2), generator=g),
        discount_B=torch.tensor([0.9, 0.81, 0.0, 0.9, 0.9]),
        weight_B=torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]),
        next_obs_BNF=after,
        next_state_BS=torch.randn((ROWS, 4), generator=g),
    )


def forward(stack, member, x):
    """One member of a stack as a plain network."""
    for layer in range(len(stack.weights)):
        if layer:
            x = torch.relu(nn.functional.layer_norm(x, x.shape[-1:]))
        x = x @ stack.weights[layer][member] + stack.biases[layer][member]
    return x


def actions(actor, obs):
    parts = [torch.tanh(forward(actor.mlp, i, obs[:, i])) for i in range(2)]
    parts[1] = parts[1] * torch.tensor([1.0, 0.0])  # agent b has one knob
    return parts


@pytest.mark.parametrize("critics", [1, 2])
def test_critic_loss_is_the_papers(critics):
    made, data = learner(critics=critics), batch()
    expected = torch.zeros(())
    for i in range(2):
        joint = torch.cat([data.next_state_BS, *actions(made.target_actor, data.next_obs_BNF)], 1)
        values = [forward(made.target_critic, c * 2 + i, joint)[:, 0] for c in range(critics)]
        target = data.return_BN[:, i] + data.discount_B * torch.stack(values).amin(0)
        now = torch.cat([data.state_BS, data.residual_BNA.flatten(1)], 1)
        for c in range(critics):
            error = (forward(made.critic, c * 2 + i, now)[:, 0] - target) ** 2 * data.weight_B
            expected = expected + error.mean() / (2 * critics)
    metrics = made.update(data)
    assert float(metrics["critic_loss"]) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_actor_gradient_moves_only_the_own_action_among_stored_ones():
    made, data = learner(actor_lr=1e-3, grad_limit=1e9), batch()
    reference = copy.deepcopy(made.actor.net)
    made._update_critic(data, data.state_BS)  # the actor step uses the updated critic
    losses = []
    for i in range(2):
        joint = [data.residual_BNA[:, 0], data.residual_BNA[:, 1]]
        joint[i] = actions(reference, data.obs_BNF)[i]
        value = forward(made.critic, i, torch.cat([data.state_BS, *joint], 1))[:, 0]
        losses.append(-(value * data.weight_B).mean())
    gradients = torch.autograd.grad(sum(losses), list(reference.parameters()))
    made._update_actor(data, data.state_BS)
    for parameter, wanted in zip(made.actor.net.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, wanted, atol=1e-6)
        # Adam's first step is the learning rate against the gradient's sign.
    moved = made.actor.net.mlp.biases[-1].detach() - reference.mlp.biases[-1].detach()
    assert torch.allclose(moved, -1e-3 * gradients[-1].sign(), atol=1e-5)


def test_actors_follow_every_second_critic_step_in_matd3_and_none_while_warming_up():
    made, data = learner(name="matd3"), batch()
    assert (made.config.critics, made.config.policy_delay) == (2, 2)
    assert "actor_loss" not in made.update(data)
    assert "actor_loss" in made.update(data)
    slow = Maddpg(
        MaddpgConfig(net=NetConfig(hidden=(8,)), actor_warmup=3),
        SPEC,
        torch.zeros(2, 2),
        torch.Generator(),
    )
    assert ["actor_loss" in slow.update(data) for _ in range(5)] == [False] * 3 + [True] * 2


def test_soft_target_by_hand():
    source, target = nn.Linear(1, 1), nn.Linear(1, 1)
    source.weight.data.fill_(3.0)
    source.bias.data.fill_(-1.0)
    target.weight.data.fill_(1.0)
    target.bias.data.fill_(1.0)
    SoftTarget(target, source, 0.25).move()
    assert (float(target.weight), float(target.bias)) == pytest.approx((1.5, 0.5))
    assert (float(source.weight), float(source.bias)) == (3.0, -1.0)


def test_state_continues_exactly_and_saturated_targets_stay_in_range():
    one, data = learner(name="matd3"), batch()
    one.update(data)
    two = learner(name="matd3")
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for _ in range(3):
        a, b = one.update(data), two.update(data)
        assert {k: float(v) for k, v in a.items()} == {k: float(v) for k, v in b.items()}
    for x, y in zip(one.actor.parameters(), two.actor.parameters(), strict=True):
        assert torch.equal(x, y)


def test_packing_names_the_agent_that_does_not_fit():
    with pytest.raises(ValueError, match=r"b: expected \(B, 2\); got \(5, 3\)"):
        SPEC.pack_obs({"a": torch.zeros(5, 3), "b": torch.zeros(5, 3)})
    with pytest.raises(ValueError, match="expected the agents"):
        SPEC.pack_obs({"a": torch.zeros(5, 3)})
    actions = {"a": torch.rand(5, 2), "b": torch.rand(5, 1)}
    back = SPEC.unpack_actions(SPEC.pack_actions(actions))
    assert all(torch.equal(back[agent], actions[agent]) for agent in actions)


def test_exploration_noise_moves_only_knobs_that_exist_and_stays_in_range():
    residual = learner().act(torch.zeros(ROWS, 2, 3), torch.full((2, ROWS, 2), 9.0))
    assert torch.equal(residual[0], torch.ones(ROWS, 2))
    assert torch.equal(residual[1], torch.tensor([[1.0, 0.0]]).expand(ROWS, 2))
