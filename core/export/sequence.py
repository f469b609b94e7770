"""A motion as a folder of clouds, one a frame: what splat players and editors import as an animation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.avatar.model import Avatar
from core.errors import InputError
from core.export.clouds import CloudOptions, cloud_of, encoder, write_file
from core.types import FloatArray, HeadParams

INDEX = "index.json"
FORMAT = "agora-sequence"

Progress = Callable[[int], None]  # frames that are done


def write_sequence(folder: Path, avatar: Avatar, frames: Sequence[HeadParams], fps: float, options: CloudOptions,
                   rest_translation: FloatArray | None = None, progress: Progress = lambda done: None) -> int:
    """Writes ``frame_000000.ply`` and so on, and `INDEX`. Gaussian i is the same in all frames.

    Args:
        folder: exists and is empty.
        frames: what each file shows.
        fps: files to a second, for the index.

    Returns:
        How many Gaussians every frame has.

    Raises:
        OutputError: a file cannot be written.
    """
    names, encode, count = [], None, 0
    for number, params in enumerate(frames):
        cloud = cloud_of(avatar, params, options, rest_translation)
        encode = encode or encoder(options, cloud)
        names.append(f"frame_{number:06d}{options.suffix}")
        write_file(folder / names[-1], encode(cloud))
        count = len(cloud)
        progress(number + 1)
    manifest = avatar.pack.manifest
    about = {"format": FORMAT, "version": 1, "person": avatar.identity.name, "pack": manifest.name, "licence": manifest.licence,
             "fps": round(fps, 6), "gaussians": count, "axes": options.file_axes, "frames": names}
    write_file(folder / INDEX, json.dumps(about, indent=1, ensure_ascii=False).encode())
    return count


def chosen_frames(params: Sequence[HeadParams], fps: float, frames: tuple[int, int] | None = None,
                  wanted_fps: float | None = None) -> tuple[list[HeadParams], float]:
    """A part of a motion, by choice at another frame rate: then the nearest frame is taken for each.

    Args:
        fps: of the motion.
        frames: number of the first and of the last one.

    Returns:
        The frames, and how many there are to a second.

    Raises:
        InputError: the motion has no such frames.
    """
    first, last = frames or (0, len(params) - 1)
    if not 0 <= first <= last < len(params):
        raise InputError(f"frames {first}-{last} are not in the motion, which has {len(params)}",
                         f"choose from 0-{len(params) - 1}")
    part = list(params[first:last + 1])
    if wanted_fps is None:
        return part, fps
    times = np.array([frame.time_ns for frame in part], np.int64) / 1e9
    times -= times[0]
    ticks = np.arange(int(np.floor(times[-1] * wanted_fps + 1e-6)) + 1) / wanted_fps
    after = np.searchsorted(times, ticks).clip(0, len(part) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(np.abs(times[before] - ticks) < np.abs(times[after] - ticks), before, after)
    return [part[i] for i in nearest], wanted_fps
