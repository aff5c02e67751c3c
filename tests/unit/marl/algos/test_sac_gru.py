"""Replayed memories: which steps count, what follows them, where gradients stop."""

import copy

import pytest
import torch

from marl.algos.base import TeamSpec
from marl.algos.sac_config import SacConfig
from marl.algos.sac_gru import RecurrentSac, is_learned, replayed, sequence_batch
from marl.nets.config import NetConfig
from marl.nets.gru import StackedGRU

SPEC = TeamSpec(("a", "b"), (3, 2), (2, 1), 4)
STEPS, CLOUDS = 6, 3
NET = NetConfig(kind="gru", hidden=(8,), memory=5)


def begins(*where):
    begin = torch.zeros((STEPS, CLOUDS), dtype=torch.bool)
    for step, cloud in where:
        begin[step, cloud] = True
    return begin


def fields(begin, terminated=(), truncated=()):
    g = torch.Generator().manual_seed(1)
    obs = torch.randn((STEPS, CLOUDS, 2, 3), generator=g)
    obs[:, :, 1, 2] = 0
    end = torch.zeros((STEPS, CLOUDS, 2))
    for kind, where in enumerate((terminated, truncated)):
        for step, cloud in where:
            end[step, cloud, kind] = 1.0
    return {
        "obs": obs.flatten(2),
        "state": torch.randn((STEPS, CLOUDS, 4), generator=g),
        "residual": torch.rand((STEPS, CLOUDS, 4), generator=g) * 2 - 1,
        "reward": torch.arange(STEPS)[:, None, None].expand(STEPS, CLOUDS, 2) * 1.0,
        "end": end,
        "begin": begin[..., None].to(torch.float32),
    }


def batch(begin, burn_in=2, n_step=1, **ends):
    stored = fields(begin, **ends)
    return sequence_batch(stored, stored["reward"], 2, gamma=0.5, n_step=n_step, burn_in=burn_in)


def learner(name="masac_gru", **settings):
    config = SacConfig(name=name, net=NET, actor_warmup=0, burn_in=2, **settings)
    return RecurrentSac(config, SPEC, torch.zeros(2, 2), torch.Generator().manual_seed(0))


def test_burn_in_counts_only_what_was_remembered_rightly():
    # Cloud 0 begins with the sequence, cloud 1 within the burn-in, cloud 2 before the sequence.
    learned = is_learned(begins((0, 0), (1, 1)), burn_in=3).T.tolist()
    assert learned == [[True] * 6, [False, *[True] * 5], [False] * 3 + [True] * 3]
    assert is_learned(begins(), 0).all()


def test_rows_by_hand():
    made = batch(begins((0, 0), (3, 1)), terminated=[(2, 1)], truncated=[(3, 2)])
    weight = made.weight_B.view(STEPS, CLOUDS) > 0
    # The last step's successor is not in the sequence; neither is that of cloud 2's time limit.
    assert weight.T.tolist() == [
        [True] * 5 + [False],
        [False] * 2 + [True] * 3 + [False],
        [False] * 2 + [True] + [False] + [True] + [False],
    ]
    assert float(made.weight_B.mean()) == pytest.approx(1.0)
    assert made.return_BN.view(STEPS, CLOUDS, 2)[:5, 0, 0].tolist() == [0, 1, 2, 3, 4]
    discount = made.discount_B.view(STEPS, CLOUDS)
    assert discount[:5, 0].tolist() == [0.5] * 5
    assert discount[2, 1] == 0.0
    following = made.next_B.view(STEPS, CLOUDS)
    assert following[:5, 0].tolist() == [3, 6, 9, 12, 15]
    assert following[2, 2] == 3 * 3 + 2


def test_several_steps_are_cut_where_the_sequence_is():
    made = batch(begins((0, 0), (0, 1), (0, 2)), n_step=3, terminated=[(5, 1)])
    returns = made.return_BN.view(STEPS, CLOUDS, 2)[..., 0]
    # 0 + 1/2 + 2/4; 3 + 4/2 before the last step; after a termination the last one counts.
    assert returns[[0, 3], 0].tolist() == [1.0, 5.0]
    assert returns[[3, 5], 1].tolist() == [3 + 4 / 2 + 5 / 4, 5.0]
    following = made.next_B.view(STEPS, CLOUDS)
    assert following[[0, 3, 4], 0].tolist() == [9, 15, 15]
    assert made.discount_B.view(STEPS, CLOUDS)[[0, 3, 4], 0].tolist() == [0.125, 0.25, 0.5]
    assert made.discount_B.view(STEPS, CLOUDS)[3:, 1].tolist() == [0.0] * 3


def test_no_gradient_flows_into_a_burn_in_that_remembered_wrongly():
    gru = StackedGRU([3], 4, generator=torch.Generator().manual_seed(0))
    x = torch.randn((STEPS, 1, CLOUDS, 3), generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    memory = replayed(gru, x, begins((0, 0)), burn_in=2)
    whole, _ = gru.unroll(x, gru.initial(CLOUDS), begins((0, 0)))
    assert torch.allclose(memory, whole, atol=1e-6)
    (gradient,) = torch.autograd.grad(memory[3:].sum(), x)
    assert gradient[0, 0, 0].abs().sum() > 0  # its episode begins here
    assert not gradient[:2, 0, 1:].any()
    assert gradient[2, 0, 1:].abs().sum() > 0


@pytest.mark.parametrize("name", ["masac_gru", "isac_gru"])
def test_what_is_replayed_is_what_was_remembered(name):
    made = learner(name)
    data = batch(begins((0, 0), (0, 1), (0, 2), (4, 1)))
    mean, log_sigma = made._policy(data)
    memory = made.actor.begin(CLOUDS)
    for t in range(STEPS):
        if t == 4:
            memory[:, 1] = 0.0
        logits, memory = made.actor.logits(data.obs_TBNF[t], memory)
        assert torch.allclose(mean.unflatten(1, (STEPS, CLOUDS))[:, t], logits, atol=1e-6)
    after = made._next_policy(data)[0].unflatten(1, (STEPS, CLOUDS))
    assert torch.equal(after[:, :5, 0], mean.unflatten(1, (STEPS, CLOUDS))[:, 1:, 0])
    assert log_sigma.shape == mean.shape


@pytest.mark.parametrize("name", ["masac_gru", "isac_gru"])
def test_rows_that_do_not_count_change_nothing(name):
    one, two = learner(name), learner(name)
    data = batch(begins())
    weight = data.weight_B
    other = torch.where(weight[:, None] > 0, data.return_BN, 99.0)
    a = one.update(data)
    b = two.update(type(data)(**{**vars(data), "return_BN": other}))
    assert float(a["critic_loss"]) == float(b["critic_loss"])
    for x, y in zip(one.critic.parameters(), two.critic.parameters(), strict=True):
        assert torch.equal(x, y)
    assert float(one.td_error().abs().sum()) > 0


def test_critics_remember_what_is_not_shown_any_more():
    made, data = learner(), batch(begins((0, 0), (0, 1), (0, 2)))
    shown = data.state_TBS.clone()
    shown[0] += 1.0
    before = made._seen(made.critic, data, is_next=False)
    after = made._seen(made.critic, type(data)(**{**vars(data), "state_TBS": shown}), is_next=False)
    last = slice((STEPS - 1) * CLOUDS, None)
    assert torch.equal(before[:, last, :4], after[:, last, :4])
    assert not torch.allclose(before[:, last, 4:], after[:, last, 4:], atol=1e-4)


def test_state_continues_exactly_and_exploring_needs_a_memory():
    one, data = learner(), batch(begins((0, 0)))
    one.update(data)
    two = learner()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for _ in range(2):
        a, b = one.update(data), two.update(data)
        assert {k: float(v) for k, v in a.items()} == {k: float(v) for k, v in b.items()}
    first, memory = one.explore(data.obs_TBNF[0], one.actor.begin(CLOUDS))
    assert torch.equal(first, two.explore(data.obs_TBNF[0], two.actor.begin(CLOUDS))[0])
    assert memory.abs().sum() > 0
    with pytest.raises(ValueError, match="need one"):
        one.explore(data.obs_TBNF[0], None)


def test_names_and_networks_belong_together():
    assert SacConfig(name="sac_gru").net.kind == "gru"
    assert (SacConfig(name="sac_gru").is_joint, SacConfig(name="masac_gru").is_joint) == (
        True,
        False,
    )
    with pytest.raises(ValueError, match="do not go together"):
        SacConfig(name="sac_gru", net=NetConfig())
    with pytest.raises(ValueError, match="do not go together"):
        SacConfig(name="sac", net=NET)
    with pytest.raises(ValueError, match="burn_in 9 leaves nothing of sequence 9"):
        SacConfig(name="sac_gru", sequence=9, burn_in=9)
    with pytest.raises(ValueError, match="is_team must be True"):
        SacConfig(name="masac", is_team=False)
