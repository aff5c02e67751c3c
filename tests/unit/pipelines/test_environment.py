"""The environment's switches: what they mean, and what nonsense is told."""

import pytest

from pipelines.environment import store_from, trace_settings_from
from pipelines.profiles import PROFILES, profile


def test_defaults_are_the_embedded_trace():
    trace = trace_settings_from({})
    assert (trace.source, trace.location, trace.hours, trace.budget_gib) == ("embedded", "", 0, 2)


@pytest.mark.parametrize("source", ["gcs", "bigquery"])
def test_remote_sources_take_a_day_unless_told(source):
    assert trace_settings_from({"TRACE_SOURCE": source}).hours == 24
    assert trace_settings_from({"TRACE_SOURCE": source, "TRACE_HOURS": "48"}).hours == 48


def test_nonsense_is_named():
    with pytest.raises(ValueError, match=r"TRACE_SOURCE='ftp'.*embedded, local, gcs, bigquery"):
        trace_settings_from({"TRACE_SOURCE": "ftp"})
    with pytest.raises(ValueError, match="TRACE_SAMPLE='half' is not a number"):
        trace_settings_from({"TRACE_SAMPLE": "half"})
    with pytest.raises(ValueError, match=r"PROFILE='huge'.*quick, standard, full"):
        profile("huge")


def test_data_folder_follows_the_variable(tmp_path):
    assert store_from({"STRATOFORM_DATA": str(tmp_path)}).root == str(tmp_path)


def test_profiles_grow_in_every_knob():
    quick, standard, full = (PROFILES[name] for name in ("quick", "standard", "full"))
    knobs = ("embedded_days", "training_seeds", "evaluation_episodes")
    for knob in knobs:
        assert getattr(quick, knob) < getattr(standard, knob) < getattr(full, knob)
    for name in quick.training.keys() & standard.training.keys() & full.training.keys():
        steps = [one.training[name].steps for one in (quick, standard, full)]
        assert steps[0] < steps[1] < steps[2]
    assert full.training_seeds >= 5
