"""From the figures of an episode's steps to figures of the episode: sums and weighted means.

Steps' products and events that no later sum can recover (capacity used, slack in USD, steps in
which a rule was broken) are reckoned here too. What follows from episode figures alone belongs to
`episode_columns`. docs/sql.md lists all columns.
"""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

Figures = Mapping[str, Tensor]

# How the figures of an episode's steps become one figure of the episode; all others are averaged.
_SUMMED_SUFFIXES: Final = ("_usd", "_gco2", "_kwh")
_SUMMED_PREFIXES: Final = ("used_", "steps_", "due_", "late_", "work_done_", "preemptions")
_WEB_COUNTS: Final = ("requests", "requests_served", "dropped", "retries", "cdn_hits")
_SUMMED: Final = {*_WEB_COUNTS, "changes", "failures", "refusals", "deadline_misses"}
_BY_REQUESTS: Final = ("slo_attainment", "latency_")  # averaged over requests, not over steps

# A step counts as up while at most this share of the web's requests fails: downtime, say Google's
# agreements on Workspace, is "more than a five percent user error rate".
DOWN_ABOVE: Final = 0.05
GAP_ABOVE: Final = 0.01  # of what one service carries and another starves: a dependency is violated
_USED: Final = ("compute", "storage", "network", "database", "memory")


def _is_up(info: Figures) -> Tensor:
    asked = info["requests_served"] + info["dropped"]
    return info["dropped"] <= DOWN_ABOVE * asked


def _is_refused(info: Figures) -> Tensor:
    return info["refusals"] > 0


def _is_over_budget(info: Figures) -> Tensor:
    return info["over_budget"] > 0


def _has_gap(info: Figures) -> Tensor:
    return info["dependency_gap"] > GAP_ABOVE


def _used(service: str) -> Callable[[Figures], Tensor]:
    return lambda info: info[f"utilisation_{service}"] * info[f"capacity_{service}"]


# name → figures needed, and what a step adds to the episode's sum of that name.
_MARKS: Final[dict[str, tuple[tuple[str, ...], Callable[[Figures], Tensor]]]] = {
    **{f"used_{one}": ((f"utilisation_{one}", f"capacity_{one}"), _used(one)) for one in _USED},
    "slack_usd": (
        ("waste", "cost_capacity_usd"),
        lambda info: info["waste"] * info["cost_capacity_usd"],
    ),
    "steps_up": (("requests_served", "dropped"), _is_up),
    "steps_refused": (("refusals",), _is_refused),
    "steps_over_budget": (("over_budget",), _is_over_budget),
    "steps_with_gap": (("dependency_gap",), _has_gap),
    "steps_in_violation": (
        ("refusals", "over_budget", "dependency_gap"),
        lambda info: _is_refused(info) | _is_over_budget(info) | _has_gap(info),
    ),
    # Capacity goes in the step of the pre-emption: a loss it causes shows in that step.
    "preemptions_survived": (
        ("preemptions", "dropped"),
        lambda info: info["preemptions"] * (info["dropped"] <= 0),
    ),
}


class EpisodeSums:
    """The running sums of one episode of each of B clouds, in float64."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._marks: tuple[str, ...] = ()
        self._by_requests = torch.empty(0, dtype=torch.bool)
        self._steps = torch.empty(0)
        self._asked = torch.empty(0)
        self._total = torch.empty(0)

    def add(self, reward: Tensor, info: Figures, is_running: Tensor) -> None:
        """Add a step.

        Args:
            reward: (B,) of the team.
            info: name → (B,) figures; the same names at every step.
            is_running: (B,) bool, false where the episode was over before.
        """
        if not self._names:
            self._start(info, reward)
        running = is_running.to(torch.float64)
        marks = [_MARKS[name][1](info).to(torch.float64) for name in self._marks]
        rows = torch.cat(
            (reward[None].to(torch.float64), _matrix(info), *(mark[None] for mark in marks))
        )
        self._steps += running
        if self._by_requests.any():
            rows[self._by_requests] *= info["requests"].to(torch.float64)
            self._asked += torch.where(is_running, info["requests"].to(torch.float64), 0.0)
        # where(): what a finished cloud's next episode does must not leak in, not even as NaN.
        self._total += rows if bool(is_running.all()) else torch.where(is_running, rows, 0.0)

    def figures(self) -> dict[str, Tensor]:
        """`steps` (int64), then name → (B,) float64: `reward`, every figure, and the marks."""
        told = {"steps": self._steps.to(torch.int64)}
        for row, name in enumerate(self._names):
            weight = self._asked if bool(self._by_requests[row]) else self._steps
            told[name] = _episode_figure(name, self._total[row], weight)
        return told

    def _start(self, info: Figures, reward: Tensor) -> None:
        there = set(info)
        self._marks = tuple(name for name, (needs, _) in _MARKS.items() if there.issuperset(needs))
        self._names = ("reward", *info, *self._marks)
        by_requests = [
            name.startswith(_BY_REQUESTS) and "requests" in there for name in self._names
        ]
        self._by_requests = torch.tensor(by_requests, device=reward.device)
        self._steps = torch.zeros(len(reward), dtype=torch.float64, device=reward.device)
        self._asked = torch.zeros_like(self._steps)
        self._total = self._steps.repeat(len(self._names), 1)


def _matrix(info: Figures) -> Tensor:
    """(figures, B) float64; environments that have them as one matrix need not be asked by name."""
    matrix: Tensor | None = getattr(info, "matrix", None)
    if matrix is None:
        matrix = torch.stack([value.to(torch.float64) for value in info.values()])
    return matrix.to(torch.float64)


def _episode_figure(name: str, total: Tensor, weight: Tensor) -> Tensor:
    if (
        name in _SUMMED
        or name.endswith(_SUMMED_SUFFIXES)
        or name.startswith((*_SUMMED_PREFIXES, "cost_usd"))
    ):
        return total
    # An episode without a single request has met every request's objective: attainment 1.
    empty = 1.0 if name.startswith("slo_attainment") else 0.0
    return torch.where(weight > 0, total / weight.clamp(min=1e-12), empty)
