"""Slices through a policy: one knob of an agent over two of its inputs, all others at rest.

Which knob and which two inputs are found, not chosen: those by which the policy's decision moves
most when one input at a time goes through the range seen in play. Inputs at rest have the median
of what was seen. Inputs that belong together are moved apart here, so a slice shows what the
network does, not how often the cloud is in that corner. Drawing belongs to `report.pictures`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

if TYPE_CHECKING:
    from marl.evaluate.policies import Policy
    from marl.evaluate.world import World
    from marl.train.policy_file import StoredPolicy

OBSERVATION_FILE: Final = "observation.parquet"  # beside the episodes
_CLOUDS: Final = 64
_LONGEST: Final = 20_000  # steps; an environment that never ends an episode is an error
_RANGE: Final = (0.05, 0.95)  # quantiles of what was seen: inputs go from the one to the other
_GRID: Final = 31
_SWEEP: Final = 9
_SETTLE: Final = 24  # steps the same observation is shown, so that a memory comes to rest: 2 h
_INPUTS: Final = 5  # named for a knob

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Slice:
    """One knob of one agent over two of its inputs, at stages of training.

    Attributes:
        policy: name.
        agent: whose knob.
        knob: its name.
        unit: of its values.
        low, high: its range.
        rule: its value under the tuned rule that the policy departs from.
        x_field, y_field: names of the inputs, in units of the reference demand.
        x: (n,) values of the first.
        y: (m,) values of the second.
        at: median of both.
        stages: stage → (m, n) value of the knob; the last stage is the policy itself.
        inputs: name and effect of the inputs that move this knob most, the most first: largest
            minus smallest value over the input's range, in the knob's unit.
    """

    policy: str
    agent: str
    knob: str
    unit: str
    low: float
    high: float
    rule: float
    x_field: str
    y_field: str
    x: Array
    y: Array
    at: tuple[float, float]
    stages: Mapping[str, Array]
    inputs: Sequence[tuple[str, float]]


def reference_observation(
    world: "World", policy: "Policy", scenario: str, seed: int, *, clouds: int = _CLOUDS
) -> pl.DataFrame:
    """What agents see in held-out play: the middle and the range of every input.

    Args:
        world: where environments come from.
        policy: who plays, the tuned rule for a start that favours no learner.
        scenario: kind of demand.
        seed: of the weather.
        clouds: episodes played side by side.

    Returns:
        A row per agent and input, in the agent's order: `agent`, `field`, and over all steps and
        clouds `median`, `lo` and `hi` (5 and 95 %).
    """
    import torch

    from marl.train.env import field_names

    env = world.make_env(scenario, "held_out")(clouds, seed)
    obs = env.reset(seed=seed)
    policy.begin(env, seed)
    sizes = {agent: int(env.observation_spec[agent].shape[0]) for agent in env.agents}
    names = field_names(env, "observation_names", sizes)
    seen: dict[str, list[torch.Tensor]] = {agent: [] for agent in env.agents}
    for _ in range(_LONGEST):
        for agent, values in obs.items():
            seen[agent].append(values.cpu())
        step = env.step(policy.act(obs))
        if (step.terminated | step.truncated).any():  # all episodes are equally long
            break
        obs = step.obs
    else:
        raise RuntimeError(f"an episode did not end within {_LONGEST} steps")
    rows = []
    for agent in env.agents:
        table = torch.cat(seen[agent]).to(torch.float64).numpy()
        lo, median, hi = np.quantile(table, [_RANGE[0], 0.5, _RANGE[1]], axis=0)
        rows.append(
            pl.DataFrame(
                {"agent": agent, "field": names[agent], "median": median, "lo": lo, "hi": hi}
            )
        )
    return pl.concat(rows)


def slices_of(stages: Mapping[str, "StoredPolicy"], observation: pl.DataFrame) -> list[Slice]:
    """One slice an agent through a policy and the snapshots of its training.

    Args:
        stages: stage → policy; the last decides which knobs and inputs are shown.
        observation: from `reference_observation`.

    Raises:
        ValueError: no stage, or a policy that sees other inputs than `observation` has.
    """
    if not stages:
        raise ValueError("a slice needs a policy")
    for stored in stages.values():
        _refuse_other_inputs(stored, observation)
    last = list(stages.values())[-1]
    return [_slice(stages, last, agent, observation) for agent in last.card.agents]


def stored_slices(trained: Path, observation: Path, policy: str) -> list[Slice]:
    """`slices_of` the first training run of a policy of the lineage, with its snapshots.

    Args:
        trained: folder of the asset `trained_policies`.
        observation: the file `OBSERVATION_FILE` beside the episodes.
        policy: its name.

    Returns:
        No slice where the observation was not stored (evaluations before this existed).

    Raises:
        FileNotFoundError: there is no such policy.
    """
    from marl.train.policy_file import load_policy_file
    from marl.train.snapshots import FOLDER, SHARES, snapshot_name

    if not observation.is_file():
        return []
    files = sorted(trained.glob(f"{policy}-seed*.safetensors"), key=_training_seed)
    if not files:
        raise FileNotFoundError(f"no policy {policy!r} in {trained}")
    paths = {
        f"{share:.0%}" if share else "start": trained / FOLDER / f"{policy}-{snapshot_name(share)}"
        for share in SHARES
    }
    paths = {stage: path for stage, path in paths.items() if path.is_file()} | {"end": files[0]}
    stages = {stage: load_policy_file(path) for stage, path in paths.items()}
    return slices_of(stages, pl.read_parquet(observation))


def _training_seed(path: Path) -> int:
    return int(path.stem.rpartition("-seed")[2])


def _slice(
    stages: Mapping[str, "StoredPolicy"], last: "StoredPolicy", agent: str, seen: pl.DataFrame
) -> Slice:
    own = seen.filter(pl.col("agent") == agent)
    fields, middle = own["field"].to_list(), own["median"].to_numpy()
    lo, hi = own["lo"].to_numpy(), own["hi"].to_numpy()
    effect = _effects(last, agent, seen, lo, hi)  # (F, A)
    knob = int(np.argmax(np.sort(effect, axis=0)[-2:].sum(0)))
    order = np.argsort(-effect[:, knob], kind="stable")
    x_at, y_at = int(order[0]), int(order[min(1, len(order) - 1)])
    x, y = (np.linspace(lo[i], hi[i], _GRID) for i in (x_at, y_at))
    rows = np.tile(middle, (_GRID * _GRID, 1))
    rows[:, x_at], rows[:, y_at] = np.tile(x, _GRID), np.repeat(y, _GRID)
    name, unit, low, high = _knob(last, agent, knob)

    def physical(action: Array) -> Array:
        return low + (np.clip(action, -1, 1) + 1) / 2 * (high - low)

    values = {
        stage: physical(_decide(stored, agent, rows, seen)[:, knob]).reshape(_GRID, _GRID)
        for stage, stored in stages.items()
    }
    width = (high - low) / 2  # an action goes from -1 to 1
    return Slice(
        policy=last.card.learner,
        agent=agent,
        knob=name,
        unit=unit,
        low=low,
        high=high,
        rule=float(physical(np.array(last.card.baseline[agent][knob]))),
        x_field=fields[x_at],
        y_field=fields[y_at],
        x=x,
        y=y,
        at=(float(middle[x_at]), float(middle[y_at])),
        stages=values,
        inputs=[(fields[i], float(effect[i, knob] * width)) for i in order[:_INPUTS]],
    )


def _effects(
    stored: "StoredPolicy", agent: str, seen: pl.DataFrame, lo: Array, hi: Array
) -> NDArray[np.float64]:
    """(F, A): how far each knob goes, in action units, when one input goes from `lo` to `hi`."""
    middle = seen.filter(pl.col("agent") == agent)["median"].to_numpy()
    rows = np.tile(middle, (len(middle), _SWEEP, 1))
    for i in range(len(middle)):
        rows[i, :, i] = np.linspace(lo[i], hi[i], _SWEEP)
    actions = _decide(stored, agent, rows.reshape(-1, len(middle)), seen)
    return np.asarray(np.ptp(actions.reshape(len(middle), _SWEEP, -1), axis=1))


def _decide(stored: "StoredPolicy", agent: str, rows: Array, seen: pl.DataFrame) -> Array:
    """(B, A) actions of `agent` for its observations (B, F), all other agents at their medians."""
    import torch

    obs = {
        other: torch.tensor(
            seen.filter(pl.col("agent") == other)["median"].to_numpy(), dtype=torch.float32
        ).expand(len(rows), -1)
        for other in stored.card.agents
    }
    obs[agent] = torch.tensor(rows, dtype=torch.float32)
    player, spec = stored.player(), stored.card.spec()
    player.begin(len(rows))
    mask = spec.action_mask().expand(len(rows), -1, -1)
    has_memory = stored.card.face == "moves" or stored.actor.begin(1) is not None
    for _ in range(_SETTLE if has_memory else 1):
        actions = player.decide(obs, mask)
    return np.asarray(actions[agent].to(torch.float64).numpy())


def _knob(stored: "StoredPolicy", agent: str, index: int) -> tuple[str, str, float, float]:
    """Name, unit and range of a knob; actions as they are where it is none of the cloud's."""
    from marl.cloud.actions import knobs
    from marl.cloud.types import SERVICES

    name = stored.card.knobs[agent][index]
    found = [k for k in knobs(agent) if k.name == name] if agent in SERVICES else []
    if found:
        return name, found[0].unit, found[0].low, found[0].high
    return name, "action", -1.0, 1.0


def _refuse_other_inputs(stored: "StoredPolicy", seen: pl.DataFrame) -> None:
    for agent, fields in stored.card.observation_fields.items():
        there = seen.filter(pl.col("agent") == agent)["field"].to_list()
        if list(fields) != there:
            raise ValueError(
                f"{stored.card.learner} sees {len(fields)} inputs of {agent} and {OBSERVATION_FILE}"
                f" has {len(there)}, or others: make both again with "
                "`dagster asset materialize --select 'trained_policies,evaluation_episodes'`"
            )
