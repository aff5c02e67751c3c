"""A cooperative continuous problem whose optimum is known in closed form: linear-quadratic.

x' = a x + b Σ_i u_i + w,  w ~ N(0, s²);  reward = −(q x² + r Σ_i u_i²), for every agent the same.
Each of the N agents sees x. By the scalar Riccati equation with discount γ, the best joint control
is u_i = −K x with K = γ a b P / (r + γ N b² P) and P = q + γ a² P − (γ a b P)² N / (r + γ N b² P).
The world is written down from the equations and knows nothing of the learners.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from gymnasium.spaces import Box

A, B, Q, R, NOISE, GAMMA = 0.9, 0.3, 1.0, 0.5, 0.2, 0.95
NOTHING = {"controller_0": [0.0], "controller_1": [0.0, 0.0]}  # the baseline of its two agents


@dataclass
class LqStep:
    obs: dict
    reward: dict
    terminated: torch.Tensor
    truncated: torch.Tensor
    info: dict = field(default_factory=dict)


class LqTeam:
    """B copies, `agents` controllers of different padding widths, episodes of `steps`."""

    def __init__(self, num_envs, seed, agents=2, steps=25):
        self.agents = tuple(f"controller_{i}" for i in range(agents))
        self.num_envs, self.steps = num_envs, steps
        # The second agent also sees a useless field and has a useless knob: padding is exercised.
        self.widths = {agent: 1 + (i == 1) for i, agent in enumerate(self.agents)}
        self.observation_spec = {a: Box(-np.inf, np.inf, (w,)) for a, w in self.widths.items()}
        self.action_spec = {a: Box(-1.0, 1.0, (w,)) for a, w in self.widths.items()}
        self.reset(seed)

    def reset(self, seed=None):
        if seed is not None:
            self.generator = torch.Generator().manual_seed(seed)
        # All weather of the coming episode is drawn here, apart from the state.
        self.x = torch.randn(self.num_envs, generator=self.generator)
        self.w = torch.randn((self.steps, self.num_envs), generator=self.generator) * NOISE
        self.t = 0
        return self.obs()

    def copies(self, count):
        """The same episode `count` times, copy by copy, again and again."""
        other = LqTeam(count * self.num_envs, 0, len(self.agents), self.steps)
        x, w = self.x.repeat(count), self.w.repeat(1, count)

        def again(seed=None):
            other.x, other.w, other.t = x, w, 0
            return other.obs()

        other.reset = again
        again()
        return other

    def obs(self):
        return {
            a: torch.stack([self.x] + [torch.ones_like(self.x)] * (w - 1), 1)
            for a, w in self.widths.items()
        }

    def state(self):
        return self.x[:, None]

    def step(self, actions):
        u = torch.stack([actions[a][:, 0] for a in self.agents])
        reward = -(Q * self.x**2 + R * (u**2).sum(0))
        info = {
            "cost_usd": (u**2).sum(0),
            "requests": 1.0 + self.w[self.t].abs(),
            "slo_attainment": (self.x.abs() < 0.5).float(),
            "waste": self.x.abs(),
        }
        self.x = A * self.x + B * u.sum(0) + self.w[self.t]
        self.t += 1
        over = self.t == self.steps
        if over:
            self.reset()
        flags = torch.full((self.num_envs,), over)
        return LqStep(
            self.obs(), {a: reward for a in self.agents}, torch.zeros_like(flags), flags, info
        )


def optimal_gain(agents=2, gamma=GAMMA):
    p = Q
    for _ in range(1000):
        d = R + gamma * agents * B**2 * p
        p = Q + gamma * A**2 * p - (gamma * A * B * p) ** 2 * agents / d
    return gamma * A * B * p / (R + gamma * agents * B**2 * p)


def mean_reward(policy, episodes=2000, seed=99, agents=2, steps=25):
    """Mean reward per step of `policy(obs) -> actions`."""
    env = LqTeam(episodes, seed, agents, steps)
    obs, total = env.reset(seed), 0.0
    for _ in range(steps):
        step = env.step(policy(obs))
        total += float(next(iter(step.reward.values())).mean())
        obs = step.obs
    return total / steps


def linear(gain):
    """U = -gain · x for every agent."""
    return lambda obs: {
        agent: (-gain * x[:, :1]).clamp(-1, 1).expand(-1, x.shape[1]) for agent, x in obs.items()
    }


@torch.no_grad()
def check_optimum(spec, actor):
    """Actors without a memory come within 5 % of the optimum; doing nothing is far from it."""

    def policy(obs):
        return spec.unpack_actions(actor.action(actor(spec.pack_obs(obs))))

    best = mean_reward(linear(optimal_gain()))
    assert mean_reward(policy) > best - 0.05 * abs(best)
    assert mean_reward(linear(0.0)) < 1.5 * best  # there was something to learn
