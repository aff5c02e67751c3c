"""The stand-in itself: what it serves is google 6.50's schema, typed in here where it matters."""

import json

import pytest

from tests.doubles.terraform_provider import rules, source, values


@pytest.fixture(scope="module")
def schemas():
    return json.loads(source.cached_schemas().read_text())


def test_it_serves_every_resource_of_google_6_50(schemas) -> None:
    assert len(schemas["resource"]) == 1096
    assert len(schemas["data"]) == 373
    assert all(name.startswith("google_") for name in (*schemas["resource"], *schemas["data"]))


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("google_compute_network", "name", {"type": "string", "required": True}),
        ("google_compute_network", "self_link", {"type": "string", "computed": True}),
        (
            "google_compute_network",
            "routing_mode",
            {
                "type": "string",
                "computed": True,
                "optional": True,
                "enum": ["REGIONAL", "GLOBAL"],
            },
        ),
        ("google_compute_network", "mtu", {"type": "number", "computed": True, "optional": True}),
        ("google_storage_bucket", "force_destroy", {"type": "bool", "optional": True}),
        (
            "google_compute_backend_service",
            "health_checks",
            {"type": ["set", "string"], "optional": True},
        ),
        (
            "google_compute_instance_template",
            "labels",
            {"type": ["map", "string"], "optional": True},
        ),
    ],
)
def test_attributes(schemas, kind, path, expected) -> None:
    assert schemas["resource"][kind]["attributes"][path] == expected


@pytest.mark.parametrize(
    ("kind", "name", "nesting", "least", "most"),
    [
        ("google_compute_instance_template", "disk", "list", 1, 0),
        ("google_compute_instance_template", "service_account", "list", 0, 1),
        ("google_compute_region_autoscaler", "autoscaling_policy", "list", 1, 1),
        ("google_compute_firewall", "allow", "set", 0, 0),
        ("google_compute_network", "timeouts", "single", 0, 0),
    ],
)
def test_blocks(schemas, kind, name, nesting, least, most) -> None:
    block = schemas["resource"][kind]["blocks"][name]
    assert (block["nesting"], block["min"], block["max"]) == (nesting, least, most)


def test_nested_objects_only_google_sets(schemas) -> None:
    addresses = schemas["resource"]["google_sql_database_instance"]["attributes"]["ip_address"]
    members = {"ip_address": "string", "time_to_retire": "string", "type": "string"}
    assert addresses == {"type": ["list", ["object", members]], "computed": True}


def test_the_same_resource_is_created_the_same_way_twice(schemas) -> None:
    block = schemas["resource"]["google_compute_network"]
    empty = {**dict.fromkeys(block["attributes"]), "name": "n", "params": [], "timeouts": None}
    wanted = values.mark_computed(block, empty)
    first, second = (values.fill("google_compute_network", block, wanted, "p") for _ in range(2))
    assert first == second
    assert not values.has_unknown(first)
    assert first["id"] == "projects/p/global/networks/n"
    assert values.mark_computed(block, first) == first


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("google_service_account", {"account_id": "x" * 31}, "6 to 30 characters"),
        ("google_service_account", {"account_id": "short"}, "6 to 30 characters"),
        ("google_storage_bucket", {"name": "x" * 64}, "3 to 63 characters"),
        ("google_storage_bucket", {"name": "my-google-bucket"}, "bucket name"),
        ("google_compute_network", {"name": "Upper"}, "RFC 1035"),
        ("google_compute_network", {"name": "x" * 64}, "RFC 1035"),
        ("google_compute_subnetwork", {"ip_cidr_range": "10.0.0.1/24"}, "not a CIDR range"),
        ("google_compute_instance_template", {"name_prefix": "x" * 55}, "exceeds 54"),
        (
            "google_compute_instance_template",
            {"name": "a", "name_prefix": "b"},
            'conflicts with "name"',
        ),
        ("google_storage_bucket", {"labels": {"Key": "v"}}, "not a label key"),
        ("google_storage_bucket", {"labels": {"key": "V"}}, "not a label value"),
        ("google_compute_network", {"self_link": "x"}, "Can't configure a value"),
        (
            "google_compute_router_nat",
            {"log_config": [{"enable": True, "filter": "SOME"}]},
            "expected filter to be one of",
        ),
        ("google_compute_health_check", {"timeout_sec": 0}, "expected 1 to 300"),
    ],
)
def test_values_the_provider_refuses(schemas, kind, config, message) -> None:
    found = rules.problems(kind, schemas["resource"][kind], config)
    assert [text for _, text in found if message in text]


def test_a_missing_archive_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(source, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps cdktf-cdktf-provider-goog"):
        source.archive()
