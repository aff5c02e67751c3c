"""Typed operations on Google Cloud: all kinds as one union, and an episode's operations to read.

`operations` turns a step into operations, `knobs_from_operations` turns them back. On the command
line: `python -m marl.gcp.operations --scenario mixed_cyclical --steps 12`.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import torch
from pydantic import Field, TypeAdapter

from marl.cloud.actions import gather
from marl.cloud.dynamics import knobs_from_actions
from marl.envs import BatchedEnv, make
from marl.evaluate.families import family
from marl.evaluate.policies import ConstantPolicy, Policy, RandomPolicy
from marl.gcp.compute_operations import BuyCommitment, ResizeGroup, SetAutoscaler, SetFleetPolicy
from marl.gcp.database_operations import (
    ResizeDatabase,
    ResizeDatabaseDisk,
    SetAvailability,
    SetDatabasePolicy,
)
from marl.gcp.operation import Operation
from marl.gcp.policies import knobs_from_operations, resolution
from marl.gcp.replica_operations import (
    CreateRedis,
    CreateReplica,
    DeleteRedis,
    DeleteReplica,
    ResizeRedis,
)
from marl.gcp.storage_operations import (
    CreateHyperdisk,
    DeleteHyperdisk,
    ResizeDisk,
    SetDiskPolicy,
    SetLifecycle,
    SetProvisionedIops,
)
from marl.gcp.traffic_operations import (
    ResizeProxies,
    SetNetworkTierSplit,
    SetProxyAutoscaler,
    SetTrafficSplit,
)
from marl.gcp.translate import effective_knobs, operations

__all__ = [
    "KINDS",
    "AnyOperation",
    "Operation",
    "effective_knobs",
    "episode_operations",
    "knobs_from_operations",
    "operations",
    "parse_operation",
    "resolution",
]

AnyOperation = Annotated[
    BuyCommitment
    | CreateHyperdisk
    | CreateRedis
    | CreateReplica
    | DeleteHyperdisk
    | DeleteRedis
    | DeleteReplica
    | ResizeDatabase
    | ResizeDatabaseDisk
    | ResizeDisk
    | ResizeGroup
    | ResizeProxies
    | ResizeRedis
    | SetAutoscaler
    | SetAvailability
    | SetDatabasePolicy
    | SetDiskPolicy
    | SetFleetPolicy
    | SetLifecycle
    | SetNetworkTierSplit
    | SetProvisionedIops
    | SetProxyAutoscaler
    | SetTrafficSplit,
    Field(discriminator="kind"),
]
_ADAPTER: Final[TypeAdapter[Any]] = TypeAdapter(AnyOperation)
KINDS: Final[tuple[type[Operation], ...]] = AnyOperation.__origin__.__args__  # type: ignore[attr-defined]


def parse_operation(text: str | bytes) -> Operation:
    """The operation that `model_dump_json` wrote.

    Raises:
        pydantic.ValidationError: no such kind, a field missing or unknown, or what Google refuses.
    """
    return _ADAPTER.validate_json(text)


def episode_operations(
    env: BatchedEnv, policy: Policy, steps: int, seed: int
) -> Iterator[tuple[Operation, ...]]:
    """What one cloud's automation calls, step by step, while `policy` acts.

    The first step starts from a static plan for the peak (the start of the family `static_peak`),
    so its operations show the change of hands.

    Args:
        env: a batch whose first cloud is shown.
        policy: acts for all agents.
        steps: how many; at most the episode's.
        seed: of the episode and the policy.

    Raises:
        ValueError: fewer than one step, or more than the episode has.
    """
    if not 1 <= steps <= env.episode_steps:
        raise ValueError(f"steps must be 1 .. {env.episode_steps} (the episode); got {steps}")
    obs = env.reset(seed=seed)
    policy.begin(env, seed)
    static = {agent: torch.tensor(values) for agent, values in family("static_peak").start.items()}
    actions = {agent: part.expand(env.num_envs, -1) for agent, part in static.items()}
    in_force = knobs_from_actions(gather(actions, env.num_envs, env.device), env.cloud)
    for index in range(steps):
        actions = policy.act(obs)
        knobs = knobs_from_actions(gather(actions, env.num_envs, env.device), env.cloud)
        state, weather = env.cloud_state, env.weather.at(index)
        yield operations(state, weather, in_force, knobs, env.cloud)
        in_force = effective_knobs(state, weather, in_force, knobs)
        obs = env.step(actions).obs


def _record(step: int, each: Operation, project: str) -> dict[str, Any]:
    return {
        "step": step,
        "verb": each.verb,
        "api_method": each.api_method,
        "parameters": each.parameters(project),
        "body": each.body(),
        "terraform_resource": each.terraform_resource,
        "operation": each.model_dump(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the operations of an episode; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m marl.gcp.operations", description=__doc__)
    parser.add_argument("--scenario", default="mixed_cyclical", help="one of docs/scenarios.md")
    parser.add_argument("--steps", type=int, default=12, help="of 5 minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--policy", choices=("engineer", "random"), default="engineer")
    parser.add_argument("--project", default="my-project", help="put into parameters")
    parser.add_argument("--json", action="store_true", help="one JSON object per operation")
    given = parser.parse_args(arguments)
    name = given.scenario.replace("-", "_")
    try:
        env = make(num_envs=1, seed=given.seed, scenario=name, episode_steps=max(1, given.steps))
        rule = ConstantPolicy("engineer", family("reactive").start)
        policy: Policy = RandomPolicy() if given.policy == "random" else rule
        for step, called in enumerate(episode_operations(env, policy, given.steps, given.seed)):
            if given.json:
                lines = [json.dumps(_record(step, each, given.project)) for each in called]
            else:
                lines = [f"step {step:>3}  {len(called)} operations"]
                lines += [f"  {each.api_method:<46} {each.describe()}" for each in called]
            sys.stdout.writelines(line + "\n" for line in lines)
        sys.stdout.flush()
    except ValueError as error:
        parser.error(str(error))
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
