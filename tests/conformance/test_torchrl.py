"""TorchRL steps the PettingZoo face; skipped where TorchRL is not installed (it is no dependency).

`pip install torchrl tensordict`; docs/environments.md shows the same, and a task for BenchMARL.
"""

import pytest
import torch

from marl.cloud.types import SERVICES
from marl.envs.parallel import parallel_env
from tests.conformance.faces import FACES

pytest.importorskip("torchrl", reason="TorchRL is not installed: pip install torchrl tensordict")

from torchrl.envs.libs.pettingzoo import PettingZooWrapper
from torchrl.envs.utils import MarlGroupMapType, check_env_specs

pytestmark = pytest.mark.filterwarnings("ignore")  # TorchRL's own, about PettingZoo's version

STEPS = 6


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("face", FACES)
def test_each_agent_is_a_group(face):
    env = PettingZooWrapper(
        parallel_env(actions=face, flat=True, episode_steps=STEPS),
        return_state=True,
        categorical_actions=True,
    )
    check_env_specs(env)
    shown = env.rollout(2 * STEPS, break_when_any_done=False)
    assert shown.batch_size == (2 * STEPS,)
    assert set(env.group_map) == set(SERVICES)
    plain = parallel_env(actions=face, flat=True)
    for agent in SERVICES:
        width = plain.observation_space(agent).shape[0]
        assert shown[agent, "observation"].shape == (2 * STEPS, 1, width)
        assert shown["next", agent, "reward"].isfinite().all()
        assert ("action_mask" in set(shown[agent].keys())) == (face == "moves")
    ends = shown["next", "truncated"].flatten().nonzero().flatten().tolist()
    assert ends == [STEPS - 1, 2 * STEPS - 1]


@pytest.mark.parametrize("face", FACES)
def test_padded_agents_are_one_group(face):
    env = PettingZooWrapper(
        parallel_env(actions=face, flat=True, padded=True, episode_steps=STEPS),
        return_state=True,
        categorical_actions=True,
        group_map=MarlGroupMapType.ALL_IN_ONE_GROUP,
    )
    check_env_specs(env)
    shown = env.rollout(STEPS)
    assert shown["agents", "observation"].shape[:2] == (STEPS, len(SERVICES))
    if face == "moves":
        taken = shown["agents", "action"].unsqueeze(-1)
        assert shown["agents", "action_mask"].gather(-1, taken).all()


def test_masked_moves_keep_their_dict_too():
    env = PettingZooWrapper(parallel_env(actions="moves", episode_steps=STEPS))
    check_env_specs(env)
    shown = env.rollout(STEPS)
    seen = shown["compute", "observation"]
    assert set(seen.keys()) == {"observation", "requests", "request_mask"}
