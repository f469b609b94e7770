"""Takes that were never closed: found, and made into proper ones or thrown away."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core.errors import AgoraError, InputError, OutputError
from core.media.recovery import make_playable, measure, recover_recording
from core.media.video_writer import UNFINISHED_SUFFIX, Recording
from core.pipeline.live.motion_journal import JOURNAL_SUFFIX, read_journal
from core.pipeline.live.take import (
    MOTION_SUFFIX,
    SIDECAR_SUFFIX,
    VIDEO_SUFFIXES,
    Sidecar,
    Take,
    name_of,
    read_sidecar,
    read_take,
    write_sidecar,
)
from core.pipeline.live.take_folder import free_bytes
from core.tracking.motion_clip import write_motion

log = logging.getLogger(__name__)

QUIET_SECONDS = 20.0  # a recording of unknown or distant owner that has not grown for so long is taken for dead
RECOVERED = "recovered after the program had ended unexpectedly"


@dataclass(frozen=True)
class Unfinished:
    """A take that was never closed.

    Attributes:
        folder, name: where it is.
        video: the unfinished video, None when only the motion is left.
        journal: the motion, None when only the video is left.
        info: what its sidecar says, None when that is missing or damaged.
        modified: when it last grew.
        bytes: of all its files.
    """

    folder: Path
    name: str
    video: Path | None
    journal: Path | None
    info: Sidecar | None
    modified: datetime
    bytes: int

    def seconds(self) -> float:
        """How much of the video can be recovered; reads the whole file. 0 when nothing can."""
        try:
            return measure(self.video)[1] if self.video is not None else 0.0
        except AgoraError:
            return 0.0

    @property
    def key(self) -> Path:
        return self.folder / self.name


def find_unfinished_takes(folder: Path) -> list[Unfinished]:
    """Takes that nobody is writing any more and that were never closed, oldest first."""
    found: dict[str, dict[str, Path]] = {}
    try:
        paths = list(folder.iterdir())
    except OSError:
        return []
    for path in paths:
        if path.name.endswith(JOURNAL_SUFFIX):
            found.setdefault(name_of(path), {})["journal"] = path
        elif path.name.endswith(tuple(suffix + UNFINISHED_SUFFIX for suffix in VIDEO_SUFFIXES)):
            found.setdefault(name_of(path), {})["video"] = path
    takes = (_unfinished(folder, name, files.get("video"), files.get("journal")) for name, files in found.items())
    return sorted((take for take in takes if take is not None), key=lambda take: take.modified)


def recover_take(unfinished: Unfinished, note: str = RECOVERED) -> Take:
    """Make a proper take of what is there. Files go only when what replaces them has been written and checked.

    Raises:
        InputError: nothing of the video can be read; its motion, where there is some, has been kept as a motion clip.
        OutputError: the results cannot be written.
    """
    folder, name = unfinished.folder, unfinished.name
    motion_error = keep_motion(unfinished.journal) if unfinished.journal is not None else ""
    if unfinished.video is None:
        raise InputError(f"the video of “{name}” is missing", f"its motion is kept in {name}{MOTION_SUFFIX}")
    target = folder / unfinished.video.name.removesuffix(UNFINISHED_SUFFIX)
    recording = rescue_video(unfinished.video, target)
    info = unfinished.info or Sidecar(target.name, unfinished.modified)
    notes = tuple(text for text in (*info.notes, note, motion_error) if text)
    write_sidecar(folder / (name + SIDECAR_SUFFIX),
                  replace(info, video=target.name, seconds=recording.seconds, frames=recording.frames, notes=notes,
                          finished=True, owner=None))
    return read_take(target)


def discard_take(unfinished: Unfinished) -> None:
    """Throw an unfinished take away. Raises OutputError."""
    try:
        for path in (unfinished.video, unfinished.journal):
            if path is not None:
                path.unlink(missing_ok=True)
        sidecar = unfinished.folder / (unfinished.name + SIDECAR_SUFFIX)
        if unfinished.info is not None and not unfinished.info.finished:
            sidecar.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"“{unfinished.name}” cannot be deleted: {error.strerror or error}") from error


def settle_journals(folder: Path) -> None:
    """Make motion clips of the journals of finished takes that had no room for one when they ended."""
    for journal in sorted(folder.glob(f"*{JOURNAL_SUFFIX}")):
        try:
            info = read_sidecar(folder / (name_of(journal) + SIDECAR_SUFFIX))
        except InputError:
            continue
        if info.finished:
            keep_motion(journal)


def rescue_video(part: Path, target: Path) -> Recording:
    """The video of an unfinished recording: copied into a proper file where there is room for that, else made playable in
    place. Raises InputError, OutputError."""
    if free_bytes(part.parent) > 1.1 * part.stat().st_size + 1_000_000:
        try:
            return recover_recording(part, target)
        except OutputError as error:
            log.warning("%s; making it playable in place", error)
    return make_playable(part, target)


def keep_motion(journal: Path) -> str:
    """Turn a journal into a motion clip. Returns why that cannot be done, in words; empty when it is done."""
    try:
        write_motion(journal.with_name(name_of(journal) + MOTION_SUFFIX), read_journal(journal))
        journal.unlink()
    except (AgoraError, OSError) as error:
        log.warning("the motion in %s stays as it is: %s", journal, error)
        return f"the motion could not be converted: {getattr(error, 'message', error)}"
    return ""


def _unfinished(folder: Path, name: str, video: Path | None, journal: Path | None) -> Unfinished | None:
    """None when somebody is still writing it, or when it has just gone."""
    sidecar = folder / (name + SIDECAR_SUFFIX)
    try:
        info = read_sidecar(sidecar) if sidecar.exists() else None
    except InputError:
        info = None
    try:
        states = [path.stat() for path in (video, journal) if path is not None]
    except OSError:
        return None
    modified = max(state.st_mtime for state in states)
    if _is_being_written(info, modified) or (video is None and info is not None and info.finished):
        return None
    size = sum(state.st_size for state in states)
    return Unfinished(folder, name, video, journal, info, datetime.fromtimestamp(modified).astimezone(), size)


def _is_being_written(info: Sidecar | None, modified: float) -> bool:
    if info is not None and info.owner is not None and info.owner.is_here:
        return info.owner.is_alive
    if info is not None and info.owner is None:
        return False
    return abs(time.time() - modified) < QUIET_SECONDS
