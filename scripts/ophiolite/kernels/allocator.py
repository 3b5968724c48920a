"""Keep freed memory in the process, so that work on many arrays does not pay for its pages again and again."""

from __future__ import annotations

import ctypes
import platform

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8

_KEEP_BYTES = 512 << 20


def tame_page_faults() -> bool:
    """Let glibc serve every array from its heap and give back only what exceeds 512 MiB at the heap's end.

    By default each array over 32 MiB is a mapping of its own, so its pages are zeroed and faulted in anew at every use,
    and each thread has a heap of its own, so that two threads took a fifth more CPU time. The process may keep up to
    512 MiB that it does not need. Call it once, before the work; returns False, and does nothing, where the C library
    is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Not the mapping threshold: older versions refuse one above 32 MiB.
    settings = (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEEP_BYTES), (_M_ARENA_MAX, 1)
    return all(mallopt(name, value) for name, value in settings)
