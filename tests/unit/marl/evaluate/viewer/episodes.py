"""Episodes the viewer's tests share."""

from functools import cache

from marl.envs import make
from marl.evaluate.families import family
from marl.evaluate.policies import ConstantPolicy
from marl.evaluate.viewer.record import Labels, Record, record

STEPS = 30
LABELS = Labels("everything_at_once", 1, 5, "toy demand", is_synthetic=True)


def small_env(scenario="everything_at_once", num_envs=2, steps=STEPS):
    return make(num_envs=num_envs, scenario=scenario, split="held_out", seed=5, episode_steps=steps)


def rule(name="reactive") -> ConstantPolicy:
    return ConstantPolicy(name, family(name).start)


@cache
def pair() -> tuple[Record, Record]:
    """One episode under both rules; callers must not change it."""
    env = small_env()
    return (
        record(rule("reactive"), env, 1, 5, LABELS),
        record(rule("static_peak"), env, 1, 5, LABELS),
    )
