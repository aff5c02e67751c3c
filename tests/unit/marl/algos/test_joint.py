"""One controller sees and moves what the team's members do, by name."""

import pytest
import torch

from marl.algos.base import TeamSpec
from marl.algos.joint import joint_spec

TEAM = TeamSpec(("a", "b"), (3, 2), (1, 2), 7)
OBS = {"a": torch.tensor([[1.0, 2, 3]]), "b": torch.tensor([[4.0, 5]])}


def test_sizes_are_those_of_the_team_side_by_side():
    joint = joint_spec(TEAM)
    assert (joint.obs_sizes, joint.action_sizes, joint.state_size) == ((5,), (3,), 7)
    assert joint.members is TEAM
    assert TEAM.members is TEAM
    assert joint.action_mask().tolist() == [[1, 1, 1]]


def test_packing_joins_members_in_their_order_and_unpacking_parts_them():
    joint = joint_spec(TEAM)
    assert joint.pack_obs(dict(reversed(OBS.items()))).tolist() == [[[1, 2, 3, 4, 5]]]
    actions = {"a": torch.tensor([[0.1]]), "b": torch.tensor([[0.2, 0.3]])}
    back = joint.unpack_actions(joint.pack_actions(actions))
    assert {agent: part.tolist() for agent, part in back.items()} == {
        agent: part.tolist() for agent, part in actions.items()
    }
    packed = joint.pack_vector({"a": [0.5], "b": [-0.5, 1.0]})
    assert packed.tolist() == [[0.5, -0.5, 1.0]]


def test_one_controller_is_rewarded_with_the_members_mean():
    rewards = {"b": torch.tensor([3.0, 0.0]), "a": torch.tensor([1.0, -2.0])}
    assert TEAM.pack_rewards(rewards).tolist() == [[1, 3], [-2, 0]]
    assert joint_spec(TEAM).pack_rewards(rewards).tolist() == [[2], [-1]]


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match=r"b: expected \(B, 2\); got \(1, 3\)"):
        joint_spec(TEAM).pack_obs({"a": OBS["a"], "b": OBS["a"]})
    with pytest.raises(ValueError, match=r"expected the agents \('a', 'b'\); got \('a',\)"):
        joint_spec(TEAM).pack_obs({"a": OBS["a"]})
