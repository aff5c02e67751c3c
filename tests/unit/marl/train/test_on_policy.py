"""What a rollout holds: true successors, relative rewards, masks; and that a run continues."""

import copy

import pytest
import torch

from marl.algos.mappo import MappoConfig
from marl.nets.config import NetConfig
from marl.train.held_in import DivergenceError
from marl.train.loop import train
from marl.train.on_policy import OnPolicyTrainer
from marl.train.policy_file import load_policy_file
from tests.learning.lq_team import LqStep, LqTeam
from tests.unit.marl.train.conftest import BASELINE, make_env, small_config


class Kept(LqTeam):
    """Keeps the true last observations and state, as `marl.envs.batched` does."""

    def step(self, actions):
        step = super().step(actions)
        if step.truncated.any():
            self.final_state = self.last[:, None]
            self.final_obs = {
                a: torch.stack([self.last] + [torch.ones_like(self.last)] * (w - 1), 1)
                for a, w in self.widths.items()
            }
        return step

    def reset(self, seed=None):
        self.last = getattr(self, "x", None)
        return super().reset(seed)


class Foreseen(Kept):
    """Weather that can be foreseen; `scale` changes what is shown, not what happens."""

    scale = 1.0

    def future(self, horizon):
        ahead = torch.arange(self.t, self.t + horizon).clamp(max=self.steps - 1)
        return self.w[ahead].T * self.scale


class Masked(LqTeam):
    """The second agent's useless knob is said to be useless every other step."""

    def action_masks(self):
        masks = {a: torch.ones(self.num_envs, w, dtype=torch.int8) for a, w in self.widths.items()}
        masks["controller_1"][:, 1] = self.t % 2
        return masks


class Counting(LqTeam):
    """Cloud i ends for good at step i + 1."""

    def step(self, actions):
        step = super().step(actions)
        self.played = getattr(self, "played", 0) + 1
        terminated = torch.arange(self.num_envs) + 1 == self.played
        return LqStep(step.obs, step.reward, terminated, step.truncated, step.info)


def on_policy(world=LqTeam, learner=None, **settings):
    learner = MappoConfig(
        **{"net": NetConfig(hidden=(16,)), "passes": 2, "minibatches": 2, **(learner or {})}
    )
    config = small_config(learner=learner, **settings)
    return OnPolicyTrainer(config, lambda n, seed: world(n, seed), BASELINE)


def test_the_time_limit_leads_to_the_true_last_state():
    trainer = on_policy(Kept, is_relative=False, epoch_steps=50)  # two episodes
    rollout, _ = trainer.collect()
    assert rollout.is_known_TB.all()
    assert rollout.cut_TB[:, 0].nonzero()[:, 0].tolist() == [24, 49]
    assert not rollout.terminated_TB.any()
    inner = ~rollout.cut_TB[:-1]
    assert torch.equal(rollout.next_state_TBS[:-1][inner], rollout.state_TBS[1:][inner])
    # x' = .9 x + .3 Σ u + w: the end of an episode follows from its last state, the next
    # episode's beginning does not.
    action = torch.stack([played(trainer, rollout, t) for t in range(50)])
    rest = rollout.next_state_TBS[..., 0] - 0.9 * rollout.state_TBS[..., 0] - 0.3 * action
    assert rest[[24, 49]].abs().max() < 1.0  # five deviations of w
    shown = rollout.state_TBS[25, :, 0] - 0.9 * rollout.state_TBS[24, :, 0] - 0.3 * action[24]
    assert shown.abs().max() > 1.0


def played(trainer, rollout, t):
    learner = trainer.learner
    residual = learner.head.residual(rollout.latent_TBNA[t]) * learner.mask
    return learner.actor.action(residual.transpose(0, 1))[:, :, 0].sum(1)


def test_a_last_state_that_is_not_kept_is_not_made_up():
    rollout, _ = on_policy(is_relative=False, epoch_steps=50).collect()
    assert (~rollout.is_known_TB[:, 0]).nonzero()[:, 0].tolist() == [24, 49]


def test_what_ended_for_good_is_known_and_cut():
    rollout, _ = on_policy(Counting, is_relative=False).collect()
    for cloud in range(8):
        assert rollout.terminated_TB[:, cloud].nonzero()[:, 0].tolist() == [cloud]
        assert rollout.cut_TB[:, cloud].nonzero()[:, 0].tolist() == [cloud, 24]
        assert rollout.is_known_TB[cloud, cloud]


def test_beside_itself_the_baseline_earns_nothing():
    trainer = on_policy(Kept, hold_steps=5)
    trainer.learner.explore = lambda obs, mask: (
        torch.zeros(2, 8, 2),
        torch.zeros(8, 2, 2),
        torch.zeros(8, 2),
    )
    rollout, measured = trainer.collect()
    assert len(rollout.reward_TBN) == 5
    assert rollout.reward_TBN.abs().max() == 0
    assert float(measured["reward"]) < 0
    for states in (rollout.state_TBS, rollout.next_state_TBS):  # the last of an episode as well
        assert states.shape[2] == 2
        assert states[..., 1].abs().max() == 0
        assert states[..., 0].abs().max() > 0


@pytest.mark.parametrize("hold", [1, 5])
def test_the_future_is_shown_as_it_will_be_also_where_the_episode_ends(hold):
    rollout, _ = on_policy(Foreseen, critic_horizon=3, hold_steps=hold, is_relative=False).collect()
    assert rollout.state_TBS.shape[2] == 1 + 3
    assert torch.equal(rollout.next_state_TBS[:-1], rollout.state_TBS[1:])
    # Beyond the end this world repeats its last weather, as `Weather.future` does.
    last = rollout.next_state_TBS[-1, :, 1:]
    assert torch.equal(last, last[:, :1].expand(-1, 3))
    with pytest.raises(ValueError, match=r"critic_horizon is 3, but LqTeam has no future"):
        on_policy(critic_horizon=3)


@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_actors_know_nothing_of_the_future_that_critics_are_shown(name):
    def collected(scale):
        world = type("Scaled", (Foreseen,), {"scale": scale})
        trainer = on_policy(world, {"name": name, "sigma_hidden": (8,)}, critic_horizon=3)
        before = trainer.collect()[0]
        trainer.run_epoch()  # the critic's warm-up: statistics and actors as in the other world
        return before, trainer.collect()[0], trainer

    (first, second, one), (first_too, second_too, two) = collected(1.0), collected(1000.0)
    for a, b in ((first, first_too), (second, second_too)):
        assert not torch.equal(a.state_TBS, b.state_TBS)
        assert torch.equal(a.obs_TBNF, b.obs_TBNF)
        assert torch.equal(a.latent_TBNA, b.latent_TBNA)
        assert torch.equal(a.log_prob_TBN, b.log_prob_TBN)
    for a, b in zip(one.learner.actor.buffers(), two.learner.actor.buffers(), strict=True):
        assert torch.equal(a, b)


def test_masks_count_where_a_decision_lasts_one_step():
    stepwise, _ = on_policy(Masked).collect()
    expected = (torch.arange(25) % 2).to(torch.float32)[:, None].expand(-1, 8)
    assert torch.equal(stepwise.mask_TBNA[:, :, 1, 1], expected)
    assert not stepwise.mask_TBNA[:, :, 0, 1].any()  # padding
    held, _ = on_policy(Masked, hold_steps=5).collect()
    assert held.mask_TBNA[:, :, 1, 1].all()
    assert not held.mask_TBNA[:, :, 0, 1].any()


def test_the_first_epoch_leaves_the_policy_at_the_baseline():
    trainer = on_policy(Kept)
    before = trainer.held_in_rewards()
    start = copy.deepcopy(trainer.learner.actor.net.state_dict())
    trainer.run_epoch()
    for key, value in trainer.learner.actor.net.state_dict().items():
        assert torch.equal(value, start[key])
    baseline = trainer.held_in_rewards(is_baseline=True)
    assert torch.allclose(before, baseline, atol=2e-3)
    trainer.run_epoch()
    assert not torch.equal(trainer.learner.actor.net.mlp.weights[0], start["mlp.weights.0"])


def test_continues_bit_for_bit():
    whole, half, other = on_policy(Kept), on_policy(Kept), on_policy(Kept)
    curve = [whole.run_epoch() for _ in range(4)]
    for _ in range(2):
        half.run_epoch()
    other.load_state_dict(copy.deepcopy(half.state_dict()))
    assert [other.run_epoch() for _ in range(2)] == curve[2:]
    assert torch.equal(other.held_in_rewards(), whole.held_in_rewards())
    assert other.env_steps == whole.env_steps == 4 * 25 * 8


def test_numbers_that_are_not_finite_stop_the_run():
    class Broken(LqTeam):
        def step(self, actions):
            step = super().step(actions)
            return LqStep(
                step.obs,
                {a: r * float("nan") for a, r in step.reward.items()},
                step.terminated,
                step.truncated,
                step.info,
            )

    with pytest.raises(DivergenceError, match="not finite in epoch 1"):
        on_policy(Broken).run_epoch()


def test_another_learners_settings_are_refused():
    with pytest.raises(TypeError, match="expected a MappoConfig; got MaddpgConfig"):
        OnPolicyTrainer(small_config(), make_env, BASELINE)


def test_the_loop_trains_it_and_its_policy_file_plays_the_mean(tmp_path):
    config = on_policy(Kept).config
    result = train(config, lambda n, seed: Kept(n, seed), BASELINE, tmp_path / "a")
    again = train(config, lambda n, seed: Kept(n, seed), BASELINE, tmp_path / "b")
    assert result.summary.policy_sha256 == again.summary.policy_sha256
    assert result.summary.updates == 6 * 2 * 2
    stored = load_policy_file(result.policy_path)
    assert stored.card.learner == "mappo"
    assert set(stored.actor.state_dict()) == set(on_policy(Kept).learner.actor.state_dict())
    env = Kept(16, 0)
    spec = stored.card.spec()
    from marl.train.held_in import HELD_IN_SEED

    obs, total = env.reset(HELD_IN_SEED), 0.0
    for _ in range(25):
        step = env.step(spec.unpack_actions(stored.actor.action(stored.actor(spec.pack_obs(obs)))))
        total += float(step.reward["controller_0"].mean()) / 25
        obs = step.obs
    assert total == pytest.approx(result.summary.best.reward, abs=1e-5)
