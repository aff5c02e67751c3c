"""Masks of the batched face: when a knob can do nothing, and that it then does nothing."""

import pytest
import torch

from marl.cloud.types import POOLS
from marl.envs import make
from tests.unit.marl.cloud.helpers import engineer_actions
from tests.unit.marl.envs.test_batched import CALM


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_masks_close_the_database_while_its_tier_changes():
    env = make(num_envs=2, episode_steps=20, **CALM)
    env.reset(seed=0)
    assert (env.action_masks()["database"] == 1).all()
    env.step(engineer_actions(2, floor_share=1.5))
    masks = env.action_masks()
    pending = env.cloud_state.pending_pools[1:, POOLS.index("tier")].sum(0) > 0
    assert pending.any()
    closed = {"target_utilisation", "floor_share", "scale_in_window", "has_ha"}
    closed.add("storage_free_share")  # its disk is one more operation on the instance
    for row in range(2):
        expected = [int(not (pending[row] and n in closed)) for n in env.action_names["database"]]
        assert masks["database"][row].tolist() == expected
    assert (masks["network"] == 1).all()


def test_masks_close_commitments_between_reviews_and_hyperdisk_after_a_change():
    env = make(num_envs=1, episode_steps=144, commitment_review_h=6.0, hyperdisk_hours=4.0, **CALM)
    env.reset(seed=0)
    commitments = env.action_names["compute"].index("commitment_share")
    provisioned = env.action_names["storage"].index("provisioned_share")
    open_reviews, closed_after = 0, []
    for t in range(143):
        masks = env.action_masks()
        is_review = bool(env.weather.at(t).is_review[0])
        assert masks["compute"][0, commitments : commitments + 2].tolist() == [int(is_review)] * 2
        open_reviews += is_review
        closed_after.append(int(masks["storage"][0, provisioned]))
        env.step(engineer_actions(1, provisioned_share=0.5))
    assert open_reviews == 2  # twelve hours, reviews every six
    # 4 hours are 48 steps; where changes are wanted all the time, most steps are closed.
    assert 0 < sum(closed_after) < 60


@pytest.mark.parametrize("case", ["commitments", "hyperdisk", "tier"])
def test_a_masked_knob_does_nothing_in_the_coming_step(case):
    env = make(num_envs=1, episode_steps=144, **CALM)
    env.reset(seed=0)
    if case != "commitments":
        changes = {"floor_share": 1.5} if case == "tier" else {"provisioned_share": 1.0}
        env.step(engineer_actions(1, **changes))
    agent, name = {
        "commitments": ("compute", "commitment_share"),
        "hyperdisk": ("storage", "provisioned_share"),
        "tier": ("database", "target_utilisation"),
    }[case]
    while env.action_masks()[agent][0, env.action_names[agent].index(name)]:
        env.step(engineer_actions(1, provisioned_share=1.0, floor_share=1.5))
    masks = env.action_masks()
    twins = [env.twin(), env.twin()]
    infos = []
    for twin, value in zip(twins, (-1.0, 1.0), strict=True):
        actions = {
            a: torch.where(masks[a] == 1, x, torch.full_like(x, value))
            for a, x in engineer_actions(1).items()
        }
        infos.append(twin.step(actions).info.matrix)
    torch.testing.assert_close(infos[0], infos[1])
