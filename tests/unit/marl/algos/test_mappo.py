"""PPO's losses by hand, its Gaussians against torch's, who sees what, and a team game's optimum."""

import copy
from dataclasses import replace

import pytest
import torch

from marl.algos.base import TeamSpec
from marl.algos.mappo import Mappo, MappoConfig
from marl.algos.ppo_losses import clipped_surrogate, value_loss
from marl.algos.rollout import Rollout
from marl.nets.config import NetConfig
from marl.nets.gaussian import GaussianHead, entropy, log_prob
from marl.nets.mlp import StackedMLP
from marl.nets.orthogonal import orthogonal_
from marl.nets.value import ValueCritics

SPEC = TeamSpec(agents=("a", "b"), obs_sizes=(2, 3), action_sizes=(1, 2), state_size=4)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def learner(seed=0, **settings):
    defaults = {
        "net": NetConfig(hidden=(16,)),
        "residual_bound": 1.0,
        "minibatches": 2,
        "passes": 2,
    }
    config = MappoConfig(**{**defaults, **settings})
    return Mappo(config, SPEC, torch.zeros(2, 2), generator(seed))


def rollout(of, reward=None, steps=5, clouds=8, seed=1):
    """Decisions of `of` on random observations; every episode ends after one step."""
    source = generator(seed)
    obs = torch.randn((steps, clouds, 2, 3), generator=source)
    obs[:, :, 0, 2] = 0  # padding
    state = torch.randn((steps, clouds, 4), generator=source)
    mask = SPEC.action_mask().expand(clouds, -1, -1)
    of.begin(clouds)
    drawn = [of.explore(one, mask) for one in obs]
    residual = torch.stack([one[0] for one in drawn]).transpose(1, 2)
    flags = torch.ones((steps, clouds), dtype=torch.bool)
    earned = torch.randn((steps, clouds, 2), generator=source)
    return Rollout(
        obs_TBNF=obs,
        state_TBS=state,
        latent_TBNA=torch.stack([one[1] for one in drawn]),
        log_prob_TBN=torch.stack([one[2] for one in drawn]),
        mask_TBNA=mask.expand(steps, -1, -1, -1),
        reward_TBN=earned if reward is None else reward(obs, residual),
        terminated_TB=flags,
        cut_TB=flags,
        is_known_TB=flags,
        next_obs_TBNF=obs,
        next_state_TBS=state,
    )


def test_the_clipped_surrogate_by_hand():
    ratio = torch.tensor([[1.5, 1.1], [0.5, 0.9]])
    # min(1.5·2, 1.2·2) = 2.4 and min(.5·−1, .8·−1) = −.8: mean .8; second agent 2.2, −.9: .65.
    loss = clipped_surrogate(ratio, torch.tensor([[2.0], [-1.0]]), 0.2)
    assert float(loss) == pytest.approx(-(0.8 + 0.65))
    own = torch.tensor([[2.0, 0.0], [-1.0, 0.0]])
    assert float(clipped_surrogate(ratio, own, 0.2)) == pytest.approx(-0.8)
    with pytest.raises(ValueError, match="do not belong together"):
        clipped_surrogate(ratio, torch.zeros(2, 3), 0.2)


def test_the_clipped_value_loss_by_hand():
    value, old = torch.tensor([[1.0], [0.1]]), torch.zeros(2, 1)
    target = torch.tensor([[2.0], [0.1]])
    # Row 0: plain error 1, kept at .2 it is 1.8² = 3.24. Row 1 is within .2: 0. Half of the mean.
    assert float(value_loss(value, old, target, 0.2)) == pytest.approx(3.24 / 4)
    assert float(value_loss(value, old, target, 0.0)) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="must have one shape"):
        value_loss(value, old, target[:, 0], 0.2)


def test_log_probability_and_entropy_are_those_of_torch_without_masked_knobs():
    mean, log_sigma, latent = torch.randn((3, 5, 2, 4), generator=generator())
    reference = torch.distributions.Normal(mean, log_sigma.exp())
    mask = torch.tensor([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    expected = (reference.log_prob(latent) * mask).sum(-1)
    assert torch.allclose(log_prob(latent, mean, log_sigma, mask), expected, atol=1e-5)
    assert torch.allclose(entropy(log_sigma, mask), (reference.entropy() * mask).sum(-1))


@pytest.mark.parametrize("kind", ["squashed", "clipped"])
@pytest.mark.parametrize("hidden", [(), (8,)])
def test_the_mean_residual_is_the_actors(kind, hidden):
    head = GaussianHead(
        kind, (2, 3), 2, sigma=0.3, sigma_range=(0.1, 0.5), hidden=hidden, generator=generator()
    )
    logits, obs = torch.randn((2, 7, 2)), torch.randn((2, 7, 3)) * 100
    mean, log_sigma = head(logits, obs)
    assert torch.allclose(head.residual(mean), torch.tanh(logits))
    sigma = log_sigma.exp()
    assert sigma.shape == mean.shape
    assert ((sigma >= 0.1 - 1e-6) & (sigma <= 0.5 + 1e-6)).all()
    # With a network the spread differs between observations, without it does not.
    assert bool((sigma[:, 0] != sigma[:, 1]).any()) == bool(hidden)
    assert head.residual(torch.tensor([-9.0, 9.0])).tolist() == pytest.approx([-1, 1])


def test_orthogonal_weights_leave_padded_inputs_alone():
    mlp = StackedMLP((2, 4), (6,), 3, generator=generator())
    before = mlp.weights[0][0, 2:].clone()
    orthogonal_(mlp, (2, 4), last_gain=0.01, generator=generator())
    first = mlp.weights[0]
    assert torch.allclose(first[0, :2] @ first[0, :2].T, 2 * torch.eye(2), atol=1e-5)
    assert torch.allclose(first[1] @ first[1].T, 2 * torch.eye(4), atol=1e-5)
    assert torch.equal(first[0, 2:], before)
    last = mlp.weights[1][0]
    assert torch.allclose(last.T @ last, 1e-4 * torch.eye(3), atol=1e-8)
    assert all(not bias.any() for bias in mlp.biases)


def test_predictions_stay_what_they_were_when_the_returns_grow():
    critics = ValueCritics((3, 2), NetConfig(hidden=(8,)), generator=generator())
    critics.observe(torch.randn((50, 2), generator=generator(1)))
    inputs = torch.randn((2, 20, 3), generator=generator(2))
    before = critics.raw(critics(inputs))
    returns = torch.randn((5000, 2), generator=generator(3)) * torch.tensor([40.0, 4.0]) + 7
    normalised = critics(inputs)
    critics.observe(returns)
    assert torch.allclose(critics.raw(critics(inputs)), before, atol=1e-4)
    assert not torch.allclose(critics(inputs), normalised, atol=0.1)
    assert critics.norm(returns).std(0).tolist() == pytest.approx([1, 1], abs=0.03)


@pytest.mark.parametrize("head", ["squashed", "clipped"])
def test_the_policy_that_drew_is_at_ratio_one(head):
    of = learner(head=head, passes=1, minibatches=1, sigma_hidden=(8,))
    measured = of.update(rollout(of), 0.9)
    assert float(measured["kl"]) == pytest.approx(0, abs=1e-6)
    assert float(measured["clip_fraction"]) == 0
    assert of.updates == 1


def test_the_state_reaches_central_critics_alone():
    def after(name, shift):
        of = learner(name=name, passes=1, minibatches=1)
        seen = rollout(of)
        seen = replace(seen, state_TBS=seen.state_TBS + shift, next_state_TBS=seen.next_state_TBS)
        of.observe(seen)
        of.update(seen, 0.9, is_critic_only=True)
        return of, seen

    for name, is_moved in (("mappo", True), ("ippo", False)):
        (one, seen), (two, _) = after(name, 0.0), after(name, torch.randn(4))
        moved = [
            not torch.equal(a, b)
            for a, b in zip(one.critic.parameters(), two.critic.parameters(), strict=True)
        ]
        assert any(moved) == is_moved
        # Actors: the same weights, statistics and draws, whatever the state was.
        for key, value in one.actor.state_dict().items():
            assert torch.equal(value, two.actor.state_dict()[key])
        obs, mask = seen.obs_TBNF[0], seen.mask_TBNA[0]
        for a, b in zip(one.explore(obs, mask), two.explore(obs, mask), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("theta", [1.0, 0.1])
def test_exploration_holds_its_way_while_each_draw_is_the_policys(theta):
    of = learner(noise_theta=theta, sigma=0.5)
    with pytest.raises(RuntimeError, match="call begin"):
        of.explore(torch.zeros(2, 2, 3), SPEC.action_mask().expand(2, -1, -1))
    clouds, steps = 4000, 6
    obs, mask = torch.zeros(clouds, 2, 3), SPEC.action_mask().expand(clouds, -1, -1)
    of.begin(clouds)
    drawn = [of.explore(obs, mask) for _ in range(steps)]
    latent = torch.stack([one[1] for one in drawn])[:, :, 0, 0]  # (T, B)
    assert latent.std(1) == pytest.approx(torch.full((steps,), 0.5), rel=0.06)
    for lag in (1, 3):
        held = torch.corrcoef(latent[[0, lag]])[0, 1]
        assert held == pytest.approx((1 - theta) ** lag, abs=0.05)
    mean, log_sigma = of._distribution(of.actor.norm(obs))
    for _, point, told in drawn:
        torch.testing.assert_close(told, log_prob(point, mean, log_sigma, mask))


def test_a_masked_knob_learns_nothing():
    of = learner()
    seen = rollout(of)
    mask = seen.mask_TBNA.clone()
    mask[..., 1, 1] = 0
    head, weights = (
        of.head.log_sigma.detach().clone(),
        of.actor.net.mlp.weights[-1].detach().clone(),
    )
    # Drawn at the first means, which the small last layer leaves near zero.
    drawn = log_prob(seen.latent_TBNA, torch.zeros(()), head[:, 0], mask)
    of.update(replace(seen, mask_TBNA=mask, log_prob_TBN=drawn), 0.9)
    changed = of.actor.net.mlp.weights[-1].detach() != weights
    assert not changed[1, :, 1].any()
    assert changed[1, :, 0].all()
    assert torch.equal(of.head.log_sigma[1, 0, 1], head[1, 0, 1])
    # Nor does the padding: the first agent has one knob.
    assert not changed[0, :, 1].any()


def test_steps_of_unknown_outcome_are_left_out():
    one, two = learner(), learner()
    seen = rollout(one)
    rollout(two)  # draws alike
    known = torch.ones((5, 8), dtype=torch.bool)
    known[2, 3] = known[4, 0] = False
    other = seen.reward_TBN.clone()
    other[2, 3], other[4, 0] = 1e6, -1e6
    for of, reward in ((one, seen.reward_TBN), (two, other)):
        of.update(replace(seen, is_known_TB=known, reward_TBN=reward), 0.9)
    for a, b in zip(one.actor.parameters(), two.actor.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="0 usable steps make no 2 minibatches"):
        one.update(replace(seen, is_known_TB=~known & False), 0.9)


def test_critics_alone_leave_actors_as_they_are():
    of = learner()
    before = [p.detach().clone() for p in (*of.actor.parameters(), *of.head.parameters())]
    critics = [p.detach().clone() for p in of.critic.parameters()]
    of.update(rollout(of), 0.9, is_critic_only=True)
    after = [*of.actor.parameters(), *of.head.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(critics, of.critic.parameters(), strict=True))


@pytest.mark.parametrize("settings", [{}, {"name": "ippo", "sigma_hidden": (8,)}])
def test_continues_bit_for_bit(settings):
    whole, other = learner(**settings), learner(seed=5, **settings)
    first = rollout(whole)
    whole.update(first, 0.9)
    whole.observe(first)
    other.load_state_dict(copy.deepcopy(whole.state_dict()))
    for of in (whole, other):
        of.anneal(0.5)
        of.update(rollout(of, seed=2), 0.9)
    one, two = whole.state_dict(), other.state_dict()
    for name in ("actor", "head", "critic", "state_norm"):
        for key, value in one[name].items():
            assert torch.equal(value, two[name][key]), (name, key)
    assert whole.updates == other.updates


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_a_team_finds_the_joint_optimum_of_a_coupled_game(name, seed):
    # Reward −(u_a + u_b − .2)² − (u_a − u_b − x/4)², x being what agent b alone sees; agent a
    # knows nothing of x (mean 0). Best: u_a = .1, u_b = .1 − x/8, for b minimises both squares.
    def reward(obs, residual):
        a, b, x = residual[..., 0, 0], residual[..., 1, 0], obs[..., 1, 2]
        each = -((a + b - 0.2) ** 2) - (a - b - x / 4) ** 2
        return each[..., None].expand(-1, -1, 2)

    of = learner(
        seed,
        name=name,
        passes=3,
        minibatches=2,
        actor_lr=1e-2,
        critic_lr=1e-2,
        value_clip=0,
        sigma=0.3,
    )
    for i in range(50):
        of.anneal(i / 50)
        seen = rollout(of, reward, steps=1, clouds=256, seed=100 * seed + i)
        of.update(seen, 0.9)
        of.observe(seen)
    seen = rollout(of, reward, steps=1, clouds=2000, seed=999 + seed)
    mean = (of.actor(seen.obs_TBNF[0]) * of.mask[:, None]).transpose(0, 1)[None]
    x = seen.obs_TBNF[..., 1, 2]
    best = torch.stack([torch.full_like(x, 0.1), 0.1 - x / 8], -1)[..., None]
    short = float((reward(seen.obs_TBNF, best) - reward(seen.obs_TBNF, mean)).mean())
    nothing = float((reward(seen.obs_TBNF, best) - reward(seen.obs_TBNF, mean * 0)).mean())
    assert short < 0.06 * nothing
