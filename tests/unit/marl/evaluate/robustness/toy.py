"""The smallest real stage: simulated clouds under toy demand, and policies of every kind."""

import torch

from marl.evaluate.families import family
from marl.evaluate.policies import ConstantPolicy, LearnedPolicy
from marl.evaluate.robustness.stage import Stage
from marl.evaluate.rules import RULES
from marl.evaluate.rules.policy import RulePolicy
from marl.evaluate.world import ProvisioningWorld
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.env import team_spec
from marl.train.policy_file import PolicyCard, StoredPolicy

STEPS = 36  # three hours: a disturbance begins at step 12
START = family("reactive").start


class ToyWorld(ProvisioningWorld):
    """Toy demand in the place of a fitted workload."""

    is_synthetic = True


def stage(scenario="mixed", steps=STEPS):
    return Stage(ToyWorld(None, episode_steps=steps), scenario)


def rule(name="reactive"):
    return ConstantPolicy(name, START)


def predictive():
    parameters = {one.name: one.start for one in RULES["predictive"].parameters}
    parameters |= {"margin_compute": 1.2, "recent": 0.5, "forecast": 0.5}
    return RulePolicy("predictive", "predictive", START, parameters)


def learned(env, hold_steps=1, seed=0):
    """A policy as a file would give it."""
    return LearnedPolicy(stored(env, hold_steps, seed))


def stored(env, hold_steps=1, seed=0):
    """An actor with weights of ordinary size, and its card."""
    generator = torch.Generator().manual_seed(seed)
    spec = team_spec(env, env.state().shape[1])
    net = NetConfig(hidden=(8,))
    actor = TeamActor(
        spec.obs_sizes,
        spec.pack_vector(START),
        bound=0.5,
        net=net,
        generator=generator,
        last_scale=1.0,
    )
    seen = env.cloud.show(env.state().t(), env.cloud_state, env.weather, 0)
    actor.norm.update(spec.pack_obs(seen))
    card = PolicyCard(
        learner="learned",
        agents=env.agents,
        observation_fields=env.observation_names,
        knobs=env.action_names,
        baseline={agent: tuple(values) for agent, values in START.items()},
        residual_bound=0.5,
        hold_steps=hold_steps,
        net=net,
        training={},
        training_seed=seed,
        env_steps=1,
        fingerprint="f" * 64,
        versions={"torch": torch.__version__},
    )
    return StoredPolicy(card, actor.eval().requires_grad_(False))
