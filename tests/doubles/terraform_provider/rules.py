"""What the real provider refuses although the types are right, as its 6.50 documentation states.

Only rules that the provider itself applies before it calls Google; Google has many more.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.doubles.terraform_provider.source import Block
from tests.doubles.terraform_provider.values import UNKNOWN

Path = list[str | int]
Problem = tuple[Path, str]
_RFC1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")


def problems(kind: str, block: Block, config: dict[str, Any]) -> list[Problem]:
    """Everything wrong with a configuration whose types are already right."""
    found = list(_attributes(block, config, []))
    for path, check in _RULES.get(kind, {}).items():
        value = config.get(path)
        if value is not None and value is not UNKNOWN and (message := check(value)):
            found.append(([path], message))
    name = config.get("name")
    is_bad_name = isinstance(name, str) and not _RFC1035.fullmatch(name)
    if kind.startswith("google_compute_") and is_bad_name:
        found.append((["name"], f"{name!r} is not an RFC 1035 name of at most 63 characters"))
    labels = config.get("labels")
    if isinstance(labels, dict):
        found += [(["labels"], m) for m in map(_label, labels.items()) if m]
    if config.get("name") is not None and config.get("name_prefix") is not None:
        found.append((["name_prefix"], '"name_prefix" conflicts with "name"'))
    return found


def must_replace(kind: str, name: str) -> bool:
    """Whether a change of this top-level argument makes a new resource."""
    if kind == "google_compute_instance_template":
        return name != "timeouts"
    immutable = {"name", "name_prefix", "project", "region", "location", "zone", "account_id"}
    return name in immutable or (kind == "google_compute_subnetwork" and name == "network")


def forbids_deletion(kind: str, state: dict[str, Any]) -> str | None:
    """Why this resource may not be deleted now, or None."""
    if kind == "google_sql_database_instance" and state.get("deletion_protection"):
        return "deletion_protection is true: set it to false and apply before destroying"
    return None


def _attributes(block: Block, config: dict[str, Any], path: Path) -> Iterator[Problem]:
    for name, attribute in block["attributes"].items():
        allowed, value = attribute.get("enum"), config.get(name)
        if allowed and isinstance(value, str) and value not in allowed:
            yield [*path, name], f"expected {name} to be one of {allowed}, got {value!r}"
        if value is not None and not (attribute.get("optional") or attribute.get("required")):
            yield [*path, name], f'Can\'t configure a value for "{name}": Google decides it'
    for name, nested in block["blocks"].items():
        inner = config.get(name)
        for index, each in enumerate(inner if isinstance(inner, list) else []):
            if isinstance(each, dict):
                deeper = [*path, name] + ([index] if nested["nesting"] == "list" else [])
                yield from _attributes(nested["block"], each, deeper)


def _matches(pattern: re.Pattern[str], meaning: str) -> Callable[[str], str | None]:
    return lambda text: None if pattern.fullmatch(text) else f"{text!r} is not {meaning}"


def _label(item: tuple[str, Any]) -> str | None:
    key, value = item
    if not _LABEL_KEY.fullmatch(key):
        return f"{key!r} is not a label key"
    if isinstance(value, str) and not _LABEL_VALUE.fullmatch(value):
        return f"{value!r} is not a label value"
    return None


def _cidr(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"not a CIDR range: {error}"
    return None


def _between(low: int, high: int) -> Callable[[float], str | None]:
    return lambda number: (
        None if low <= number <= high else f"expected {low} to {high}, got {number}"
    )


_RULES: dict[str, dict[str, Callable[[Any], str | None]]] = {
    "google_service_account": {
        "account_id": _matches(
            re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]"), "an account id of 6 to 30 characters"
        ),
    },
    "google_storage_bucket": {
        "name": _matches(
            re.compile(r"(?!goog)(?!.*google)[a-z0-9][-_a-z0-9]{1,61}[a-z0-9]"),
            "a bucket name of 3 to 63 characters",
        ),
    },
    "google_compute_instance_template": {
        "name_prefix": lambda text: (
            None if len(text) <= 54 else f"name_prefix of {len(text)} characters exceeds 54"
        ),
    },
    "google_compute_subnetwork": {"ip_cidr_range": _cidr},
    "google_compute_health_check": {
        "check_interval_sec": _between(1, 300),
        "timeout_sec": _between(1, 300),
    },
}
