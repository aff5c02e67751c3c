"""Records of episodes: complete, the same twice, in the same weather for both policies."""

import pytest
import torch
from polars.testing import assert_frame_equal

from marl.cloud.figures import figure_names
from marl.evaluate.policies import LearnedPolicy, RandomPolicy
from marl.evaluate.rollout import BLOCK, trajectory
from marl.evaluate.viewer.charts import knob_table
from marl.evaluate.viewer.record import pick_pair, record, record_held_out
from marl.evaluate.world import physical
from tests.unit.marl.evaluate.viewer.episodes import LABELS, STEPS, pair, rule, small_env


class ToyWorld:
    """A world of toy demand, for what needs a world."""

    is_synthetic = True

    def make_env(self, scenario, split):
        return lambda num_envs, seed: small_env(scenario, num_envs, steps=6)

    def physical(self, actions):
        return physical(actions)


def test_every_figure_and_knob_of_every_step_is_kept():
    one, other = pair()
    expected = {"step", "reward", *figure_names(3), *(knob["key"] for knob in knob_table())}
    expected |= {f"demand_{name}_vcpu" for name in ("web", "batch", "ml")}
    assert set(one.steps.columns) == expected
    assert one.steps["step"].to_list() == list(range(STEPS))
    assert one.slo_ms == 150
    assert one.budget_usd > 0
    classes = one.steps.select("demand_web_vcpu", "demand_batch_vcpu", "demand_ml_vcpu")
    total = classes.sum_horizontal().to_numpy()
    assert total == pytest.approx(one.steps["demand_compute"].to_numpy(), rel=1e-5)
    assert one.steps["compute_floor_share"].to_list() == pytest.approx([0.0] * STEPS, abs=1e-6)
    assert other.steps["compute_floor_share"].to_list() == pytest.approx([1.2] * STEPS)


def test_both_policies_meet_the_same_weather_and_differ():
    one, other = pair()
    for name in ("demand_compute", "demand_web_vcpu", "spot_ratio", "quota", "zones_down"):
        assert one.steps[name].to_list() == other.steps[name].to_list()
    assert one.steps["cost_usd"].to_list() != other.steps["cost_usd"].to_list()
    weather = [r.events.filter(origin="weather") for r in (one, other)]
    assert weather[0].height > 0
    assert_frame_equal(*weather)


def test_the_record_is_what_playing_by_hand_gives():
    one, _ = pair()
    env, policy = small_env(), rule()
    obs = env.reset(seed=5)
    policy.begin(env, 5)
    for t in range(3):
        step = env.step(policy.act(obs))
        obs = step.obs
        for name in ("cost_usd", "latency_p99_ms", "vms_zone2"):
            assert one.steps[name][t] == float(step.info[name][1])
        reward = torch.stack(list(step.reward.values())).mean(0)[1]
        assert one.steps["reward"][t] == pytest.approx(float(reward))


def test_the_same_twice():
    again = record(rule(), small_env(), 1, 5, LABELS)
    assert_frame_equal(again.steps, pair()[0].steps)
    assert_frame_equal(again.events, pair()[0].events)


def test_a_cloud_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"row must be in \[0, 2\); got 2"):
        record(rule(), small_env(), 2, 5, LABELS)


def test_a_held_out_record_is_the_episode_of_that_number():
    world = ToyWorld()
    (one,) = record_held_out([rule()], world, "zone_outage", BLOCK + 3, seed=1)
    told = trajectory(rule(), "zone_outage", "held_out", BLOCK + 3, seed=1, world=world)
    shared = [name for name in told.columns if name in one.steps.columns]
    assert_frame_equal(one.steps.select(shared), told.select(shared))
    assert one.labels.episode == BLOCK + 3
    assert one.labels.source == "held-out part of the trace"


def test_an_episode_before_the_first_is_refused():
    with pytest.raises(ValueError, match="episode must be at least 0; got -1"):
        record_held_out([rule()], ToyWorld(), "calm", -1, seed=1)
    with pytest.raises(ValueError, match="episode must be at least 0; got -1"):
        trajectory(rule(), "calm", episode=-1, world=ToyWorld())


def report_of(**means):
    cells = [{"policy": name, "mean": mean} for name, mean in means.items()]
    return {"table": [{"metric": "cost_usd", "cells": []}, {"metric": "reward", "cells": cells}]}


def learned(name):
    policy = LearnedPolicy.__new__(LearnedPolicy)
    policy.name = name
    return policy


def test_the_pair_is_the_best_learned_and_the_best_baseline():
    everyone = [RandomPolicy(), rule("reactive"), rule("static_peak"), learned("a"), learned("b")]
    means = {"random": 0.0, "reactive": -0.4, "static_peak": -0.3, "a": -0.5, "b": -0.45}
    assert [p.name for p in pick_pair(everyone, report_of(**means))] == ["b", "static_peak"]


def test_two_baselines_where_nothing_was_trained():
    everyone = [RandomPolicy(), rule("reactive"), rule("static_peak")]
    means = {"random": 0.0, "reactive": -0.2, "static_peak": -0.3}
    assert [p.name for p in pick_pair(everyone, report_of(**means))] == ["reactive", "static_peak"]
    with pytest.raises(ValueError, match="only the random one"):
        pick_pair([RandomPolicy()], report_of(random=0.0))
