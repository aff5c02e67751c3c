"""A policy file as an ONNX model: the same decisions without torch, the card in its metadata.

Run: `python -m marl.serve.export policy.safetensors policy.onnx`

The graph is written node by node, so that it holds what the actors compute and nothing else, and
the same policy gives the same bytes. All agents are one stack: at batch 1 a node costs more than
its arithmetic. What is written is played against torch before it gets its name. Deciding with the
result is `marl.serve.decide`.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from marl.files import staged
from marl.nets.actor import TeamActor
from marl.nets.mlp import StackedMLP
from marl.nets.network import TeamNet
from marl.nets.norm import RunningNorm
from marl.serve.decide import INPUT, OPSET, OUTPUT, Decider
from marl.train.policy_file import HEADER, PolicyFileError, StoredPolicy, load_policy_file

# Largest difference to torch that is let through, in action units (the range is 2).
TOLERANCE: Final = 1e-5
_IR_VERSION: Final = 10  # the file format that goes with the operator set
_LAYER_NORM_EPSILON: Final = 1e-5  # torch's own, which the networks use


def export_policy(stored: StoredPolicy, path: Path) -> float:
    """Write `stored` as an ONNX model, atomically.

    Returns:
        The largest difference to torch's actions found, in action units.

    Raises:
        PolicyFileError: actors of a kind that is not exported, or whose model does not decide as
            torch does. Nothing is written then.
    """
    model = onnx_model(stored)
    with staged(path) as aside:
        aside.write_bytes(model.SerializeToString(deterministic=True))
        difference = largest_difference(stored, Decider(aside))
        if not difference <= TOLERANCE:
            raise PolicyFileError(
                f"the exported model differs from torch by {difference:.1e}, more than "
                f"{TOLERANCE:.0e}: {path} is not written"
            )
    return difference


def onnx_model(stored: StoredPolicy) -> onnx.ModelProto:
    """(N, B, F) packed observations → (N, B, A) actions; N agents, any B.

    Raises:
        PolicyFileError: actors of a kind that is not exported.
    """
    actor = stored.actor
    if stored.card.is_joint:
        raise PolicyFileError(
            f"{stored.card.learner} is one controller for all agents; only policies whose agents "
            "decide by themselves are exported"
        )
    _refuse_other_kinds(actor)
    agents, features = actor.norm.mean.shape
    knobs = actor.baseline.shape[1]
    graph = _Graph()
    mean, std = actor.norm.mean.to(torch.float32), actor.norm.std.to(torch.float32)
    # The same three operations as RunningNorm's, so that large values cancel to the same bits.
    x = graph.add("Sub", INPUT, graph.constant(mean[:, None]))
    x = graph.add("Div", x, graph.constant(std[:, None]))
    clip = torch.tensor(actor.norm.clip)
    x = graph.add("Clip", x, graph.constant(-clip), graph.constant(clip))
    x = graph.add("Tanh", _mlp(graph, actor.net.mlp, x))
    zero = graph.constant(torch.zeros(()))
    up, down = actor.gain * actor.up, actor.gain * actor.down
    above = graph.add("Mul", graph.add("Max", x, zero), graph.constant(up[:, None]))
    below = graph.add("Mul", graph.add("Min", x, zero), graph.constant(down[:, None]))
    start = graph.constant((actor.baseline + actor.shift)[:, None])
    moved = graph.add("Add", graph.add("Add", start, above), below)
    one = torch.ones(())
    graph.add("Clip", moved, graph.constant(-one), graph.constant(one), output=OUTPUT)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "policy",
            [_value(INPUT, agents, features)],
            [_value(OUTPUT, agents, knobs)],
            graph.constants,
        ),
        producer_name="stratoform",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
    )
    helper.set_model_props(model, {HEADER: stored.card.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


@torch.no_grad()
def largest_difference(stored: StoredPolicy, decider: Decider, rows: int = 256) -> float:
    """Between torch's actions and the model's, over observations as trained on, and extreme ones.

    Rows spread around the normaliser's mean by up to 20 of its deviations, so that most of them
    reach its clip somewhere; the last ones are zero, and so large that every field does.
    """
    norm, spec = stored.actor.norm, stored.card.spec()
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-2, 1.3, rows)[:, None, None]
    noise = torch.randn((rows, *norm.mean.shape), generator=generator)
    obs_BNF = norm.mean.to(torch.float32) + noise * spread * norm.std.to(torch.float32)  # noqa: N806
    ends = torch.tensor([0.0, 1e30, -1e30])[:, None, None].expand(-1, *norm.mean.shape)
    obs_BNF = torch.cat([obs_BNF, ends])  # noqa: N806 - dimension letters, marl/algos/base.py
    own = {
        agent: obs_BNF[:, i, :size]
        for i, (agent, size) in enumerate(zip(spec.agents, spec.obs_sizes, strict=True))
    }
    expected = spec.unpack_actions(stored.actor.action(stored.actor(spec.pack_obs(own))))
    found = decider.decide({agent: rows.numpy() for agent, rows in own.items()})
    return max(float(np.abs(found[a] - expected[a].numpy()).max()) for a in spec.agents)


@dataclass
class _Graph:
    """Nodes and constants in the order they are made; names are their numbers."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: Tensor) -> str:
        """A constant's name; float32."""
        name = f"constant_{len(self.constants)}"
        array = value.detach().to(torch.float32).contiguous().numpy()
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node's output's name."""
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output


def _mlp(graph: _Graph, mlp: StackedMLP, x: str) -> str:
    """The nodes of a stack of MLPs; the name of its output."""
    last = len(mlp.weights) - 1
    for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
        is_normalised = mlp.has_layer_norm and layer < last
        if is_normalised:
            # Layer norm takes the mean out of its input. Taken out of the weights beforehand, none
            # is left there, and a runtime that forms E[x²] − E[x]² has nothing to cancel.
            weight, bias = _centred(weight), _centred(bias)
        x = graph.add("MatMul", x, graph.constant(weight))
        x = graph.add("Add", x, graph.constant(bias))
        if is_normalised:
            gain = graph.constant(torch.ones(weight.shape[-1]))
            x = graph.add("LayerNormalization", x, gain, axis=-1, epsilon=_LAYER_NORM_EPSILON)
        if layer < last:
            x = graph.add("Relu", x)
    return x


def _centred(weight: Tensor) -> Tensor:
    wide = weight.detach().to(torch.float64)
    return wide - wide.mean(-1, keepdim=True)


def _value(name: str, agents: int, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [agents, "B", width])


def _refuse_other_kinds(actor: TeamActor) -> None:
    """Only what the nodes above say in full."""
    kinds = {name: type(module) for name, module in actor.named_children()}
    is_known = type(actor) is TeamActor and kinds == {"net": TeamNet, "norm": RunningNorm}
    if not is_known or actor.net.config.kind != "mlp":
        found = ", ".join(f"{name}: {kind.__name__}" for name, kind in kinds.items())
        raise PolicyFileError(
            "only feed-forward actors of net.kind 'mlp' are exported; this is a "
            f"{type(actor).__name__} of kind {actor.net.config.kind!r}, of {found}"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a trained policy as an ONNX model.")
    parser.add_argument("policy", type=Path, help="a policy file, policy.safetensors")
    parser.add_argument("model", type=Path, help="where to write the model, policy.onnx")
    arguments = parser.parse_args()
    try:
        difference = export_policy(load_policy_file(arguments.policy), arguments.model)
    except (PolicyFileError, FileNotFoundError) as error:
        sys.exit(str(error))
    sys.stdout.write(f"{arguments.model}: differs from torch by at most {difference:.1e}\n")


if __name__ == "__main__":
    main()
