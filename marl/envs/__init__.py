"""Faces of the simulated cloud: batched (`make`, `DiscreteEnv`), PettingZoo, Gymnasium.

Importing this registers `stratoform/Provisioning-v0` with Gymnasium; PettingZoo is only imported by
`marl.envs.parallel`. docs/environments.md describes all of them.
"""

import gymnasium

from marl.envs.batched import BatchedEnv, Step
from marl.envs.discrete import DiscreteEnv
from marl.envs.registry import ENVIRONMENTS, make

GYMNASIUM_ID = "stratoform/Provisioning-v0"

if GYMNASIUM_ID not in gymnasium.registry:
    gymnasium.register(GYMNASIUM_ID, entry_point="marl.envs.single:ProvisioningEnv")

__all__ = ["ENVIRONMENTS", "GYMNASIUM_ID", "BatchedEnv", "DiscreteEnv", "Step", "make"]
