"""One night's decision from the lineage's folders: who stands, what is replayed, what is kept.

What decides is `decide`; where it is kept is `champion`. Repeating a night changes nothing: the
champion then meets itself.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from marl.evaluate.baselines import BaselineSet
from marl.evaluate.policies import BASELINES_FILE, REFERENCE, trained_policy_name
from marl.evaluate.promotion.challenger import pick_challenger
from marl.evaluate.promotion.champion import (
    CHAMPION,
    DECISION,
    EPISODES,
    HISTORY,
    PAGE,
    PREVIOUS,
    Kept,
    Stored,
    stored,
    tuned_rule,
)
from marl.evaluate.promotion.decide import Contest, decide
from marl.evaluate.promotion.guards import PromotionRules
from marl.evaluate.promotion.record import Contender, Decision
from marl.evaluate.promotion.words import page
from marl.evaluate.study import play
from marl.files import sha256_file, write_json
from marl.train.tracking import model_name

if TYPE_CHECKING:
    from marl.evaluate.policies import Policy
    from marl.evaluate.world import World

_RIVAL: Final = "predictive"  # a guard by name, beside the rule that training episodes like best


class Registry(Protocol):
    """Where versions of policies are registered (`marl.train.tracking.PolicyRegistry`)."""

    def version_of(self, model: str, sha256: str) -> int | None:
        """The version whose policy file has this hash."""
        ...

    def crown(self, model: str | None, version: int | None) -> None:
        """Point the alias `champion` at this version alone; at none where it is None."""
        ...


@dataclass(frozen=True)
class Night:
    """What a decision is made from.

    Attributes:
        folder: of the asset, where the last decision lies.
        trained_policies, baseline_policies, evaluation_episodes: folders of the assets.
        world: where the champion is replayed; the one that the episodes were played in.
        scenarios: of the episodes, the main one first.
        seed: of the episodes.
        rules: what decides.
        provenance: input → its sha256.
        pardoned: sha256 of policies that were rolled back and may be promoted again.
    """

    folder: Path
    trained_policies: Path
    baseline_policies: Path
    evaluation_episodes: Path
    world: "World"
    scenarios: tuple[str, ...]
    seed: int
    rules: PromotionRules
    provenance: Mapping[str, str]
    pardoned: tuple[str, ...] = ()


def hold_contest(
    night: Night, registry: Registry, into: Path, progress: Callable[[str], None] | None = None
) -> Decision:
    """Decide, write decision and champion into `into`, point the registry's alias at the winner.

    Args:
        night: what there is.
        registry: of policies.
        into: empty folder that becomes the asset's.
        progress: receives a line now and then.

    Raises:
        ChampionError: the stored champion cannot be trusted.
        ValueError: episodes are missing or do not pair.
    """
    before = stored(night.folder)
    champion, warning = _standing(night, before)
    challenger = pick_challenger(night.trained_policies)
    if challenger is not None:
        challenger = _registered(challenger, registry)
    champion = Kept(_registered(champion.contender, registry), champion.content)
    episodes = pl.read_parquet(night.evaluation_episodes / "rows" / "*.parquet")
    replayed = _replay(night, champion, episodes, progress)
    decision = decide(
        champion.contender,
        challenger,
        Contest(
            episodes=episodes,
            champion_episodes=replayed,
            scenarios=night.scenarios,
            rivals=_rivals(night.baseline_policies),
            seed=night.seed,
            is_synthetic=night.world.is_synthetic,
        ),
        night.rules,
        _barred(night, before),
    )
    warnings = (*([warning] if warning else []), *decision.warnings)
    for one in (challenger, champion.contender):
        if one is not None and one.is_learned and one.version is None:
            warnings += (f"{one} has no version in MLflow's registry; its file is kept here.",)
    decision = decision.model_copy(
        update={
            "warnings": tuple(dict.fromkeys(warnings)),
            "provenance": dict(night.provenance),
            "promoted_by": decision.promoted_by or _promoted_by(before, decision.winner),
        }
    )
    winner, previous = champion, None if before is None else before.previous
    if challenger is not None and decision.verdict == "PROMOTE":
        name = trained_policy_name(challenger.name, challenger.training_seed or 0)
        winner, previous = Kept(challenger, night.trained_policies / name), champion
    if replayed is not None:
        replayed.write_parquet(into / EPISODES, compression="zstd")
    _leave(into, decision, winner, previous, before)
    registry.crown(decision.winner.model, decision.winner.version)
    return decision


def roll_back(night: Night, registry: Registry, into: Path) -> Decision:
    """Put the champion before this one in service again, and bar the one that is taken out.

    Where there was none before, or it no longer fits, the tuned reactive rule is. Nothing is
    compared. Arguments as of `hold_contest`.

    Raises:
        ValueError: no learned champion is in service, so there is nothing to roll back.
    """
    before = stored(night.folder)
    if before is None or not before.champion.contender.is_learned:
        raise ValueError(
            f"nothing to roll back: no learned policy is in service in {night.folder}; the tuned "
            f"rule {REFERENCE} is the last resort already"
        )
    fallen = before.champion.contender
    fallback = tuned_rule(night.baseline_policies)
    warnings: tuple[str, ...] = ()
    if before.previous is not None and before.previous.contender.is_learned:
        misfit = _misfit(before.previous, night)
        if misfit:
            warnings = (f"{before.previous.contender} no longer fits this world: {misfit}.",)
        else:
            fallback = before.previous
    winner = Kept(_registered(fallback.contender, registry), fallback.content)
    decision = Decision(
        verdict="ROLL BACK",
        reasons=(
            f"A person asked for it: {winner.contender} is in service, {fallen} is barred from "
            "promotion.",
        ),
        warnings=warnings,
        champion=fallen,
        challenger=None,
        winner=winner.contender,
        main_scenario=night.scenarios[0],
        scenarios=night.scenarios,
        episodes=0,
        seed=night.seed,
        is_synthetic=night.world.is_synthetic,
        rules=night.rules,
        barred=tuple(dict.fromkeys((*_barred(night, before), fallen.sha256))),
        provenance=dict(night.provenance),
    )
    _leave(into, decision, winner, None, before)
    registry.crown(winner.contender.model, winner.contender.version)
    return decision


def _standing(night: Night, before: Stored | None) -> tuple[Kept, str]:
    """The champion to be challenged, and what an operator must hear about it."""
    rule = tuned_rule(night.baseline_policies)
    if before is None or not before.champion.contender.is_learned:
        return rule, ""  # rules are tuned anew every night
    if misfit := _misfit(before.champion, night):
        return rule, (
            f"The champion {before.champion.contender} no longer fits this world ({misfit}); the "
            f"tuned rule {rule.contender} stands in its place."
        )
    return before.champion, ""


def _misfit(kept: Kept, night: Night) -> str:
    """Why a learned policy cannot act in tonight's world; "" where it can."""
    try:
        policy: Policy = kept.policy()
        policy.begin(night.world.make_env(night.scenarios[0], "held_out")(1, night.seed), 0)
    except ValueError as error:
        return str(error)
    return ""


def _replay(
    night: Night, champion: Kept, episodes: pl.DataFrame, progress: Callable[[str], None] | None
) -> pl.DataFrame | None:
    """The champion's episodes in tonight's weather; None where they are in the table already."""
    one = champion.contender
    if one.training_seed is None:
        return None
    tonight = night.trained_policies / trained_policy_name(one.name, one.training_seed)
    if tonight.is_file() and sha256_file(tonight) == one.sha256:
        return None
    count = episodes.filter(pl.col("scenario") == night.scenarios[0])["episode"].n_unique()
    return play([champion.policy()], night.world, night.scenarios, count, night.seed, progress)


def _rivals(baselines: Path) -> tuple[str, ...]:
    """The rule whose tuning ended best, and the predictive one: chosen on training episodes."""
    text = (baselines / BASELINES_FILE.name).read_text(encoding="utf-8")
    rewards = {one.name: one.reward for one in BaselineSet.model_validate_json(text).tuned}
    best = max(sorted(rewards), key=lambda name: rewards[name])
    return tuple(dict.fromkeys([best, *([_RIVAL] if _RIVAL in rewards else [])]))


def _registered(one: Contender, registry: Registry) -> Contender:
    """The same with its version in the registry, as it is now."""
    if not one.is_learned:
        return one
    model = model_name(one.name)
    version = registry.version_of(model, one.sha256)
    found = {"model": None if version is None else model, "version": version}
    return one.model_copy(update=found)


def _barred(night: Night, before: Stored | None) -> tuple[str, ...]:
    if before is None:
        return ()
    return tuple(one for one in before.decision.barred if one not in night.pardoned)


def _promoted_by(before: Stored | None, winner: Contender) -> str:
    if before is None or before.decision.winner.sha256 != winner.sha256:
        return ""
    return before.decision.promoted_by


def _leave(
    into: Path, decision: Decision, winner: Kept, previous: Kept | None, before: Stored | None
) -> None:
    write_json(into / DECISION, decision.model_dump(mode="json"))
    (into / PAGE).write_text(page(decision), encoding="utf-8")
    Kept(decision.winner, winner.content).save(into / CHAMPION)
    if previous is not None:
        previous.save(into / PREVIOUS)
    lines = [] if before is None else list(before.history)
    line = _line(decision)
    # A night that is repeated is one line: what it decided the first time.
    told = ("inputs", "winner_sha256")
    if not lines or any(lines[-1][name] != line[name] for name in told):
        lines.append(line)
    text = "".join(json.dumps(one, sort_keys=True) + "\n" for one in lines)
    (into / HISTORY).write_text(text, encoding="utf-8")


def _line(decision: Decision) -> dict[str, Any]:
    main = decision.objective[0] if decision.objective else None
    return {
        "verdict": decision.verdict,
        "champion": str(decision.champion),
        "challenger": None if decision.challenger is None else str(decision.challenger),
        "winner": str(decision.winner),
        "winner_sha256": decision.winner.sha256,
        "difference": None if main is None else [main.difference, main.lo, main.hi],
        "reasons": list(decision.reasons),
        "inputs": dict(decision.provenance),
    }
