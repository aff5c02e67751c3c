"""Life cycles: ties, updates, delays, resubmissions, and a plain second implementation."""

from hypothesis import given, settings
from hypothesis import strategies as st

from marl.features.lifecycles import (
    _in_order,
    queueing_delays,
    running_stretches,
    with_resubmissions,
)
from marl.traces.schema import AFTER_END_US, TERMINAL_EVENTS
from tests.unit.marl.features.rows import S, event, table_frame


def ordered(*rows):
    return _in_order(table_frame("instances", rows).lazy())


def stretches(*rows):
    found = running_stretches(ordered(*rows))
    return [
        (a // S, b // S if b < AFTER_END_US else None)
        for a, b in found.select("start_us", "end_us").iter_rows()
    ]


def test_runs_from_schedule_to_the_next_end():
    rows = [event(1, "SUBMIT"), event(2, "SCHEDULE"), event(5, "EVICT"), event(9, "SCHEDULE")]
    assert stretches(*rows) == [(2, 5), (9, None)]


def test_an_eviction_and_rescheduling_at_one_instant_keep_it_running():
    rows = [event(2, "SCHEDULE"), event(5, "EVICT"), event(5, "SCHEDULE"), event(8, "FINISH")]
    assert stretches(*rows) == [(2, 5), (5, 8)]
    assert running_stretches(ordered(*rows))["run"].n_unique() == 2  # but it is another run


def test_a_start_and_end_at_one_instant_is_no_run():
    assert stretches(event(2, "SUBMIT"), event(5, "SCHEDULE"), event(5, "FAIL")) == []


def test_an_end_without_a_start_ends_nothing():
    assert stretches(event(2, "FINISH"), event(3, "UPDATE_RUNNING")) == []


def test_an_end_after_the_trace_leaves_the_run_open():
    rows = [event(2, "SCHEDULE"), event(0, "FINISH") | {"time_us": AFTER_END_US}]
    assert stretches(*rows) == [(2, None)]


def test_requests_follow_updates_and_missing_ones_are_the_last_known():
    rows = [
        event(1, "SUBMIT", cpu_request_ncu=0.1),
        event(2, "SCHEDULE", cpu_request_ncu=None),
        event(4, "UPDATE_RUNNING", cpu_request_ncu=0.3),
        event(6, "FINISH", cpu_request_ncu=None),
    ]
    found = running_stretches(ordered(*rows))
    assert found["cpu_request_ncu"].to_list() == [0.1, 0.3]
    assert found["run"].n_unique() == 1


def test_instances_do_not_run_into_each_other():
    rows = [
        event(2, "SCHEDULE", 1, 0),
        event(3, "SCHEDULE", 1, 1, cpu_request_ncu=None),
        event(7, "FINISH", 1, 1),
    ]
    found = running_stretches(ordered(*rows))
    assert found["cpu_request_ncu"].to_list() == [0.5, None]
    assert stretches(*rows) == [(2, None), (3, 7)]


def test_delays_answer_the_latest_submission_once():
    rows = [
        event(0, "SUBMIT", 1),  # before the trace: unknown
        event(50, "SCHEDULE", 1),
        event(10, "SUBMIT", 2),
        event(13, "QUEUE", 2),
        event(15, "SCHEDULE", 2),
        event(17, "EVICT", 2),
        event(18, "SCHEDULE", 2),  # put back without a submission
        event(20, "SUBMIT", 3),
        event(20, "SCHEDULE", 3),
        event(30, "SUBMIT", 4),
        event(33, "SUBMIT", 4),
        event(40, "SCHEDULE", 4),
    ]
    found = queueing_delays(ordered(*rows)).sort("time_us")
    assert [d // S for d in found["delay_us"]] == [5, 0, 7]
    assert found["collection_id"].to_list() == [2, 3, 4]


def test_resubmissions_are_all_but_the_first_submission():
    rows = [event(0, "SUBMIT"), event(5, "SUBMIT"), event(5, "SUBMIT", index=1), event(9, "SUBMIT")]
    found = with_resubmissions(ordered(*rows)).filter("is_resubmission")
    assert found["time_us"].to_list() == [5 * S, 9 * S]


NAMES = st.sampled_from(["SUBMIT", "SCHEDULE", "EVICT", "FINISH", "UPDATE_RUNNING"])
STEPS = st.tuples(st.integers(0, 6), NAMES, st.integers(0, 1), st.sampled_from([None, 0.25, 0.5]))


def plain_running(rows):
    """Which (instance, second) runs with which request: a loop, in the plainest terms."""
    answer = {}
    for index in (0, 1):
        is_running, request = False, None
        for second in range(0, 8):
            now = sorted(
                (r for r in rows if r[2] == index and r[0] == second),
                key=lambda r: ("SUBMIT", "SCHEDULE", "EVICT", "FINISH", "UPDATE_RUNNING").index(
                    r[1]
                ),
            )
            change = sum(r[1] == "SCHEDULE" for r in now) - sum(
                r[1] in TERMINAL_EVENTS for r in now
            )
            is_running = change > 0 or (change == 0 and is_running)
            # Within one place of the life cycle the canonical order is by size of the request.
            known = [r[3] for r in sorted(now, key=_place) if r[3] is not None]
            request = known[-1] if known else request
            if is_running:
                answer[index, second] = request
    return answer


def _place(row):
    names = ("SUBMIT", "SCHEDULE", "EVICT", "FINISH", "UPDATE_RUNNING")
    return names.index(row[1]), -1.0 if row[3] is None else row[3]


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=14))
def test_stretches_agree_with_a_plain_loop(rows):
    events = [event(t, n, 1, i, cpu_request_ncu=c, is_snapshot=False) for t, n, i, c in rows]
    found = {}
    for line in running_stretches(ordered(*events)).iter_rows(named=True):
        last = min(line["end_us"], 8 * S)
        for second in range(line["start_us"] // S, last // S):
            found[line["instance_index"], second] = line["cpu_request_ncu"]
    assert found == plain_running(rows)
