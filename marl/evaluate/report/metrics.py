"""The metrics a report shows: their words, units, digits, group, and which direction is better.

How each is reckoned is `marl.evaluate.episode_sums`' and `episode_columns`'; docs/sql.md says it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Metric:
    """One column of the episodes table as a reader meets it.

    Attributes:
        column: name in the episodes table.
        label: words for a heading.
        unit: unit shown behind the label; empty for shares and scores.
        digits: digits after the point.
        is_higher_better: direction; decides the wording "better" and "worse".
        is_share: shown as a percentage.
        group: one of `GROUPS`; tables of detail are laid out by it.
        is_headline: shown in the main table.
    """

    column: str
    label: str
    unit: str
    digits: int
    is_higher_better: bool
    is_share: bool = False
    group: str = "objective"
    is_headline: bool = False

    def show(self, value: float | None) -> str:
        """The value with its digits; shares as percentages; absent as a dash."""
        if value is None:
            return "–"
        return f"{value:.{self.digits}%}" if self.is_share else f"{value:,.{self.digits}f}"

    def show_difference(self, value: float | None) -> str:
        """A signed difference; shares in percentage points."""
        if value is None:
            return "–"
        if self.is_share:
            return f"{100 * value:+.{self.digits}f} pp"
        return f"{value:+,.{self.digits}f}"


# group → its heading.
GROUPS: Final = {
    "objective": "Objective and its terms",
    "cost": "Cost",
    "service": "Service",
    "reliability": "Reliability",
    "sustainability": "Sustainability",
    "stability": "Stability and constraints",
}
_USD: Final = "USD per episode"

METRICS: Final = (
    Metric("reward", "Composite objective", "", 4, True, is_headline=True),
    Metric("cost_usd", "Cost", _USD, 2, False, group="cost", is_headline=True),
    Metric(
        "slo_attainment", "Service level attained", "", 2, True, is_share=True, group="service",
        is_headline=True,
    ),
    Metric("latency_p95_ms", "Latency p95", "ms", 1, False, group="service", is_headline=True),
    Metric(
        "availability", "Availability (requests served)", "", 3, True, is_share=True,
        group="reliability", is_headline=True,
    ),
    Metric(
        "deadline_miss_share", "Deadlines missed (share of due work)", "", 2, False,
        is_share=True, group="service", is_headline=True,
    ),
    Metric(
        "waste", "Waste (idle share of capacity)", "", 1, False, is_share=True,
        group="sustainability", is_headline=True,
    ),
    Metric(
        "carbon_gco2", "Carbon", "gCO₂e per episode", 0, False, group="sustainability",
        is_headline=True,
    ),
    Metric(
        "changes_per_h", "Churn (scaling actions)", "per hour", 2, False, group="stability",
        is_headline=True,
    ),
    Metric("fairness", "Fairness between classes (Jain)", "", 3, True, group="service",
           is_headline=True),
    Metric("reward_cost", "Cost objective", "", 4, True),
    Metric("reward_performance", "Performance objective", "", 4, True),
    Metric("reward_reliability", "Reliability objective", "", 4, True),
    Metric("reward_sustainability", "Sustainability objective", "", 4, True),
    Metric("reward_penalty", "Penalties", "", 4, True),
    Metric("cost_compute_usd", "Cost of compute", _USD, 2, False, group="cost"),
    Metric("cost_storage_usd", "Cost of storage", _USD, 2, False, group="cost"),
    Metric("cost_network_usd", "Cost of network", _USD, 2, False, group="cost"),
    Metric("cost_database_usd", "Cost of database", _USD, 2, False, group="cost"),
    Metric("latency_p50_ms", "Latency p50", "ms", 1, False, group="service"),
    Metric("latency_p99_ms", "Latency p99", "ms", 1, False, group="service"),
    Metric("requests_per_s", "Throughput of web requests", "per second", 1, True, group="service"),
    Metric("done_batch_vcpu_h", "Batch work done", "vCPU-h per episode", 1, True, group="service"),
    Metric("done_ml_vcpu_h", "ML work done", "vCPU-h per episode", 1, True, group="service"),
    Metric("service_level_web", "Service level, web", "", 2, True, True, group="service"),
    Metric("service_level_batch", "Service level, batch", "", 2, True, True, group="service"),
    Metric("service_level_ml", "Service level, ML", "", 2, True, True, group="service"),
    Metric("dropped", "Requests dropped", "", 0, False, group="reliability"),
    Metric("up_share", "Time up", "", 2, True, True, group="reliability"),
    Metric(
        "preemption_survival", "Pre-emptions survived", "", 1, True, True, group="reliability"
    ),
    Metric("slack_usd", "Slack (idle capacity)", _USD, 2, False, group="sustainability"),
    Metric("slack_compute", "Slack of vCPU", "", 1, False, True, group="sustainability"),
    Metric("slack_memory", "Slack of memory", "", 1, False, True, group="sustainability"),
    Metric("refusals", "VMs refused", "per episode", 1, False, group="stability"),
    Metric("over_budget_share", "Time over budget", "", 1, False, True, group="stability"),
    Metric("violation_share", "Time in violation of a rule", "", 1, False, True, group="stability"),
    Metric("changes", "Scaling actions", "per episode", 1, False, group="stability"),
)  # fmt: skip
# Asked first: its correction for asking often is its own, the others are a family beside it.
PRIMARY: Final = ("reward",)
SECONDARY: Final = tuple(one.column for one in METRICS if one.column not in PRIMARY)
HEADLINE: Final = tuple(one.column for one in METRICS if one.is_headline)
SERVICES: Final = ("compute", "storage", "network", "database")
