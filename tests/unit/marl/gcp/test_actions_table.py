"""docs/actions.md is what the code says."""

import dataclasses
from pathlib import Path

import pytest
import torch

from marl.cloud.actions import knobs
from marl.cloud.dynamics import initial_state
from marl.cloud.observation import action_masks
from marl.cloud.types import POOLS, SERVICES
from marl.gcp import actions_table as page
from tests.unit.marl.cloud.helpers import quiet_weather, small_cloud

PAGE = Path(__file__).resolve().parents[4] / "docs" / "actions.md"


def test_the_page_is_as_the_code_makes_it():
    text = PAGE.read_text(encoding="utf-8")
    assert page.renewed(text) == text, "run: python -m marl.gcp.actions_table docs/actions.md"
    assert page.actions_table() in text
    assert page.operations_table() in text


def test_the_page_is_renewed_in_place(tmp_path):
    copy = tmp_path / "actions.md"
    lines = PAGE.read_text(encoding="utf-8").splitlines(keepends=True)
    copy.write_text("".join(each for each in lines if "spot_share" not in each), encoding="utf-8")
    page.main(copy)
    assert copy.read_text(encoding="utf-8") == "".join(lines)
    copy.write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the marks <!-- knobs -->"):
        page.main(copy)


def test_every_knob_is_explained_and_nothing_else():
    assert page.unexplained() == set()
    assert page.actions_table().count("\n") == 2 + sum(len(knobs(agent)) for agent in SERVICES)


def test_what_the_page_says_of_masks_is_what_is_masked():
    weather = quiet_weather(is_review=torch.zeros(1))
    state = initial_state(weather, small_cloud())
    pending = state.pending_pools.clone()
    pending[2, POOLS.index("tier")] = 1.0
    busy = dataclasses.replace(
        state, pending_pools=pending, hyperdisk_wait=torch.full_like(state.hyperdisk_wait, 5.0)
    )
    masks = action_masks(busy, weather.is_review)
    masked = {
        f"{agent}_{knob.name}"
        for agent in SERVICES
        for knob, is_free in zip(knobs(agent), masks[agent][0].tolist(), strict=True)
        if not is_free
    }
    assert masked == set(page.MASKED)
