"""The second thread of the CPU renderer. It draws tiles from the end of the list while the first thread draws from its front.

Nobody ever waits for anybody. When the first thread reaches the tiles that the helper has taken, it copies those that are
finished and draws the others itself; a helper that the operating system has put aside costs nothing but its help.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from core.render.cpu.blend import Workspace, blend_tiles


@dataclass(frozen=True)
class HelperJob:
    """One picture's work for the helper.

    Attributes:
        inputs: first arguments of `blend_tiles`.
        picture: [H, W] uint32 of the helper's own.
        ends: shared with the first thread.
        finished: [tiles] uint8, which tiles are complete in `picture`.
        done: set when the helper has let go of the job.
    """

    inputs: tuple
    picture: NDArray[np.uint32]
    ends: NDArray[np.int64]
    finished: NDArray[np.uint8]
    done: threading.Event = field(default_factory=threading.Event)


class Helper:
    """A thread that lives as long as its renderer."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._jobs: SimpleQueue[HelperJob | None] = SimpleQueue()
        self._last: HelperJob | None = None
        self._thread = threading.Thread(target=self._work, name="splat helper", daemon=True)
        self._thread.start()

    def start(self, inputs: tuple, shape: tuple[int, int], ends: NDArray[np.int64], tiles: int) -> HelperJob | None:
        """Let the helper work on a picture; None while it is still busy with an earlier one."""
        if self._last is not None and not self._last.done.is_set():
            return None
        self._last = HelperJob(inputs, np.empty(shape, np.uint32), ends, np.zeros(tiles, np.uint8))
        self._jobs.put(self._last)
        return self._last

    def stop(self) -> None:
        """End the thread after the job in hand."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            blend_tiles(*job.inputs, self._workspace, job.picture.reshape(-1), job.ends, True, job.finished)
            job.done.set()
