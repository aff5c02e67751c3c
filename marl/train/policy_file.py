"""A trained policy as one file: weights as safetensors, everything else as JSON in its header.

Reading it executes nothing from the file and needs no training state. The card says what each
input and output means, so a policy is never fed another environment's observations unnoticed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, safe_open, save_file

from marl.algos.base import TeamSpec
from marl.files import staged
from marl.frozen import Frozen
from marl.nets.actor import TeamActor
from marl.nets.utilities import TeamUtility
from marl.train.moves import Moves, moves_spec
from marl.train.players import ActorPlayer, MovesPlayer, Player

FORMAT = 1
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
        observation_fields: agent → names of its inputs, in order.
        knobs: agent → names of its actions, in order.
        baseline: agent → the baseline action it departs from, in [-1, 1].
        residual_bound: how far it may depart, in action units.
        levels: settings of each knob that moves reach; 0 on the continuous face.
        hold_steps: steps each decision is held.
        hidden: widths of the hidden layers.
        has_layer_norm: whether hidden layers are normalised.
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
    observation_fields: dict[str, tuple[str, ...]]
    knobs: dict[str, tuple[str, ...]]
    baseline: dict[str, tuple[float, ...]]
    residual_bound: float = Field(gt=0)
    levels: int = Field(default=0, ge=0)
    hold_steps: int = Field(ge=1)
    hidden: tuple[int, ...]
    has_layer_norm: bool
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
        return TeamSpec(
            agents=self.agents,
            obs_sizes=tuple(len(self.observation_fields[agent]) for agent in self.agents),
            action_sizes=tuple(len(self.knobs[agent]) for agent in self.agents),
            state_size=0,
        )


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
        raise PolicyFileError(f"{path} has policy format {found}; this version reads {FORMAT}")
    try:
        return PolicyCard.model_validate(content)
    except ValidationError as error:
        raise PolicyFileError(f"{path}: its policy card is damaged: {error}") from error


def _refuse_other_sizes(card: PolicyCard, tensors: dict[str, torch.Tensor]) -> None:
    """Compare the card's sizes with the weights before anything of the card's size is allocated."""
    spec = _inputs(card)
    widths = (max(spec.obs_sizes), *card.hidden, max(spec.action_sizes))
    for layer, (width_in, width_out) in enumerate(pairwise(widths)):
        shape = tuple(tensors[f"mlp.weights.{layer}"].shape)
        if shape != (len(card.agents), width_in, width_out):
            raise ValueError(f"layer {layer} is {shape}, the card says {width_in} to {width_out}")


def _inputs(card: PolicyCard) -> TeamSpec:
    """Sizes of the networks' inputs and outputs."""
    return moves_spec(card.spec()) if card.face == "moves" else card.spec()


def _build(card: PolicyCard) -> TeamActor | TeamUtility:
    spec = _inputs(card)
    if card.face == "moves":
        return TeamUtility(
            spec.obs_sizes,
            spec.action_sizes,
            hidden=card.hidden,
            generator=torch.Generator(),  # every weight is then read from the file
            has_layer_norm=card.has_layer_norm,
        )
    return TeamActor(
        spec.obs_sizes,
        spec.pack_vector(card.baseline),
        bound=card.residual_bound,
        hidden=card.hidden,
        generator=torch.Generator(),  # every weight is then read from the file
        has_layer_norm=card.has_layer_norm,
    )


def _refuse_not_finite(tensors: dict[str, torch.Tensor], path: Path) -> None:
    bad = sorted(name for name, tensor in tensors.items() if not torch.isfinite(tensor).all())
    if bad:
        raise PolicyFileError(f"{path}: not finite: {', '.join(bad)}")
