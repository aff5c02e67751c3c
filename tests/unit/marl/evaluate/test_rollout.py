"""Episodes pair by number whatever plays and however many."""

import polars as pl
import pytest
import torch

from marl.evaluate.policies import ConstantPolicy, RandomPolicy
from marl.evaluate.rollout import (
    BLOCK,
    Labels,
    play_episodes,
    play_together,
    rollout,
    rollout_together,
    trajectory,
)
from tests.learning.lq_team import LqStep, LqTeam
from tests.unit.marl.evaluate.worlds import KEEP, LqWorld

WEATHER = ["episode", "requests"]  # |w| of the toy: independent of what is done


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def play(policy, episodes=20, seed=0):
    return rollout(policy, "steady", "held_out", episodes, seed, world=LqWorld())


def test_a_row_an_episode_with_every_label_and_figure():
    frame = play(ConstantPolicy("keep", KEEP), 20)
    assert frame["episode"].to_list() == list(range(20))
    assert frame["steps"].to_list() == [12] * 20
    assert frame.columns[:8] == [
        "policy", "scenario", "training_seed", "episode", "is_held_out", "is_synthetic", "steps",
        "reward",
    ]  # fmt: skip
    assert frame["policy"].unique().to_list() == ["keep"]
    assert frame["training_seed"].null_count() == 20
    assert frame["is_held_out"].all()
    assert frame["is_synthetic"].all()
    # Both controllers always spend .1² + .1² over 12 steps: costs are sums.
    assert frame["cost_usd"].to_list() == pytest.approx([12 * 0.02] * 20)
    assert frame["waste"].max() < 2  # an average over steps
    assert frame["slo_attainment"].is_between(0, 1).all()


def test_same_episode_same_weather_whatever_is_played_and_however_many():
    few = play(ConstantPolicy("keep", KEEP), 7)
    many = play(ConstantPolicy("keep", KEEP), BLOCK + 5)
    other = play(RandomPolicy(), BLOCK + 5)
    assert few.equals(many.head(7))
    assert many.select(WEATHER).equals(other.select(WEATHER))
    assert (many["reward"] - other["reward"]).abs().min() > 0
    assert many["requests"].n_unique() == BLOCK + 5  # and different weather in each
    assert (
        not play(ConstantPolicy("keep", KEEP), 7, seed=1)
        .select(WEATHER)
        .equals(few.select(WEATHER))
    )


def test_playing_twice_gives_the_same_table_for_a_random_policy_too():
    assert play(RandomPolicy(), 9).equals(play(RandomPolicy(), 9))


@pytest.mark.parametrize("episode", [3, BLOCK + 1])
def test_a_trajectory_is_the_episode_of_the_same_number(episode):
    policy = ConstantPolicy("keep", KEEP)
    steps = trajectory(policy, "steady", episode=episode, seed=4, world=LqWorld())
    row = play(policy, episode + 1, seed=4).row(episode, named=True)
    assert steps["step"].to_list() == list(range(12))
    assert steps["reward"].mean() == pytest.approx(row["reward"], rel=1e-5)
    assert steps["cost_usd"].sum() == pytest.approx(row["cost_usd"], rel=1e-5)
    assert steps["requests"].sum() == pytest.approx(row["requests"], rel=1e-5)
    # Service levels are averaged over requests.
    attained = (steps["slo_attainment"] * steps["requests"]).sum() / steps["requests"].sum()
    assert attained == pytest.approx(row["slo_attainment"], rel=1e-5)
    assert steps["controller_1_u"].to_list() == pytest.approx([0.1] * 12)


class EndsEarly(LqTeam):
    """Cloud i ends for good after i + 1 steps; afterwards it must not be counted."""

    def step(self, actions):
        step = super().step(actions)
        age = self.t if self.t else self.steps
        terminated = torch.arange(self.num_envs) + 1 == age
        info = {**step.info, "requests": torch.ones(self.num_envs)}
        info["waste"] = torch.where(torch.arange(self.num_envs) + 1 < age, torch.nan, 1.0)
        return LqStep(step.obs, step.reward, terminated, step.truncated, info)


def test_what_follows_an_episodes_end_is_not_counted():
    frame = play_episodes(
        ConstantPolicy("keep", KEEP),
        lambda n, seed: EndsEarly(n, seed, steps=12),
        20,
        0,
        Labels("steady", True, True),
    )
    lengths = [min(i + 1, 12) for i in range(20)]
    assert frame["steps"].to_list() == lengths
    assert frame["requests"].to_list() == lengths
    assert frame["waste"].to_list() == [1.0] * 20


def test_progress_and_nonsense():
    lines = []
    rollout(RandomPolicy(), "steady", episodes=3, world=LqWorld(), progress=lines.append)
    assert lines == ["random · steady: 3 of 3 episodes"]
    with pytest.raises(ValueError, match="at least 1; got 0"):
        play(RandomPolicy(), 0)
    with pytest.raises(ValueError, match=r"made for knobs .*controller_0.* this world has"):
        play(ConstantPolicy("odd", {"controller_0": (0.0, 0.0), "controller_1": (0.0, 0.0)}), 3)


def test_a_random_policy_draws_for_a_cloud_whatever_runs_beside_it():
    few, many = play(RandomPolicy(), 3), play(RandomPolicy(), 100)
    assert few.equals(many.head(3))


def test_policies_played_together_are_played_as_if_alone():
    together = [RandomPolicy(), ConstantPolicy("keep", KEEP), RandomPolicy()]
    frame = rollout_together(together, "steady", "held_out", 9, 2, world=LqWorld())
    alone = [play(policy, 9, seed=2) for policy in together]
    assert frame.equals(pl.concat(alone))
    labels = Labels("steady", True, True)
    make_env = LqWorld().make_env("steady", "held_out")
    with pytest.raises(ValueError, match="beside itself"):
        play_together([together[0]] * 2, make_env, 3, 0, labels)
    with pytest.raises(ValueError, match="no policy"):
        play_together([], make_env, 3, 0, labels)


def test_frames_of_policies_stack():
    frames = [play(ConstantPolicy("keep", KEEP), 3), play(RandomPolicy(), 3)]
    assert pl.concat(frames).height == 6
