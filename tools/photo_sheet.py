"""Draw photographs beside the avatars made of them: photograph, front, both sides, smile, open mouth.

usage: python -m tools.photo_sheet PHOTO [PHOTO ...] --out SHEET.jpg
       python -m tools.photo_sheet --seeds 3 41 --out docs/photo_to_avatar.jpg

With seeds, the photographs are renderings of studio people before a wall: pictures that may be shown to anybody.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.avatar.model import Avatar
from core.errors import AgoraError
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.head.model import HeadModel
from core.head.presets import preset
from core.media.image import write_image
from core.render.renderer import Renderer, open_renderer
from core.studio import build_identity, pose_identity
from core.types import HeadParams
from trainer.invert.looks import looks_of
from trainer.invert.person import InvertedPerson, InvertProgress
from trainer.invert.studio_route import invert_by_studio
from trainer.invert.view import PhotoReader

TILE = 320
SIDE = math.radians(30)
BACKGROUND = (0.50, 0.52, 0.55)
SHOTS = (("neutral", 0.0), ("neutral", -SIDE), ("neutral", SIDE), ("smile", 0.0), ("jaw open", 0.0))
PHOTO_SIZE, PHOTO_YAWS = 640, (-0.25, 0.10, 0.30)
WALL = ((0.42, 0.47, 0.44), (0.20, 0.22, 0.24))


def row(made: InvertedPerson, photo: NDArray[np.uint8], head: HeadModel, renderer: Renderer) -> NDArray[np.uint8]:
    """The photograph [S, S, 3] and the shots of one person, side by side."""
    avatar = Avatar(made.pack, made.identity)
    rest = HeadParams.neutral(head.expression_count)
    tiles = [cv2.resize(photo, (TILE, TILE), interpolation=cv2.INTER_AREA)]
    for name, yaw in SHOTS:
        face = preset(head, name)
        params = replace(rest, expression=face.expression.astype(np.float32), jaw_pose=face.pose[2].astype(np.float32))
        camera = orbit_camera(yaw, 0.0, TILE, TILE)
        cloud = avatar.seen_from(camera, avatar.drive(params, rest.head_translation))
        tiles.append(renderer.render(cloud, camera, BACKGROUND)[..., :3])
    return np.hstack(tiles)


def studio_photo(seed: int, yaw: float, head: HeadModel, renderer: Renderer) -> NDArray[np.uint8]:
    """A studio person before a wall, as a camera a little to the side sees them [S, S, 3]."""
    person = build_identity(seed, head)
    expression = head.expression(mouthSmile=0.25)
    cloud = pose_identity(person, head.vertices(person.shape, expression), expression)
    drawn = renderer.render(cloud, orbit_camera(yaw, 0.05, PHOTO_SIZE, PHOTO_SIZE)).astype(np.float32)
    blend = np.linspace(0, 1, PHOTO_SIZE)[:, None, None] * np.ones((1, PHOTO_SIZE, 1))
    wall = 255 * (np.array(WALL[0]) * (1 - blend) + np.array(WALL[1]) * blend)
    return (drawn[..., :3] + (1 - drawn[..., 3:] / 255) * wall).round().clip(0, 255).astype(np.uint8)


def rows(photos: list[Path], head: HeadModel, renderer: Renderer) -> Iterator[NDArray[np.uint8]]:
    """Of all photographs that can be used; why the others cannot is printed."""
    reader = PhotoReader(head)
    for path in photos:
        try:
            views = [reader(path)]
            made = invert_by_studio(views, head, lambda shape, views=views: looks_of(views, head, shape), _quiet)
        except AgoraError as error:
            print(error.message)
            continue
        print(f"{path.name}: {made.scores}")
        yield row(made, views[0].picture, head, renderer)
    reader.close()


def _quiet(news: InvertProgress) -> None:
    """Nobody waits at the sheet's terminal."""


def main() -> int:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(prog="python -m tools.photo_sheet", description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--seeds", nargs="*", type=int, default=[])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    head, renderer = load_open_head(), open_renderer("cpu")
    with tempfile.TemporaryDirectory() as folder:
        photos = list(options.photos)
        for i, seed in enumerate(options.seeds):
            photos.append(Path(folder) / f"seed_{seed}.png")
            write_image(photos[-1], studio_photo(seed, PHOTO_YAWS[i % len(PHOTO_YAWS)], head, renderer))
        drawn = list(rows(photos, head, renderer))
    if not drawn:
        return 2
    write_image(options.out, np.vstack(drawn))
    print(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
