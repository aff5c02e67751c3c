"""Every rule: by hand where it computes, and alike in what all rules must do."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud.actions import WIDTH, decode, row
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.evaluate.families import family
from marl.evaluate.rollout import Labels, play_episodes
from marl.evaluate.rules import RULES
from marl.evaluate.rules.autopilot import BUCKETS, WIDTH_SHARE, percentile, with_sample
from marl.evaluate.rules.policy import RulePolicy
from marl.evaluate.rules.rule import Sight
from marl.evaluate.scorers import EpisodeScorer

ENGINEER = family("reactive").start
CONSTANT = torch.tensor(family("reactive").flat(ENGINEER), dtype=torch.float32)[:, None]


def start(kind):
    return {p.name: p.start for p in RULES[kind].parameters}


def floor(actions, service):
    return float(actions[row(service, "floor_share")]) * 0.75 + 0.75


def played(kind, values, seen, memory=None):
    """Actions of one cloud whose fields are `seen`, 0 where absent."""
    fields = defaultdict(float, seen)
    look = dict.fromkeys(SERVICES, lambda name: torch.tensor([fields[name]]))
    return RULES[kind].act(Sight(CONSTANT, look, start(kind) | values, memory))


def spot(actions):
    return float(actions[row("compute", "spot_share")]) * 0.45 + 0.45


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_asks_only_for_fields_of_the_services_own_agent(kind):
    env = make(num_envs=2, seed=0, episode_steps=4)
    asked = {service: set() for service in SERVICES}

    def field(service):
        def look(name):
            asked[service].add(name)
            return torch.zeros(2)

        return look

    fields = {service: field(service) for service in SERVICES}
    _, memory = RULES[kind].act(Sight(CONSTANT.expand(-1, 2), fields, start(kind), None))
    RULES[kind].act(Sight(CONSTANT.expand(-1, 2), fields, start(kind), memory))
    assert any(asked.values())
    for service in SERVICES:
        assert asked[service] <= set(env.observation_names[service])


@pytest.mark.parametrize("kind", RULES)
def test_a_score_is_the_mean_reward_of_playing_the_policy(kind):
    rng = np.random.default_rng(3)
    values = {p.name: float(rng.uniform(p.low, p.high)) for p in RULES[kind].parameters}
    settings = family(kind)
    setting = np.append(settings.flat(ENGINEER), list(values.values()))
    env = make(num_envs=3, seed=0, episode_steps=16)
    scored = EpisodeScorer(env, seed=3).by_kind()[kind](np.stack([setting, setting]))
    obs = env.reset(seed=3)
    policy = RulePolicy("rule", kind, ENGINEER, values)
    policy.begin(env, 3)
    rewards = []
    for _ in range(16):
        step = env.step(policy.act(obs))
        rewards.append(torch.stack(list(step.reward.values())).mean())
        obs = step.obs
    assert scored[:, 0] == pytest.approx(float(torch.stack(rewards).mean()), rel=1e-4)


@pytest.mark.parametrize("kind", RULES)
def test_first_candidates_lie_within_bounds_and_include_what_is_known(kind):
    known = np.tile(family("reactive").flat(ENGINEER), (20, 1))
    rows = RULES[kind].first(known, np.random.default_rng(0))
    low, high, _ = family(kind).bounds()
    assert ((rows >= low - 1e-12) & (rows <= high + 1e-12)).all()
    assert np.array_equal(rows[::2, :WIDTH], known[::2])
    assert len({tuple(one) for one in rows[1::2]}) > 1


@pytest.mark.parametrize("kind", RULES)
def test_a_new_episode_starts_without_memory(kind):
    def made(num_envs, seed):
        return make(num_envs=num_envs, seed=seed, episode_steps=12)

    labels = Labels("toy", False, True)
    policy = RulePolicy("rule", kind, ENGINEER, start(kind))
    once = play_episodes(policy, made, 4, 0, labels)
    assert play_episodes(policy, made, 4, 0, labels).equals(once)


def test_seasonal_holds_the_margin_over_the_largest_forecast():
    seen = {f"forecast_storage_{h}": v for h, v in ((0, 0.4), (5, 0.3), (11, 0.7))}
    actions, _ = played("seasonal", {"margin_storage": 1.5, "ahead": 0.5}, seen)
    assert floor(actions, "storage") == pytest.approx(1.5 * (0.4 + 0.5 * 0.3))
    assert floor(actions, "network") == 0.0  # margin 0: the reactive rule's own floor


def test_a_queue_is_drained_in_its_time():
    seen = {"load_vcpu_lag0": 0.3, "backlog_web": 0.1, "backlog_batch": 1.2, "backlog_ml": 0.8}
    drain = {"drain_web": 2.0, "drain_batch": 12.0, "drain_ml": 40.0, "margin_compute": 1.25}
    actions, _ = played("queue_based", drain, seen)
    assert floor(actions, "compute") == pytest.approx(1.25 * (0.3 + 0.05 + 0.1 + 0.02))


def test_greedy_holds_its_headroom_and_buys_spot_only_while_it_is_cheap():
    values = {"headroom_compute": 0.5, "spot_below": 0.4, "spot_share": 0.6}
    cheap = {"load_vcpu_lag0": 0.5, "spot_ratio_general": 0.3}
    actions, _ = played("greedy", values, cheap)
    assert floor(actions, "compute") == pytest.approx(0.75)
    assert spot(actions) == pytest.approx(0.6)
    dear, _ = played("greedy", values, cheap | {"spot_ratio_general": 0.5})
    assert spot(dear) == pytest.approx(0.0, abs=1e-6)
    names = ["target_utilisation", "floor_share", "scale_in_window"]
    compute = decode("compute", actions[:11, 0])
    assert float(compute[0]) == pytest.approx(0.95)
    assert float(compute[names.index("scale_in_window")]) == pytest.approx(5.0)


def test_karpenter_retreats_from_spot_after_losses_and_comes_back():
    values = {"spot_share": 0.8, "retreat": 0.25, "healing": 0.5, "idle_below": 0.4}
    values["packed_target"] = 0.9
    busy = {"utilisation_vcpu": 0.7}
    actions, memory = played("karpenter", values, busy)
    assert spot(actions) == pytest.approx(0.8)
    lost, memory = played("karpenter", values, busy | {"lost_vms": 0.1}, memory)
    assert spot(lost) == pytest.approx(0.2)
    quiet, memory = played("karpenter", values, busy, memory)
    assert spot(quiet) == pytest.approx(0.8 * (0.25 + 0.5 * 0.75))
    # Consolidation: idle nodes are packed, busy ones are left alone.
    at = row("compute", "target_utilisation")
    assert float(quiet[at]) == float(CONSTANT[at])
    idle, _ = played("karpenter", values, {"utilisation_vcpu": 0.1}, memory)
    assert float(decode("compute", idle[:11, 0])[0]) == pytest.approx(0.9)


def test_a_histogram_by_hand():
    keep = torch.tensor(0.5)
    one = with_sample(None, torch.tensor([0.50]), keep)
    two = with_sample(one, torch.tensor([0.10]), keep)
    # Weights: .25 at .50 (halved), .10 at .10: the 20th percentile lies in .10's bucket.
    assert float(two.sum()) == pytest.approx(0.35)
    assert float(percentile(two, 0.2)) == pytest.approx(0.12)
    assert float(percentile(two, 0.3)) == pytest.approx(0.52)
    assert float(percentile(two, 1.0)) == pytest.approx(0.52)


@given(
    loads=st.lists(st.floats(0.0, 3.0, width=32), min_size=1, max_size=30),
    share=st.floats(0.05, 1.0),
    half_life=st.floats(2.0, 300.0),
)
def test_a_percentile_is_that_of_the_weighted_samples(loads, share, half_life):
    keep = torch.tensor(0.5 ** (1 / half_life))
    histogram = None
    for load in loads:
        histogram = with_sample(histogram, torch.tensor([load]), keep)
    found = float(percentile(histogram, share))
    # The slow way: sort samples by bucket, add weights up until the share is reached.
    weights = np.zeros(BUCKETS)
    for age, load in enumerate(reversed(loads)):
        bucket = min(int(np.float32(load) / np.float32(WIDTH_SHARE)), BUCKETS - 1)
        weights[bucket] += max(load, 1e-3) * float(keep) ** age
    below = weights.cumsum()
    at = round(found / WIDTH_SHARE) - 1
    assert below[at] >= below[-1] * (share - 1e-4)
    assert at == 0 or below[at - 1] < below[-1] * (share + 1e-4)


def test_autopilot_follows_the_percentile_times_the_margin():
    values = {"margin_network": 2.0, "half_life_log2": 2.0, "percentile": 1.0}
    memory = None
    for load in (0.5, 0.1, 0.1):
        actions, memory = played("autopilot", values, {"load_gbps_lag0": load}, memory)
    assert floor(actions, "network") == pytest.approx(2 * 0.52, rel=1e-5)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="no rule 'oracle'; there are: greedy"):
        RulePolicy("rule", "oracle", ENGINEER, {})
