"""Live pictures made for tests: a grey scene that flashes white, as finished pictures with their capture times."""

from __future__ import annotations

import numpy as np

from core.geometry import portrait_camera
from core.pipeline.live.state import LivePicture
from core.types import Frame, HeadParams

EXPRESSIONS = 49
LATENCY_NS = 60_000_000


def params(value: float = 0.0, time_ns: int = 0) -> HeadParams:
    """Parameters that can be told apart by their first expression."""
    head = HeadParams.neutral(EXPRESSIONS)
    psi = head.psi()
    psi[0] = value
    return HeadParams(**{**head.with_psi(psi).__dict__, "time_ns": time_ns})


def live_picture(captured_ns: int, level: int = 40, *, size: tuple[int, int] = (64, 64), position_ns: int | None = None,
                 lap: int = 0, fresh: bool = True, frame_level: int | None = None, alpha: int | None = None, value: float = 0.0,
                 finished_ns: int | None = None, index: int = 0) -> LivePicture:
    """A picture of one grey level, `size` = (width, height); optionally with a camera frame and a premultiplied head."""
    width, height = size
    image = np.full((height, width, 3), level, np.uint8)
    frame = None if frame_level is None else Frame(np.full((90, 160, 3), frame_level, np.uint8), captured_ns, index)
    heads = ()
    if alpha is not None:
        heads = (np.dstack([np.full((height, width, 3), level * alpha // 255, np.uint8),
                            np.full((height, width), alpha, np.uint8)]),)
    driven = params(value, captured_ns)
    return LivePicture(image, heads, driven, driven, driven.psi(), frame, None, portrait_camera(width, height), captured_ns,
                       captured_ns + LATENCY_NS if finished_ns is None else finished_ns, position_ns, lap, index, fresh)


class FakeClock:
    """`perf_counter_ns` that stands still until it is told to go on."""

    def __init__(self, now: int = 5_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now
