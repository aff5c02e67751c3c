"""Learning moves in a continuous world: judged like every other learner, resumed bit for bit."""

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.algos.qmix import QmixConfig
from marl.envs import make
from marl.evaluate.families import family
from marl.evaluate.policies import LearnedPolicy
from marl.evaluate.rollout import Labels, play_episodes
from marl.nets.config import NetConfig
from marl.train.checkpoint import load_checkpoint, save_checkpoint
from marl.train.discrete import DiscreteTrainer
from marl.train.held_in import HELD_IN_SEED
from marl.train.loop import train
from marl.train.policy_file import PolicyFileError, load_policy_file
from marl.train.trainer import Trainer
from tests.learning.lq_team import LqTeam
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config
from tests.unit.marl.train.test_policy_file import rewrite


def settings(name="qmix", **changes):
    learner = QmixConfig(
        name=name, net=NetConfig(hidden=(16,)), embed=8, hyper_hidden=0, levels=5, lr=5e-3
    )
    return small_config(learner=learner, **changes)


def test_keeping_everything_is_the_baseline_as_other_learners_see_it():
    """The same 128 episodes give the same numbers, so that curves can be compared."""

    def clouds(count, seed):
        return make(num_envs=count, seed=seed, scenario="mixed_cyclical", episode_steps=24)

    rule = family("reactive").start
    common = {"epoch_steps": 24, "hold_steps": 12, "num_envs": 2, "evaluate_envs": 8}
    discrete = DiscreteTrainer(settings(n_step=1, **common), clouds, rule)
    residual = Trainer(small_config(learner=MaddpgConfig(), n_step=1, **common), clouds, rule)
    # An untrained team keeps everything: choice 0 has the bonus.
    kept, still = discrete.held_in_rewards(), discrete.held_in_rewards(is_baseline=True)
    assert torch.equal(kept, still)
    assert torch.equal(still, residual.held_in_rewards(is_baseline=True))


def test_beside_itself_the_rule_earns_nothing_and_moves_earn_a_difference():
    quiet = settings().learner.model_copy(update={"epsilon_start": 0.0, "epsilon_end": 0.0})
    trainer = DiscreteTrainer(settings().model_copy(update={"learner": quiet}), make_env, BASELINE)
    trainer.run_epoch()  # a warm-up: nothing is learned
    stored = trainer.experience.ring.state_dict()["fields"]
    assert stored["choice"].abs().max() == 0
    assert stored["reward"].abs().max() == 0
    # The state: x, its difference to the baseline's, three settings at the baseline.
    assert stored["state"].shape[1] == 5
    torch.testing.assert_close(stored["state"][:, 2:], torch.tensor([[0.1, 0.1, 0.0]] * 200))
    wild = DiscreteTrainer(settings(), make_env, BASELINE)
    wild.run_epoch()
    assert wild.experience.ring.state_dict()["fields"]["reward"].abs().max() > 0.01


def test_exploration_never_takes_a_closed_move():
    trainer = DiscreteTrainer(settings(), make_env, BASELINE)
    trainer.run_epoch()
    stored = trainer.experience.ring.state_dict()["fields"]
    mask, choice = stored["mask"].unflatten(1, (2, -1)), stored["choice"].to(torch.int64)
    assert (mask.gather(2, choice[..., None]) == 1).all()
    assert (mask == 0).sum() > mask.shape[0] * 2  # beyond the padding of the first agent


def test_a_batch_is_what_was_played():
    """Next inputs are the next row's; the row before the reset has no weight."""
    config = settings(num_envs=1, n_step=1, capacity=100, batch_size=64)
    trainer = DiscreteTrainer(config, make_env, BASELINE)
    trainer.run_epoch()
    stored = trainer.experience.ring.state_dict()["fields"]
    batch = trainer.experience.choices(next(trainer.experience.draws(1, 0.0)))
    for row in range(64):
        at = int((stored["state"] == batch.state_BS[row]).all(1).nonzero()[0])
        is_last = bool(stored["end"][at, 1])
        assert batch.weight_B[row] == (0.0 if is_last else 1.0)
        if is_last:
            continue
        reward = trainer.experience.reward_norm(stored["reward"][at])
        torch.testing.assert_close(batch.return_B[row], reward[0])
        assert batch.discount_B[row] == pytest.approx(config.gamma)
        assert torch.equal(batch.next_state_BS[row], stored["state"][at + 1])
        assert torch.equal(batch.next_mask_BNA[row].flatten(), stored["mask"][at + 1])


@pytest.mark.parametrize("name", ["qmix", "vdn"])
def test_resumed_from_a_checkpoint_it_ends_with_the_same_bits(tmp_path, name):
    whole = DiscreteTrainer(settings(name), make_env, BASELINE)
    for _ in range(3):
        whole.run_epoch()
    save_checkpoint(tmp_path / "c.pt", "f", whole.state_dict())
    resumed = DiscreteTrainer(settings(name), make_env, BASELINE)
    resumed.load_state_dict(load_checkpoint(tmp_path / "c.pt", "f"))
    for _ in range(2):
        assert whole.run_epoch() == resumed.run_epoch()
    assert torch.equal(whole.held_in_rewards(), resumed.held_in_rewards())
    for one, two in zip(whole.learner.trained, resumed.learner.trained, strict=True):
        assert torch.equal(one, two)


def test_it_learns_to_move_knobs_and_the_stored_policy_plays_alike(tmp_path):
    """The team begins with a harmful bias that its moves can remove."""
    biased = {"controller_0": [0.3], "controller_1": [0.3, 0.0]}
    config = settings(
        epochs=8, num_envs=32, capacity=20_000, hold_steps=5, n_step=1, gamma=0.9,
        updates_per_step=10,
    )  # fmt: skip
    result = train(config, make_env, biased, tmp_path)
    assert result.summary.best.gain > max(0.05, 5 * result.summary.best.gain_se)
    stored = load_policy_file(result.policy_path)
    assert (stored.card.face, stored.card.levels) == ("moves", 5)
    with pytest.raises(PolicyFileError, match="qmix has no actors: its face is moves"):
        stored.actor  # noqa: B018 - reading it is the test
    policy = LearnedPolicy(stored)
    labels = Labels("lq", is_held_out=False, is_synthetic=True)
    frames = [play_episodes(policy, make_env, 16, 0, labels) for _ in range(2)]
    # Settings begin anew with every episode.
    assert frames[0]["reward"].to_list() == frames[1]["reward"].to_list()
    # What evaluation plays in an environment is what the trainer judged there.
    trainer = DiscreteTrainer(config, make_env, biased)
    trainer.learner.policy().load_state_dict(stored.network.state_dict())
    env = LqTeam(config.evaluate_envs, 0)
    obs, total = env.reset(seed=HELD_IN_SEED), torch.zeros(config.evaluate_envs)
    policy.begin(env, 0)
    for _ in range(config.epoch_steps):
        step = env.step(policy.act(obs))
        obs, total = step.obs, total + step.reward["controller_0"]
    torch.testing.assert_close(total / config.epoch_steps, trainer.held_in_rewards())


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (lambda c: c.update(levels=4), "levels must be odd"),
        (lambda c: c.update(levels=0), "the moves face with 0 levels"),
        (lambda c: c.update(face="continuous"), "the continuous face with 5 levels"),
        (lambda c: c.update(face="continuous", levels=0), "by its card it is"),
        (lambda c: c["baseline"].update(controller_0=[7.0]), r"\[-1, 1\]"),
        (lambda c: c["knobs"].update(controller_0=["0", "1"]), "do not fit together"),
    ],
)
def test_cards_of_moves_that_do_not_fit_are_refused(tmp_path, card, message):
    path = train(settings(epochs=2), make_env, BASELINE, tmp_path).policy_path
    rewrite(path, card)
    with pytest.raises(PolicyFileError, match=message):
        load_policy_file(path)


def test_another_learner_is_refused():
    with pytest.raises(TypeError, match="expected a QmixConfig; got MaddpgConfig"):
        DiscreteTrainer(small_config(), make_env, BASELINE)
