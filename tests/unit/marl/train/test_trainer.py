"""What one epoch collects: held decisions, rewards relative to the baseline, the shown future."""

import io

import pytest
import torch

from marl.algos.maddpg import MaddpgConfig
from marl.evaluate.policies import LearnedPolicy
from marl.nets.config import NetConfig
from marl.replay.prioritised import PriorityConfig
from marl.train.hold import held_step
from marl.train.loop import train
from marl.train.policy_file import load_policy_file
from marl.train.trainer import Trainer
from tests.learning.lq_team import LqStep, LqTeam
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config


class Counting(LqTeam):
    """Reward is the number of the step; cloud i ends for good at step i + 1."""

    def step(self, actions):
        self.played = getattr(self, "played", 0) + 1
        step = super().step(actions)
        reward = {agent: torch.full((self.num_envs,), float(self.played)) for agent in self.agents}
        terminated = torch.arange(self.num_envs) + 1 == self.played
        return LqStep(step.obs, reward, terminated, step.truncated, step.info)


def still(env):
    return {a: torch.zeros(env.num_envs, w) for a, w in env.widths.items()}


def test_a_held_decision_earns_the_mean_until_its_episode_ends():
    env = Counting(3, 0, steps=2)
    step = held_step(env, still(env), 3)
    # Rewards 1, 2, 3: cloud 0 ends at once, cloud 1 at step 2, cloud 2 is truncated at step 2.
    assert step.reward["controller_0"].tolist() == [1.0, 1.5, 1.5]
    assert step.terminated.tolist() == [True, True, False]
    assert step.truncated.tolist() == [False, True, True]


def test_beside_itself_the_baseline_earns_nothing():
    config = small_config(noise_sigma=0.0, noise_sigma_end=0.0, warmup_epochs=1)
    trainer = Trainer(config, make_env, BASELINE)
    trainer.learner.actor.net.mlp.weights[-1].data.zero_()
    trainer.learner.actor.net.mlp.biases[-1].data.zero_()
    trainer.run_epoch()
    stored = trainer.experience.ring.state_dict()["fields"]
    assert stored["reward"].abs().max() == 0
    # State, and its difference to the baseline's: none.
    assert stored["state"].shape[1] == 2
    assert stored["state"][:, 1].abs().max() == 0
    assert stored["state"][:, 0].abs().max() > 0


def test_what_the_baseline_earns_is_subtracted_step_by_step_in_the_same_weather():
    config = small_config(learner=MaddpgConfig(net=NetConfig(hidden=(16,)), is_team=False))
    with_baseline = Trainer(config, make_env, BASELINE)
    plain = Trainer(config.model_copy(update={"is_relative": False}), make_env, BASELINE)
    alone = make_env(8, 0)
    with_baseline.run_epoch()
    plain.run_epoch()
    from marl.train.seeding import derive_seed

    alone.reset(seed=derive_seed(config.seed, "epoch", 0))
    actions = {a: torch.tensor([v]).expand(8, -1) for a, v in BASELINE.items()}
    earned = [alone.step(actions).reward["controller_0"] for _ in range(25)]
    relative = with_baseline.experience.ring.state_dict()["fields"]["reward"][:, 0]
    absolute = plain.experience.ring.state_dict()["fields"]["reward"][:, 0]
    assert torch.allclose(absolute - relative, torch.cat(earned), atol=1e-6)


def test_actors_know_nothing_of_the_future_that_critics_are_shown():
    class Foreseen(LqTeam):
        def future(self, horizon):
            return self.w[self.t : self.t + 1].T.expand(-1, horizon) * 1000

    config = small_config(critic_horizon=3)
    trainer = Trainer(config, lambda n, seed: Foreseen(n, seed), BASELINE)
    trainer.run_epoch()
    fields = trainer.experience.ring.state_dict()["fields"]
    assert fields["state"].shape[1] == 2 + 3
    assert fields["state"].abs().max() > 100
    assert fields["obs"].abs().max() < 100
    with pytest.raises(ValueError, match=r"critic_horizon is 3, but LqTeam has no future"):
        Trainer(config, make_env, BASELINE)


def test_a_stored_policy_holds_its_decisions_as_in_training(tmp_path):
    config = small_config(hold_steps=5)
    stored = load_policy_file(train(config, make_env, BASELINE, tmp_path).policy_path)
    policy, env = LearnedPolicy(stored), LqTeam(4, 0)
    obs = env.reset(1)
    for _ in range(2):  # beginning again decides afresh, wherever the last episode stopped
        policy.begin(env, 0)
        played = []
        for _ in range(8):
            actions = policy.act(obs)
            played.append(actions["controller_0"])
            obs = env.step(actions).obs
        assert all(torch.equal(played[0], one) for one in played[:5])
        assert not torch.equal(played[0], played[5])


def test_an_epoch_that_decisions_do_not_fill_is_refused():
    with pytest.raises(ValueError, match="epoch_steps 25 must be a multiple of hold_steps 6"):
        small_config(hold_steps=6)


def copied(state):
    """A state as it comes back from a checkpoint."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("noise", ["ou", "parameter"])
def test_prioritised_training_continues_with_the_same_bits(noise):
    config = small_config(priority=PriorityConfig(draws=2), updates_per_step=3, noise=noise)
    one, other = (Trainer(config, make_env, BASELINE) for _ in range(2))
    for _ in range(3):  # the ring wraps
        one.run_epoch()
    other.load_state_dict(copied(one.state_dict()))
    assert one.run_epoch() == other.run_epoch()
    for mine, theirs in zip(
        one.learner.actor.parameters(), other.learner.actor.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
    left, right = (t.experience.priorities.state_dict() for t in (one, other))
    assert torch.equal(left["mass"], right["mass"])


def test_priorities_are_the_errors_of_the_rows_and_weights_reach_the_loss(monkeypatch):
    priority = PriorityConfig(alpha=1.0, beta=1.0, epsilon=1e-6)
    config = small_config(priority=priority, n_step=2, warmup_epochs=2, batch_size=256)
    trainer = Trainer(config, make_env, BASELINE)
    trainer.run_epoch()
    trainer.run_epoch()
    experience, seen = trainer.experience, {}
    update = trainer.learner.update
    monkeypatch.setattr(
        trainer.learner, "update", lambda batch: seen.update(batch=batch) or update(batch)
    )
    draw = next(experience.draws(1, 0.0))
    monkeypatch.setattr(experience, "draws", lambda updates, done: iter([draw]))
    before = experience.priorities.probability(draw.index_B)
    trainer._learn(0.0)
    # All priorities are equal so far: so are the weights, except where a window holds nothing.
    assert len(set(before.tolist())) == 1
    batch = seen["batch"]
    ends = experience.ring.fields["end"][draw.index_B].amax(1) > 0
    assert ends.any()
    assert torch.equal(batch.weight_B, (~ends).float())
    # A row is drawn in proportion to its error: nothing can be learned from one without weight.
    mass = experience.priorities.probability(draw.index_B) * experience.priorities._masses.total
    expected = torch.where(ends, 0.0, trainer.learner.td_error()).double() + 1e-6
    assert torch.allclose(mass, expected, rtol=1e-6)
    # From now on weights differ, and they are what the loss is weighted with.
    later = next(iter(experience.priorities.sample_batches(1, 256, experience.generator, 0.0)))
    assert later.weight_B.unique().numel() > 1
    assert torch.equal(
        experience.batch(later).weight_B,
        later.weight_B * (experience.ring.fields["end"][later.index_B].amax(1) == 0),
    )


def test_training_starts_from_given_actors_and_refuses_those_of_another_baseline():
    taught, fresh = (Trainer(small_config(seed=seed), make_env, BASELINE) for seed in (1, 2))
    taught.run_epoch()
    fresh.load_actor(copied(taught.learner.policy().state_dict()))
    assert torch.equal(taught.held_in_rewards(), fresh.held_in_rewards())
    other = Trainer(small_config(), make_env, {"controller_0": [0.2], "controller_1": [0.1, 0.0]})
    with pytest.raises(ValueError, match="another baseline"):
        other.load_actor(taught.learner.policy().state_dict())
