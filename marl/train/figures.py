"""What a run tells of itself beside what it learns: speed, memory, CPU time; the progress bar.

Nothing here influences training, and none of it is the same twice.
"""

import resource
import sys
import time
from typing import Any, Final

_TERMINAL_S: Final = 1.0  # between two pictures of the bar
_LOG_S: Final = 15.0  # the same where each picture is a line that stays


class Speedometer:
    """Throughput since it was made, and what the process has used so far.

    Args:
        env_steps: steps of single clouds so far.
        updates: gradient steps so far.
    """

    def __init__(self, env_steps: int, updates: int) -> None:
        self._at, self._env_steps, self._updates = time.perf_counter(), env_steps, updates

    def read(self, env_steps: int, updates: int) -> dict[str, float]:
        """Figures by now."""
        seconds = max(time.perf_counter() - self._at, 1e-9)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        # Linux counts KiB, macOS bytes.
        per_mib = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return {
            "speed/env_steps_per_s": (env_steps - self._env_steps) / seconds,
            "speed/updates_per_s": (updates - self._updates) / seconds,
            "resources/cpu_s": usage.ru_utime + usage.ru_stime,
            "resources/peak_rss_mib": usage.ru_maxrss / per_mib,
        }


def progress_bar(name: str, total: int, done: int) -> Any:
    """A tqdm bar of environment steps: share, rate, time left.

    Where standard error is a terminal it redraws itself; where it is captured (Dagster, CI) it is a
    line now and then.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        desc=name,
        unit="step",
        unit_scale=True,
        mininterval=_TERMINAL_S if sys.stderr.isatty() else _LOG_S,
    )


def move_bar(bar: Any, done: int) -> None:
    """Bring the bar to `done`, backwards too."""
    if done >= bar.n:
        bar.update(done - bar.n)
    else:
        bar.n = bar.last_print_n = done
        bar.refresh()
