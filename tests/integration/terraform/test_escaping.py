"""Whatever a value holds, Terraform reads back exactly it; and the layout is always fmt's own."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marl.gcp import hcl
from marl.gcp.plan import BucketPlan, StoragePlan
from marl.gcp.terraform import write_terraform
from tests.unit.marl.gcp.example_plans import example_compute, example_plan

pytestmark = pytest.mark.terraform

# Terraform normalises text to NFC; half surrogates are refused before (see the unit tests).
MARKUP = st.text(alphabet=st.sampled_from('$%{}"\\~\n\r\t u0x#/*<E'), max_size=12)
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
TEXT = st.one_of(MARKUP, ANY_TEXT)
# Of one column each, as fmt counts them: the keys the module writes are plainer still.
KEY = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
VALUE = st.recursive(
    st.one_of(
        TEXT,
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(-1e15, 1e15),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEY, inner, max_size=3)),
    max_leaves=8,
)
SLOW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def normal(value: object) -> object:
    """What Terraform makes of a value it was given exactly."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {normal(key): normal(each) for key, each in value.items()}
    return [normal(each) for each in value] if isinstance(value, list) else value


def same(found: object, expected: object) -> None:
    """Equal, numbers up to the digits JSON keeps."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert found.keys() == expected.keys()
        for key, each in expected.items():
            same(found[key], each)
    elif isinstance(expected, list):
        assert isinstance(found, list)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-12)
    else:
        assert found == expected


def read_back(terraform, folder: Path, value: object) -> object:
    """The value after a round trip through Terraform, which must find the layout canonical."""
    folder.mkdir(exist_ok=True)
    text = f'output "value" {{\n  value = {hcl.literal(value, 2)}\n}}\n'
    (folder / "main.tf").write_text(text, encoding="utf-8", newline="")
    terraform.ok(folder, "fmt", "-check", "-diff")
    terraform.ok(folder, "apply", "-auto-approve", "-compact-warnings")
    return terraform.output(folder)["value"]


@SLOW
@given(st.lists(TEXT, min_size=1, max_size=40))
def test_any_text_survives(terraform, tmp_path, texts) -> None:
    assert read_back(terraform, tmp_path / "m", texts) == normal(texts)


@SLOW
@given(st.dictionaries(KEY, VALUE, min_size=1, max_size=6))
def test_any_nested_value_survives_and_is_laid_out_as_fmt_does(terraform, tmp_path, value) -> None:
    same(read_back(terraform, tmp_path / "m", value), normal(value))


@pytest.mark.parametrize(
    "text",
    [
        "${1 + 1}",
        "$${x}",
        "$$${x}",
        "%{ for a in b }",
        "%%{x}",
        "$",
        "%",
        "\\${x}",
        "\x00",
        "<<EOT\n",
    ],
)
def test_templates_stay_text(terraform, tmp_path, text) -> None:
    assert read_back(terraform, tmp_path / "m", text) == text


@SLOW
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True),
            st.integers(0, 3),
            st.none() | st.integers(400, 999),
        ),
        unique_by=lambda each: each[0],
        max_size=5,
    ),
    st.floats(0.01, 1.0),
    TEXT,
)
def test_every_plan_is_laid_out_as_fmt_does(terraform, tmp_path, buckets, target, demand) -> None:
    steps = ((30, "NEARLINE"), (60, "COLDLINE"), (90, "ARCHIVE"))
    plan = example_plan(
        demand=demand,
        compute=example_compute(target_cpu_utilisation=target),
        storage=StoragePlan(
            disk_type="pd-ssd",
            disk_gib=10,
            buckets=tuple(
                BucketPlan(name_suffix=suffix, lifecycle=steps[:count], delete_after_days=days)
                for suffix, count, days in buckets
            ),
        ),
    )
    write_terraform(plan, tmp_path / "m")
    terraform.ok(tmp_path / "m", "fmt", "-check", "-diff")
