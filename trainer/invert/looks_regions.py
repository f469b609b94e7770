"""What a photograph shows where: the fitted head pixel by pixel, and soft masks of skin, hair (or what covers it) and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.geometry import PORTRAIT_TARGET
from core.head.mesh import project, rasterize_mesh, vertex_normals
from core.head.model import HeadModel
from core.studio.numerics import smoothstep
from core.types import Camera, FloatArray
from trainer.invert.view import PhotoView

SIGHT_SIZE = 256  # pixels; regions and colours are measured at this size
CHIN, NECK_END = -0.112, -0.150  # heights on the template, metres
_BINS = (8, 4, 4)  # of the colour histograms, 8-bit Lab
_BLUR = (1.6, 1.3, 1.3)  # of the histograms, bins
_ROUNDS = 5
_DOUBT = 2e-6  # density of a colour that no class has shown


@dataclass(frozen=True)
class HeadSight:
    """The fitted head, with the photograph's expression, as its camera sees it at `size` pixels.

    Attributes:
        seen: [s, s] bool, where the head's skin or eyes are.
        rest: [s, s, 3] place on the template, metres; zero where nothing is seen.
        normal: [s, s, 3] unit, head space; zero where nothing is seen.
        depth: [s, s] metres along the optical axis, infinite where nothing is seen.
        triangle: [s, s] row of the head's faces, -1 where nothing is seen.
        barycentric: [s, s, 3].
        flat: [s, s, 2] x and y in head space of the point of each pixel in the plane through the middle of the head.
    """

    seen: NDArray[np.bool_]
    rest: FloatArray
    normal: FloatArray
    depth: FloatArray
    triangle: NDArray[np.int32]
    barycentric: FloatArray
    flat: FloatArray

    @property
    def size(self) -> int:
        return len(self.seen)


@dataclass(frozen=True)
class PhotoRegions:
    """Shares of a photograph's pixels [s, s] float32 in 0..1; their sum is the foreground as far as it is believed.

    Attributes:
        skin: bare skin, lips, eyes and brows.
        hair: hair of the head, or a hat or veil that covers it.
        cloth: garments.
    """

    skin: FloatArray
    hair: FloatArray
    cloth: FloatArray

    @property
    def alpha(self) -> FloatArray:
        return self.skin + self.hair + self.cloth


def scaled(camera: Camera, size: int) -> Camera:
    """The same view in `size` pixels."""
    f = size / camera.width
    return Camera(camera.world_to_camera, camera.fx * f, camera.fy * f, camera.cx * f, camera.cy * f, size, size)


def head_sight(view: PhotoView, head: HeadModel, size: int = SIGHT_SIZE) -> HeadSight:
    """Draws the fitted head's surface into the photograph's frame."""
    camera, params = scaled(view.camera, size), view.fit.params
    vertices = head.vertices(params.shape, params.expression, params.joint_pose())
    rows = head.face_indices_of("skin", "eye_l", "eye_r")
    drawn = rasterize_mesh(project(camera, vertices), head.faces[rows], size, size)
    seen = drawn.triangle >= 0
    triangle = np.where(seen, rows[drawn.triangle], -1).astype(np.int32)
    corners = head.faces[np.maximum(triangle, 0)]
    normals = vertex_normals(vertices, head.faces_of("skin", "eye_l", "eye_r"))

    def at(values: FloatArray) -> FloatArray:
        return np.where(seen[..., None], np.einsum("ijk,ijkd->ijd", drawn.barycentric, values[corners]), 0).astype(np.float32)

    normal = at(normals)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
    return HeadSight(seen, at(head.v_template), normal, drawn.depth, triangle, drawn.barycentric, _flat(camera, size))


def _flat(camera: Camera, size: int) -> FloatArray:
    rotation, shift = camera.world_to_camera[:3, :3].astype(float), camera.world_to_camera[:3, 3].astype(float)
    middle = rotation @ PORTRAIT_TARGET + shift
    steps = np.arange(size) + 0.5
    x, y = np.meshgrid((steps - camera.cx) / camera.fx, (steps - camera.cy) / camera.fy)
    points = np.stack([x, y, np.ones_like(x)], -1) * middle[2]
    return ((points - shift) @ rotation)[..., :2].astype(np.float32)


def photo_regions(view: PhotoView, sight: HeadSight) -> PhotoRegions:
    """Tells skin, hair, clothes and doubtful background apart by place and colour.

    Places give a prior; colour histograms are learnt from it and sharpen it in a few rounds, as in grab-cut (Rother et al., 2004)
    without its graph; a guided filter moves the borders onto the picture's edges. What the mask calls person but looks like the
    background, away from the head, goes to the background.
    """
    size = sight.size
    picture, colors = (cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in (view.picture, view.colors))
    alpha = cv2.resize(view.alpha, (size, size), interpolation=cv2.INTER_AREA)
    prior = place_prior(sight)
    doubt = np.clip(_background_prior(sight) + 0.5 * (1 - alpha), 0, 1)[..., None]
    prior = np.concatenate([prior * (1 - doubt), doubt], -1)
    cells, background = _cells(colors), _cells(picture)
    behind = _histogram(background, 1 - alpha)[background]
    share = prior.copy()
    for _ in range(_ROUNDS):
        density = [_histogram(cells, share[..., k] * alpha)[cells] for k in range(3)]
        share = prior * (np.stack([*density, behind], -1) + _DOUBT)
        share /= share.sum(-1, keepdims=True)
        share = _guided(picture, share)
    return PhotoRegions(*(np.ascontiguousarray(alpha * share[..., k], np.float32) for k in range(3)))


def foreground(view: PhotoView, regions: PhotoRegions) -> FloatArray:
    """The photograph's alpha [S, S] without what the regions give to the background."""
    size = regions.skin.shape[0]
    alpha = cv2.resize(view.alpha, (size, size), interpolation=cv2.INTER_AREA)
    kept = smoothstep(0.4, 0.75, regions.alpha / np.maximum(alpha, 0.05))
    return (view.alpha * cv2.resize(kept.astype(np.float32), (view.size, view.size))).astype(np.float32)


def _cells(image: NDArray[np.uint8]) -> tuple[NDArray, NDArray, NDArray]:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    return tuple((lab[..., k] // _BINS[k]).astype(int) for k in range(3))


def _background_prior(sight: HeadSight) -> FloatArray:
    """How likely a pixel of the mask is none of the person [s, s]: beside the shoulders more than elsewhere."""
    low, wide = smoothstep(CHIN, NECK_END, sight.flat[..., 1]), smoothstep(0.10, 0.14, np.abs(sight.flat[..., 0]))
    on_bust = smoothstep(-0.125, -0.165, sight.rest[..., 1]) * (0.06 + 0.24 * wide)
    return np.where(sight.seen, 0.004 + on_bust, 0.02 + 0.33 * low)


def _histogram(cell: tuple[NDArray, ...], weight: FloatArray) -> FloatArray:
    """Smooth density of colours [bins of L, a, b], sum 1."""
    shape = tuple(-(-256 // b) for b in _BINS)
    total = np.bincount(np.ravel_multi_index(tuple(c.ravel() for c in cell), shape), weight.ravel(), int(np.prod(shape)))
    smooth = gaussian_filter(total.reshape(shape), _BLUR)
    return smooth / max(float(smooth.sum()), 1e-9)


def _guided(picture: NDArray[np.uint8], share: FloatArray) -> FloatArray:
    radius = max(2, len(picture) // 85)
    out = np.stack([cv2.ximgproc.guidedFilter(guide=picture, src=np.ascontiguousarray(share[..., k], np.float32), radius=radius,
                                              eps=8.0**2) for k in range(share.shape[-1])], -1)
    out = np.clip(out, 1e-4, 1)
    return out / out.sum(-1, keepdims=True)


def place_prior(sight: HeadSight) -> FloatArray:
    """How likely skin, hair and cloth are at each pixel [s, s, 3] by where it lies on or beside the fitted head."""
    rest, flat = sight.rest, sight.flat
    width, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    face = smoothstep(0.060, 0.040, y) * smoothstep(-0.060, -0.030, z) * smoothstep(-0.125, -0.110, y)
    forehead = smoothstep(0.030, 0.050, y) * face
    temple = smoothstep(0.048, 0.062, width) * face * smoothstep(-0.02, 0.02, y)
    scalp = smoothstep(0.045, 0.060, y) + smoothstep(-0.050, -0.080, z) * smoothstep(-0.10, -0.06, y)
    bust = smoothstep(-0.125, -0.165, y)
    on_skin = 0.55 + 0.43 * face - 0.20 * forehead - 0.15 * temple - 0.42 * np.clip(scalp, 0, 1) - 0.35 * bust
    on_skin = np.clip(on_skin, 0.06, 0.985)
    on_cloth = 0.92 * (1 - on_skin) * bust * smoothstep(-0.115, -0.150, y) + 0.002
    on = np.stack([on_skin, np.maximum(1 - on_skin - on_cloth, 0.01), on_cloth], -1)
    below = smoothstep(CHIN + 0.02, NECK_END - 0.03, flat[..., 1])
    below = np.maximum(below, smoothstep(0.11, 0.15, np.abs(flat[..., 0])) * smoothstep(-0.06, -0.10, flat[..., 1]))
    beside = np.stack([np.full_like(below, 0.05), 0.95 - 0.70 * below, 0.005 + 0.70 * below], -1)
    out = np.where(sight.seen[..., None], on, beside)
    return (out / out.sum(-1, keepdims=True)).astype(np.float32)
