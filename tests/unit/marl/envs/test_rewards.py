"""Options on the reward: each adds what it says, to the reward and to the named terms."""

import pytest
import torch

from marl.cloud.lagrange import Constraint, Gains
from marl.cloud.normalise import NormaliserConfig
from marl.cloud.shaping import ShapingConfig
from marl.envs import make
from marl.envs.rewards import TERMS, RewardOptions, potential

STEPS, ENVS = 12, 16
SHAPING = ShapingConfig(gamma=0.9, end=6)


def env_with(options, **overrides):
    env = make(
        num_envs=ENVS, scenario="web_burst", episode_steps=STEPS, rewards=options, **overrides
    )
    env.reset(seed=4)
    return env


def actions_of(env, seed=0):
    """Steps of random actions, the same for every environment."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield {
            agent: torch.rand((ENVS, space.shape[0]), generator=generator) * 2 - 1
            for agent, space in env.action_spec.items()
        }


def play(env, steps=STEPS):
    chosen = actions_of(env)
    return [env.step(next(chosen)) for _ in range(steps)]


def test_no_options_means_no_terms_and_the_same_reward():
    plain, none = play(env_with(None)), play(env_with(RewardOptions()))
    assert not set(TERMS) & set(plain[0].info)
    for a, b in zip(plain, none, strict=True):
        assert torch.equal(a.reward["network"], b.reward["network"])
        assert torch.equal(b.info["reward_shaping"], torch.zeros(ENVS))


def test_shaping_telescopes_over_an_episode():
    """Σ γ^t F_t = γ^T w_T φ(s_T) − w_0 φ(s_0); the last weight is 0 once annealing is over."""
    options = RewardOptions(shaping=SHAPING, shaping_scale=0.5)
    env, plain = env_with(options), env_with(None)
    first = 0.5 * potential(env.cloud_state, env.weather.told[0], env.cloud)
    total = torch.zeros(ENVS)
    for t, (step, bare) in enumerate(zip(play(env), play(plain), strict=True)):
        total += 0.9**t * step.info["reward_shaping"]
        for agent in env.agents:
            added = step.reward[agent] - bare.reward[agent]
            assert torch.allclose(added, step.info["reward_shaping"], atol=1e-6)
    assert torch.allclose(total, -first, atol=1e-5)
    assert env.reward_state.shaping.step == STEPS


def test_the_potential_is_best_where_capacity_stands_or_is_ordered():
    env = env_with(None)
    starved = {a: torch.full((ENVS, s.shape[0]), -1.0) for a, s in env.action_spec.items()}
    before = potential(env.cloud_state, env.weather.told[0], env.cloud)
    # Highest targets, no floor: the rules let capacity go.
    for action in starved.values():
        action[:, 0] = 1.0
    for _ in range(STEPS - 1):
        env.step(starved)
    after = potential(env.cloud_state, env.weather.told[STEPS - 1], env.cloud)
    assert (before <= 0).all()
    assert (after <= 0).all()
    assert after.mean() < before.mean()


def test_normalised_objectives_have_unit_scale_and_are_weighed_as_before():
    options = RewardOptions(normalise=NormaliserConfig(warmup=ENVS * STEPS, clip=None))
    env = env_with(options)
    warm = [step for _ in range(8) for step in play(env)]
    std = env.reward_state.statistics.variance().sqrt().to(torch.float32)
    weights = torch.tensor([0.25, 0.4, 0.2, 0.15])
    last = play(env, 1)[0]
    names = ("cost", "performance", "reliability", "sustainability")
    values = torch.stack([last.info[f"reward_{name}"] for name in names], 1)
    expected = (values / std) @ weights + last.info["reward_penalty"]
    assert torch.allclose(last.info["reward_normalised_team"], expected, rtol=0.02)
    # Before the warm-up nothing is scaled (processors add in different orders).
    unscaled = warm[0].info["reward_team"]
    assert torch.allclose(warm[0].info["reward_normalised_team"], unscaled, rtol=1e-5, atol=0)


def test_a_broken_limit_raises_its_price_and_a_kept_one_costs_nothing():
    strict = Constraint("slo_attainment", 1.0, "at_least", scale=0.01)
    loose = Constraint("cost_usd", 1e9)
    options = RewardOptions(constraints=(strict, loose), gains=Gains(integral=0.1))
    env = env_with(options)
    steps = play(env)
    multipliers = env.reward_state.multipliers.multipliers
    missed = 1 - torch.stack([step.info["slo_attainment"] for step in steps]).mean()
    assert multipliers[0] == pytest.approx(0.1 * float(missed) / 0.01, rel=1e-4)
    assert multipliers[1] == 0
    step = play(env, 1)[0]
    charge = multipliers[0].float() * (1 - step.info["slo_attainment"]) / 0.01
    assert torch.allclose(step.info["reward_constraints"], -charge, atol=1e-6)


def test_what_options_remember_survives_a_checkpoint():
    limit = Constraint("slo_attainment", 1.0, "at_least")
    options = RewardOptions(
        shaping=ShapingConfig(end=40), normalise=NormaliserConfig(), constraints=(limit,)
    )
    one = env_with(options)
    for _ in range(3):
        play(one)
    two = env_with(options)
    two.restore_rewards(one.reward_state.saved())
    for name in ("mean", "squares", "count"):
        kept, restored = (getattr(e.reward_state.statistics, name) for e in (one, two))
        assert torch.equal(kept, restored)
    assert two.reward_state.shaping.step == 3 * STEPS
    assert torch.equal(
        one.reward_state.multipliers.multipliers, two.reward_state.multipliers.multipliers
    )


def test_a_twin_goes_its_own_way():
    options = RewardOptions(shaping=SHAPING, normalise=NormaliserConfig())
    env = env_with(options)
    twin = env.twin()
    play(twin, 5)
    assert env.reward_state.statistics.count == 0
    assert env.reward_state.shaping.step == 0


def test_a_limit_on_what_no_step_returns_is_refused():
    with pytest.raises(ValueError, match=r"constraints on \['happiness'\].*slo_attainment"):
        env_with(RewardOptions(constraints=(Constraint("happiness", 1.0),)))


def test_restoring_without_options_says_so():
    with pytest.raises(RuntimeError, match="no reward options"):
        env_with(None).restore_rewards({})
