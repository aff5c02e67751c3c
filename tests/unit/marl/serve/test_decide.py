"""What a decider refuses: other layouts, broken observations, files export did not write."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from marl.serve.decide import Decider
from marl.serve.export import export_policy
from marl.train.policy_file import HEADER, PolicyFileError
from tests.unit.marl.serve.policies import AGENTS, OBS, policy


@pytest.fixture
def path(tmp_path):
    export_policy(policy(), tmp_path / "policy.onnx")
    return tmp_path / "policy.onnx"


def observations(rows=1):
    return {agent: np.ones((rows, size)) for agent, size in zip(AGENTS, OBS, strict=True)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"store": np.ones((1, 4))}, r"store: expected \(1, 5\); got \(1, 4\)"),
        ({"store": np.ones((1, 1))}, r"store: expected \(1, 5\); got \(1, 1\)"),  # no broadcasting
        ({"store": np.ones((2, 5))}, r"store: expected \(1, 5\); got \(2, 5\)"),
        ({"store": np.ones(5)}, r"store: expected \(1, 5\); got \(5,\)"),
        ({"other": np.ones((1, 5))}, "expected the agents"),
        ({"store": np.array([[1, 2, np.nan, 4, 5]])}, "not a number .* store, field c"),
    ],
)
def test_observations_that_do_not_fit_are_refused(path, change, message):
    with pytest.raises(ValueError, match=message):
        Decider(path).decide({**observations(), **change})


def test_a_missing_agent_is_refused(path):
    with pytest.raises(ValueError, match="expected the agents"):
        Decider(path).decide({"web": np.ones((1, 3))})
    with pytest.raises(ValueError, match=r"store: expected \(1, 5\); got None"):
        Decider(path).decide({"web": np.ones((1, 3)), "shop": np.ones((1, 5))})


def test_a_world_of_other_fields_or_knobs_is_refused(path):
    decider = Decider(path)
    fields, knobs = decider.card.observation_fields, decider.card.knobs
    decider.require(fields, knobs)
    with pytest.raises(ValueError, match=r"observation fields .* of web; this world has"):
        decider.require({**fields, "web": ("a", "c", "b")}, knobs)
    with pytest.raises(ValueError, match=r"knobs .* of store; this world has"):
        decider.require(fields, {**knobs, "store": ("iops", "size")})
    with pytest.raises(ValueError, match="decides for the agents web, store"):
        decider.require(fields, {"web": knobs["web"]})


def rewritten(path, change):
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def other_operator(model):
    model.graph.node[-1].op_type = "Xor"


def other_domain(model):
    model.graph.node[-1].domain = "com.example"


def external(model):
    constant = model.graph.initializer[3]
    constant.data_location = TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="/etc/hostname")


def function(model):
    model.functions.append(
        helper.make_function("d", "f", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [])
    )


def not_finite(model):
    model.graph.initializer[5].raw_data = np.full(
        tuple(model.graph.initializer[5].dims), np.inf, np.float32
    ).tobytes()


def cut(model):
    model.graph.initializer[5].raw_data = model.graph.initializer[5].raw_data[:-4]


def dangling(model):
    model.graph.node[0].input[0] = "nowhere"


def card(**changes):
    def change(model):
        (prop,) = [prop for prop in model.metadata_props if prop.key == HEADER]
        prop.value = policy().card.model_copy(update=changes).model_dump_json()

    return change


def no_card(model):
    del model.metadata_props[:]


def broken_card(model):
    model.metadata_props[0].value = "[1]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_operator, "no exported policy: ai.onnx::Xor"),
        (other_domain, "no exported policy: com.example::Clip"),
        (external, "refers to another file"),
        (function, "functions"),
        (not_finite, "not finite: constant_5"),
        (cut, "constant_5 is damaged"),
        (dangling, "no runnable model"),
        (no_card, "no policy card"),
        (broken_card, "policy card is damaged"),
        (card(format=99), "policy format 99"),
        (card(observation_fields={"web": ("a",), "store": ("b",)}), "the card says observations"),
        (card(knobs={"web": ("a",), "store": ("b",)}), "the card says actions"),
        (card(observation_fields={"web": ("a",)}), "policy card is damaged: 'store'"),
    ],
)
def test_files_that_export_did_not_write_are_refused(path, change, message):
    with pytest.raises(PolicyFileError, match=message):
        Decider(rewritten(path, change))


def test_cut_empty_and_absent_files_are_refused(path, tmp_path):
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(PolicyFileError):
            Decider(path)
    with pytest.raises(FileNotFoundError, match="no exported policy"):
        Decider(tmp_path / "absent.onnx")
