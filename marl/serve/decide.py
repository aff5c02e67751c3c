"""Decisions from an exported policy, through ONNX Runtime on one thread instead of torch.

How such a file is made is `marl.serve.export`. A file is looked through before the runtime sees
it: operators that export writes, no reference to other files, sizes as its card says.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from marl.train.policy_file import PolicyFileError, read_card

INPUT: Final = "observations"  # (N, B, F), agents in the card's order, padded with zeros
OUTPUT: Final = "actions"  # (N, B, A), padded likewise
OPSET: Final = 20
OPERATORS: Final = frozenset(
    {
        "Add",
        "Clip",
        "Div",
        "LayerNormalization",
        "MatMul",
        "Max",
        "Min",
        "Mul",
        "Relu",
        "Sub",
        "Tanh",
    }
)

Array = NDArray[np.float32]


class Decider:
    """An exported policy, ready to decide. Safe to share between threads; without memory.

    Args:
        path: a file of `marl.serve.export`.
        threads: of the runtime within one decision; small networks are fastest with one.

    Attributes:
        card: what the policy is, sees and does. A decision is meant to be held `card.hold_steps`.

    Raises:
        FileNotFoundError: no such file.
        PolicyFileError: not an exported policy, or a damaged one.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no exported policy at {path}")
        content = path.read_bytes()
        model = onnx.ModelProto()
        try:
            model.ParseFromString(content)
        except DecodeError as error:
            raise PolicyFileError(f"{path} is not an ONNX model ({error})") from error
        _refuse_foreign_graph(path, model)
        self.card = read_card(path, {prop.key: prop.value for prop in model.metadata_props})
        try:
            spec = self.card.spec()
            features, knobs = max(spec.obs_sizes), max(spec.action_sizes)
        except (KeyError, ValueError) as error:
            raise PolicyFileError(f"{path}: its policy card is damaged: {error}") from error
        agents = len(spec.agents)
        _refuse_other_sizes(path, model.graph.input, INPUT, (agents, features))
        _refuse_other_sizes(path, model.graph.output, OUTPUT, (agents, knobs))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common base of their own
            raise PolicyFileError(f"{path} is no runnable model: {error}") from error
        self._shape = (agents, features)
        self._reads = tuple(zip(range(agents), spec.agents, spec.obs_sizes, strict=True))
        self._writes = tuple(zip(range(agents), spec.agents, spec.action_sizes, strict=True))

    def require(
        self, observation_fields: Mapping[str, Sequence[str]], knobs: Mapping[str, Sequence[str]]
    ) -> None:
        """Refuse a world whose observations or knobs are not those the policy was trained on.

        Raises:
            ValueError: naming the first agent that differs, and how.
        """
        for what, known, found in (
            ("observation fields", self.card.observation_fields, observation_fields),
            ("knobs", self.card.knobs, knobs),
        ):
            if set(known) != set(found):
                raise ValueError(
                    f"the policy decides for the agents {', '.join(known)}; this world has the "
                    f"{what} of {', '.join(found)}"
                )
            for agent, names in known.items():
                if names != tuple(found[agent]):
                    raise ValueError(
                        f"the policy was trained with the {what} {names} of {agent}; this world "
                        f"has {tuple(found[agent])}: train it again"
                    )

    def decide(self, obs: Mapping[str, NDArray[np.floating]]) -> dict[str, Array]:
        """Actions in [-1, 1], agent → (B, A_i), for observations agent → (B, F_i).

        Raises:
            ValueError: another agent or width than the card's, or an observation that is not a
                number. Infinite ones are limited as in training.
        """
        if len(obs) != len(self._reads):
            raise ValueError(f"expected the agents {self.card.agents}; got {tuple(obs)}")
        rows = len(next(iter(obs.values())))
        packed = np.zeros((self._shape[0], rows, self._shape[1]), np.float32)
        for i, agent, size in self._reads:
            own = obs.get(agent)
            if own is None or own.shape != (rows, size):
                shape = None if own is None else own.shape
                raise ValueError(f"{agent}: expected ({rows}, {size}); got {shape}")
            packed[i, :, :size] = own
        if np.isnan(packed).any():
            raise ValueError(f"not a number in the observations of {self._nameless(packed)}")
        (actions,) = self._session.run([OUTPUT], {INPUT: packed})
        return {agent: actions[i, :, :size] for i, agent, size in self._writes}

    def _nameless(self, packed: Array) -> str:
        """The field that is not a number, by name."""
        i, _, column = (int(index) for index in np.argwhere(np.isnan(packed))[0])
        agent = self.card.agents[i]
        return f"{agent}, field {self.card.observation_fields[agent][column]}"


def _refuse_foreign_graph(path: Path, model: onnx.ModelProto) -> None:
    """Refuse what export does not write: other operators, subgraphs, functions, other files."""
    found = {f"{node.domain or 'ai.onnx'}::{node.op_type}" for node in model.graph.node}
    foreign = sorted(found - {f"ai.onnx::{name}" for name in OPERATORS})
    if foreign or model.functions or not model.graph.node:
        raise PolicyFileError(
            f"{path} is no exported policy: {', '.join(foreign) or 'no graph, or functions'}"
        )
    for constant in model.graph.initializer:
        if constant.data_location == TensorProto.EXTERNAL or constant.external_data:
            raise PolicyFileError(f"{path}: {constant.name} refers to another file")
        try:
            is_finite = bool(np.isfinite(numpy_helper.to_array(constant)).all())
        except (TypeError, ValueError) as error:
            raise PolicyFileError(f"{path}: {constant.name} is damaged: {error}") from error
        if not is_finite:
            raise PolicyFileError(f"{path}: not finite: {constant.name}")


def _refuse_other_sizes(
    path: Path, values: Sequence[onnx.ValueInfoProto], name: str, sizes: tuple[int, int]
) -> None:
    """The graph's only input (output) must be what the card says."""
    found = [
        (value.name, *(axis.dim_value for axis in value.type.tensor_type.shape.dim))
        for value in values
    ]
    if found != [(name, sizes[0], 0, sizes[1])]:  # 0: any batch
        raise PolicyFileError(
            f"{path}: the card says {name} of {sizes[0]} agents, {sizes[1]} wide; the model has "
            f"{found}"
        )
