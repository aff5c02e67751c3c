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
    for agent in SERVICES:
        table = actions.knobs(agent)
        for end, bounds in ((-1.0, [k.low for k in table]), (1.0, [k.high for k in table])):
            edge = torch.full((len(table),), end)
            assert actions.decode(agent, edge).tolist() == pytest.approx(bounds)
            assert actions.decode(agent, edge * 3).tolist() == pytest.approx(bounds)


def test_rows_are_the_agents_knobs_in_order():
    assert sum(actions.SIZES) == actions.WIDTH == len(actions.ROWS)
    assert list(actions.ROWS.values()) == list(range(actions.WIDTH))
    names = [f"{agent}_{knob.name}" for agent in SERVICES for knob in actions.knobs(agent)]
    assert list(actions.ROWS) == names
    assert actions.row("storage", "target_utilisation") == actions.SIZES[0]
    for agent in SERVICES:
        for knob in actions.knobs(agent):
            row = actions.row(agent, knob.name)
            assert (float(actions.LOW[row]), float(actions.HIGH[row])) == pytest.approx(
                (knob.low, knob.high)
            )


def test_every_knob_names_its_google_operation_and_terraform_attribute():
    apis = ("compute", "dns", "sqladmin", "storage", "redis")
    for agent in SERVICES:
        for knob in actions.knobs(agent):
            assert knob.operation.split(".")[0] in apis
            assert knob.terraform.startswith("google_")
            assert knob.low < knob.high
            assert knob.unit


def test_gathered_rows_are_the_agents_actions():
    given_actions = {
        agent: torch.arange(2 * size).view(2, size) / 100 + i / 5
        for i, (agent, size) in enumerate(zip(SERVICES, actions.SIZES, strict=True))
    }
    joined = actions.gather(given_actions, 2, CPU)
    assert joined.shape == (actions.WIDTH, 2)
    for agent in SERVICES:
        for i, knob in enumerate(actions.knobs(agent)):
            row = joined[actions.row(agent, knob.name)]
            assert row.tolist() == given_actions[agent][:, i].tolist()


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(ValueError, match="no agent 'cook'"):
        actions.knobs("cook")
    with pytest.raises(ValueError, match="no knob 'salt'"):
        actions.row("compute", "salt")
    with pytest.raises(ValueError, match="needs"):
        actions.encode("network", {"target_utilisation": 0.5})
    good = {knob.name: knob.low for knob in actions.knobs("network")}
    assert actions.encode("network", good).tolist() == [-1.0] * len(good)
    with pytest.raises(ValueError, match=r"network.target_utilisation must be in \[0.3, 0.95\]"):
        actions.encode("network", good | {"target_utilisation": 1.2})
    with pytest.raises(ValueError, match="scale_in_window"):
        actions.encode("network", good | {"scale_in_window": float("nan")})


def test_out_of_range_and_infinite_actions_are_clipped():
    given_actions = engineer_actions(2)
    given_actions["compute"] = torch.zeros(2, actions.SIZES[0])
    given_actions["compute"][:, :4] = torch.tensor([9.0, -9.0, float("inf"), -float("inf")])
    joined = actions.gather(given_actions, 2, CPU)
    assert joined[:4, 0].tolist() == [1.0, -1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compute": torch.zeros(2, 3)}, r"'compute' must be \(2, 11\) \[target_utilisation, "),
        ({"compute": torch.zeros(11)}, r"'compute' must be \(2, 11\)"),
        ({"compute": torch.full((2, 11), float("nan"))}, r"not-a-number.*compute"),
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


def test_settled_knobs_are_whole_and_the_exact_clouds_cannot_tell():
    kept = (0.1, -0.2, 0.3)
    assert actions.settled("database", (*kept, -0.694, -0.425, 0.5, 0.6)) == pytest.approx(
        (*kept, -1.0, -1.0, 0.5, 0.6)
    )
    assert actions.settled("database", (*kept, 0.1, 0.2, 0.5, 0.6))[3:5] == pytest.approx(
        (1 / 3, 1.0)  # two replicas, a standby
    )
    compute = tuple(torch.linspace(-1, 1, 11).tolist())
    assert actions.settled("compute", compute) == compute
