"""Episodes of two policies side by side: the arrays that comparisons are made of.

The table of episodes is `marl.evaluate.rollout`'s; what is made of the arrays is the other
modules'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True)
class Played:
    """One policy's episodes in one scenario.

    Attributes:
        episodes: their numbers, in order.
        values: metric → (S, E) training seeds × episodes.
    """

    episodes: list[int]
    values: dict[str, NDArray[np.float64]]


class Episodes:
    """A table of episodes as arrays, by scenario and policy.

    Args:
        frame: one row per policy × scenario × training seed × episode (`rollout`).
        metrics: columns of figures.

    Raises:
        ValueError: a training seed lacks episodes others have, has one twice, or a value is not
            finite.
    """

    def __init__(self, frame: pl.DataFrame, metrics: Sequence[str]) -> None:
        ordered = frame.select("scenario", "policy", "training_seed", "episode", *metrics).sort(
            "scenario", "policy", "training_seed", "episode"
        )
        parts = ordered.partition_by("scenario", "policy", as_dict=True, maintain_order=True)
        self.played = {
            (str(scenario), str(policy)): _played(part, metrics)
            for (scenario, policy), part in parts.items()
        }

    def values(
        self, policy: str, metric: str, scenarios: Sequence[str]
    ) -> list[NDArray[np.float64]]:
        """Of each scenario (S, E)."""
        return [self.played[scenario, policy].values[metric] for scenario in scenarios]

    def pair(self, policy: str, reference: str, scenario: str) -> tuple[Played, Played]:
        """Both policies' episodes in a scenario.

        Raises:
            ValueError: they are not the same.
        """
        ours, theirs = self.played[scenario, policy], self.played.get((scenario, reference))
        if theirs is None or ours.episodes != theirs.episodes:
            raise ValueError(
                f"{policy} and {reference} have different episodes in {scenario}: "
                f"{len(ours.episodes)} and {len(theirs.episodes) if theirs else 0}; "
                "compare the same episodes only"
            )
        return ours, theirs

    def differences(
        self, policy: str, reference: str, metric: str, scenarios: Sequence[str]
    ) -> list[NDArray[np.float64]]:
        """Of each scenario (S, E): the policy of each training seed less the reference.

        A reference of several training seeds is averaged over them; itself it differs from by
        nothing, (1, E) zeros.

        Raises:
            ValueError: they played different episodes.
        """
        found = []
        for scenario in scenarios:
            ours, theirs = self.pair(policy, reference, scenario)
            mean = theirs.values[metric].mean(0)
            is_itself = policy == reference
            found.append(np.zeros((1, len(mean))) if is_itself else ours.values[metric] - mean)
        return found


def require_reference(frame: pl.DataFrame, reference: str) -> None:
    """Refuse a reference that has no episodes.

    Raises:
        ValueError: it has none; the message lists the policies that have.
    """
    if reference not in frame["policy"].unique():
        known = frame["policy"].unique().sort().to_list()
        raise ValueError(f"no episodes of the reference {reference!r}; there are: {known}")


def policies_in_every_scenario(frame: pl.DataFrame, scenarios: Sequence[str]) -> list[str]:
    """Policies that played all of these scenarios, sorted.

    Raises:
        ValueError: no policy did.
    """
    played = (
        frame.filter(pl.col("scenario").is_in(list(scenarios)))
        .group_by("policy")
        .agg(pl.col("scenario").n_unique())
        .filter(pl.col("scenario") == len(scenarios))
    )
    if played.is_empty():
        raise ValueError(f"no policy played all of {', '.join(scenarios)}")
    return played["policy"].sort().to_list()


def _played(part: pl.DataFrame, metrics: Sequence[str]) -> Played:
    """Rows of one policy and scenario, sorted by training seed and episode."""
    numbers = part["episode"].to_list()
    episodes = sorted(set(numbers))
    seeds = len(numbers) // len(episodes)
    policy, scenario = part["policy"][0], part["scenario"][0]
    if numbers != episodes * seeds:
        raise ValueError(
            f"training seeds of {policy} have different episodes in {scenario}, or one twice; "
            "compare the same episodes only"
        )
    values = {}
    for metric in metrics:
        column = part[metric].to_numpy().astype(np.float64)
        if not np.isfinite(column).all():
            raise ValueError(f"{metric} of {policy} in {scenario} holds values that are not finite")
        values[metric] = column.reshape(seeds, len(episodes))
    return Played(episodes, values)
