"""The open files of a take: video, motion journal, sidecar. Closed in order, or rescued when something went wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core.errors import AgoraError, OutputError
from core.head.library import load_open_head
from core.media.formats import live_codec
from core.media.live_sound import LiveSound, SoundSource
from core.media.priority import lower_thread_priority
from core.media.video_writer import Recording, VideoWriter
from core.pipeline.background import Picture
from core.pipeline.live.motion_journal import JOURNAL_SUFFIX, JournalAbout, MotionJournal, shape_of
from core.pipeline.live.state import LivePicture
from core.pipeline.live.take import (
    SIDECAR_SUFFIX,
    Marker,
    Owner,
    Sidecar,
    Take,
    TakeAbout,
    encode_sidecar,
    read_take,
    take_name,
    write_sidecar,
)
from core.pipeline.live.take_folder import reserve_name
from core.pipeline.live.take_picture import TakeComposer
from core.pipeline.live.take_recovery import keep_motion, rescue_video
from core.types import HeadParams

log = logging.getLogger(__name__)

SYNC_SECONDS = 1.0
_QUEUED = 3  # composed pictures that wait for the encoder
_COPIED = 1 << 20  # bytes at a time


@dataclass(frozen=True)
class TakeSettings:
    """How a take is made.

    Attributes:
        layout: one of `core.pipeline.live.take_picture.TAKE_LAYOUTS`.
        quality: one of `core.media.formats.LIVE_QUALITIES`.
        audio_delay_ms: by how much the sound is to come later than it was captured.
        fps: pictures per second that are to be expected.
    """

    layout: str = "avatar"
    quality: str = "balanced"
    audio_delay_ms: int = 0
    fps: float = 30.0


class TakeFiles:
    """Used by the recorder's thread alone, but for `bytes_written` and `name`.

    Args:
        folder: where they go.
        spare_folder: where they are brought when that goes away; None when there is no such place.
        about: for sidecar and metadata.
        started: wall clock at the beginning.
    """

    def __init__(self, folder: Path, spare_folder: Path | None, about: TakeAbout, started: datetime) -> None:
        self.folder, self.name = folder, ""
        self.moved = False
        self._spare_folder, self._about, self._started = spare_folder, about, started
        self._writer: VideoWriter | None = None
        self._journal: MotionJournal | None = None
        self._sidecar: Sidecar | None = None
        self._syncer: _Syncer | None = None
        self._bytes = 0

    @property
    def is_open(self) -> bool:
        return self._writer is not None

    def open(self, composer: TakeComposer, settings: TakeSettings, sound: SoundSource | None, start_ns: int,
             first: LivePicture) -> None:
        """Create the files. Raises OutputError."""
        suffix = ".webm" if composer.alpha else ".mp4"

        def sidecar(name: str) -> Sidecar:
            return Sidecar(name + suffix, self._started, self._about, width=composer.width, height=composer.height,
                           owner=Owner.this_process())

        try:
            self.name = reserve_name(self.folder, take_name(self._started, self._about.person), sidecar)
            self._sidecar = sidecar(self.name)
            self._journal = MotionJournal(self.folder / (self.name + JOURNAL_SUFFIX), _journal_about(first))
            path = self.folder / (self.name + suffix)
            self._writer = VideoWriter(
                path, composer.width, composer.height, fps=settings.fps, alpha=composer.alpha, queue_size=_QUEUED,
                codec=live_codec(path, composer.alpha, settings.quality), metadata=self._about.metadata(self.name), keep=True,
                sound=LiveSound(sound, start_ns, settings.audio_delay_ms) if sound is not None else None)
            self._writer.part.touch()  # FFmpeg makes it with the first packet
            self._syncer = _Syncer(self._writer.part)
        except (OSError, OutputError) as error:
            self._remove_empty()
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{self.folder} cannot be written: {error.strerror or error}", "choose another folder") from error

    def write_picture(self, picture: Picture, time_ns: int) -> None:
        """Encode a picture; waits for the encoder. Raises OutputError."""
        self._writer.write(picture, time_ns)

    def write_motion(self, params: HeadParams, time_ns: int) -> None:
        """Keep what made a picture."""
        if self._journal is not None:
            self._journal.append(params, time_ns)

    def flush_motion(self) -> None:
        """Hand the motion to the system. Raises OSError."""
        if self._journal is not None:
            self._journal.flush()

    def bytes_written(self) -> int:
        """Size of the video so far."""
        writer = self._writer
        if writer is not None:
            with contextlib.suppress(OSError):
                self._bytes = writer.part.stat().st_size
        return self._bytes

    def are_gone(self) -> bool:
        """Whether the video has been deleted, or its disk taken away."""
        return self._writer is not None and not self._writer.part.exists()

    def close(self, markers: tuple[Marker, ...], dropped: int) -> tuple[Take | None, Exception | None]:
        """Finish everything.

        Returns:
            The take, None when nothing could be kept, and what went wrong on the way.
        """
        if self._writer is None:
            return None, None
        rescued, failure = None, None
        if self._syncer is not None:
            rescued = self._syncer.stop(keep=self.are_gone())
        try:
            self._journal.flush()
        except OSError as error:
            failure = error
        recording, notes = None, ()
        try:
            recording = self._writer.close()
        except OutputError as error:
            failure = failure or error.__cause__ or error
            if self._writer.frames > 0:
                recording = self._rescue(rescued)
                notes = ("the recording ended early",)
        finally:
            if rescued is not None:
                os.close(rescued)
        self._journal.close() if failure is None else self._close_journal()
        if recording is None:
            self._remove_empty() if self._writer.frames == 0 else self._settle(replace(self._sidecar, owner=None))
            return None, failure
        self._sidecar = replace(self._sidecar, video=recording.path.name, seconds=round(recording.seconds, 3),
                                frames=recording.frames, dropped=dropped, markers=markers, notes=notes, finished=True, owner=None)
        self._settle(self._sidecar)
        keep_motion(self._journal.path)
        return read_take(recording.path), failure

    # -------------------------------------------------------------------------------------------------------------- rescue

    def _rescue(self, deleted: int | None) -> Recording | None:
        """What was written of a video that could not be finished; None when nothing of it can be read."""
        try:
            if self.are_gone():
                return self._bring_away(deleted)
            return rescue_video(self._writer.part, self._writer.path)
        except (AgoraError, OSError) as error:
            log.warning("the video of %s cannot be finished now: %s", self.name, error)
            return None

    def _bring_away(self, deleted: int | None) -> Recording | None:
        """Copy files that have lost their folder, but are still open, to the spare folder."""
        if deleted is None or self._spare_folder is None:
            return None
        self._spare_folder.mkdir(parents=True, exist_ok=True)
        suffix = self._writer.path.suffix
        name = reserve_name(self._spare_folder, self.name, lambda name: replace(self._sidecar, video=name + suffix))
        part = self._spare_folder / self._writer.part.name.replace(self.name, name)
        _copy(deleted, part)
        journal = self._spare_folder / (name + JOURNAL_SUFFIX)
        _copy(self._journal.descriptor, journal)
        self._close_journal()
        self.folder, self.name, self.moved = self._spare_folder, name, True
        self._journal.path = journal
        return rescue_video(part, self._spare_folder / (name + suffix))

    def _settle(self, sidecar: Sidecar) -> None:
        """Write the sidecar's last state; over the first one where a full disk does not take a second file."""
        path = self.folder / (self.name + SIDECAR_SUFFIX)
        try:
            write_sidecar(path, sidecar)
        except OutputError as error:
            log.warning("%s; writing it in place", error)
            content = encode_sidecar(sidecar)
            with contextlib.suppress(OSError), path.open("r+b") as file:
                file.write(content)
                file.truncate()

    def _close_journal(self) -> None:
        with contextlib.suppress(OSError):
            self._journal.close()

    def _remove_empty(self) -> None:
        """Leave nothing of a take that never began."""
        if self._journal is not None:
            self._close_journal()
            self._journal.path.unlink(missing_ok=True)
        if self.name:
            (self.folder / (self.name + SIDECAR_SUFFIX)).unlink(missing_ok=True)


class _Syncer:
    """Brings a growing file to the disk once a second, so that a power cut costs no more than a kill does.

    Holds the file open, by which it can still be read when somebody deletes it.
    """

    def __init__(self, path: Path) -> None:
        self._stop = threading.Event()
        self._descriptor = os.open(path, os.O_RDONLY) if os.name == "posix" else None
        self._thread = threading.Thread(target=self._run, name="take sync", daemon=True)
        if self._descriptor is not None:
            self._thread.start()

    def stop(self, keep: bool) -> int | None:
        """End. Returns a descriptor of the file when `keep` asks for it; the caller closes that."""
        if self._descriptor is None:
            return None
        kept = os.dup(self._descriptor) if keep else None
        self._stop.set()
        self._thread.join(1.0)
        return kept

    def _run(self) -> None:
        lower_thread_priority()
        while not self._stop.wait(SYNC_SECONDS):
            with contextlib.suppress(OSError):  # the encoder meets the same failure, and reports it
                os.fsync(self._descriptor)
        os.close(self._descriptor)


def _journal_about(first: LivePicture) -> JournalAbout:
    head, count = load_open_head(), len(first.driven.expression)
    names, sha256 = tuple(head.expression_names), head.sha256
    if len(names) != count:  # another head model drives; its columns have no names here
        names, sha256 = tuple(f"expression_{index:02d}" for index in range(count)), ""
    size = (first.frame.image.shape[1], first.frame.image.shape[0]) if first.frame is not None else (0, 0)
    return JournalAbout(names, sha256, size, shape_of(first.driven))


def _copy(descriptor: int, target: Path) -> None:
    """Copy an open file from its beginning."""
    at = 0
    with target.open("xb") as file:
        while content := os.pread(descriptor, _COPIED, at):
            file.write(content)
            at += len(content)
