"""The texture sheet: skin above, the other parts in a strip below; and region masks sampled from the base mesh's pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.head.mesh import boundary_loops
from core.head.uv import FaceLayout, UvMap, texture_importance, unwrap_skin
from tools.bake_open_head.topology import PART_NAMES, Topology

STRIP = 0.125  # height of the strip below the skin
MARGIN = 0.03  # of a box of the strip, kept empty on every side
BOXES = {  # left edge and width in the strip
    "eye_l": (0.0, 0.125), "eye_r": (0.125, 0.125), "mouth": (0.25, 0.1875), "teeth_u": (0.4375, 0.1875),
    "teeth_l": (0.625, 0.1875), "tongue": (0.8125, 0.125), "lashes": (0.9375, 0.0625),
}
SHOULDER_HEIGHT = -0.178  # metres from the eyes: below it the texture gets little room
MASKS = ("lips", "eyelids", "ears", "face")
TEETH_ARCH_DEPTH = 0.6  # decimetres: centre of the arch that the teeth are unrolled around


def texture_sheet(topology: Topology, mean: NDArray, joints: NDArray) -> tuple[NDArray, NDArray, UvMap]:
    """Texture coordinates [T, 2], faces [F, 3] in the order of the mesh's, and the skin's map by itself."""
    skin = topology.parts["skin"]
    loops = boundary_loops(skin)
    mouth = min(loops[1:], key=lambda loop: mean[loop, 1].mean())
    layout = FaceLayout(joints[3], joints[4], mean[mouth].mean(0) - [0, 0.003, 0], SHOULDER_HEIGHT)
    skin_map = unwrap_skin(mean, skin, texture_importance(mean, layout), 1 - STRIP)
    uv, faces = [skin_map.uv + [0, STRIP]], [skin_map.faces]
    for name in PART_NAMES[1:]:
        ids, local = np.unique(topology.parts[name], return_inverse=True)
        faces.append(local.reshape(-1, 3) + sum(len(block) for block in uv))
        uv.append(_into_box(_flat(topology, name, ids), BOXES[name]))
    return np.concatenate(uv), np.concatenate(faces), skin_map


def region_masks(topology: Topology, textures: Path) -> dict[str, NDArray[np.float32]]:
    """Masks [V] in 0..1, read from the base mesh's mask pictures through its own texture coordinates."""
    masks = {}
    for name in MASKS:
        picture = cv2.imread(str(textures / f"mpfb_{name}.jpg"), cv2.IMREAD_GRAYSCALE)
        height, width = picture.shape
        column = np.clip(np.round(topology.uv_of_source[:, 0] * (width - 1)), 0, width - 1).astype(int)
        row = np.clip(np.round((1 - topology.uv_of_source[:, 1]) * (height - 1)), 0, height - 1).astype(int)
        mask = np.zeros(topology.vertex_count, np.float32)
        mask[:len(topology.source)] = picture[row, column] / 255
        masks[name] = mask
    return masks


def _flat(topology: Topology, name: str, ids: NDArray) -> NDArray[np.float64]:
    """Flat coordinates [N, 2] of a part's vertices, in any unit."""
    points = topology.rest[ids]
    if name.startswith("eye"):
        direction = topology.sphere[(ids - len(topology.source)) % len(topology.sphere)]
        radius = np.minimum(np.arccos(np.clip(direction[:, 2], -1, 1)) / np.pi, 0.97) ** 0.8  # the iris gets more room
        azimuth = np.arctan2(direction[:, 1], direction[:, 0])
        return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth)], 1)
    if name == "mouth":
        return topology.mouth_uv[ids]
    if name.startswith("teeth"):
        return np.stack([np.arctan2(points[:, 0], points[:, 2] - TEETH_ARCH_DEPTH), points[:, 1]], 1)
    if name == "tongue":
        return np.stack([points[:, 0], points[:, 2] + 0.35 * points[:, 1]], 1)
    return np.stack([points[:, 0], points[:, 1] + points[:, 2]], 1)


def _into_box(flat: NDArray, box: tuple[float, float]) -> NDArray[np.float64]:
    low, size = flat.min(0), np.ptp(flat, axis=0) + 1e-9
    left, width = box
    inner = 1 - 2 * MARGIN
    return (flat - low) / size * [width * inner, STRIP * inner] + [left + MARGIN * width, MARGIN * STRIP]
