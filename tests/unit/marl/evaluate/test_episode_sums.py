"""Sums, means and events over an episode's steps, worked by hand."""

import pytest
import torch

from marl.evaluate.episode_sums import EpisodeSums

ON = torch.tensor([True, True])


def added(*steps, running=None):
    """Figures of an episode of two clouds; a step is name → two values."""
    sums = EpisodeSums()
    for t, step in enumerate(steps):
        info = {name: torch.tensor(values) for name, values in step.items()}
        is_running = ON if running is None else torch.tensor(running[t])
        sums.add(torch.tensor([1.0, -1.0]) * (t + 1), info, is_running)
    return {name: value.tolist() for name, value in sums.figures().items()}


def test_costs_and_counts_are_sums_the_rest_averages_service_levels_by_requests():
    told = added(
        {"cost_usd": [1.0, 2.0], "refusals": [1.0, 0.0], "quota": [0.5, 1.0],
         "requests": [10.0, 0.0], "slo_attainment": [1.0, 0.2], "latency_p95_ms": [100.0, 9.0]},
        {"cost_usd": [3.0, 4.0], "refusals": [2.0, 0.0], "quota": [1.0, 1.0],
         "requests": [30.0, 0.0], "slo_attainment": [0.5, 0.4], "latency_p95_ms": [20.0, 9.0]},
    )  # fmt: skip
    assert told["steps"] == [2, 2]
    assert told["reward"] == [1.5, -1.5]
    assert told["cost_usd"] == [4.0, 6.0]
    assert told["refusals"] == [3.0, 0.0]
    assert told["requests"] == [40.0, 0.0]
    assert told["quota"] == [0.75, 1.0]
    # (10 · 1 + 30 · .5) / 40; nobody asked the second cloud: nobody was disappointed.
    assert told["slo_attainment"] == pytest.approx([0.625, 1.0])
    assert told["latency_p95_ms"] == pytest.approx([40.0, 0.0])


def test_products_and_events_of_steps_that_sums_would_lose():
    told = added(
        {"waste": [0.5, 0.0], "cost_capacity_usd": [10.0, 1.0],
         "utilisation_compute": [0.5, 1.0], "capacity_compute": [100.0, 10.0],
         "requests_served": [95.0, 94.0], "dropped": [5.0, 6.0],
         "preemptions": [0.0, 2.0], "refusals": [0.0, 1.0], "over_budget": [0.0, 0.1],
         "dependency_gap": [0.01, 0.5]},
        {"waste": [0.1, 0.0], "cost_capacity_usd": [20.0, 1.0],
         "utilisation_compute": [0.25, 1.0], "capacity_compute": [200.0, 10.0],
         "requests_served": [100.0, 0.0], "dropped": [0.0, 0.0],
         "preemptions": [3.0, 1.0], "refusals": [0.0, 0.0], "over_budget": [0.2, 0.0],
         "dependency_gap": [0.0, 0.0]},
    )  # fmt: skip
    assert told["slack_usd"] == pytest.approx([7.0, 0.0])  # .5 · 10 + .1 · 20
    assert told["used_compute"] == [100.0, 20.0]
    assert told["capacity_compute"] == [150.0, 10.0]
    # 5 % lost is just up, 6 % is down; a step without a request is up.
    assert told["steps_up"] == [2.0, 1.0]
    assert told["preemptions"] == [3.0, 3.0]
    # Two VMs of the second cloud went while requests were lost, one went unnoticed.
    assert told["preemptions_survived"] == [3.0, 1.0]
    assert told["steps_refused"] == [0.0, 1.0]
    assert told["steps_over_budget"] == [1.0, 1.0]
    assert told["steps_with_gap"] == [0.0, 1.0]  # 1 % is not yet a gap
    assert told["steps_in_violation"] == [1.0, 1.0]  # three rules broken in one step count once


def test_a_finished_episode_is_left_alone_even_by_what_is_no_number():
    nan = float("nan")
    told = added(
        {"waste": [0.5, 0.25], "requests": [1.0, 1.0], "slo_attainment": [0.5, 1.0]},
        {"waste": [0.7, nan], "requests": [3.0, nan], "slo_attainment": [1.0, nan]},
        running=[[True, True], [True, False]],
    )
    assert told["steps"] == [2, 1]
    assert told["reward"] == [1.5, -1.0]
    assert told["waste"] == pytest.approx([0.6, 0.25])
    assert told["slo_attainment"] == pytest.approx([0.875, 1.0])


def test_marks_whose_sources_are_absent_are_absent():
    told = added({"cost_usd": [1.0, 1.0]})
    assert list(told) == ["steps", "reward", "cost_usd"]
