"""Faults on demand for the HTTP doubles: which request, which occurrence, what goes wrong.

The doubles ask `Faults.take` once per request; what a status or a cut looks like on the wire is
theirs. Every request is logged with the bytes that went out, so that tests count transfers.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Fault:
    """One thing going wrong.

    Attributes:
        match: regular expression searched in "METHOD /path?query".
        kind: "status" (answer with `status`), "drop" (close without an answer), "cut" (promise the
            whole body, close after `after_bytes`), "short" (promise and send only `after_bytes`),
            "flip" (change one byte of the body), "slow" (wait `seconds` after every 64 KiB), "wait"
            (wait `seconds` before the answer), "none" (only call `before`).
        times: how many matching requests are hit.
        skip: how many matching requests pass first.
        before: called just before the request is served, e.g. to change an object.
    """

    match: str
    kind: str
    status: int = 503
    reason: str = "backendError"
    after_bytes: int = 0
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    before: Callable[[], None] | None = None


@dataclass(frozen=True)
class Logged:
    """A request that was served: `line` is "METHOD /path?query", `sent_bytes` those of the body."""

    line: str
    status: int
    sent_bytes: int


@dataclass
class Faults:
    """Faults in waiting and the log of what was served; safe for threads."""

    waiting: list[Fault] = field(default_factory=list)
    log: list[Logged] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: int = 0

    def add(self, *faults: Fault) -> None:
        with self.lock:
            self.waiting.extend(faults)

    def take(self, line: str) -> Fault | None:
        """The fault that hits this request, if any."""
        with self.lock:
            for fault in self.waiting:
                if not re.search(fault.match, line):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.waiting.remove(fault)
                return fault
        return None

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Around the answering of a request that is noted only when its bytes are out."""
        with self.lock:
            self.under_way += 1
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1

    def note(self, line: str, status: int, sent_bytes: int) -> None:
        with self.lock:
            self.log.append(Logged(line, status, sent_bytes))

    def served(self, match: str) -> list[Logged]:
        """Requests so far whose line matches; a client may be ahead of the note on its answer."""
        deadline = time.monotonic() + 5
        while self.under_way and time.monotonic() < deadline:
            time.sleep(0.005)
        with self.lock:
            return [entry for entry in self.log if re.search(match, entry.line)]
