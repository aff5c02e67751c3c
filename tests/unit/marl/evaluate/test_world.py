"""The provisioning world: scores equal to playing, twins, mixtures, the engineer's families."""

import numpy as np
import polars as pl
import pytest
import torch

from marl.cloud.actions import WIDTH, decode
from marl.cloud.foresight import FORESIGHT
from marl.envs import make
from marl.evaluate.families import family, provisioning_families
from marl.evaluate.policies import ConstantPolicy, RandomPolicy
from marl.evaluate.rollout import Labels, play_episodes
from marl.evaluate.rules import RULES
from marl.evaluate.scorers import EpisodeScorer
from marl.evaluate.world import ProvisioningWorld
from marl.train.env import twin
from marl.train.smooth_rollout import rollout_of
from marl.workload.fit import fit
from marl.workload.generators import MixedGenerator
from marl.workload.toy import ToyGenerator
from tests.unit.marl.workload.simulated import simulate

STEPS = 20


def view(num_envs, seed=0):
    return make("provisioning", num_envs, seed=seed, episode_steps=STEPS)


def constant(env, fill):
    return {a: torch.full((env.num_envs, s.shape[0]), fill) for a, s in env.action_spec.items()}


def test_a_score_is_the_mean_reward_of_playing_the_same_constant():
    score = EpisodeScorer(view(5), seed=3).constant
    candidates = np.vstack([np.full(WIDTH, value) for value in (-0.5, 0.0, 0.7)])
    scores = score(candidates)
    for value, scored in zip((-0.5, 0.0, 0.7), scores, strict=True):
        env = view(5)
        env.reset(seed=3)
        steps = [env.step(constant(env, value)) for _ in range(STEPS)]
        rewards = [torch.stack(list(step.reward.values())).mean() for step in steps]
        performances = [step.info["reward_performance"].mean() for step in steps]
        assert scored[0] == pytest.approx(float(torch.stack(rewards).mean()), rel=1e-4)
        assert scored[1] == pytest.approx(float(torch.stack(performances).mean()), rel=1e-4)
    assert np.array_equal(score(candidates), scores)


def test_candidates_score_the_same_in_blocks_of_any_size(monkeypatch):
    score = EpisodeScorer(view(5), seed=3).constant
    candidates = np.linspace(-0.8, 0.8, 7)[:, None] * np.ones((1, WIDTH))
    at_once = score(candidates)
    for block in (15, 10, 5, 1):  # three, two, one candidate at a time; never less than one
        monkeypatch.setattr("marl.evaluate.scorers._BLOCK", block)
        assert score(candidates) == pytest.approx(at_once, rel=1e-6)


def test_copies_live_through_the_same_episode_again_and_again():
    env = view(3)
    env.reset(seed=8)
    many = env.copies(2)
    assert many.num_envs == 6
    begun = many.reset()
    for level in (-0.2, 0.5):
        alone = view(3)
        alone.reset(seed=8)
        earned = []
        for _ in range(STEPS):
            ours, theirs = alone.step(constant(alone, level)), many.step(constant(many, level))
            for copy in theirs.reward["compute"].view(2, 3):
                torch.testing.assert_close(copy, ours.reward["compute"])
            earned.append(theirs.reward["compute"])
        assert torch.equal(theirs.obs["compute"], begun["compute"])  # the same start
        assert torch.stack(earned).sum(0)[:3].std() > 1e-2  # three kinds of weather
    assert not torch.equal(alone.step(constant(alone, 0.5)).obs["compute"], begun["compute"][:3])


def test_a_twin_lives_in_the_same_weather_and_goes_its_own_way():
    env = view(3)
    env.reset(seed=8)
    other = twin(env, lambda n, seed: pytest.fail("a view copies itself"), 8)
    for t in range(STEPS + 3):  # beyond the episode's end as well
        ours, theirs = env.step(constant(env, -0.2)), other.step(constant(env, 0.5))
        for name in ("demand_compute", "demand_database", "requests"):
            assert torch.equal(ours.info[name], theirs.info[name])
        if t > 5:
            assert not torch.equal(ours.info["cost_usd"], theirs.info["cost_usd"])
    alone = view(3)
    alone.reset(seed=8)
    for _ in range(STEPS + 3):
        again = alone.step(constant(env, -0.2))
    assert torch.equal(again.reward["compute"], ours.reward["compute"])


def test_learners_are_shown_names_and_a_future_of_stated_width():
    env = view(3)
    env.reset(seed=0)
    assert env.future(4).shape == (3, 20)
    load = env.step(constant(env, 0.0)).info["demand_compute"]
    env.reset(seed=0)
    assert torch.allclose(env.future(4)[:, 0], load / env.reference.peak[0])  # in peaks
    for agent in env.agents:
        assert len(env.observation_names[agent]) == env.observation_spec[agent].shape[0]
        assert len(env.action_names[agent]) == env.action_spec[agent].shape[0]


def test_provisioning_episodes_pair_by_number_for_every_policy():
    labels = Labels("toy", False, True)

    def make_env(num_envs, seed):
        return view(num_envs, seed)

    one = play_episodes(RandomPolicy(), make_env, 6, 1, labels)
    start = family("reactive").start
    two = play_episodes(ConstantPolicy("start", start), make_env, 300, 1, labels)
    for column in ("requests", "demand_compute", "demand_storage"):
        assert one[column].to_list() == two[column].head(6).to_list()
    assert two["slo_attainment"].is_between(0, 1).all()
    parts = [f"cost_{service}_usd" for service in ("compute", "storage", "network", "database")]
    assert two["cost_usd"].to_list() == pytest.approx(
        two.select(pl.sum_horizontal(parts)).to_series().to_list(), rel=1e-4
    )


def test_a_mixture_takes_its_kinds_in_turn():
    quiet, loud = ToyGenerator(mean_vcpu=10, noise=0), ToyGenerator(mean_vcpu=1000, noise=0)
    mixed = MixedGenerator([quiet, loud])
    begun = set()
    for episodes in (1, 2, 5):
        for seed in range(8):
            batch = mixed.sample(episodes, 6, np.random.default_rng(seed))
            is_loud = batch.values[:, :, :, 1].sum(2).mean(1) > 100
            assert (is_loud[1:] != is_loud[:-1]).all()
            begun.add(bool(is_loud[0]))
    assert begun == {False, True}  # one episode at a time meets every kind, too


def test_a_static_plan_holds_at_least_the_peak_and_reactive_may_do_anything():
    static, reactive = family("static_peak"), family("reactive")
    rules = [one for one in provisioning_families() if one.kind != "constant"]
    assert [one.name for one in rules] == list(RULES)
    for rule in rules:
        assert (rule.kind, rule.continues) == (rule.name, "reactive")
        assert rule.start == reactive.start
    for agent, low in static.low.items():
        values = decode(agent, torch.tensor(low))
        assert values[1] == pytest.approx(1.0, abs=1e-6)  # floor_share
        assert values[0] == pytest.approx(0.95)  # target_utilisation
    assert (reactive.flat(reactive.low) == -1).all()
    assert (reactive.flat(reactive.high) == 1).all()


@pytest.mark.parametrize("is_oracle", [False, True])
def test_an_oracle_environment_shows_agents_the_demand_they_will_meet(is_oracle):
    env = make(num_envs=3, seed=1, episode_steps=STEPS, is_oracle_forecast=is_oracle)
    obs = env.reset(seed=1)
    smooth, smooth_weather = rollout_of(env), env.weather.packed
    actions = constant(env, 0.1)
    peak = dict(zip(env.agents, env.reference.peak, strict=True))
    for _ in range(STEPS - 1):
        seen = [obs[a][:, env.observation_names[a].index(f"forecast_{a}_0")] for a in env.agents]
        for agent, foretold in zip(env.agents, seen, strict=True):
            column = env.observation_names[agent].index(f"forecast_{agent}_0")
            assert torch.equal(smooth.obs()[agent][:, column], foretold)
        step = env.step(actions)
        smooth.advance(actions, 1)
        for agent, foretold in zip(env.agents, seen, strict=True):
            met = step.info[f"demand_{agent}"] / peak[agent]
            assert torch.allclose(foretold, met, rtol=1e-4) == is_oracle
        obs = step.obs
    usual = make(num_envs=3, seed=1, episode_steps=STEPS)
    usual.reset(seed=1)
    assert torch.equal(usual.weather.packed, smooth_weather)


def test_an_oracle_is_shown_another_world_in_the_same_weather():
    demand, marks = simulate(windows=2016)
    model = fit(demand, marks, source="simulated", is_synthetic=True)
    world = ProvisioningWorld(model, episode_steps=STEPS)
    assert world.seen_by("apg") is world
    made = [one.make_env("mixed", "train")(2, 0) for one in (world, world.seen_by("apg_oracle"))]
    for env in made:
        env.reset(seed=0)
    usual, oracle = (env.weather for env in made)
    assert torch.equal(usual.packed, oracle.packed)
    at = FORESIGHT.index("forecast_compute_0")
    load = oracle.outlook[:, 0] * made[1].reference.peak[0]
    assert torch.allclose(oracle.told[:STEPS, at], load, rtol=1e-4)
    assert not torch.allclose(usual.told[:STEPS, at], load, rtol=1e-2)
