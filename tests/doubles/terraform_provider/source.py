"""Reads google 6.50's resource schemas out of the archived cdktf package.

`cdktf-cdktf-provider-google` was generated from the provider's own schema. Its jsii archive keeps,
inside source maps, the TypeScript with every property's type, whether it is a block, and whether it
is required, optional or computed. This module turns that text into plain dictionaries and caches
them. Protobuf belongs to `schema`.
"""

import base64
import hashlib
import importlib.util
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

from marl.files import staged

PACKAGE = "cdktf_cdktf_provider_google"
INSTALL_HINT = "install it with: pip install --no-deps cdktf-cdktf-provider-google==16.12.1"
Block = dict[str, Any]

_CLASS = re.compile(r"^export (?:interface|class) (\w+)", re.M)
_FIELD = re.compile(
    r"^  // (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n", re.M
)
_PROPERTY = re.compile(r"  /\*\*\n((?:(?!\*/).)*?)\*/\n  readonly (\w+)(\??): ([^;]+);", re.S)
_ANCHOR = re.compile(r"\{@link \S+#(\w+) ")
_NESTED = re.compile(r'new (\w+?)(List|OutputReference)\(this, "\w+"(?:, (true|false))?\)')
_GETTER = re.compile(r"get(String|Number|Boolean|List|NumberList|StringMap)Attribute\('")
_HCL = re.compile(
    r'^ +(\w+): \{\n.*\n +isBlock: \w+,\n +type: "(\w+)",\n +storageClassType: "(\w+)",', re.M
)
_ENUM = re.compile(r"Possible values: \[((?:\s*\"[^\"]*\",?)+)\s*\]")
_RESOURCE_TYPE = re.compile(r'tfResourceType = "(\w+)"')
_SCALARS = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
}
_INPUT_SCALARS = {"string": "string", "boolean": "bool", "number": "number"}


def archive() -> Path:
    """The package's jsii archive, found without importing the package."""
    spec = importlib.util.find_spec(PACKAGE)
    found = []
    if spec is not None and spec.submodule_search_locations:
        found = sorted(Path(spec.submodule_search_locations[0]).glob("_jsii/*.jsii.tgz"))
    if len(found) != 1:
        raise FileNotFoundError(f"the google provider's archived schema is missing; {INSTALL_HINT}")
    return found[0]


def cached_schemas() -> Path:
    """Path of the parsed schemas as JSON; parses the archive the first time (2 s)."""
    source = archive()
    stamp = f"{source.name}:{source.stat().st_size}".encode() + Path(__file__).read_bytes()
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = root / "stratoform" / f"google-schemas-{hashlib.sha256(stamp).hexdigest()[:16]}.json"
    if not path.is_file():
        schemas = parse_archive(source)
        with staged(path) as aside:
            aside.write_text(json.dumps(schemas, separators=(",", ":")))
    return path


def parse_archive(path: Path) -> dict[str, Any]:
    """All schemas: `{"provider": block, "resource": {type: block}, "data": {type: block}}`."""
    schemas: dict[str, Any] = {"provider": {}, "resource": {}, "data": {}}
    texts: dict[str, str] = {}  # by folder: the largest resources are spread over several files
    with tarfile.open(path) as tar:
        for member in tar:
            parts = member.name.split("/")
            if len(parts) >= 4 and parts[-1].endswith(".js"):
                stream = tar.extractfile(member)
                assert stream is not None
                texts[parts[2]] = texts.get(parts[2], "") + _typescript(stream.read())
    for folder in sorted(texts):
        _add(schemas, texts[folder])
    return schemas


def _typescript(javascript: bytes) -> str:
    start = javascript.rindex(b"base64,") + len(b"base64,")
    mapping = json.loads(base64.b64decode(javascript[start:].split()[0]))
    return mapping["sourcesContent"][0]


def _add(schemas: dict[str, Any], text: str) -> None:
    module = _Module(text)
    for name, body in module.classes.items():
        if " extends cdktf.TerraformProvider" in body[:200]:
            schemas["provider"] = module.block(name, f"{name}Config")
            return
        for base, kind in (("TerraformResource", "resource"), ("TerraformDataSource", "data")):
            if f" extends cdktf.{base} " in body[:300]:
                resource_type = _RESOURCE_TYPE.search(body)
                assert resource_type is not None
                schemas[kind][resource_type[1]] = module.block(name, f"{name}Config")
                return


class _Module:
    """One resource's TypeScript, cut into its classes, interfaces and HCL tables."""

    def __init__(self, text: str) -> None:
        starts = list(_CLASS.finditer(text))
        ends = [m.start() for m in starts[1:]] + [len(text)]
        self.classes: dict[str, str] = {}
        self.interfaces: dict[str, str] = {}
        for match, end in zip(starts, ends, strict=True):
            kept = self.classes if match[0].startswith("export class") else self.interfaces
            kept[match[1]] = text[match.start() : end]

    def block(self, class_name: str, interface: str) -> Block:
        """The block that `class_name` reads and `interface` (with its mapper) writes."""
        properties = self._properties(interface)
        text = self.interfaces.get(interface, "") + self.classes[class_name]
        written = {m[1]: (m[2], m[3]) for m in _HCL.finditer(text)}
        fields = list(_FIELD.finditer(self.classes[class_name]))
        ends = [*(m.start() for m in fields[1:]), len(self.classes[class_name])][: len(fields)]
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        for field, end in zip(fields, ends, strict=True):
            name, body = field[1], self.classes[class_name][field.end() : end]
            computed, optional, required = (field[i] == "true" for i in (2, 3, 4))
            nested = _NESTED.search(body)
            if nested is not None and (optional or required):
                blocks[name] = self._nested(nested, written[name][0], required)
                continue
            stored = written.get(name, ("", ""))[1]
            if nested is None and stored[:1].isupper():  # only the provider's own blocks
                blocks[name] = self._input_block(stored.removesuffix("List"))
                continue
            attribute: dict[str, Any] = {"type": self._type(body, nested, written.get(name))}
            attribute |= {
                k: True
                for k, v in (("computed", computed), ("optional", optional), ("required", required))
                if v
            }
            if allowed := _enum(properties.get(name, "")):
                attribute["enum"] = allowed
            attributes[name] = attribute
        return {"attributes": attributes, "blocks": blocks}

    def _nested(self, nested: re.Match[str], kind: str, required: bool) -> dict[str, Any]:
        single = nested[2] == "OutputReference"
        block = self.block(f"{nested[1]}OutputReference", nested[1])
        if kind == "struct":
            return {"nesting": "single", "min": 0, "max": 0, "block": block}
        nesting = "set" if kind == "set" or nested[3] == "true" else "list"
        bounds = {"min": int(required), "max": int(single)}
        return {"nesting": nesting, **bounds, "block": block}

    def _input_block(self, interface: str) -> dict[str, Any]:
        """A block nobody reads back: known by its interface and its mapper alone."""
        text = self.interfaces[interface]
        optional = {_ANCHOR.search(m[1])[1]: bool(m[3]) for m in _PROPERTY.finditer(text)}
        attributes = {
            m[1]: {
                "type": _INPUT_SCALARS[m[3]],
                "optional" if optional[m[1]] else "required": True,
            }
            for m in _HCL.finditer(text)
        }
        block = {"attributes": attributes, "blocks": {}}
        return {"nesting": "list", "min": 0, "max": 1, "block": block}

    def _type(
        self, body: str, nested: re.Match[str] | None, written: tuple[str, str] | None
    ) -> Any:
        if nested is not None:
            collection = "set" if nested[3] == "true" else "list"
            block = self.block(f"{nested[1]}OutputReference", nested[1])
            members = {name: each["type"] for name, each in block["attributes"].items()}
            return [collection, ["object", members]]
        if "new cdktf.StringMapList(" in body:
            return ["list", ["map", "string"]]
        if "new cdktf.StringMap(" in body:
            return ["map", "string"]
        getter = _GETTER.search(body)
        if getter is not None:
            scalar = _SCALARS[getter[1]]
            is_set = "cdktf.Fn.tolist(" in body or (written is not None and written[0] == "set")
            return ["set", scalar[1]] if is_set and isinstance(scalar, list) else scalar
        if written is not None and written[0] == "simple":  # a provider's fields have no getter
            return _INPUT_SCALARS[written[1]]
        if written is not None and written[1] in ("stringList", "stringMap"):
            return [written[0], "string"]
        raise ValueError(f"a property of unknown type: {body[:200]}")

    def _properties(self, interface: str) -> dict[str, str]:
        texts = _PROPERTY.findall(self.interfaces.get(interface, ""))
        return {m[1]: text for text, *_ in texts if (m := _ANCHOR.search(text))}


def _enum(text: str) -> list[str]:
    match = _ENUM.search(text)
    return re.findall(r'"([^"]*)"', match[1]) if match else []
