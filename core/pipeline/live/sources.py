"""Where the live chain gets its material: a camera, a video file played as if it were one, recorded motion, the demo."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from core.assets import resource
from core.errors import DeviceError, InputError
from core.media.camera_device import OpenCvCamera
from core.media.cameras import CameraInfo
from core.media.video_reader import StillReader, VideoReader, open_video
from core.pipeline.live.state import Captured
from core.tracking.filters import interpolate
from core.tracking.motion_clip import MotionClip, read_motion
from core.types import Frame, HeadParams

STILL_FPS = 10
SEAM_NS = 300_000_000  # over which the end of a looping motion fades into its beginning
_LATE_NS = 200_000_000  # frames that are later than this are dropped
_CLOSEST_NS = 4_000_000  # frames nearer to the one before are dropped: no screen shows 250 in a second
_LONGEST_WAIT_NS = 250_000_000  # a reader that is told to stop must hear of it
_LONGEST_SEARCH_NS = 100_000_000  # catching up after a stall takes less; a decoder that is too slow never catches up


class CameraSource:
    """A camera. Every opening uses a device of its own, so that a source whose thread hangs in a driver can be opened again.

    Args:
        info: which camera.
        width, height, fps: wanted; 0 leaves it to the camera.
        make_device: opens it; replaced in tests.
    """

    is_live = True

    def __init__(self, info: CameraInfo, width: int = 0, height: int = 0, fps: int = 0,
                 make_device: Callable[[CameraInfo, int, int, int], OpenCvCamera] = OpenCvCamera) -> None:
        self.name, self.device_id = info.name, info.id
        self._make = lambda: make_device(info, width, height, fps)
        self._device: OpenCvCamera | None = None

    def open(self) -> None:
        """Open the camera and wait for its first picture. Raises DeviceError."""
        self._device = None
        device = self._make()
        device.open()
        self._device = device

    def read(self) -> Captured | None:
        """The next frame; None when none came in time. Raises DeviceError."""
        if self._device is None:
            raise DeviceError(f"{self.name} is not open")
        frame = self._device.read()
        return None if frame is None else Captured(frame, frame.time_ns)

    def close(self) -> None:
        """Release the camera."""
        if self._device is not None:
            self._device.close()


class Pacer:
    """Tells when the items of a file are due, and waits for them.

    Args:
        clock: nanoseconds.
        sleep: seconds.
    """

    def __init__(self, clock: Callable[[], int], sleep: Callable[[float], None]) -> None:
        self.clock, self._sleep = clock, sleep
        self._start: int | None = None
        self._last = -_CLOSEST_NS

    def due(self, time_ns: int) -> int:
        """When an item at `time_ns` of playing time is due; the first one is due now."""
        if self._start is None:
            self._start = self.clock() - time_ns
        return self._start + time_ns

    def wait(self, due_ns: int) -> bool:
        """Wait until then, but not for long. Returns whether the time has come."""
        left = due_ns - self.clock()
        if left > 0:
            self._sleep(min(left, _LONGEST_WAIT_NS) * 1e-9)
        return left <= _LONGEST_WAIT_NS

    def is_late(self, due_ns: int) -> bool:
        """Whether to drop what was due then rather than lag behind."""
        return self.clock() - due_ns > _LATE_NS

    def slip(self, due_ns: int) -> int:
        """Give up the time lost: what was due at `due_ns` is due now, and all that follows is as much later."""
        late = self.clock() - due_ns
        self._start = (self._start or 0) + late
        return due_ns + late


class VideoSource:
    """A video file played as a camera: each frame comes when its time stamp says so, on a clock that does not drift.

    A decoder that cannot keep up makes frames be dropped, and play slower if even that does not help. A still picture plays
    as ten equal frames a second.

    Args:
        path: of the file.
        loop: begin again at the end; may be changed at any time.
        clock, sleep: replaced in tests.
    """

    is_live = False

    def __init__(self, path: str | Path, loop: bool = True, *, clock: Callable[[], int] = time.perf_counter_ns,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self.path, self.loop = Path(path), loop
        self.name = self.path.name
        self._clock, self._sleep = clock, sleep
        self._items: Iterator[tuple[Frame, int, int]] | None = None
        self._pending: tuple[Frame, int, int] | None = None

    def open(self) -> None:
        """Open the file. Raises InputError."""
        reader = open_video(self.path)
        self._items = self._still(reader) if isinstance(reader, StillReader) else self._laps(reader)
        self._pending = None
        self._pacer = Pacer(self._clock, self._sleep)
        self._last_due, self._count = -_CLOSEST_NS, 0

    def read(self) -> Captured | None:
        """The next frame, when it is due; None when that is not soon. Raises EOFError at the end, InputError."""
        if self._items is None:
            raise InputError(f"{self.path} is not open")
        search_until = self._clock() + _LONGEST_SEARCH_NS
        while True:
            if self._pending is None:
                self._pending = next(self._items, None)
                if self._pending is None:
                    raise EOFError(f"{self.path} is over")
            frame, playing_ns, lap = self._pending
            due = self._pacer.due(playing_ns)
            if not self._pacer.wait(due):
                return None
            self._pending = None
            if self._pacer.is_late(due) and self._clock() > search_until:
                due = self._pacer.slip(due)  # dropping frames does not help
            if not self._pacer.is_late(due) and due - self._last_due >= _CLOSEST_NS:
                return self._captured(frame, due, lap)
            if self._clock() > search_until:
                return None

    def close(self) -> None:
        """Close the file."""
        items, self._items, self._pending = self._items, None, None
        if items is not None:
            items.close()

    def _captured(self, frame: Frame, due: int, lap: int) -> Captured:
        self._last_due = due
        self._count += 1
        return Captured(replace(frame, time_ns=due, index=self._count - 1), due, frame.time_ns, lap)

    def _laps(self, reader: VideoReader) -> Iterator[tuple[Frame, int, int]]:
        """Frames with their playing time, which goes on from lap to lap, and the lap."""
        start = 0
        for lap, frames in enumerate(reader.laps()):
            count, end = 0, 0
            for frame in frames:
                count, end = count + 1, frame.time_ns
                yield frame, start + end, lap
            if not count:
                raise InputError(f"{self.path} can no longer be read", "it was changed or removed while it played")
            if not self.loop:
                return
            last = round(end / (count - 1)) if count > 1 else round(1e9 / reader.fps)  # how long the last frame is shown
            start += end + last

    def _still(self, reader: VideoReader) -> Iterator[tuple[Frame, int, int]]:
        picture, number = next(iter(reader)), 0
        while True:
            yield picture, number * round(1e9 / STILL_FPS), 0
            number += 1


class MotionSource:
    """Recorded motion in real time. A loop has no jump: its last 300 ms fade into its first.

    Args:
        motion: a file, or a clip.
        loop: begin again at the end; may be changed at any time.
        name: for the user; the file's by default.
        clock, sleep: replaced in tests.
    """

    is_live = False

    def __init__(self, motion: str | Path | MotionClip, loop: bool = True, name: str = "", *,
                 clock: Callable[[], int] = time.perf_counter_ns, sleep: Callable[[float], None] = time.sleep) -> None:
        self._motion = motion if isinstance(motion, MotionClip) else Path(motion)
        self.loop = loop
        self.name = name or (self._motion.name if isinstance(self._motion, Path) else "Motion")
        self._clock, self._sleep = clock, sleep
        self._items: Iterator[tuple[HeadParams, int, int, int]] | None = None
        self._pending: tuple[HeadParams, int, int, int] | None = None

    def open(self) -> None:
        """Read the file. Raises InputError."""
        clip = read_motion(self._motion) if isinstance(self._motion, Path) else self._motion
        if not len(clip):
            raise InputError(f"{self.name} holds no motion")
        self._items, self._pending = self._play(clip), None
        self._pacer = Pacer(self._clock, self._sleep)

    def read(self) -> Captured | None:
        """The next parameters, when they are due; None when that is not soon. Raises EOFError at the end."""
        if self._items is None:
            raise InputError(f"{self.name} is not open")
        if self._pending is None:
            self._pending = next(self._items, None)
        if self._pending is None:
            raise EOFError(f"{self.name} is over")
        params, playing_ns, position_ns, lap = self._pending
        due = self._pacer.due(playing_ns)
        if not self._pacer.wait(due):
            return None
        self._pending = None
        if self._pacer.is_late(due):
            due = self._pacer.slip(due)
        return Captured(replace(params, time_ns=due), due, position_ns, lap)

    def close(self) -> None:
        """Forget the motion."""
        self._items = self._pending = None

    def _play(self, clip: MotionClip) -> Iterator[tuple[HeadParams, int, int, int]]:
        """Parameters, their playing time, their place in the clip and the lap.

        A lap after the first begins behind the seam, whose parameters the lap before has faded into already.
        """
        track = [replace(params, time_ns=params.time_ns - clip.params[0].time_ns) for params in clip.params]
        times = [params.time_ns for params in track]
        length = times[-1]
        seam = min(SEAM_NS, length // 3)
        period = length - seam if length else round(1e9 / STILL_FPS)
        lap, played = 0, -1
        while True:
            for params in track:
                place = params.time_ns
                if lap * period + place <= played or (lap and place <= seam and length):
                    continue
                if self.loop and length and place > length - seam:
                    begun = _sample(track, times, place - period)
                    params = interpolate(params, begun, (place - period) / seam)
                played = lap * period + place
                yield params, played, place, lap
            if not self.loop:
                return
            lap += 1


def demo_source(loop: bool = True) -> MotionSource:
    """The motion that ships with the program."""
    return MotionSource(resource("demo_motion.npz"), loop, "Demo")


def _sample(track: list[HeadParams], times: list[int], time_ns: int) -> HeadParams:
    """The motion at any time between its frames."""
    after = min(bisect_right(times, time_ns), len(track) - 1)
    before = max(after - 1, 0)
    span = times[after] - times[before]
    return interpolate(track[before], track[after], (time_ns - times[before]) / span if span else 1.0)
