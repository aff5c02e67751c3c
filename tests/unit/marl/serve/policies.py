"""A policy of two unequal agents, as training would leave it, with weights of ordinary size."""

import torch

from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.train.policy_file import PolicyCard, StoredPolicy

AGENTS = ("web", "store")
OBS, KNOBS = (3, 5), (2, 1)


def policy(
    *, kind="mlp", has_layer_norm=True, hidden=(16, 16), seed=0, shift=0.0, is_calibrated=False
):
    """`shift` moves what the normaliser has seen away from zero, in its own deviations."""
    generator = torch.Generator().manual_seed(seed)
    net = NetConfig(kind=kind, hidden=hidden, has_layer_norm=has_layer_norm)
    baseline = torch.tensor([[0.9, -0.2], [0.0, 0.0]])
    actor = TeamActor(
        OBS,
        baseline,
        bound=0.4,
        net=net,
        generator=generator,
        last_scale=1.0,
    )
    if is_calibrated:  # beyond the end of a knob's range, too
        actor.gain.uniform_(0.0, 2.0, generator=generator)
        actor.shift.uniform_(-0.2, 0.2, generator=generator)
    seen = (torch.randn((500, 2, 5), generator=generator) + shift) * torch.tensor(
        [1e-2, 1, 1, 9, 1e4]
    )
    seen[:, 0, 3:] = 0  # padding
    actor.norm.update(seen)
    card = PolicyCard(
        learner="maddpg",
        agents=AGENTS,
        observation_fields={"web": ("a", "b", "c"), "store": ("a", "b", "c", "d", "e")},
        knobs={"web": ("size", "spread"), "store": ("iops",)},
        baseline={"web": (0.9, -0.2), "store": (0.0,)},
        residual_bound=0.4,
        hold_steps=12,
        net=net,
        training={},
        training_seed=seed,
        env_steps=1000,
        fingerprint="f" * 64,
        versions={"torch": torch.__version__},
    )
    return StoredPolicy(card, actor.eval().requires_grad_(False))
