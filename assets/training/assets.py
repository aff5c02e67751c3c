"""price_catalog, and trained_policies from it, the workload and the baselines."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from assets.pictures import line_plot, png_metadata
from assets.progress import reporter
from assets.provenance import Provenance
from assets.resources import Profile
from assets.store import Store
from assets.training.runs import training_runs

if TYPE_CHECKING:
    from marl.evaluate.world import ProvisioningWorld


@dg.asset(description="What a region of Google Cloud charges: figure, unit, source and date.")
def price_catalog(context: dg.AssetExecutionContext, store: Store) -> Path:
    """Write the curated catalogue as JSON (for the simulator) and as a table (for people)."""
    from marl.cloud.catalogue import default_catalog
    from marl.files import write_json

    catalog = default_catalog()
    into = store.staging("price_catalog")
    write_json(into / "catalog.json", catalog.model_dump(mode="json"))
    (into / "rows").mkdir()
    catalog.to_frame().write_parquet(into / "rows" / "part-000000.parquet")
    context.add_output_metadata({"region": catalog.region, "prices": catalog.to_frame().height})
    return into


def load_world(workload_model: Path, price_catalog: Path, profile: Profile) -> "ProvisioningWorld":
    """The simulated cloud under the fitted workload, at the catalogue's prices."""
    from marl.cloud.catalogue import PriceCatalog
    from marl.evaluate.world import ProvisioningWorld
    from marl.workload.model import WorkloadModel

    catalog = PriceCatalog.model_validate_json((price_catalog / "catalog.json").read_text())
    return ProvisioningWorld(
        WorkloadModel.load(workload_model), catalog, episode_steps=profile.episode_steps
    )


@dg.asset(
    description="Learned policies, trained on the training part alone, as files that hold weights, "
    "layout and normaliser, and registered in MLflow."
)
def trained_policies(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    price_catalog: Path,
    baseline_policies: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Train every policy of the profile for every seed, teachers first; stopped runs continue."""
    import shutil

    import polars as pl

    from marl.evaluate.baselines import BaselineSet
    from marl.evaluate.policies import BASELINES_FILE, REFERENCE, trained_policy_name
    from marl.train.loop import train
    from marl.train.tensorboard_tracker import TensorBoardTracker
    from marl.train.tracking import MlflowTracker, Trackers, register_policy

    world = load_world(workload_model, price_catalog, profile)
    baselines = BaselineSet.model_validate_json(
        (baseline_policies / BASELINES_FILE.name).read_text(encoding="utf-8")
    )
    inputs = {path.name: Provenance.load(path).sha256 for path in (workload_model, price_catalog)}
    into = store.staging("trained_policies")
    policies: dict[tuple[str | None, int], Path] = {}  # by name and seed: teachers of later ones
    curves = []
    for config in training_runs(profile):
        result = train(
            config,
            world.make_env("mixed", "train"),
            baselines.actions()[REFERENCE],
            store.working("checkpoints"),
            inputs_hash="-".join(inputs.values()),
            stages=None if config.curriculum is None else world.stages("train"),
            teacher=policies.get((config.warm_start, config.seed)),
            tracker=Trackers(
                MlflowTracker(store.path / "mlflow", tags={"profile": profile.name}),
                TensorBoardTracker(store.path / "tensorboard"),
            ),
            progress=reporter(context, every_s=0.0),  # a line per evaluation, none lost
        )
        name = config.policy_name
        policies[name, config.seed] = result.policy_path
        shutil.copyfile(result.policy_path, into / trained_policy_name(name, config.seed))
        register_policy(store.path / "mlflow", f"stratoform-{name}", result.run_id)
        curves += [
            {"policy": name, "training_seed": config.seed, "is_kept": point == result.summary.best}
            | point.model_dump()
            for point in result.summary.curve
        ]
    learning = pl.DataFrame(curves)
    learning.write_parquet(into / "learning.parquet")
    plot = line_plot(
        {
            f"{policy}, seed {seed}": (part["env_steps"].to_list(), part["gain"].to_list())
            for (policy, seed), part in learning.group_by(
                "policy", "training_seed", maintain_order=True
            )
        },
        "environment steps",
        "objective above the tuned reactive rule (held-in)",
    )
    context.add_output_metadata({"learning": png_metadata(plot, "learning curves")})
    return into
