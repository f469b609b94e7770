"""When a picture belongs in a recording: at its capture, never out of order."""

from __future__ import annotations

from core.pipeline.live.state import LivePicture

SHORTEST_STEP_NS = 1_000_000


class Timeline:
    """Turns the times of live pictures into times of a recording, which begins with its first picture at 0.

    A picture that was only drawn anew has no capture of its own. It is placed where a capture would lie that had taken as
    long to appear as the last real one.

    Attributes:
        start_ns: `perf_counter_ns` of time 0.
        last_ns: time of the picture placed last.
    """

    def __init__(self) -> None:
        self.start_ns = 0
        self.last_ns = 0
        self._started = False
        self._delay_ns = 0  # from the capture to the finished picture

    def place(self, picture: LivePicture) -> int | None:
        """Time of a picture; None for one that comes too late to be shown."""
        if picture.fresh:
            self._delay_ns = max(0, picture.finished_ns - picture.captured_ns)
            captured_ns = picture.captured_ns
        else:
            captured_ns = picture.finished_ns - self._delay_ns
        if not self._started:
            self._started, self.start_ns = True, captured_ns
            return 0
        time_ns = captured_ns - self.start_ns
        if time_ns < self.last_ns + SHORTEST_STEP_NS:
            if not picture.fresh:
                return None
            time_ns = self.last_ns + SHORTEST_STEP_NS
        self.last_ns = time_ns
        return time_ns

    def hold(self, captured_ns: int, after_ns: int) -> int | None:
        """Time for a repetition of the last picture, when that lies `after_ns` back at least."""
        time_ns = captured_ns - self.start_ns
        if not self._started or time_ns - self.last_ns < after_ns:
            return None
        self.last_ns = time_ns
        return time_ns
