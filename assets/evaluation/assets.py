"""baseline_policies, trained_policies → evaluation_episodes → eval_report → episode_viewer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.clouds import CloudInputs
from assets.evaluation.promotion import champion_policy as champion_policy
from assets.evaluation.robustness import SUMMARY
from assets.evaluation.robustness import robustness_episodes as robustness_episodes
from assets.progress import reporter
from assets.provenance import Provenance
from assets.resources import Profile
from assets.store import Store

if TYPE_CHECKING:
    from marl.evaluate.baselines import BaselineSet
    from marl.evaluate.promotion.record import Decision

_TIMED_DECISIONS = 100  # of each policy


@dg.asset(
    description="Rule-based baselines, tuned on the training part, each with the same budget; and "
    "what they would be at other weights of performance and cost."
)
def baseline_policies(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    price_catalog: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Tune static peak provisioning, reactive target tracking, and the predictive rule."""
    from assets.evaluation.work import tune
    from marl.evaluate.policies import BASELINES_FILE
    from marl.files import write_json

    clouds = CloudInputs(workload_model, price_catalog, profile.episode_steps, profile.mode)
    tuned = tune(clouds, profile, reporter(context))
    into = store.staging("baseline_policies")
    write_json(into / BASELINES_FILE.name, tuned.model_dump(mode="json"))
    context.add_output_metadata({one.name: one.reward for one in tuned.tuned})
    return into


@dg.asset(
    description="Paired episodes on held-out workload: one row per policy, scenario, training seed "
    "and episode; the same episode number is the same weather for every policy."
)
def evaluation_episodes(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    price_catalog: Path,
    trained_policies: Path,
    baseline_policies: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Play every policy in every scenario, compare, and keep one episode step by step."""
    import polars as pl

    from assets.evaluation.work import PlayInputs, play_all
    from marl.evaluate.clairvoyant import ClairvoyantPolicy
    from marl.evaluate.decisions import as_table, decision_latency
    from marl.evaluate.frontier import savings
    from marl.evaluate.policies import REFERENCE, is_bound
    from marl.evaluate.slices import OBSERVATION_FILE, reference_observation
    from marl.evaluate.statistics import compare, gap_closed
    from marl.evaluate.study import load_policies, tell_episode

    clouds = CloudInputs(workload_model, price_catalog, profile.episode_steps, profile.mode)
    inputs = PlayInputs(
        clouds=clouds,
        trained_policies=trained_policies,
        baseline_policies=baseline_policies,
        episodes=profile.evaluation_episodes,
        seed=profile.seed,
        clairvoyant_rounds=profile.clairvoyant_rounds,
        mpc_iterations=profile.mpc_iterations,
    )
    episodes, frontier = play_all(inputs, profile.scenarios, reporter(context), profile.processes)
    into = store.staging("evaluation_episodes")
    (into / "rows").mkdir()
    frontier.write_parquet(into / "frontier.parquet", compression="zstd")
    saved = savings(episodes, frontier, profile.scenarios[0], seed=profile.seed)
    saved.write_parquet(into / "savings.parquet")
    gap = gap_closed(episodes, REFERENCE, ClairvoyantPolicy.name, seed=profile.seed)
    gap.write_parquet(into / "gap.parquet")
    episodes.write_parquet(into / "rows" / "part-000000.parquet", compression="zstd")
    compared = compare(episodes, REFERENCE, seed=profile.seed)
    compared.write_parquet(into / "comparisons.parquet")
    world, main = clouds.world(), profile.scenarios[0]
    policies = load_policies(trained_policies, baseline_policies)
    rivals = [one for one in policies if not is_bound(one.name)]
    told = tell_episode(rivals, world, main, profile.seed)
    told.write_parquet(into / "trajectories.parquet")
    (reference,) = [one for one in policies if one.name == REFERENCE]
    usual = reference_observation(world, reference, main, profile.seed)
    usual.write_parquet(into / OBSERVATION_FILE)
    rewards = compared.filter(
        pl.col("metric") == "reward", pl.col("scenario") == profile.scenarios[0]
    )
    # A clock's figures differ from run to run: the event log keeps them, the table could not.
    latency = decision_latency(rivals, world, main, calls=_TIMED_DECISIONS, seed=profile.seed)
    context.add_output_metadata(
        {
            "decision latency": dg.MetadataValue.md(as_table(latency)),
            **{
                f"reward above {REFERENCE}: {row['policy']}": row["difference"]
                for row in rewards.iter_rows(named=True)
            },
        }
    )
    return into


@dg.asset(
    description="The evaluation report: HTML (self-contained), Markdown and JSON. "
    "Made from stored episodes alone; nothing is trained or played."
)
def eval_report(
    context: dg.AssetExecutionContext,
    evaluation_episodes: Path,
    robustness_episodes: Path,
    champion_policy: Path,
    trained_policies: Path,
    baseline_policies: Path,
    workload_model: Path,
    workload_report: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Lay out what the episodes show, and let SQL see them too."""
    from dataclasses import replace

    import polars as pl

    from marl.evaluate.baselines import BaselineSet
    from marl.evaluate.policies import BASELINES_FILE, REFERENCE, is_bound
    from marl.evaluate.promotion.champion import read_decision
    from marl.evaluate.report.content import best_policy
    from marl.evaluate.report.inputs import ReportInputs
    from marl.evaluate.report.page import write_report
    from marl.evaluate.slices import OBSERVATION_FILE, stored_slices
    from marl.features.cache import build_cache
    from marl.workload.model import WorkloadModel

    provenance = Provenance.load(evaluation_episodes)
    tuned = BaselineSet.model_validate_json((baseline_policies / BASELINES_FILE.name).read_text())
    goodness = json.loads((workload_report / "report.json").read_text())["goodness"]
    steps = pl.read_parquet(evaluation_episodes / "trajectories.parquet")
    episodes = pl.read_parquet(evaluation_episodes / "rows" / "*.parquet")
    decision = read_decision(champion_policy)
    inputs = ReportInputs(
        episodes=episodes,
        bounds=[name for name in episodes["policy"].unique().sort() if is_bound(name)],
        robustness=pl.read_parquet(robustness_episodes / SUMMARY),
        decision=decision,
        comparisons=pl.read_parquet(evaluation_episodes / "comparisons.parquet"),
        trajectories={str(name): part for (name,), part in steps.group_by("policy")},
        learning=pl.read_parquet(trained_policies / "learning.parquet"),
        frontier=pl.read_parquet(evaluation_episodes / "frontier.parquet"),
        savings=pl.read_parquet(evaluation_episodes / "savings.parquet"),
        gap=pl.read_parquet(evaluation_episodes / "gap.parquet"),
        trace=provenance.trace or {},
        profile=provenance.config["settings"]["profile"],
        reference=REFERENCE,
        code_version=provenance.code_version,
        config_hash=provenance.config_hash,
        is_synthetic=provenance.is_synthetic,
        baselines=_how_tuned(tuned, provenance.config["settings"]["profile"]["tuning_episodes"]),
        workload=_how_good(goodness),
        notes=[*WorkloadModel.load(workload_model).notes, *_older(decision, provenance.sha256)],
    )
    best = best_policy(inputs)
    if best is not None:
        observation = evaluation_episodes / OBSERVATION_FILE
        inputs = replace(inputs, slices=stored_slices(trained_policies, observation, best))
    into = store.staging("eval_report")
    content = write_report(inputs, into)
    build_cache(store.path, store.path / "cache.duckdb")  # the episodes become a view
    context.add_output_metadata(
        {
            "verdict": dg.MetadataValue.md(
                "\n\n".join([f"**{content['headline']}**", *content["verdict"]])
            ),
            "report": dg.MetadataValue.path(str(store.folder("eval_report") / "report.html")),
        }
    )
    return into


@dg.asset(
    description="The busiest held-out episode of the best learned policy against the best "
    "baseline: one HTML page with a time slider, self-contained, and the steps behind it."
)
def episode_viewer(
    context: dg.AssetExecutionContext,
    workload_model: Path,
    price_catalog: Path,
    trained_policies: Path,
    baseline_policies: Path,
    eval_report: Path,
    profile: Profile,
    store: Store,
) -> Path:
    """Play the episode once more under both policies and lay it out."""
    from marl.evaluate.study import busiest_episode, load_policies
    from marl.evaluate.viewer.page import PAGE, write_page
    from marl.evaluate.viewer.record import pick_pair, record_held_out

    report = json.loads((eval_report / "report.json").read_text(encoding="utf-8"))
    world = CloudInputs(workload_model, price_catalog, profile.episode_steps).world()
    pair = pick_pair(load_policies(trained_policies, baseline_policies), report)
    scenario = report["main_scenario"]
    episode = busiest_episode(pair[0], world, scenario, profile.evaluation_episodes, profile.seed)
    into = store.staging("episode_viewer")
    write_page(record_held_out(pair, world, scenario, episode, profile.seed), into)
    context.add_output_metadata(
        {
            "shown": f"{' against '.join(one.name for one in pair)}, {scenario}, episode {episode}",
            "page": dg.MetadataValue.path(str(store.folder("episode_viewer") / PAGE)),
        }
    )
    return into


def _older(decision: "Decision", episodes: str) -> list[str]:
    """A note where the policy in service was chosen on other episodes than the report's."""
    if decision.provenance.get("evaluation_episodes") == episodes:
        return []
    return [
        f"{decision.winner} is in service by a decision on other episodes than these; decide "
        "anew:  dagster asset materialize --select 'champion_policy,eval_report'"
    ]


def _how_tuned(tuned: "BaselineSet", episodes: int) -> dict[str, str]:
    budget = tuned.budget
    return {
        one.name: f"{one.trial_count} settings tried on {episodes} training episodes each, "
        f"by differential evolution ({budget.candidates} candidates, {budget.generations} "
        f"generations){_continued(one.inherited)}; best mean reward {one.reward:+.4f} per step"
        for one in tuned.tuned
    }


def _continued(inherited: int) -> str:
    return f", the first {inherited} of them the reactive rule's" if inherited else ""


def _how_good(goodness: dict[str, Any]) -> dict[str, str]:
    checks = [check for one in goodness["comparisons"] for check in one["checks"]]
    passed = sum(check["is_passed"] for check in checks)
    return {
        "goodness of fit": f"{passed} of {len(checks)} figures within their threshold on "
        f"{goodness['held_out_windows']} held-out windows (workload_report)"
    }
