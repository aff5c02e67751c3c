"""The predictive rule: floors by hand, the reactive rule as a special case, foresight pays."""

import numpy as np
import pytest
import torch

from marl.cloud.actions import WIDTH, decode, row
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.evaluate.baselines import Parameter, TunedBaseline, TuningBudget
from marl.evaluate.families import family
from marl.evaluate.policies import ConstantPolicy, baseline_policy
from marl.evaluate.rollout import Labels, play_episodes
from marl.evaluate.rules import RULES
from marl.evaluate.rules.policy import RulePolicy
from marl.evaluate.rules.predictive import PARAMETERS, predicted_load
from marl.evaluate.rules.rule import floor_action
from marl.evaluate.scorers import EpisodeScorer
from marl.evaluate.tuning import tune_baselines
from marl.workload.toy import ToyGenerator

LABELS = Labels("toy", False, True)
START = {parameter.name: parameter.start for parameter in PARAMETERS}
ENGINEER = family("reactive").start
RULE = START | {
    "margin_storage": 1.5, "decay": 0.5, "recent": 0.5, "trend": 2.0, "past": 0.25,
    "forecast": 1.0, "ahead": 0.5, "scheduled": 1.0,
}  # fmt: skip
SEEN = {
    "load_iops_lag0": 0.30, "load_iops_lag1": 0.50, "load_iops_lag2": 0.20, "load_iops_lag3": 0.24,
    "load_iops_max": 0.96,
    "day_ago_storage_0": 0.2, "day_ago_storage_5": 0.3, "day_ago_storage_11": 0.4,
    "week_ago_storage_0": 0.4, "week_ago_storage_5": 0.5, "week_ago_storage_11": 0.2,
    "forecast_storage_0": 0.10, "forecast_storage_5": 0.14, "forecast_storage_11": 0.05,
    "announced_hour": 0.2,
}  # fmt: skip


def seen(name):
    return torch.tensor([SEEN[name]], dtype=torch.float64)


def test_a_floor_worked_by_hand():
    # recent: max(.30, .5·.50, .25·.20, .125·.24, .0625·.96) = .30
    # trend: .30 - .24 = .06;  past: max of the means (.3, .4, .3) = .4
    # forecast: .10 + .5·(.14 - .10) = .12
    load = 0.5 * 0.30 + 2.0 * 0.06 + 0.25 * 0.4 + 1.0 * 0.12
    load *= 1.0 + 0.5 * 0.2  # the calendar
    assert float(predicted_load("storage", seen, RULE)) == pytest.approx(load)
    action = floor_action("storage", 1.5 * predicted_load("storage", seen, RULE))
    knobs = decode("storage", action[None, :].float().expand(1, 5))
    assert float(knobs[0, 1]) == pytest.approx(1.5 * load)  # floor_share
    assert float(floor_action("storage", torch.zeros(1))) == -1.0
    falling = RULE | {"trend": -20.0}
    assert float(predicted_load("storage", seen, falling)) == 0.0


def test_a_rule_sees_only_its_own_agents_observation():
    env = make(num_envs=2, seed=0, episode_steps=4)
    for service in SERVICES:
        asked = []

        def field(name, asked=asked):
            asked.append(name)
            return torch.zeros(2)

        predicted_load(service, field, RULE)
        assert set(asked) <= set(env.observation_names[service])


def test_without_margins_it_is_the_reactive_rule_and_with_them_it_is_not():
    def made(num_envs, seed):
        return make(num_envs=num_envs, seed=seed, episode_steps=12)

    reactive = play_episodes(ConstantPolicy("rule", ENGINEER), made, 8, 0, LABELS)
    same = play_episodes(RulePolicy("rule", "predictive", ENGINEER, START), made, 8, 0, LABELS)
    assert same.equals(reactive)
    other = START | {f"margin_{service}": 2.0 for service in SERVICES}
    more = play_episodes(RulePolicy("rule", "predictive", ENGINEER, other), made, 8, 0, LABELS)
    assert (more["capacity_compute"] > reactive["capacity_compute"]).all()


def test_a_score_is_the_mean_reward_of_playing_the_policy():
    settings = family("predictive")
    rule = START | {"margin_compute": 1.3, "margin_database": 1.1, "decay": 0.8, "trend": 1.5}
    row_ = np.append(settings.flat(ENGINEER), [rule[p.name] for p in PARAMETERS])
    env = make(num_envs=3, seed=0, episode_steps=20)
    (scored,) = EpisodeScorer(env, seed=3).by_kind()["predictive"](row_[None])
    obs = env.reset(seed=3)
    policy = RulePolicy("predictive", "predictive", ENGINEER, rule)
    policy.begin(env, 3)
    rewards = []
    for _ in range(20):
        step = env.step(policy.act(obs))
        rewards.append(torch.stack(list(step.reward.values())).mean())
        obs = step.obs
    assert scored[0] == pytest.approx(float(torch.stack(rewards).mean()), rel=1e-4)


class _Wave(ToyGenerator):
    """A wave of three hours, whatever the day: yesterday tells it all."""

    name = "wave"

    def _draw_values(self, start_us, steps, rng):
        values = super()._draw_values(start_us, steps, rng)
        step = start_us[:, None] // 300_000_000 + np.arange(steps)
        wave = 1.0 + 0.9 * np.sin(2 * np.pi * step / 36)
        return values * wave[:, :, None, None].astype(np.float32)


def test_on_periodic_demand_tuning_finds_a_rule_that_beats_the_tuned_reactive_one():
    reactive, predictive = family("reactive"), family("predictive")

    def made(num_envs, seed, reference=None):
        demand = _Wave(noise=0.02, kind="steady")
        return make(
            num_envs=num_envs, seed=seed, episode_steps=60, generator=demand, reference=reference
        )

    # Compute and database alone are searched, and forecasts alone looked at: few trials suffice.
    services = ("compute", "database")
    free = [row(s, name) for s in services for name in ("target_utilisation", "floor_share")]
    low, high = reactive.flat(reactive.start), reactive.flat(reactive.start)
    low[free], high[free] = -1.0, 1.0
    seen = {"recent": 0.0, "forecast": 1.0, "ahead": 0.4, "decay": 1.0}
    fixed = [p for p in PARAMETERS if p.name not in [f"margin_{s}" for s in services]]
    ranges = {p.name: p for p in PARAMETERS} | {
        p.name: Parameter(name=p.name, low=at, high=at, start=at)
        for p in fixed
        for at in [seen.get(p.name, 0.0)]
    }
    bounds = {"low": reactive.joint(low), "high": reactive.joint(high)}
    families = [
        reactive.model_copy(update=bounds),
        predictive.model_copy(update=bounds | {"parameters": tuple(ranges.values())}),
    ]
    env = made(2, 0)
    budget = TuningBudget(candidates=12, generations=12, continued=7)
    found = tune_baselines(families, EpisodeScorer(env, 0).by_kind(), budget, 0)
    tuned_reactive, tuned_predictive = found.tuned
    assert tuned_reactive.trial_count == tuned_predictive.trial_count
    assert tuned_predictive.reward > tuned_reactive.reward + 0.005
    # And on other days of the same wave, as policies.
    other_days = [
        play_episodes(
            baseline_policy(one), lambda n, seed: made(n, seed, env.reference), 16, 5, LABELS
        )
        for one in found.tuned
    ]
    rewards = [episodes["reward"].mean() for episodes in other_days]
    assert rewards[1] > rewards[0] + 0.005


def test_first_candidates_are_known_rules_and_the_same_rules_written_as_floors():
    known = np.tile(family("reactive").flat(ENGINEER), (40, 1))
    rows = RULES["predictive"].first(known, np.random.default_rng(0))
    assert np.array_equal(rows[::2, :WIDTH], known[::2])
    margins = rows[:, WIDTH : WIDTH + 4]
    assert (margins[::2] == 0).all()
    targets = rows[:, [row(service, "target_utilisation") for service in SERVICES]]
    is_floor = margins[1::2] > 0
    assert 0.3 < is_floor.mean() < 0.7
    assert margins[1::2][is_floor] == pytest.approx(1 / 0.6, rel=1e-5)  # the engineer's target
    assert (targets[1::2][is_floor] == 1.0).all()
    assert (targets[1::2][~is_floor] == known[0, 0]).all()
    at = {p.name: WIDTH + place for place, p in enumerate(PARAMETERS)}
    weights = rows[1::2, at["recent"]] + rows[1::2, at["forecast"]]
    assert weights == pytest.approx(np.ones(20))
    low, high, _ = family("predictive").bounds()
    assert ((rows >= low) & (rows <= high)).all()


def test_it_refuses_other_worlds_and_other_parameters():
    with pytest.raises(ValueError, match="needs the parameters"):
        RulePolicy("predictive", "predictive", ENGINEER, {"decay": 1.0})
    tuned = TunedBaseline(
        name="predictive", kind="predictive", action=ENGINEER, parameters=START, reward=0.0,
        trials=(),
    )  # fmt: skip
    policy = baseline_policy(tuned)
    assert isinstance(policy, RulePolicy)
    env = make(num_envs=1, episode_steps=2)
    env.action_spec = {
        agent: space for agent, space in env.action_spec.items() if agent != "compute"
    }
    with pytest.raises(ValueError, match="this world has"):
        policy.begin(env, 0)
    assert sum(len(values) for values in ENGINEER.values()) == WIDTH
