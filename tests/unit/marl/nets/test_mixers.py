"""Mixers: monotonic in every utility, so that separate best choices are the joint best."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from marl.nets.config import NetConfig
from marl.nets.mixers import AdditiveMixer, MonotonicMixer
from marl.nets.utilities import TeamUtility, best_choice


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixer(agents, state_size, seed, hyper_hidden=8):
    made = MonotonicMixer(
        agents, state_size, embed=6, hyper_hidden=hyper_hidden, generator=generator(seed)
    )
    with torch.no_grad():  # as far from its initial weights as training may lead
        for parameter in made.parameters():
            parameter += torch.randn(parameter.shape, generator=generator(seed + 1))
    return made


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.sampled_from([0, 8]), st.integers(0, 10_000))
def test_no_utility_ever_lowers_the_teams_value(agents, hyper_hidden, seed):
    made = mixer(agents, 3, seed, hyper_hidden)
    value = (torch.randn((50, agents), generator=generator(seed)) * 5).requires_grad_()
    state = torch.randn((50, 3), generator=generator(seed + 2)) * 3
    (slope,) = torch.autograd.grad(made(value, state).sum(), value)
    assert (slope >= 0).all()
    assert (slope > 0).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 10_000))
def test_separate_best_choices_are_the_joint_best(agents, choices, is_additive, seed):
    made = AdditiveMixer() if is_additive else mixer(agents, 3, seed)
    value = torch.randn((1, agents, choices), generator=generator(seed))
    mask = torch.rand(value.shape, generator=generator(seed + 1)) < 0.6
    mask[..., 0] = True
    state = torch.randn((1, 3), generator=generator(seed + 2))

    def total(joint):
        own = value[0, torch.arange(agents), torch.tensor(joint)]
        return made(own[None], state).item()

    open_to = [mask[0, i].nonzero().flatten().tolist() for i in range(agents)]
    best = max(total(joint) for joint in itertools.product(*open_to))
    assert total(best_choice(value, mask)[0].tolist()) == pytest.approx(best, abs=1e-4)


def test_the_formula():
    made = mixer(2, 3, 0)
    value, state = torch.tensor([[0.5, -2.0]]), torch.tensor([[1.0, -1.0, 0.3]])

    def plain(stack, x):
        for layer, (weight, bias) in enumerate(zip(stack.weights, stack.biases, strict=True)):
            x = (torch.relu(x) if layer else x) @ weight[0] + bias[0]
        return x[0]

    first = plain(made.first_weight, state).abs().view(2, 6)
    hidden = nn.functional.elu(value[0] @ first + plain(made.first_bias, state))
    second = plain(made.second_weight, state).abs()
    expected = hidden @ second + plain(made.second_bias, state)[0]
    assert torch.allclose(made(value, state), expected)
    assert torch.equal(AdditiveMixer()(value, state), torch.tensor([-1.5]))


def test_the_state_may_lower_the_teams_value():
    """Only utilities are constrained: the value is no monotonic function of the state."""
    made = mixer(2, 1, 3)
    state = torch.linspace(-3, 3, 50)[:, None]
    change = made(torch.ones(50, 2), state).diff()
    assert (change > 0).any()
    assert (change < 0).any()


def test_utilities_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="utilities must be"):
        mixer(2, 3, 0)(torch.zeros(4, 3), torch.zeros(4, 3))


def team(**settings):
    return TeamUtility(
        (2, 3), (3, 2), net=NetConfig(hidden=(8,)), generator=generator(), **settings
    )


def test_an_agents_choice_depends_on_its_own_observation_only():
    made, obs = team(last_scale=1.0), torch.randn((40, 2, 3), generator=generator(1))
    obs[:, 0, 2] = 0
    obs.requires_grad_()
    (slope,) = torch.autograd.grad(made(obs)[:, 0].sum(), obs)
    assert (slope[:, 1] == 0).all()
    assert (slope[:, 0] != 0).any()


def test_choose_takes_the_best_open_choice_and_never_padding():
    made, obs = team(last_scale=1.0), torch.randn((200, 2, 3), generator=generator(1))
    mask = (torch.rand((200, 2, 3), generator=generator(2)) < 0.5).to(torch.int8)
    mask[:, :, 1] = 1
    chosen, value = made.choose(obs, mask), made(obs).detach()
    for row, agent in itertools.product(range(200), range(2)):
        is_open = [a for a in range((3, 2)[agent]) if mask[row, agent, a]]
        assert int(chosen[row, agent]) == max(is_open, key=lambda a: float(value[row, agent, a]))


def test_an_untrained_team_keeps_everything():
    obs = torch.randn((500, 2, 3), generator=generator(1)) * 3
    assert (team().choose(obs, torch.ones(500, 2, 3)) == 0).all()


def test_the_first_choice_is_kept_unless_another_is_worth_the_margin_more():
    made, is_open = team(first_margin=0.5), torch.ones(1, 2, 3, dtype=torch.bool)
    value = torch.tensor([[[1.0, 1.4, 1.2], [1.0, 1.6, 0.0]]])
    assert made.best(value, is_open).tolist() == [[0, 1]]
    is_open[0, 0, 0] = False
    assert made.best(value, is_open).tolist() == [[1, 1]]
    # It is no part of the values, and travels with the weights.
    plain = team()
    plain.load_state_dict(made.state_dict())
    obs = torch.randn((5, 2, 3), generator=generator(1))
    assert torch.equal(plain(obs), made(obs))
    assert plain.best(value, ~is_open | is_open).tolist() == [[0, 1]]


def test_masks_that_leave_nothing_or_do_not_fit_are_refused():
    made, mask = team(), torch.ones(4, 2, 3)
    mask[2, 1, :2] = 0  # what is left is padding
    with pytest.raises(ValueError, match="agent 1 of row 2"):
        made.open_choices(mask)
    with pytest.raises(ValueError, match="mask must be"):
        made.open_choices(torch.ones(4, 2, 4))
    with pytest.raises(ValueError, match="choices"):
        TeamUtility((2, 3), (3,), net=NetConfig(hidden=(8,)), generator=generator())
