"""Data Docs: Great Expectations' pages of each table's last validation, and their index."""

from html import escape
from pathlib import Path
from typing import Any

from marl.files import staged


def write_page(folder: Path, asset: str, results: tuple[Any, ...]) -> Path:
    """Render GX validation results of one asset as `<folder>/<asset>.html` and renew the index.

    Args:
        folder: the Data Docs folder.
        asset: name of the asset, a plain identifier.
        results: GX results, one per chunk; the first failing one is shown, else the first.
    """
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    chosen = next((result for result in results if not result.success), results[0])
    html = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(chosen))
    page = folder / f"{asset}.html"
    with staged(page) as aside:
        aside.write_text(html, encoding="utf-8")
    pages = sorted(path.stem for path in folder.glob("*.html") if path.stem != "index")
    links = "".join(f'<li><a href="{escape(p)}.html">{escape(p)}</a></li>' for p in pages)
    with staged(folder / "index.html") as aside:
        aside.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Data Docs</title>'
            f"<h1>Validated tables</h1><ul>{links}</ul></html>",
            encoding="utf-8",
        )
    return page
