"""Metrics read wrongly in training: how wrong, in which clouds, and that gradients pass."""

import pytest
import torch

from marl.algos.sensors import Sensors


def sensors(largest, seed=0):
    return Sensors(largest, torch.Generator().manual_seed(seed))


def test_half_of_the_clouds_read_everything_right():
    made, obs = sensors(0.4), torch.rand(2000, 2, 30) + 1
    made.begin(2000)
    read = made.read(obs)
    is_right = (read == obs).flatten(1).all(1)
    assert is_right.float().mean() == pytest.approx(0.5, abs=0.05)
    wrong = read[~is_right]
    is_gone = wrong == 0
    assert is_gone.float().mean() == pytest.approx(0.25 * 0.2, rel=0.1)  # strengths average .2
    error = (wrong / obs[~is_right] - 1)[~is_gone]
    assert error.square().mean() == pytest.approx(0.4**2 / 3, rel=0.1)  # E[σ²], σ even over 0 … .4


def test_a_clouds_metrics_stay_as_wrong_for_an_episode_while_each_reading_is_its_own():
    made, obs = sensors(1.0), torch.ones(50, 1, 400)
    made.begin(50)
    first, again = made.read(obs), made.read(obs)
    assert not torch.equal(first, again)
    torch.testing.assert_close(first.std((1, 2)), again.std((1, 2)), atol=0.15, rtol=0.15)
    made.begin(50)
    assert (made.read(obs).std((1, 2)) - first.std((1, 2))).abs().max() > 0.3


def test_without_errors_nothing_is_drawn_or_changed():
    made, obs = sensors(0.0), torch.rand(4, 2, 3)
    before = made.generator.get_state()
    assert made.read(obs) is obs
    made.begin(4)
    assert made.read(obs) is obs
    assert torch.equal(made.generator.get_state(), before)


def test_gradients_pass_through_what_is_read():
    made = sensors(0.5)
    made.begin(64)
    obs = torch.ones(64, 2, 3, requires_grad=True)
    read = made.read(obs)
    read.sum().backward()
    torch.testing.assert_close(obs.grad, read.detach())  # of 1: the factor itself
