"""Tables from JSON lines: one damaged record at a time, accepted forms, every mixture."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.marl.traces.canonical.raw import json_2019, make, usage_2019

BAD_USAGE = [
    (usage_2019(end_time="500000000"), "end_before_start"),
    (usage_2019(end_time="600000000"), "empty_window"),
    (usage_2019(end_time=...), "missing_end_us"),
    (usage_2019(end_time="99600000000000"), "absurd_end_us"),
    (usage_2019(start_time=str(2**63 - 1)), "after_trace_end"),
    (usage_2019(average_usage=0.3), "bad_cpu_usage_ncu"),
    (usage_2019(average_usage={"cpus": "x"}), "bad_cpu_usage_ncu"),
    (usage_2019(average_usage={"cpus": "NaN"}), "bad_cpu_usage_ncu"),
    (usage_2019(maximum_usage={"cpus": -0.1}), "negative_cpu_usage_max_ncu"),
    (usage_2019(maximum_usage={"memory": 11}), "absurd_memory_usage_max_nmu"),
    (usage_2019(cpu_usage_distribution=5), "bad_cpu_usage_histogram_ncu"),
    (usage_2019(cpu_usage_distribution=[0.1, None]), "bad_cpu_usage_histogram_ncu"),
    (usage_2019(cpu_usage_distribution=[0.1, "0.2"]), "bad_cpu_usage_histogram_ncu"),
    (usage_2019(cpu_usage_distribution=[0.1, -0.2]), "negative_cpu_usage_histogram_ncu"),
    (usage_2019(collection_type="2"), "unknown_collection_type"),
    (usage_2019(sample_rate=True), "bad_sample_rate"),
    ("{not json", "bad_json"),
    ('{"start_time":"600000000"', "bad_json"),
    ("[1, 2]", "bad_json"),
    ("null", "bad_json"),
    ('{"start_time":"1"} {"start_time":"2"}', "bad_json"),
    ("", "blank_line"),
]


@pytest.mark.parametrize(("record", "reason"), BAD_USAGE, ids=lambda value: str(value)[:50])
def test_a_bad_json_record_is_quarantined(tmp_path, record, reason):
    records = [usage_2019(instance_index="1"), record, usage_2019(instance_index="2")]
    account, rows, quarantine = make(
        tmp_path, "usage", json_2019(tmp_path / "u.gz", "usage", records)
    )
    assert account.quarantined == {reason: 1}
    assert rows["instance_index"].to_list() == [1, 2]
    assert quarantine["row_number"].item() == 2


def test_json_values_in_every_accepted_form(tmp_path):
    records = [
        usage_2019(instance_index="1", cpu_usage_distribution=[], maximum_usage=None),
        usage_2019(instance_index=2, start_time=600000000, cycles_per_instruction=...),
        usage_2019(instance_index="3", maximum_usage={"cpus": 1}, machine_id="-1"),
        usage_2019(instance_index="4", collection_type="1", alloc_collection_id="55"),
    ]
    account, rows, _ = make(tmp_path, "usage", json_2019(tmp_path / "u.gz", "usage", records))
    assert account.rows_kept == 4
    assert rows["cpu_usage_histogram_ncu"].is_null().to_list() == [True, False, False, False]
    assert rows["cpu_usage_max_ncu"].to_list() == [None, 0.05, 1.0, 0.05]
    assert rows["memory_usage_max_nmu"].to_list() == [None, 0.02, None, 0.02]
    assert rows["machine_id"].is_null().to_list() == [False, False, True, False]
    assert rows["alloc_collection_id"].to_list() == [None, None, None, 55]
    assert rows["collection_type"].to_list() == ["job", "job", "job", "alloc_set"]


_GOOD_USAGE = [usage_2019(instance_index=str(n)) for n in range(6)]
_HOSTILE = ["[" * 100_000, '{"a":' * 50_000, "\0", '{"start_time":1e999}', '{"x":"\\ud800"}']


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.sampled_from([record for record, _ in BAD_USAGE]),
            st.sampled_from(_GOOD_USAGE),
            st.sampled_from(_HOSTILE),
            st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30),
        ),
        max_size=40,
    )
)
def test_any_mixture_of_json_is_accounted_for(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("mixture")
    account, rows, quarantine = make(folder, "usage", json_2019(folder / "u", "usage", records))
    assert account.rows_in == len(records) == rows.height + quarantine.height
    wanted = {str(record) for record in records if record in _GOOD_USAGE}
    assert rows.height == len(wanted)
    shutil.rmtree(folder)
