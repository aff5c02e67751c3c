"""The grid's result as a picture: an effect a row, its interval and each seed, read at a glance."""

from collections.abc import Sequence
from html import escape

from marl.evaluate.ablation.effects import Effect
from marl.evaluate.ablation.told import interval
from marl.evaluate.report.drawing import INK, PALETTE, WIDTH, Picture, new_figure, to_svg

_INCHES_A_ROW = 0.26


def forest(effects: Sequence[Effect]) -> Picture:
    """The effects of one scenario, in their order.

    Filled: shown (`Effect.verdict`); hollow: not. Ticks are single seeds. The thick line is the
    effect's interval, dashed where it does not respect seeds, of which there are too few; the thin
    one adds the noise of training, pooled.

    Raises:
        ValueError: no effect.
    """
    if not effects:
        raise ValueError("no effect to draw")
    figure, axes = new_figure(WIDTH + 1.0, 1.0 + _INCHES_A_ROW * len(effects))
    axis = axes[0, 0]
    bases = list(dict.fromkeys(one.run.partition("/")[0] for one in effects))
    for y, one in enumerate(reversed(effects)):
        colour = PALETTE[bases.index(one.run.partition("/")[0]) % len(PALETTE)]
        style = "--" if one.is_within_seed else "-"
        if one.noise_lo is not None:
            axis.plot([one.noise_lo, one.noise_hi], [y, y], color=colour, linewidth=0.8)
        axis.plot([one.lo, one.hi], [y, y], color=colour, linewidth=2, linestyle=style)
        axis.plot(one.by_seed, [y] * len(one.by_seed), "|", color=colour, markersize=7)
        face = "none" if one.verdict == "n.s." else colour
        axis.plot(one.difference, y, "o", color=colour, markerfacecolor=face)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(range(len(effects)), [_label(one) for one in reversed(effects)])
    axis.set_xlabel("effect on the held-out objective (right is better)")
    scenario = effects[0].scenario
    told = "; ".join(f"{_label(one)}: {interval(one)}" for one in effects)
    alt = f"Effects of components on {scenario} demand, with 95 % intervals. {told}."
    title = f"Effect of each component, {scenario} demand (hollow: not shown)"
    return Picture(f"ablation_{scenario}", title, alt, _accessible(to_svg(figure), title, alt))


def _label(effect: Effect) -> str:
    base, _, component = effect.run.partition("/")
    usual = effect.reference == base
    return f"{base}: {component}" + ("" if usual else f" (against {effect.reference})")


def _accessible(svg: str, title: str, alt: str) -> str:
    """The picture with its words inside, so that the file alone can be read aloud."""
    start, rest = svg.split(">", 1)
    words = f"<title>{escape(title)}</title><desc>{escape(alt)}</desc>"
    return f'{start} role="img">{words}{rest}'
