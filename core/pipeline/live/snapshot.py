"""A still of what is on stage, with everything that is needed to make it again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from core.assets import write_atomically
from core.errors import OutputError
from core.pipeline.live.state import LivePicture
from core.pipeline.live.take import TakeAbout
from core.pipeline.live.take_picture import TakeComposer

FORMAT, VERSION = "agora-snapshot", 1


def write_snapshot(path: Path, picture: LivePicture, about: TakeAbout, transparent: bool = False) -> None:
    """Write a PNG and, beside it, its parameters as JSON.

    Args:
        path: of the PNG.
        transparent: keep the heads' own coverage instead of the picture as on screen.

    Raises:
        OutputError: the files cannot be written.
    """
    layout = "alpha" if transparent and picture.heads else "avatar"
    image = TakeComposer(layout, picture).compose(picture)
    parameters = snapshot_parameters(picture, about)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Title", path.stem)
    texts.add_itxt("Comment", about.metadata(path.stem)["comment"])
    texts.add_itxt("Software", f"AGORA live {about.program}")
    texts.add_itxt("Parameters", json.dumps(parameters))
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(content, "PNG", pnginfo=texts)
    try:
        write_atomically(path, content.getvalue())
        write_atomically(path.with_suffix(".json"), json.dumps(parameters, indent=1).encode())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}", "choose another folder") from error


def snapshot_parameters(picture: LivePicture, about: TakeAbout) -> dict[str, object]:
    """What made a picture, as plain values: radians, metres, pixels."""
    camera, driven = picture.camera, picture.driven
    return {
        "format": FORMAT, "version": VERSION, "person": about.person, "pack": about.pack, "pack_sha256": about.pack_sha256,
        "program": about.program, "background": about.background, "source": about.source,
        "psi": _numbers(picture.psi), "head_rotation": _numbers(driven.head_rotation),
        "head_translation": _numbers(driven.head_translation), "scores": _numbers(driven.scores),
        "camera": {"world_to_camera": [_numbers(row) for row in camera.world_to_camera], "fx": float(camera.fx),
                   "fy": float(camera.fy), "cx": float(camera.cx), "cy": float(camera.cy), "width": int(camera.width),
                   "height": int(camera.height)},
    }


def _numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in np.asarray(values).ravel()]
