"""A decision as a Markdown page for people."""

from collections.abc import Iterable

from marl.evaluate.promotion.record import Decision, Difference, GuardFinding

_HEADINGS = {
    "PROMOTE": "{challenger} takes the place of {champion}",
    "KEEP": "{champion} stays in service",
    "ROLL BACK": "{winner} is in service again instead of {champion}",
}


def page(decision: Decision) -> str:
    """The decision, its reasons, its numbers, and how to undo it."""
    heading = _HEADINGS[decision.verdict].format(
        challenger=decision.challenger, champion=decision.champion, winner=decision.winner
    )
    lines = [f"# {decision.verdict}: {heading}", ""]
    lines += [f"* {reason}" for reason in decision.reasons]
    lines += [f"* **{warning}**" for warning in decision.warnings]
    if decision.is_synthetic:
        lines += ["", "The trace behind it is synthetic: it shows that the method works."]
    lines += ["", *_who(decision)]
    if decision.objective:
        lines += [
            "",
            f"## Composite objective, challenger − champion, {decision.rules.level:.0%} intervals",
            "",
            *_differences(decision.objective),
            "",
            "## Other metrics",
            "",
            *_differences(decision.metrics),
            "",
            "## Guards",
            "",
            *_guards(decision.guards),
        ]
    if decision.rivals:
        lines += ["", "## Composite objective against tuned rules", ""]
        lines += _differences(decision.rivals)
    if decision.health:
        lines += ["", "## The champion against the tuned reactive rule", ""]
        lines += _differences(decision.health)
    lines += [
        "",
        "How it is decided, and the command that rolls a promotion back: docs/promotion.md.",
    ]
    return "\n".join(lines) + "\n"


def _who(decision: Decision) -> list[str]:
    rows = ["| | policy | MLflow | sha256 |", "|---|---|---|---|"]
    for role, one in (
        ("champion before", decision.champion),
        ("challenger", decision.challenger),
        ("in service now", decision.winner),
    ):
        if one is not None:
            version = f"{one.model} v{one.version}" if one.version is not None else "–"
            rows.append(f"| {role} | {one} | {version} | `{one.sha256[:12]}` |")
    played = (
        f"{decision.episodes} paired held-out episodes in each of {', '.join(decision.scenarios)} "
        f"(the first is the main one), seed {decision.seed}."
    )
    return [*rows, "", played]


def _differences(found: Iterable[Difference]) -> list[str]:
    rows = [
        "| scope | metric | against | mean | other's | difference | interval | p | above in |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        cells = (
            one.scope,
            one.metric,
            one.against,
            f"{one.mean:.6g}",
            f"{one.other_mean:.6g}",
            f"{one.difference:+.4g}",
            f"[{one.lo:+.4g}, {one.hi:+.4g}]",
            f"{one.p_value:.2g}",
            f"{one.probability_above:.0%}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _guards(found: Iterable[GuardFinding]) -> list[str]:
    rows = [
        "| guard | scope | against | metric | difference | interval | margin | finding |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for finding in found:
        one = finding.difference
        cells = (
            finding.guard,
            one.scope,
            one.against,
            one.metric,
            f"{one.difference:+.4g}",
            f"[{one.lo:+.4g}, {one.hi:+.4g}]",
            f"{finding.margin:.3g}" + (" of its mean" if finding.is_relative else ""),
            f"**{finding.finding}**" if finding.is_veto else finding.finding,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows
