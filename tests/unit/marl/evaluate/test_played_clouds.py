"""Simulated clouds played together: the rows that playing step by step gives, and their sums."""

import sys

import numpy as np
import polars as pl
import pytest
import torch

from marl.envs import make
from marl.evaluate.episode_columns import DERIVED
from marl.evaluate.policies import ConstantPolicy, RandomPolicy
from marl.evaluate.report.metrics import METRICS
from marl.evaluate.rollout import Labels, play_episodes, play_together
from marl.train.seeding import derive_seed

STEPS, EPISODES, SEED = 30, 5, 3
LABELS = Labels("toy", True, True)


def make_env(num_envs, seed):
    return make("provisioning", num_envs, seed=seed, episode_steps=STEPS)


def constant(name, value):
    spec = make_env(1, 0).action_spec
    return ConstantPolicy(name, {agent: (value,) * space.shape[0] for agent, space in spec.items()})


def policies():
    return [RandomPolicy(), constant("low", -0.7), constant("high", 0.6)]


@pytest.fixture(scope="module")
def together():
    return play_together(policies(), make_env, EPISODES, SEED, LABELS)


def test_played_together_equals_played_alone(together):
    alone = pl.concat(play_episodes(one, make_env, EPISODES, SEED, LABELS) for one in policies())
    assert together.columns == alone.columns
    for name in together.columns:
        if together[name].dtype.is_numeric() and name != "training_seed":
            np.testing.assert_allclose(together[name], alone[name], rtol=1e-6, err_msg=name)


def test_groups_that_do_not_fit_in_one_batch_are_the_same(together, monkeypatch):
    monkeypatch.setattr(sys.modules["marl.evaluate.rollout"], "_TOGETHER", 64)
    assert play_together(policies(), make_env, EPISODES, SEED, LABELS).equals(together)


def test_an_episode_by_itself_step_by_step_gives_the_same_row(together):
    """The old way, episode by episode in plain Python, on a batch of one block."""
    seed = derive_seed(SEED, "block", 0)
    for policy in policies()[1:]:
        env = make_env(EPISODES, seed)
        obs = env.reset(seed=seed)
        policy.begin(env, seed)
        steps = []
        for _ in range(STEPS):
            step = env.step(policy.act(obs))
            reward = torch.stack([step.reward[agent] for agent in env.agents]).mean(0)
            steps.append({"reward": reward, **step.info})
            obs = step.obs
        rows = together.filter(policy=policy.name)
        for episode in range(EPISODES):
            row = rows.row(episode, named=True)
            told = {name: [float(one[name][episode]) for one in steps] for name in steps[0]}
            asked = sum(told["requests"])
            by_hand = {
                "reward": sum(told["reward"]) / STEPS,
                "cost_usd": sum(told["cost_usd"]),
                "refusals": sum(told["refusals"]),
                "waste": sum(told["waste"]) / STEPS,
                "slo_attainment": np.dot(told["slo_attainment"], told["requests"]) / asked,
                "latency_p99_ms": np.dot(told["latency_p99_ms"], told["requests"]) / asked,
                "slack_usd": np.dot(told["waste"], told["cost_capacity_usd"]),
                "used_memory": np.dot(told["utilisation_memory"], told["capacity_memory"]),
                "requests_per_s": sum(told["requests_served"]) / (STEPS * 300),
                "done_batch_vcpu_h": sum(told["work_done_batch"]) / 12,
                "changes_per_h": sum(told["changes"]) / (STEPS / 12),
            }
            for name, value in by_hand.items():
                assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_what_the_table_says_of_itself_adds_up(together):
    table = together
    assert set(DERIVED) <= set(table.columns)
    assert {metric.column for metric in METRICS} <= set(table.columns)
    services, purchases = (
        ("compute", "storage", "network", "database"),
        ("on_demand", "spot", "committed", "traffic"),
    )
    for parts in (services, purchases):
        added = sum(table[f"cost_{part}_usd"] for part in parts)
        np.testing.assert_allclose(added, table["cost_usd"], rtol=1e-5)
        assert all((table[f"cost_{part}_usd"] >= -1e-4).all() for part in parts)
    shares = ["availability", "up_share", "fairness", "preemption_survival", "violation_share"]
    shares += [f"service_level_{name}" for name in ("web", "batch", "ml")]
    shares += ["slack", *(f"slack_{name}" for name in (*services, "memory"))]
    for name in shares:
        assert table[name].is_between(-1e-6, 1 + 1e-6).all(), name
    assert (table["preemptions_survived"] <= table["preemptions"]).all()
    assert table["hours"].to_list() == [2.5] * (3 * EPISODES)


def test_a_policy_made_for_other_clouds_is_refused_by_name():
    odd = ConstantPolicy("odd", {"compute": (0.0,)})
    with pytest.raises(ValueError, match="odd"):
        play_together([RandomPolicy(), odd], make_env, 2, 0, LABELS)
