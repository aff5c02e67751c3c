"""First-order learners reach known optima: a linear-quadratic team, base stocks with lead times."""

import copy
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from scipy.stats import gamma as gamma_distribution

from marl.algos.first_order import FirstOrderConfig
from marl.nets.config import NetConfig
from marl.train.config import TrainConfig, learner_named
from marl.train.smooth_rollout import faded
from marl.train.trainers import build_trainer
from tests.learning.lq_team import NOTHING, A, B, LqTeam, Q, R, check_optimum


class LqRollout:
    """The linear-quadratic team's equations, with gradients."""

    def __init__(self, env):
        self.env, self.x, self.t = env, env.x, env.t

    def obs(self):
        env = copy.copy(self.env)
        env.x = self.x
        return env.obs()

    def state(self):
        return self.x[:, None]

    def future(self, horizon):
        return self.x.new_zeros((len(self.x), 0))

    def advance(self, actions, steps):
        assert steps == 1
        u = torch.stack([actions[a][:, 0] for a in self.env.agents])
        reward = -(Q * self.x**2 + R * (u**2).sum(0))
        self.x = A * self.x + B * u.sum(0) + self.env.w[self.t]
        self.t += 1
        return reward

    def fade(self, share, limit=math.inf):
        self.x = faded(self.x, share, limit)

    def fork(self):
        return copy.copy(self)


class SmoothLqTeam(LqTeam):
    def differentiable(self):
        return LqRollout(self)


def trained(learner, make_env, baseline, **settings):
    """The trainer after all its epochs."""
    torch.set_num_threads(1)
    config = TrainConfig(
        evaluate_envs=8, critic_horizon=0, is_relative=False, hold_steps=1, **settings
    )
    trainer = build_trainer(config.model_copy(update={"learner": learner}), make_env, baseline)
    while trainer.epoch < config.epochs:
        trainer.run_epoch()
    return trainer


def decide(trainer):
    """The team's policy as a function of observations."""
    spec, actor = trainer.spec, trainer.learner.policy()

    def policy(obs):
        with torch.no_grad():
            return spec.unpack_actions(actor.action(actor(spec.pack_obs(obs))))

    return policy


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "window", "discount"),
    [
        ("apg", 25, "gradient"),
        ("shac", 5, "gradient"),
        ("shac", 5, "reward"),
        ("hindsight", 5, "gradient"),
    ],
)
def test_a_linear_quadratic_team_reaches_its_optimum(name, window, discount, seed):
    """Hindsight too: the best decision is linear in the noise to come, so plans' mean is best."""
    more = {"plan_steps": 24, "lookahead": 5} if name == "hindsight" else {"critic_steps": 4}
    learner = learner_named(
        name, window=window, discount=discount, residual_bound=1.0, actor_lr=5e-3, **more
    )
    epochs = {"apg": 100, "hindsight": 14}.get(name, 24)
    trainer = trained(
        learner, SmoothLqTeam, NOTHING,
        seed=seed, epochs=epochs, epoch_steps=25, num_envs=64, gamma=0.95,
    )  # fmt: skip
    check_optimum(trainer.spec, trainer.learner.policy())


LEAD, SHORTAGE, HOLDING, STEPS = (1, 4), (9.0, 3.0), 1.0, 24


@dataclass
class StockStep:
    obs: dict
    reward: dict
    terminated: torch.Tensor
    truncated: torch.Tensor
    info: dict = field(default_factory=dict)


class Stocks:
    """Two services that order capacity; orders of service i arrive `LEAD[i]` steps later.

    Demand is exponential with mean 1, independent over time, and waits when it is not met. An
    action is the level that stock on hand and on order is filled up to, 4 (1 + a). After demand, a
    unit in stock costs `HOLDING`, one owed `SHORTAGE[i]`. Demand over lead time and one step is
    Gamma(L + 1): the best level is its quantile at SHORTAGE / (SHORTAGE + HOLDING). It serves as
    the environment and as its own differentiable rollout: the rules are smooth almost everywhere.
    """

    agents = ("fast", "slow")
    observation_spec = dict.fromkeys(agents, Box(-np.inf, np.inf, (2,)))
    action_spec = dict.fromkeys(agents, Box(-1.0, 1.0, (1,)))

    def __init__(self, num_envs, seed):
        self.num_envs = num_envs
        self.reset(seed)

    def reset(self, seed=None):
        if seed is not None:
            self.generator = torch.Generator().manual_seed(seed)
        uniform = torch.rand((STEPS, 2, self.num_envs), generator=self.generator)
        self.demand = -torch.log1p(-uniform)
        self.t = 0
        self.stock = torch.full((2, self.num_envs), 2.0)
        self.orders = [[torch.ones(self.num_envs)] * lead for lead in LEAD]
        return self.obs()

    def obs(self):
        position = [self.stock[i] + sum(self.orders[i]) for i in range(2)]
        return {a: torch.stack([position[i], self.stock[i]], 1) for i, a in enumerate(self.agents)}

    def state(self):
        return torch.cat(list(self.obs().values()), 1)

    def future(self, horizon):
        return self.state()[:, :0]

    def advance(self, actions, steps):
        cost, stock, orders = 0.0, [], []
        for i, agent in enumerate(self.agents):
            position = self.stock[i] + sum(self.orders[i])
            order = (4.0 * (1.0 + actions[agent][:, 0]) - position).clamp_min(0.0)
            arriving, *later = [*self.orders[i], order]
            left = self.stock[i] + arriving - self.demand[self.t, i]
            cost = cost + HOLDING * left.clamp_min(0) + SHORTAGE[i] * (-left).clamp_min(0)
            stock.append(left)
            orders.append(later)
        self.stock, self.orders, self.t = torch.stack(stock), orders, self.t + 1
        return -cost

    def fade(self, share, limit=math.inf):
        self.stock = faded(self.stock, share, limit)
        self.orders = [[faded(order, share, limit) for order in row] for row in self.orders]

    def fork(self):
        return copy.copy(self)

    differentiable = fork

    @torch.no_grad()
    def step(self, actions):
        reward = self.advance(actions, 1)
        over = self.t == STEPS
        if over:
            self.reset()
        flags = torch.full((self.num_envs,), over)
        reward = dict.fromkeys(self.agents, reward)
        return StockStep(self.obs(), reward, torch.zeros_like(flags), flags)


def stocks_reward(policy, clouds=8000):
    """Mean reward per step once the start is forgotten."""
    env, total = Stocks(clouds, 77), 0.0
    obs = env.obs()
    for t in range(STEPS - 1):
        step = env.step(policy(obs))
        total += float(step.reward["fast"].mean()) * (t >= 8)
        obs = step.obs
    return total / (STEPS - 9)


LEVELS = [
    gamma_distribution.ppf(p / (p + HOLDING), lead + 1)
    for p, lead in zip(SHORTAGE, LEAD, strict=True)
]


def held_at(levels):
    return lambda obs: {
        a: torch.full((len(x), 1), level / 4 - 1)
        for (a, x), level in zip(obs.items(), levels, strict=True)
    }


def test_the_newsvendor_quantile_is_the_best_base_stock():
    rewards = {f: stocks_reward(held_at([f * x for x in LEVELS])) for f in (0.8, 0.9, 1, 1.1, 1.2)}
    assert max(rewards, key=rewards.get) == 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_provisioning_with_lead_times_finds_the_newsvendor_quantile(seed):
    learner = FirstOrderConfig(
        window=24,
        discount="reward",
        residual_bound=2.0,
        actor_lr=5e-3,
        lr_end=0.02,
        net=NetConfig(hidden=(32,)),
    )
    trainer = trained(
        learner, Stocks, {"fast": [0.0], "slow": [0.0]},
        seed=seed, epochs=80, epoch_steps=STEPS, num_envs=512, gamma=0.999,
    )  # fmt: skip
    policy = decide(trainer)
    env = Stocks(4000, 5)
    obs = env.obs()
    for _ in range(12):
        obs = env.step(policy(obs)).obs
    found = [float(4 * (1 + action).mean()) for action in policy(obs).values()]
    assert found == pytest.approx(LEVELS, rel=0.02)
    best = stocks_reward(held_at(LEVELS))
    assert stocks_reward(policy) > best - 0.02 * abs(best)
