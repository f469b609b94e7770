"""Pictures of how expression displaces the head, drawn on the posed mesh with a sample's own camera: the second image of dual
discrimination.

AGORA colours vertices by their expression-isolated displacement from the neutral face. The published text leaves the range, the
camera and the identity open; here the displacement is that of the average identity, d = V(0, ψ) - V(0, 0), without the neck,
the colour is clip(0.5 + d / 2 d_max, 0, 1) per axis, and the mesh carries the sample's identity, expression and neck and is seen
by its camera, so that the picture lies on the portrait pixel by pixel.
"""

from __future__ import annotations

from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.head.model import HeadModel
from core.types import FloatArray

LARGEST_DISPLACEMENT = 0.02
"""Metres that drive a colour to its end."""
SUPERSAMPLING = 2
_NEAREST = 0.01  # metres in front of the camera; faces that come nearer are left out


class DisplacementRenderer:
    """Draws displacement pictures of one head model. Forward only, single-threaded, without state between calls.

    Args:
        head: the head model; its lashes, which are translucent in portraits, are not drawn.
        largest_displacement: metres that drive a colour channel to 0 or 1.
    """

    def __init__(self, head: HeadModel, largest_displacement: float = LARGEST_DISPLACEMENT) -> None:
        self.head = head
        self.largest_displacement = largest_displacement
        opaque = [name for name in head.part_names if name != "lashes"]
        self._faces = np.ascontiguousarray(head.faces_of(*opaque), np.int32)

    def render(self, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
               intrinsics: FloatArray, size: int) -> FloatArray:
        """Displacement pictures [n, 3, S, S] float32 in 0..1; black where the head is not.

        Args:
            shape: [n, s] identity coefficients.
            psi: [n, P] driving vectors of the head model's layout.
            neck: [n, 3] axis-angle of the neck joint.
            world_to_camera: [n, 4, 4], OpenCV.
            intrinsics: [n, 4] fx, fy, cx, cy in pixels of a picture of `size`.
            size: width and height in pixels.

        Raises:
            InputError: numbers of another head model.
        """
        psi = np.asarray(psi, np.float32)
        layout = self.head.psi_layout
        if psi.ndim != 2 or psi.shape[1] != layout.size:
            raise InputError(f"driving vectors of {psi.shape[-1]} numbers given, head model {self.head.name} takes {layout.size}")
        pictures = np.empty((len(psi), 3, size, size), np.float32)
        for i in range(len(psi)):
            colours = self.vertex_colours(psi[i])
            vertices = self.head.driven(shape[i], psi[i], neck[i])
            points = _projected(vertices, np.asarray(world_to_camera[i]), np.asarray(intrinsics[i]) * SUPERSAMPLING)
            pictures[i] = _drawn(points, self._faces, colours, size)
        return pictures

    def vertex_colours(self, psi: FloatArray) -> FloatArray:
        """Colours [V, 3] in 0..1 of a driving vector [P]: 0.5 where expression moves nothing."""
        moved = self.head.driven(self._nobody, psi)
        displacement = moved - self.head.neutral(self._nobody).vertices
        return np.clip(0.5 + displacement / (2 * self.largest_displacement), 0, 1).astype(np.float32)

    @cached_property
    def _nobody(self) -> FloatArray:
        return np.zeros(self.head.shape_count, np.float32)


def _projected(vertices: FloatArray, world_to_camera: NDArray, intrinsics: NDArray) -> FloatArray:
    """Vertices [V, 3] as pixel x, pixel y and inverse depth [V, 3]; inverse depth 0 where they are behind the camera."""
    seen = vertices @ world_to_camera[:3, :3].T.astype(np.float32) + world_to_camera[:3, 3].astype(np.float32)
    inverse = np.where(seen[:, 2] > _NEAREST, 1 / np.maximum(seen[:, 2], _NEAREST), 0)
    return np.stack([seen[:, 0] * inverse * intrinsics[0] + intrinsics[2],
                     seen[:, 1] * inverse * intrinsics[1] + intrinsics[3], inverse], 1).astype(np.float32)


def _drawn(points: FloatArray, faces: NDArray, colours: FloatArray, size: int) -> FloatArray:
    """One picture [3, S, S]: drawn larger, then averaged."""
    wide = size * SUPERSAMPLING
    canvas = np.zeros((wide, wide, 3), np.float32)
    nearest = np.zeros((wide, wide), np.float32)
    _fill(points, faces, colours, nearest, canvas)
    picture = np.empty((3, size, size), np.float32)
    _average(canvas, picture)
    return picture


@numba.njit(cache=True, nogil=True)
def _average(canvas, picture):
    """Box filter; numpy's mean over two axes takes ten times as long."""
    factor = canvas.shape[0] // picture.shape[1]
    for y in range(picture.shape[1]):
        for x in range(picture.shape[2]):
            for channel in range(3):
                total = np.float32(0)
                for row in range(y * factor, (y + 1) * factor):
                    for column in range(x * factor, (x + 1) * factor):
                        total += canvas[row, column, channel]
                picture[channel, y, x] = total / (factor * factor)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _fill(points, faces, colours, nearest, canvas):
    """Z-buffer the faces that look at the camera, with perspective-correct colours, row by row between the edges.

    `nearest` holds inverse depths, which are linear in the picture, as are colour / depth.
    """
    height, width = nearest.shape
    for i in range(faces.shape[0]):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0:  # faces run counter-clockwise seen from outside, which is clockwise where y runs down
            continue
        wa, wb, wc = points[a, 2], points[b, 2], points[c, 2]
        if wa <= 0 or wb <= 0 or wc <= 0:
            continue
        left, right = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top, bottom = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        if left > right or top > bottom:
            continue
        inverse_area = 1 / area
        step_a, step_b = (by - cy) * inverse_area, (cy - ay) * inverse_area
        for y in range(top, bottom + 1):
            py, px = y + np.float32(0.5), left + np.float32(0.5)
            la = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse_area
            lb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse_area
            for x in range(left, right + 1):
                lc = 1 - la - lb
                if la >= 0 and lb >= 0 and lc >= 0:
                    inverse_depth = la * wa + lb * wb + lc * wc
                    if inverse_depth > nearest[y, x]:
                        nearest[y, x] = inverse_depth
                        ka, kb, kc = la * wa / inverse_depth, lb * wb / inverse_depth, lc * wc / inverse_depth
                        for channel in range(3):
                            canvas[y, x, channel] = (ka * colours[a, channel] + kb * colours[b, channel]
                                                     + kc * colours[c, channel])
                la += step_a
                lb += step_b
