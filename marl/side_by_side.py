"""Long work in parallel: independent parts in as many processes as cores and memory allow.

What a part computes does not depend on what runs beside it. What the parts are belongs to those who
have them.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")
Say = Callable[[str], None]

_BYTES_EACH: Final = 4 << 30  # of memory a part may need (first-order learners keep their windows)
_LISTEN_S: Final = 0.5  # between two looks at what workers say
_worker: dict[str, Any] = {}  # of this process, where it is a worker: `lines`, `stop`


def processes(parts: int) -> int:
    """How many to work in, for so many parts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores or 1, memory // _BYTES_EACH, parts))


def side_by_side(
    work: Callable[[Part, Say], Result],
    parts: Sequence[Part],
    say: Say,
    count: int = 0,
) -> list[Result]:
    """`work(part, say)` for every part; the first error stops the others when they next say a line.

    Args:
        work: a function that a process can import (or a `functools.partial` of one).
        parts: the longest best first; plain values.
        say: receives the lines of all parts.
        count: processes; 0: as many as `processes` says. With one, it is this one.

    Returns:
        Results in the order of `parts`.
    """
    count = count or processes(len(parts))
    if count == 1:
        return [work(part, say) for part in parts]
    from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
    from multiprocessing import get_context

    context = get_context("spawn")  # torch's threads do not survive a fork
    lines, stop, places = context.SimpleQueue(), context.Event(), context.SimpleQueue()
    for place in range(count):
        places.put(place)

    def listen() -> None:
        while not lines.empty():
            say(lines.get())

    begin = (lines, stop, places, context.RLock())
    with ProcessPoolExecutor(count, context, _begin_worker, begin) as pool:
        runs = [pool.submit(_work_on, work, part) for part in parts]
        try:
            waiting = set(runs)
            while waiting:
                ended, waiting = wait(waiting, _LISTEN_S, FIRST_EXCEPTION)
                listen()
                for run in ended:
                    run.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return [run.result() for run in runs]


def _begin_worker(lines: Any, stop: Any, places: Any, lock: Any) -> None:
    import sys
    from threading import Thread

    from tqdm import tqdm

    _worker.update(lines=lines, stop=stop)
    Thread(target=_die_with_parent, daemon=True).start()
    tqdm.set_lock(lock)
    if sys.stderr.isatty():
        os.environ["TQDM_POSITION"] = str(places.get())  # a line of the terminal for each worker


def _die_with_parent() -> None:
    """A worker of a killed process would go on for nobody, beside whatever is started anew."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work_on(work: Callable[[Part, Say], Result], part: Part) -> Result:
    return work(part, _say)


def _say(line: str) -> None:
    if _worker["stop"].is_set():
        raise RuntimeError("stopped: another part failed, or all were interrupted")
    _worker["lines"].put(line)
