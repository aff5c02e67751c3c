"""Minibatches of a rollout: every row once, its columns together, parts as even as can be."""

import torch

from marl.algos.rollout import RowTable


def table(rows):
    number = torch.arange(rows, dtype=torch.float32)
    return RowTable(
        {
            "deep": number[:, None, None] * torch.ones(2, 3) + torch.arange(6).view(2, 3) * 0.1,
            "flat": number[:, None] * 10,
        }
    )


def test_every_row_comes_once_with_all_its_columns_in_their_shapes():
    parts = list(table(10).shuffled(4, torch.Generator().manual_seed(0)))
    assert [len(part["flat"]) for part in parts] == [3, 3, 3, 1]
    deep = torch.cat([part["deep"] for part in parts])
    flat = torch.cat([part["flat"] for part in parts])
    assert deep.shape == (10, 2, 3)
    assert sorted(flat[:, 0].tolist()) == [10.0 * row for row in range(10)]
    assert flat[:, 0].tolist() != [10.0 * row for row in range(10)]  # shuffled
    expected = flat[:, :, None] / 10 + torch.arange(6).view(2, 3) * 0.1
    torch.testing.assert_close(deep, expected.expand(10, 2, 3))


def test_the_order_is_the_generators():
    def order(seed):
        parts = table(50).shuffled(3, torch.Generator().manual_seed(seed))
        return torch.cat([part["flat"] for part in parts])

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))
