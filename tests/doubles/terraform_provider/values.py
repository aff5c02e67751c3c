"""What a provider does to values: decode, mark as unknown, and fill in once they exist.

Values are plain Python (dict, list, str, int, float, bool, None) with `UNKNOWN` for what only the
cloud can say. Which values are acceptable belongs to `rules`; the protocol to `servicer`.
"""

import hashlib
import json
from typing import Any

import msgpack
from tf import types
from tf.gen import tfplugin_pb2 as pb

from tests.doubles.terraform_provider.source import Block

UNKNOWN = types.Unknown
API = "https://www.googleapis.com/compute/v1/"
_LABELS = ("effective_labels", "terraform_labels")


def decode(value: pb.DynamicValue) -> Any:
    """A wire value; unknowns, refined or not, become `UNKNOWN`."""
    if value.json:
        return json.loads(value.json)
    if not value.msgpack:
        return None
    return msgpack.unpackb(value.msgpack, ext_hook=lambda _code, _data: UNKNOWN)


def encode(value: Any) -> pb.DynamicValue:
    """The wire form of a value."""
    packed = msgpack.packb(
        value, default=lambda each: msgpack.ExtType(0, b"\0") if each is UNKNOWN else each
    )
    return pb.DynamicValue(msgpack=packed)


def has_unknown(value: Any) -> bool:
    """Whether anything inside is still unknown."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return value is UNKNOWN


def mark_computed(block: Block, value: dict[str, Any]) -> dict[str, Any]:
    """`value` with every computed attribute nobody has set marked unknown, at every depth."""
    out = dict(value)
    for name, attribute in block["attributes"].items():
        if attribute.get("computed") and out.get(name) is None:
            out[name] = UNKNOWN
    for name, nested in block["blocks"].items():
        inner = out.get(name)
        if nested["nesting"] == "single":
            continue  # timeouts hold nothing computed
        if isinstance(inner, list):
            out[name] = [
                mark_computed(nested["block"], each) if isinstance(each, dict) else each
                for each in inner
            ]
    return out


def mark_labels(block: Block, value: dict[str, Any]) -> dict[str, Any]:
    """Plan the labels in effect from the labels wanted, as the real provider does."""
    if not all(name in block["attributes"] for name in _LABELS):
        return value
    wanted = value.get("labels") or {}
    return value | dict.fromkeys(_LABELS, wanted if wanted is UNKNOWN else dict(wanted))


def fill(kind: str, block: Block, value: dict[str, Any], project: str) -> dict[str, Any]:
    """`value` with every unknown replaced by what this cloud would say, always the same for it."""
    known = {k: v for k, v in value.items() if not has_unknown(v)}
    seed = json.dumps([kind, known], sort_keys=True, default=str)
    return _fill_block(block, value, _Cloud(kind, value, project, seed))


def _fill_block(block: Block, value: dict[str, Any], cloud: "_Cloud") -> dict[str, Any]:
    out = dict(value)
    for name, attribute in block["attributes"].items():
        if out.get(name) is UNKNOWN:
            out[name] = cloud.say(name, attribute["type"], value)
    for name, nested in block["blocks"].items():
        inner = out.get(name)
        if isinstance(inner, list):
            out[name] = [_fill_block(nested["block"], each, cloud) for each in inner]
    return out


class _Cloud:
    """Answers for one resource."""

    def __init__(self, kind: str, value: dict[str, Any], project: str, seed: str) -> None:
        self.kind, self.seed = kind, seed
        self.project = _text(value.get("project")) or project
        self.region = _text(value.get("region")) or "us-central1"
        self.account = _text(value.get("account_id"))
        self.name = self._name(value)
        place = f"regions/{self.region}" if "region" in value else "global"
        collection = kind.removeprefix("google_").split("_", 1)[-1] + "s"
        self.path = f"projects/{self.project}/{place}/{collection}/{self.name}"

    def _name(self, value: dict[str, Any]) -> str:
        if name := _text(value.get("name")) or self.account:
            return name
        return (_text(value.get("name_prefix")) or "generated-") + self._hash("name")[:16]

    def _hash(self, what: str) -> str:
        return hashlib.sha256(f"{what}:{self.seed}".encode()).hexdigest()

    def say(self, name: str, kind: Any, value: dict[str, Any]) -> Any:
        """The value of a computed attribute."""
        if kind == "string":
            return self._string(name)
        if kind == "number":
            return int(self._hash(name)[:6], 16)
        if kind == "bool":
            return False
        return {} if kind[0] == "map" else []

    def _string(self, name: str) -> str:
        email = f"{self.account}@{self.project}.iam.gserviceaccount.com"
        link = API + self.path
        octet = int(self._hash("address")[:2], 16)
        answers = {
            "id": self.path,
            "name": self.name,
            "project": self.project,
            "region": self.region,
            "self_link": link,
            "self_link_unique": f"{link}?uniqueId={self._hash('unique')[:12]}",
            "instance_group": link.replace("instance_group_managers", "instanceGroups"),
            "email": email,
            "member": f"serviceAccount:{email}",
            "connection_name": f"{self.project}:{self.region}:{self.name}",
            "address": f"203.0.113.{octet}",
            "ip_address": f"203.0.113.{octet}",
            "private_ip_address": f"10.200.0.{octet}",
            "url": f"gs://{self.name}",
        }
        return answers.get(name) or f"{name}-{self._hash(name)[:12]}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
