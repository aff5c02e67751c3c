"""The record of one episode: every figure, every knob, demand by class, and what happened when.

Playing is `rollout`'s; telling events from the record is `events`'; showing it is `page`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from marl.cloud.weather import Weather
from marl.envs.batched import BatchedEnv
from marl.evaluate.policies import LearnedPolicy, Policy, RandomPolicy
from marl.evaluate.rollout import BLOCK, steps_of
from marl.evaluate.viewer.events import EVENT_SCHEMA, events_of_steps, events_of_weather
from marl.evaluate.world import physical
from marl.train.seeding import derive_seed
from marl.workload.demand import CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marl.evaluate.world import World


@dataclass(frozen=True)
class Labels:
    """Where an episode comes from, for its reader.

    Attributes:
        scenario: of `marl.envs.scenarios`.
        episode: its number, as in `rollout`.
        seed: of the evaluation.
        source: the demand in words ("held-out part of the trace", "toy demand").
        is_synthetic: no real trace is behind it.
    """

    scenario: str
    episode: int
    seed: int
    source: str
    is_synthetic: bool


@dataclass(frozen=True)
class Record:
    """One cloud's episode under one policy.

    Attributes:
        policy: its name.
        labels: where the episode comes from.
        step_s: length of a step.
        slo_ms: latency objective of a web request.
        budget_usd: what a step may cost.
        steps: one row per step: `step`, `reward`, every figure of `figure_names(zones)`,
            `demand_<class>_vcpu`, and each knob as `<agent>_<knob>` in its unit.
        events: `EVENT_SCHEMA`, in the order of their start.
    """

    policy: str
    labels: Labels
    step_s: float
    slo_ms: float
    budget_usd: float
    steps: pl.DataFrame
    events: pl.DataFrame


def record(policy: Policy, env: BatchedEnv, row: int, seed: int, labels: Labels) -> Record:
    """Play the first episode of `seed` in cloud `row` and keep all of it.

    The same `env`, `row` and `seed` give the same weather whatever the policy.

    Args:
        policy: acts for all clouds of `env`; only one is kept.
        env: environments; reset here.
        row: which cloud.
        seed: of the weather.
        labels: for the reader.

    Raises:
        ValueError: no such cloud, or a policy made for other observations or knobs.
    """
    env.reset(seed=seed)
    weather = env.weather
    steps = pl.DataFrame(steps_of(policy, env, row, seed, physical))
    steps = steps.with_columns(_demand_by_class(weather, row))
    params = env.cloud.params
    found = [*events_of_weather(weather, row, params.config), *events_of_steps(steps)]
    return Record(
        policy=policy.name,
        labels=labels,
        step_s=params.step_s,
        slo_ms=params.config.slo_ms,
        budget_usd=float(env.cloud.scales.budget_usd),
        steps=steps,
        events=pl.DataFrame(found, schema=EVENT_SCHEMA, orient="row").sort("start", "kind", "text"),
    )


def record_held_out(
    policies: Sequence[Policy], world: "World", scenario: str, episode: int, seed: int
) -> list[Record]:
    """Held-out episode `episode` of `rollout` with the same seed, under each policy.

    Args:
        policies: one, or two to compare.
        world: of simulated clouds (`marl.evaluate.world.ProvisioningWorld`).
        scenario: of `marl.envs.scenarios`.
        episode: its number.
        seed: of the evaluation.

    Raises:
        ValueError: a negative episode.
    """
    if episode < 0:
        raise ValueError(f"episode must be at least 0; got {episode}")
    block, row = divmod(episode, BLOCK)
    block_seed = derive_seed(seed, "block", block)
    labels = Labels(scenario, episode, seed, "held-out part of the trace", world.is_synthetic)
    env = cast(BatchedEnv, world.make_env(scenario, "held_out")(BLOCK, block_seed))
    return [record(policy, env, row, block_seed, labels) for policy in policies]


def pick_pair(policies: Sequence[Policy], report: "Mapping[str, Any]") -> list[Policy]:
    """The best learned policy and the best baseline; two baselines where nothing was trained.

    Args:
        policies: those evaluated; the first training run of each name counts.
        report: content of report.json (`marl.evaluate.report.content`).

    Raises:
        ValueError: there is no policy but the random one.
    """
    (reward,) = [line for line in report["table"] if line["metric"] == "reward"]
    means = {cell["policy"]: cell["mean"] for cell in reward["cells"]}
    by_name: dict[str, Policy] = {}
    for policy in policies:
        if policy.name in means and policy.name != RandomPolicy.name:
            by_name.setdefault(policy.name, policy)
    ranked = sorted(by_name.values(), key=lambda one: (-means[one.name], one.name))
    learned: list[Policy] = [one for one in ranked if isinstance(one, LearnedPolicy)]
    baselines: list[Policy] = [one for one in ranked if not isinstance(one, LearnedPolicy)]
    if not ranked:
        raise ValueError("no policy to show: only the random one was evaluated")
    return [*learned[:1], *baselines[:1]] if learned else baselines[:2]


_VCPU: Final = 0  # row of `marl.cloud.types.WORK`


def _demand_by_class(weather: Weather, row: int) -> list[pl.Series]:
    rates = [weather.at(t).work[:, _VCPU, row].tolist() for t in range(len(weather))]
    return [
        pl.Series(f"demand_{name}_vcpu", [one[i] for one in rates], pl.Float64)
        for i, name in enumerate(CLASSES)
    ]
