"""Every method, field and Terraform attribute that we name exists.

Methods and fields in Google's discovery documents, as `google-api-python-client` ships them;
attributes in the schema of the `google` provider 6.50.
"""

import functools
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from marl.cloud.actions import knobs
from marl.cloud.types import SERVICES
from marl.gcp.operations import KINDS
from tests.doubles.terraform_provider.source import cached_schemas
from tests.unit.marl.gcp.example_operations import EXAMPLES

VERSIONS = {"compute": "v1", "sqladmin": "v1", "storage": "v1", "redis": "v1", "dns": "v1"}
KNOBS = [(agent, knob) for agent in SERVICES for knob in knobs(agent)]


@functools.cache
def discovery(api):
    spec = find_spec("googleapiclient")
    if spec is None:
        pytest.fail("pip install google-api-python-client: it ships Google's discovery documents")
    folder = Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents"
    return json.loads((folder / f"{api}.{VERSIONS[api]}.json").read_text(encoding="utf-8"))


def method(name):
    api, *resources, verb = name.split(".")
    place = discovery(api)
    for resource in resources:
        place = place["resources"][resource]
    return api, place["methods"][verb]


def schema_of(api, node):
    return discovery(api)["schemas"][node["$ref"]] if "$ref" in node else node


def field(api, node, path):
    """The schema of `a.b[].c` below `node`; KeyError where it is missing."""
    for part in path.split("."):
        node = schema_of(api, node)["properties"][part.removesuffix("[]")]
        if part.endswith("[]"):
            node = node["items"]
    return node


def misfits(api, node, value, path=""):
    """What of a body does not fit a schema: unknown names, wrong types, unknown enum values."""
    node = schema_of(api, node)
    kind = node.get("type", "object")
    if kind == "object":
        if not isinstance(value, dict):
            return [f"{path}: not an object"]
        if "additionalProperties" in node:
            inner = node["additionalProperties"]
            return [m for k, v in value.items() for m in misfits(api, inner, v, f"{path}.{k}")]
        known = node["properties"]
        found = [f"{path}.{k}: unknown" for k in value if k not in known]
        for name in value.keys() & known.keys():
            found += misfits(api, known[name], value[name], f"{path}.{name}")
        return found
    if kind == "array":
        return [m for v in value for m in misfits(api, node["items"], v, f"{path}[]")]
    python = {"string": str, "integer": int, "number": (int, float), "boolean": bool}[kind]
    if not isinstance(value, python) or (kind != "boolean" and isinstance(value, bool)):
        return [f"{path}: {value!r} is not {kind}"]
    if value not in node.get("enum", [value]):
        return [f"{path}: {value!r} is none of {node['enum']}"]
    if node.get("format") == "int64" and not re.fullmatch(r"-?\d+", value):
        return [f"{path}: {value!r} is no int64"]
    return []


@functools.cache
def terraform_resources():
    return json.loads(cached_schemas().read_text(encoding="utf-8"))["resource"]


def terraform_attribute(path):
    resource, *names = path.split(".")
    block = terraform_resources()[resource]
    for name in names[:-1]:
        block = block["blocks"][name]["block"]
    if not names:
        return block
    return block["attributes"][names[-1]]


@pytest.mark.parametrize(("agent", "knob"), KNOBS, ids=[f"{a}-{k.name}" for a, k in KNOBS])
def test_every_knob_names_methods_and_fields_that_google_has(agent, knob):
    for part in knob.operation.split("; "):
        name, path = part.split(": ")
        api, found = method(name)
        if path in found["parameters"]:
            continue
        assert field(api, found["request"], path)


@pytest.mark.parametrize(("agent", "knob"), KNOBS, ids=[f"{a}-{k.name}" for a, k in KNOBS])
def test_every_knob_names_terraform_attributes_that_can_be_set(agent, knob):
    for path in knob.terraform.split("; "):
        attribute = terraform_attribute(path)
        assert attribute.get("optional") or attribute.get("required"), path


def test_the_checks_notice_what_is_wrong():
    api, found = method("compute.backendServices.patch")
    with pytest.raises(KeyError):
        field(api, found["request"], "backends[].maxUtilisation")
    with pytest.raises(KeyError):
        method("compute.proxies.patch")
    with pytest.raises(KeyError):
        terraform_attribute("google_compute_disk.sise")
    body = {"sizeGb": 5, "colour": "red", "accessMode": "SOMETIMES"}
    wrong = misfits("compute", {"$ref": "Disk"}, body)
    assert sorted(each.split(":")[0] for each in wrong) == [".accessMode", ".colour", ".sizeGb"]


def test_there_is_an_example_of_every_operation():
    assert {type(each) for each in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.kind)
def test_every_operation_is_a_request_that_google_describes(example):
    api, found = method(example.api_method)
    parameters = example.parameters("my-project")
    required = {name for name, each in found["parameters"].items() if each.get("required")}
    assert required <= parameters.keys() <= found["parameters"].keys()
    for name, value in parameters.items():
        if pattern := found["parameters"][name].get("pattern"):
            assert re.fullmatch(pattern, str(value)), name
    body = example.body()
    if body is None:
        assert "request" not in found
    else:
        assert misfits(api, found["request"], body) == []
    assert terraform_attribute(example.terraform_resource)["attributes"]
