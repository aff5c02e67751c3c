"""One retry policy for everything fetched over a network, and texts without secrets.

Which errors pass and which stay is told by each source; this says how long to wait, how often to
try, and what the user sees meanwhile.
"""

import random
import re
from collections.abc import Callable
from typing import Final, TypeVar

from marl.traces.sources.base import Progress

ATTEMPTS: Final = 6
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
TRANSIENT_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})

_T = TypeVar("_T")

_SECRETS: Final = (
    (re.compile(r"(?<=://)[^/@\s'\"]+@"), ""),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 ***"),
    (re.compile(r"\bya29\.[\w.-]+"), "***"),
    (
        re.compile(
            r"(?i)([\"']?\b[\w-]*(?:token|secret|password|signature|credential|api_?key|private_key)"
            r"[\w-]*[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s&,;}]+)"
        ),
        r"\1***",
    ),
    (re.compile(r"(?i)([?&]key=)[^\s&]+"), r"\1***"),
    (re.compile(r"-----BEGIN [^-]+-----.*?(-----END [^-]+-----|$)", re.DOTALL), "***"),
)


def redact(text: str) -> str:
    """A text for people without credentials: user info, tokens, keys and signatures are starred."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class Backoff:
    """Exponential waiting with jitter, from random numbers of its own.

    The n-th wait is drawn evenly from [½, 1] × min(longest, first × 2^(n−1)) seconds, so that many
    clients hurt by one failure do not come back together.
    """

    def __init__(
        self,
        seed: int,
        progress: Progress | None = None,
        *,
        attempts: int = ATTEMPTS,
        first_wait_s: float | None = None,
    ) -> None:
        """Own a generator.

        Args:
            seed: of the jitter.
            progress: told of each wait.
            attempts: calls made at most before the last error is passed on.
            first_wait_s: the first wait; None for the module's default.
        """
        self.attempts = attempts
        self.first_wait_s = FIRST_WAIT_S if first_wait_s is None else first_wait_s
        self._random = random.Random(seed)  # noqa: S311 - jitter, not secrecy
        self._progress = progress

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1)."""
        longest = min(LONGEST_WAIT_S, self.first_wait_s * 2 ** (attempt - 1))
        return longest * (0.5 + 0.5 * self._random.random())

    def call(
        self, function: Callable[[], _T], what: str, is_transient: Callable[[BaseException], bool]
    ) -> _T:
        """Call `function` until it answers, at most `attempts` times.

        Args:
            function: the call.
            what: named in the progress line, e.g. "listing gs://bucket".
            is_transient: whether an error may pass; others are raised at once.

        Raises:
            Exception: the last error of `function`, as it was.
        """
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

        def tell(state: RetryCallState) -> None:
            if self._progress is None or state.next_action is None or state.outcome is None:
                return
            error = state.outcome.exception()
            self._progress(
                f"{what}: {redact(str(error)) or type(error).__name__}; "
                f"trying again in {state.next_action.sleep:.1f} s "
                f"(attempt {state.attempt_number + 1} of {self.attempts})"
            )

        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            wait=lambda state: self.wait_s(state.attempt_number),
            stop=stop_after_attempt(self.attempts),
            before_sleep=tell,
            reraise=True,
        )
        return retrying(function)
