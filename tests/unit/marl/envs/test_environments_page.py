"""docs/environments.md: its examples run, and its numbers are the code's."""

import re

import pytest
import torch

from marl.cloud.observation import LIMIT
from marl.cloud.requests import REQUEST_FIELDS
from marl.envs.parallel import parallel_env
from marl.envs.spaces import ACTION_FACES
from tests.conftest import REPO


@pytest.fixture(scope="module")
def page():
    return (REPO / "docs" / "environments.md").read_text(encoding="utf-8")


def test_examples_run(page):
    torch.set_num_threads(1)
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    ours = [block for block in blocks if "torchrl" not in block]
    assert len(ours) == 2
    names: dict = {}
    for block in ours:
        exec(compile(block.replace("1024", "4"), "environments.md", "exec"), names)


def test_numbers_are_those_of_the_code(page):
    env = parallel_env(episode_steps=2)
    assert set(re.findall(r"^\| `(\w+)` \| (?:\(|by)", page, re.MULTILINE)) == set(
        env.observation_space("compute").keys()
    )
    assert f"[-{LIMIT:g}, {LIMIT:g}]" in page
    assert f"(R, {len(REQUEST_FIELDS)})" in page
    for face in ACTION_FACES:
        assert f"\n| `{face}` |" in page
