"""How sure: effect sizes, what would have been missed, the strongest baseline, profiles.

Everything is about the composite objective. The statistics are `marl.evaluate.statistics`'.
"""

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from marl.evaluate.report.groups import Cast
from marl.evaluate.report.inputs import Numbers, ReportInputs
from marl.evaluate.report.tables import OBJECTIVE, interval
from marl.evaluate.statistics import compare, compare_pooled, holm, performance_profiles
from marl.evaluate.statistics.comparison import FIGURES

_ALPHA: Final = 0.05
_THRESHOLDS: Final = 60
_OUTERMOST: Final = 0.02  # share of gains beyond either end of a profile
_HAIR: Final = 1e-9
_RESAMPLES: Final = 500  # of a profile's bands
# Columns of a comparison that are told where they are there: earlier evaluations lack some.
_FIGURES: Final = (
    *(name for name in FIGURES if name not in ("mean", "reference_mean", "p_mean")),
    "p_holm",
    "is_significant",
    "episodes",
)


def certainty_rows(
    inputs: ReportInputs, numbers: Numbers, cast: Cast, gap: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Per policy: difference to the reference in the main scenario, and how sure it is.

    `pooled` is the same over all scenarios at once, None of policies that lack one.
    """
    shares = {row["policy"]: row["shown"] for row in gap}
    pooled = _pooled(inputs, cast)
    rows = []
    for policy in cast.policies:
        row = numbers.row(numbers.main, policy, OBJECTIVE.column)
        if row is None or policy == cast.reference:
            continue
        told = {name: row.get(name) for name in _FIGURES}
        shown = shown_certainty(row) | {"gap": shares.get(policy)}
        everywhere = pooled.get(policy)
        rows.append({"policy": policy, **told, "pooled": everywhere, "shown": shown})
    return rows


def _pooled(inputs: ReportInputs, cast: Cast) -> dict[str, dict[str, Any]]:
    """Policy → its difference to the reference over all scenarios, which count equally."""
    if inputs.episodes["scenario"].n_unique() < 2:
        return {}
    columns = ["policy", "scenario", "training_seed", "episode", OBJECTIVE.column]
    table = compare_pooled(
        inputs.episodes.select(columns), cast.reference, [OBJECTIVE.column], seed=_seed(inputs)
    )
    return {
        row["policy"]: {name: row[name] for name in _FIGURES} | {"shown": shown_certainty(row)}
        for row in table.iter_rows(named=True)
        if row["policy"] != cast.reference
    }


def _seed(inputs: ReportInputs) -> int:
    return int(inputs.profile.get("seed", 0))


def shown_certainty(row: dict[str, Any]) -> dict[str, str]:
    """The figures of a comparison of the objective as text; a dash for what it lacks."""

    def number(name: str, form: str = "+.2f") -> str:
        value = row.get(name)
        return "–" if value is None or not np.isfinite(value) else f"{value:{form}}"

    poi = number("probability_of_improvement", ".0%")
    if row.get("poi_lo") is not None:
        poi += f" [{number('poi_lo', '.0%')}, {number('poi_hi', '.0%')}]"
    iqm = "–"
    if row.get("iqm_difference") is not None:
        given = {"difference": "iqm_difference", "lo": "iqm_lo", "hi": "iqm_hi"}
        iqm = interval(OBJECTIVE, {key: row[name] for key, name in given.items()})
    anew = "–"
    if row.get("seed_lo") is not None:
        lo, hi = (OBJECTIVE.show_difference(row[name]) for name in ("seed_lo", "seed_hi"))
        anew = f"[{lo}, {hi}]"
    p = row["p_holm"]
    return {
        "difference": interval(OBJECTIVE, row),
        "iqm": iqm,
        "p_holm": "< .001" if p < 0.001 else f"{p:.3f}",
        "improvement": poi,
        "effect_size": number("effect_size"),
        "rank_biserial": number("rank_biserial"),
        "anew": anew,
        "mde": number("mde", f".{OBJECTIVE.digits}f"),
    }


def against_strongest(inputs: ReportInputs, numbers: Numbers, cast: Cast) -> list[dict[str, Any]]:
    """Every learner against the strongest rule of each scenario, best learner first.

    The strongest is the rule with the highest mean on the very episodes compared: picked with
    hindsight, which favours the rules. Holm's correction is over all learners and scenarios.
    """
    learners = cast.groups["learners"]
    rows: list[dict[str, Any]] = []
    columns = ["policy", "scenario", "training_seed", "episode", OBJECTIVE.column]
    for scenario in numbers.scenarios if learners else ():
        played = [name for name in cast.groups["rules"] if numbers.has_played(name, scenario)]
        rule = numbers.rank(played, scenario)[0]
        frame = inputs.episodes.select(columns).filter(
            pl.col("scenario") == scenario, pl.col("policy").is_in([rule, *learners])
        )
        for row in compare(frame, rule, [OBJECTIVE.column], seed=_seed(inputs)).to_dicts():
            if row["policy"] != rule:
                told = {name: row.get(name) for name in _FIGURES}
                rows.append({"policy": row["policy"], "scenario": scenario, "rule": rule, **told})
    for row, p in zip(rows, holm([row["p_value"] for row in rows]) if rows else (), strict=True):
        # As `compare` decides: the test finds it, and the mean's interval is on the same side.
        is_clear = row["lo"] > 0 or row["hi"] < 0
        row |= {"p_holm": float(p), "is_significant": bool(p < _ALPHA) and is_clear}
        row |= {"is_better": row["difference"] > 0, "shown": shown_certainty(row)}
    order = {name: i for i, name in enumerate(learners)}
    return sorted(rows, key=lambda row: order[row["policy"]])


def profile_of(inputs: ReportInputs, numbers: Numbers, cast: Cast) -> dict[str, Any]:
    """Performance profiles: share of episodes whose gain over the reference is above τ.

    Of the leading policies, over the scenarios that all of them played; bounds and policies that
    are far off are left out.
    """
    left_out = {*cast.groups["bounds"], *cast.far_off}
    shown = [name for name in cast.leads if name not in left_out]
    scenarios = [
        scenario
        for scenario in numbers.scenarios
        if all(numbers.has_played(name, scenario) for name in shown)
    ]
    if set(shown) <= {cast.reference} or not scenarios:
        return {"scenarios": [], "thresholds": [], "policies": {}}
    columns = ["policy", "scenario", "training_seed", "episode", OBJECTIVE.column]
    frame = inputs.episodes.select(columns).filter(
        pl.col("policy").is_in(shown), pl.col("scenario").is_in(scenarios)
    )
    table = performance_profiles(
        frame,
        OBJECTIVE.column,
        cast.reference,
        thresholds=_thresholds(frame, cast.reference),
        seed=_seed(inputs),
        resamples=_RESAMPLES,
    )
    parts = {name: table.filter(pl.col("policy") == name) for name in shown}
    return {
        "scenarios": scenarios,
        "thresholds": parts[shown[0]]["threshold"].to_list(),
        "policies": {
            name: {key: part[key].to_list() for key in ("share", "lo", "hi")}
            for name, part in parts.items()
            if name != cast.reference
        },
    }


def _thresholds(frame: pl.DataFrame, reference: str) -> NDArray[np.float64]:
    """Evenly spaced over all but the outermost gains, with 0 among them."""
    keys = ["scenario", "episode"]
    means = frame.group_by("policy", *keys).agg(pl.col(OBJECTIVE.column).mean())
    theirs = means.filter(pl.col("policy") == reference).select(*keys, start=OBJECTIVE.column)
    paired = means.filter(pl.col("policy") != reference).join(theirs, on=keys)
    gains = (paired[OBJECTIVE.column] - paired["start"]).to_numpy()
    lo, hi = np.quantile(gains, [_OUTERMOST, 1 - _OUTERMOST])
    points = np.linspace(min(lo, -_HAIR), max(hi, _HAIR), _THRESHOLDS)
    return np.unique(np.append(points, 0.0))
