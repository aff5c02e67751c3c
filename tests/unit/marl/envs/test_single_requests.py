"""The numpy request list is the batched one's, at every step."""

import numpy as np
import pytest
import torch

from marl.envs import make
from marl.envs.single_requests import RequestRows

STARVED = {"quota_share": 0.3}  # so that work waits
DEADLINES = {"batch_deadline_steps": 7, "ml_deadline_steps": 30}


@pytest.mark.parametrize("overrides", [STARVED, STARVED | DEADLINES])
@pytest.mark.parametrize("scenario", [None, "batch_cyclical"])
def test_rows_equal_those_of_the_batched_environment(overrides, scenario):
    torch.set_num_threads(1)
    env = make(episode_steps=60, scenario=scenario, **overrides)
    rows = RequestRows(env.cloud.params)
    rng = torch.Generator().manual_seed(0)
    counts = set()
    for seed in (0, 1):
        env.reset(seed=seed)
        rows.begin(env.weather)
        for t in range(60):
            expected = env.requests()
            values, mask = rows.at(t, env.cloud_state.served[:, 0].numpy())
            np.testing.assert_allclose(values, expected.values[0], rtol=1e-6, atol=1e-7)
            np.testing.assert_array_equal(mask, expected.mask[0])
            assert mask.dtype == np.int8
            counts.add(int(mask.sum()))
            env.step(
                {
                    agent: torch.rand((1, *space.shape), generator=rng) * 2 - 1
                    for agent, space in env.action_spec.items()
                }
            )
    assert len(counts) > 5  # the list varies in length
