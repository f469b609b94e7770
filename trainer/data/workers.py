"""Work on a dataset in several processes, none of which outlives the command that started it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

import cv2

from core.threads import keep_blas_to_one_thread


def finished(make: Callable[..., None], jobs: list[tuple], workers: int) -> Iterator[tuple]:
    """Calls `make(*job)` for every job and yields the jobs as they are done. One worker works in this process."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            make(*job)
            yield job
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        running = {pool.submit(make, *job): job for job in jobs}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    keep_blas_to_one_thread()
    cv2.setNumThreads(1)
    threading.Thread(target=_leave_with_the_parent, name="parent watch", daemon=True).start()


def _leave_with_the_parent() -> None:
    """A killed parent tells its pool nothing: workers would wait for ever. What they were writing is written anew next time."""
    multiprocessing.parent_process().join()
    os._exit(1)
