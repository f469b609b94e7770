"""Records what is on stage: every picture with its own time, the sound in step, the motion beside it, and nothing ever waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path

from core.errors import AgoraError, OutputError
from core.media.live_sound import SoundSource
from core.media.priority import lower_thread_priority
from core.media.video_writer import is_disk_full
from core.pipeline.live.state import LivePicture
from core.pipeline.live.take import Marker, Take, TakeAbout
from core.pipeline.live.take_files import TakeFiles, TakeSettings
from core.pipeline.live.take_folder import DiskGuard, DiskState, FreeBytes, free_bytes
from core.pipeline.live.take_picture import TakeComposer, lightened
from core.pipeline.live.timeline import Timeline
from core.types import HeadParams

log = logging.getLogger(__name__)

LONGEST_QUEUE_NS = 2_000_000_000
LARGEST_QUEUE = 160_000_000  # bytes of pictures that wait
HOLD_NS = 400_000_000  # a picture that stands still is written again after so long, so that a kill costs little
HOLD_LAG_NS = 200_000_000  # how far such a repetition stays behind the clock, for pictures that are still being made
WAKE_SECONDS, FLUSH_SECONDS, GUARD_SECONDS = 0.1, 0.25, 1.0
ASLEEP_SECONDS = 8.0  # a thread that wakes every 0.1 s and finds so much gone: the computer slept
DRAIN_SECONDS = 1.5  # after `stop`, pictures that still wait are given up


class Ending(Enum):
    """Why a recording ended."""

    STOPPED = "stopped"
    DISK_FULL = "disk full"
    FOLDER_GONE = "folder gone"
    SLEPT = "slept"
    FAILED = "failed"


@dataclass(frozen=True)
class TakeStatus:
    """How a recording is doing.

    Attributes:
        seconds, bytes: length and size so far.
        free: bytes on the disk.
        seconds_left: until the disk stops the recording; None while that is not known.
        dropped: pictures that could not be encoded in time.
        warning: what the user should know, in words; empty when all is well.
        sound_problem: as `SoundSource.problem`.
    """

    seconds: float = 0.0
    bytes: int = 0
    free: int = 0
    seconds_left: float | None = None
    dropped: int = 0
    warning: str = ""
    sound_problem: str = ""


@dataclass(frozen=True)
class TakeEnd:
    """What a recording came to.

    Attributes:
        take: None when nothing could be kept, or there was no picture.
        message, hint: for the user, where the recording did not end by his wish.
    """

    ending: Ending
    take: Take | None
    message: str = ""
    hint: str = ""


class TakeRecorder:
    """A sink that records (`core.pipeline.live.state.Sink`).

    Args:
        folder: where the take goes; must be there.
        settings, about: how and what.
        sound: read until the end of the recording, and then closed; None for a silent video.
        spare_folder: where the take is brought when its folder goes away.
        on_end: called once, in the recorder's thread, when the take is closed for whatever reason.
        clock: `perf_counter_ns`; alive_clock: seconds, for noticing that the computer slept; free_bytes: for tests.

    Raises OutputError when there is no room for a recording.
    """

    def __init__(self, folder: Path, settings: TakeSettings, about: TakeAbout, sound: SoundSource | None = None, *,
                 spare_folder: Path | None = None, on_end: Callable[[TakeEnd], None] | None = None,
                 clock: Callable[[], int] = time.perf_counter_ns, alive_clock: Callable[[], float] = time.monotonic,
                 free_bytes: FreeBytes = free_bytes) -> None:
        self.settings = settings
        self._sound, self._on_end, self._clock, self._alive_clock = sound, on_end, clock, alive_clock
        self._guard = DiskGuard(folder, free_bytes)
        self._disk = self._look_at_disk(folder)
        self._files = TakeFiles(folder, spare_folder, about, datetime.now().astimezone())
        self._timeline = Timeline()
        self._condition = threading.Condition()
        self._pictures: deque[tuple[int, LivePicture]] = deque()
        self._motion: deque[tuple[int, HeadParams]] = deque()
        self._queued_bytes = 0
        self._dropped = 0
        self._ending: Ending | None = None
        self._give_up_at = float("inf")
        self._markers: list[Marker] = []
        self._composer: TakeComposer | None = None
        self._last: tuple[int, object] | None = None  # time and pixels of the picture written last
        self._failure: Exception | None = None
        self._end: TakeEnd | None = None
        self._thread = threading.Thread(target=self._run, name="take recorder", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------------------------------------- from other threads

    def accept(self, picture: LivePicture) -> None:
        """Take a picture; never waits. What cannot be encoded in time loses its oldest pictures, never its motion."""
        with self._condition:
            if self._ending is not None:
                return
            time_ns = self._timeline.place(picture)
            if time_ns is None:
                return
            if self._sound is not None and picture.fresh:
                self._sound.follow(picture.captured_ns, picture.position_ns, picture.lap)
            if picture.fresh:
                self._motion.append((time_ns, picture.driven))
            light = replace(picture, **lightened(picture, self.settings.layout))
            self._pictures.append((time_ns, light))
            self._queued_bytes += _size(light)
            while len(self._pictures) > 1 and (time_ns - self._pictures[0][0] > LONGEST_QUEUE_NS
                                               or self._queued_bytes > LARGEST_QUEUE):
                self._drop_oldest()
            self._condition.notify()

    def mark(self, text: str = "") -> Marker:
        """Remember this moment."""
        with self._condition:
            marker = Marker(round(self._timeline.last_ns / 1e9, 3), text or f"marker {len(self._markers) + 1}")
            self._markers.append(marker)
        return marker

    def stop(self, timeout: float | None = None) -> TakeEnd | None:
        """End the recording and wait for it to be closed. None when that takes longer than `timeout` seconds: it goes on."""
        self.end(Ending.STOPPED)
        self._thread.join(timeout)
        return self._end

    def end(self, ending: Ending = Ending.STOPPED) -> None:
        """End the recording without waiting."""
        with self._condition:
            if self._ending is None:
                self._ending = ending
                self._give_up_at = time.monotonic() + DRAIN_SECONDS
            self._condition.notify()

    @property
    def status(self) -> TakeStatus:
        """How it is doing; cheap."""
        sound = self._sound.problem if self._sound is not None else ""
        return TakeStatus(self._timeline.last_ns / 1e9, self._files.bytes_written(), self._disk.free,
                          self._disk.seconds_left, self._dropped, self._warning(), sound)

    @property
    def backlog(self) -> int:
        """Pictures that wait."""
        return len(self._pictures)

    @property
    def name(self) -> str:
        """The take's name; empty before the first picture."""
        return self._files.name

    @property
    def result(self) -> TakeEnd | None:
        """What it came to; None while it goes on."""
        return self._end

    # ------------------------------------------------------------------------------------------------ the recorder's thread

    def _run(self) -> None:
        lower_thread_priority()
        flushed = guarded = awake = self._alive_clock()
        try:
            while True:
                job = self._next()
                if job is not None:
                    self._write(*job)
                elif self._ending is None:
                    self._hold()
                self._write_motion()
                if job is None and self._ending is not None:
                    break
                now = self._alive_clock()
                if now - awake > ASLEEP_SECONDS and job is None:
                    self.end(Ending.SLEPT)
                awake = now
                if now - flushed >= FLUSH_SECONDS:
                    flushed = now
                    self._files.flush_motion()
                if now - guarded >= GUARD_SECONDS:
                    guarded = now
                    self._watch()
        except Exception as error:
            self._failure = error
            log.warning("the recording ends: %s", error, exc_info=not isinstance(error, AgoraError | OSError))
        self._close()

    def _next(self) -> tuple[int, LivePicture] | None:
        with self._condition:
            if not self._pictures and self._ending is None:
                self._condition.wait(WAKE_SECONDS)
            while self._pictures and time.monotonic() > self._give_up_at:
                self._drop_oldest()
            if not self._pictures:
                return None
            time_ns, picture = self._pictures.popleft()
            self._queued_bytes -= _size(picture)
            return time_ns, picture

    def _write(self, time_ns: int, picture: LivePicture) -> None:
        if self._composer is None:
            self._composer = TakeComposer(self.settings.layout, picture)
            self._files.open(self._composer, self.settings, self._sound, self._timeline.start_ns,
                             picture)
        canvas = self._composer.compose(picture)
        self._files.write_picture(canvas, time_ns)
        self._last = time_ns, canvas

    def _write_motion(self) -> None:
        while self._motion and self._files.is_open:
            time_ns, params = self._motion.popleft()
            self._files.write_motion(params, time_ns)

    def _hold(self) -> None:
        """Write the last picture once more when it has stood still for a while."""
        if self._last is None:
            return
        with self._condition:
            if self._pictures:
                return
            time_ns = self._timeline.hold(self._clock() - HOLD_LAG_NS, HOLD_NS)
        if time_ns is not None:
            self._files.write_picture(self._last[1], time_ns)

    def _watch(self) -> None:
        if not self._files.is_open:
            return
        if self._files.are_gone():
            raise FileNotFoundError(f"{self._files.folder} is gone")
        self._disk = self._guard.look(self._timeline.last_ns / 1e9, self._files.bytes_written())
        if self._disk.must_stop:
            self.end(Ending.DISK_FULL)

    def _close(self) -> None:
        """Close all files, whatever happened before, and tell what came of it."""
        with self._condition:
            ending, self._ending = self._ending or Ending.FAILED, self._ending or Ending.FAILED
            self._pictures.clear()
        try:
            take, failure = self._files.close(tuple(self._markers), self._dropped)
            self._failure = self._failure or failure
            self._end = self._told(ending, take)
        except Exception as error:
            log.exception("the recording could not be closed")
            self._end = TakeEnd(Ending.FAILED, None, f"the recording could not be closed: {error}",
                                "what was written is offered for recovery at the next start")
        if self._sound is not None:
            self._sound.close()
        if self._on_end is not None:
            self._on_end(self._end)

    def _told(self, ending: Ending, take: Take | None) -> TakeEnd:
        error = self._failure
        kept = f"the first {_words(take.seconds)} are kept in {take.video}" if take is not None else "nothing could be kept"
        if error is not None and self._files.moved:
            return TakeEnd(Ending.FOLDER_GONE, take, f"the recording folder is gone; {kept}", "choose another folder")
        if is_disk_full(error):
            return TakeEnd(Ending.DISK_FULL, take, f"the disk is full; {kept}", "free some space or choose another folder")
        if error is not None:
            message = getattr(error, "message", "") or str(error)
            return TakeEnd(Ending.FAILED, take, f"the recording ended early: {message}; {kept}", getattr(error, "hint", ""))
        if take is None:
            return TakeEnd(ending, None, "nothing was recorded: no picture came", "start a camera, a video or the demo first")
        if ending is Ending.DISK_FULL:
            return TakeEnd(ending, take, f"the recording was stopped before the disk is full; {kept}",
                           "free some space or choose another folder")
        if ending is Ending.SLEPT:
            return TakeEnd(ending, take, f"the computer slept; {kept}")
        return TakeEnd(ending, take)

    # ------------------------------------------------------------------------------------------------------------- helpers

    def _look_at_disk(self, folder: Path) -> DiskState:
        try:
            state = self._guard.look(0.0, 0)
        except OSError as error:
            raise OutputError(f"{folder} cannot be used: {error.strerror or error}", "choose another folder") from error
        if state.must_stop:
            raise OutputError(f"there is no room for a recording in {folder}: {state.free / 1e6:.0f} MB are free",
                              "free some space or choose another folder")
        return state

    def _drop_oldest(self) -> None:
        _, picture = self._pictures.popleft()
        self._queued_bytes -= _size(picture)
        self._dropped += 1

    def _warning(self) -> str:
        if self._disk.is_short:
            return f"the disk is nearly full: the recording stops in {_words(self._disk.seconds_left)}"
        if self._dropped:
            return f"this computer is too busy to record every picture: {self._dropped} were left out"
        return ""


def _size(picture: LivePicture) -> int:
    """Bytes of a picture that waits."""
    frame = picture.frame.image.nbytes if picture.frame is not None else 0
    return picture.image.nbytes + frame + sum(head.nbytes for head in picture.heads)


def _words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"
