"""The components: each one change of a base, with what is expected of it in words.

A component that needs another first (a transformer needs a list to read) includes that one and is
compared with it, never with the bare base.
"""

from typing import Final

from marl.cloud.config import Weights
from marl.cloud.types import OBJECTIVES
from marl.evaluate.ablation.bases import BASES
from marl.evaluate.ablation.grid import Component, Grid, WorldChange

_HOURLY: Final = ("maddpg", "mappo")
_DENSE: Final = (*_HOURLY, "apg")
# Beginnings of the names of state features, by what they tell.
HIDDEN: Final = {
    "calendar": ("day_sin", "day_cos", "week_sin", "week_cos"),
    "same_hour": ("day_ago_", "week_ago_"),
    "forecast": ("forecast_",),
    "announcements": ("announced_", "scheduled_"),
    "future": ("day_", "week_", "forecast_", "announced_", "scheduled_"),
    "load": tuple(
        f"load_{one}" for one in ("vcpu", "iops", "gbps", "db_vcpu", "memory", "ml_vcpu")
    ),
    "queues": ("backlog_", "arrivals_", "late_"),
    "others": ("utilisation_",),
}


def _without(objective: str) -> dict[str, float | bool]:
    """Weights without one objective; the others keep their proportions."""
    full = dict(zip(OBJECTIVES, Weights().values(), strict=True))
    rest = 1.0 - full[objective]
    left = {name: 0.0 if name == objective else w / rest for name, w in full.items()}
    return {**left, "is_free": True}


_REWARD: Final = tuple(
    Component(
        name=f"no_{objective}",
        bases=_DENSE,
        change=f"weight of {objective} 0 in training, the other weights in proportion",
        hypothesis=f"{objective} gets worse, and the full objective with it",
        world=WorldChange(rewarded={"weights": _without(objective)}),
    )
    for objective in OBJECTIVES
)

_INFORMATION: Final = tuple(
    Component(
        name=f"hidden_{group}",
        bases=("apg",),
        change=f"features {', '.join(name + '*' for name in names)} read 0",
        hypothesis="worse by what this information is worth",
        world=WorldChange(hidden=names),
    )
    for group, names in HIDDEN.items()
)

COMPONENTS: Final = (
    Component(
        name="placebo",
        bases=_DENSE,
        change="nothing but the training seeds",
        hypothesis="no effect: how large an effect by chance is",
        seed_shift=1000,
    ),
    Component(
        name="prioritised_replay",
        bases=("maddpg",),
        change="rows drawn in proportion to their errors (Schaul et al. 2016)",
        hypothesis="better: rare trouble is replayed more often",
        settings={"priority": {}},
    ),
    Component(
        name="attention_net",
        bases=_DENSE,
        change="actors attend over observation fields",
        hypothesis="better: an agent weighs what matters",
        settings={"learner": {"net": {"kind": "attention"}}},
    ),
    Component(
        name="request_list",
        bases=_DENSE,
        change="the compute agent is shown the list of queued requests (flat, MLP)",
        hypothesis="slightly better: deadlines are seen one by one",
        world=WorldChange(shown={"request_agents": ("compute",)}),
    ),
    Component(
        name="transformer",
        bases=_DENSE,
        change="a transformer reads the request list instead of the MLP",
        hypothesis="better: entries of a list are alike and their order means nothing",
        settings={"learner": {"net": {"kind": "transformer"}}},
        includes="request_list",
    ),
    Component(
        name="gru",
        bases=("apg",),
        change="actors with a memory",
        hypothesis="better: agents see only part of the clouds",
        settings={"learner": {"net": {"kind": "gru"}}},
    ),
    Component(
        name="attention_critic",
        bases=("maddpg",),
        change="the critic attends over agents (MAAC; Iqbal and Sha 2019)",
        hypothesis="no effect with four agents",
        settings={"learner": {"critic": "attention"}},
    ),
    Component(
        name="critics_per_agent",
        bases=("maddpg",),
        change="a central critic of each agent's own reward (Lowe et al. 2017), not of the team's",
        hypothesis="worse: four times the work, and own rewards are not the objective",
        settings={"learner": {"is_team": False}},
    ),
    Component(
        name="no_future",
        bases=_HOURLY,
        change="critics are not shown the exogenous future",
        hypothesis="worse: weather to come is noise in their targets",
        settings={"critic_horizon": 0},
    ),
    Component(
        name="independent",
        bases=("mappo",),
        change="values of own observations (IPPO) instead of a central one without the future",
        hypothesis="slightly worse: four noisy values instead of one",
        learner="ippo",
        includes="no_future",
    ),
    Component(
        name="shaping",
        bases=_HOURLY,
        change="potential-based shaping (shortage, overdue work) all through training",
        hypothesis="no effect at the end, faster at the start: it keeps the best policy",
        world=WorldChange(shaping="constant"),
    ),
    Component(
        name="shaping_annealed",
        bases=_HOURLY,
        change="the same, fading to nothing over the first half of training",
        hypothesis="as shaping",
        world=WorldChange(shaping="annealed"),
    ),
    Component(
        name="curriculum",
        bases=_DENSE,
        change="climbs steady → cyclical → burst → mixed demand instead of mixed from the start",
        hypothesis="no effect: learning starts at a good rule, not from nothing",
        settings={
            "curriculum": {
                "stages": ("mixed_steady", "mixed_cyclical", "mixed_burst", "mixed"),
                "max_epochs": 2,
            }
        },
    ),
    Component(
        name="parameter_noise",
        bases=("maddpg",),
        change="exploration by adaptive noise on weights (Plappert et al. 2018), not on residuals",
        hypothesis="better: consistent exploration trembles less",
        settings={"noise": "parameter"},
    ),
    *_REWARD,
    Component(
        name="no_local_share",
        bases=_DENSE,
        change="every agent is paid the team's reward alone in training (local_share 0)",
        hypothesis="slightly worse: the objective counts local parts a fifth",
        world=WorldChange(rewarded={"local_share": 0.0}),
    ),
    Component(
        name="not_relative",
        bases=_HOURLY,
        change="plain rewards, not those above the rule's in the same weather",
        hypothesis="much worse: most of a reward's variance is the weather's",
        settings={"is_relative": False},
    ),
    Component(
        name="no_layer_norm",
        bases=_DENSE,
        change="networks without layer norm",
        hypothesis="slightly worse",
        settings={"learner": {"net": {"has_layer_norm": False}}},
    ),
    Component(
        name="three_steps",
        bases=("maddpg",),
        change="returns of three decisions before the bootstrap",
        hypothesis="worse: counts the noise of the decisions that follow",
        settings={"n_step": 3},
    ),
    Component(
        name="no_offsets",
        bases=("apg",),
        change="clouds add no offsets to residuals: the slope where the actors stand, nothing else",
        hypothesis="worse: whole units leave plateaus without a slope",
        settings={"learner": {"noise": 0.0}},
    ),
    Component(
        name="clear_sight",
        bases=("apg",),
        change="no cloud misreads its metrics while actors learn",
        hypothesis="worse where metrics are wrong, perhaps everywhere: wrong readings keep actors "
        "from relying on single ones",
        settings={"learner": {"misread": 0.0}},
    ),
    Component(
        name="restless_noise",
        bases=("maddpg",),
        change="exploration forgets half of itself in an hour, not a twentieth",
        hypothesis="worse: trembling knobs restart the database and drown what they are worth",
        settings={"noise_theta": 0.5},
    ),
    Component(
        name="no_calibration",
        bases=_DENSE,
        change="actors are kept as training ends with them, not calibrated in the exact clouds",
        hypothesis="worse, most for apg, whose gradients are of smooth clouds",
        settings={"calibration": None},
    ),
    Component(
        name="no_carry_limit",
        bases=("apg",),
        change="gradients pass back through time without limits",
        hypothesis="worse: a few clouds steer the batch",
        settings={"learner": {"carry_limit": 1e9}},
    ),
    Component(
        name="from_apg",
        bases=("maddpg_fine", "mappo_fine"),
        change="training starts from APG's actors of the same seed",
        hypothesis="far better than from the rule, slightly better than APG itself",
        teacher="apg",
        against=("", "apg"),
    ),
    Component(
        name="hindsight",
        bases=("goals_easy", "goals_hard"),
        change="four of five rows relearned for what was achieved (Andrychowicz et al. 2017)",
        hypothesis="better on hard goals, no effect on easy ones",
        settings={"hindsight": {"ratio": 4.0}},
    ),
    Component(
        name="oracle_forecast",
        bases=("apg",),
        change="forecasts hold the demand that will come, which nobody has",
        hypothesis="better: the most that a forecaster could add",
        world=WorldChange(shown={"is_oracle_forecast": True}),
    ),
    *_INFORMATION,
)
GRID: Final = Grid(bases=BASES, components=COMPONENTS)
