"""What a report cannot show: threats to its validity, by kind, and notes of this very run.

The four kinds are those of Cook and Campbell (1979): construct, internal, external, and statistical
conclusion validity.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from marl.evaluate.report.groups import Cast
from marl.evaluate.report.inputs import Numbers, ReportInputs

LABELS: Final = {
    "construct": "Construct: is it measured what is meant?",
    "internal": "Internal: could something else have made the difference?",
    "external": "External: does it hold elsewhere?",
    "statistical": "Statistical conclusion: could it be chance?",
}


def threats(
    inputs: ReportInputs, numbers: Numbers, cast: Cast, counts: Mapping[str, int]
) -> dict[str, list[str]]:
    """Kind of validity → sentences about this run."""
    return {
        "construct": _construct(),
        "internal": _internal(inputs, cast),
        "external": _external(inputs, numbers),
        "statistical": _statistical(inputs, cast, counts),
    }


def _construct() -> list[str]:
    return [
        "The composite objective weighs cost, performance, reliability and sustainability by "
        "stated weights; another operator's weights may order policies differently. Cost, service "
        "level and carbon stand beside it for that reason.",
        "Cost is list price times use in the simulator: no negotiated discount, no support, no "
        "engineer's time. Waste is the idle share of capacity, which is also what absorbs bursts.",
    ]


def _internal(inputs: ReportInputs, cast: Cast) -> list[str]:
    told = [
        "Policies are paired: the same demand, prices, failures and delays in every episode, drawn "
        "apart from what a policy does. What is left of luck is in the intervals.",
        "Baselines were tuned on the training part with the recorded budget; a larger budget, or a "
        "rule nobody thought of, might do better.",
        f"The best learner and the strongest rule ({cast.best_rule}) are picked by their means on "
        "the episodes they are compared on. For the rule that favours the rule; for the learner, "
        "among several, it favours the learner a little.",
    ]
    if inputs.slices:
        told.append(
            "A slice moves two inputs and leaves the others at their medians, which in reality "
            "move together: it shows what the network does, not what the cloud often asks."
        )
    return told


def _external(inputs: ReportInputs, numbers: Numbers) -> list[str]:
    told = [
        "The cloud is simulated: list prices with their dates, delays and pre-emption after "
        "published measurements, demand for storage, network and database by stated assumptions.",
        f"One trace, {len(numbers.scenarios)} scenarios of it; held-out windows are later than "
        "the training part, from the same cluster.",
    ]
    if inputs.is_synthetic:
        told.insert(0, "The trace is synthetic: calibrated to published figures, not measured.")
    if not inputs.robustness.height:
        told.append("How policies bear perturbations was not measured in this report.")
    return told


def _statistical(inputs: ReportInputs, cast: Cast, counts: Mapping[str, int]) -> list[str]:
    seeds = counts["training_seeds"]
    return [
        f"{seeds} training seed(s): how much training varies from seed to seed is "
        + ("not known from this run." if seeds < 2 else "in the thin learning curves."),
        f"Intervals are over {counts['episodes']} episodes of a scenario, training seeds averaged "
        "first: they speak of these trained policies, not of training again.",
        "Held-out episodes are drawn from one held-out part and may overlap in it; the bootstrap "
        "takes them for independent, so intervals may be a little narrow.",
        f"Holm's correction holds within a scenario over all policies and metrics against "
        f"{cast.reference}, and over all learners and scenarios against the strongest rules; "
        "pictures and frontiers are not corrected.",
    ]


def notes(inputs: ReportInputs) -> list[str]:
    """What is missing or odd in this run, one sentence each."""
    return [*_untrained(inputs), *_unseen(inputs), *inputs.notes]


def _untrained(inputs: ReportInputs) -> list[str]:
    """Runs whose best policy on held-in episodes was the one they began with: the rule itself."""
    rows = inputs.learning.filter(pl.col("is_kept"), pl.col("env_steps") == 0)
    return [
        f"{policy}, training seed {seed}: no later policy did better on held-in episodes, so the "
        f"untrained one was kept, which acts as the tuned {inputs.reference} rule."
        for policy, seed in rows.select("policy", "training_seed").sort(pl.all()).iter_rows()
    ]


def _unseen(inputs: ReportInputs) -> list[str]:
    """What is not shown of the policy's decisions, why, and what makes it."""
    if inputs.learning.height and not inputs.slices:
        return [
            "What the policy decides is not shown: these episodes were played before the inputs at "
            "rest were stored beside them; `dagster asset materialize --select "
            "'evaluation_episodes,eval_report'` makes both again."
        ]
    if inputs.slices and len(inputs.slices[0].stages) == 1:
        return [
            "No snapshots of training are stored (the run finished before they were taken), so the "
            "policy's way through training is not shown; delete its folder below data/checkpoints "
            "to train it again."
        ]
    return []
