"""What becomes of memory that is freed and will be wanted again at once."""

import ctypes
import sys
from typing import Final

# <malloc.h>; the largest that glibc takes on 64 bits for the first.
_M_MMAP_THRESHOLD: Final = (-3, 32 << 20)
_M_TRIM_THRESHOLD: Final = (-1, 1 << 30)


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of memory that it has freed, from now on.

    glibc hands large blocks back to the system when they are freed and asks for them again at the
    next step, and the system clears every page anew, which an update of wide networks feels.

    Returns:
        Whether the C library took it; others than glibc have no such settings and need none.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(*setting) == 1 for setting in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
