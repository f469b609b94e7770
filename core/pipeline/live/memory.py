"""Keeping memory steady over hours. Pictures that one thread makes and another frees leave holes in the C library's heaps."""

from __future__ import annotations

import ctypes
import sys

_ARENA_MAX = -8  # a name of `mallopt` (glibc)
HEAPS = 2


def keep_heaps_small() -> None:
    """Share few heaps between the threads (glibc only), which gives every thread its own; call it before threads are started.

    Taking each picture from the system instead would leave no holes at all, but costs a tenth of the processor's time.
    """
    _tell_c_library("mallopt", _ARENA_MAX, HEAPS)


def give_back_memory() -> None:
    """Return unused pages to the system (glibc only); takes a few milliseconds."""
    _tell_c_library("malloc_trim", 0)


def _tell_c_library(name: str, *numbers: int) -> None:
    if sys.platform != "linux":
        return
    try:
        getattr(ctypes.CDLL(None), name)(*numbers)
    except (OSError, AttributeError):  # another C library
        return
