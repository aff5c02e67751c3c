"""Shaping leaves the optimal policy as it is: exact solutions of small random decision problems.

Every problem is solved by value iteration (or backward induction where time matters) with the
rewards of `marl.cloud.shaping` itself, once plain and once shaped.
"""

from dataclasses import dataclass

import pytest
import torch

from marl.cloud import shaping

GAMMA = 0.9
SEEDS = range(20)
STATES, ACTIONS = 6, 3


@dataclass
class Mdp:
    """Random; the last state ends the episode."""

    chance: torch.Tensor  # (S, A, S)
    reward: torch.Tensor  # (S, A, S)

    @classmethod
    def draw(cls, seed):
        generator = torch.Generator().manual_seed(seed)
        draw = {"generator": generator, "dtype": torch.float64}
        chance = torch.rand(STATES, ACTIONS, STATES, **draw) ** 3
        chance[..., -1] *= 0.2
        reward = torch.randn(STATES, ACTIONS, STATES, **draw)
        phi = 3 * torch.randn(STATES, **draw)
        return cls(chance / chance.sum(-1, keepdim=True), reward), phi

    def bonus(self, before, after, **config):
        """(S, S) the shaping reward of every transition, by the code under test."""
        config = shaping.ShapingConfig(gamma=GAMMA, **config)
        s, t = torch.meshgrid(torch.arange(STATES), torch.arange(STATES), indexing="ij")
        over = (t == STATES - 1).flatten()
        pairs = before[s].flatten(), after[t].flatten()
        f = shaping.difference(*pairs, over, torch.zeros_like(over), config)
        return f.reshape(STATES, STATES)

    def backup(self, value, bonus):
        """(S, A)."""
        value = torch.cat((value[:-1], value.new_zeros(1)))
        return (self.chance * (self.reward + bonus[:, None] + GAMMA * value)).sum(-1)

    def solve(self, bonus):
        """(S − 1, A) optimal action values of the states that do not end the episode."""
        value = torch.zeros(STATES, dtype=torch.float64)
        for _ in range(400):  # 0.9^400 = 5e-19
            value = self.backup(value, bonus).amax(1)
        return self.backup(value, bonus)[:-1]

    def plan(self, bonuses):
        """(T, S − 1) optimal actions with a bonus for each step, backwards from the horizon."""
        value = torch.zeros(STATES, dtype=torch.float64)
        policy = []
        for bonus in reversed(bonuses):
            q = self.backup(value, bonus)
            policy.insert(0, q.argmax(1)[:-1])
            value = q.amax(1)
        return torch.stack(policy)


NONE = torch.zeros(STATES, STATES, dtype=torch.float64)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shaped_problem_has_the_same_optimal_policy(seed):
    mdp, phi = Mdp.draw(seed)
    plain, shaped = mdp.solve(NONE), mdp.solve(mdp.bonus(phi, phi))
    assert torch.equal(shaped.argmax(1), plain.argmax(1))
    # Ng et al.: the action values are shifted by exactly the potential.
    torch.testing.assert_close(shaped, plain - phi[:-1, None])


def test_a_bonus_that_is_no_potential_changes_the_policy():
    changed = 0
    for seed in SEEDS:
        mdp, phi = Mdp.draw(seed)
        # What looks natural, "pay for good states", is not a difference of potentials.
        bonus = phi.expand(STATES, STATES)
        changed += not torch.equal(mdp.solve(bonus).argmax(1), mdp.solve(NONE).argmax(1))
    assert changed >= 15


def test_a_potential_left_at_the_end_changes_the_policy():
    # Φ of a terminal state that is not counted as 0 pays for ending there, or fines it.
    changed = 0
    for seed in SEEDS:
        mdp, phi = Mdp.draw(seed)
        phi[-1] = 20.0
        wrong = GAMMA * phi[None, :] - phi[:, None]
        changed += not torch.equal(mdp.solve(wrong).argmax(1), mdp.solve(NONE).argmax(1))
        right = mdp.bonus(phi, phi)
        assert torch.equal(mdp.solve(right).argmax(1), mdp.solve(NONE).argmax(1))
    assert changed >= 15


def annealed(mdp, phi, steps):
    """Bonuses of an episode of `steps` steps that is over at the end."""
    config = shaping.ShapingConfig(gamma=GAMMA, begin=1, end=steps - 2, curve="cosine")
    weights = [shaping.schedule(t, config) for t in range(steps + 1)]
    bonuses = [mdp.bonus(weights[t] * phi, weights[t + 1] * phi) for t in range(steps)]
    return bonuses, weights


@pytest.mark.parametrize("seed", SEEDS)
def test_the_annealed_potential_leaves_the_policy_of_every_step(seed):
    mdp, phi = Mdp.draw(seed)
    bonuses, weights = annealed(mdp, phi, 12)
    assert weights[0] == 1.0
    assert weights[-1] == 0.0
    assert torch.equal(mdp.plan(bonuses), mdp.plan([NONE] * 12))


def test_weighing_the_difference_instead_of_the_potential_changes_the_policy():
    changed = 0
    for seed in SEEDS:
        mdp, phi = Mdp.draw(seed)
        _, weights = annealed(mdp, phi, 12)
        wrong = [w * mdp.bonus(phi, phi) for w in weights[:-1]]
        changed += not torch.equal(mdp.plan(wrong), mdp.plan([NONE] * 12))
    assert changed >= 10


@pytest.mark.parametrize("bootstraps", [True, False])
def test_truncation_fits_what_the_learner_does_with_it(bootstraps):
    # An episode cut off after 5 steps. The learner that bootstraps adds the shaped value V − Φ of
    # the state it was cut off in; the other one adds nothing. Either way its policy stays.
    for seed in SEEDS:
        mdp, phi = Mdp.draw(seed)
        config = shaping.ShapingConfig(gamma=GAMMA, bootstraps_truncation=bootstraps)
        s, t = torch.meshgrid(torch.arange(STATES), torch.arange(STATES), indexing="ij")
        ends = (t == STATES - 1).flatten()
        cut = torch.ones_like(ends)
        last = shaping.difference(phi[s].flatten(), phi[t].flatten(), ends, cut, config)
        bonuses = [mdp.bonus(phi, phi)] * 4 + [last.reshape(STATES, STATES)]
        true = mdp.solve(NONE).amax(1)
        true = torch.cat((true, true.new_zeros(1)))
        policies = []
        for bonus, shift in ((bonuses, phi), ([NONE] * 5, 0 * phi)):
            value = true - shift if bootstraps else 0 * true
            policy = []
            for f in reversed(bonus):
                q = mdp.backup(value, f)
                policy.insert(0, q.argmax(1)[:-1])
                value = q.amax(1)
            policies.append(torch.stack(policy))
        assert torch.equal(*policies)
