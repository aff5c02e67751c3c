"""A world of situations that want opposite things: what is learned in one is wrong in the other.

Every agent sees the situation's sign s and a random number z, and should play 0.3 s z. Baseline 0.
Episodes of 8 steps; the reward is minus the squared miss, summed over agents, plus named terms.
"""

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from gymnasium.spaces import Box

STEPS, REACH = 8, 0.3
AGENTS = ("one", "two")
BASELINE = {agent: [0.0] for agent in AGENTS}


@dataclass
class SignsStep:
    obs: dict
    reward: dict
    terminated: torch.Tensor
    truncated: torch.Tensor
    info: dict = field(default_factory=dict)


class Signs:
    def __init__(self, num_envs, seed, sign=1.0, width=2):
        self.agents, self.num_envs, self.sign = AGENTS, num_envs, sign
        self.observation_spec = {a: Box(-np.inf, np.inf, (width,)) for a in AGENTS}
        self.observation_names = {a: ("sign", "z", "more")[:width] for a in AGENTS}
        self.action_spec = {a: Box(-1.0, 1.0, (1,)) for a in AGENTS}
        self.width = width
        self.seeds = []
        self.reset(seed)

    def reset(self, seed=None):
        if seed is not None:
            self.seeds.append(seed)
            self.generator = torch.Generator().manual_seed(seed)
        self.z = torch.randn((STEPS + 1, self.num_envs), generator=self.generator)
        self.t = 0
        return self.obs()

    def obs(self):
        sign = torch.full((self.num_envs,), self.sign)
        seen = torch.stack([sign, self.z[self.t], sign][: self.width], 1)
        return {a: seen for a in AGENTS}

    def state(self):
        return self.obs()["one"]

    def future(self, horizon):
        ahead = torch.arange(self.t, self.t + horizon).clamp(max=STEPS)
        return self.z[ahead].T

    def misses(self, actions):
        return [(actions[a][:, 0] - REACH * self.sign * self.z[self.t]).square() for a in AGENTS]

    def step(self, actions):
        misses = self.misses(actions)
        reward = -sum(misses)
        self.t += 1
        over = self.t == STEPS
        if over:
            self.reset()
        flags = torch.full((self.num_envs,), over)
        info = {f"reward_{a}": -miss for a, miss in zip(AGENTS, misses, strict=True)}
        info["sign"] = torch.full((self.num_envs,), self.sign)
        return SignsStep(
            self.obs(), dict.fromkeys(AGENTS, reward), torch.zeros_like(flags), flags, info
        )

    def differentiable(self):
        return SignsRollout(self)


class SignsRollout:
    def __init__(self, env):
        self.env = copy.copy(env)

    def obs(self):
        return self.env.obs()

    def state(self):
        return self.env.state()

    def future(self, horizon):
        return self.env.future(horizon)

    def advance(self, actions, steps):
        assert steps == 1
        reward = -sum(self.env.misses(actions))
        self.env.t += 1
        return reward

    def fade(self, share, limit=0.0):
        pass

    def fork(self):
        return SignsRollout(self.env)


def signs(sign):
    return lambda num_envs, seed: Signs(num_envs, seed, sign)


PLUS, MINUS = signs(1.0), signs(-1.0)
