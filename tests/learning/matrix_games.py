"""Cooperative games of two agents with known payoffs: one-step games, and QMIX's two-step game.

The world is written down from its tables and knows nothing of the learners. Every agent sees the
one-hot position; so does the state.
"""

import torch

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
