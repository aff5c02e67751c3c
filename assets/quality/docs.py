"""Data Docs: one page of what every table's last validation found, and Great Expectations' own.

The index is self-contained and works offline; the pages that Great Expectations draws take their
style from the internet. What was found is kept as `<asset>.json`, from which the index is renewed.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from assets.quality.gx import Validation
from marl.files import staged, write_json

_TEMPLATES: Final = Path(__file__).parent / "templates"


def write_page(folder: Path, asset: str, validation: Validation) -> Path:
    """Write `<asset>.html` and `<asset>.json` and renew `index.html`.

    Args:
        folder: the Data Docs folder.
        asset: name of the asset, a plain identifier.
        validation: what was found; of a table in chunks, Great Expectations' page shows the first
            failing one, else the first.

    Returns:
        The index.
    """
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    chosen = next((page for page in validation.pages if not page.success), validation.pages[0])
    html = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(chosen))
    with staged(folder / f"{asset}.html") as aside:
        aside.write_text(html, encoding="utf-8")
    write_json(folder / f"{asset}.json", _told(asset, validation))
    tables = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    index = folder / "index.html"
    with staged(index) as aside:
        aside.write_text(_index(tables), encoding="utf-8")
    return index


def _told(asset: str, validation: Validation) -> dict[str, Any]:
    return {
        "table": asset,
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "rows": validation.rows,
        "met": len(validation.findings) - len(validation.broken),
        "is_critical": validation.has_critical,
        "findings": [
            {
                "expectation": finding.expectation.label,
                "severity": finding.expectation.severity,
                "is_met": finding.is_met,
                "unexpected": finding.unexpected,
                "examples": [repr(one) for one in finding.examples] if not finding.is_met else [],
                "error": finding.error,
            }
            for finding in validation.findings
        ],
    }


def _index(tables: list[Mapping[str, Any]]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,  # values of a trace are other people's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.j2").render(tables=tables)
