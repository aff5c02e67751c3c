"""Tasks that tell networks apart, each with a known best: a list to choose from, a cue to keep.

Written down from their rules; each is the environment and its own differentiable rollout.
"""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box


@dataclass
class TaskStep:
    obs: dict
    reward: dict
    terminated: torch.Tensor
    truncated: torch.Tensor
    info: dict = field(default_factory=dict)


def _columns(slots, fields):
    return [f"request{slot}_{name}" for slot in range(slots) for name in fields]


class Task:
    """What both tasks share: episodes of `steps`, a team reward, nothing that actions change."""

    agents = ("clerk", "idle")

    def __init__(self, num_envs, seed):
        self.num_envs = num_envs
        self.observation_spec = {
            a: Box(-np.inf, np.inf, (len(names),)) for a, names in self.observation_names.items()
        }
        self.action_spec = dict.fromkeys(self.agents, Box(-1.0, 1.0, (1,)))
        self.reset(seed)

    def reset(self, seed=None):
        if seed is not None:
            self.generator = torch.Generator().manual_seed(seed)
        self.t = 0
        self.draw()
        return self.obs()

    def advance(self, actions, steps):
        assert steps == 1
        reward = self.judge(actions["clerk"][:, 0])
        self.t += 1
        return reward

    @torch.no_grad()
    def step(self, actions):
        reward = self.advance(actions, 1)
        over = self.t == self.steps
        if over:
            self.reset()
        flags = torch.full((self.num_envs,), over)
        rewards = dict.fromkeys(self.agents, reward)
        return TaskStep(self.obs(), rewards, torch.zeros_like(flags), flags)

    def state(self):
        return torch.zeros((self.num_envs, 1))

    def future(self, horizon):
        return torch.zeros((self.num_envs, 0))

    def fade(self, share, limit=0.0):
        pass

    def fork(self):
        return copy.copy(self)

    differentiable = fork


class UrgentList(Task):
    """Do what the most urgent entry of a list says: reward −(a − wanted)², at best 0.

    One to `SLOTS` entries stand in random slots, with urgencies that are never close to each other.
    What closed slots hold is noise. Doing nothing earns −.64/3: wanted is uniform in ±.8.
    """

    SLOTS = 6
    steps = 4
    nothing = -0.64 / 3
    observation_names: ClassVar = {
        "clerk": (*_columns(SLOTS, ("urgency", "wanted", "is_open")), "clock"),
        "idle": ("clock",),
    }

    def draw(self):
        shape = (self.steps, self.num_envs, self.SLOTS)
        self.urgency = torch.rand(shape, generator=self.generator).argsort(-1) / self.SLOTS
        self.wanted = torch.rand(shape, generator=self.generator) * 1.6 - 0.8
        count = torch.randint(1, self.SLOTS + 1, (*shape[:2], 1), generator=self.generator)
        self.is_open = torch.rand(shape, generator=self.generator).argsort(-1) < count

    def obs(self):
        t = min(self.t, self.steps - 1)
        entries = torch.stack((self.urgency[t], self.wanted[t], self.is_open[t].float()), -1)
        clock = torch.full((self.num_envs, 1), self.t / self.steps)
        return {"clerk": torch.cat((entries.flatten(1), clock), 1), "idle": clock}

    def judge(self, action):
        most = self.urgency[self.t].masked_fill(~self.is_open[self.t], -1.0).argmax(-1)
        wanted = self.wanted[self.t].gather(1, most[:, None])[:, 0]
        return -((action - wanted) ** 2)


class Cue(Task):
    """A cue of ±.8 is seen at the first step and asked for at the last: −(a − cue)² then, else 0.

    Who does not remember can do no better than 0 at the last step: −.64 of `steps` steps.
    """

    steps = 6
    nothing = -0.64 / steps
    observation_names: ClassVar = {"clerk": ("cue", "is_last"), "idle": ("is_last",)}

    def draw(self):
        uniform = torch.rand(self.num_envs, generator=self.generator)
        self.cue = torch.where(uniform < 0.5, -0.8, 0.8)

    def obs(self):
        last = torch.full((self.num_envs, 1), float(self.t == self.steps - 1))
        cue = self.cue[:, None] * float(self.t == 0)
        return {"clerk": torch.cat((cue, last), 1), "idle": last}

    def judge(self, action):
        return -((action - self.cue) ** 2) * float(self.t == self.steps - 1)
