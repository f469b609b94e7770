"""People as files of Gaussians: which formats there are, what is in a file, and files that are whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.assets import write_atomically
from core.avatar.cloud_file import turned
from core.avatar.model import Avatar
from core.errors import OutputError
from core.export.ply import ply_bytes
from core.export.splat import importance_order, splat_bytes
from core.export.spz import spz_bytes
from core.geometry import portrait_camera
from core.media.formats import require_writable
from core.types import FloatArray, Gaussians, HeadParams

CLOUD_KINDS = ("ply", "splat", "spz")
NATIVE_AXES = {"ply": "3dgs", "splat": "3dgs", "spz": "head"}  # what readers of the format expect
_INVISIBLE = 1 / 255
_PORTRAIT = portrait_camera(512, 512)

Encode = Callable[[Gaussians], bytes]


@dataclass(frozen=True)
class CloudOptions:
    """How people become files of Gaussians.

    Attributes:
        kind: one of `CLOUD_KINDS`.
        axes: of the file, "3dgs" or "head"; those that readers of the format expect when empty. SPZ has fixed ones.
        sh_degree: of the coefficients in a PLY, 0..3; those above 0 are zero.
        averted: in packs with soft facing, Gaussians that look away fade as the camera moves, which other viewers do not do.
            ``keep``: they stay as they are. ``fade``: they are as faint as seen from the front.
    """

    kind: str
    axes: str = ""
    sh_degree: int = 0
    averted: Literal["keep", "fade"] = "keep"

    @property
    def suffix(self) -> str:
        return f".{self.kind}"

    @property
    def file_axes(self) -> str:
        return self.axes or NATIVE_AXES[self.kind]


def cloud_of(avatar: Avatar, params: HeadParams, options: CloudOptions, rest_translation: FloatArray | None = None) -> Gaussians:
    """A person as driven by `params`, in the axes of the file. All of a person's clouds have the same order.

    Raises:
        InputError: the pack is driven by another ψ.
    """
    cloud = avatar.drive(params, rest_translation)
    if options.averted == "fade":
        cloud = avatar.seen_from(_PORTRAIT, cloud)
    return turned(cloud) if options.file_axes == "3dgs" else cloud


def encoder(options: CloudOptions, first: Gaussians) -> Encode:
    """Turns clouds of one person into the content of files, all in the order that suits the first one."""
    if options.kind == "ply":
        return lambda cloud: ply_bytes(cloud, options.file_axes, options.sh_degree)
    if options.kind == "splat":
        order = importance_order(first)
        return lambda cloud: splat_bytes(cloud, order)
    return spz_bytes


def write_cloud(path: Path, avatar: Avatar, params: HeadParams, options: CloudOptions,
                rest_translation: FloatArray | None = None) -> Gaussians:
    """Writes a person to one file, without the Gaussians that have faded away.

    Returns:
        What is in the file.

    Raises:
        OutputError: the file cannot be written.
    """
    cloud = cloud_of(avatar, params, options, rest_translation)
    if options.averted == "fade":
        cloud = cloud.subset(cloud.opacity >= _INVISIBLE)
    write_file(path, encoder(options, cloud)(cloud))
    return cloud


def write_file(path: Path, content: bytes) -> None:
    """Writes a file that is whole or not there. Raises OutputError."""
    try:
        write_atomically(path.absolute(), content)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def check_file_output(path: Path, suffix: str) -> None:
    """Raise OutputError unless a file with this suffix can be made at `path`."""
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path} must end in {suffix}")
    require_writable(path)


def check_folder_output(path: Path) -> None:
    """Raise OutputError unless a folder can be made at `path`; an empty one may be there."""
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file", "several files go into a folder; choose another --out")
    if path.is_dir() and any(path.iterdir()):
        raise OutputError(f"{path} is a folder with files in it", "choose another --out")
    require_writable(path.absolute().parent / f".{path.name}.{secrets.token_hex(6)}")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that takes its name when the block is done; on an error or Ctrl-C nothing stays.

    Raises:
        OutputError: it cannot be made or moved.
    """
    path = path.absolute()
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}"
    try:
        temporary.mkdir()
        yield temporary
        if path.is_dir():
            path.rmdir()
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
