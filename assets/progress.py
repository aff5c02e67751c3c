"""Progress of long work, as log lines that the terminal and the UI both show, not too many."""

import time
from collections.abc import Callable

import dagster as dg


def reporter(context: dg.AssetExecutionContext, every_s: float = 5.0) -> Callable[[str], None]:
    """A callable for `marl`'s `progress` arguments.

    Args:
        context: of the running step.
        every_s: lines closer together than this are dropped; the first always shows.
    """
    last = -every_s

    def tell(message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every_s:
            last = now
            context.log.info(message)

    return tell
