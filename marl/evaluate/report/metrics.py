"""The metrics a report shows: their words, units, digits, and which direction is better."""

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
    """

    column: str
    label: str
    unit: str
    digits: int
    is_higher_better: bool
    is_share: bool = False

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


METRICS: Final = (
    Metric("reward", "Composite objective", "", 4, True),
    Metric("cost_usd", "Cost", "USD per episode", 2, False),
    Metric("slo_attainment", "Service level attained", "", 2, True, is_share=True),
    Metric("latency_p95_ms", "Latency p95", "ms", 1, False),
    Metric("dropped", "Requests dropped", "", 0, False),
    Metric("waste", "Waste (idle share of capacity)", "", 1, False, is_share=True),
    Metric("carbon_gco2", "Carbon", "gCO₂e per episode", 0, False),
    Metric("changes", "Scaling actions", "per episode", 1, False),
)
SERVICES: Final = ("compute", "storage", "network", "database")
