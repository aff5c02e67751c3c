"""An A/B experiment in words. The same as numbers is `Result` as JSON."""

from typing import Final

from marl.evaluate.ab.design import Design
from marl.evaluate.ab.experiment import Pilot, Result, Settings
from marl.evaluate.ab.monitor import Decision, GuardAt, Look

_METHODS: Final = {
    "obrien-fleming": "group-sequential, O'Brien-Fleming-type spending (Lan and DeMets)",
    "pocock": "group-sequential, Pocock-type spending (Lan and DeMets)",
    "msprt": "mixture sequential probability ratio test, valid at any look (Johari et al.)",
}


def tell_plan(a: str, b: str, settings: Settings, pilot: Pilot, design: Design) -> str:
    """Before the first held-out episode: what was planned, and from what."""
    last, first = design.episodes[-1], design.episodes[0]
    lines = [
        f"A (runs now): {a}",
        f"B (candidate): {b}",
        f"{settings.metric} on {settings.scenario}: a difference of {design.effect:.4g} is worth "
        f"finding ({_share(design.effect, pilot.mean_a)})",
        f"pilot: {pilot.episodes} training episodes; differences vary by {pilot.sd:.4g}, planned "
        f"for {pilot.sd_limit:.4g} (upper 80 % limit)",
        f"plan: {_METHODS[design.method]}; {len(design.episodes)} looks, {first} to {last} "
        f"held-out episodes; power {design.power:.0%} at level {design.alpha:g}; about "
        f"{design.expected_episodes:.0f} if the difference is real, one look at the end would need "
        f"{design.single_look_episodes}",
    ]
    if last > settings.max_episodes:
        lines.append(
            f"only {settings.max_episodes} are allowed now (--max-episodes): expect CONTINUE"
        )
    return "\n".join(lines) + "\n"


def tell_look(look: Look) -> str:
    """One line of one look."""
    power = look.conditional_power
    told = [
        f"{look.episodes:>6} episodes: {look.estimate:+.4g} [{look.lo:+.4g}, {look.hi:+.4g}]",
        f"z {look.z:+.2f} of {look.critical:.2f}",
        *([] if power is None else [f"conditional power {power:.0%}"]),
        *(f"{guard.metric} {guard.state}" for guard in look.guards),
    ]
    return " · ".join(told) + "\n"


def tell_verdict(result: Result) -> str:
    """The decision and why."""
    verdict, design = result.verdict, result.design
    last = verdict.looks[-1]
    sign = "" if result.is_higher_better else " (positive: lower)"
    lines = [
        "",
        f"{verdict.decision}: {_reason(result)}",
        f"estimate: B is {last.estimate:+.4g} in {result.settings.metric}{sign}, repeated "
        f"{1 - design.alpha:.0%} interval [{last.lo:+.4g}, {last.hi:+.4g}]"
        f"{_share_of_a(result, last)}",
        *(_guard(guard) for guard in last.guards),
        f"looks: {len(verdict.looks)} of {len(design.episodes)}; {last.episodes} held-out episodes "
        f"seen, {verdict.episodes_left} of the plan left",
    ]
    if result.is_synthetic:
        lines.append("the workload is synthetic: this says how the method works, not what it saves")
    return "\n".join(lines) + "\n"


def _reason(result: Result) -> str:
    last = result.verdict.looks[-1]
    broken = [guard.metric for guard in last.guards if guard.state == "broken"]
    unsure = [guard.metric for guard in last.guards if guard.state == "open"]
    metric, effect = result.settings.metric, result.design.effect
    return {
        "better": f"B is better in {metric}, and no guard is worse by more than its margin",
        "worse": f"B is worse in {metric}",
        "guard broken": f"B makes {', '.join(broken)} worse by more than the margin",
        "guard open": f"B is better in {metric}, but that {', '.join(unsure)} is not worse by more "
        "than the margin is not shown"
        + (
            ""
            if result.verdict.decision is Decision.KEEP
            else f"; {result.verdict.episodes_left} episodes are left to show it"
        ),
        "futile": f"were B better by {effect:.4g}, the chance of still showing it is "
        f"{last.conditional_power or 0:.0%}",
        "not shown": f"the planned episodes are used up and B is not shown to be better in "
        f"{metric}; a difference of {effect:.4g} would have been found with power "
        f"{result.design.power:.0%}",
        "no difference": "not one episode differs",
        "episodes left": "no boundary is crossed yet; allow more with --max-episodes",
    }[result.verdict.reason]


def _guard(guard: GuardAt) -> str:
    return (
        f"guard {guard.metric}: {guard.state}; {guard.estimate:+.4g} [{guard.lo:+.4g}, "
        f"{guard.hi:+.4g}], positive is better, margin {guard.margin:.4g}"
    )


def _share(value: float, whole: float) -> str:
    return f"{value / abs(whole):.1%} of A's mean in the pilot" if whole else "A's mean is 0"


def _share_of_a(result: Result, look: Look) -> str:
    whole = abs(result.pilot.mean_a)
    return f" ({look.estimate / whole:+.1%} of A's mean in the pilot)" if whole else ""
