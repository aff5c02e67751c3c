"""QMIX's update against a plain re-computation from the paper's equations."""

import copy

import pytest
import torch

from marl.algos.base import TeamSpec
from marl.algos.qmix import ChoiceBatch, Qmix, QmixConfig, chosen_value, explore
from marl.nets.config import NetConfig

SPEC = TeamSpec(("a", "b"), (3, 2), (3, 2), 4)
ROWS = 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def learner(**settings):
    made = Qmix(
        QmixConfig(net=NetConfig(hidden=(8,)), **{"first_margin": 0.0, **settings}),
        SPEC,
        generator(),
    )
    made.utility.net.mlp.weights[-1].data.mul_(
        100
    )  # the usual small last layer would hide mistakes
    made.target_net.load_state_dict(made.utility.net.state_dict())
    for parameter in made.target_net.parameters():  # targets that differ from the present networks
        parameter.data += torch.randn(parameter.shape, generator=generator(7)) * 0.5
    return made


def batch(seed=1):
    g = generator(seed)
    obs, after = torch.randn((2, ROWS, 2, 3), generator=g)
    obs[:, 1, 2] = after[:, 1, 2] = 0
    mask = torch.tensor([[[1, 1, 1], [1, 1, 0]]] * ROWS)
    mask[0, 0] = torch.tensor([0, 0, 1])
    mask[1, 1] = torch.tensor([0, 1, 0])
    mask[3] = 0  # an ended episode: nothing is open, and nothing may come of it
    return ChoiceBatch(
        obs_BNF=obs,
        state_BS=torch.randn((ROWS, 4), generator=g),
        choice_BN=torch.stack(
            [
                torch.randint(3, (ROWS,), generator=g),
                torch.randint(2, (ROWS,), generator=g),
            ],
            1,
        ),
        return_B=torch.randn(ROWS, generator=g),
        discount_B=torch.tensor([0.9, 0.81, 0.9, 0.0, 0.9, 0.9]),
        weight_B=torch.tensor([1.0, 0.5, 1.0, 1.0, 0.0, 1.0]),
        next_obs_BNF=after,
        next_state_BS=torch.randn((ROWS, 4), generator=g),
        next_mask_BNA=mask,
    )


def by_hand(made, data, row):
    """Squared double-Q error of one row."""
    with torch.no_grad():
        present = made.utility(data.next_obs_BNF)[row]
        frozen = made.target_net(data.next_obs_BNF.transpose(0, 1))[:, row]
        own = []
        for agent, count in enumerate(SPEC.action_sizes):
            is_open = [a for a in range(count) if data.next_mask_BNA[row, agent, a]] or [0]
            best = max(is_open, key=lambda a: float(present[agent, a]))
            own.append(frozen[agent, best])
        total = made.target_mixer(torch.stack(own)[None], data.next_state_BS[row][None])[0]
        target = data.return_B[row] + data.discount_B[row] * total
        now = made.utility(data.obs_BNF)[row]
        taken = torch.stack([now[i, data.choice_BN[row, i]] for i in range(2)])
        value = made.mixer(taken[None], data.state_BS[row][None])[0]
    return target - value


@pytest.mark.parametrize("name", ["qmix", "vdn"])
def test_loss_is_the_papers(name):
    made, data = learner(name=name), batch()
    errors = torch.stack([by_hand(made, data, row) for row in range(ROWS)])
    metrics = made.update(data)
    assert torch.allclose(made.error_B, errors, atol=1e-5)
    assert float(metrics["loss"]) == pytest.approx(float((data.weight_B * errors**2).mean()))
    assert all(torch.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("name", ["qmix", "vdn"])
def test_targets_follow_as_often_and_as_far_as_configured(name):
    made, data = learner(name=name, tau=0.25, target_every=2), batch()
    old = copy.deepcopy(made.target_net.state_dict())
    made.update(data)
    assert all(torch.equal(old[key], value) for key, value in made.target_net.state_dict().items())
    made.update(data)
    present = made.utility.net.state_dict()
    for key, value in made.target_net.state_dict().items():
        assert torch.allclose(value, 0.75 * old[key] + 0.25 * present[key], atol=1e-6)


def test_rows_of_weight_zero_and_closed_choices_teach_nothing():
    one, two = learner(), learner()
    data, other = batch(), batch()
    other.return_B[4] = 1000.0
    other.next_mask_BNA[:, 1, 2] = 1  # padding marked open by mistake
    one.update(data)
    two.update(other)
    for a, b in zip(one.trained, two.trained, strict=True):
        assert torch.equal(a, b)


def test_exploring_choices_are_open_uniform_and_as_frequent_as_said():
    is_open = torch.tensor([[True, False, True, True], [False, True, False, False]])
    mask = is_open.expand(60_000, 2, 4)
    greedy = torch.tensor([2, 1]).expand(60_000, 2)
    found = explore(greedy, mask, 0.3, generator())
    counts = torch.bincount(found[:, 0], minlength=4).tolist()
    assert counts[1] == 0
    assert counts[0] == pytest.approx(6000, abs=350)
    assert counts[3] == pytest.approx(6000, abs=350)
    assert (found[:, 1] == 1).all()


def test_act_is_greedy_without_epsilon_and_never_takes_a_closed_choice():
    made, data = learner(), batch()
    mask = data.next_mask_BNA[[0, 1, 2]]
    obs = data.obs_BNF[:3]
    assert torch.equal(made.act(obs, mask), made.policy().choose(obs, mask))
    for _ in range(50):
        choice = made.act(obs, mask, epsilon=1.0)
        assert (mask.gather(2, choice[..., None]) == 1).all()
    with pytest.raises(ValueError, match="no open choice"):
        made.act(data.obs_BNF, data.next_mask_BNA)


def test_annealing():
    made = learner(epsilon_start=1.0, epsilon_end=0.2, epsilon_share=0.5, lr=1e-2, lr_end=0.5)
    seen = []
    for done in (0.0, 0.25, 0.5, 1.0):
        made.anneal(done)
        seen.append((made.epsilon, made.optimiser.param_groups[0]["lr"]))
    assert [e for e, _ in seen] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert [lr for _, lr in seen] == pytest.approx([0.01, 0.00875, 0.0075, 0.005])


@pytest.mark.parametrize("name", ["qmix", "vdn"])
def test_continues_bit_for_bit(name):
    one = learner(name=name)
    one.observe(batch().obs_BNF, batch().state_BS)
    one.anneal(0.3)
    one.update(batch())
    two = Qmix(QmixConfig(name=name, net=NetConfig(hidden=(8,))), SPEC, generator(5))
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    mask = torch.ones(ROWS, 2, 3)
    for seed in range(3):
        data = batch(seed)
        assert torch.equal(
            one.act(data.obs_BNF, mask, one.epsilon), two.act(data.obs_BNF, mask, two.epsilon)
        )
        first, second = one.update(data), two.update(data)
        assert all(torch.equal(first[key], second[key]) for key in first)
    for a, b in zip(one.trained, two.trained, strict=True):
        assert torch.equal(a, b)


def test_same_seed_same_learner_and_global_state_untouched():
    before = torch.get_rng_state()
    one, two = learner(), learner()
    for made in (one, two):
        made.update(batch())
        made.act(batch().obs_BNF, torch.ones(ROWS, 2, 3), 0.5)
    assert all(torch.equal(a, b) for a, b in zip(one.trained, two.trained, strict=True))
    assert torch.equal(before, torch.get_rng_state())


def test_values_and_choices_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="of choices"):
        chosen_value(torch.zeros(3, 2, 4), torch.zeros(2, 2, dtype=torch.int64))
