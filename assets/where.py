"""`python -m assets.where`: where a finished run left what people read."""

import os
import sys
from pathlib import Path
from typing import Final

_RESULTS: Final = (
    ("report", "eval_report/report.html"),
    ("episode viewer", "episode_viewer/index.html"),
    ("the same as Markdown", "eval_report/report.md"),
    ("policy in service", "champion_policy/decision.md"),
    ("workload report", "workload_report/report.md"),
    ("Terraform", "terraform_artifacts/module/README.md"),
    ("SQL", "cache.duckdb"),
    ("validated tables", "data_docs/index.html"),
)


def main() -> int:
    """List the results that exist; 1 if the report is not among them."""
    root = Path(__file__).resolve().parents[1]
    data = Path(os.environ.get("STRATOFORM_DATA") or root / "data").expanduser().resolve()
    found = [(label, data / name) for label, name in _RESULTS if (data / name).exists()]
    for label, path in found:
        sys.stdout.write(f"{label:>22}  {path}\n")
    return 0 if found and found[0][0] == "report" else 1


if __name__ == "__main__":
    sys.exit(main())
