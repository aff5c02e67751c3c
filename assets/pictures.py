"""Plots as asset metadata: a PNG inside Markdown, which the Dagster UI shows inline."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg


def png_metadata(png: bytes, alt: str) -> dg.MetadataValue:
    """A PNG's bytes as a Markdown image."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def file_metadata(path: Path, alt: str) -> dg.MetadataValue:
    """A PNG file as a Markdown image."""
    return png_metadata(path.read_bytes(), alt)


def line_plot(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_label: str, y_label: str
) -> bytes:
    """A plain line plot as PNG bytes.

    Args:
        lines: label → (x, y), each of one length.
        x_label: what the x axis shows, with its unit.
        y_label: the same of the y axis.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), dpi=90, layout="constrained")
    axis = figure.subplots()
    for label, (x, y) in lines.items():
        axis.plot(x, y, label=label, linewidth=1.3)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
