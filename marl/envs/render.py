"""Pictures of an episode so far: what `render()` of the one-cloud faces shows, frame by frame.

Same history, same step, same bytes. Drawn with Pillow, in tens of milliseconds where a plotting
library takes half a second. The page with a time slider is `marl.evaluate.viewer`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_INK: Final = "#20262e"
_SOFT: Final = "#6b7580"
_LINE: Final = "#e1e5ea"
_ASKED: Final = "#cfd5db"  # the area of what was asked for
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe-Ito
_SHORTEST: Final = 12  # steps on the time axis at least: an hour
_STEPS_PER_H: Final = 12.0
_SMALLEST: Final = (320, 240)
_OVERSAMPLED: Final = 2  # drawn larger and averaged down: smooth lines
_LOG_FROM: Final = 10.0  # ms; below it no line is told apart
_Series = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Panel:
    """One chart: figures with their names in the legend, and the factor to the title's unit."""

    title: str
    series: _Series
    factor: float = 1.0
    is_log: bool = False


def _service(name: str, unit: str, factor: float = 1.0) -> _Panel:
    series = ((f"demand_{name}", "asked"), (f"capacity_{name}", "there"))
    return _Panel(f"{name}, {unit}", series, factor)


_COSTS: Final = tuple((f"cost_{s}_usd", s) for s in ("compute", "storage", "network", "database"))
_PANELS: Final = (
    _service("compute", "vCPU"),
    _service("storage", "1,000 IOPS", 1e-3),
    _service("network", "Gbit/s"),
    _service("database", "vCPU"),
    _Panel(
        "latency, ms",
        (("latency_p50_ms", "p50"), ("latency_p95_ms", "p95"), ("latency_p99_ms", "p99")),
        is_log=True,
    ),
    _Panel("VMs", (("pending_vms", "ordered"), ("refusals", "refused"), ("preemptions", "lost"))),
    _Panel("cost, USD/h", _COSTS, _STEPS_PER_H),
    _Panel("carbon, kg CO2e/h", (("carbon_gco2", "carbon"),), _STEPS_PER_H / 1e3),
)
FRAME_FIGURES: Final = tuple(name for panel in _PANELS for name, _ in panel.series)


def frame(
    history: Mapping[str, Sequence[float] | NDArray[np.floating]],
    step: int,
    size: tuple[int, int] = (960, 640),
) -> NDArray[np.uint8]:
    """One picture: the episode up to and including `step`.

    Args:
        history: `FRAME_FIGURES` by name, each (n,) with one value per step so far; more names are
            ignored. Values after `step` are not drawn but set the axes, so that a video made from a
            whole episode stands still.
        step: the last step drawn, 0 .. n - 1.
        size: width and height in pixels, at least 320 × 240.

    Returns:
        (H, W, 3) RGB, 0–255.

    Raises:
        ValueError: figures missing, not finite or of unequal lengths, no such step, or too small a
            size.
    """
    if size[0] < _SMALLEST[0] or size[1] < _SMALLEST[1]:
        raise ValueError(f"size must be at least {_SMALLEST}; got {size}")
    if missing := [name for name in FRAME_FIGURES if name not in history]:
        raise ValueError(f"history lacks {', '.join(missing)}")
    values = {name: np.asarray(history[name], np.float64) for name in FRAME_FIGURES}
    lengths = {array.shape for array in values.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise ValueError(f"every figure needs one value per step; got shapes {sorted(lengths)}")
    (length,) = next(iter(lengths))
    if not 0 <= step < length:
        raise ValueError(f"step must be in [0, {length}); got {step}")
    if broken := [name for name, array in values.items() if not np.isfinite(array).all()]:
        raise ValueError(f"history is not finite in {', '.join(broken)}")
    return _draw(values, step, length, size)


def _draw(
    values: Mapping[str, NDArray[np.float64]], step: int, length: int, size: tuple[int, int]
) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    width, height = (side * _OVERSAMPLED for side in size)
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    font = _font(round(max(8.0, min(13.0, size[0] / 70)) * _OVERSAMPLED))
    line = font.size * 1.35
    minutes = round(step * 60 / _STEPS_PER_H)
    spent = sum(float(values[name][: step + 1].sum()) for name, _ in _COSTS)
    title = f"step {step} · {minutes // 60} h {minutes % 60:02d} min · {spent:,.2f} USD so far"
    pen.text((width / 2, line * 0.3), title, _INK, font, anchor="ma")
    rows = math.ceil(len(_PANELS) / 2)
    cell = (width / 2, (height - line * 1.6) / rows)
    for index, panel in enumerate(_PANELS):
        row, column = divmod(index, 2)
        corner = (column * cell[0], line * 1.6 + row * cell[1])
        box = (
            corner[0] + font.size * 3.6,
            corner[1] + line * 1.6,
            corner[0] + cell[0] - font.size,
            corner[1] + cell[1] - line * 1.2,
        )
        _panel(pen, panel, box, font, [values[name] * panel.factor for name, _ in panel.series],
               step, max(length, _SHORTEST))  # fmt: skip
    return np.asarray(image.reduce(_OVERSAMPLED), np.uint8).copy()


def _panel(
    pen: "ImageDraw",
    panel: _Panel,
    box: tuple[float, float, float, float],
    font: Any,
    series: Sequence[NDArray[np.float64]],
    step: int,
    length: int,
) -> None:
    """One chart inside `box` (left, top, right, bottom); titles and ticks lie outside it."""
    left, top, right, bottom = box
    ticks = _ticks(max(float(values.max()) for values in series), panel.is_log)
    low, high = _place(ticks[0], panel.is_log), _place(ticks[-1], panel.is_log)

    def across(steps: float) -> float:
        return left + (right - left) * steps / length

    def up(value: float) -> float:
        share = (_place(value, panel.is_log) - low) / (high - low)
        return bottom - (bottom - top) * min(max(share, 0.0), 1.0)

    for tick in ticks:
        pen.line((left, up(tick), right, up(tick)), _LINE, _OVERSAMPLED)
        pen.text((left - font.size * 0.4, up(tick)), _short(tick), _SOFT, font, anchor="rm")
    hours = length / _STEPS_PER_H
    every = next(h for h in (0.25, 0.5, 1, 2, 4, 6, 12, 24, 48, 96, math.inf) if hours / h <= 6)
    for k in range(int(hours / every) + 1):
        at = across(k * every * _STEPS_PER_H)
        # The last label may not leave the picture.
        anchor = "ra" if at > right - font.size else "ma"
        pen.text((at, bottom + font.size * 0.2), f"{k * every:g} h", _SOFT, font, anchor=anchor)
    for (_, label), colour, values in zip(panel.series, _COLOURS, series, strict=False):
        path = [
            point
            for t in range(step + 1)
            for point in ((across(t), up(values[t])), (across(t + 1), up(values[t])))
        ]
        if label == "asked":
            pen.polygon([(left, bottom), *path, (path[-1][0], bottom)], _ASKED)
        else:
            pen.line(path, colour, 2 * _OVERSAMPLED, joint="curve")
    _titles(pen, panel, font, (left - font.size * 3.2, top - font.size * 1.9), right)


def _titles(
    pen: "ImageDraw", panel: _Panel, font: Any, at: tuple[float, float], right: float
) -> None:
    """The title on the left; on the right the lines' names in their colours."""
    pen.text(at, panel.title, _INK, font, anchor="la")
    named = list(zip(panel.series, _COLOURS, strict=False))
    for (_, label), colour in reversed(named):
        pen.text((right, at[1]), label, _SOFT if label == "asked" else colour, font, anchor="ra")
        right -= pen.textlength(label, font) + font.size * 0.7


def _place(value: float, is_log: bool) -> float:
    return math.log10(max(value, _LOG_FROM)) if is_log else value


def _ticks(largest: float, is_log: bool) -> list[float]:
    """Round values from the axis's lower to its upper end."""
    if is_log:
        decades = max(2, math.ceil(math.log10(max(largest, _LOG_FROM)) - 1e-9))
        return [10.0**k for k in range(1, decades + 1)]
    if largest <= 0:
        return [0.0, 1.0]
    scale = 10.0 ** math.floor(math.log10(largest))
    every = next(m * scale for m in (0.2, 0.5, 1.0, 2.0, 5.0) if largest / (m * scale) <= 4)
    return [k * every for k in range(math.ceil(largest / every - 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


@cache
def _font(points: int) -> Any:
    """The font that comes with Pillow: the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(points)
