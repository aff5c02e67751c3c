"""The champion on disk: its policy file or rule, the one before it, and the decision that chose it.

    decision.json, decision.md      the last decision
    history.jsonl                   one line a decision, the oldest first
    champion/                       contender.json and policy.safetensors, or rule.json
    previous/                       the same, of the champion before; absent if there was none
    champion_episodes.parquet       its episodes, where it was not trained tonight

The folder is the asset `champion_policy`: replaced whole, so what has to last is carried over.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from marl.evaluate.baselines import BaselineSet, TunedBaseline
from marl.evaluate.policies import (
    BASELINES_FILE,
    REFERENCE,
    LearnedPolicy,
    Policy,
    baseline_policy,
)
from marl.evaluate.promotion.record import SCHEMA_VERSION, Contender, Decision
from marl.files import STAGING_MARK, remove, sha256_file, sha256_json, write_json
from marl.train.policy_file import load_policy_file

DECISION: Final = "decision.json"
PAGE: Final = "decision.md"
HISTORY: Final = "history.jsonl"
EPISODES: Final = "champion_episodes.parquet"
CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
_CONTENDER, _POLICY, _RULE = "contender.json", "policy.safetensors", "rule.json"


class ChampionError(ValueError):
    """A stored champion that cannot be trusted; says what is wrong and what to do."""


@dataclass(frozen=True)
class Kept:
    """A contender with what it acts by.

    Attributes:
        contender: who.
        content: policy file of a learned one; settings of a rule.
    """

    contender: Contender
    content: Path | dict[str, Any]

    def policy(self) -> Policy:
        """Ready to act.

        Raises:
            ValueError: the policy file is of a format this version does not read.
        """
        if isinstance(self.content, Path):
            return LearnedPolicy(load_policy_file(self.content))
        return baseline_policy(TunedBaseline.model_validate(self.content))

    def save(self, folder: Path) -> None:
        """Write it into a new folder."""
        folder.mkdir()
        write_json(folder / _CONTENDER, self.contender.model_dump(mode="json"))
        if isinstance(self.content, Path):
            shutil.copyfile(self.content, folder / _POLICY)
        else:
            write_json(folder / _RULE, self.content)

    @classmethod
    def load(cls, folder: Path) -> "Kept":
        """Read it, and compare its content with its hash.

        Raises:
            ChampionError: files are missing or were changed.
        """
        try:
            text = (folder / _CONTENDER).read_text(encoding="utf-8")
            contender = Contender.model_validate_json(text)
            content: Path | dict[str, Any] = folder / _POLICY
            if contender.is_learned:
                found = sha256_file(folder / _POLICY)
            else:
                content = json.loads((folder / _RULE).read_text(encoding="utf-8"))
                found = sha256_json(content)
        except (OSError, ValueError) as error:
            raise ChampionError(f"{folder} holds no usable champion: {error}; {_ADVICE}") from error
        if found != contender.sha256:
            raise ChampionError(
                f"{folder} was changed: its sha256 is {found[:12]}, {_CONTENDER} says "
                f"{contender.sha256[:12]}; {_ADVICE}"
            )
        return cls(contender, content)


@dataclass(frozen=True)
class Stored:
    """What the last decision left.

    Attributes:
        decision: that decision.
        champion: in service since.
        previous: before; None if there was none.
        history: lines of earlier decisions, the oldest first.
    """

    decision: Decision
    champion: Kept
    previous: Kept | None
    history: tuple[dict[str, Any], ...]


_ADVICE: Final = (
    "restore it from a backup or from MLflow's registry, or remove the folder: the next decision "
    "then begins from the tuned rule"
)


def tuned_rule(baselines: Path, name: str = REFERENCE) -> Kept:
    """A tuned rule as a contender, without the trials that found it."""
    text = (baselines / BASELINES_FILE.name).read_text(encoding="utf-8")
    (rule,) = [one for one in BaselineSet.model_validate_json(text).tuned if one.name == name]
    content = rule.model_copy(update={"trials": ()}).model_dump(mode="json")
    return Kept(
        Contender(name=name, training_seed=None, sha256=sha256_json(content)),
        content,
    )


def recover(folder: Path) -> None:
    """Put back a folder that a kill left aside in the middle of being replaced (`files.replace`).

    The champion is state: any other asset is simply made again.
    """
    for aside in sorted(folder.parent.glob(f"{folder.name}{STAGING_MARK}old-*")):
        if not folder.exists() and (aside / DECISION).is_file():
            aside.rename(folder)
        else:
            remove(aside)


def stored(folder: Path) -> Stored | None:
    """What the last decision left in the asset's folder; None before the first.

    Raises:
        ChampionError: something is there that cannot be trusted.
    """
    recover(folder)
    if not folder.exists():
        return None
    decision = read_decision(folder)
    champion = Kept.load(folder / CHAMPION)
    if champion.contender.sha256 != decision.winner.sha256:
        raise ChampionError(
            f"{folder}: the decision names {decision.winner}, the folder holds "
            f"{champion.contender}, another file; {_ADVICE}"
        )
    has_previous = (folder / PREVIOUS).is_dir()
    lines = (folder / HISTORY).read_text(encoding="utf-8").splitlines()
    return Stored(
        decision=decision,
        champion=champion,
        previous=Kept.load(folder / PREVIOUS) if has_previous else None,
        history=tuple(json.loads(line) for line in lines),
    )


def read_decision(folder: Path) -> Decision:
    """The decision in the asset's folder.

    Raises:
        ChampionError: there is none, or of another schema.
    """
    path = folder / DECISION
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {version}; this version reads {SCHEMA_VERSION}")
        return Decision.model_validate(content)
    except (OSError, ValueError) as error:
        raise ChampionError(f"{path}: no usable decision: {error}; {_ADVICE}") from error


def load_champion(folder: Path) -> tuple[Policy, Decision]:
    """The policy in service and the decision that put or left it there.

    Args:
        folder: of the asset `champion_policy`.

    Raises:
        ChampionError: they do not agree, or there are none.
    """
    found = stored(folder)
    if found is None:
        raise ChampionError(f"no champion in {folder}: materialise champion_policy")
    return found.champion.policy(), found.decision
