"""`make(mode="compiled")` is the same environment, faster: equal within float32's rounding."""

import pytest
import torch

from marl.cloud.actions import WIDTH
from marl.cloud.compiled import cpp_compiler
from marl.envs import make
from marl.envs.advance import any_number, exact, smooth, smooth_for
from marl.envs.batched import BatchedEnv
from marl.train.smooth_rollout import CloudRollout

STEPS = 14  # past an hour, so that spot VMs change their age group, and past an autoreset
EPISODE = 13


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be one of eager, compiled"):
        make(mode="fast", num_envs=1)


@pytest.mark.slow
@pytest.mark.skipif(cpp_compiler() is None, reason="no C++ compiler (g++ or clang++) here")
def test_a_compiled_episode_equals_the_eager_one_and_repeats_itself():
    plain, fused = (
        make(mode=mode, num_envs=3, seed=5, episode_steps=EPISODE) for mode in ("eager", "compiled")
    )

    def play(env):
        rng = torch.Generator().manual_seed(2)
        told = [torch.cat(tuple(env.reset(seed=5).values()), 1)]
        for _ in range(STEPS):
            actions = {
                agent: torch.rand((3, *space.shape), generator=rng) * 2 - 1
                for agent, space in env.action_spec.items()
            }
            step = env.step(actions)
            rows = [*step.obs.values(), torch.stack(tuple(step.reward.values()), 1)]
            told += [torch.cat(rows, 1), torch.stack(tuple(step.info.values()), 1)]
        return told

    expected, first, second = play(plain), play(fused), play(fused)
    assert len(expected) == 2 * STEPS + 1
    for want, got, again in zip(expected, first, second, strict=True):
        # Latencies near saturation divide by 1 - utilisation: a few hundred times the rounding.
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)
        assert torch.equal(got, again)


@pytest.mark.slow
@pytest.mark.skipif(cpp_compiler() is None, reason="no C++ compiler (g++ or clang++) here")
def test_the_compiled_smooth_step_has_the_eager_ones_gradients():
    env = make(num_envs=3, seed=5, episode_steps=8)
    env.reset()
    fused = smooth_for("compiled", env.cloud)

    def window(advance):
        start = CloudRollout(env.cloud, env.weather, env.cloud_state, advance=advance)
        moved = {
            agent: torch.full((3, *space.shape), 0.1, requires_grad=True)
            for agent, space in env.action_spec.items()
        }
        earned = []
        for t in range(3):
            start.fade(0.9 if t else 0.0, 1.0)
            # What agents see carries gradients too.
            seen = {agent: obs.mean(1, keepdim=True) for agent, obs in start.obs().items()}
            earned.append(start.advance({a: moved[a] + 0.1 * seen[a] for a in moved}, 1))
        torch.stack(earned).sum().backward()
        return torch.stack(earned).detach(), torch.cat([one.grad for one in moved.values()], 1)

    (reward, gradient), (want, slope) = window(fused), window(smooth)
    torch.testing.assert_close(reward, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, slope, rtol=1e-3, atol=1e-4)
    assert slope.abs().max() > 0.01
    with torch.no_grad():  # nothing to fuse for who only plays
        rollout = CloudRollout(env.cloud, env.weather, env.cloud_state, advance=fused)
        plain = CloudRollout(env.cloud, env.weather, env.cloud_state)
        held = {a: torch.zeros(3, *s.shape) for a, s in env.action_spec.items()}
        assert torch.equal(rollout.advance(held, 1), plain.advance(held, 1))


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_any_number_of_clouds_advances_in_blocks_of_one_size(count):
    asked = []

    def of_four(state, actions, weather, told, cloud):
        asked.append({x.shape[-1] for x in (state.elapsed, actions, weather, told)})
        return exact(state, actions, weather, told, cloud)

    def play(advance):
        env = BatchedEnv(made.cloud, made.generator, count, 4, 7, advance)
        env.reset(seed=7)
        told = []
        for t in range(6):  # past an autoreset
            reward, figures, _ = env.advance(torch.full((WIDTH, count), 0.2 * t - 0.4))
            told.append(torch.cat((reward, figures, env.state().t())))
        return torch.stack(told)

    made = make(num_envs=1, seed=7)
    torch.testing.assert_close(play(any_number(of_four, 4)), play(exact), rtol=1e-4, atol=1e-5)
    assert asked == [{4}] * (6 * -(-count // 4))


def test_a_compiled_step_serves_only_its_own_cloud():
    env = make(num_envs=1, episode_steps=2)
    other = make(num_envs=1, episode_steps=2)
    other.reset()
    if cpp_compiler() is None:
        pytest.skip("no C++ compiler (g++ or clang++) here")
    rollout = CloudRollout(
        other.cloud, other.weather, other.cloud_state, advance=smooth_for("compiled", env.cloud)
    )
    with pytest.raises(ValueError, match="only the cloud it was built for"):
        rollout.advance({a: torch.zeros(1, *s.shape) for a, s in env.action_spec.items()}, 1)
