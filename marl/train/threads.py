"""How many threads torch may use for a while.

Clouds and networks here are small: one thread is several times faster than two on a busy machine,
and sums come out in the same order on every machine only when the number is fixed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
