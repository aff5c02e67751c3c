"""Which modules hold which group's assets and checks. The group is given here, once.

A new stage is one entry. Nothing is loaded at import; `pipelines.build` asks.
"""

from importlib import import_module
from typing import Final

import dagster as dg

# What the UI shows as icons: the tools a group's assets are made with.
KINDS: Final = {
    "traces": {"polars", "parquet"},
    "features": {"polars", "duckdb"},
    "workload": {"scipy", "parquet"},
    "training": {"pytorch", "mlflow"},
    "evaluation": {"pytorch", "html"},
    "terraform": {"terraform", "gcp"},
}
GROUPS: Final = {
    "traces": "assets.traces",
    "features": "assets.features",
    "workload": "assets.workload",
    "training": "assets.training",
    "evaluation": "assets.evaluation",
    "terraform": "assets.terraform",
}


def load_assets() -> list[dg.AssetsDefinition]:
    """Every asset, with its group."""
    found: list[dg.AssetsDefinition] = []
    for group, package in GROUPS.items():
        module = import_module(f"{package}.assets")
        loaded = dg.load_assets_from_modules([module], group_name=group)
        found += dg.map_asset_specs(
            lambda spec, kinds=KINDS[group]: spec.merge_attributes(kinds=kinds),  # type: ignore[misc]
            loaded,  # type: ignore[arg-type]
        )
    return found


def load_checks() -> list[dg.AssetChecksDefinition]:
    """Every check."""
    found: list[dg.AssetChecksDefinition] = []
    for package in GROUPS.values():
        found += import_module(f"{package}.checks").CHECKS
    return found
