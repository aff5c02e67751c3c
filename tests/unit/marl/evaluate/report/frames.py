"""Generated frames of any size for reports: policies, scenarios, episodes, a frontier, robustness.

Run as a program it measures what a large report costs:
`python -m tests.unit.marl.evaluate.report.frames`.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from marl.evaluate.report.inputs import ReportInputs
from marl.evaluate.report.metrics import METRICS
from marl.evaluate.slices import Slice

SERVICES = ("compute", "storage", "network", "database")
RULES = ("reactive", "predictive", "static_peak", "random", "expert", "greedy", "queue_based")
RULES += ("autopilot", "karpenter", "mpc")
LEARNERS = ("apg_maddpg", "apg", "maddpg", "matd3", "mappo", "ippo", "qmix", "sac_gru")
LEARNERS += ("joint_sac",)
BOUND = "clairvoyant"
KINDS = ("steady", "burst", "cyclical")
SCENARIOS = ("replay", *(f"{work}_{kind}" for work in "abcd" for kind in KINDS))
# Objective above the reactive rule, as the lineage finds them: outliers, near ties, a bound.
GAINS = {"random": -0.156, "static_peak": -0.154, "expert": -0.02, "greedy": -0.01, BOUND: 0.018}


def episodes(scenarios=SCENARIOS, learners=LEARNERS, rules=RULES, count=128, seeds=3, noise=0.004):
    """Paired episodes: the noise of an episode's weather is shared, a policy adds its own."""
    rng = np.random.default_rng(0)
    parts = []
    for scenario in scenarios:
        weather = rng.normal(-0.14, 0.02, count)
        names = [*rules, *learners, *([BOUND] if scenario == scenarios[0] else [])]
        for index, policy in enumerate(names):
            gain = GAINS.get(policy, 0.0003 * index)
            for training_seed in range(seeds) if policy in learners else (None,):
                own = rng.normal(0, noise, count) if policy != "reactive" else np.zeros(count)
                cost = 350 - 900 * gain + rng.normal(0, 3, count)
                parts.append(_rows(policy, scenario, training_seed, weather + gain + own, cost))
    return pl.concat(parts)


def _rows(policy, scenario, training_seed, reward, cost):
    count = len(reward)
    columns = {
        "policy": [policy] * count,
        "scenario": [scenario] * count,
        "training_seed": pl.Series([training_seed] * count, dtype=pl.Int64),
        "episode": np.arange(count),
        "steps": np.full(count, 288),
        "reward": reward,
        "cost_usd": cost,
        "slo_attainment": np.clip(0.97 + reward / 10, 0, 1),
        "carbon_gco2": 100 * cost,
        "cost_capacity_usd": 0.8 * cost,
        "cost_traffic_usd": 0.2 * cost,
        "cost_spot_usd": 0.2 * cost,
        "cost_committed_usd": 0.3 * cost,
        **{f"cost_{service}_usd": cost / 4 for service in SERVICES},
    }
    for metric in METRICS:
        columns.setdefault(metric.column, np.abs(reward) * 10)
    return pl.DataFrame(columns)


def comparisons(frame, reference="reactive"):
    """The table of `compare` without its bootstraps: normal intervals, a p-value by size."""
    metrics = [metric.column for metric in METRICS if metric.column in frame.columns]
    keys = ["scenario", "policy", "episode"]
    means = (
        frame.group_by(keys)
        .agg(pl.col(metrics).mean())
        .unpivot(on=metrics, index=keys, variable_name="metric")
    )
    theirs = means.filter(pl.col("policy") == reference).drop("policy")
    paired = means.join(theirs, on=["scenario", "episode", "metric"], suffix="_reference")
    gap = pl.col("value") - pl.col("value_reference")
    table = paired.group_by("scenario", "policy", "metric").agg(
        pl.col("value").mean().alias("mean"),
        pl.col("value_reference").mean().alias("reference_mean"),
        gap.mean().alias("difference"),
        (gap.std() / pl.len().sqrt()).alias("se"),
        (gap > 0).mean().alias("probability_of_improvement"),
        pl.len().alias("episodes"),
    )
    difference, se = pl.col("difference"), pl.col("se")
    return table.with_columns(
        lo=difference - 1.96 * se,
        hi=difference + 1.96 * se,
        iqm_difference=difference,
        iqm_lo=difference - 1.96 * se,
        iqm_hi=difference + 1.96 * se,
        p_holm=pl.when(difference.abs() > 3 * se).then(1e-4).otherwise(0.4),
        is_significant=difference.abs() > 3 * se,
        effect_size=difference / (se * pl.col("episodes").sqrt() + 1e-12),
        rank_biserial=2 * pl.col("probability_of_improvement") - 1,
        poi_lo=pl.col("probability_of_improvement") * 0.9,
        poi_hi=pl.col("probability_of_improvement") * 0.9 + 0.1,
        mde=2.8 * se,
    ).sort("scenario", "policy", "metric")


def learning(learners=LEARNERS, seeds=3, points=40):
    """Curves that rise, one a learner and seed; the last point is of a calibration."""
    rows = []
    for index, policy in enumerate(learners):
        for seed in range(seeds):
            for point in range(points + 1):
                gain = (0.002 + 0.0003 * index) * (1 - np.exp(-point / 10)) + 0.0002 * seed
                rows.append(
                    {
                        "policy": policy, "training_seed": seed, "is_kept": point == points,
                        "epoch": min(point, points - 1), "env_steps": 50_000 * point,
                        "reward": -0.14 + gain, "gain": gain, "gain_se": 0.0004,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows)


def trajectory(cost, steps=288):
    """One episode step by step."""
    at = np.arange(steps)
    columns = {"step": at, "cost_usd": np.full(steps, cost)}
    columns |= {"latency_p95_ms": 80 + 5 * np.sin(at / 20), "slo_attainment": np.ones(steps)}
    for service in SERVICES:
        columns[f"demand_{service}"] = 2 + np.sin(at / 30)
        columns[f"capacity_{service}"] = np.full(steps, 3.5)
    return pl.DataFrame(columns)


def robustness(policies, kinds=8, severities=4):
    """A summary of perturbations in the columns of `robustness_episodes`."""
    rows = []
    for kind in range(kinds):
        for severity in range(severities):
            for index, policy in enumerate(policies):
                reward = -0.14 - 0.01 * severity * (1 + 0.1 * index)
                rows.append(
                    {
                        "perturbation": f"perturbation_{kind}", "unit": "share",
                        "severity": float(severity), "policy": policy, "reward": reward,
                        "reward_lo": reward - 0.002, "reward_hi": reward + 0.002,
                        "worst": reward - 0.1, "difference": 0.001 * (1 - index),
                        "difference_lo": -0.001, "difference_hi": 0.002, "p_holm": 0.03,
                        "is_significant": index == 0, "slo_attainment": 0.95, "cost_usd": 350.0,
                        "recovery_steps": None if severity == 0 else 3.0, "episodes": 64,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def slices(policy="apg", stages=("start", "25%", "50%", "end")):
    """A slice an agent that tilts more with every stage."""
    x, y = np.linspace(0, 1, 31), np.linspace(0, 2, 31)
    tilt = np.add.outer(y - 1, x - 0.5)
    return [
        Slice(
            policy=policy, agent=agent, knob="target_utilisation", unit="of capacity",
            low=0.3, high=0.95, rule=0.6, x_field="load_lag0", y_field="scheduled_hour",
            x=x, y=y, at=(0.4, 1.0),
            stages={stage: 0.6 + 0.05 * i * tilt for i, stage in enumerate(stages)},
            inputs=[("load_lag0", 0.1), ("scheduled_hour", 0.05)],
        )
        for agent in SERVICES
    ]  # fmt: skip


def frontier(scenario="replay", families=("reactive", "predictive"), count=128):
    """Episodes of three points of each rule's frontier."""
    return pl.DataFrame(
        {
            "scenario": scenario, "family": family, "factor": factor, "episode": episode,
            "cost_usd": 350.0 + 40 * (factor - 1), "slo_attainment": 0.95 + 0.01 * factor,
        }
        for family in families
        for factor in (0.5, 1.0, 2.0)
        for episode in range(count)
    )  # fmt: skip


def inputs(frame=None, **changes):
    """A report's inputs around a frame of episodes; the large one if absent."""
    frame = episodes() if frame is None else frame
    names = frame["policy"].unique().sort().to_list()
    learners = [name for name in LEARNERS if name in names]
    seeds = frame["training_seed"].n_unique() - 1
    told = {
        "episodes": frame,
        "comparisons": comparisons(frame),
        "trajectories": {name: trajectory(1.0) for name in names if name != BOUND},
        "learning": learning(learners, seeds),
        "trace": {"source": "embedded", "seed": 0},
        "profile": {"name": "full", "seed": 0},
        "reference": "reactive",
        "code_version": "0.1.0+abc",
        "config_hash": "f" * 64,
        "is_synthetic": True,
    }
    return ReportInputs(**(told | changes))


def main():
    """Measure the largest report asked for: 20 policies × 13 scenarios × 128 episodes."""
    from marl.evaluate.report.page import write_report

    large = inputs(
        slices=slices("joint_sac"), robustness=robustness(["joint_sac", "predictive"]),
        frontier=frontier(),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        into = Path(sys.argv[1] if len(sys.argv) > 1 else folder)
        at, cpu = time.perf_counter(), time.process_time()
        content = write_report(large, into)
        print(  # noqa: T201 - a program of its own
            f"{len(content['policies'])} policies × {len(content['scenarios'])} scenarios × "
            f"{content['counts']['episodes']} episodes ({large.episodes.height} rows): "
            f"{time.perf_counter() - at:.1f} s, {time.process_time() - cpu:.1f} s of CPU"
        )
        for path in sorted(into.iterdir()):
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")  # noqa: T201


if __name__ == "__main__":
    main()
