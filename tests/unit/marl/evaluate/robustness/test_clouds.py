"""Perturbed clouds: a true zero, what is shown and when, actions that wait, one trouble for all."""

from dataclasses import replace

import pytest
import torch

from marl.cloud.types import LOADS
from marl.cloud.weather import unpack
from marl.envs.shared import SharedClouds
from marl.evaluate.robustness.perturbations import ROWS, Change
from marl.evaluate.robustness.senses import Senses
from marl.evaluate.robustness.trouble import Trouble, with_trouble
from tests.unit.marl.evaluate.robustness.toy import STEPS, learned, predictive, rule, stage

B = 4


@pytest.fixture(scope="module")
def toy():
    torch.set_num_threads(1)
    made = stage("calm")
    assert made.world.reference
    return made


@pytest.fixture(scope="module")
def ordinary():
    """A stage with trouble of its own, and what happens there unperturbed."""
    made = stage("mixed")
    env = made.make_env(Change())(B, 7)
    return (made, *play(env, env.reset(seed=7), 16))  # what passes begins at step 12


def env_of(toy, seed=7, **change):
    env = toy.make_env(Change(**change))(B, seed)
    return env, env.reset(seed=seed)


def moves(env, t=0):
    """Actions that change from step to step and differ from cloud to cloud."""
    generator = torch.Generator().manual_seed(t)
    return {
        agent: torch.rand((env.num_envs, space.shape[0]), generator=generator) * 2 - 1
        for agent, space in env.action_spec.items()
    }


def play(env, obs, steps, act=moves):
    seen, rewards = [obs], []
    for t in range(steps):
        step = env.step(act(env, t))
        seen.append(step.obs)
        rewards.append(torch.stack(list(step.reward.values())))
    return seen, torch.stack(rewards)


def same(ours, theirs):
    return all(torch.equal(ours[agent], theirs[agent]) for agent in theirs)


def test_severity_zero_is_the_plain_world_in_every_bit(toy):
    assert all(row.change(0.0, STEPS) == Change() for row in ROWS)
    plain = toy.world.make_env("calm", "held_out")(B, 7)
    seen, rewards = play(plain, plain.reset(seed=7), STEPS + 2)  # into the next episode
    env = toy.make_env(Change())(B, 7)
    ours, paid = play(env, env.reset(seed=7), STEPS + 2)
    assert torch.equal(paid, rewards)
    assert all(same(one, other) for one, other in zip(ours, seen, strict=True))


# A drifted mix needs a fitted workload: test_stage.
@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name != "drifted_mix"], ids=lambda row: row.name
)
def test_every_severity_changes_something_and_is_the_same_again(ordinary, row):
    toy, seen, rewards = ordinary
    env = toy.make_env(row.change(row.severities[-1], STEPS))(B, 7)
    ours, paid = play(env, env.reset(seed=7), 16)
    assert torch.isfinite(paid).all()
    assert not torch.equal(paid, rewards) or not all(map(same, ours, seen))
    again, paid_again = play(env, env.reset(seed=7), 16)
    assert torch.equal(paid, paid_again)
    assert all(map(same, ours, again))


def test_stale_metrics_show_the_observation_k_steps_before(toy):
    """A rule in the cloud that nothing moves, so that both worlds go the same way."""
    env, obs = env_of(toy)
    fixed = {agent: torch.full_like(knobs, 0.9) for agent, knobs in moves(env).items()}
    fixed["compute"][:, :] = 1.0  # floors at their top: the loads decide nothing
    true, _ = play(env, obs, 8, lambda *_: fixed)
    stale, first = env_of(toy, senses=Senses(stale_steps=3))
    shown, _ = play(stale, first, 8, lambda *_: fixed)
    names = stale.observation_names["compute"]
    loads = [i for i, name in enumerate(names) if name.startswith(("load_vcpu", "day_", "spot"))]
    for t in range(9):
        expected = true[max(0, t - 3)]["compute"][:, loads]
        assert torch.equal(shown[t]["compute"][:, loads], expected)


def test_the_clouds_own_autoscaler_acts_on_the_same_stale_loads(toy):
    """One step: plain clouds whose history is put back by hand do the same."""
    env, obs = env_of(toy, senses=Senses(stale_steps=2))
    play(env, obs, 6)
    plain, first = env_of(toy)
    play(plain, first, 6)
    loads = env.cloud_state.loads
    stale = torch.cat((loads[2:], loads[-1:], loads[-1:]))
    plain._state = replace(env.cloud_state, loads=stale)
    plain.step(moves(env, 6))
    by_hand = plain.cloud_state
    env.step(moves(env, 6))
    assert torch.equal(env.cloud_state.vms, by_hand.vms)
    assert torch.equal(env.cloud_state.pending_vms, by_hand.pending_vms)
    assert torch.equal(env.cloud_state.loads[1:], loads[:-1])  # the true history stays


def test_missing_loads_keep_the_last_measurement_for_rule_and_agents(toy):
    env, obs = env_of(toy, senses=Senses(missing_share=1.0))
    seen, _ = play(env, obs, 5)
    assert all(same(one, obs) for one in seen)  # nothing is ever measured again
    assert torch.equal(env.cloud_state.loads, env.cloud_state.loads[-1:].expand(12, len(LOADS), B))
    zero, first = env_of(toy, senses=Senses(missing_share=1.0, is_zeroed=True))
    seen, _ = play(zero, first, 3)
    assert (zero.cloud_state.loads[:3] == 0).all()
    column = zero.observation_names["compute"].index("load_vcpu_lag0")
    assert (seen[-1]["compute"][:, column] == 0).all()


def test_noisy_loads_are_shown_as_they_were_measured(toy):
    env, obs = env_of(toy, senses=Senses(noise_sigma=0.3))
    seen, _ = play(env, obs, 4)
    column = env.observation_names["compute"].index("load_vcpu_lag0")
    measured = env.cloud_state.loads[0, 0] / env.reference.peak[0]
    assert torch.allclose(seen[-1]["compute"][:, column], measured, rtol=1e-5)
    plain, first = env_of(toy)
    play(plain, first, 4)
    assert not torch.allclose(plain.cloud_state.loads[0, 0], env.cloud_state.loads[0, 0], rtol=1e-3)


def test_actions_arrive_k_steps_late_and_the_first_holds_until_then(toy):
    late, obs = env_of(toy, delay_steps=2)
    _, paid = play(late, obs, 10)
    plain, first = env_of(toy)
    _, expected = play(plain, first, 10, lambda env, t: moves(env, max(0, t - 2)))
    assert torch.equal(paid, expected)
    with pytest.raises(ValueError, match="delay_steps"):
        env_of(toy, delay_steps=-1)


def test_a_new_episode_remembers_nothing_of_the_one_before(toy):
    senses = Senses(stale_steps=2, missing_share=0.5)
    env, obs = env_of(toy, senses=senses, delay_steps=3)
    play(env, obs, STEPS)
    seen, paid = play(env, env._observed(), 5)
    fresh = toy.make_env(Change(senses=senses, delay_steps=3))(B, 7)
    fresh.reset(seed=7)
    again, paid_again = play(fresh, fresh.reset(), 5)  # the second episode from its start
    assert torch.equal(paid, paid_again)
    assert all(map(same, seen, again))


def test_looking_twice_shows_the_same_and_a_twin_goes_its_own_way(toy):
    env, obs = env_of(toy, senses=Senses(noise_sigma=0.3, missing_share=0.3), delay_steps=1)
    play(env, obs, 3)
    assert same(env._observed(), env._observed())
    twin = env.twin()
    seen, paid = play(twin, twin._observed(), 4)
    ours, own = play(env, env._observed(), 4)
    assert torch.equal(paid, own)
    assert all(map(same, seen, ours))


def test_copies_meet_the_errors_and_the_trouble_of_their_original(toy):
    senses = Senses(stale_steps=1, missing_share=0.3, noise_sigma=0.2)
    env, obs = env_of(toy, senses=senses, delay_steps=1, trouble=Trouble("outage", 1, 4, 3))
    shared = env.shared(2)
    assert isinstance(shared, SharedClouds)

    def twice(_, t):
        return {agent: rows.repeat(2, 1) for agent, rows in moves(env, t).items()}

    copied, paid = play(shared, shared.observed(), 10, twice)
    alone, own = play(env, obs, 10)
    for one, other in zip(copied[:-1], alone[:-1], strict=True):
        for agent in env.agents:
            assert torch.allclose(one[agent], other[agent].repeat(2, 1), atol=1e-5)
    assert torch.allclose(paid, own.repeat(1, 1, 2), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{}, {"senses": Senses(stale_steps=2, noise_sigma=0.1)}, {"delay_steps": 2},
     {"trouble": Trouble("storm", None, 5, 4)}],
)  # fmt: skip
def test_every_kind_of_policy_plays_in_them(toy, change):
    env, obs = env_of(toy, **change)
    policies = [rule(), predictive(), learned(env), learned(env, hold_steps=3)]
    for policy in policies:
        env.reset(seed=7)
        policy.begin(env, 7)
        for _ in range(4):
            step = env.step(policy.act(obs))
            assert all(torch.isfinite(reward).all() for reward in step.reward.values())
            obs = step.obs


def test_an_outage_takes_its_zone_and_fails_the_database_over(toy):
    env, _ = env_of(toy)
    before = env.weather
    after = with_trouble(before, Trouble("outage", 1, 5, 3))
    for step in range(STEPS):
        old, new = unpack(before.packed[step], 3), unpack(after.packed[step], 3)
        inside = 5 <= step < 8
        assert (new.is_up[0] == (0.0 if inside else 1.0)).all()
        assert torch.equal(new.is_up[1:], old.is_up[1:])
        assert (new.failover == (1.0 if step == 5 else 0.0)).all()
        assert torch.equal(new.work, old.work)
    assert (unpack(before.packed[6], 3).is_up == 1).all()  # the given one stays as it was


def test_a_storm_reclaims_in_every_zone_and_nothing_else(toy):
    env, _ = env_of(toy)
    before = env.weather
    after = with_trouble(before, Trouble("storm", None, 5, 3))
    old, new = unpack(before.packed[6], 3), unpack(after.packed[6], 3)
    assert (new.is_shocked == 1).all()
    assert torch.equal(new.is_up, old.is_up)
    assert torch.equal(after.packed[8:], before.packed[8:])


@pytest.mark.parametrize("wrong", [("outage", 1, 0, 3), ("outage", 0, 2, 3), ("storm", None, 2, 0)])
def test_trouble_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="trouble"):
        Trouble(*wrong)


@pytest.mark.parametrize("wrong", [("outage", 4, 2, 3), ("storm", None, STEPS - 1, 2)])
def test_trouble_that_does_not_fit_is_refused(toy, wrong):
    env, _ = env_of(toy)
    with pytest.raises(ValueError, match="does not fit"):
        with_trouble(env.weather, Trouble(*wrong))
