"""Typed operations: what Google refuses, their JSON, and an episode on the command line."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from marl.envs import make
from marl.evaluate.policies import RandomPolicy
from marl.gcp import operations as ops
from marl.gcp.compute_operations import (
    AutoscalingPolicy,
    BuyCommitment,
)
from marl.gcp.database_operations import ResizeDatabaseDisk, Tier
from marl.gcp.replica_operations import CreateRedis, CreateReplica
from marl.gcp.storage_operations import CreateHyperdisk, LifecyclePolicy, ResizeDisk
from marl.gcp.traffic_operations import ResizeProxies
from tests.unit.marl.gcp.example_operations import EXAMPLES

# --- what is refused --------------------------------------------------------------------------

REFUSED = [
    (lambda: ResizeDisk(zone="z", was_gib=100, to_gib=90), "disks only grow"),
    (lambda: ResizeDatabaseDisk(was_gib=100, to_gib=100), "disks only grow"),
    (lambda: Tier(vcpu=3, memory_mib=11_520), "1 or an even number"),
    (lambda: Tier(vcpu=98, memory_mib=100_352), "less than or equal to 96"),
    (lambda: Tier(vcpu=2, memory_mib=16_384), "0.9 to 6.5"),
    (lambda: Tier(vcpu=4, memory_mib=16_000), "multiple of 256"),
    (lambda: CreateRedis(region="r", gib=301), "less than or equal to 300"),
    (lambda: CreateRedis(region="r", gib=0), "greater than or equal to 1"),
    (
        lambda: CreateReplica(region="r", number=11, tier=Tier(vcpu=2, memory_mib=8192)),
        "less than or equal to 10",
    ),
    (lambda: CreateHyperdisk(zone="z", size_gib=64, iops=90_000), "128 to 76,800 IOPS"),
    (lambda: CreateHyperdisk(zone="z", size_gib=63, iops=1000), "greater than or equal to 64"),
    (
        lambda: AutoscalingPolicy(min_replicas=0, max_replicas=1, target=0.5, window_s=3601),
        "less than or equal to 3600",
    ),
    (
        lambda: AutoscalingPolicy(min_replicas=2, max_replicas=1, target=0.5, window_s=60),
        "lower the floor",
    ),
    (
        lambda: LifecyclePolicy(nearline_days=30, coldline_days=20, archive_days=90),
        "colder classes come later",
    ),
    (lambda: ResizeProxies(region="r", was=-1, to=2), "greater than or equal to 0"),
    (
        lambda: BuyCommitment(
            region="r",
            number=0,
            plan="TWELVE_MONTH",
            machine_type="x9-standard-4",
            vcpu=4,
            memory_mib=1024,
        ),
        "no resource-based commitment is known for x9-standard-4",
    ),
]


@pytest.mark.parametrize(("make_it", "message"), REFUSED)
def test_what_google_refuses_is_refused(make_it, message):
    with pytest.raises(ValidationError, match=message):
        make_it()


# --- the types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.kind)
def test_operations_survive_json_and_are_read_as_what_they_are(example):
    assert ops.parse_operation(example.model_dump_json()) == example
    assert example.describe()
    back = example.reverse()
    if back is None:
        assert example.kind in {"buy_commitment", "resize_disk", "resize_database_disk"}
    else:
        assert back != example
        assert back.reverse() == example
        assert ops.parse_operation(back.model_dump_json()) == back


def test_an_unknown_operation_is_refused():
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        ops.parse_operation('{"kind": "sell_the_data_centre"}')


# --- an episode --------------------------------------------------------------------------------


def test_a_random_episode_of_any_cloud_of_a_batch_translates():
    env = make(num_envs=3, seed=5, scenario="everything_at_once", episode_steps=24)
    policy = RandomPolicy()
    called = list(ops.episode_operations(env, policy, 24, seed=3))
    assert len(called) == 24
    assert sum(map(len, called)) > 100
    assert {o.verb for step_ops in called for o in step_ops} >= {"update", "resize", "create"}


def test_the_command_line_prints_lines_and_json(capsys):
    assert ops.main(["--scenario", "mixed-cyclical", "--steps", "3"]) == 0
    text = capsys.readouterr().out
    assert "step   0" in text
    assert "compute.autoscalers.patch" in text
    assert ops.main(["--steps", "3", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {r["step"] for r in records} <= {0, 1, 2}
    for record in records:
        each = ops.parse_operation(json.dumps(record["operation"]))
        assert record["body"] == each.body()
        assert record["parameters"] == each.parameters("my-project")


def test_a_reader_that_stops_early_is_no_error():
    command = [sys.executable, "-m", "marl.gcp.operations", "--steps", "3", "--policy", "random"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdout.close()
    assert program.stderr.read() == b""
    assert program.wait(timeout=60) == 0


def test_the_command_line_says_what_is_wrong(capsys):
    with pytest.raises(SystemExit):
        ops.main(["--scenario", "weekend"])
    assert "no scenario 'weekend'; there are: calm" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        ops.main(["--steps", "0"])
    assert "steps must be 1" in capsys.readouterr().err
