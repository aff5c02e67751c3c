"""price_catalog, and trained_policies from it, the workload and the baselines."""

from pathlib import Path

import dagster as dg

from assets.clouds import CloudInputs
from assets.pictures import line_plot, png_metadata
from assets.progress import reporter
from assets.provenance import Provenance
from assets.resources import Profile
from assets.store import Store
from assets.training.runs import training_runs


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
    """Train every policy of the profile for every seed; stopped runs continue."""
    import shutil

    import polars as pl

    from assets.training.work import TrainingInputs, train_all
    from marl.evaluate.policies import trained_policy_name
    from marl.train.snapshots import FOLDER as SNAPSHOTS
    from marl.train.tracking import register_policy

    hashes = {path.name: Provenance.load(path).sha256 for path in (workload_model, price_catalog)}
    inputs = TrainingInputs(
        clouds=CloudInputs(workload_model, price_catalog, profile.episode_steps, profile.mode),
        baseline_policies=baseline_policies,
        profile=profile.name,
        checkpoints=store.working("checkpoints"),
        mlflow=store.path / "mlflow",
        tensorboard=store.path / "tensorboard",
        inputs_hash="-".join(hashes.values()),
    )
    into = store.staging("trained_policies")
    configs = training_runs(profile)
    (into / SNAPSHOTS).mkdir()
    # A line per evaluation, none lost.
    results = train_all(inputs, configs, reporter(context, every_s=0.0), profile.processes)
    curves = []
    for config, result in zip(configs, results, strict=True):
        name = config.policy_name
        shutil.copyfile(result.policy_path, into / trained_policy_name(name, config.seed))
        if config.seed == profile.seed:  # how a policy came to be is shown for the first seed
            for path in sorted(result.policy_path.parent.glob(f"{SNAPSHOTS}/*.safetensors")):
                shutil.copyfile(path, into / SNAPSHOTS / f"{name}-{path.name}")
        register_policy(store.path / "mlflow", name, result.run_id, result.summary.policy_sha256)
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
