"""docs/simulator.md says what the code does: named quantities, weights, files."""

import pytest

from marl.cloud.config import WEIGHT_RANGES, Weights
from marl.cloud.figures import figure_names
from tests.conftest import REPO


@pytest.fixture(scope="module")
def page():
    return (REPO / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_every_named_quantity_is_explained_and_none_is_invented(page):
    table = page.split("## `step.info`")[1].split("\n## ")[0]
    keys = set(table.split("`")[1::2]) - {"step.info", "slo_ms"}
    assert keys == set(figure_names(3))


def test_weights_and_ranges_are_those_of_the_code(page):
    def text(value):
        return f"{value:.2f}".removeprefix("0")

    for name, (low, high) in WEIGHT_RANGES.items():
        weight = text(getattr(Weights(), name))
        assert f"| {name} | {weight} ({text(low)}–{text(high)}) |" in page


def test_every_file_of_the_cloud_has_its_line(page):
    table = page.split("| file of `marl/cloud` |")[1].split("\n\n")[0]
    named = set(table.split("`")[1::2])
    folder = REPO / "marl" / "cloud"
    parts = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    parts |= {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert named == parts
