"""The two arms: a policy in a configuration of the cloud, played in the same weather.

Where policies and worlds come from is `marl.evaluate.policies` and `world`; what is done with the
figures is `experiment`'s.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.cloud.config import CloudConfig
from marl.evaluate.policies import Policy, load_policy
from marl.evaluate.rollout import rollout
from marl.evaluate.world import World, stored_world

# What changes how rewards are counted: two arms that differ in one have no common objective.
_COUNTING: Final = frozenset(
    {
        "weights",
        "local_share",
        "violation_scale",
        "failure_scale",
        "budget_penalty",
        "budget_share",
        "dependency_penalty",
    }
)


@dataclass
class Arm:
    """A policy in a world; episodes that were played are kept.

    Attributes:
        policy: what acts.
        world: where.
        overrides: fields of `CloudConfig` the world was made with, for people.
    """

    policy: Policy
    world: World
    overrides: Mapping[str, Any] = field(default_factory=dict)
    _played: dict[tuple[str, str, int], pl.DataFrame] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The policy, and what is different about its cloud."""
        changed = ", ".join(f"{key}={value}" for key, value in self.overrides.items())
        return f"{self.policy.name} ({changed})" if changed else self.policy.name

    def episodes(self, scenario: str, split: str, count: int, seed: int) -> pl.DataFrame:
        """The first `count` episodes, one row each, in order."""
        key = (scenario, split, seed)
        known = self._played.get(key)
        if known is None or known.height < count:
            rows = rollout(self.policy, scenario, split, count, seed, world=self.world)
            # What was looked at before stays as it was seen.
            new = rows if known is None else pl.concat([known, rows.slice(known.height)])
            self._played[key] = known = new
        return known.head(count)


def load_arm(
    name_or_path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    data: Path | None = None,
    training_seed: int | None = None,
    episode_steps: int = 144,
) -> Arm:
    """An arm from the lineage's stored world and policies.

    Args:
        name_or_path: as of `load_policy`.
        overrides: fields of `CloudConfig` that differ from the defaults.
        data: the data folder; STRATOFORM_DATA or `data` if absent.
        training_seed: which of a learner's training runs; the lowest if absent.
        episode_steps: steps in an episode.

    Raises:
        FileNotFoundError: no such policy, or no stored world.
        ValueError: an override that is no field of the configuration, or not allowed.
    """
    from dataclasses import replace

    overrides = dict(overrides or {})
    policy = load_policy(name_or_path, data=data, training_seed=training_seed)
    world = replace(stored_world(data, episode_steps), overrides=overrides)
    return Arm(policy, world.seen_by(policy.name), overrides)


def parse_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts as fields of `CloudConfig`; a value is JSON, or else a text.

    Raises:
        ValueError: a text without "=", no such field, or a value that is not allowed.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in CloudConfig.model_fields:
            known = ", ".join(sorted(CloudConfig.model_fields))
            raise ValueError(f"{text!r} is not key=value with a key among {known}")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    whole = CloudConfig(**found)  # pydantic says what is wrong with a value
    return {key: getattr(whole, key) for key in found}


def require_common(a: Arm, b: Arm, metric: str) -> None:
    """Refuse to compare rewards that are counted differently.

    Raises:
        ValueError: the metric is a reward, and the arms differ in how one is counted.
    """
    if not metric.startswith("reward"):
        return
    changed = {key for key in _COUNTING if a.overrides.get(key) != b.overrides.get(key)}
    if changed:
        raise ValueError(
            f"A and B differ in {', '.join(sorted(changed))}, which changes what {metric} counts: "
            "compare another metric, e.g. --metric cost_usd"
        )


def paired_figures(
    a: Arm, b: Arm, scenario: str, split: str, count: int, seed: int, metrics: Sequence[str]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Metric → (n,) figures of A and of B in the same episodes.

    Raises:
        ValueError: a metric is not a column, a figure is not finite, or episodes do not pair.
    """
    ours, theirs = (arm.episodes(scenario, split, count, seed) for arm in (a, b))
    if ours["episode"].to_list() != theirs["episode"].to_list():
        raise ValueError("A and B played different episodes: nothing can be paired")
    found = {}
    for metric in metrics:
        if metric not in ours.columns:
            raise ValueError(f"episodes have no column {metric}; there are: {ours.columns}")
        pair = [frame[metric].to_numpy().astype(np.float64) for frame in (ours, theirs)]
        if not np.isfinite(pair).all():
            raise ValueError(f"{metric} holds values that are not finite")
        found[metric] = (pair[0], pair[1])
    return found
