"""From instance events to what ran when: runs, waiting times, resubmissions.

Each instance's events must be seen together and in order. They lie scattered over the whole trace,
so they are first dealt into buckets by instance, each small enough to hold (a collection is not: it
may be a quarter of the trace), and a bucket is worked through at once. Counting by window or by
collection belongs to the callers.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from marl.features.groups import GROUP, with_groups
from marl.features.tables import parts, scan_table, time_slices
from marl.traces.schema import AFTER_END_US, INSTANCES, TERMINAL_EVENTS

BUCKET_ROWS: Final = 1_000_000  # about half a GiB while a bucket is worked through
INSTANCE: Final = ("collection_id", "instance_index")
_COLUMNS: Final = (
    "time_us",
    *INSTANCE,
    "event",
    "collection_type",
    "alloc_collection_id",
    *GROUP,
    "user",
    "cpu_request_ncu",
    "memory_request_nmu",
    "is_snapshot",
)


def event_buckets(
    tables: Mapping[str, Path],
    groups: pl.DataFrame,
    scratch: Path,
    bucket_rows: int = BUCKET_ROWS,
) -> Iterator[pl.DataFrame]:
    """Deal instance events into buckets that hold every event of their instances.

    Args:
        tables: canonical table folders by name.
        groups: tier and class by collection, for rows that lack them.
        scratch: an existing folder for what does not fit at once; the caller removes it.
        bucket_rows: about how many rows to hold at once.

    Yields:
        Events sorted by collection, instance, time and place in the life cycle.
    """
    files = parts(tables.get("instances"))
    rows = scan_table(tables, "instances").select(pl.len()).collect().item()
    if rows <= bucket_rows:
        yield _in_order(with_groups(scan_table(tables, "instances").select(_COLUMNS), groups))
        return
    buckets = -(-rows // bucket_rows)
    folders = [scratch / f"bucket-{number:06d}" for number in range(buckets)]
    for folder in folders:
        folder.mkdir()
    number = (pl.struct(INSTANCE).hash(seed=0) % buckets).cast(pl.Int64).alias("bucket")
    for place, events in enumerate(time_slices(files, "time_us", INSTANCES, bucket_rows)):
        dealt = with_groups(events.select(_COLUMNS), groups).with_columns(number).collect()
        for (bucket,), some in dealt.partition_by(
            "bucket", as_dict=True, include_key=False
        ).items():
            some.write_ipc(folders[bucket] / f"{place:06d}.arrow", compression="lz4")
    for folder in folders:
        pieces = sorted(folder.iterdir())
        if pieces:
            yield _in_order(pl.scan_ipc(pieces, glob=False))
        shutil.rmtree(folder)  # what has been worked through needs no room


def _in_order(events: pl.LazyFrame) -> pl.DataFrame:
    keys = (*INSTANCE, "time_us", "event", "cpu_request_ncu", "memory_request_nmu")
    return events.sort(keys).collect()


def _new_instance() -> pl.Expr:
    """True on the first row of each instance in a frame sorted by instance."""
    changed = [pl.col(name) != pl.col(name).shift(1) for name in INSTANCE]
    return pl.any_horizontal(changed).fill_null(True)


def with_resubmissions(events: pl.DataFrame) -> pl.DataFrame:
    """Mark SUBMIT rows of instances that had been submitted before: `is_resubmission`."""
    submit = pl.col("event") == "SUBMIT"
    earlier = submit.cast(pl.Int64).cum_sum().over(INSTANCE)
    return events.with_columns(is_resubmission=submit & (earlier > 1))


def queueing_delays(events: pl.DataFrame) -> pl.DataFrame:
    """Time from each submission to the scheduling that answers it.

    Submissions before the trace began (snapshot rows) have no known time and give no delay; a
    scheduling without a submission since the last one (an eviction put right in place) gives none.

    Returns:
        time_us (of the scheduling), tier, scheduling_class, collection_id, delay_us.
    """
    return (
        events.lazy()
        .filter(pl.col("event").is_in(["SUBMIT", "SCHEDULE"]), pl.col("time_us") < AFTER_END_US)
        .with_columns(
            since_us=pl.when(
                ~_new_instance(),
                pl.col("event").shift(1) == "SUBMIT",
                ~pl.col("is_snapshot").shift(1).fill_null(False),
            ).then(pl.col("time_us").shift(1))
        )
        .filter(pl.col("event") == "SCHEDULE", pl.col("since_us").is_not_null())
        .select("time_us", *GROUP, "collection_id", delay_us=pl.col("time_us") - pl.col("since_us"))
        .collect()
    )


def running_stretches(events: pl.DataFrame) -> pl.DataFrame:
    """Stretches of time in which an instance runs with constant requests.

    An instance runs from SCHEDULE to its next terminal event. Several events at one microsecond
    have no order in the trace: they are netted, so an eviction and a rescheduling at one instant
    leave a running instance running, and a start and an end leave a stopped one stopped. A request
    missing in a row is the last one known of the instance.

    Returns:
        collection_id, instance_index, alloc_collection_id, tier, scheduling_class, run (ordinal of
        the run in the frame), start_us, end_us (`AFTER_END_US` when no end was seen),
        cpu_request_ncu, memory_request_nmu, is_snapshot (the run began before the trace).
    """
    terminal = pl.col("event").is_in(TERMINAL_EVENTS)
    starts = pl.col("event") == "SCHEDULE"
    carried = ("cpu_request_ncu", "memory_request_nmu", "alloc_collection_id", *GROUP)
    steps = (
        events.lazy()
        .group_by(*INSTANCE, "time_us", maintain_order=True)
        .agg(
            starts.sum().cast(pl.Int32).alias("starts"),
            terminal.sum().cast(pl.Int32).alias("ends"),
            *(pl.col(name).drop_nulls().last() for name in carried),
            pl.col("is_snapshot").any(),
        )
        .with_columns(
            is_running=pl.when(pl.col("starts") > pl.col("ends"))
            .then(True)
            .when(pl.col("ends") > pl.col("starts"))
            .then(False)
        )
        .with_columns(pl.col("is_running", *carried).forward_fill().over(INSTANCE))
        .with_columns(pl.col("is_running").fill_null(False), new=_new_instance())
    )
    ran_before = pl.col("is_running").shift(1).fill_null(False) & ~pl.col("new")
    restarted = (pl.col("starts") > 0) & (pl.col("ends") > 0)
    begins = pl.col("is_running") & (~ran_before | restarted)
    next_us = pl.col("time_us").shift(-1)
    ended = pl.col("new").shift(-1).fill_null(True)
    return (
        steps.with_columns(
            run=begins.cast(pl.Int64).cum_sum(),
            end_us=pl.when(ended).then(AFTER_END_US).otherwise(next_us),
        )
        .filter("is_running", pl.col("end_us") > pl.col("time_us"))
        .select(
            *INSTANCE,
            "alloc_collection_id",
            *GROUP,
            "run",
            pl.col("time_us").alias("start_us"),
            "end_us",
            "cpu_request_ncu",
            "memory_request_nmu",
            "is_snapshot",
        )
        .collect()
    )
