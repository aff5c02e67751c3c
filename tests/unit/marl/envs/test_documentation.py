"""docs/simulator.md says what the code does: knobs, named quantities, ranges."""

import pytest
import torch

from marl.cloud.actions import knobs
from marl.cloud.params import WEIGHT_RANGES, Weights
from marl.cloud.types import SERVICES
from marl.envs import make
from tests.conftest import REPO


@pytest.fixture(scope="module")
def page():
    return (REPO / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_every_knob_stands_in_the_page_as_in_the_code(page):
    for agent in SERVICES:
        for k in knobs(agent):
            row = f"| {agent} | `{k.name}` | {k.unit} | {k.low:g} | {k.high:g} | {k.operation} |"
            assert row in page
    assert page.count("\n| compute | `") == len(knobs("compute"))


def test_every_named_quantity_is_explained_and_none_is_invented(page):
    env = make(episode_steps=2)
    env.reset()
    zeros = {a: torch.zeros(1, *space.shape) for a, space in env.action_spec.items()}
    table = page.split("## `step.info`")[1].split("\n## ")[0]
    keys = {part for cell in table.split("`")[1::2] for part in [cell]} - {"step.info", "slo_ms"}
    assert keys == set(env.step(zeros).info)


def test_weights_and_ranges_are_those_of_the_code(page):
    def text(value):
        return f"{value:.2f}".removeprefix("0")

    for name, (low, high) in WEIGHT_RANGES.items():
        weight = text(getattr(Weights(), name))
        assert f"| {name} | {weight} ({text(low)}–{text(high)}) |" in page
