"""A world for tests: the linear-quadratic team, whose weather differs from seed to seed."""

import torch

from tests.learning.lq_team import LqTeam

KEEP = {"controller_0": (0.1,), "controller_1": (0.1, 0.0)}


class LqWorld:
    is_synthetic = True

    def make_env(self, scenario, split):
        return lambda num_envs, seed: LqTeam(num_envs, seed, steps=12)

    def physical(self, actions):
        return {f"{agent}_u": float(torch.as_tensor(v)[0]) for agent, v in actions.items()}
