"""Writes the report: `report.html` (self-contained, works offline), `report.md`, `report.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from marl.evaluate.report.content import build_content
from marl.evaluate.report.drawing import own_ids
from marl.evaluate.report.inputs import ReportInputs
from marl.evaluate.report.pictures.draw import draw_all
from marl.evaluate.report.validity import LABELS
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
    drawn_here = {p.name: Markup(own_ids(p.svg, p.name)) for p in pictures}  # noqa: S704
    shown = [
        {
            "name": p.name,
            "title": p.title,
            "alt": p.alt,
            "svg": drawn_here[p.name],
            "source": p.source,
        }
        for p in pictures
    ]
    layout = {"pictures": shown, "validity_labels": LABELS, "by_policy": by_policy(content)}
    for name in ("report.html", "report.md"):
        text = environment.get_template(f"{name}.j2").render(**content, **layout)
        (into / name).write_text(text, encoding="utf-8")
    write_json(into / "report.json", content)
    return content


def by_policy(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables turned round for reading: groups of policies, each with its cells in rows' order.

    Returns:
        A mapping a group: `label`, and `policies`, each with `name`, `is_lead`, `is_reference`,
        `metrics` and `scenarios`: its cells of `table` and of `by_scenario`.
    """
    at = {name: i for i, name in enumerate(content["policies"])}

    def told(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "is_lead": name in content["leads"],
            "is_reference": name == content["reference"],
            "metrics": [
                {**row["cells"][at[name]], "is_leading": row["is_leading"]}
                for row in content["table"]
            ],
            "scenarios": [row["cells"][at[name]] for row in content["by_scenario"]],
        }

    return [
        {"label": group["label"], "policies": [told(name) for name in group["policies"]]}
        for group in content["groups"]
    ]
