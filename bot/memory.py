"""What the garbage collector need not walk, and what the allocator need not keep."""

import contextlib
import ctypes
import gc
import sys

_M_ARENA_MAX = -8


def keep_for_good() -> None:
    """Everything that is loaded now lives as long as the process: without this a full collection, which stops all else,
    walks it again and again, and a click waits for it (https://docs.python.org/3/library/gc.html#gc.freeze).
    """
    gc.collect()
    gc.freeze()


def collect_seldom() -> None:
    """For a process that makes and drops a thousand rows at a time, hardly any of them in a circle: the collector would
    look at all of them every 700 (https://docs.python.org/3/library/gc.html#gc.set_threshold).
    """
    keep_for_good()
    gc.set_threshold(5_000, 20, 20)


def one_heap() -> None:
    """For a process in which one thread does nearly all: glibc would give each of the others a heap of its own, whose
    gaps are never used again (https://man7.org/linux/man-pages/man3/mallopt.3.html). What loading left over goes back.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_ARENA_MAX, 1)
            libc.malloc_trim(0)
