"""SAC's updates against a plain, unstacked re-computation from the paper's equations."""

import copy

import pytest
import torch

from marl.algos.joint import joint_spec
from marl.algos.sac import Sac
from marl.algos.sac_config import SacConfig
from marl.nets.config import NetConfig
from marl.nets.gaussian import squashed_log_prob
from tests.unit.marl.algos.test_maddpg import ROWS, SPEC, batch, forward

ALPHA = 0.3


def learner(name="masac", **settings):
    defaults = {"action_gain": 1.0, "actor_warmup": 0, "residual_l2": 0.0, "alpha": ALPHA}
    config = SacConfig(
        name=name, net=NetConfig(hidden=(8,)), sigma_hidden=(), **{**defaults, **settings}
    )
    made = Sac(config, SPEC, torch.zeros(2, 2), torch.Generator().manual_seed(0))
    # The usual near-zero last layer would hide mistakes in the actors.
    made.actor.net.mlp.weights[-1].data.mul_(50)
    return made


def drawn(made, obs, noise):
    """Residuals and log-densities of both agents, one at a time."""
    residuals, log_probs = [], []
    for i, knobs in enumerate(SPEC.action_sizes):
        mean = forward(made.actor.net.mlp, i, obs[:, i])
        log_sigma = made.head.log_sigma[i].expand(ROWS, -1)
        latent = mean + noise[i] * log_sigma.exp()
        mask = (torch.arange(2) < knobs).float()
        residuals.append(torch.tanh(latent) * mask)
        log_probs.append(squashed_log_prob(latent, mean, log_sigma, mask))
    return residuals, log_probs


def values(made, critic, state, obs, residuals):
    """(C, J) lists of (R,) values."""
    if made.name == "masac":
        seen = torch.cat([state, *residuals], 1)
        return [[forward(critic, c, seen)[:, 0]] for c in range(2)]
    seen = [torch.cat([obs[:, i], residuals[i]], 1) for i in range(2)]
    return [[forward(critic, c * 2 + i, seen[i])[:, 0] for i in range(2)] for c in range(2)]


def noise_to_come(made):
    copied = torch.Generator()
    copied.set_state(made.generator.get_state())
    return [torch.randn((2, ROWS, 2), generator=copied) for _ in ("critics", "actors")]


@pytest.mark.parametrize("name", ["masac", "isac"])
def test_critic_target_holds_the_entropy_of_what_comes_next(name):
    made, data = learner(name), batch()
    residuals, log_probs = drawn(made, data.next_obs_BNF, noise_to_come(made)[0])
    after = values(made, made.target_critic, data.next_state_BS, data.next_obs_BNF, residuals)
    stored = list(data.residual_BNA.unbind(1))
    now = values(made, made.critic, data.state_BS, data.obs_BNF, stored)
    judges = 1 if name == "masac" else 2
    expected = 0.0
    for j in range(judges):
        entropy = sum(log_probs) if name == "masac" else log_probs[j]
        reward = data.return_BN.mean(1) if name == "masac" else data.return_BN[:, j]
        soft = torch.minimum(after[0][j], after[1][j]) - ALPHA * entropy
        target = reward + data.discount_B * soft
        for c in range(2):
            error = (now[c][j] - target) ** 2 * data.weight_B
            expected += float(error.mean().detach()) / (2 * judges)
    assert float(made.update(data)["critic_loss"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["masac", "isac"])
def test_actor_gradient_is_that_of_value_and_entropy_through_the_draw(name):
    made, data = learner(name, grad_limit=1e9), batch()
    noise = noise_to_come(made)[1]
    made._update_critic(data)  # the actor step uses the updated critic
    residuals, log_probs = drawn(made, data.obs_BNF, noise)
    found = values(made, made.critic, data.state_BS, data.obs_BNF, residuals)
    loss = ALPHA * sum(log_probs)
    for j in range(len(found[0])):
        loss = loss - torch.minimum(found[0][j], found[1][j])
    parameters = [*made.actor.net.mlp.parameters(), *made.head.parameters()]
    wanted = torch.autograd.grad((loss * data.weight_B).mean(), parameters)
    made._update_actor(data)
    for parameter, gradient in zip(parameters, wanted, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_temperature_is_each_agents_own_and_moves_towards_its_target():
    made, data = learner(alpha_lr=0.1, target_entropy=-1.0), batch()
    assert made.target_entropy.tolist() == [-2.0, -1.0]  # per knob
    made.head.log_sigma.data[0] = -10.0  # agent a hardly explores
    made.head.log_sigma.data[1] = 0.0
    made.update(data)
    assert float(made.alpha[0]) > ALPHA
    assert float(made.alpha[1]) < ALPHA


def test_a_team_has_one_pair_of_critics_and_independent_agents_never_see_the_state():
    assert [learner(name).critic.weights[0].shape[0] for name in ("masac", "isac")] == [2, 4]
    made, data = learner("isac"), batch()
    before = made.update(data)
    again = learner("isac")
    foreseen = {"state_BS": data.state_BS + 100, "next_state_BS": data.next_state_BS - 100}
    after = again.update(type(data)(**{**vars(data), **foreseen}))
    assert {k: float(v) for k, v in before.items()} == {k: float(v) for k, v in after.items()}
    with pytest.raises(ValueError, match="is_team must be True"):
        learner("masac", is_team=False)


def test_one_controller_explores_all_knobs_of_a_team():
    spec = joint_spec(SPEC)
    made = Sac(
        SacConfig(name="sac", net=NetConfig(hidden=(8,))),
        spec,
        spec.pack_vector({"a": [0.5, 0.0], "b": [-0.5]}),
        torch.Generator().manual_seed(0),
    )
    obs = spec.pack_obs({"a": torch.randn(6, 3), "b": torch.randn(6, 2)})
    actions = spec.unpack_actions(made.actor.action(made.explore(obs)[0]))
    assert {agent: tuple(part.shape) for agent, part in actions.items()} == {
        "a": (6, 2),
        "b": (6, 1),
    }
    rule = spec.unpack_actions(made.actor.action(made.actor(obs)))
    assert torch.allclose(rule["a"], torch.tensor([0.5, 0.0]), atol=0.01)
    assert torch.allclose(rule["b"], torch.tensor([-0.5]), atol=0.01)
    assert (actions["a"] - rule["a"]).abs().max() > 0.02


def test_actors_and_temperatures_rest_while_critics_warm_up():
    made, data = learner(actor_warmup=3), batch()
    assert ["alpha" in made.update(data) for _ in range(5)] == [False] * 3 + [True] * 2


def test_state_continues_exactly():
    one, data = learner(), batch()
    one.update(data)
    two = learner()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for _ in range(3):
        a, b = one.update(data), two.update(data)
        assert {k: float(v) for k, v in a.items()} == {k: float(v) for k, v in b.items()}
    assert torch.equal(one.log_alpha, two.log_alpha)
    assert torch.equal(one.explore(data.obs_BNF)[0], two.explore(data.obs_BNF)[0])


def test_padding_is_never_explored():
    residual = learner().explore(torch.randn(ROWS, 2, 3))[0]
    assert not residual[1, :, 1].any()
    assert residual[1, :, 0].all()
