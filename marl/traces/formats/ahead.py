"""Runs an iterator in a thread, a few items ahead: unpacking overlaps with parsing.

zlib and Polars release the interpreter lock, so two cores really share the work.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")
_POLL_S: Final = 0.1
_END: Final = object()


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield the items in order while a thread prepares up to `depth` more.

    An error in the iterable is raised here, after the items before it. When the consumer stops
    early the thread stops too.
    """
    waiting: queue.Queue[object] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    failure: list[BaseException] = []

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # handed to the consumer, whatever it is
            failure.append(error)
        finally:
            put(_END)

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item  # type: ignore[misc]  # only items and the end mark are ever put
        if failure:
            raise failure[0]
    finally:
        stop.set()
        thread.join()
