"""How every picture of a report is drawn: a figure, its colours, its way to SVG, its words.

Matplotlib's object interface only: no global figure state, and the same data give the same bytes.
Lines and text are mid grey on nothing, so a picture reads on a light and on a dark page. What a
picture shows belongs to `pictures` (and to whoever else draws for a report).
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

# Okabe and Ito (2008): told apart by colour-blind readers, visible on white and on near-black.
PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
INK: Final = "#7a828c"  # mid grey: enough contrast on both backgrounds
WIDTH: Final = 6.4  # inches; at 10 points a phone's screen shows it whole and legible
_SALT: Final = "stratoform"
_STYLE: Final[Any] = {
    "svg.hashsalt": _SALT,
    "svg.fonttype": "path",
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    **{key: INK for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")},
    "axes.titlecolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Picture:
    """An inline SVG and what it shows, in words.

    Attributes:
        name: key by which a page finds it.
        title: heading.
        alt: the same in words, for those who do not see it.
        svg: markup, from `<svg` on.
        source: the command or SQL that gives the numbers behind it; empty where there is none.
    """

    name: str
    title: str
    alt: str
    svg: str
    source: str = ""


def new_figure(
    width: float = WIDTH, height: float = 3.0, rows: int = 1, columns: int = 1, **kwargs: Any
) -> tuple[Any, Any]:
    """A transparent figure with gridded axes.

    Args:
        width: inches.
        height: inches.
        rows: of axes.
        columns: of axes.
        kwargs: for `Figure.subplots`, such as `sharex`.

    Returns:
        The figure and its (rows, columns) array of axes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    figure.patch.set_alpha(0)
    for axis in axes.flat:
        axis.patch.set_alpha(0)
        axis.grid(visible=True, color=INK, alpha=0.25, linewidth=0.5)
    return figure, axes


def to_svg(figure: Any) -> str:
    """The figure as SVG markup: no XML header, no date, ids that depend on the data alone."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def own_ids(svg: str, name: str) -> str:
    """The markup with its ids begun by `name`, so that pictures on one page do not share any.

    Ids that nothing in the picture refers to are left out.
    """
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)


def add_legend(axis: Any, **kwargs: Any) -> None:
    """A legend in ink, without a frame."""
    axis.legend(labelcolor=INK, frameon=False, **kwargs)


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in order; more names than colours share them."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}
