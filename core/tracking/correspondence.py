"""Where a landmarker's points lie on a head mesh, found by showing it pictures of the mesh.

The head is rendered from a few directions, the landmarker finds its points in the pictures, and every point is cast onto the
skin that the pixel shows. The median over the pictures is snapped to the surface. Because the landmarker itself places the
points, its habits (where it thinks a lip or a brow ends) cancel when the same landmarker later tracks a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.errors import HeadModelError
from core.geometry import orbit_camera
from core.head.embedding import SKIN_LANDMARKS, LandmarkEmbedding, cached_embedding_path, load_landmark_embedding
from core.head.mesh import closest_points, project, rasterize_mesh
from core.head.model import HeadModel
from core.head.picture import paint_for_landmarker, render_mesh
from core.types import Camera, FloatArray, Frame, Landmarks

VIEWS_DEGREES = ((0, 0), (12, 0), (-12, 0), (0, 10), (0, -10), (25, 0), (-25, 0), (15, 8), (-15, 8))  # yaw, pitch
PICTURE_SIZE = 640
SETTLING_FRAMES = 3  # a landmarker for video refines its crop over the first frames
SEARCH_PIXELS = 12  # how far from a landmark its skin may be, where the silhouette was missed
CANDIDATE_FACES = 48
MINIMUM_VIEWS = 3

UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306,
             62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292, 78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307,
             96, 89, 179, 86, 15, 316, 403, 319, 325, 95, 88, 178, 87, 14, 317, 402, 318, 324)
UPPER_EYELIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
CORNERS_OF_MOUTH = (61, 76, 62, 78, 291, 306, 292, 308)


class Landmarker(Protocol):
    """What finds landmarks in a frame (`core.tracking.mediapipe_landmarker.FaceLandmarker`)."""

    def detect(self, frame: Frame) -> Landmarks | None: ...


@dataclass(frozen=True)
class View:
    """One picture of a head for the landmarker.

    Attributes:
        image: uint8 [H, W, 3].
        vertices: [V, 3] the head in the picture.
        camera: what took the picture.
    """

    image: NDArray[np.uint8]
    vertices: FloatArray
    camera: Camera


def mesh_views(head: HeadModel, shape: FloatArray) -> Iterable[View]:
    """Painted pictures of the resting mesh from the directions `VIEWS_DEGREES`."""
    vertices = head.neutral(shape).vertices
    colours = paint_for_landmarker(head)
    faces = head.faces_of(*(name for name in head.part_names if name != "lashes"))
    for camera in view_cameras(head):
        yield View(render_mesh(vertices, faces, colours, camera, ambient=0.4), vertices, camera)


def view_cameras(head: HeadModel) -> list[Camera]:
    """Cameras of the directions `VIEWS_DEGREES`, aimed between the eyes and the mouth of `head`."""
    eyes = (head.joint_regressor @ head.v_template)[3:].mean(0)
    target = eyes + np.array([0, -0.02, -0.02])
    return [orbit_camera(np.radians(yaw), np.radians(pitch), PICTURE_SIZE, PICTURE_SIZE, distance=1.0, target=target,
                         fov_degrees=17) for yaw, pitch in VIEWS_DEGREES]


def landmark_embedding(head: HeadModel, landmarker: Landmarker) -> LandmarkEmbedding:
    """The embedding of `head`: shipped or cached, else computed with the landmarker (seconds) and cached.

    Raises:
        HeadModelError: the landmarker does not see the head as a face.
    """
    try:
        return load_landmark_embedding(head)
    except HeadModelError:
        embedding = embed_landmarks(head, landmarker)
        embedding.save(cached_embedding_path(head))
        return embedding


def embed_landmarks(head: HeadModel, landmarker: Landmarker, views: Iterable[View] | None = None) -> LandmarkEmbedding:
    """Find where the landmarker's 468 skin points lie on `head`.

    Args:
        head: the model.
        landmarker: finds the points; it is fed each picture as a short still video that starts at time 0.
        views: pictures of the resting head, of one identity or several; the painted mean head when left out.

    Raises:
        HeadModelError: fewer than three pictures show a face to the landmarker.
    """
    if views is None:
        views = mesh_views(head, np.zeros(0, np.float32))
    skin = head.face_indices_of("skin")
    casts = []
    for view in views:
        landmarks = _settled(landmarker, view.image)
        if landmarks is not None:
            casts.append(_cast(head, skin, view, landmarks.points[:SKIN_LANDMARKS]))
    if len(casts) < MINIMUM_VIEWS:
        raise HeadModelError(f"head model {head.name}: the landmarker finds a face in {len(casts)} of its pictures",
                             "is it a human head in metres, y up, that looks along z?")
    stacked = np.stack(casts)
    points = np.nanmedian(stacked, axis=0)
    spread = np.nanmedian(np.linalg.norm(stacked - points, axis=2), axis=0)
    triangles, barycentric = _snap(head, skin, points)
    return LandmarkEmbedding(triangles, barycentric, spread.astype(np.float32))


def _settled(landmarker: Landmarker, image: NDArray[np.uint8]) -> Landmarks | None:
    found = None
    for index in range(SETTLING_FRAMES):
        found = landmarker.detect(Frame(image, time_ns=index * 33_000_000, index=index))
    return found


def _cast(head: HeadModel, skin: NDArray, view: View, pixels: FloatArray) -> FloatArray:
    """Points [468, 3] on the template under the landmarks' pixels; NaN where there is no skin nearby."""
    camera = view.camera
    opaque = head.face_indices_of(*(name for name in head.part_names if name != "lashes"))
    seen = rasterize_mesh(project(camera, view.vertices), head.faces[opaque], camera.width, camera.height)
    visible_y, visible_x = np.nonzero((seen.triangle >= 0) & np.isin(opaque, skin)[seen.triangle])
    distance, nearest = cKDTree(np.stack([visible_x, visible_y], 1) + 0.5).query(pixels[:, :2])
    y, x = visible_y[nearest], visible_x[nearest]
    corners = head.v_template[head.faces[opaque[seen.triangle[y, x]]]]
    points = np.einsum("nk,nkd->nd", seen.barycentric[y, x], corners)
    points[distance > SEARCH_PIXELS] = np.nan
    return points


def _snap(head: HeadModel, skin: NDArray, points: FloatArray) -> tuple[NDArray[np.int32], FloatArray]:
    """The nearest allowed skin triangle of every point [468, 3], and the barycentric coordinates in it."""
    allowed = _allowed_faces(head, skin)
    triangles = np.zeros((SKIN_LANDMARKS, 3), np.int32)
    barycentric = np.zeros((SKIN_LANDMARKS, 3), np.float32)
    for group, members in allowed:
        faces = head.faces[members]
        corners = head.v_template[faces]
        count = min(CANDIDATE_FACES, len(faces))
        candidates = cKDTree(corners.mean(1)).query(points[group], k=count)[1].reshape(len(group), count)
        repeated = np.repeat(points[group], count, axis=0)
        weights, distance = closest_points(repeated, corners[candidates.ravel()])
        best = distance.reshape(len(group), count).argmin(1)
        rows = np.arange(len(group)) * count + best
        triangles[group] = faces[candidates.ravel()[rows]]
        barycentric[group] = weights[rows]
    return triangles, barycentric


def _allowed_faces(head: HeadModel, skin: NDArray) -> list[tuple[NDArray, NDArray]]:
    """(landmark ids, face ids they may lie on): the two lips touch and the lids fold, so nearness alone confuses them."""
    template, rest = head.v_template, np.zeros(0, np.float32)
    opened = head.vertices(rest, pose=head.pose(jaw=head.jaw_open_angle))
    drop = np.linalg.norm(opened - template, axis=1)[head.faces[skin]].mean(1)
    lower_lip = drop > 0.5 * drop.max()
    upper_lip = drop < 0.25 * drop.max()
    lid = _blink_motion(head)[head.faces[skin]].mean(1)
    groups = {"upper": np.setdiff1d(UPPER_LIP, CORNERS_OF_MOUTH), "lower": np.array(LOWER_LIP), "lid": np.array(UPPER_EYELIDS)}
    rest_of_face = np.setdiff1d(np.arange(SKIN_LANDMARKS), np.concatenate(list(groups.values())))
    return [(rest_of_face, skin), (groups["upper"], skin[upper_lip]), (groups["lower"], skin[lower_lip]),
            (groups["lid"], skin[lid > 0.25 * lid.max()])]


def _blink_motion(head: HeadModel) -> FloatArray:
    """How far a blink moves each vertex [V], or where the upper lids lie on a model without named expressions."""
    if "eyeBlinkLeft" in head.expression_names:
        return np.linalg.norm(head.expression_dirs @ head.expression(eyeBlink=1.0), axis=1)
    joints = head.joint_regressor @ head.v_template
    motion = np.zeros(head.vertex_count, np.float32)
    spacing = joints[3, 0] - joints[4, 0]
    for joint in joints[3:]:
        offset = (head.v_template - joint) / spacing
        upper = (offset[:, 1] > 0.02) & (offset[:, 1] < 0.25) & (np.abs(offset[:, 0]) < 0.3) & (offset[:, 2] > 0.05)
        motion[upper] = 1
    return motion
