"""Manifests of the real files."""

from pathlib import Path

import pytest

from marl.traces.canonical import write_table
from tests.unit.marl.traces.canonical.raw import manifest, raw_file

NATIVE_2011 = {
    "machines": "machine_events",
    "collections": "job_events",
    "instances": "task_events",
    "usage": "task_usage",
}
NATIVE_2019 = {"instances": "instance_events", "usage": "instance_usage"}


@pytest.fixture(scope="session")
def real(shared_traces: Path):
    """Real files by (version or cell, table), as manifest entries."""
    found = {}
    for table, native in NATIVE_2011.items():
        paths = sorted((shared_traces / "google2011" / native).glob("*.csv.gz"))
        found["2011", table] = [raw_file(p, table, "google2011", "csv.gz") for p in paths]
    for cell in "abcd":
        folder = shared_traces / "google2019" / f"clusterdata_2019_{cell}"
        for table, native in NATIVE_2019.items():
            path = folder / f"{native}-000000000000.json.gz"
            found[cell, table] = [raw_file(path, table, "google2019", "json.gz")]
    machines = shared_traces / "google2019" / "clusterdata_2019_a" / "machine_events-000000000000"
    json, parquet = (machines.with_name(machines.name + end) for end in (".json.gz", ".parquet.gz"))
    found["a", "machines"] = [raw_file(json, "machines", "google2019", "json.gz")]
    found["a parquet", "machines"] = [raw_file(parquet, "machines", "google2019", "parquet")]
    kaggle = shared_traces / "google2019" / "kaggle_layout" / "borg_traces_data.csv.gz"
    for table in ("collections", "instances", "usage"):
        found["kaggle", table] = [raw_file(kaggle, None, "kaggle2019", "csv.gz")]
    return {key: manifest(*files) for key, files in found.items()}


@pytest.fixture(scope="session")
def written(real, tmp_path_factory):
    """Folder of the canonical table of (version or cell, table); each is written once."""
    folders = {}

    def folder(where: str, table: str) -> Path:
        if (where, table) not in folders:
            into = tmp_path_factory.mktemp("real") / "table"
            write_table(real[where, table], into, table, into)
            folders[where, table] = into
        return folders[where, table]

    return folder
