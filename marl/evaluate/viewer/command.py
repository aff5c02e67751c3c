"""`python -m marl.evaluate.viewer`: play a scenario and write the page, without the lineage.

Demand is the toy's unless the lineage's data folder is named; then its workload, prices, tuned
baselines and trained policies are used.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from marl.envs import make
from marl.envs.scenarios import SCENARIOS
from marl.evaluate.families import provisioning_families
from marl.evaluate.policies import ConstantPolicy, Policy, RandomPolicy, load_policy
from marl.evaluate.viewer.page import render_page
from marl.evaluate.viewer.record import Labels, Record, record, record_held_out
from marl.evaluate.world import stored_world
from marl.files import staged


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    Args:
        arguments: of the command line; `sys.argv` if absent.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        records = _records(asked)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    with staged(asked.out) as aside:
        aside.write_text(render_page(records), encoding="utf-8")
    megabytes = asked.out.stat().st_size / 1e6
    sys.stdout.write(f"{asked.out}: {megabytes:.2f} MB, {records[0].steps.height} steps\n")
    return 0


def _records(asked: argparse.Namespace) -> list[Record]:
    if asked.episode < 0:
        raise ValueError(f"--episode must be at least 0; got {asked.episode}")
    names = [asked.policy, *([asked.against] if asked.against else [])]
    if asked.data is not None:
        if not (asked.data / "workload_model").is_dir():
            raise FileNotFoundError(
                f"{asked.data} holds no workload_model: name the data folder of a finished run "
                "(make report makes one), or leave --data out for toy demand"
            )
        world = stored_world(asked.data, asked.steps)
        policies = [load_policy(name, data=asked.data) for name in names]
        return record_held_out(policies, world, asked.scenario, asked.episode, asked.seed)
    env = make(
        num_envs=asked.episode + 1,
        scenario=asked.scenario,
        split="held_out",
        seed=asked.seed,
        episode_steps=asked.steps,
    )
    labels = Labels(asked.scenario, asked.episode, asked.seed, "toy demand", is_synthetic=True)
    return [record(_policy(name), env, asked.episode, asked.seed, labels) for name in names]


def _policy(name: str) -> Policy:
    """A policy that needs no data folder: a family's start, chance, or a policy file."""
    families = provisioning_families()
    starts = {family.name: family.start for family in families if family.kind == "constant"}
    if name in starts:
        return ConstantPolicy(name, starts[name])
    if name == RandomPolicy.name or Path(name).suffix:
        return load_policy(name)
    known = ", ".join([*starts, RandomPolicy.name])
    raise ValueError(f"no policy {name!r}; there are: {known}, or a policy file, or name --data")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marl.evaluate.viewer",
        description="Play one episode and write a page that shows it, one file without network.",
    )
    parser.add_argument("--scenario", default="zone_outage", help=", ".join(SCENARIOS))
    parser.add_argument(
        "--policy", default="reactive", help="reactive, static_peak, random, a policy file"
    )
    parser.add_argument("--against", default="", help="a second policy, in the same weather")
    parser.add_argument("--episode", type=int, default=0, help="which episode (0)")
    parser.add_argument("--seed", type=int, default=0, help="of the weather (0)")
    parser.add_argument("--steps", type=int, default=288, help="steps of 5 minutes (288, a day)")
    parser.add_argument("--data", type=Path, help="the lineage's data folder (toy demand without)")
    parser.add_argument("--out", type=Path, required=True, help="where the page is written")
    return parser
