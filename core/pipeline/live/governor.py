"""The frame-time governor: lowers the quality of drawing step by step to keep the frame rate, raises it when there is time again.

It only decides. It is told what every picture took, owns no thread, and reads no clock but the times it is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from core.pipeline.live.state import Quality
from core.render.reference import ALPHA_MIN

LOWER_AFTER_NS = 1_000_000_000
RAISE_AFTER_NS = 5_000_000_000
LONGEST_RAISE_AFTER_NS = 320_000_000_000
FEWEST_PICTURES = 4  # that a decision needs
CROWDED = 150_000  # splats
HEADROOM = 0.8  # share of the time there is that the next better quality may be expected to take
_FAILED_WITHIN = 4.0  # times the wait: a raise that does not last that long counts as a mistake
_LONGEST_GAP_NS = 500_000_000  # pauses in the drawing are no evidence of anything


@dataclass(frozen=True)
class Rung:
    """One quality of drawing.

    Attributes:
        name: in words.
        alpha_min: contributions below it are skipped.
        short_side: pixels along the picture's shorter side at which heads are drawn before they are enlarged; 0 for all.
        share: one of so many splats is drawn, enlarged (`core.avatar.thinning`). Only where there are `CROWDED` of them: what
            smaller heads take depends more on the pixels.
        saves: how many times longer the next better quality takes at most. What is measured on the way down may be more: then
            something else kept the machine busy just then.
    """

    name: str
    alpha_min: float = ALPHA_MIN
    short_side: int = 0
    saves: float = 1.0
    share: int = 1


FULL = Rung("full quality")
LADDER = (FULL, Rung("faint splats skipped", 1 / 64, saves=1.3), Rung("drawn at 384 px", 1 / 64, 384, saves=1.6),
          Rung("drawn at 256 px", 1 / 64, 256, saves=1.6), Rung("every second splat at 256 px", 1 / 64, 256, 1.7, share=2),
          Rung("every fourth splat at 256 px", 1 / 64, 256, 1.6, share=4))


class Governor:
    """Walks a ladder of qualities.

    It steps down when drawing has taken longer than the time between pictures for a second, and up when the next better
    quality would have fitted comfortably for five. A step up that has to be taken back doubles the wait before the next try.
    """

    def __init__(self) -> None:
        self._enabled, self._target_fps = True, 30.0
        self._ladder = LADDER
        self._ratios: dict[int, float] = {}  # rung: how many times what the rung below it took
        self.reset()

    def reset(self) -> None:
        """Full quality, nothing learned."""
        self._rung = 0
        self._reason = ""
        self._reasons: dict[int, str] = {}  # rung: why it was entered from above
        self._ratios.clear()
        self._wait_ns = RAISE_AFTER_NS
        self._raised_ns: int | None = None
        self._forget()

    @property
    def rung(self) -> Rung:
        """How to draw now."""
        return self._ladder[self._rung]

    @property
    def quality(self) -> Quality:
        """The choice in words."""
        return Quality(LADDER.index(self.rung), self.rung.name, self._reason)

    def configure(self, enabled: bool, target_fps: float) -> None:
        """Whether to lower the quality at all, and the frame rate to keep."""
        if (enabled, target_fps) != (self._enabled, self._target_fps):
            self._enabled, self._target_fps = enabled, float(target_fps)
            self.reset()

    def set_picture(self, pixels: int, splats: int = 0) -> None:
        """Tell the picture's shorter side and how many splats are in it: rungs that would not help are left out."""
        ladder = tuple(rung for rung in LADDER if (rung.share > 1 and splats >= CROWDED)
                       or (rung.share == 1 and (rung.short_side == 0 or rung.short_side < pixels)))
        if ladder != self._ladder:
            self._ladder = ladder
            self.reset()

    def add(self, milliseconds: float, now_ns: int, source_fps: float = 0.0) -> bool:
        """Take what a picture took.

        Args:
            milliseconds: wall time of drawing it.
            now_ns: when it was finished.
            source_fps: how often there is something new to draw; 0 when nothing is known. More than that is not asked for.

        Returns:
            whether the quality changed.
        """
        if not self._enabled:
            return False
        if self._times and now_ns - self._times[-1][0] > _LONGEST_GAP_NS + milliseconds * 1e6:
            self._forget()
        if self._start_ns is None:
            self._start_ns = now_ns
        self._times.append((now_ns, milliseconds))
        while self._times[0][0] < now_ns - LOWER_AFTER_NS and len(self._times) > FEWEST_PICTURES:
            self._times.popleft()
        if now_ns - self._start_ns < LOWER_AFTER_NS or len(self._times) < FEWEST_PICTURES:
            return False
        taken = float(np.median([value for _, value in self._times]))
        available = 1e3 / self._wanted_fps(source_fps)
        if taken > available:
            return self._lower(taken, available, now_ns)
        return self._consider_raising(taken, available, now_ns)

    def _wanted_fps(self, source_fps: float) -> float:
        # A source that gives a little less than was asked for, or a badly measured one, does not relax the target.
        return source_fps if 1.0 < source_fps < 0.9 * self._target_fps else self._target_fps

    def _lower(self, taken: float, available: float, now_ns: int) -> bool:
        self._roomy_since = None
        if self._rung + 1 >= len(self._ladder):
            self._reason = f"drawing takes {taken:.0f} ms even so, {available:.0f} ms are there"
            return False
        if self._raised_ns is not None and now_ns - self._raised_ns < _FAILED_WITHIN * self._wait_ns:
            self._wait_ns = min(2 * self._wait_ns, LONGEST_RAISE_AFTER_NS)
        self._raised_ns = None
        self._rung += 1
        self._reason = self._reasons[self._rung] = f"drawing took {taken:.0f} ms, {available:.0f} ms are there"
        self._before = taken
        self._forget()
        return True

    def _consider_raising(self, taken: float, available: float, now_ns: int) -> bool:
        if self._before is not None and self._rung > 0:
            self._ratios[self._rung] = min(max(self._before / max(taken, 1e-3), 1.0), self.rung.saves)
            self._before = None
        if self._raised_ns is not None and now_ns - self._raised_ns >= _FAILED_WITHIN * self._wait_ns:
            self._raised_ns, self._wait_ns = None, RAISE_AFTER_NS  # it lasted: the machine has become faster
        if self._rung == 0:
            return False
        self._reason = self._reasons[self._rung]
        if taken * self._ratios.get(self._rung, self.rung.saves) > HEADROOM * available:
            self._roomy_since = None
            return False
        if self._roomy_since is None:
            self._roomy_since = now_ns
        if now_ns - self._roomy_since < self._wait_ns:
            return False
        self._rung -= 1
        self._raised_ns = now_ns
        self._reason = self._reasons.get(self._rung, "")
        self._forget()
        return True

    def _forget(self) -> None:
        """Evidence of one quality says nothing about another."""
        self._times: deque[tuple[int, float]] = deque()
        self._start_ns: int | None = None
        self._roomy_since: int | None = None
        self._before = getattr(self, "_before", None)
