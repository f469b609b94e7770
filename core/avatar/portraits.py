"""The workshop's child process: builds people, draws their thumbnails, and keeps both on disk."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from core.assets import cache_folder, write_atomically
from core.avatar.person import Person, parse_person
from core.errors import AgoraError
from core.types import FloatArray, HeadParams

if TYPE_CHECKING:
    from core.avatar.identity import Identity
    from core.avatar.sources import IdentitySource

IDENTITY, THUMBNAIL = "identity", "thumbnail"
NICENESS = 10
MOST_THUMBNAILS = 4000
ABOUT = "About"  # PNG text with the person's name and tags, so that people can be searched without building them
_VERSION = 1
_TOP, _BOTTOM = (0.845, 0.862, 0.888), (0.585, 0.618, 0.660)


@dataclass(frozen=True)
class Job:
    """One thing to make for a person."""

    kind: str
    person: str


@dataclass(frozen=True, eq=False)
class Reply:
    """What came of a job.

    Attributes:
        identity: of an identity job, when it could not be kept on disk.
        png: of a thumbnail job.
        error: why there is neither.
    """

    identity: Identity | None = None
    png: bytes = b""
    error: AgoraError | None = None


@dataclass(frozen=True)
class KnownPerson:
    """Somebody whose thumbnail is on disk."""

    text: str
    name: str
    tags: tuple[str, ...]


class ThumbnailShelf:
    """Finished thumbnails of one source on disk. What cannot be read or written counts as absent.

    Args:
        fingerprint: of the source of people.
        size: pixels along one side.
    """

    def __init__(self, fingerprint: str, size: int) -> None:
        self.folder = cache_folder() / "thumbnails" / f"{fingerprint}-{size}-{_VERSION}"

    def path(self, person: Person) -> Path:
        return self.folder / f"{person.text}.png"

    def read(self, person: Person) -> bytes | None:
        try:
            return self.path(person).read_bytes()
        except OSError:
            return None

    def write(self, person: Person, png: bytes) -> None:
        with contextlib.suppress(OSError):
            write_atomically(self.path(person), png)

    def known(self) -> Iterator[KnownPerson]:
        """Everybody on the shelf."""
        for path in sorted(self.folder.glob("*.png")):
            with contextlib.suppress(OSError, UnidentifiedImageError, SyntaxError, ValueError, KeyError, TypeError, AgoraError), \
                    Image.open(path) as image:
                about = json.loads(image.info[ABOUT])
                yield KnownPerson(parse_person(path.stem).text, str(about["name"]), tuple(map(str, about["tags"])))

    def make_room(self, most: int = MOST_THUMBNAILS) -> None:
        """Remove the oldest beyond a number."""
        with contextlib.suppress(OSError):
            newest_first = sorted(self.folder.glob("*.png"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in newest_first[most:]:
                path.unlink(missing_ok=True)


class Portraitist:
    """Draws people at rest before a studio wall.

    Args:
        source: of people.
        size: pixels along one side.
    """

    def __init__(self, source: IdentitySource, size: int) -> None:
        from core.render.renderer import open_renderer

        self._source, self._size = source, size
        self._renderer = open_renderer("cpu")
        self._wall = _studio_wall(size)

    def png(self, person: Person) -> bytes:
        """The thumbnail. Raises AgoraError when there is no such person."""
        identity = self._source.build_person(person)
        return _encode(self._draw(identity), identity)

    def picture(self, person: Person | str, yaw: float = 0.0, params: HeadParams | None = None) -> NDArray[np.uint8]:
        """A person [size, size, 3] RGB from another side or with another face.

        Args:
            yaw: radians by which the camera goes around toward the subject's left.
            params: of the face; at rest by default.

        Raises:
            AgoraError: there is no such person, or `params` are of another head model.
        """
        return self._draw(self._source.build_person(person), yaw, params)

    def _draw(self, identity: Identity, yaw: float = 0.0, params: HeadParams | None = None) -> NDArray[np.uint8]:
        from core.avatar.model import Avatar
        from core.geometry import orbit_camera

        avatar, camera = Avatar(self._source.pack, identity), orbit_camera(yaw, 0.0, self._size, self._size)
        cloud = avatar.drive(params or HeadParams.neutral(avatar.psi_layout.expression))
        head = self._renderer.render(avatar.seen_from(camera, cloud), camera)
        clear = 1 - head[..., 3:].astype(np.float32) / 255
        return np.round(head[..., :3] + clear * self._wall).clip(0, 255).astype(np.uint8)


def serve(connection: Connection, pack_path: Path | None, size: int) -> None:
    """The child's main function: jobs come in, replies go out, until None comes or the other end is gone."""
    _keep_out_of_the_way()
    bench: _Bench | None = None
    with contextlib.suppress(EOFError, OSError), connection:
        while (job := connection.recv()) is not None:
            try:
                bench = bench or _Bench(pack_path, size)
                reply = bench.do(job)
            except AgoraError as error:
                reply = Reply(error=error)
            except Exception as error:  # a bug in one person must not take the others along
                reply = Reply(error=AgoraError(f"person {job.person} cannot be built: {type(error).__name__}: {error}"))
            connection.send(reply)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends anyway; nothing may be raised while the interpreter shuts down


class _Bench:
    """Source, shelf and portraitist, made with the first job."""

    def __init__(self, pack_path: Path | None, size: int) -> None:
        from core.avatar.sources import open_source

        self._source = open_source(pack_path)
        self._shelf = ThumbnailShelf(self._source.fingerprint, size)
        self._shelf.make_room()
        self._portraitist = Portraitist(self._source, size)

    def do(self, job: Job) -> Reply:
        person = parse_person(job.person)
        if job.kind == THUMBNAIL:
            png = self._portraitist.png(person)
            self._shelf.write(person, png)
            return Reply(png=png)
        identity = self._source.build_person(person)
        return Reply(identity=None if self._source.at_hand(person) is not None else identity)


def _keep_out_of_the_way() -> None:
    """Run only where nobody else wants to; end quietly, with half-written files removed, when asked to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which ends this process
    signal.signal(signal.SIGTERM, _end)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    else:
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


def _end(*_: object) -> None:
    """Unwind, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _studio_wall(size: int) -> FloatArray:
    """[size, size, 3] 0..255: light above, darker below and in the corners."""
    y, x = np.mgrid[0:1:size * 1j, 0:1:size * 1j]
    blend = (y * y * (3 - 2 * y))[..., None]
    wall = np.array(_TOP) * (1 - blend) + np.array(_BOTTOM) * blend
    distance = (x - 0.5) ** 2 + (y - 0.45) ** 2
    return (255 * wall * (1 - 0.3 * distance)[..., None]).astype(np.float32)


def _encode(picture: NDArray[np.uint8], identity: Identity) -> bytes:
    about = PngInfo()
    about.add_text(ABOUT, json.dumps({"name": identity.name, "tags": identity.tags}))
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", pnginfo=about)
    return content.getvalue()
