"""Where takes are kept: a folder that can be written, room on its disk, and names that overwrite nothing."""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from core.assets import data_folder
from core.errors import OutputError
from core.pipeline.live.motion_journal import JOURNAL_SUFFIX
from core.pipeline.live.take import MOTION_SUFFIX, SIDECAR_SUFFIX, VIDEO_SUFFIXES, Sidecar, encode_sidecar

log = logging.getLogger(__name__)

FOLDER_NAME = "AGORA live"
LEAST_FREE = 500_000_000  # bytes that a recording leaves free
LEAST_SECONDS, WARN_SECONDS = 60.0, 300.0
USUAL_RATE = 400_000.0  # bytes per second of a recording of which nothing is known yet
_RATE_SECONDS = 20.0

FreeBytes = Callable[[Path], int]


def default_folder() -> Path:
    """The folder for takes when the user has named none: in the user's videos."""
    return Path(platformdirs.user_videos_dir()) / FOLDER_NAME


def spare_folder() -> Path:
    """Where takes go when no other folder can be written."""
    return data_folder() / "takes"


def usable_folder(wanted: str) -> tuple[Path, str]:
    """A folder that can be written, and why it is not the wanted one (empty when it is).

    Args:
        wanted: by the user; empty for the default.

    Raises:
        OutputError: not even the spare folder can be written.
    """
    problem = ""
    first = Path(wanted).expanduser() if wanted else default_folder()
    for folder in (first, default_folder(), spare_folder()):
        reason = _why_unusable(folder)
        if not reason:
            return folder, f"{problem}; the take goes to {folder}" if problem else ""
        log.warning("%s cannot hold takes: %s", folder, reason)
        problem = problem or f"{_shortened(folder)} cannot be used: {reason}"
    raise OutputError(problem, "choose another folder for recordings")


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the disk of a folder."""
    return shutil.disk_usage(folder).free


def reserve_name(folder: Path, wanted: str, make_sidecar: Callable[[str], Sidecar]) -> str:
    """A name in `folder` that no take has, taken at once by creating its sidecar. Raises OSError.

    Args:
        make_sidecar: gives the sidecar's content for a name.
    """
    for number in itertools.count(1):
        name = wanted if number == 1 else f"{wanted} ({number})"
        suffixes = (*VIDEO_SUFFIXES, *(f"{suffix}.part" for suffix in VIDEO_SUFFIXES), MOTION_SUFFIX, JOURNAL_SUFFIX)
        if any((folder / (name + suffix)).exists() for suffix in suffixes):
            continue
        try:
            with (folder / (name + SIDECAR_SUFFIX)).open("xb") as file:
                file.write(encode_sidecar(make_sidecar(name)))
        except FileExistsError:
            continue
        return name
    raise AssertionError


@dataclass(frozen=True)
class DiskState:
    """How long a recording can go on.

    Attributes:
        free: bytes on the disk.
        seconds_left: until the recording has to stop at the present rate.
        must_stop: now.
    """

    free: int
    seconds_left: float
    must_stop: bool

    @property
    def is_short(self) -> bool:
        """Whether the user should know."""
        return self.seconds_left < WARN_SECONDS


class DiskGuard:
    """Watches the room on a disk while a recording grows.

    Args:
        folder: of the recording.
        free_bytes: tells the room on the disk of a folder, for tests.
        least_free: bytes that stay free.
    """

    def __init__(self, folder: Path, free_bytes: FreeBytes = free_bytes, least_free: int = LEAST_FREE) -> None:
        self._folder, self._free_bytes, self._least_free = folder, free_bytes, least_free
        self._history: deque[tuple[float, int]] = deque([(0.0, 0)])

    def look(self, seconds: float, written: int) -> DiskState:
        """The state after `seconds` of recording and `written` bytes. Raises OSError when the folder is gone."""
        self._history.append((seconds, written))
        while seconds - self._history[0][0] > _RATE_SECONDS and len(self._history) > 2:
            self._history.popleft()
        span, grown = seconds - self._history[0][0], written - self._history[0][1]
        rate = max(grown / span, USUAL_RATE / 10) if span >= 2 else USUAL_RATE
        free = self._free_bytes(self._folder)
        left = min((free - self._least_free) / rate, free / rate - LEAST_SECONDS)
        return DiskState(free, max(left, 0.0), left <= 0)


def _why_unusable(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # As long a name as a take's, so that a path that is too long shows now.
        with tempfile.NamedTemporaryFile(dir=folder, prefix="." + "n" * 100):
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()


def _shortened(folder: Path) -> str:
    text = str(folder)
    return text if len(text) <= 100 else f"{text[:60]}…{text[-35:]}"
