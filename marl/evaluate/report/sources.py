"""The command or SQL query that gives the numbers of each table and picture.

Run them in the repository's root after `source .venv/bin/activate`; paths are those of the default
data folder.
"""

from typing import Final

from marl.evaluate.report.groups import Cast
from marl.evaluate.report.inputs import Numbers

_EPISODES: Final = "evaluation_episodes"  # a view of the cache
_FOLDER: Final = "data/evaluation_episodes"
_COMPARED: Final = f"'{_FOLDER}/comparisons.parquet'"
_ON_DEMAND: Final = "cost_capacity_usd - cost_committed_usd - cost_spot_usd"


def sources(numbers: Numbers, cast: Cast) -> dict[str, str]:
    """Name of a table or picture → what gives it."""
    here = f"scenario = '{numbers.main}'"
    return {
        "headline": _ask(
            "policy, metric, mean, reference_mean, difference, lo, hi, p_holm, is_significant",
            _COMPARED,
            here,
            "metric, difference desc",
        ),
        "strongest": f"python -m marl.evaluate.against {cast.best_rule}",
        "certainty": _ask("*", _COMPARED, f"{here} and metric = 'reward'", "difference desc"),
        "by_scenario": _ask(
            "scenario, policy, difference, lo, hi, p_holm", _COMPARED, "metric = 'reward'"
        ),
        "profile": _means(("reward",), "", "scenario, policy, episode"),
        "trade_off": _means(("cost_usd", "slo_attainment", "carbon_gco2"), here),
        "equal_slo": _ask("*", f"'{_FOLDER}/savings.parquet'"),
        "gap": _ask("*", f"'{_FOLDER}/gap.parquet'"),
        "cost_by_service": _means(
            ("cost_compute_usd", "cost_storage_usd", "cost_network_usd", "cost_database_usd"), here
        ),
        "cost_by_purchase": _means(
            (_ON_DEMAND, "cost_committed_usd", "cost_spot_usd", "cost_traffic_usd"), here
        ),
        "latency": "python -m marl.evaluate.decisions   # how long a decision takes here",
        "learning": _ask("*", "'data/trained_policies/learning.parquet'"),
        "slices": "dagster asset materialize --select eval_report   # slices of the files in "
        f"data/trained_policies, at {_FOLDER}/observation.parquet",
        "episode": _ask("*", f"'{_FOLDER}/trajectories.parquet'", order="policy, step"),
        "in_service": "cat data/champion_policy/decision.md   # every guard, every scenario",
        "robustness": _ask("*", "'data/robustness_episodes/summary.parquet'"),
    }


def _means(columns: tuple[str, ...], where: str, by: str = "policy") -> str:
    figures = ", ".join(f"avg({column})" for column in columns)
    return _ask(f"{by}, {figures}", _EPISODES, where, "all", group="all")


def _ask(columns: str, table: str, where: str = "", order: str = "all", group: str = "") -> str:
    parts = ["select", columns, "from", table]
    parts += ["where", where] if where else []
    parts += ["group by", group] if group else []
    return f'python -m marl.features.ask --sql "{" ".join([*parts, "order by", order])}"'
