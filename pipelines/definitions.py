"""The code location Dagster loads. How it is put together is `build`'s matter."""

from pipelines.build import build_defs

defs = build_defs()
