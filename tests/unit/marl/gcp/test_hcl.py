"""HCL literals: exact text for cases worked by hand."""

import math

import pytest

from marl.gcp.hcl import literal, quote


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", '"plain"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines\r\tend", r'"two\nlines\r\tend"'),
        ("${var.secret}", r'"\u0024{var.secret}"'),
        ("$${doubled}", r'"$\u0024{doubled}"'),
        ("%{ if true }", r'"\u0025{ if true }"'),
        ("costs 5 $ or 5 %", '"costs 5 $ or 5 %"'),
        ("bell\x07", r'"bell\u0007"'),
        ("né→😀", '"né→😀"'),
        ("", '""'),
    ],
)
def test_text_stands_for_itself(text: str, expected: str) -> None:
    assert quote(text) == expected


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="lone surrogate"):
        quote("broken \ud83d")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (0.625, "0.625"),
        ((), "[]"),
        (("a", "b"), '["a", "b"]'),
        ({}, "{}"),
        ([{}], "[{}]"),
    ],
)
def test_scalars_and_empties(value: object, expected: str) -> None:
    assert literal(value) == expected


def test_maps_align_as_fmt_does() -> None:
    value = {
        "a": 1,
        "longer": 2,
        "nested": {"x": None},
        "z": [{"age_days": 30, "kind": "COLDLINE"}],
        "needs quotes": True,
        "for": "reserved",
    }
    assert literal(value, 2) == (
        "{\n"
        "    a      = 1\n"
        "    longer = 2\n"
        "    nested = {\n"
        "      x = null\n"
        "    }\n"
        "    z = [\n"
        '      { age_days = 30, kind = "COLDLINE" },\n'
        "    ]\n"
        '    "needs quotes" = true\n'
        '    "for"          = "reserved"\n'
        "  }"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_without_a_literal_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no literal"):
        literal(value)


def test_types_without_a_literal_are_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        literal(b"bytes")
