"""Python values as HCL literals in `terraform fmt`'s canonical layout.

Values only: strings are escaped so that nothing in them is ever evaluated. The files they go into
are templates and belong to `terraform`.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence

Value = str | bool | int | float | None | Sequence["Value"] | Mapping[str, "Value"]

_BARE_KEY = re.compile(r"[a-z_][a-z0-9_-]*")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_RESERVED_KEYS = {"true", "false", "null", "for", "if", "in"}


def quote(text: str) -> str:
    r"""A quoted HCL string that stands for exactly `text`.

    Template markers lose their meaning: a `$` or `%` before a brace is written as a Unicode escape,
    which Terraform decodes only after it has looked for templates. (Doubling the marker, HCL's
    other way, is ambiguous when the text already holds a run of them.) So are control characters.

    Raises:
        ValueError: `text` holds half of a surrogate pair, which UTF-8 cannot carry.
    """
    out = []
    for index, character in enumerate(text):
        code = ord(character)
        if 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"cannot write a lone surrogate (U+{code:04X}) to Terraform")
        if character in _SHORT:
            out.append(_SHORT[character])
        elif _is_invisible(code) or (character in "$%" and text[index + 1 : index + 2] == "{"):
            out.append(f"\\u{code:04x}")
        else:
            out.append(character)
    return f'"{"".join(out)}"'


def _is_invisible(code: int) -> bool:
    return code < 0x20 or 0x7F <= code <= 0x9F or code in (0x2028, 0x2029, 0xFEFF)


def literal(value: Value, indent: int = 0) -> str:
    """`value` as an HCL expression.

    Args:
        value: text, truth value, finite number, None, or lists and string-keyed maps of such.
            Maps keep their order and take one line an entry; lists of maps one line a map. Keys of
            other than ASCII letters are legal, but fmt may align them otherwise.
        indent: column at which the expression's line begins, for the lines after the first.

    Raises:
        ValueError: a number that is not finite, or text that cannot be written.
        TypeError: a type HCL has no literal for.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return _map(value, indent)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return _list(value, indent)
    raise TypeError(f"HCL has no literal for {type(value).__name__}")


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"HCL has no literal for {value}")
    return json.dumps(value)


def _map(value: Mapping[str, Value], indent: int) -> str:
    if not value:
        return "{}"
    pad = " " * (indent + 2)
    entries = [(_key(key), literal(each, indent + 2)) for key, each in value.items()]
    lines = []
    for run in _runs(entries):
        width = max(len(key) for key, _ in run)
        lines += [f"{pad}{key.ljust(width)} = {text}" for key, text in run]
    return "{\n" + "\n".join(lines) + f"\n{' ' * indent}}}"


def _runs(entries: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Neighbouring one-line entries, whose equal signs fmt aligns; a longer entry stands alone."""
    runs: list[list[tuple[str, str]]] = []
    is_open = False
    for entry in entries:
        is_short = "\n" not in entry[1]
        if is_short and is_open:
            runs[-1].append(entry)
        else:
            runs.append([entry])
        is_open = is_short
    return runs


def _list(value: Sequence[Value], indent: int) -> str:
    if not any(isinstance(each, Mapping) and each for each in value):
        return _inline(value)
    pad = " " * (indent + 2)
    lines = [f"{pad}{_inline(each)}," for each in value]
    return "[\n" + "\n".join(lines) + f"\n{' ' * indent}]"


def _inline(value: Value) -> str:
    if isinstance(value, Mapping) and value:
        inner = ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    return literal(value)


def _key(key: str) -> str:
    is_bare = _BARE_KEY.fullmatch(key) and key not in _RESERVED_KEYS
    return key if is_bare else quote(key)
