"""First-order losses by hand and against slow loops; what an update changes and what it leaves."""

import copy

import pytest
import torch

from marl.algos.base import TeamSpec
from marl.algos.first_order import FirstOrder, FirstOrderConfig, Window
from marl.algos.first_order_returns import faded_return, td_lambda_target, window_return
from marl.nets.config import NetConfig

SPEC = TeamSpec(("a", "b"), obs_sizes=(3, 2), action_sizes=(2, 1), state_size=4)


def learner(**settings):
    config = FirstOrderConfig(net=NetConfig(hidden=(8,)), **settings)
    generator = torch.Generator().manual_seed(0)
    return FirstOrder(config, SPEC, torch.zeros(2, 2), 0.9, generator)


def window(made, length=3, clouds=5, seed=1):
    """A window of a world whose reward is the joint residual's negative square."""
    generator = torch.Generator().manual_seed(seed)
    obs = torch.randn((length, clouds, 2, 3), generator=generator)
    obs[:, :, 1, 2] = 0.0
    state = torch.randn((length + 1, clouds, 4), generator=generator)
    logits = torch.stack([made.actor.logits(o, None)[0] for o in obs])
    moved = torch.stack([made.residual(logit) for logit in logits])
    reward = -(moved - 0.5).square().sum((1, 3))
    return Window(reward, logits, state[:-1], state[-1] + moved[-1].sum(), obs)


def test_a_window_weighs_rewards_by_their_place():
    reward = torch.tensor([[1.0], [2.0], [4.0]])
    # 1 + 2/2 + 4/4 + 8/8
    assert window_return(reward, torch.tensor([8.0]), 0.5).tolist() == [4.0]
    assert faded_return(reward, torch.tensor([8.0]), 0.5).tolist() == [11.0]


@pytest.mark.parametrize("summed", [window_return, faded_return])
def test_windows_of_other_shapes_are_refused(summed):
    with pytest.raises(ValueError, match=r"\(T, B\)"):
        summed(torch.zeros(3, 2), torch.zeros(3), 0.9)


def test_lambda_targets_by_hand():
    reward, ahead = torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [20.0]])
    # Last: 2 + 20/2 = 12. First: 1 + (3/4 · 10 + 1/4 · 12)/2 = 6.25.
    target = td_lambda_target(reward, ahead, 0.5, 0.25)
    assert target.flatten().tolist() == [6.25, 12.0]


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.95, 1.0])
def test_lambda_targets_mix_all_k_step_returns(lam):
    generator = torch.Generator().manual_seed(3)
    reward, ahead = torch.randn((2, 7, 4), generator=generator).double()
    gamma, length = 0.9, len(reward)
    found = td_lambda_target(reward, ahead, gamma, lam)
    for t in range(length):
        returns = [
            sum(gamma**i * reward[t + i] for i in range(k)) + gamma**k * ahead[t + k - 1]
            for k in range(1, length - t + 1)
        ]
        mixed = sum((1 - lam) * lam**k * returns[k] for k in range(len(returns) - 1))
        expected = mixed + lam ** (length - t - 1) * returns[-1]
        torch.testing.assert_close(found[t], expected)


def test_lambda_targets_refuse_other_shapes():
    with pytest.raises(ValueError, match="one shape"):
        td_lambda_target(torch.zeros(2, 3), torch.zeros(3, 3), 0.9, 0.9)


def test_actors_start_at_the_baseline_and_climb():
    made = learner(actor_lr=0.01, residual_l2=0.0)
    first = window(made)
    assert first.logit_TNBA.abs().max() < 0.01
    for _ in range(200):
        made.update(window(made))
    last = torch.tanh(window(made).logit_TNBA)
    torch.testing.assert_close(last[:, 0], torch.full_like(last[:, 0], 0.5), atol=0.05, rtol=0)
    assert made.updates == 200


def test_an_agents_missing_knob_gets_no_residual():
    made = learner(noise=0.5)
    made.begin(5, 1.0)
    residual = made.residual(made.actor.logits(torch.randn(5, 2, 3), None)[0])
    assert residual[1, :, 1].abs().max() == 0
    assert residual[0].abs().min() > 0


def test_clouds_keep_their_offsets_for_an_episode_and_these_shrink_to_nothing():
    made = learner(noise=0.2)
    logits = made.actor.logits(torch.zeros(4000, 2, 3), None)[0]
    plain = made.residual(logits)
    assert made.begin(4000, 1.0) == 0.2
    first, again = made.residual(logits), made.residual(logits)
    assert torch.equal(first, again)
    moved = (first - plain)[0].detach()
    assert moved.std() == pytest.approx(0.2, rel=0.05)
    assert moved.mean() == pytest.approx(0.0, abs=0.02)
    assert made.begin(4000, 0.5) == 0.1
    assert not torch.equal(made.residual(logits), first)
    assert made.begin(4000, 0.0) == 0.0
    assert torch.equal(made.residual(logits), plain)


def test_offsets_find_the_slope_that_whole_units_hide():
    # One knob of two levels, rounded: at .2 it is flat, and a cloud with the larger one earns more.
    made = learner(noise=0.3, residual_l2=0.0, actor_lr=0.02)

    def earned(logits):
        steep = torch.sigmoid((made.residual(logits) - 0.5) * 60.0)
        return steep[0, :, 0] - 0.2 * made.residual(logits)[0, :, 0]

    for step in range(300):
        made.begin(64, 1.0 - step / 299)
        obs = torch.zeros(1, 64, 2, 3)
        logits = made.actor.logits(obs[0], None)[0]
        empty = torch.zeros(1, 64, 4)
        made.update(Window(earned(logits)[None], logits[None], empty, empty[0], obs))
    assert torch.tanh(made.actor.logits(obs[0], None)[0])[0, 0, 0] > 0.5


def test_only_shac_has_a_critic_and_its_target_follows():
    assert "critic" not in learner().state_dict()
    made = learner(name="shac", tau=0.25)
    before = [p.clone() for p in made.target_critic.parameters()]
    metrics = made.update_critic(window(made))
    for old, kept, new in zip(
        before, made.target_critic.parameters(), made.critic.parameters(), strict=True
    ):
        torch.testing.assert_close(kept, old + 0.25 * (new - old))
        assert not torch.equal(new, old)
    assert {"critic_loss", "critic_grad_norm", "target_std"} == set(metrics)


def test_shac_actors_follow_the_terminal_value_apg_actors_do_not():
    moved = {}
    for name in ("apg", "shac"):
        made = learner(name=name, residual_l2=0.0)
        part = window(made)
        blind = Window(part.reward_TB * 0, *(getattr(part, f) for f in _REST))
        made.update_actor(blind)
        moved[name] = [p.grad for p in made.actor.net.parameters()]
    assert all(g.abs().max() == 0 for g in moved["apg"])
    assert any(g.abs().max() > 0 for g in moved["shac"])


_REST = ("logit_TNBA", "state_TBS", "last_state_BS", "obs_TBNF")


def test_gradients_are_clipped_agent_by_agent():
    made = learner(grad_limit=1e-3)
    metrics = made.update(window(made))
    assert metrics["actor_grad_norm_max"] > 1e-3
    gradients = [p.grad for p in made.actor.net.parameters()]
    norms = torch.stack([g.square().sum((1, 2)) for g in gradients]).sum(0).sqrt()
    torch.testing.assert_close(norms, torch.full((2,), 1e-3), rtol=0.01, atol=0)


def test_steps_shrink_linearly():
    made = learner(name="shac", actor_lr=0.1, critic_lr=0.2, lr_end=0.5)
    made.anneal(0.5)
    steps = [o.param_groups[0]["lr"] for o in (made.actor_optimiser, made.critic_optimiser)]
    assert steps == pytest.approx([0.075, 0.15])


@pytest.mark.parametrize("name", ["apg", "shac"])
def test_a_loaded_learner_goes_on_bit_for_bit(name):
    first, second = learner(name=name, noise=0.1), learner(name=name, noise=0.1)
    first.observe(torch.rand(9, 2, 3), torch.rand(9, 4))
    first.begin(5, 1.0)
    first.update(window(first))
    second.load_state_dict(copy.deepcopy(first.state_dict()))  # as a file would be
    for made in (first, second):
        made.begin(5, 0.5)
        made.update(window(made, seed=2))
    old, new = first.state_dict(), second.state_dict()
    assert old.keys() == new.keys()
    modules = {"actor"} | ({"critic", "target_critic", "state_norm"} & old.keys())
    for module in modules:
        for key, value in old[module].items():
            assert torch.equal(value, new[module][key])
