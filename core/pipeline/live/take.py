"""What a take is on disk: a video, the motion that made it, and a sidecar that says who, how and when."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from core.assets import write_atomically
from core.errors import AgoraError, InputError, OutputError
from core.media.video_reader import VideoReader
from core.media.video_writer import UNFINISHED_SUFFIX
from core.pipeline.background import Picture, cover
from core.pipeline.live.motion_journal import JOURNAL_SUFFIX, read_journal
from core.pipeline.provenance import provenance
from core.tracking.motion_clip import MotionClip, read_motion

FORMAT, VERSION = "agora-take", 1
SIDECAR_SUFFIX, MOTION_SUFFIX = ".json", ".motion.npz"
VIDEO_SUFFIXES = (".mp4", ".webm")
LARGEST_SIDECAR = 4 << 20
THUMBNAIL_AT = 10  # the frame that stands for a take: the first ones may show an eased-in face


@dataclass(frozen=True)
class TakeAbout:
    """Who and what a take shows.

    Attributes:
        person: as the user names it: a seed, or a mix such as 7+42@0.5.
        pack, pack_sha256: the avatar pack and its fingerprint.
        program: version of the program.
        canvas, background, layout: how it looked.
        sound: where the sound came from, in words.
        source: what drove it, in words.
        shape: shape coefficients of the calibrated person who drove it.
    """

    person: str = ""
    pack: str = ""
    pack_sha256: str = ""
    program: str = ""
    canvas: str = ""
    background: str = ""
    layout: str = "avatar"
    sound: str = ""
    source: str = ""
    shape: tuple[float, ...] = ()

    def metadata(self, title: str) -> dict[str, str]:
        """Texts that go into the video itself, so that it tells where it comes from when it has left its folder."""
        return provenance(title, self.person, self.pack, self.pack_sha256, self.program)


@dataclass(frozen=True)
class Marker:
    """A place in a take that the user wants to find again."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Owner:
    """The process that is writing a take."""

    host: str
    pid: int
    born: float

    @staticmethod
    def this_process() -> Owner:
        return Owner(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @property
    def is_here(self) -> bool:
        """Whether it runs on this computer, so that `is_alive` can know."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; its number alone would not do, numbers are given again."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.born) < 1.0
        except psutil.Error:
            return False


@dataclass(frozen=True)
class Sidecar:
    """The JSON file beside a take. Written when the take begins and again when it ends.

    Attributes:
        video: file name of the video.
        owner: who is writing the take; None when nobody is any more.
        finished: the take was closed in order, or recovered.
    """

    video: str
    started: datetime
    about: TakeAbout = field(default_factory=TakeAbout)
    seconds: float = 0.0
    frames: int = 0
    dropped: int = 0
    width: int = 0
    height: int = 0
    markers: tuple[Marker, ...] = ()
    notes: tuple[str, ...] = ()
    finished: bool = False
    owner: Owner | None = None


@dataclass(frozen=True)
class Take:
    """A take that can be played.

    Attributes:
        video, sidecar: its files.
        motion: the motion clip (.npz), or the journal where there was no room to make one of it; None when it is missing.
        bytes: of the video.
    """

    video: Path
    sidecar: Path
    motion: Path | None
    info: Sidecar
    bytes: int

    @property
    def name(self) -> str:
        return self.video.stem

    @property
    def seconds(self) -> float:
        return self.info.seconds

    @property
    def started(self) -> datetime:
        return self.info.started

    @property
    def about(self) -> TakeAbout:
        return self.info.about

    def files(self) -> list[Path]:
        """All files of the take that exist, the video first."""
        return [path for path in (self.video, self.motion, self.sidecar) if path is not None and path.exists()]

    def read_motion(self) -> MotionClip:
        """The motion that made the take. Raises InputError when there is none that can be read."""
        if self.motion is None:
            raise InputError(f"the motion of {self.video} is missing", f"{self.name}{MOTION_SUFFIX} belongs beside it")
        return read_journal(self.motion) if self.motion.name.endswith(JOURNAL_SUFFIX) else read_motion(self.motion)


# ------------------------------------------------------------------------------------------------------------ sidecars


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write a sidecar; an existing one is replaced at once or not at all. Raises OutputError."""
    try:
        write_atomically(path, encode_sidecar(sidecar))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """The bytes of a sidecar's file."""
    content = {"format": FORMAT, "version": VERSION, **asdict(sidecar), "started": sidecar.started.isoformat()}
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def read_sidecar(path: Path) -> Sidecar:
    """Read what `write_sidecar` wrote. Raises InputError: missing, damaged, not a take's, or of a newer version."""
    try:
        if path.stat().st_size > LARGEST_SIDECAR:
            raise InputError(f"{path}: too large for a take's description")
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a readable description of a take") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise InputError(f"{path} is not the description of a take")
    if not isinstance(raw.get("version"), int) or raw["version"] > VERSION:
        raise InputError(f"{path}: take format {raw.get('version')} is newer than this program's {VERSION}", "update the program")
    try:
        return _parse(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: the description of the take is damaged") from error


def _parse(raw: Mapping[str, Any]) -> Sidecar:
    about = {name: raw["about"].get(name, "") for name in TakeAbout.__dataclass_fields__ if name != "shape"}
    if not all(isinstance(text, str) for text in about.values()):
        raise TypeError
    video = str(raw["video"])
    if Path(video).name != video:
        raise ValueError
    owner = Owner(str(raw["owner"]["host"]), int(raw["owner"]["pid"]), float(raw["owner"]["born"])) if raw.get("owner") else None
    return Sidecar(
        video=video, started=datetime.fromisoformat(raw["started"]),
        about=TakeAbout(**about, shape=tuple(float(x) for x in raw["about"].get("shape", ()))),
        seconds=float(raw["seconds"]), frames=int(raw["frames"]), dropped=int(raw["dropped"]), width=int(raw["width"]),
        height=int(raw["height"]), markers=tuple(Marker(float(m["seconds"]), str(m["text"])) for m in raw["markers"]),
        notes=tuple(map(str, raw["notes"])), finished=bool(raw["finished"]), owner=owner)


# --------------------------------------------------------------------------------------------------------------- takes


def read_take(path: Path) -> Take:
    """The take of a video or sidecar file. Raises InputError."""
    sidecar = path.with_name(name_of(path) + SIDECAR_SUFFIX)
    info = read_sidecar(sidecar)
    video = sidecar.with_name(info.video)
    try:
        size = video.stat().st_size
    except OSError as error:
        raise InputError(f"{video} is missing") from error
    motions = (sidecar.with_name(name_of(video) + suffix) for suffix in (MOTION_SUFFIX, JOURNAL_SUFFIX))
    return Take(video, sidecar, next((motion for motion in motions if motion.is_file()), None), info, size)


def list_takes(folder: Path) -> list[Take]:
    """Takes in a folder, newest first. Other videos, and what is damaged or unfinished, are left out."""
    takes = []
    try:
        sidecars = sorted(folder.glob(f"*{SIDECAR_SUFFIX}"))
    except OSError:
        return []
    for sidecar in sidecars:
        try:
            take = read_take(sidecar)
        except InputError:
            continue
        if take.info.finished:
            takes.append(take)
    return sorted(takes, key=lambda take: (take.started, take.name), reverse=True)


def check_take(take: Take) -> list[str]:
    """What is wrong with a take, in words; empty when video and motion can be read and belong together."""
    problems = []
    for what, read in (("video", lambda: VideoReader(take.video)), ("motion", take.read_motion)):
        try:
            found = read()
        except AgoraError as error:
            problems.append(f"{what}: {error.message}")
            continue
        length = found.duration if what == "video" else found.params[-1].time_ns / 1e9
        if abs(length - take.seconds) > 2.0:
            problems.append(f"{what}: lasts {length:.1f} s instead of {take.seconds:.1f} s")
    return problems


def rename_take(take: Take, name: str) -> Take:
    """Give all files of a take another name. Raises OutputError: there is a take of that name, or it cannot be done."""
    name = safe_name(name)
    if not name:
        raise OutputError("a take needs a name")
    if name == take.name:
        return take
    video = take.video.with_name(name + take.video.suffix)
    renamed = {old: old.with_name(name + old.name.removeprefix(take.name)) for old in take.files() if old != take.sidecar}
    sidecar = take.video.with_name(name + SIDECAR_SUFFIX)
    if any(path.exists() for path in (*renamed.values(), sidecar)):
        raise OutputError(f"there is a take called “{name}” already", "choose another name")
    write_sidecar(sidecar, replace(take.info, video=video.name))
    done = []
    try:
        for old, new in renamed.items():
            os.rename(old, new)
            done.append((old, new))
        take.sidecar.unlink()
    except OSError as error:
        for old, new in done:
            os.rename(new, old)
        sidecar.unlink(missing_ok=True)
        raise OutputError(f"{take.video} cannot be renamed: {error.strerror or error}") from error
    return read_take(video)


def thumbnail(video: Path, width: int = 96, height: int = 72) -> Picture | None:
    """A small picture [height, width, 3] of a take, also of an unfinished one; None when nothing in it decodes."""
    try:
        picture = None
        for frame in VideoReader(video):
            picture = frame.image
            if frame.index >= THUMBNAIL_AT:
                break
    except (AgoraError, OSError):
        return None
    return None if picture is None else cover(picture, width, height)


def safe_name(text: str, longest: int = 80) -> str:
    """A file name on every system: letters, digits and a few signs; no dots at its ends."""
    name = re.sub(r"[^\w +@.,=()\-]", "_", text).strip(" .")
    while len(name.encode()) > 2 * longest or len(name) > longest:
        name = name[:-1]
    return name.strip(" .")


def take_name(started: datetime, person: str) -> str:
    """The name of a take that begins now."""
    who = f"seed {person}" if person[:1].isdigit() else person
    return safe_name(f"{started:%Y-%m-%d %H.%M.%S} {who}")


def name_of(path: Path) -> str:
    """The take's name in the name of any of its files."""
    name = path.name
    for suffix in (UNFINISHED_SUFFIX, JOURNAL_SUFFIX, MOTION_SUFFIX, SIDECAR_SUFFIX, *VIDEO_SUFFIXES):
        name = name.removesuffix(suffix)
    return name
