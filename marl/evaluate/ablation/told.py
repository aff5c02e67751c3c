"""The grid's result in words: text, Markdown and JSON tables, the grid's list.

Nothing is computed here. The picture is `forest`.
"""

from collections.abc import Sequence
from typing import Any

from marl.cloud.types import OBJECTIVES
from marl.evaluate.ablation.effects import Effect
from marl.evaluate.ablation.grid import Grid

_SCHEMA = 1  # of the JSON; raise it when a field changes its meaning
_WITHIN = (
    "within seed only (episodes are resampled, of seeds there are too few): they hold for these "
    "trained policies; what is claimed of a component (n.s. or not) follows the interval beside "
    "them, with the noise of training between seeds, pooled over the base's runs"
)
_HEADER = (
    "change",
    "compared with",
    "effect [95 %]",
    "with training noise",
    "each seed",
    "gain over the rule, with",
    "without",
    *OBJECTIVES,
)


def list_text(grid: Grid) -> str:
    """Every base and component with its change and hypothesis."""
    lines = []
    for base in grid.bases:
        lines.append(f"{base.name}: {base.told}")
        lines += [
            f"  {one.name}: {one.change}. Expected: {one.hypothesis}"
            for one in grid.components
            if base.name in one.bases
        ]
    return "\n".join(lines) + "\n"


def markdown(effects: Sequence[Effect], failed: dict[str, str]) -> str:
    """A table per scenario, strongest words for what was shown, and what the intervals mean."""
    return _told(effects, failed, _markdown_table)


def text(effects: Sequence[Effect], failed: dict[str, str]) -> str:
    """The same, aligned for a terminal."""
    return _told(effects, failed, _text_table)


def document(effects: Sequence[Effect], failed: dict[str, str], facts: dict[str, Any]) -> Any:
    """The same as values for JSON.

    Args:
        effects: of all scenarios.
        failed: run → why it has no result.
        facts: of the grid: budget, data, seeds.
    """
    return {
        "schema": _SCHEMA,
        **facts,
        "effects": [one.model_dump(mode="json") | {"verdict": one.verdict} for one in effects],
        "failed": failed,
    }


def interval(effect: Effect) -> str:
    """`+.0012 [.0003, .0021]`, with `n.s.` where nothing was shown."""
    told = f"{effect.difference:+.4f} [{effect.lo:+.4f}, {effect.hi:+.4f}]"
    return f"{told} n.s." if effect.verdict == "n.s." else told


def _told(effects: Sequence[Effect], failed: dict[str, str], table: Any) -> str:
    parts = []
    for scenario in dict.fromkeys(one.scenario for one in effects):
        own = [one for one in effects if one.scenario == scenario]
        first = own[0]
        parts.append(f"Held-out {scenario}, {first.episodes} paired episodes:\n")
        parts.append(table([_HEADER, *(_row(one) for one in own)]))
        if within := sum(one.is_within_seed for one in own):
            parts.append(f"Intervals of {within} of {len(own)} rows are {_WITHIN}.\n")
    parts += [f"{run}: no result, {why}\n" for run, why in failed.items()]
    return "\n".join(parts)


def _row(effect: Effect) -> tuple[str, ...]:
    terms = (effect.metrics.get(f"reward_{name}") for name in OBJECTIVES)
    return (
        effect.run,
        effect.reference,
        interval(effect),
        "" if effect.noise_lo is None else f"[{effect.noise_lo:+.4f}, {effect.noise_hi:+.4f}]",
        " ".join(f"{value:+.4f}" for value in effect.by_seed),
        f"{effect.gain:+.4f}",
        f"{effect.reference_gain:+.4f}",
        *("" if value is None else f"{value:+.4f}" for value in terms),
    )


def _markdown_table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _text_table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return (
        "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        + "\n"
    )
