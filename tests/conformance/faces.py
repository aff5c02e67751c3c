"""What the conformance tests of the faces share."""

import warnings

import numpy as np
import pytest
import torch

from marl.cloud.actions import SIZES
from marl.cloud.types import SERVICES
from marl.envs import make
from marl.envs.discrete import DiscreteEnv

FACES = ("continuous", "grid", "moves")


@pytest.fixture(autouse=True)
def strict():
    """One thread, and every warning is an error."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="session")
def reference():
    """The toy's scale, measured once."""
    return make().reference


def batch_of(face, **arguments):
    """The batched face of a kind of actions."""
    env = make(**arguments)
    return env if face == "continuous" else DiscreteEnv(env, face)


def draw(face, rng, *batch):
    """Agent to random actions that ignore masks, (*batch, ...)."""
    actions = {}
    for agent, size in zip(SERVICES, SIZES, strict=True):
        if face == "continuous":
            actions[agent] = rng.uniform(-1.2, 1.2, (*batch, size)).astype(np.float32)
        elif face == "grid":
            actions[agent] = rng.integers(0, 5, (*batch, size))
        else:
            actions[agent] = rng.integers(0, 1 + 2 * size, batch)
    return actions


def joined(face, actions):
    """One cloud's actions as the Gymnasium face takes them."""
    parts = [np.atleast_1d(actions[agent]) for agent in SERVICES]
    return np.concatenate(parts)


def tensors(actions):
    """The same actions as tensors."""
    return {agent: torch.as_tensor(one) for agent, one in actions.items()}
