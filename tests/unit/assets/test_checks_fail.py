"""Every check is fed bad data and must fail, naming what is wrong. A check that cannot is none."""

import json

import polars as pl
import pytest
import torch

from assets.evaluation.checks import episodes_pair, report_is_complete, tuned_beats_its_start
from assets.evaluation.suites import SUITES as EVALUATION
from assets.features.checks import arrivals_reconcile, cache_answers
from assets.features.suites import SUITES as FEATURES
from assets.quality.checks import report
from assets.quality.gx import validate
from assets.terraform.checks import module_is_safe, plan_adds_up
from assets.traces.checks import raw_files_intact, rows_accounted
from assets.traces.downloads import downloads_folder
from assets.traces.suites import SUITES as TRACES
from assets.training.checks import SUITES as TRAINING
from assets.training.checks import policies_act
from assets.workload.checks import fit_resembles_trace, model_makes_demand
from assets.workload.suites import SUITES as WORKLOAD
from marl.features import demand_windows, task_profiles
from marl.files import sha256_file
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.traces.canonical import write_table
from marl.traces.manifest import RawFile, RawManifest, TraceRequest
from marl.traces.schema import TABLES
from marl.train.policy_file import PolicyCard, save_policy
from marl.workload.classes import classify

# One row that every expectation of the table accepts.
GOOD = {
    "machines": {"time_us": 5, "machine_id": 1, "event": "ADD", "cpu_capacity_ncu": 0.5,
                 "memory_capacity_nmu": 0.5, "is_snapshot": False},
    "collections": {"time_us": 5, "collection_id": 1, "event": "SUBMIT", "tier": "free",
                    "scheduling_class": 1, "user": "u"},
    "instances": {"time_us": 5, "collection_id": 1, "instance_index": 0, "event": "SUBMIT",
                  "tier": "free", "scheduling_class": 1, "cpu_request_ncu": 0.1,
                  "memory_request_nmu": 0.1},
    "usage": {"start_us": 5, "end_us": 9, "collection_id": 1, "cpu_usage_ncu": 0.1,
              "cpu_usage_max_ncu": 0.1, "memory_usage_nmu": 0.1, "memory_usage_max_nmu": 0.1},
    "demand_windows": {"window_us": 0, "tier": "free", "scheduling_class": 0,
                       "collection_arrivals": 1, "instance_arrivals": 1},
    "task_profiles": {"collection_id": 1, "tier": "free", "scheduling_class": 0, "first_us": 1,
                      "last_us": 2, "instances": 1, "evictions": 0, "ncu_hours": 0.1,
                      "nmu_hours": 0.1},
    "workload_classes": {"collection_id": 1, "workload_class": "web", "rule": "r"},
    "class_demand": [
        {"window_us": w, "workload_class": c, "collection_arrivals": 1, "running_tasks": 1.0,
         "cpu_ncu": 0.1, "memory_nmu": 0.1} for w in (0, 1) for c in ("web", "batch", "ml")],
    "price_catalog": [{"item": f"i{i}", "unit": "h", "usd": 1.0, "source": "s",
                       "date": "2026-07-30"} for i in range(20)],
    "evaluation_episodes": {"policy": "p", "scenario": "s", "training_seed": 0, "episode": 0,
                            "reward": -0.1, "cost_usd": 1.0, "slo_attainment": 0.9,
                            "is_held_out": True, "waste": 0.1, "latency_p50_ms": 1.0,
                            "latency_p95_ms": 2.0, "latency_p99_ms": 3.0, "carbon_gco2": 1.0,
                            "dropped": 0.0, "changes": 0.0, "slack": 0.1, "availability": 1.0,
                            "up_share": 1.0, "fairness": 1.0, "preemption_survival": 0.5,
                            "service_level_web": 0.9, "service_level_batch": 1.0,
                            "service_level_ml": 1.0, "over_budget_share": 0.0,
                            "violation_share": 0.1, "cost_spot_usd": 0.1,
                            "cost_committed_usd": 0.2, "cost_capacity_usd": 0.9,
                            "slack_usd": 0.1, "requests_served": 5.0, "preemptions": 2.0,
                            "preemptions_survived": 1.0, "refusals": 0.0},
}  # fmt: skip
SUITES = {**TRACES, **FEATURES, **WORKLOAD, **TRAINING, **EVALUATION}
SCHEMAS = {**TABLES, "demand_windows": demand_windows.SCHEMA, "task_profiles": task_profiles.SCHEMA}
# table, column, value that must be refused
BAD = [
    ("machines", "time_us", None), ("machines", "time_us", -1), ("machines", "machine_id", None),
    ("machines", "event", None), ("machines", "cpu_capacity_ncu", 1.5),
    ("machines", "memory_capacity_nmu", -0.1),
    ("collections", "time_us", -7), ("collections", "collection_id", None),
    ("collections", "event", None), ("collections", "scheduling_class", 4),
    ("collections", "user", None),
    ("instances", "time_us", 10**16), ("instances", "instance_index", -1),
    ("instances", "cpu_request_ncu", 11.0), ("instances", "memory_request_nmu", -0.5),
    ("instances", "event", None), ("instances", "scheduling_class", -1),
    ("instances", "cpu_request_ncu", None),
    ("usage", "end_us", 1), ("usage", "start_us", None), ("usage", "cpu_usage_ncu", -1.0),
    ("usage", "memory_usage_max_nmu", 12.0), ("usage", "collection_id", None),
    ("demand_windows", "window_us", None), ("demand_windows", "collection_arrivals", -1),
    ("demand_windows", "scheduling_class", 9),
    ("task_profiles", "collection_id", None), ("task_profiles", "ncu_hours", -1.0),
    ("task_profiles", "last_us", 0),
    ("workload_classes", "workload_class", "gaming"), ("workload_classes", "rule", None),
    ("class_demand", "cpu_ncu", -1.0), ("class_demand", "workload_class", "gaming"),
    ("class_demand", "memory_nmu", None),
    ("price_catalog", "usd", -1.0), ("price_catalog", "source", None),
    ("price_catalog", "date", "yesterday"),
    ("evaluation_episodes", "slo_attainment", 1.2), ("evaluation_episodes", "reward", None),
    ("evaluation_episodes", "is_held_out", False), ("evaluation_episodes", "cost_usd", -3.0),
    ("evaluation_episodes", "fairness", 1.1), ("evaluation_episodes", "availability", -0.1),
    ("evaluation_episodes", "latency_p99_ms", 1.5), ("evaluation_episodes", "slack_usd", 0.95),
    ("evaluation_episodes", "preemptions_survived", 3.0),
    ("evaluation_episodes", "service_level_ml", 1.01),
]  # fmt: skip


def _frame(table, **changes):
    rows = GOOD[table] if isinstance(GOOD[table], list) else [GOOD[table]]
    rows = [rows[0] | changes, *rows[1:]]
    if table in SCHEMAS:
        names = SCHEMAS[table].names()
        full = [{name: row.get(name) for name in names} for row in rows]
        # Count columns the suite looks into default to 0, so that one change is the only flaw.
        return pl.DataFrame(full, schema=SCHEMAS[table])
    return pl.DataFrame(rows)


@pytest.mark.parametrize("table", sorted(SUITES))
def test_suite_accepts_a_good_row(table):
    assert validate(_frame(table), SUITES[table]).broken == ()


@pytest.mark.parametrize(("table", "column", "value"), BAD)
def test_suite_refuses_a_bad_value_and_names_it(table, column, value):
    result = report(validate(_frame(table, **{column: value}), SUITES[table]))
    assert not result.passed
    assert column in result.description


@pytest.mark.parametrize("table", sorted(SUITES))
def test_suite_refuses_a_missing_column(table):
    frame = _frame(table)
    column = next(item.kwargs["column"] for item in SUITES[table] if "column" in item.kwargs)
    assert not report(validate(frame.drop(column), SUITES[table])).passed


@pytest.mark.parametrize("table", ["workload_classes", "task_profiles", "price_catalog"])
def test_suite_refuses_doubled_rows(table):
    frame = _frame(table)
    assert not report(validate(pl.concat([frame, frame]), SUITES[table])).passed


@pytest.fixture
def raw(tmp_path):
    """A published raw_trace of one file, and the folder its files lie in."""
    request = TraceRequest(source="embedded")
    downloads = downloads_folder(tmp_path, request)
    downloads.mkdir(parents=True)
    path = downloads / "part.csv"
    path.write_text("0,5,0,platform,0.5,0.25\n700000000,6,0,platform,0.5,0.25\n")
    file = RawFile(table="machines", path="part.csv", layout="google2011", encoding="csv",
                   bytes=path.stat().st_size, sha256=sha256_file(path), origin="test")  # fmt: skip
    manifest = RawManifest(request=request, files=(file,), is_synthetic=True)
    folder = tmp_path / "raw_trace"
    folder.mkdir()
    manifest.save(folder)
    return folder, path, manifest


def test_raw_files_intact(raw):
    folder, path, _ = raw
    assert raw_files_intact(folder)[0]
    whole = path.read_text()
    path.write_text(whole.replace("0.5", "0.6"))
    assert "sha256 differs" in raw_files_intact(folder)[1]
    path.write_text(whole[:20])
    assert "20 bytes, manifest says" in raw_files_intact(folder)[1]
    path.unlink()
    passed, said, _ = raw_files_intact(folder)
    assert (passed, said) == (False, "part.csv: missing")


def test_rows_accounted(raw, tmp_path):
    _, path, manifest = raw
    folder = tmp_path / "machines"
    write_table(manifest, path.parent, "machines", folder)
    assert rows_accounted(folder)[0]
    (part,) = (p for p in (folder / "rows").iterdir() if pl.read_parquet(p).height == 2)
    pl.read_parquet(part).head(1).write_parquet(part)
    passed, said, _ = rows_accounted(folder)
    assert not passed
    assert "1 rows on disk, accounting says 2" in said


def test_arrivals_reconcile(tmp_path):
    for table in ("collections", "instances"):
        (tmp_path / table / "rows").mkdir(parents=True)
        frame = _frame(table, is_snapshot=False)
        frame.write_parquet(tmp_path / table / "rows" / "part-000000.parquet")
    folder = tmp_path / "demand_windows"
    (folder / "rows").mkdir(parents=True)
    _frame("demand_windows").write_parquet(folder / "rows" / "part-000000.parquet")
    assert arrivals_reconcile(folder)[0]
    _frame("demand_windows", instance_arrivals=3).write_parquet(
        folder / "rows" / "part-000000.parquet"
    )
    passed, said, _ = arrivals_reconcile(folder)
    assert not passed
    assert "instance_arrivals sums to 3, instances has 1" in said


def test_cache_answers(tmp_path):
    from marl.features.cache import build_cache

    summary = build_cache(tmp_path, tmp_path / "cache.duckdb")
    folder = tmp_path / "trace_cache"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(summary.model_dump(mode="json")))
    assert cache_answers(folder)[0]
    claimed = summary.rows | {"machines": 9}
    (folder / "summary.json").write_text(json.dumps({"rows": claimed}))
    assert cache_answers(folder)[1] == "machines: 0 rows, expected 9"


def test_model_makes_demand(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.json"):
        model_makes_demand(tmp_path)


def test_fit_resembles_trace(tmp_path):
    def document(*passed):
        checks = [{"name": f"n{i}", "is_passed": one} for i, one in enumerate(passed)]
        one = {"workload_class": "web", "quantity": "q", "checks": checks}
        return json.dumps({"goodness": {"comparisons": [one]}})

    (tmp_path / "report.json").write_text(document(True, True, False))
    assert fit_resembles_trace(tmp_path)[0]
    (tmp_path / "report.json").write_text(document(True, False, False))
    passed, said, _ = fit_resembles_trace(tmp_path)
    assert not passed
    assert "web q: n1" in said


def test_tuned_beats_its_start(tmp_path):
    def write(reward, start):
        trials = [
            {"knobs": [0.0], "reward": start, "performance": -0.5},
            {"knobs": [0.1], "reward": reward, "performance": -0.5},
        ]
        one = {"name": "reactive", "action": {"compute": [0.1]}, "reward": reward, "trials": trials}
        text = json.dumps({"budget": {}, "seed": 0, "tuned": [one]})
        (tmp_path / "baselines.json").write_text(text)

    write(-0.1, -0.2)
    assert tuned_beats_its_start(tmp_path)[0]
    write(-0.3, -0.2)
    assert "reactive: best -0.3000 is below its start -0.2000" in tuned_beats_its_start(tmp_path)[1]


def test_episodes_pair(tmp_path):
    (tmp_path / "rows").mkdir()

    def write(requests, episodes=(0, 0)):
        frame = {"scenario": ["s", "s"], "policy": ["a", "b"], "episode": list(episodes)}
        pl.DataFrame(frame | {"requests": requests}).write_parquet(tmp_path / "rows" / "p.parquet")

    write([5.0, 5.0])
    assert episodes_pair(tmp_path)[0]
    write([5.0, 6.0])
    assert "different demand" in episodes_pair(tmp_path)[1]
    write([5.0, 5.0], (0, 1))
    assert "different episodes" in episodes_pair(tmp_path)[1]


def test_report_is_complete(tmp_path):
    assert "missing: report.html" in report_is_complete(tmp_path)[1]
    (tmp_path / "report.md").write_text("x")
    (tmp_path / "report.json").write_text(json.dumps({"is_synthetic": True, "verdict": ["v"]}))
    (tmp_path / "report.html").write_text("Synthetic trace")
    assert report_is_complete(tmp_path)[0]
    (tmp_path / "report.html").write_text('<script src="https://x"></script>')
    said = report_is_complete(tmp_path)[1]
    assert "fetches or runs something" in said
    assert "does not say that the trace is synthetic" in said


def test_policies_act(tmp_path):
    assert policies_act(tmp_path)[1] == "no policy file"
    (tmp_path / "evil-seed0.safetensors").write_bytes(b"\x80\x04cos\nsystem\n.")
    passed, said, _ = policies_act(tmp_path)
    assert not passed
    assert "evil-seed0.safetensors" in said


@pytest.mark.parametrize("is_joint", [False, True])
def test_policies_of_teams_and_of_single_controllers_act(tmp_path, is_joint):
    inputs = {"a": ("0",), "b": ("0", "1")}
    net = NetConfig(hidden=(4,))
    baseline = torch.full((1, 3) if is_joint else (2, 2), 0.1)
    actor = TeamActor(
        (3,) if is_joint else (1, 2), baseline, bound=0.5, net=net,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    card = PolicyCard(
        learner="ppo", agents=("a", "b"), is_joint=is_joint, observation_fields=inputs,
        knobs=inputs, baseline={"a": (0.1,), "b": (0.1, 0.1)}, residual_bound=0.5, hold_steps=1,
        net=net, training={}, training_seed=0, env_steps=1, fingerprint="f" * 64, versions={},
    )  # fmt: skip
    save_policy(tmp_path / "ppo-seed0.safetensors", actor, card)
    assert policies_act(tmp_path)[:2] == (True, "1 policies act")


def test_plan_adds_up(tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    passed, said, _ = plan_adds_up(tmp_path)
    assert not passed
    assert "not a plan" in said


def test_module_is_safe(tmp_path):
    module = tmp_path / "module"
    module.mkdir()
    for name in ("versions.tf", "variables.tf", "outputs.tf", "README.md"):
        (module / name).write_text("")
    assert module_is_safe(tmp_path)[0]
    (module / "database.tf").write_text('resource "x" "y" {\n  password = "hunter2"\n')
    said = module_is_safe(tmp_path)[1]
    assert "braces do not balance" in said
    assert "looks like a credential" in said


def test_classify_gives_what_the_suite_wants(tmp_path):
    (tmp_path / "task_profiles" / "rows").mkdir(parents=True)
    _frame("task_profiles", collection_type="job").write_parquet(
        tmp_path / "task_profiles" / "rows" / "part-000000.parquet"
    )
    classes = classify({"task_profiles": tmp_path / "task_profiles"})
    assert validate(classes, SUITES["workload_classes"]).broken == ()
