"""A world for tests: the linear-quadratic team, whose weather differs from seed to seed."""

import torch

from marl.train.seeding import derive_seed
from tests.learning.lq_team import NOISE, LqTeam

KEEP = {"controller_0": (0.1,), "controller_1": (0.1, 0.0)}


class LqClouds(LqTeam):
    """Each copy draws for itself: its weather does not depend on how many there are."""

    def reset(self, seed=None):
        if seed is not None:
            seeds = (derive_seed(seed, "cloud", i) for i in range(self.num_envs))
            self.generators = [torch.Generator().manual_seed(one) for one in seeds]
        drawn = [torch.randn(1 + self.steps, generator=one) for one in self.generators]
        self.x, self.w = torch.stack(drawn, 1).tensor_split([1])
        self.x, self.w, self.t = self.x[0], self.w * NOISE, 0
        return self.obs()


class LqWorld:
    is_synthetic = True

    def make_env(self, scenario, split):
        return lambda num_envs, seed: LqClouds(num_envs, seed, steps=12)

    def physical(self, actions):
        return {f"{agent}_u": float(torch.as_tensor(v)[0]) for agent, v in actions.items()}
