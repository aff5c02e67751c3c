"""Cooperative games of two agents with known payoffs: one-step games, and QMIX's two-step game.

The world is written down from its tables and knows nothing of the learners. Every agent sees the
one-hot position; so does the state.
"""

import torch

from marl.replay.ring import RingReplay

COPIES, BATCH = 32, 128

ADDITIVE = [[6.0, 3.0, 1.0], [4.0, 1.0, -1.0], [9.0, 6.0, 4.0]]  # (6, 4, 9) + (0, -3, -5)
# Both agents' best choice is best whatever the other does, but not by the same amount.
MONOTONIC = [[8.0, 2.0, 1.0], [2.0, 1.0, 0.5], [1.0, 0.5, 0.0]]
# Claus and Boutilier 1998: the best joint choice is surrounded by penalties.
CLIMBING = [[11.0, -30.0, 0.0], [-30.0, 7.0, 6.0], [0.0, 0.0, 5.0]]
# Rashid et al. 2018, section 5: the first agent's first choice leads to one of two games.
TWO_STEP = {1: [[7.0, 7.0], [7.0, 7.0]], 2: [[0.0, 1.0], [1.0, 8.0]]}


def one_step(table):
    """Position → payoff table of a game that ends after one joint choice."""
    return {0: table}, 1


def two_step():
    """As `one_step`; position 0 pays nothing and leads on."""
    return {0: [[0.0, 0.0], [0.0, 0.0]], **TWO_STEP}, 3


class Game:
    """B copies of a game, advanced together; the first agent's choice at position 0 leads on."""

    def __init__(self, tables, positions, copies):
        self.payoff = torch.tensor([tables[p] for p in range(positions)])
        self.positions, self.copies = positions, copies
        self.at = torch.zeros(copies, dtype=torch.int64)

    def state(self):
        return torch.nn.functional.one_hot(self.at, self.positions).to(torch.float32)

    def step(self, choice):
        """Reward (B,), whether the episode ended (B,); ended copies begin again."""
        reward = self.payoff[self.at, choice[:, 0], choice[:, 1]]
        is_over = (self.at > 0) | (self.positions == 1)
        self.at = torch.where(is_over, 0, 1 + choice[:, 0])
        return reward, is_over


def see(state):
    """Observations (B, 2, positions): both agents see the state."""
    return state[:, None].expand(-1, 2, -1)


def at(position, positions):
    """(1, positions) the state there."""
    return torch.nn.functional.one_hot(torch.tensor([position]), positions).to(torch.float32)


def learn(game, seed, updates, choose, update):
    """Play copies of a game, through the replay ring; one update a step after the first ten.

    Args:
        game: tables and number of positions.
        seed: of the sampling.
        updates: how many.
        choose: (state, share of the run done) → (B, 2) choices.
        update: takes (rows, the rows that followed), name → tensor.
    """
    world = Game(*game, COPIES)
    fields = {"state": game[1], "choice": 2, "reward": 1, "end": 1}
    ring, sampling = RingReplay(8192, fields, COPIES), torch.Generator().manual_seed(seed + 100)
    for done in range(updates + 10):
        state = world.state()
        choice = choose(state, min(done / updates, 1.0))
        reward, is_over = world.step(choice)
        ring.add(
            {
                "state": state,
                "choice": choice.float(),
                "reward": reward[:, None],
                "end": is_over[:, None].float(),
            }
        )
        if done >= 10:
            index = ring.sample(BATCH, sampling, ahead=1)
            update(ring.rows(index), ring.rows(ring.later(index, 1)))
