"""The predictive rule: floors worked by hand, the reactive rule as a special case, foresight pays."""

import numpy as np
import pytest
import torch

from marl.cloud.actions import WIDTH, decode, row
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.evaluate.baselines import TunedBaseline, TuningBudget
from marl.evaluate.families import provisioning_families
from marl.evaluate.policies import ConstantPolicy, baseline_policy
from marl.evaluate.predictive import PARAMETERS, PredictivePolicy, floor_action, predicted_load
from marl.evaluate.rollout import Labels, play_episodes
from marl.evaluate.scorers import EpisodeScorer
from marl.evaluate.tuning import tune_baselines
from marl.workload.toy import ToyGenerator

LABELS = Labels("toy", False, True)
START = {parameter.name: parameter.start for parameter in PARAMETERS}
ENGINEER = provisioning_families()[1].start
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
    action = floor_action("storage", seen, RULE)
    knobs = decode("storage", action[None, :].float().expand(1, 5))
    assert float(knobs[0, 1]) == pytest.approx(1.5 * load)  # floor_share
    assert float(floor_action("storage", seen, RULE | {"margin_storage": 0.0})) == -1.0
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
    same = play_episodes(PredictivePolicy("rule", ENGINEER, START), made, 8, 0, LABELS)
    assert same.equals(reactive)
    other = START | {f"margin_{service}": 2.0 for service in SERVICES}
    more = play_episodes(PredictivePolicy("rule", ENGINEER, other), made, 8, 0, LABELS)
    assert (more["capacity_compute"] > reactive["capacity_compute"]).all()


def test_a_score_is_the_mean_reward_of_playing_the_policy():
    family = provisioning_families()[2]
    rule = START | {"margin_compute": 1.3, "margin_database": 1.1, "decay": 0.8, "trend": 1.5}
    row_ = np.append(family.flat(ENGINEER), [rule[p.name] for p in PARAMETERS])
    env = make(num_envs=3, seed=0, episode_steps=20)
    (scored,) = EpisodeScorer(env, seed=3).predictive(row_[None])
    obs = env.reset(seed=3)
    policy = PredictivePolicy("predictive", ENGINEER, rule)
    policy.begin(env, 3)
    rewards = []
    for _ in range(20):
        step = env.step(policy.act(obs))
        rewards.append(torch.stack(list(step.reward.values())).mean())
        obs = step.obs
    assert scored[0] == pytest.approx(float(torch.stack(rewards).mean()), rel=1e-4)


class _Clockwork(ToyGenerator):
    """Every second hour three times the load of the hour before: yesterday tells it all."""

    name = "clockwork"

    def _draw_values(self, start_us, steps, rng):
        values = super()._draw_values(start_us, steps, rng)
        hour = (start_us[:, None] // 300_000_000 + np.arange(steps)) // 12
        return values * np.where(hour % 2 == 0, 0.5, 1.5)[:, :, None, None].astype(np.float32)


def test_on_periodic_demand_tuning_finds_a_rule_that_beats_the_tuned_reactive_one():
    static, reactive, predictive = provisioning_families()
    env = make(
        num_envs=2, seed=0, episode_steps=36, generator=_Clockwork(noise=0.02, kind="steady")
    )
    budget = TuningBudget(candidates=16, generations=24, continued=14)
    # Only the targets and floors are searched, so that few trials suffice.
    free = [row(s, name) for s in SERVICES for name in ("target_utilisation", "floor_share")]
    low, start, high = (np.array(reactive.flat(reactive.start)) for _ in range(3))
    low[free], high[free] = -1.0, 1.0
    bounds = {"low": reactive.joint(low), "high": reactive.joint(high)}
    families = [one.model_copy(update=bounds) for one in (reactive, predictive)]
    scorer = EpisodeScorer(env, 0)
    found = tune_baselines(families, scorer.by_kind(), budget, 0)
    tuned_reactive, tuned_predictive = found.tuned
    assert tuned_reactive.trial_count == tuned_predictive.trial_count
    assert tuned_predictive.reward > tuned_reactive.reward + 0.003
    # And on other days of the same clockwork, as policies.
    played = [
        play_episodes(
            baseline_policy(one),
            lambda n, seed: make(num_envs=n, seed=seed, episode_steps=36,
                                 generator=_Clockwork(noise=0.02, kind="steady"),
                                 reference=env.reference),
            16, 5, LABELS,
        )["reward"].mean()
        for one in found.tuned
    ]  # fmt: skip
    assert played[1] > played[0] + 0.003


def test_it_refuses_other_worlds_and_other_parameters():
    with pytest.raises(ValueError, match="needs the parameters"):
        PredictivePolicy("predictive", ENGINEER, {"decay": 1.0})
    tuned = TunedBaseline(
        name="predictive", kind="predictive", action=ENGINEER, parameters=START, reward=0.0,
        trials=(),
    )  # fmt: skip
    policy = baseline_policy(tuned)
    assert isinstance(policy, PredictivePolicy)
    env = make(num_envs=1, episode_steps=2)
    env.action_spec = {
        agent: space for agent, space in env.action_spec.items() if agent != "compute"
    }
    with pytest.raises(ValueError, match="this world has"):
        policy.begin(env, 0)
    assert sum(len(values) for values in ENGINEER.values()) == WIDTH
