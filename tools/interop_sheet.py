"""What other programs get: the avatar beside its exported files, read again, at rest and smiling.

`python -m tools.interop_sheet [--out FILE]`. Needs trimesh, which reads the mesh.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core import cli
from core.avatar.model import Avatar
from core.avatar.sources import open_source
from core.export.head_rig import rig_of, shape_of
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.head.mesh import project, rasterize_mesh
from core.head.presets import Preset, preset
from core.media.image import write_image
from core.render.renderer import open_renderer
from core.types import Camera, FloatArray, Gaussians, HeadParams

SEEDS = ("7", "1012")
FACES = (("neutral", 0.0), ("smile", 0.55))  # and the camera's yaw, radians
KINDS = ("ply", "splat", "spz")
TILE, LABEL = 288, 26
WALL = 0.86
DEFAULT_OUT = Path(__file__).parents[1] / "docs" / "export_3d.jpg"


class Sheet:
    """Draws people and their files."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._source, self._head = folder, open_source(), load_open_head()
        self._renderer = open_renderer("cpu")

    def row(self, seed: str, face: Preset, yaw: float) -> NDArray[np.uint8]:
        """The avatar, its files of Gaussians, and its mesh, side by side."""
        camera = orbit_camera(yaw, 0.02, TILE, TILE)
        avatar = Avatar(self._source.pack, self._source.build(seed))
        tiles = [self._cloud(avatar.drive(face.head_params()), camera)]
        for kind in KINDS:
            shown = open_source(self._export(kind, seed, face.name))
            person = Avatar(shown.pack, shown.build("0"))
            tiles.append(self._cloud(person.drive(HeadParams.neutral(person.psi_layout.expression)), camera))
        tiles.append(self._mesh(avatar, trimesh.load(self._export("glb", seed), process=False), face, camera))
        return np.concatenate(tiles, 1)

    def _export(self, kind: str, seed: str, face: str = "") -> Path:
        path = self._folder / f"{seed}{face}.{kind}"
        words = ["export", kind, "--seed", seed, "--out", str(path), *(["--expression", face] if face else [])]
        if not path.exists() and cli.main(words):
            raise SystemExit(2)
        return path

    def _cloud(self, cloud: Gaussians, camera: Camera) -> NDArray[np.uint8]:
        return self._renderer.render(cloud, camera, (WALL, WALL, WALL))[..., :3]

    def _mesh(self, avatar: Avatar, scene: trimesh.Scene, face: Preset, camera: Camera) -> NDArray[np.uint8]:
        """The mesh of the file, unlit, four samples a pixel; its vertices posed as its joints and targets say."""
        shaped = self._head.neutral(shape_of(avatar.pack, avatar.identity, self._head))
        rig = rig_of(self._head, shaped)
        posed = self._head.vertices(shaped, face.expression, face.pose)[rig.vertex]
        fine = Camera(camera.world_to_camera, 2 * camera.fx, 2 * camera.fy, 2 * camera.cx, 2 * camera.cy, 2 * TILE, 2 * TILE)
        parts = list(scene.geometry.values())
        faces = np.concatenate([part.faces for part in parts]).astype(np.int32)
        seen = rasterize_mesh(project(fine, posed), faces, fine.width, fine.height)
        uv = np.einsum("hwk,hwkc->hwc", seen.barycentric, np.asarray(parts[0].visual.uv)[faces[np.maximum(seen.triangle, 0)]])
        picture = _looked_up(np.asarray(parts[0].visual.material.baseColorTexture)[..., :3].astype(np.float32), uv)
        picture[seen.triangle < 0] = 255 * WALL
        return np.rint(picture.reshape(TILE, 2, TILE, 2, 3).mean((1, 3))).astype(np.uint8)


def _looked_up(texture: FloatArray, uv: FloatArray) -> FloatArray:
    """Bilinear; trimesh has v up."""
    size = texture.shape[0]
    x, y = (np.clip(c * size - 0.5, 0, size - 1.001) for c in (uv[..., 0], 1 - uv[..., 1]))
    i, j = y.astype(int), x.astype(int)
    a, b = (y - i)[..., None], (x - j)[..., None]
    above, below = (texture[k, j] * (1 - b) + texture[k, j + 1] * b for k in (i, i + 1))
    return above * (1 - a) + below * a


def _labelled(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    sheet = Image.fromarray(np.concatenate([np.full((LABEL, rows[0].shape[1], 3), 255, np.uint8), *rows]))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for column, name in enumerate(("avatar", "PLY, read again", ".splat, read again", "SPZ, read again", "glTF mesh")):
        pen.text((column * TILE + 8, 5), name, (40, 40, 40), font)
    return np.asarray(sheet)


def main() -> int:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(prog="python -m tools.interop_sheet", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        sheet = Sheet(Path(folder))
        rows = [sheet.row(seed, preset(load_open_head(), name), yaw) for seed in SEEDS for name, yaw in FACES]
    write_image(out, _labelled(rows))
    print(f"{out}: {math.prod(rows[0].shape[:2]) * len(rows) // 1000} thousand pixels")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
