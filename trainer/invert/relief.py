"""What the photograph's person has and the assembled one lacks, as new Gaussians; and what the assembled one has too much.

Hats, veils, buns, long hair and shoulders become a closed shell: the pixels of the photograph that nothing covers, at depths that
continue what is rendered beside them (`trainer.invert.relief_field`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.geometry import PORTRAIT_TARGET, rotation_from_quat
from core.head.mesh import project, rasterize_mesh
from core.head.model import HeadModel
from core.studio import StudioIdentity
from core.studio.numerics import smoothstep
from core.studio.splats import Splats, concatenate, spheres, surface_patches
from core.types import Camera, FloatArray, Gaussians
from trainer.invert.looks_regions import PhotoRegions, foreground, scaled
from trainer.invert.relief_field import seam_of, shell_field, underlapped
from trainer.invert.view import PhotoView
from trainer.rasterize import CameraBatch, rasterize

CELL = 2  # pixels of the photograph across one Gaussian of the shell
PRESENT, COVERED = 0.55, 0.75  # alpha from which the photograph shows the person, and from which the rendering does
LEAST_AREA = 40  # cells; smaller holes are noise of the mask
RIM = 4  # cells, half the width of slivers that are left away
SEAM_SHADE = 0.75  # brightness there
HEAD_ROUNDNESS, BODY_ROUNDNESS = 1.0, 0.35
DEEPEST = 0.055  # metres, half thickness of the thickest shell
FACE_BACK, FACE_LOW, FACE_HIGH = -0.075, -0.135, 0.045  # metres on the template: the face's part of the head
SIGMA, THICKNESS, LARGEST = 0.75, 0.10, 0.010
CALM = 0.0004  # metres that an expression may move a triangle that shells hang on
BACK_SHADE = 0.62  # brightness of the far side, which no photograph shows
FLAT_COLOR, FLAT_DEPTH = 7.0, 0.0006  # spread of colour (8 bits) and depth (metres) in blocks that become one Gaussian
_REMAP_ROWS = 30_000  # OpenCV's remap takes no side of 32768 or more
CARVE_OUT, CARVE_IN = 0.009, 0.001  # shares of the side beyond the photograph's border: gone, and kept
SIDEWAYS = 0.15  # metres that the camera stands to the side, from which the hidden side is mirrored
HIDDEN_BEHIND, HIDDEN_LOW, HIDDEN_REACH = 0.004, 0.02, 0.030  # metres behind what is seen, lowest height, off the head
HIDDEN_SHADE = 0.9  # brightness there


@dataclass(frozen=True)
class RenderedSurface:
    """What a camera sees of a cloud.

    Attributes:
        covered: [S, S] coverage 0..1.
        depth: [S, S] mean depth along the optical axis of what covers the pixel, metres; nan where nothing does.
    """

    covered: FloatArray
    depth: FloatArray


@dataclass(frozen=True)
class ReliefShell:
    """New Gaussians on the neutral head, to be put behind the assembled person's.

    Attributes:
        gaussians: [N] head space, metres, display colours, as in `StudioIdentity.gaussians`.
        triangle: [N] int32 row of the head's faces that each one is rooted in. Shells of the head hang on triangles of the
            scalp, which turn with it and follow no expression; those of the body on triangles that stay.
        back: [N] bool, the far side, whose colour the photograph does not show.
    """

    gaussians: Gaussians
    triangle: NDArray[np.int32]
    back: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.triangle)

    def joined(self, person: StudioIdentity) -> StudioIdentity:
        """The person with the shell; all rows of the shell follow only the rotation of their triangle."""
        n, cloud = len(self), _joined(person.gaussians, self.gaussians)
        return replace(person, gaussians=cloud, triangle=np.concatenate([person.triangle, self.triangle]).astype(np.int32),
                       texel=np.concatenate([person.texel, np.full(n, -1, np.int32)]).astype(np.int32),
                       rigid=np.concatenate([person.rigid, np.ones(n, bool)]))


def rendered_surface(cloud: Gaussians, camera: Camera) -> RenderedSurface:
    """Coverage and mean depth of a cloud before a camera."""
    depth = project(camera, cloud.xyz)[:, 2]
    color = np.stack([depth, np.ones_like(depth), depth], 1).astype(np.float32)
    fields = (torch.from_numpy(np.ascontiguousarray(f, np.float32))[None]
              for f in (cloud.xyz, cloud.scale, cloud.quat, color, cloud.opacity))
    with torch.no_grad():
        drawn = rasterize(*fields, CameraBatch.of([camera]))
    covered = drawn.alpha[0, 0].numpy()
    depth = drawn.color[0, 0].numpy() / np.maximum(covered, 1e-6)
    return RenderedSurface(covered, np.where(covered > 0.05, depth, np.nan).astype(np.float32))


# ---------------------------------------------------------------------- what is missing

def relief(view: PhotoView, covered: FloatArray, depth: FloatArray, head: HeadModel, vertices: FloatArray,
           regions: PhotoRegions | None = None) -> ReliefShell:
    """Gaussians for the foreground of the photograph that the rendering leaves open.

    Args:
        covered: [S, S] coverage of the assembled person from `view.camera`, after carving.
        depth: [S, S] metres of what covers a pixel, nan where nothing does (`rendered_surface` gives both).
        vertices: [V, 3] the head that the assembled cloud sits on (neutral).
        regions: of the photograph, to tell what turns with the head; by height alone when left out.
    """
    size = view.size // CELL
    camera = scaled(view.camera, size)
    whole = view.alpha if regions is None else foreground(view, regions)
    alpha, cover = (cv2.resize(a, (size, size), interpolation=cv2.INTER_AREA) for a in (whole, covered))
    held = cover >= COVERED
    near = np.nanmedian(depth[np.isfinite(depth)]) if np.isfinite(depth).any() else 1.3
    shrunk = _shrunk(depth, size, float(near))
    middle = float((camera.world_to_camera[:3, :3] @ PORTRAIT_TARGET + camera.world_to_camera[:3, 3])[2])
    on_body = _on_body(camera, size, middle, regions)
    face = held & _face(camera, size, head, vertices, shrunk)
    present = alpha >= PRESENT
    missing = present & ~held & ~_bare(on_body, size, regions) & ~_rim_of_face(present, held, face)
    inside = _open_area(missing, held & ~face)
    if not inside.any():
        return _empty()
    roundness = HEAD_ROUNDNESS + (BODY_ROUNDNESS - HEAD_ROUNDNESS) * on_body
    pixel = middle / camera.fx
    field = shell_field(inside, held & ~face, shrunk, roundness, pixel, middle, DEEPEST)
    seam = seam_of(inside, held, face, on_body, pixel)
    field = underlapped(field, seam, shrunk)
    colors = cv2.resize(view.colors, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    colors[seam.behind_face] = SEAM_SHADE * colors[seam.row, seam.column][seam.behind_face]
    front = _sheet(field.inside, field.front, colors, np.clip(1.15 * alpha, 0, 1), camera)
    behind = field.inside & inside & (field.back - field.front > pixel)
    back = _sheet(behind, field.back, cv2.blur(colors, (7, 7)) * BACK_SHADE, np.ones_like(alpha), camera)
    is_back = np.arange(len(front) + len(back)) >= len(front)
    shell = _anchored(concatenate([front, back]), is_back, head, vertices, camera, on_body)
    surface = np.where(field.inside, field.front, np.where(held, shrunk, np.inf))
    return _with_hidden_side(shell, head, vertices, camera, np.where(present, surface, np.inf))


def _shrunk(depth: FloatArray, size: int, fill: float) -> FloatArray:
    """Mean of the finite depths in each cell."""
    finite = np.isfinite(depth)
    value, weight = (cv2.resize(a.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
                     for a in (np.where(finite, depth, 0), finite))
    return np.where(weight > 0, value / np.maximum(weight, 1e-6), fill)


def _open_area(mask: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without specks, and without what touches nothing that is rendered."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    touching = np.unique(labels[cv2.dilate(held.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])
    keep = touching[(stats[touching, cv2.CC_STAT_AREA] >= LEAST_AREA) & (touching > 0)]
    return np.isin(labels, keep)


def _rim_of_face(present: NDArray[np.bool_], held: NDArray[np.bool_], face: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Slivers [g, g] between face and background: there the face's outline is off by a little."""
    missing = present & ~held
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM + 1,) * 2)
    thin = missing & (cv2.morphologyEx(missing.astype(np.uint8), cv2.MORPH_OPEN, kernel) == 0)
    near = [cv2.dilate(mask.astype(np.uint8), np.ones((4 * RIM + 1,) * 2, np.uint8)) > 0 for mask in (face, ~present)]
    return thin & near[0] & near[1]


def _bare(on_body: FloatArray, size: int, regions: PhotoRegions | None) -> NDArray[np.bool_]:
    """Cells [g, g] of the head's bare skin: where the head leaves it open, the fit is off, and no shell shall stand."""
    if regions is None:
        return np.zeros((size, size), bool)
    skin, alpha = (cv2.resize(a, (size, size), interpolation=cv2.INTER_AREA) for a in (regions.skin, regions.alpha))
    return (skin > 0.6 * alpha) & (on_body < 0.5)


def _on_body(camera: Camera, size: int, middle: float, regions: PhotoRegions | None) -> FloatArray:
    """Share of each cell [g, g] that belongs to the shoulders and not to the head."""
    rotation, shift = camera.world_to_camera[:3, :3].astype(float), camera.world_to_camera[:3, 3].astype(float)
    steps = np.arange(size) + 0.5
    x, y = np.meshgrid((steps - camera.cx) / camera.fx, (steps - camera.cy) / camera.fy)
    height = ((np.stack([x, y, np.ones_like(x)], -1) * middle - shift) @ rotation)[..., 1]
    low = smoothstep(-0.11, -0.15, height)
    if regions is None:
        return low
    cloth, hair = (cv2.resize(a, (size, size), interpolation=cv2.INTER_AREA) for a in (regions.cloth, regions.hair))
    return low * smoothstep(-0.3, 0.3, cloth - hair)


def _face(camera: Camera, size: int, head: HeadModel, vertices: FloatArray, depth: FloatArray) -> NDArray[np.bool_]:
    """Cells [g, g] that show the bare face: what is beside it lies behind its outline and does not continue it."""
    faces = head.faces_of("skin")
    drawn = rasterize_mesh(project(camera, vertices), faces, size, size)
    rest = np.einsum("ijk,ijkd->ijd", drawn.barycentric, head.v_template[faces[np.maximum(drawn.triangle, 0)]])
    front = (rest[..., 2] > FACE_BACK) & (rest[..., 1] > FACE_LOW) & (rest[..., 1] < FACE_HIGH)
    return cv2.dilate((front & (drawn.triangle >= 0) & (np.abs(drawn.depth - depth) < 0.012)).astype(np.uint8),
                      np.ones((3, 3), np.uint8)) > 0


def _sheet(inside: NDArray[np.bool_], depth: FloatArray, colors: FloatArray, opacity: FloatArray, camera: Camera) -> Splats:
    """Flat Gaussians that tile a depth map; blocks of 4 × 4 and 2 × 2 cells without detail become one."""
    point = _points(depth, camera)
    left = inside.copy()
    groups = []
    for block in (4, 2, 1):
        rows, columns = _flat_blocks(left, depth, colors, block)
        if len(rows) == 0:
            continue
        for dy in range(block):
            for dx in range(block):
                left[rows + dy, columns + dx] = False
        groups.append(_block_splats(rows, columns, block, inside, point, colors, opacity, camera))
    return concatenate(groups) if groups else spheres(np.zeros((0, 3)), 0.0, np.zeros((0, 3)), 1.0, np.zeros(0))


def _points(depth: FloatArray, camera: Camera) -> FloatArray:
    """Head-space points [g, g, 3] of the cells' centres."""
    rotation, shift = camera.world_to_camera[:3, :3].astype(float), camera.world_to_camera[:3, 3].astype(float)
    steps = np.arange(len(depth)) + 0.5
    x, y = np.meshgrid((steps - camera.cx) / camera.fx, (steps - camera.cy) / camera.fy)
    return (np.stack([x, y, np.ones_like(x)], -1) * depth[..., None] - shift) @ rotation


def _flat_blocks(left: NDArray[np.bool_], depth: FloatArray, colors: FloatArray, block: int) -> tuple[NDArray, NDArray]:
    """Upper left cells of the blocks that lie wholly in `left` and show no detail."""
    if block == 1:
        return np.nonzero(left)
    count = len(left) // block

    def blocks(a: NDArray) -> NDArray:
        a = a[:count * block, :count * block]
        return a.reshape(count, block, count, block, *a.shape[2:]).swapaxes(1, 2).reshape(count, count, block * block, -1)

    whole = blocks(left).all((2, 3))
    calm = (np.ptp(blocks(colors), axis=2).max(2) < 2.5 * FLAT_COLOR)
    smooth = np.ptp(blocks(depth), axis=2).max(2) < FLAT_DEPTH * block * 2
    rows, columns = np.nonzero(whole & calm & smooth)
    return rows * block, columns * block


def _block_splats(rows: NDArray, columns: NDArray, block: int, inside: NDArray[np.bool_], point: FloatArray, colors: FloatArray,
                  opacity: FloatArray, camera: Camera) -> Splats:
    def mean(a: NDArray) -> NDArray:
        return sum(a[rows + dy, columns + dx] for dy in range(block) for dx in range(block)) / block**2

    along_x, along_y = (_steps(inside, point, axis) for axis in (1, 0))
    center = mean(point)
    d_du, d_dv = block * mean(along_x), block * mean(along_y)
    toward = camera.position.astype(float) - center
    turned = (np.cross(d_du, d_dv) * toward).sum(1) < 0
    d_du[turned] *= -1
    return surface_patches(center, d_du, d_dv, SIGMA, THICKNESS, LARGEST, mean(colors) / 255, np.clip(mean(opacity), 0.05, 0.995),
                           np.zeros(len(rows), np.int32))


def _steps(inside: NDArray[np.bool_], point: FloatArray, axis: int) -> FloatArray:
    """Change of position to the next cell along an axis, the larger of the two sides so that slopes leave no gap [g, g, 3]."""
    forward = np.roll(point, -1, axis) - point
    backward = point - np.roll(point, 1, axis)
    ahead, before = inside & np.roll(inside, -1, axis), inside & np.roll(inside, 1, axis)
    forward = np.where(ahead[..., None], forward, np.where(before[..., None], backward, 0))
    backward = np.where(before[..., None], backward, forward)
    longer = np.linalg.norm(forward, axis=2) >= np.linalg.norm(backward, axis=2)
    out = np.where(longer[..., None], forward, backward)
    lonely = np.linalg.norm(out, axis=2) < 1e-9
    out[lonely] = (0.0013, 0, 0) if axis == 1 else (0, 0.0013, 0)
    return out


def _anchored(splats: Splats, back: NDArray[np.bool_], head: HeadModel, vertices: FloatArray, camera: Camera,
              on_body: FloatArray) -> ReliefShell:
    """Roots every Gaussian in the nearest triangle of the scalp or of the shoulders."""
    place = project(camera, splats.xyz)[:, :2].astype(int).clip(0, len(on_body) - 1)
    body = on_body[place[:, 1], place[:, 0]] > 0.5
    skin = head.face_indices_of("skin")
    scalp, shoulders = _scalp(head), skin[head.skin_weights[head.faces[skin], 0].mean(1) > 0.9]
    triangle = np.zeros(len(splats), np.int32)
    for chosen, roots in ((~body, scalp), (body, shoulders)):
        if chosen.any() and len(roots):
            centers = vertices[head.faces[roots]].mean(1)
            triangle[chosen] = roots[cKDTree(centers).query(splats.xyz[chosen])[1]]
    cloud = Gaussians(*(np.ascontiguousarray(a, np.float32) for a in
                        (splats.xyz, splats.scale, splats.quat, np.clip(splats.color, 0, 1), splats.opacity)))
    return ReliefShell(cloud, triangle, back)


def _with_hidden_side(shell: ReliefShell, head: HeadModel, vertices: FloatArray, camera: Camera,
                      surface: FloatArray) -> ReliefShell:
    """The shell with the head's part mirrored to the side that a photograph from the side does not show.

    Args:
        surface: [g, g] depth of what the photograph shows, infinite where it shows background: only what lies behind it is added.
    """
    if abs(camera.position[0]) < SIDEWAYS:
        return shell
    g = shell.gaussians
    xyz = g.xyz * np.array([-1, 1, 1], np.float32)
    at = project(camera, xyz)
    size = len(surface)
    column, row = (np.floor(at[:, k]).astype(int) for k in (0, 1))
    shown = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    front = surface[np.where(shown, row, 0), np.where(shown, column, 0)]
    turns = head.skin_weights[head.faces[shell.triangle], 0].mean(1) < 0.5
    close = cKDTree(vertices).query(xyz)[0] < HIDDEN_REACH
    hidden = shown & np.isfinite(front) & (at[:, 2] > front + HIDDEN_BEHIND)
    keep = np.flatnonzero(hidden & turns & close & ~shell.back & (xyz[:, 1] > HIDDEN_LOW))
    mirrored = g.subset(keep)
    mirrored = replace(mirrored, xyz=xyz[keep], quat=mirrored.quat * np.array([1, 1, -1, -1], np.float32),
                       rgb=HIDDEN_SHADE * mirrored.rgb)
    roots = _scalp(head)
    triangle = roots[cKDTree(vertices[head.faces[roots]].mean(1)).query(mirrored.xyz)[1]] if len(keep) else np.zeros(0, int)
    return ReliefShell(_joined(g, mirrored), np.concatenate([shell.triangle, triangle]).astype(np.int32),
                       np.concatenate([shell.back, np.ones(len(keep), bool)]))


def _scalp(head: HeadModel) -> NDArray[np.int64]:
    """Faces of the scalp: they turn with the head and follow no expression."""
    skin = head.face_indices_of("skin")
    rest, corners = head.v_template[head.faces[skin]].mean(1), head.faces[skin]
    high = (rest[:, 1] > 0.055) | ((rest[:, 2] < -0.085) & (rest[:, 1] > -0.085))
    calm = np.abs(head.expression_dirs).max((1, 2))[corners].max(1) < CALM
    return skin[high & calm & (head.skin_weights[corners, 0].mean(1) < 0.05) & (head.masks.ears[corners].max(1) < 0.1)]


def _joined(first: Gaussians, second: Gaussians) -> Gaussians:
    return Gaussians(*(np.concatenate([getattr(first, f), getattr(second, f)]) for f in Gaussians.__dataclass_fields__))


def _empty() -> ReliefShell:
    zero = np.zeros((0, 3), np.float32)
    cloud = Gaussians(zero, zero, np.zeros((0, 4), np.float32), zero, np.zeros(0, np.float32))
    return ReliefShell(cloud, np.zeros(0, np.int32), np.zeros(0, bool))


# ---------------------------------------------------------------------- what is too much

def carved(cloud: Gaussians, movable: NDArray[np.bool_], view: PhotoView, camera: Camera,
           regions: PhotoRegions | None = None) -> FloatArray:
    """Opacity gain [N] 0..1 that removes hair and cloth which stick out of the photograph's foreground.

    A Gaussian is tested at its centre and at both ends of its long axis; what the picture does not show is kept.

    Args:
        movable: [N] hair and clothes; the gain of all others is 1.
        camera: `view.camera`, at any size.
        regions: with them, hair before bare skin of the photograph goes too.
    """
    gain = np.ones(len(cloud), np.float32)
    rows = np.flatnonzero(movable)
    if len(rows) == 0:
        return gain
    outside = _signed_distance((view.alpha if regions is None else foreground(view, regions)) > 0.5) / view.size
    keep = smoothstep(CARVE_OUT, CARVE_IN, outside)
    if regions is not None:
        keep = keep * (1 - 0.9 * cv2.resize(_sure_skin(regions), keep.shape[::-1]))
    axis = rotation_from_quat(cloud.quat[rows].astype(np.float64))
    longest = cloud.scale[rows].argmax(1)
    reach = np.take_along_axis(axis, longest[:, None, None], 2)[:, :, 0] * cloud.scale[rows].max(1, keepdims=True)
    worst = np.ones(len(rows))
    for step in (-1.0, 0.0, 1.0):
        at = project(camera, cloud.xyz[rows] + step * reach)[:, :2] * (view.size / camera.width)
        worst = np.minimum(worst, _sampled(keep, at, 1.0))
    gain[rows] = worst
    return gain


def _sure_skin(regions: PhotoRegions) -> FloatArray:
    """Where the photograph shows skin beyond doubt, away from hair [s, s]."""
    return cv2.erode(smoothstep(0.85, 0.95, regions.skin).astype(np.float32), np.ones((5, 5), np.uint8))


def _signed_distance(mask: NDArray[np.bool_]) -> FloatArray:
    """Pixels to the mask's border, negative inside."""
    outside, inside = (cv2.distanceTransform(m.astype(np.uint8), cv2.DIST_L2, 5) for m in (~mask, mask))
    return outside - inside


def _sampled(picture: FloatArray, points: FloatArray, beyond: float) -> FloatArray:
    """Bilinear values [N] at pixel positions [N, 2]; `beyond` outside the picture."""
    parts = np.array_split((points - 0.5).astype(np.float32), -(-len(points) // _REMAP_ROWS))
    return np.concatenate([cv2.remap(picture.astype(np.float32), part[:, None], None, cv2.INTER_LINEAR,
                                     borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)[:, 0] for part in parts])
