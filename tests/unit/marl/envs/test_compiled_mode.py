"""`make(mode="compiled")` is the same environment, faster: equal within float32's rounding."""

import pytest
import torch

from marl.cloud.compiled import cpp_compiler
from marl.envs import make

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
