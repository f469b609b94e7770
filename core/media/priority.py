"""Threads that let others go first."""

from __future__ import annotations

import contextlib
import os
import threading

LOW = 10  # of 19: still gets a tenth of a busy core, which an encoder needs


def lower_thread_priority() -> None:
    """Let the calling thread run behind the others, where the system knows priorities of single threads."""
    if hasattr(os, "setpriority") and hasattr(os, "PRIO_PROCESS") and os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW)
