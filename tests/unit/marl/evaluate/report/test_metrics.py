"""The table of metrics: each once, each in a group, few at the top, one asked first."""

from marl.evaluate.report.metrics import GROUPS, HEADLINE, METRICS, PRIMARY, SECONDARY


def test_each_metric_is_there_once_and_laid_out_somewhere():
    columns = [metric.column for metric in METRICS]
    assert len(set(columns)) == len(columns)
    assert {metric.group for metric in METRICS} == set(GROUPS)
    assert len({metric.label for metric in METRICS}) == len(columns)


def test_the_main_table_is_short_and_the_objective_is_asked_first():
    assert METRICS[0].column == "reward"
    assert PRIMARY == ("reward",)
    assert {*PRIMARY, *SECONDARY} == {metric.column for metric in METRICS}
    assert not set(PRIMARY) & set(SECONDARY)
    assert set(PRIMARY) < set(HEADLINE)
    assert 8 <= len(HEADLINE) <= 11
    by_column = {metric.column: metric for metric in METRICS}
    assert {by_column[name].group for name in HEADLINE} == set(GROUPS)


def test_values_are_shown_with_their_unit_and_direction():
    by_column = {metric.column: metric for metric in METRICS}
    assert by_column["availability"].show(0.99951) == "99.951%"
    assert by_column["availability"].show_difference(-0.0012) == "-0.120 pp"
    assert by_column["cost_usd"].show(1234.5) == "1,234.50"
    for name in ("cost_usd", "slack_compute", "violation_share", "deadline_miss_share"):
        assert not by_column[name].is_higher_better
    for name in ("fairness", "preemption_survival", "up_share", "requests_per_s"):
        assert by_column[name].is_higher_better
