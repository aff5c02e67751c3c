"""A million steps of clouds in trouble: nothing breaks, drifts or piles up."""

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from marl.cloud.figures import FIGURES
from marl.cloud.types import AGE_GROUPS
from marl.envs import make
from marl.envs.scenarios import scenario

CLOUDS, EPISODE_STEPS, EPISODES = 2048, 100, 5
PAGE_KIB = 4


def resident_mib():
    """Memory the process holds now (not its peak)."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]
    return int(pages) * PAGE_KIB / 1024


def live():
    """Memory after each episode and its mean reward, and how many steps there were; checks all."""
    env = make(
        "provisioning",
        CLOUDS,
        seed=4,
        episode_steps=EPISODE_STEPS,
        **scenario("everything_at_once").overrides,
    )
    rng = torch.Generator().manual_seed(4)
    held, rewards, steps = [], [], 0
    env.reset()
    for _ in range(EPISODES):
        total = torch.zeros(CLOUDS)
        for t in range(EPISODE_STEPS):
            actions = {
                agent: torch.rand((CLOUDS, *space.shape), generator=rng) * 2 - 1
                for agent, space in env.action_spec.items()
            }
            if t == EPISODE_STEPS - 1:
                check(env)
            step = env.step(actions)
            assert bool(step.info.matrix.isfinite().all())
            assert bool(torch.stack(list(step.obs.values())[0:1]).isfinite().all())
            total += step.info["reward_team"]
            steps += CLOUDS
        assert bool(step.truncated.all())
        rewards.append(float(total.mean()) / EPISODE_STEPS)
        held.append(resident_mib())
    return held, rewards, steps


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_million_steps_with_everything_at_once_leave_clouds_sound_and_memory_flat():
    # In a process of its own: one that ran other tests before holds more or less free memory.
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        held, rewards, steps = alone.submit(live).result()
    assert steps >= 1_000_000
    # Memory is that of one episode's weather, however many have passed.
    assert min(held[-2:]) - min(held[1:3]) < 64, held
    # Episodes are alike: what is random differs, nothing drifts.
    assert np.ptp(rewards) < 0.1 * abs(np.mean(rewards)), rewards


def check(env):
    """What must hold of a state after many steps."""
    state = env.cloud_state
    for units in (state.vms, state.pending_vms, state.pools, state.pending_pools, state.committed):
        assert torch.equal(units, units.round())
        assert bool((units >= 0).all())
    assert state.ages.shape[0] == AGE_GROUPS
    torch.testing.assert_close(state.ages.sum(0), torch.ones_like(state.ages[0]))
    assert bool((state.ages >= 0).all())
    # Running sums in float32 keep up with the exact ones.
    weather = env.weather
    arrived = weather.packed[: env.step_index].double()
    work = torch.stack([weather.at(t).work[1:, 0] for t in range(env.step_index)]).double().sum(0)
    assert len(arrived) == EPISODE_STEPS - 1
    done = state.served.double() + state.backlog[1:, 0].double()
    torch.testing.assert_close(done, work, rtol=1e-4, atol=1e-2)
    assert torch.equal(state.elapsed, torch.full_like(state.elapsed, env.step_index))
    assert bool((state.spent_usd > 0).all())
    assert "reward_team" in FIGURES
