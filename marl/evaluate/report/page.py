"""Writes the report: `report.html` (self-contained, works offline), `report.md`, `report.json`."""

from pathlib import Path
from typing import Any, Final

from marl.evaluate.report.content import ReportInputs, build_content
from marl.evaluate.report.figures import draw_all
from marl.files import write_json

_TEMPLATES: Final = Path(__file__).parent / "templates"


def write_report(inputs: ReportInputs, into: Path) -> dict[str, Any]:
    """Write the three forms of the report into `into`.

    Args:
        inputs: what is reported.
        into: an existing folder.

    Returns:
        The content of report.json.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    content = build_content(inputs)
    pictures = draw_all(inputs, content)
    # Names in a trace or a bucket are other people's text: everything is escaped in the page.
    # The SVGs are our own drawings; matplotlib escapes the text inside them.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn_here = {picture.name: Markup(picture.svg) for picture in pictures}  # noqa: S704
    shown = [
        {"name": p.name, "title": p.title, "alt": p.alt, "svg": drawn_here[p.name]}
        for p in pictures
    ]
    for name in ("report.html", "report.md"):
        text = environment.get_template(f"{name}.j2").render(**content, pictures=shown)
        (into / name).write_text(text, encoding="utf-8")
    write_json(into / "report.json", content)
    return content
