"""The statements sent to BigQuery: text, parameters and the price of running them.

The texts lie in `sql/bigquery`. Table names and what the sample hashes are identifiers, which
no parameter can carry, so they are checked and quoted here; every value is a parameter.
"""

import re
from dataclasses import dataclass
from typing import Final

from marl.files import sha256_json
from marl.sqlfiles import load_sql
from marl.traces.manifest import Table, TraceRequest
from marl.traces.schema import AFTER_END_US
from marl.traces.sources.base import SourceError
from marl.traces.sources.retrying import redact

NATIVE: Final[dict[Table, str]] = {
    "machines": "machine_events",
    "collections": "collection_events",
    "instances": "instance_events",
    "usage": "instance_usage",
}
# On-demand price of the US multi-region; the first TiB of a month and billing account is free.
# As third parties quoted it in 2026; the price in force: cloud.google.com/bigquery/pricing.
USD_PER_TIB: Final = 6.25
FREE_TIB_PER_MONTH: Final = 1
TIB: Final = 1 << 40
MIB: Final = 1 << 20
MINIMUM_BYTES: Final = 10 * MIB  # billed at least, per query and per table it reads

_SHARES: Final = 1_000_000  # the sample is counted in millionths
_PROJECT: Final = r"(?:[a-z0-9][a-z0-9.-]*:)?[a-z][a-z0-9-]*"
_LOCATION: Final = re.compile(rf"({_PROJECT})\.([A-Za-z0-9_]{{1,1024}})")
# What the sample hashes, as in `marl.traces.selection`. By collections, machines all stay; by
# machines, a row without one (a waiting instance, a collection) goes with its collection.
_MACHINE_OR_COLLECTION: Final = "IF(`machine_id` > 0, `machine_id`, `collection_id`)"
_SAMPLED: Final[dict[str, dict[Table, str]]] = {
    "collections": dict.fromkeys(("collections", "instances", "usage"), "`collection_id`"),
    "machines": {
        "machines": "`machine_id`",
        "collections": "`collection_id`",
        "instances": _MACHINE_OR_COLLECTION,
        "usage": _MACHINE_OR_COLLECTION,
    },
}


@dataclass(frozen=True)
class Statement:
    """A query that extracts one table.

    Attributes:
        table: canonical table.
        source: `project.dataset.table`, unquoted.
        sql: the text, identifiers filled in.
        parameters: name → value; integers and strings.
    """

    table: Table
    source: str
    sql: str
    parameters: dict[str, int | str]

    def identity(self, tag: str) -> str:
        """Hash of what is asked and of the version (`tag`) of the table it is asked of."""
        return sha256_json({"sql": self.sql, "parameters": self.parameters, "tag": tag})


def parse_location(location: str) -> tuple[str, str]:
    """Project and dataset of `project.dataset` (the project possibly as `domain.com:project`).

    Raises:
        SourceError: it is not of that form.
    """
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise SourceError(
            f"{redact(location)!r} is not a dataset: TRACE_PATH must be project.dataset, e.g. "
            "google.com:google-cluster-data.clusterdata_2019_a"
        )
    return match[1], match[2]


def statement(request: TraceRequest, table: Table) -> Statement:
    """The statement that extracts a table of the request's dataset."""
    project, dataset = parse_location(str(request.location))
    source = f"{project}.{dataset}.{NATIVE[table]}"
    sampled = _SAMPLED[request.sample_by].get(table)
    # MOD before ABS: the absolute value of the smallest 64-bit number does not exist.
    sample = (
        f"ABS(MOD(FARM_FINGERPRINT(CONCAT(@salt, CAST({sampled} AS STRING))), {_SHARES})) "
        "< @sample_threshold"
        if sampled and request.sample < 1
        else "TRUE"
    )
    text = load_sql("bigquery", f"extract_{NATIVE[table]}")
    sql = text.replace("{table}", source).replace("{sample}", sample)
    values: dict[str, int | str] = {
        "start_us": request.start_us,
        "last_us": AFTER_END_US if request.end_us is None else request.end_us - 1,
        "salt": f"{request.seed}:",
        "sample_threshold": max(1, round(request.sample * _SHARES)),
    }
    used = {name: value for name, value in values.items() if re.search(rf"@{name}\b", sql)}
    return Statement(table, source, sql, used)


def billed_bytes(processed_bytes: int) -> int:
    """What BigQuery bills for a statement on one table: whole MiB, ten of them at least."""
    return max(MINIMUM_BYTES, -(-processed_bytes // MIB) * MIB)


def price_usd(billed: int) -> float:
    """On-demand price of billed bytes, without the free tier."""
    return billed / TIB * USD_PER_TIB
