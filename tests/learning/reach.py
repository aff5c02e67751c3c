"""A sparse goal task: a team moves a point to a goal that chance never reaches.

The point has two coordinates for each of two agents, p' = p + .25 u, from p = 0; a goal is drawn
uniformly from [-1, 1]^4, and a step earns 0 where every coordinate is within .2 of it, else -1.
Whoever does not move succeeds with probability .2^4 = .0016. The best policy moves straight to
the goal, four steps at most. Each agent sees its own two coordinates and the goal.
"""

import numpy as np
import torch
from gymnasium.spaces import Box

from tests.learning.lq_team import LqStep

STEP, NEAR, STEPS = 0.25, 0.2, 10


class Reach:
    """B copies; knows nothing of the learners."""

    agents = ("first", "second")
    goal_size = 4

    def __init__(self, num_envs, seed):
        self.num_envs = num_envs
        self.observation_spec = {a: Box(-np.inf, np.inf, (6,)) for a in self.agents}
        self.action_spec = {a: Box(-1.0, 1.0, (2,)) for a in self.agents}
        self.reset(seed)

    def reset(self, seed=None):
        if seed is not None:
            self.generator = torch.Generator().manual_seed(seed)
        self.point = torch.zeros(self.num_envs, 4)
        self.goal = torch.rand((self.num_envs, 4), generator=self.generator) * 2 - 1
        self.t = 0
        return self.obs()

    def obs(self):
        return {
            a: torch.cat([self.point[:, 2 * i :][:, :2], self.goal], 1)
            for i, a in enumerate(self.agents)
        }

    def state(self):
        return torch.cat([self.point, self.goal], 1)

    def achieved(self):
        return self.reached

    def goal_reward(self, achieved, goal):
        return ((achieved - goal).abs().amax(-1) < NEAR).float() - 1.0

    def step(self, actions):
        self.point = self.point + STEP * torch.cat([actions[a] for a in self.agents], 1)
        self.reached = self.point
        reward = self.goal_reward(self.point, self.goal)
        self.t += 1
        over = torch.full((self.num_envs,), self.t == STEPS)
        if self.t == STEPS:
            self.reset()
        return LqStep(self.obs(), {a: reward for a in self.agents}, torch.zeros_like(over), over)


def success(policy, episodes=1000, seed=77):
    """Share of episodes whose last step is at the goal, under `policy(obs) -> actions`."""
    env = Reach(episodes, seed)
    obs = env.reset(seed)
    for _ in range(STEPS):
        step = env.step(policy(obs))
        obs = step.obs
    return float((step.reward["first"] == 0).float().mean())
