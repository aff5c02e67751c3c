"""Made-up episodes for decisions, and a lineage's folders on the linear-quadratic team."""

import numpy as np
import polars as pl
import torch

from marl.evaluate.baselines import BaselineSet, TunedBaseline, TuningBudget
from marl.evaluate.policies import LearnedPolicy, baseline_policies, trained_policy_name
from marl.evaluate.promotion.decide import Contest
from marl.evaluate.promotion.guards import PromotionRules
from marl.evaluate.promotion.nightly import Night
from marl.evaluate.promotion.record import Contender
from marl.evaluate.study import play
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.policy_file import PolicyCard, load_policy_file, save_policy
from tests.unit.marl.evaluate.worlds import LqWorld

SCENARIOS = ("replay", "web")
TUNED = {"controller_0": (0.4,), "controller_1": (0.4, 0.0)}  # the reactive rule, on the team
WORSE = {"controller_0": (0.6,), "controller_1": (0.6, 0.0)}  # the predictive one
EPISODES = 40
RULE = Contender(name="reactive", training_seed=None, sha256="r" * 64)
OLD = Contender(name="old", training_seed=0, sha256="a" * 64)
NEW = Contender(name="new", training_seed=1, sha256="b" * 64)
USUAL = {
    "reward": -0.14,
    "cost_usd": 350.0,
    "slo_attainment": 0.96,
    "availability": 0.99,
    "deadline_miss_share": 0.02,
    "latency_p99_ms": 1200.0,
}
NOISE = {
    "reward": 0.001,
    "cost_usd": 2.0,
    "slo_attainment": 0.001,
    "availability": 0.0002,
    "deadline_miss_share": 0.001,
    "latency_p99_ms": 30.0,
}


def rows(contender, scenario, changes=None, episodes=EPISODES, seed=0):
    """Episodes of one policy: what is usual plus `changes`, plus noise of its own."""
    rng = np.random.default_rng([seed, *contender.name.encode(), *scenario.encode()])
    weather = np.random.default_rng([7, *scenario.encode()])
    demand = weather.uniform(1e6, 2e6, episodes)
    figures = {
        name: value + (changes or {}).get(name, 0.0) + rng.normal(0, NOISE[name], episodes)
        for name, value in USUAL.items()
    }
    return pl.DataFrame(
        {
            "policy": [contender.name] * episodes,
            "scenario": [scenario] * episodes,
            "training_seed": pl.Series([contender.training_seed] * episodes, dtype=pl.Int64),
            "episode": range(episodes),
            "is_held_out": [True] * episodes,
            "requests": demand,
            **figures,
        }
    )


def contest(new=None, old=None, rule=None, *, champion=RULE, scenarios=SCENARIOS, **at):
    """A contest in which `new`, `old` and the rule differ from what is usual by these amounts.

    `at` changes the challenger in one scenario alone: `web={"reward": -0.1}`.
    """
    frames = []
    for scenario in scenarios:
        frames += [
            rows(NEW, scenario, {**(new or {}), **at.get(scenario, {})}),
            rows(RULE, scenario, rule),
        ]
    before = [rows(OLD, scenario, old) for scenario in scenarios]
    return Contest(
        episodes=pl.concat(frames),
        champion_episodes=pl.concat(before) if champion is OLD else None,
        scenarios=tuple(scenarios),
        rivals=("reactive",),
        seed=0,
        is_synthetic=True,
    )


class Registry:
    """Versions by model and hash; remembers what was crowned."""

    def __init__(self, **versions):
        self.versions, self.crowned = versions, []

    def version_of(self, model, sha256):
        return self.versions.get(model)

    def crown(self, model, version):
        self.crowned.append((model, version))


def save_learned(path, name, seed, value, knobs=2):
    """A policy file whose agents always do `value`."""
    agents = ("controller_0", "controller_1")
    net = NetConfig(hidden=(4,))
    baseline = torch.full((2, knobs), value)
    baseline[0, 1:] = 0.0
    generator = torch.Generator().manual_seed(seed)
    actor = TeamActor((1, 2), baseline, bound=0.5, net=net, generator=generator, last_scale=0.0)
    card = PolicyCard(
        learner=name,
        agents=agents,
        observation_fields={"controller_0": ("0",), "controller_1": ("0", "1")},
        knobs={"controller_0": ("0",), "controller_1": tuple(map(str, range(knobs)))},
        baseline={"controller_0": (value,), "controller_1": (value,) * knobs},
        residual_bound=0.5,
        hold_steps=1,
        net=net,
        training={},
        training_seed=seed,
        env_steps=1,
        fingerprint="f" * 64,
        versions={},
    )
    save_policy(path, actor, card)


def lineage(root, learned, *, rules=None, world=None):
    """Folders as a night leaves them: `learned` is (name, seed, action, held-in gain) each."""
    trained, tuned, played = (root / name for name in ("trained", "tuned", "played"))
    for folder in (trained, tuned, played / "rows"):
        folder.mkdir(parents=True, exist_ok=True)
    for path in trained.glob("*.safetensors"):
        path.unlink()
    for name, seed, value, _ in learned:
        save_learned(trained / trained_policy_name(name, seed), name, seed, value)
    curves = [
        {"policy": name, "training_seed": seed, "is_kept": True, "gain": gain}
        for name, seed, _, gain in learned
    ]
    pl.DataFrame(
        curves,
        schema={
            "policy": pl.String,
            "training_seed": pl.Int64,
            "is_kept": pl.Boolean,
            "gain": pl.Float64,
        },
    ).write_parquet(trained / "learning.parquet")
    rule = TunedBaseline(name="reactive", action=TUNED, reward=-0.1, trials=())
    predictive = TunedBaseline(name="predictive", action=WORSE, reward=-0.2, trials=())
    found = BaselineSet(budget=TuningBudget(), seed=0, tuned=(rule, predictive))
    (tuned / "baselines.json").write_text(found.model_dump_json())
    policies = [
        *baseline_policies(tuned),
        *(LearnedPolicy(load_policy_file(path)) for path in sorted(trained.glob("*.safetensors"))),
    ]
    frame = play(policies, LqWorld(), SCENARIOS, EPISODES, 0)
    frame.write_parquet(played / "rows" / "part-000000.parquet")
    kept = [one for one in PromotionRules().guards if one.metric in frame.columns]
    return Night(
        folder=root / "champion_policy",
        trained_policies=trained,
        baseline_policies=tuned,
        evaluation_episodes=played,
        world=world or LqWorld(),
        scenarios=SCENARIOS,
        seed=0,
        rules=rules or PromotionRules(guards=tuple(kept)),
        provenance={"evaluation_episodes": repr(learned)},
    )
