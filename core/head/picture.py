"""Plain pictures of a head mesh: clay for the eye, painted lips, brows and irises for a landmarker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.head.mesh import project, rasterize_mesh, vertex_normals
from core.head.model import HeadModel
from core.head.regions import head_regions
from core.types import Camera, FloatArray

CLAY = (0.82, 0.74, 0.68)
SKIN, LIPS, BROWS, SCALP = (0.82, 0.62, 0.52), (0.66, 0.30, 0.30), (0.24, 0.16, 0.11), (0.16, 0.11, 0.08)
SCLERA, IRIS, PUPIL = (0.93, 0.92, 0.91), (0.28, 0.20, 0.13), (0.03, 0.03, 0.03)
MOUTH_INSIDE, TEETH, LASHES = (0.35, 0.12, 0.12), (0.93, 0.90, 0.85), (0.10, 0.08, 0.07)
BACKGROUND = (0.47, 0.50, 0.49)
_KEY, _FILL = np.array([-0.45, -0.6, -0.66]), np.array([0.8, -0.1, -0.5])  # camera space: light comes from there


def render_mesh(vertices: FloatArray, faces: NDArray, colours: FloatArray, camera: Camera,
                ambient: float = 0.18) -> NDArray[np.uint8]:
    """A two-light picture [H, W, 3] of a mesh with a colour per vertex.

    Args:
        vertices: [V, 3] world space.
        faces: [F, 3].
        colours: [V, 3] or [3], 0..1.
        ambient: share of light that does not depend on the normal.
    """
    normals = vertex_normals(vertices, faces) @ camera.world_to_camera[:3, :3].T
    light = ambient + 0.65 * np.clip(normals @ _KEY, 0, 1) + 0.25 * np.clip(normals @ _FILL, 0, 1)
    shaded = np.broadcast_to(np.asarray(colours), vertices.shape) * light[:, None]
    seen = rasterize_mesh(project(camera, vertices), faces, camera.width, camera.height)
    corners = shaded[faces[np.maximum(seen.triangle, 0)]]
    picture = np.einsum("hwk,hwkc->hwc", seen.barycentric, corners)
    picture = np.where((seen.triangle >= 0)[:, :, None], picture, BACKGROUND)
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def render_clay(head: HeadModel, vertices: FloatArray, camera: Camera) -> NDArray[np.uint8]:
    """A clay picture [H, W, 3] of a head, without its lashes and with pale eyes and dark irises."""
    faces = head.faces_of(*(name for name in head.part_names if name != "lashes"))
    colours = np.tile(np.array(CLAY, np.float32), (len(vertices), 1))
    _paint_inside(head, colours)
    return render_mesh(vertices, faces, colours, camera)


def paint_for_landmarker(head: HeadModel) -> FloatArray:
    """Colours [V, 3] that make a landmarker see a face: lips, brows, hair, irises."""
    colours = np.tile(np.array(SKIN, np.float32), (head.vertex_count, 1))
    template = head.v_template
    joints = head.joint_regressor @ template
    spacing = joints[3, 0] - joints[4, 0]
    _blend(colours, _lip_weight(head), LIPS)
    from_eye = (template - joints[3:].mean(0)) / spacing  # in units of the distance between the eyes
    arch = 0.33 - 0.16 * (np.abs(from_eye[:, 0]) - 0.55) ** 2
    brow = np.clip((0.10 - np.abs(from_eye[:, 1] - arch)) / 0.06, 0, 1)
    brow = brow * np.clip((0.40 - np.abs(np.abs(from_eye[:, 0]) - 0.5)) / 0.08, 0, 1) * (from_eye[:, 2] > -0.3)
    _blend(colours, brow, BROWS)
    scalp = np.clip((from_eye[:, 1] - 0.5 * np.minimum(from_eye[:, 2], 0) - 1.1) / 0.1, 0, 1)
    scalp = np.maximum(scalp, (from_eye[:, 2] < -1.9) & (from_eye[:, 1] > -0.7))
    _blend(colours, scalp, SCALP)
    _paint_inside(head, colours)
    return colours


def _lip_weight(head: HeadModel) -> FloatArray:
    """The lip mask of the model, or nearness to the mouth's edge where it has none."""
    if head.masks.lips.max(initial=0) > 0:
        return head.masks.lips
    weight = np.zeros(head.vertex_count, np.float32)
    loop = head_regions(head).mouth_loop
    if len(loop):
        skin = head.vertices_of("skin")
        nearest = np.linalg.norm(head.v_template[skin][:, None] - head.v_template[loop][None], axis=2).min(1)
        weight[skin] = np.clip((0.011 - nearest) / 0.003, 0, 1)
    return weight


def _paint_inside(head: HeadModel, colours: FloatArray) -> None:
    for name, colour in (("mouth", MOUTH_INSIDE), ("tongue", LIPS), ("teeth_u", TEETH), ("teeth_l", TEETH), ("lashes", LASHES)):
        if name in head.part_names:
            colours[head.vertices_of(name)] = colour
    joints = head.joint_regressor @ head.v_template
    for name, joint in (("eye_l", joints[3]), ("eye_r", joints[4])):
        if name in head.part_names:
            ball = head.vertices_of(name)
            offset = head.v_template[ball] - joint
            from_pole = np.arccos(np.clip(offset[:, 2] / np.linalg.norm(offset, axis=1), -1, 1))
            colours[ball] = np.where((from_pole < 0.19)[:, None], PUPIL, np.where((from_pole < 0.46)[:, None], IRIS, SCLERA))


def _blend(colours: FloatArray, weight: FloatArray, colour: tuple[float, float, float]) -> None:
    colours += weight[:, None] * (np.array(colour, np.float32) - colours)
