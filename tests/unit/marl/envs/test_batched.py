"""The batched face: specs, seeds, autoreset, what is refused."""

import numpy as np
import pytest
import torch

from marl.cloud.requests import queued_requests
from marl.envs import ENVIRONMENTS, make
from marl.workload.demand import DemandBatch
from marl.workload.toy import ToyGenerator
from tests.unit.marl.cloud.helpers import engineer_actions


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def random_actions(env, seed):
    rng = torch.Generator().manual_seed(seed)
    return {
        agent: torch.rand((env.num_envs, *space.shape), generator=rng) * 2 - 1
        for agent, space in env.action_spec.items()
    }


def episode(env, steps, seed=0):
    """Everything an episode shows: observations, rewards, info, stacked."""
    shown = [torch.cat(list(env.reset(seed=seed).values()), 1)]
    for t in range(steps):
        step = env.step(random_actions(env, 100 + t))
        shown.append(torch.cat([*step.obs.values(), torch.stack([*step.info.values()], 1)], 1))
        shown.append(torch.stack(list(step.reward.values()), 1))
    return shown


def test_shapes_follow_the_specs():
    env = make(num_envs=3, episode_steps=4)
    obs = env.reset()
    assert env.agents == ("compute", "storage", "network", "database")
    for _ in range(3):
        for agent in env.agents:
            assert obs[agent].shape == (3, *env.observation_spec[agent].shape)
            assert obs[agent].dtype == torch.float32
            assert len(env.observation_names[agent]) == obs[agent].shape[1]
            assert len(set(env.observation_names[agent])) == obs[agent].shape[1]
            assert len(env.action_names[agent]) == env.action_spec[agent].shape[0]
            for row in obs[agent]:
                assert env.observation_spec[agent].contains(row.numpy())
        step = env.step(random_actions(env, 0))
        obs = step.obs
        assert all(r.shape == (3,) for r in step.reward.values())
        assert all(v.shape == (3,) for v in step.info.values())
        assert step.terminated.shape == step.truncated.shape == (3,)
        assert env.state().shape == (3, len(env.state_names))


def test_the_same_seed_is_the_same_episode():
    first = episode(make(num_envs=2, episode_steps=20, seed=5), 20, seed=9)
    again = episode(make(num_envs=2, episode_steps=20, seed=6), 20, seed=9)
    other = episode(make(num_envs=2, episode_steps=20, seed=5), 20, seed=10)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is watched here
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = episode(make(num_envs=2, episode_steps=5), 5)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first, episode(make(num_envs=2, episode_steps=5), 5), strict=True)
    )


def test_an_environment_does_not_depend_on_its_neighbours():
    many, one = make(num_envs=20, episode_steps=12), make(num_envs=1, episode_steps=12)
    many.reset(seed=4)
    one.reset(seed=4)
    for t in range(24):  # over the end of an episode
        actions = random_actions(many, t)
        wide = many.step(actions)
        narrow = one.step({agent: a[:1] for agent, a in actions.items()})
        for agent in many.agents:
            torch.testing.assert_close(wide.obs[agent][:1], narrow.obs[agent], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(
                wide.reward[agent][:1], narrow.reward[agent], rtol=1e-5, atol=1e-5
            )


def test_weather_does_not_depend_on_actions():
    env = make(num_envs=2, episode_steps=10)
    env.reset(seed=1)
    calm = [env.step(engineer_actions(2)).info["demand_compute"] for _ in range(10)]
    env.reset(seed=1)
    wild = [env.step(random_actions(env, t)).info["demand_compute"] for t in range(10)]
    assert all(torch.equal(a, b) for a, b in zip(calm, wild, strict=True))


def test_the_future_begins_with_the_coming_step():
    env = make(num_envs=2, episode_steps=6)
    env.reset()
    for _ in range(6):
        coming = env.future(3)
        assert coming.shape == (2, 15)
        load = env.step(engineer_actions(2)).info["demand_database"]
        torch.testing.assert_close(coming[:, 3] * env.reference.peak[3], load)


def test_autoreset_shows_the_next_start_and_keeps_the_true_end():
    env = make(num_envs=2, episode_steps=3)
    first = env.reset(seed=0)
    assert env.final_obs is None
    ends = [bool(env.step(engineer_actions(2)).truncated.any()) for _ in range(2)]
    assert ends == [False, False]
    last = env.step(engineer_actions(2))
    assert last.truncated.all()
    assert not last.terminated.any()
    assert env.final_obs is not None
    assert env.final_state.shape == env.state().shape
    assert not torch.equal(env.final_obs["compute"], last.obs["compute"])
    assert env.step_index == 0
    # The next episode is number 1 of the same seed, however it was reached.
    by_hand = make(num_envs=2, episode_steps=3)
    by_hand.reset(seed=0)
    second = by_hand.reset()
    for agent in env.agents:
        assert torch.equal(second[agent], last.obs[agent])
        assert not torch.equal(second[agent], first[agent])
    assert not env.step(engineer_actions(2)).truncated.any()
    # The clock tells that final_obs is one step after the last but one: 5 minutes, not a jump.
    column = env.observation_names["compute"].index("day_sin")
    env.reset(seed=0)
    seen = [env.step(engineer_actions(2)).obs["compute"][:, column] for _ in range(2)]
    env.step(engineer_actions(2))
    final = env.final_obs["compute"][:, column]
    assert (final - seen[-1]).abs().max() < 2 * np.pi / 288 + 1e-6


def test_the_same_reference_makes_observations_comparable():
    train = make(num_envs=1, episode_steps=10, generator=ToyGenerator(mean_vcpu=100))
    held_out = make(
        num_envs=1,
        episode_steps=10,
        generator=ToyGenerator(mean_vcpu=200),
        reference=train.reference,
    )
    assert held_out.reference == train.reference
    column = train.observation_names["compute"].index("load_vcpu_lag0")
    ratio = held_out.reset(seed=0)["compute"][0, column] / train.reset(seed=0)["compute"][0, column]
    assert float(ratio) == pytest.approx(2.0, rel=0.05)


CALM = {
    "spot_hazard_factor": 0.0,
    "stock_out_time_share": 0.0,
    "zone_outage_per_day": 0.0,
    "vm_failure_per_h": 0.0,
    "quota_cut_per_day": 0.0,
    "failover_per_step": 0.0,
    "disk_slow_per_day": 0.0,
}


def test_constant_actions_are_the_classic_autoscalers():
    env = make(num_envs=8, episode_steps=48, **CALM)
    env.reset(seed=2)
    static = engineer_actions(8, floor_share=1.2, target_utilisation=0.95, spot_share=0.0)
    for _ in range(47):
        step = env.step(static)
        assert torch.isfinite(step.info["cost_usd"]).all()
    # Static peak: after the first orders no VM moves any more, and there are as many as asked for.
    vms = env.cloud_state.vms.sum(0)
    vcpu = vms * env.cloud.params.machine.vcpu
    assert (vcpu >= 1.2 * env.reference.peak[0] - 1e-3).all()
    assert (vcpu <= 1.2 * env.reference.peak[0] + 4 * env.cloud.params.config.zones).all()
    env.reset(seed=2)
    for _ in range(10):
        step = env.step(engineer_actions(8, target_utilisation=0.5, scale_in_window=5.0))
    # Target tracking: utilisation near its target in the mean, capacity follows the load.
    assert float(step.info["utilisation_compute"].mean()) == pytest.approx(0.5, abs=0.08)


def test_the_last_requests_are_those_before_the_next_episode():
    env = make(num_envs=2, episode_steps=3)
    env.reset(seed=0)
    assert env.final_requests is None
    for _ in range(2):
        env.step(engineer_actions(2))
    twin = env.twin()
    weather = env.weather
    env.step(engineer_actions(2))
    # The same step by a twin whose episode goes on.
    twin.episode_steps = 4
    twin.step(engineer_actions(2))
    expected = queued_requests(twin.cloud_state, weather, 3, env.cloud.params)
    assert torch.equal(env.final_requests.values, expected.values)
    assert torch.equal(env.final_requests.mask, expected.mask)
    assert expected.mask.any()
    assert not torch.equal(env.requests().values, expected.values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "chess"}, "no environment 'chess'; there are: provisioning"),
        ({"num_envs": 0}, "num_envs must be at least 1"),
        ({"episode_steps": 0}, "episode_steps must be at least 1"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"colour": "red"}, "colour"),
        ({"machine_type": "z80"}, "no machine type 'z80'"),
        ({"disk_type": "floppy"}, "no disk type 'floppy'"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**{"episode_steps": 2, **arguments})


def test_use_before_reset_is_refused():
    env = make(episode_steps=2)
    for use in (env.state, env.action_masks, lambda: env.step(engineer_actions(1))):
        with pytest.raises(RuntimeError, match="reset"):
            use()


def test_a_refused_action_leaves_the_episode_as_it_was():
    env, twin = make(num_envs=2, episode_steps=5), make(num_envs=2, episode_steps=5)
    env.reset(seed=0)
    twin.reset(seed=0)
    bad = engineer_actions(2)
    bad["compute"] = torch.full_like(bad["compute"], float("nan"))
    with pytest.raises(ValueError, match="not-a-number"):
        env.step(bad)
    a, b = env.step(engineer_actions(2)), twin.step(engineer_actions(2))
    assert all(torch.equal(a.obs[agent], b.obs[agent]) for agent in env.agents)


def test_actions_with_a_gradient_do_not_grow_a_graph():
    env = make(num_envs=2, episode_steps=5)
    env.reset()
    actions = {a: x.clone().requires_grad_() for a, x in engineer_actions(2).items()}
    step = env.step(actions)
    assert not step.obs["compute"].requires_grad
    assert not step.reward["compute"].requires_grad


class Partial:
    """A demand in which some classes, or some hours, are empty."""

    name = "partial"

    def __init__(self, classes, mean_vcpu=256.0):
        self.classes, self.inner = classes, ToyGenerator(mean_vcpu=mean_vcpu)

    def sample(self, episodes, steps, rng):
        batch = self.inner.sample(episodes, steps, rng)
        values = batch.values * np.isin(np.arange(3), self.classes)[:, None]
        values[:, steps // 2 : steps // 2 + 5] = 0.0
        return DemandBatch(values.astype(np.float32), batch.start_us)


@pytest.mark.parametrize("classes", [(0,), (1,), (2,), (0, 1)])
@pytest.mark.parametrize("mean_vcpu", [0.5, 256.0, 1000.0])
def test_empty_classes_and_hours_and_any_size_are_served(classes, mean_vcpu):
    env = make(num_envs=2, episode_steps=30, generator=Partial(classes, mean_vcpu))
    env.reset()
    for _ in range(30):
        step = env.step(engineer_actions(2))
        for key, value in step.info.items():
            assert torch.isfinite(value).all(), key
        assert all(torch.isfinite(obs).all() for obs in step.obs.values())
        assert all(torch.isfinite(reward).all() for reward in step.reward.values())
        if 0 not in classes:
            assert (step.info["dropped"] == 0).all()
    assert (step.info["slo_attainment"] > 0.5).all()


def test_the_registry_is_what_make_accepts():
    assert set(ENVIRONMENTS) == {"provisioning"}


@pytest.mark.slow
def test_long_runs_stay_finite_and_flat():
    """Tens of thousands of steps of single clouds over many episodes: no drift."""
    env = make(num_envs=128, episode_steps=48, generator=ToyGenerator(noise=0.5))
    env.reset(seed=0)
    means = []
    for t in range(12 * 48):
        step = env.step(random_actions(env, t % 7))
        means.append(step.reward["compute"].mean())
    means = torch.stack(means)
    assert torch.isfinite(means).all()
    halves = means[: len(means) // 2].mean(), means[len(means) // 2 :].mean()
    assert float(halves[0]) == pytest.approx(float(halves[1]), abs=0.03)
