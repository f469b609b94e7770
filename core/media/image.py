"""Still pictures: upright RGB whatever the file holds (EXIF orientation, grey, CMYK, 16 bit, transparency)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from core.assets import write_atomically
from core.errors import InputError, OutputError
from core.media.ffmpeg import MAX_PIXELS, require_file
from core.media.formats import require_writable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_BEHIND_TRANSPARENCY = (128, 128, 128, 255)
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")


def is_image(path: Path) -> bool:
    """Whether a file's first bytes are those of a still picture."""
    with path.open("rb") as file:
        head = file.read(12)
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture, upright, as uint8 RGB [H, W, 3]; transparent parts become grey. Raises InputError."""
    path = Path(path)
    require_file(path)
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{path} is too large: {image.width} x {image.height} pixels",
                                 f"at most {MAX_PIXELS // 1_000_000} million pixels can be read")
            return _to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} is a damaged picture: {error}") from error


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write RGB [H, W, 3] or RGBA [H, W, 4] in the format of the suffix; the file is whole or not there. Raises OutputError."""
    path = Path(path)
    check_image_output(path)
    picture, content = Image.fromarray(image), io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=92) if _is_jpeg(path) else picture.save(content, path.suffix[1:])
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def check_image_output(path: Path) -> None:
    """Raise OutputError unless a picture can be written at `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} has no picture's ending", f"use one of {' '.join(SUFFIXES)}")
    require_writable(path)


def _is_jpeg(path: Path) -> bool:
    return path.suffix.lower() in (".jpg", ".jpeg")


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.uint32) >> 8
        image = Image.fromarray(deep.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        backdrop = Image.new("RGBA", image.size, _BEHIND_TRANSPARENCY)
        image = Image.alpha_composite(backdrop, image.convert("RGBA"))
    return np.ascontiguousarray(np.asarray(image.convert("RGB")))
