"""A whole study: which policies are tried under which perturbations, cell by cell.

`Asked` is plain values that any process can read for itself; a finished cell is kept under a hash
of all that decides it, so that a stopped study goes on where it was. Statistics are `frame`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from marl.evaluate.policies import (
    BASELINES_FILE,
    REFERENCE,
    LearnedPolicy,
    Policy,
    RandomPolicy,
    baseline_policies,
)
from marl.evaluate.robustness.cells import Cell, Say, change_of, play_cell
from marl.evaluate.robustness.perturbations import Perturbation, perturbations
from marl.evaluate.robustness.stage import Stage, stage_of
from marl.evaluate.rollout import rollout_together
from marl.evaluate.study import load_policies
from marl.evaluate.world import ORACLE
from marl.files import sha256_file, sha256_json, staged
from marl.train.policy_file import load_policy_file

_VERSION = 1  # of what a cell computes; raise it when stored ones must be redone
_RULES = (REFERENCE, "predictive")  # always shown, beside the best one


@dataclass(frozen=True)
class Asked:
    """What all cells of a study share.

    Attributes:
        workload_model, price_catalog, trained_policies, baseline_policies: folders of the assets.
        policies: names, a learner's first training run; or paths of policy files.
        scenario: by name.
        episode_steps: of an episode.
        episodes: of each policy in each cell.
        seed: of the weather.
        perturbations: names of rows; empty: all.
        other_workload: folder of another fitted workload, if it is asked for.
        keep: folder in which finished cells are kept; None: nowhere.
    """

    workload_model: Path
    price_catalog: Path
    trained_policies: Path
    baseline_policies: Path
    policies: tuple[str, ...]
    scenario: str
    episode_steps: int
    episodes: int
    seed: int
    perturbations: tuple[str, ...] = ()
    other_workload: Path | None = None
    keep: Path | None = None

    def rows(self) -> list[Perturbation]:
        """The perturbations, in the order of the table."""
        return perturbations(self.perturbations, self.other_workload)

    def stage(self) -> Stage:
        """Where they are played."""
        return stage_of(self.workload_model, self.price_catalog, self.episode_steps, self.scenario)


def default_policies(asked: Asked, say: Say | None = None) -> tuple[str, ...]:
    """The reactive and the predictive rule, the best of all rules, and every learner.

    The best rule is the one with the highest reward in the study's unperturbed episodes. Learners
    that are shown the future, and planners, are no rivals.

    Args:
        asked: the study; its `policies` are not looked at.
        say: receives lines.
    """
    rules = baseline_policies(asked.baseline_policies)
    stage = asked.stage()
    played = rollout_together(
        rules,
        asked.scenario,
        stage.split,
        asked.episodes,
        asked.seed,
        world=stage.world,
        progress=say,
    )
    means = played.group_by("policy").agg(pl.col("reward").mean()).sort("reward", "policy")
    best = str(means["policy"][-1])
    there = [rule.name for rule in rules]
    learned = dict.fromkeys(
        one.name
        for one in load_policies(asked.trained_policies, asked.baseline_policies)
        if isinstance(one, LearnedPolicy) and not one.name.endswith(ORACLE)
    )
    return tuple(dict.fromkeys([*(n for n in _RULES if n in there), best, *learned]))


def policies_of(asked: Asked) -> list[Policy]:
    """The study's policies, each an object of its own.

    Raises:
        ValueError: no policy of a name; the message lists those there are.
    """
    known: dict[str, Policy] = {}
    for one in load_policies(asked.trained_policies, asked.baseline_policies):
        known.setdefault(one.name, one)
    found: list[Policy] = []
    for name in asked.policies:
        if Path(name).suffix:
            found.append(LearnedPolicy(load_policy_file(Path(name)), Path(name).stem))
        elif name in known:
            found.append(known[name])
        else:
            raise ValueError(f"no policy {name!r} to perturb; there are: {', '.join(known)}")
    return found


def finish_cell(asked: Asked, cell: Cell, say: Say) -> pl.DataFrame:
    """The episodes of a cell: those kept, or played now (`cells.play_cell`)."""
    path = cell_path(asked, cell)
    if path is not None and path.is_file():
        return pl.read_parquet(path)
    stage, policies = _open(asked, _identity(asked))
    rows = asked.rows()
    played = play_cell(policies, stage, cell, rows, asked.episodes, asked.seed, say)
    if path is not None:
        with staged(path) as aside:
            played.write_parquet(aside, compression="zstd")
    return played


def cell_path(asked: Asked, cell: Cell) -> Path | None:
    """Where a cell lies once it is finished; None where nothing is kept."""
    if asked.keep is None:
        return None
    change = repr(change_of(cell, asked.rows(), asked.episode_steps))
    return asked.keep / f"{cell.label}-{sha256_json([_identity(asked), change])[:12]}.parquet"


def missing_inputs(asked: Asked) -> list[Path]:
    """What a study needs and is not there."""
    wanted = [
        asked.workload_model / "model.json",
        asked.price_catalog / "catalog.json",
        asked.baseline_policies / BASELINES_FILE.name,
    ]
    return [path for path in wanted if not path.is_file()]


@lru_cache(maxsize=1)  # a process plays many cells of one study
def _open(asked: Asked, identity: str) -> tuple[Stage, Sequence[Policy]]:
    """Stage and policies; `identity` tells apart what lay in the same folders at other times."""
    return asked.stage(), policies_of(asked)


def _identity(asked: Asked) -> str:
    """Hash of what all cells of a study share, the contents of its files with it."""
    folders = [asked.workload_model, asked.price_catalog, asked.baseline_policies]
    folders += [] if asked.other_workload is None else [asked.other_workload]
    files = [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "provenance.json"
    ]
    files += [path for name in asked.policies for path in _files(name, asked.trained_policies)]
    return sha256_json(
        {
            "version": _VERSION,
            "files": [sha256_file(path) for path in files],
            "policies": [Path(name).name for name in asked.policies],
            "scenario": asked.scenario,
            "steps": asked.episode_steps,
            "episodes": asked.episodes,
            "seed": asked.seed,
        }
    )


def _files(name: str, trained: Path) -> list[Path]:
    """The file of a policy, if it has one of its own."""
    if Path(name).suffix:
        return [Path(name)]
    if name == RandomPolicy.name:
        return []
    return sorted(trained.glob(f"{name}-seed*.safetensors"))
