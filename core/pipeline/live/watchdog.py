"""Whether a camera still delivers: decided from times and pictures alone, so that it can be tested without either."""

from __future__ import annotations

import zlib
from enum import Enum

import numpy as np
from numpy.typing import NDArray

SILENCE_NS = 900_000_000
FIRST_PICTURE_NS = 3_000_000_000
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 4.0)
_FROZEN_PICTURES = 3  # equal ones beside the first, so that a very slow camera is not taken for a frozen one
_DARK = 16  # a covered camera may deliver exact black; noise would show above
_SAMPLES = 48  # rows and columns that are compared


class Trouble(Enum):
    """What is wrong with a source, in words for the user."""

    SILENT = "No pictures arrive. Check the cable and other programs that use the camera."
    FROZEN = "The picture stands still. Unplug the camera and plug it in again if this goes on."


class Watchdog:
    """Watches one opening of a camera.

    Args:
        opened_ns: when it was opened.
        still: mark of a picture that is known to stand still, as of a virtual camera that shows a slide: the camera has been
            opened again because of it, and it came back.
    """

    def __init__(self, opened_ns: int, still: int | None = None) -> None:
        self.mark: int | None = None
        self._still = still
        self._last_ns, self._limit_ns = opened_ns, FIRST_PICTURE_NS
        self._equal, self._since_ns = 0, opened_ns

    def received(self, now_ns: int, mark: int | None) -> None:
        """A picture came; `mark` is what `picture_mark` says of it."""
        self._last_ns, self._limit_ns = now_ns, SILENCE_NS
        if mark is not None and mark == self.mark:
            self._equal += 1
            return
        if self.mark is not None and mark != self._still:
            self._still = None
        self.mark, self._equal, self._since_ns = mark, 0, now_ns

    def trouble(self, now_ns: int) -> Trouble | None:
        """What is wrong by now."""
        if now_ns - self._last_ns >= self._limit_ns:
            return Trouble.SILENT
        if self.is_still(now_ns) and self.mark != self._still:
            return Trouble.FROZEN
        return None

    def is_still(self, now_ns: int) -> bool:
        """Whether the same picture has come again and again for a second."""
        return self._equal >= _FROZEN_PICTURES and now_ns - self._since_ns >= SILENCE_NS


def picture_mark(image: NDArray[np.uint8]) -> int | None:
    """A number that differs between pictures of a real sensor, which are never free of noise; None for a dark picture.

    Args:
        image: uint8 [H, W, 3].
    """
    height, width = image.shape[:2]
    samples = np.ascontiguousarray(image[::max(1, height // _SAMPLES), ::max(1, width // _SAMPLES)])
    return None if samples.max() <= _DARK else zlib.crc32(samples) ^ (height << 16 | width)


def back_off(attempt: int) -> int:
    """Nanoseconds until reconnecting attempt number `attempt`, counted from 0."""
    return round(BACK_OFF_SECONDS[min(attempt, len(BACK_OFF_SECONDS) - 1)] * 1e9)
