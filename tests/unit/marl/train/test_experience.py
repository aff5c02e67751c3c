"""Batches with goals of hindsight: goals, rewards and episode ends, row by row."""

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.replay.hindsight import HindsightConfig
from marl.replay.prioritised import Draw
from marl.train.goals import Goals
from marl.train.trainer import Trainer
from tests.learning.reach import NEAR, STEPS, Reach
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config

STILL = {"first": [0.0, 0.0], "second": [0.0, 0.0]}


def trainer(strategy="final", ratio=1e9, **settings):
    config = small_config(
        hindsight=HindsightConfig(strategy=strategy, ratio=ratio), is_relative=False, num_envs=4,
        epoch_steps=STEPS, noise_sigma=0.5, gamma=0.9, warmup_epochs=3, **settings,
    )  # fmt: skip
    made = Trainer(config, lambda n, seed: Reach(n, seed), STILL)
    for _ in range(2):
        made.run_epoch()
    return made


def batch_of(made, index):
    return made.experience.batch(Draw(torch.tensor(index), torch.ones(len(index))))


def test_final_goals_and_their_rewards_by_hand():
    made = trainer(n_step=1)
    fields = made.experience.ring.fields
    index = [
        5,
        4 * 8 + 2,
        4 * 9 + 3,
    ]  # step 1 of cloud 1, step 8 of cloud 2, step 9 (last) of cloud 3
    last = [4 * 9 + 1, 4 * 9 + 2, 4 * 9 + 3]
    batch = batch_of(made, index)
    goal = fields["achieved"][last]
    for agent in range(2):
        assert torch.equal(batch.obs_BNF[:, agent, 2:], goal)
        assert torch.equal(batch.next_obs_BNF[:, agent, 2:], goal)
    assert torch.equal(batch.state_BS[:, 4:], goal)
    assert torch.equal(batch.next_state_BS[:, 4:], goal)
    # What is no goal stays: the point itself.
    assert torch.equal(
        batch.obs_BNF[:, :, :2].flatten(1),
        fields["obs"].unflatten(1, (2, 6))[index][:, :, :2].flatten(1),
    )
    near = (fields["achieved"][index] - goal).abs().amax(1) < NEAR
    # The last step is a truncation whose successor is not stored: nothing to learn from it.
    assert batch.weight_B.tolist() == [1.0, 1.0, 0.0]
    assert batch.return_BN[:2, 0].tolist() == (near[:2].float() - 1).tolist()


def test_n_steps_count_rewards_of_the_one_goal_and_stop_at_the_end():
    made = trainer(n_step=3)
    fields = made.experience.ring.fields
    batch = batch_of(made, [0, 4 * 8])
    goal = fields["achieved"][[36, 36]]

    def reward(row):
        return float((fields["achieved"][row] - goal[0]).abs().max() < NEAR) - 1.0

    by_hand = [reward(0) + 0.9 * reward(4) + 0.81 * reward(8), reward(32)]
    assert batch.return_BN[:, 1].tolist() == pytest.approx(by_hand)
    assert batch.discount_B.tolist() == pytest.approx([0.9**3, 0.9])


def test_without_relabelling_everything_is_as_it_was_earned():
    made = trainer(ratio=0.0, n_step=1)
    index = list(range(0, 36))
    batch, fields = batch_of(made, index), made.experience.ring.fields
    assert torch.equal(batch.state_BS, fields["state"][index])
    assert torch.equal(batch.return_BN, fields["reward"][index])
    # All rewards are alike so far: statistics of them would make of the first success a thousand.
    assert batch.return_BN.min() == -1.0


def test_future_goals_come_from_the_own_episode():
    made = trainer("future", n_step=1)
    index = [4 * t + c for t in range(20) for c in range(4)][:72]
    batch, achieved = batch_of(made, index), made.experience.ring.fields["achieved"]
    for row, goal in zip(index, batch.state_BS[:, 4:], strict=True):
        step = row // 4
        ends = 9 if step < 10 else 19
        later = [4 * t + row % 4 for t in range(step, ends + 1)]
        assert (achieved[later] == goal).all(1).any()


def test_goals_stand_where_each_agents_observation_ends():
    from marl.algos.base import TeamSpec

    spec = TeamSpec(("a", "b"), (3, 2), (1, 1), 7)
    env = type("Env", (), {"goal_size": 1, "achieved": None, "goal_reward": None})()
    goals = Goals(env, spec, 4)
    obs = goals.in_observations(torch.zeros(1, 2, 3), torch.tensor([[5.0]]))
    assert obs.tolist() == [[[0, 0, 5], [0, 5, 0]]]
    state = goals.in_states(torch.zeros(1, 7), torch.tensor([[5.0]]))
    assert state.tolist() == [[0, 0, 0, 5, 0, 0, 0]]
    assert goals.of_states(state).tolist() == [[5]]


def test_what_hindsight_cannot_do_is_refused():
    with pytest.raises(ValueError, match="set is_relative=False"):
        small_config(hindsight=HindsightConfig())
    config = small_config(hindsight=HindsightConfig(), is_relative=False)
    with pytest.raises(ValueError, match="LqTeam has no goal_size"):
        Trainer(config, make_env, BASELINE)
    assert isinstance(config.learner, MaddpgConfig)
