"""champion_policy: tonight's learned policy against the one in service, and what came of it."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.clouds import CloudInputs
from assets.progress import reporter
from assets.provenance import Provenance
from assets.store import Store


class PromotionConfig(dg.Config):
    """What a launch may change.

    Attributes:
        margins: of guards, by name (`marl.evaluate.promotion.guards`); others keep theirs.
        roll_back: put the champion before this one in service again, and compare nothing.
        pardoned: sha256 of policies that were rolled back and may be promoted again.
    """

    margins: dict[str, float] = Field(default_factory=dict)
    roll_back: bool = False
    pardoned: list[str] = Field(default_factory=list)


@dg.asset(
    description="The policy in service: tonight's best learned policy takes its place only where "
    "it is significantly better on held-out episodes and no guard vetoes. Decision and numbers."
)
def champion_policy(
    context: dg.AssetExecutionContext,
    config: PromotionConfig,
    workload_model: Path,
    price_catalog: Path,
    trained_policies: Path,
    baseline_policies: Path,
    evaluation_episodes: Path,
    store: Store,
) -> Path:
    """Decide, and keep the winner with its decision."""
    from marl.evaluate.promotion.guards import PromotionRules
    from marl.evaluate.promotion.nightly import Night, hold_contest, roll_back
    from marl.train.tracking import PolicyRegistry

    played = Provenance.load(evaluation_episodes)
    inputs = {
        path.name: Provenance.load(path).sha256
        for path in (workload_model, price_catalog, trained_policies, baseline_policies)
    }
    if not config.roll_back:
        _refuse_stale(played, inputs)
    profile = played.config["settings"]["profile"]  # of the episodes, whatever is set now
    night = Night(
        folder=store.folder("champion_policy"),
        trained_policies=trained_policies,
        baseline_policies=baseline_policies,
        evaluation_episodes=evaluation_episodes,
        world=CloudInputs(workload_model, price_catalog, profile["episode_steps"]).world(),
        scenarios=tuple(profile["scenarios"]),
        seed=profile["seed"],
        rules=PromotionRules().with_margins(config.margins),
        provenance={**inputs, "evaluation_episodes": played.sha256},
        pardoned=tuple(config.pardoned),
    )
    registry = PolicyRegistry(store.path / "mlflow")
    into = store.staging("champion_policy")
    if config.roll_back:
        decision = roll_back(night, registry, into)
    else:
        decision = hold_contest(night, registry, into, reporter(context))
    context.add_output_metadata(
        {
            "verdict": decision.verdict,
            "in service": str(decision.winner),
            "reasons": dg.MetadataValue.md("\n".join(f"- {one}" for one in decision.reasons)),
            **({"warnings": "\n".join(decision.warnings)} if decision.warnings else {}),
            **{
                f"objective above the champion: {one.scope}": one.difference
                for one in decision.objective
            },
            "decision": dg.MetadataValue.path(str(store.folder("champion_policy") / "decision.md")),
        }
    )
    for warning in decision.warnings:
        context.log.warning(warning)
    return into


def _refuse_stale(played: Provenance, inputs: dict[str, str]) -> None:
    """Episodes of other policies than those in the store would decide about the wrong ones."""
    stale = [name for name, sha256 in inputs.items() if played.inputs.get(name) != sha256]
    if stale:
        raise dg.Failure(
            description=(
                f"evaluation_episodes was made from other {', '.join(stale)} than are in the store "
                "now. Play them again:  dagster asset materialize --select "
                "'evaluation_episodes,champion_policy'"
            ),
            allow_retries=False,
        )
