"""Pictures of how much better or worse, and how often: intervals by policy and by scenario."""

from collections.abc import Mapping
from typing import Any, Final

from marl.evaluate.report.drawing import (
    INK,
    PALETTE,
    WIDTH,
    Picture,
    add_legend,
    colours_of,
    new_figure,
    to_svg,
)

GROUP_COLOURS: Final = {"learners": PALETTE[0], "rules": PALETTE[1], "bounds": PALETTE[3]}
GROUP_MARKS: Final = {"learners": "o", "rules": "s", "bounds": "^"}


def group_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Policy → its group."""
    return {name: group["name"] for group in content["groups"] for name in group["policies"]}


def lead_colours(content: Mapping[str, Any]) -> dict[str, str]:
    """A colour of its own for each policy that headlines show, ink for all others."""
    others = dict.fromkeys(content["policies"], INK)
    # The order of the table, not of the result: a policy keeps its colour when ranks change.
    return others | colours_of([name for name in content["policies"] if name in content["leads"]])


def elsewhere(content: Mapping[str, Any]) -> str:
    """A remark on policies that are left out of a picture."""
    names = content["far_off"]
    return f"; far off and not drawn: {', '.join(names)}" if names else ""


def draw_forest(content: Mapping[str, Any]) -> Picture:
    """Difference of the objective to the reference in the main scenario, every policy a row."""
    (row,) = [one for one in content["table"] if one["metric"] == "reward"]
    cells = [cell for cell in row["cells"] if cell["difference"] is not None]
    drawn = [cell for cell in cells if cell["policy"] not in content["far_off"]]
    drawn.sort(key=lambda cell: cell["difference"])
    groups = group_of(content)
    figure, axes = new_figure(WIDTH, 1.0 + 0.26 * max(len(drawn), 1))
    axis = axes[0, 0]
    for y, cell in enumerate(drawn):
        group = groups[cell["policy"]]
        colour = GROUP_COLOURS[group]
        axis.plot([cell["lo"], cell["hi"]], [y, y], color=colour, linewidth=2)
        face = colour if cell["is_significant"] else "none"
        axis.plot(cell["difference"], y, GROUP_MARKS[group], color=colour, markerfacecolor=face)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(range(len(drawn)), [cell["policy"] for cell in drawn])
    axis.set_ylim(-0.6, len(drawn) - 0.4)
    axis.set_xlabel(f"difference of the objective to {content['reference']} (right: better)")
    shown = dict.fromkeys(groups[cell["policy"]] for cell in reversed(drawn))
    for group in shown:
        axis.plot([], [], GROUP_MARKS[group], color=GROUP_COLOURS[group], label=group)
    if len(shown) > 1:
        add_legend(axis, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    told = "; ".join(f"{c['policy']} {c['interval']}{_unsure(c)}" for c in reversed(cells))
    return Picture(
        "forest",
        f"Every policy against {content['reference']} in {content['main_scenario']}, 95 % "
        f"intervals (hollow: not significant{elsewhere(content)})",
        f"Differences to {content['reference']}: {told}.",
        to_svg(figure),
        content["sources"]["certainty"],
    )


def _unsure(row: Mapping[str, Any]) -> str:
    return "" if row["is_significant"] else " (not significant)"


def draw_scenarios(content: Mapping[str, Any]) -> Picture:
    """The best learner in every scenario, against the reference and against its strongest rule."""
    best, reference = content["best_policy"], content["reference"]
    rivals = {row["scenario"]: row for row in content["against_strongest"] if row["policy"] == best}
    ours = {
        row["scenario"]: cell
        for row in content["by_scenario"]
        for cell in row["cells"]
        if cell["policy"] == best and cell["difference"] is not None
    }
    names = [name for name in reversed(content["scenarios"]) if name in rivals]
    figure, axes = new_figure(WIDTH, 1.2 + 0.36 * len(names))
    axis = axes[0, 0]
    kinds = (
        (ours, 0.14, "o", PALETTE[0], f"against {reference}"),
        (rivals, -0.14, "s", PALETTE[5], "against the scenario's strongest rule"),
    )
    for rows, shift, mark, colour, label in kinds:
        for y, name in enumerate(names):
            row = rows.get(name)
            if row is not None:
                axis.plot([row["lo"], row["hi"]], [y + shift] * 2, color=colour, linewidth=2)
                face = colour if row["is_significant"] else "none"
                axis.plot(
                    row["difference"], y + shift, mark, color=colour, markerfacecolor=face,
                    markersize=5,
                )  # fmt: skip
        axis.plot([], [], mark, color=colour, label=label)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(-0.5, len(names) - 0.5)
    axis.set_xlabel(f"{best}: difference of the objective (right: better)")
    add_legend(axis, ncols=2, loc="lower right", bbox_to_anchor=(1, 1.0))
    told = "; ".join(
        f"{name}: {ours[name]['interval'] if name in ours else 'not compared'} against "
        f"{reference}, {rivals[name]['shown']['difference']}{_unsure(rivals[name])} against "
        f"{rivals[name]['rule']}"
        for name in reversed(names)
    )
    return Picture(
        "scenarios",
        f"{best} in every scenario, 95 % intervals (hollow: not significant)",
        f"{told}.",
        to_svg(figure),
        content["sources"]["by_scenario"],
    )


def draw_profile(content: Mapping[str, Any]) -> Picture:
    """Share of episodes whose gain over the reference is above each threshold."""
    profile, colours = content["profile_of_gains"], lead_colours(content)
    figure, axes = new_figure(WIDTH, 3.0)
    axis = axes[0, 0]
    thresholds = profile["thresholds"]
    for name, one in profile["policies"].items():
        style = "-" if group_of(content)[name] == "learners" else "--"
        colour = colours[name]
        axis.plot(thresholds, one["share"], style, color=colour, linewidth=1.8, label=name)
        axis.fill_between(thresholds, one["lo"], one["hi"], color=colour, alpha=0.15, linewidth=0)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_ylim(0, 1)
    axis.set_xlabel(f"gain over {content['reference']} in an episode, τ")
    axis.set_ylabel("share of episodes above τ")
    add_legend(axis)
    at = thresholds.index(0.0)
    told = "; ".join(
        f"{name} {one['share'][at]:.0%} [{one['lo'][at]:.0%}, {one['hi'][at]:.0%}]"
        for name, one in profile["policies"].items()
    )
    return Picture(
        "profile",
        f"Performance profile over {len(profile['scenarios'])} scenarios (bands: 95 %)",
        f"Share of episodes better than {content['reference']}: {told}.",
        to_svg(figure),
        content["sources"]["profile"],
    )
