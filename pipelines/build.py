"""`build_defs`: the whole code location from its parts, each of which a test can replace.

https://docs.dagster.io/guides/build/projects-and-components
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.registry import load_assets, load_checks
from assets.resources import Profile, TraceSettings
from assets.store import Store
from pipelines.environment import store_from, trace_settings_from
from pipelines.io_managers import FolderIOManager
from pipelines.jobs import JOBS
from pipelines.profiles import profile as named_profile
from pipelines.schedules import SCHEDULES


def build_defs(
    environ: Mapping[str, str] | None = None,
    *,
    profile: Profile | None = None,
    trace: TraceSettings | None = None,
    store: Store | None = None,
    assets: Sequence[dg.AssetsDefinition] | None = None,
    checks: Sequence[dg.AssetChecksDefinition] | None = None,
) -> dg.Definitions:
    """Build the code location.

    Args:
        environ: where the switches are read; None takes the process's environment.
        profile: run profile; None takes PROFILE, default quick.
        trace: slice of the trace; None takes TRACE_*.
        store: data folder; None takes STRATOFORM_DATA.
        assets: the graph; None takes all of it.
        checks: the checks; None takes all.

    Returns:
        Definitions whose steps run in one process: most are short, and a process of their own
        would cost each some seconds of imports.
    """
    environ = os.environ if environ is None else environ
    profile = profile or named_profile(environ.get("PROFILE") or "quick")
    trace = trace or trace_settings_from(environ)
    store = store or store_from(environ)
    graph = list(load_assets() if assets is None else assets)
    settings: dict[str, Any] = {"profile": profile.model_dump(), "trace": trace.model_dump()}
    return dg.Definitions(
        assets=graph,
        asset_checks=list(load_checks() if checks is None else checks),
        jobs=JOBS,
        schedules=SCHEDULES,
        resources={
            "store": store,
            "profile": profile,
            "trace": trace,
            "io_manager": FolderIOManager(
                store=store, upstream=_upstream(graph), settings=settings
            ),
        },
        executor=dg.in_process_executor,
    )


def _upstream(graph: Sequence[dg.AssetsDefinition]) -> dict[str, list[str]]:
    return {
        key.to_user_string(): sorted(dep.to_user_string() for dep in definition.asset_deps[key])
        for definition in graph
        for key in definition.keys
    }
