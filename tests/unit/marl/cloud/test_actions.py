"""Knobs: the table, the way there and back, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marl.cloud import actions
from marl.cloud.types import SERVICES
from tests.unit.marl.cloud.helpers import engineer_actions

CPU = torch.device("cpu")


@pytest.mark.parametrize("agent", SERVICES)
def test_encode_and_decode_are_inverse(agent):
    table = actions.knobs(agent)

    @given(st.lists(st.floats(0, 1), min_size=len(table), max_size=len(table)))
    def check(shares):
        values = {k.name: k.low + s * (k.high - k.low) for k, s in zip(table, shares, strict=True)}
        back = actions.decode(agent, actions.encode(agent, values))
        assert back.tolist() == pytest.approx(list(values.values()), abs=1e-4)

    check()


def test_ends_of_the_range_are_low_and_high():
    low = actions.decode("compute", torch.full((4,), -1.0)).tolist()
    high = actions.decode("compute", torch.full((4,), 1.0)).tolist()
    assert low == pytest.approx([k.low for k in actions.knobs("compute")])
    assert high == pytest.approx([k.high for k in actions.knobs("compute")])


def test_every_knob_names_its_google_operation():
    for agent in SERVICES:
        for knob in actions.knobs(agent):
            assert knob.operation.split(".")[0] in ("compute", "sqladmin")
            assert knob.low < knob.high


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(ValueError, match="no agent 'cook'"):
        actions.knobs("cook")
    with pytest.raises(ValueError, match="no knob 'salt'"):
        actions.column("compute", "salt")
    with pytest.raises(ValueError, match="needs"):
        actions.encode("network", {"target_utilisation": 0.5})
    good = {"target_utilisation": 0.5, "floor_share": 0.0, "scale_in_window": 10.0}
    with pytest.raises(ValueError, match=r"network.target_utilisation must be in \[0.3, 0.95\]"):
        actions.encode("network", good | {"target_utilisation": 1.2})
    with pytest.raises(ValueError, match="scale_in_window"):
        actions.encode("network", good | {"scale_in_window": float("nan")})


def test_out_of_range_and_infinite_actions_are_clipped():
    given_actions = engineer_actions(2)
    given_actions["compute"] = torch.tensor([[9.0, -9.0, float("inf"), -float("inf")]] * 2)
    joined = actions.gather(given_actions, 2, CPU)
    assert joined[0, :4].tolist() == [1.0, -1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compute": torch.zeros(2, 3)}, r"'compute' must be \(2, 4\)"),
        ({"compute": torch.zeros(4)}, r"'compute' must be \(2, 4\)"),
        ({"compute": torch.full((2, 4), float("nan"))}, r"not-a-number.*compute"),
        ({"cook": torch.zeros(2, 4)}, "unknown .'cook'."),
    ],
)
def test_bad_actions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        actions.gather(engineer_actions(2) | change, 2, CPU)


def test_a_missing_agent_is_refused():
    given_actions = engineer_actions(2)
    del given_actions["storage"]
    with pytest.raises(ValueError, match=r"missing .'storage'."):
        actions.gather(given_actions, 2, CPU)
