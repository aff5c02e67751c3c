"""A trained policy as one file: weights as safetensors, everything else as JSON in its header.

Reading it executes nothing from the file and needs no training state. The card says what each
input and output means, so a policy is never fed another environment's observations unnoticed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, safe_open, save_file
from torch import Tensor

from marl.algos.base import TeamSpec
from marl.algos.joint import joint_spec
from marl.files import staged
from marl.frozen import Frozen
from marl.nets.actor import TeamActor
from marl.nets.config import NetConfig
from marl.nets.sequence import find_sequence
from marl.nets.utilities import TeamUtility
from marl.train.moves import Moves, moves_spec
from marl.train.players import ActorPlayer, MovesPlayer, Player

FORMAT = 3  # 2: actors could not be calibrated; 1: networks were MLPs, their sizes in the card
HEADER = "stratoform_policy"  # where a file's metadata hold the card


class PolicyFileError(ValueError):
    """A file that is no usable policy; says why and what to do."""


class PolicyCard(Frozen):
    """What a policy is, sees and does.

    Attributes:
        format: version of this card.
        learner: algorithm that made it.
        face: "continuous": its networks are residual actors; "moves": utilities of moves of knobs
            between levels (`marl.train.moves`).
        agents: names, in stacking order.
        is_joint: whether one controller acts for all of them.
        observation_fields: agent → names of its inputs, in order.
        knobs: agent → names of its actions, in order.
        baseline: agent → the baseline action it departs from, in [-1, 1].
        residual_bound: how far it may depart, in action units.
        levels: settings of each knob that moves reach; 0 on the continuous face.
        hold_steps: steps each decision is held.
        net: kind and sizes of the networks.
        training: the training configuration, as JSON.
        training_seed: its seed.
        env_steps: steps of single clouds seen when the policy was taken.
        fingerprint: of the training run's configuration and inputs.
        versions: of the libraries that made it.
    """

    format: int = FORMAT
    learner: str
    face: Literal["continuous", "moves"] = "continuous"
    agents: tuple[str, ...]
    is_joint: bool = False
    observation_fields: dict[str, tuple[str, ...]]
    knobs: dict[str, tuple[str, ...]]
    baseline: dict[str, tuple[float, ...]]
    residual_bound: float = Field(gt=0)
    levels: int = Field(default=0, ge=0)
    hold_steps: int = Field(ge=1)
    net: NetConfig
    training: dict[str, Any]
    training_seed: int
    env_steps: int = Field(ge=0)
    fingerprint: str
    versions: dict[str, str]

    @model_validator(mode="after")
    def _levels_belong_to_moves(self) -> "PolicyCard":
        if (self.face == "moves") != (self.levels > 0):
            raise ValueError(f"the {self.face} face with {self.levels} levels")
        return self

    def spec(self) -> TeamSpec:
        """Sizes of the world (the state, which only critics see, has none)."""
        team = TeamSpec(
            agents=self.agents,
            obs_sizes=tuple(len(self.observation_fields[agent]) for agent in self.agents),
            action_sizes=tuple(len(self.knobs[agent]) for agent in self.agents),
            state_size=0,
            layouts=tuple(find_sequence(self.observation_fields[agent]) for agent in self.agents),
        )
        return joint_spec(team) if self.is_joint else team


@dataclass(frozen=True)
class StoredPolicy:
    """A policy read back: its card and its networks, ready to act."""

    card: PolicyCard
    network: TeamActor | TeamUtility

    @property
    def actor(self) -> TeamActor:
        """The networks of a policy on the continuous face.

        Raises:
            PolicyFileError: the policy chooses among moves.
        """
        if not isinstance(self.network, TeamActor):
            raise PolicyFileError(f"{self.card.learner} has no actors: its face is moves")
        return self.network

    def player(self) -> Player:
        """A player of this policy, with a memory of its own."""
        card, spec, network = self.card, self.card.spec(), self.network
        if isinstance(network, TeamActor):
            return ActorPlayer(spec, network)
        device = network.norm.mean.device
        moves = Moves(spec, card.baseline, card.levels, card.residual_bound, device)
        return MovesPlayer(moves, network)

    def attention(self, obs: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """What each agent decides by: agent → name → (B,) weight, for observations (B, F_i).

        Names are observation fields or, of transformers, the list's slots ("request3"); agents
        without a list have none. One controller sees "<agent>.<field>" of all. Weights are means
        over heads (`TeamActor.attention`).

        Raises:
            TypeError: the networks have no attention.
        """
        spec = self.card.spec()
        weights_NBF = self.actor.attention(spec.pack_obs(obs))  # noqa: N806 - as in base.py
        told: dict[str, dict[str, Tensor]] = {}
        fields: Mapping[str, Sequence[str]] = self.card.observation_fields
        if self.card.is_joint:
            joined = [f"{a}.{name}" for a in self.card.agents for name in fields[a]]
            fields = {spec.agents[0]: joined}
        layouts = spec.layouts or (None,) * len(spec.agents)
        for agent, layout, rows in zip(spec.agents, layouts, weights_NBF, strict=True):
            names = fields[agent]
            if self.card.net.kind == "transformer":
                names = layout.slots if layout else ()
            told[agent] = dict(zip(names, rows.unbind(1), strict=False))  # the rest is padding
        return told


def save_policy(path: Path, network: TeamActor | TeamUtility, card: PolicyCard) -> None:
    """Write a policy atomically. Same weights and card → same bytes."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    _refuse_not_finite(tensors, path)
    header = card.model_dump_json()
    with staged(path) as aside:
        save_file(tensors, aside, metadata={HEADER: header})


def load_policy_file(path: Path) -> StoredPolicy:
    """Read a policy.

    Raises:
        FileNotFoundError: no such file.
        PolicyFileError: not a policy, or a damaged or unknown one. Nothing in it was executed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no policy file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise PolicyFileError(
            f"{path} is not a safetensors file ({error}); policies are written by training as "
            "policy.safetensors, and pickled weights (.pt, .pkl) are refused because reading them "
            "could run code"
        ) from error
    card = read_card(path, metadata)
    try:
        _refuse_other_sizes(card, tensors)
        network = _build(card)
        network.load_state_dict(tensors)
        stored = StoredPolicy(card, network.eval().requires_grad_(False))
        stored.player()  # refuses a centre or levels that cannot be
    except (RuntimeError, KeyError, AttributeError, ValueError) as error:
        raise PolicyFileError(f"{path}: card and weights do not fit together: {error}") from error
    _refuse_not_finite(tensors, path)
    return stored


def read_card(path: Path, metadata: Mapping[str, str]) -> PolicyCard:
    """The card in the metadata of the policy file at `path`.

    Raises:
        PolicyFileError: there is none, or one of another format.
    """
    if HEADER not in metadata:
        raise PolicyFileError(f"{path} holds no policy card: not made by training")
    try:
        content = json.loads(metadata[HEADER])
        found = content.get("format")
    except (ValueError, AttributeError) as error:
        raise PolicyFileError(f"{path}: its policy card is damaged: {error}") from error
    if found != FORMAT:
        raise PolicyFileError(
            f"{path} has policy format {found}; this version reads {FORMAT}: train it again"
        )
    try:
        return PolicyCard.model_validate(content)
    except ValidationError as error:
        raise PolicyFileError(f"{path}: its policy card is damaged: {error}") from error


def _refuse_other_sizes(card: PolicyCard, tensors: dict[str, Tensor]) -> None:
    """Compare the card's sizes with the weights before anything of the card's size is allocated."""
    expected = _build(card, "meta").state_dict()  # shapes without memory
    for name in sorted(expected.keys() | tensors.keys()):
        shapes = [tuple(x[name].shape) if name in x else "missing" for x in (tensors, expected)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} is {shapes[0]} in the file; by its card it is {shapes[1]}")


def _build(card: PolicyCard, device: str = "cpu") -> TeamActor | TeamUtility:
    """The card's networks, with weights that are to be read from the file."""
    spec, baseline = card.spec(), card.spec().pack_vector(card.baseline)
    with torch.device(device):
        if card.face == "moves":
            seen = moves_spec(spec)
            return TeamUtility(
                seen.obs_sizes,
                seen.action_sizes,
                net=card.net,
                generator=torch.Generator("cpu"),
                layouts=seen.layouts,
            )
        return TeamActor(
            spec.obs_sizes,
            baseline,
            bound=card.residual_bound,
            net=card.net,
            generator=torch.Generator("cpu"),
            layouts=spec.layouts,
        )


def _refuse_not_finite(tensors: dict[str, Tensor], path: Path) -> None:
    bad = sorted(name for name, tensor in tensors.items() if not torch.isfinite(tensor).all())
    if bad:
        raise PolicyFileError(f"{path}: not finite: {', '.join(bad)}")
