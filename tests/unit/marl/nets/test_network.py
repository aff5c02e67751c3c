"""Every kind of network in an actor: the baseline first, no peeking, memory, refusals."""

import pytest
import torch
from pydantic import ValidationError

from marl.algos.first_order import FirstOrderConfig
from marl.algos.maddpg import MaddpgConfig
from marl.algos.mappo import MappoConfig
from marl.nets.actor import TeamActor, forget
from marl.nets.config import NetConfig
from marl.nets.mlp import StackedMLP
from marl.nets.network import TeamNet
from marl.nets.sequence import find_sequence
from marl.train.config import TrainConfig

NAMES = ("load", *(f"job{slot}_{name}" for slot in range(3) for name in ("work", "is_open")))
SIZES, LAYOUTS = (len(NAMES), 2), (find_sequence(NAMES), None)
KINDS = ["mlp", "attention", "transformer", "gru"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def net_of(kind, **settings):
    return NetConfig(kind=kind, hidden=(8,), token=8, heads=2, depth=2, memory=8, **settings)


def actor(kind, last_scale=0.001):
    return TeamActor(
        SIZES,
        torch.tensor([[0.0, 0.9], [-1.0, 0.0]]),
        bound=0.5,
        net=net_of(kind),
        generator=generator(),
        layouts=LAYOUTS,
        last_scale=last_scale,
    )


def observations(rows=6):
    obs = torch.randn((rows, 2, len(NAMES)), generator=generator(1))
    obs[:, 0, list(LAYOUTS[0].is_open)] = torch.tensor([1.0, 0.0, 1.0])
    obs[:, 1, 2:] = 0
    return obs


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_starts_at_the_baseline(kind):
    made, obs = actor(kind), observations()
    made.norm.update(obs)
    residual, _ = made.step(obs, made.begin(6))
    assert residual.shape == (2, 6, 2)
    assert (made.action(residual) - made.baseline).abs().max() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_no_actor_sees_another_agents_observation_and_all_its_weights_learn(kind):
    made, obs = actor(kind, last_scale=1.0), observations().requires_grad_()
    memory = made.begin(6)
    for _ in range(2):  # the weights of a memory take part from the second step on
        residual, memory = made.step(obs, memory)
    (gradient,) = torch.autograd.grad(residual[0].sum(), obs, retain_graph=True)
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1].abs().sum() == 0
    residual.square().sum().backward()
    for name, parameter in made.net.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_a_net_of_kind_mlp_is_the_stacked_mlp():
    made = TeamNet(net_of("mlp"), SIZES, 2, generator=generator(), last_scale=0.5)
    plain = StackedMLP(SIZES, (8,), 2, generator=generator(), last_scale=0.5)
    x = observations().transpose(0, 1)
    assert torch.equal(made(x), plain(x))


def test_the_same_generator_gives_the_same_actor():
    for kind in KINDS:
        one, two = actor(kind), actor(kind)
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_memory_is_carried_forgotten_and_must_not_be_left_out():
    made, obs = actor("gru", last_scale=1.0), observations()
    start = made.begin(6)
    first, memory = made.step(obs, start)
    second, memory = made.step(obs, memory)
    assert (second - first).abs().max() > 1e-3
    is_end = torch.tensor([True, False] * 3)
    third, _ = made.step(obs, forget(memory, is_end))
    torch.testing.assert_close(third[:, is_end], first[:, is_end])
    assert (third - first)[:, ~is_end].abs().max() > 1e-3
    with pytest.raises(RuntimeError, match="needs one"):
        made.step(obs, None)
    with pytest.raises(RuntimeError, match=r"step\(x, memory\)"):
        made(obs)
    assert actor("mlp").begin(6) is None
    assert forget(None, is_end) is None


def test_attention_is_read_out_where_there_is_any():
    obs = observations()
    fields = actor("attention").attention(obs)
    torch.testing.assert_close(fields.sum(-1), torch.ones((2, 6)))
    assert (fields[1, :, 2:] == 0).all()
    slots = actor("transformer").attention(obs)
    assert slots.shape == (2, 6, 3)
    assert (slots[0, :, 1] == 0).all()
    for kind in ("mlp", "gru"):
        with pytest.raises(TypeError, match=f"{kind!r} have no attention"):
            actor(kind).attention(obs)


@pytest.mark.parametrize("config", [MaddpgConfig, MappoConfig])
def test_learners_without_memory_refuse_one_by_name(config):
    with pytest.raises(ValidationError, match=r"not 'gru'.*'apg' and 'shac' carry a memory"):
        config(net=NetConfig(kind="gru"))
    assert FirstOrderConfig(net=NetConfig(kind="gru")).net.memory == 64


def test_noise_on_the_weights_of_a_memory_is_refused():
    learner = FirstOrderConfig(net=NetConfig(kind="gru"))
    with pytest.raises(ValidationError, match="noise 'parameter'"):
        TrainConfig(learner=learner, noise="parameter")


def test_impossible_sizes_are_refused():
    with pytest.raises(ValidationError, match="token 32 is not a multiple of heads 5"):
        NetConfig(kind="transformer", heads=5)
    with pytest.raises(ValidationError, match="token 32 is not a multiple of heads 5"):
        MaddpgConfig(net=NetConfig(heads=5), critic="attention")
    for wrong in ({"hidden": (0,)}, {"depth": 10**9}, {"hidden": (10**9,)}, {"hiden": (8,)}):
        with pytest.raises(ValidationError):
            NetConfig(**wrong)
