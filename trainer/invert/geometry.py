"""The resting head behind photographs: the fitted shape, bent smoothly until its landmarks lie on those of the pictures.

The bend is the mean of a Gaussian process over head space (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
2006, section 2.2): a sum of smooth kernels that is symmetric about the middle of the face in the main. It is seen only through
the pictures, so nothing moves along a line of sight without a reason, and what one side of a face shows is believed of the
other side as far as that one is hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.geometry import orbit_camera
from core.head.embedding import LandmarkEmbedding, load_landmark_embedding
from core.head.mesh import face_normals, project, rasterize_mesh, vertex_normals
from core.head.model import HeadModel, PosedHead, ShapedHead
from core.head.regions import eyelid_rings
from core.studio.numerics import smoothstep
from core.tracking.landmark_rig import SILHOUETTE
from core.types import FloatArray
from trainer.invert.view import PhotoView

# (reach in metres, standard deviation in metres, share that both sides of the face have in common) of the sum of kernels
KERNELS = ((0.055, 0.0060, 0.92), (0.020, 0.0030, 0.85), (0.008, 0.0012, 0.70))
NOISE = 0.0004  # metres of a landmark that is plainly seen
SLIDING_NOISE = 0.0025  # of the face's outline, which slides over the skin as the head turns
HIDDEN_NOISE = 0.02
PLAIN, GRAZING = 0.45, 0.10  # cosine between skin and line of sight from which on it is plainly seen, and up to which not at all
ROUNDS = 3
CLEARANCE_ROUNDS = 2
SOFTENINGS = 5  # times that the noise is doubled while a face of the mesh would be turned over
MOUTH_WIDE = ("mouthSmile", "mouthUpperUp", "mouthLowerDown", "mouthStretch")
OWN_MOUTH = (0.35, 0.65)  # of the strongest of these: up to the first the mouth is the person's own, from the second not
OWN_LARGEST_MOUTH, OWN_LARGEST_SQUINT, OWN_LARGEST_LID = 0.3, 0.5, 0.45  # more than that leaves too little room to move
OWN_LARGEST_BROW = 0.25
RESTING_LIDS = ("eyeBlink", "eyeSquint", "eyeWide")
LID_SHARES, OWN_NARROWEST = np.array([1.0, 0.6, 0.0]), 0.24  # of them in narrow eyes; narrower ones could hardly blink
LID_MARGIN = 3  # ring of vertices along the lids' edges
LID_CLEARANCE = 0.0003  # metres more than the plain head's lids are away from the eyes: stretched faces of the mesh sag
POKE_VIEWS, POKE_SIZE = (-0.5, 0.0, 0.5), 64  # radians of yaw, pixels
POKE_MARGIN = 0.0018  # metres: the cornea bulges, catch lights lie on it, lids are drawn as flat patches
FARTHEST_BACK, IRIS_DEPTH = 0.0025, 0.0035
LID_OVERLAP = 0.0006  # metres that the lids overlap at least in a full blink
RIGID_PARTS = (("eye_l",), ("eye_r",), ("teeth_u", "teeth_l", "tongue", "mouth"))


@dataclass(frozen=True)
class FittedHead:
    """A person's resting head and how it looks in each photograph.

    Attributes:
        shaped: the resting head: fitted shape, bend, and what of the photographs' expression is the person's own.
        posed: per view, the head with what remains of the view's expression, in head space.
        plain: the head of the fitted shape alone.
        own: [E] the expression that is part of `shaped`.
    """

    shaped: ShapedHead
    posed: tuple[PosedHead, ...]
    plain: ShapedHead
    own: FloatArray


def fit_head(views: Sequence[PhotoView], head: HeadModel) -> FittedHead:
    """The head whose landmarks lie on those of the photographs, each with its own pose and expression."""
    plain = head.neutral(mean_shape(views))
    embedding = load_landmark_embedding(head)
    noise = NOISE
    for _ in range(SOFTENINGS):
        bend = _bend(views, head, plain, embedding, noise)
        if not _turned_over(head, plain.vertices, bend):
            break
        noise *= 2
    own = own_expression(views, head)
    posed = tuple(posed_in(view, head, _bent(head, plain, bend)) for view in views)
    rest = head.transforms(_bent(head, plain, bend), own).vertices
    bend = rest - plain.vertices
    for _ in range(CLEARANCE_ROUNDS):
        bend = _with_lids_over_the_eyes(head, plain, _with_lids_that_close(head, plain, bend))
    bend = _with_eyes_behind_the_lids(head, plain, bend)
    shaped = _bent(head, plain, bend)
    return FittedHead(shaped, posed, plain, own)


def own_expression(views: Sequence[PhotoView], head: HeadModel) -> FloatArray:
    """[E] what of the expressions in the photographs belongs to the resting face.

    One photograph cannot tell narrow eyes from a squint. What is slight is taken for the person's own; of an open or laughing
    mouth nothing is, and the eyes keep room to close.
    """
    weights = np.array([view_weight(view) for view in views])
    own = np.zeros(head.expression_count)
    for view, weight in zip(views, weights / weights.sum(), strict=True):
        own += weight * _own_share(view, head) * view.fit.params.expression
    return _with_resting_lids(own, head).astype(np.float32)


def _with_resting_lids(own: NDArray, head: HeadModel) -> NDArray:
    """Both eyes alike, for a fit takes the far eye of a turned head for a squint; never too narrow to blink."""
    sides = [[head.expression_names.index(name + side) for name in RESTING_LIDS] for side in ("Left", "Right")]
    own, both = own.copy(), own[sides].mean(0)
    both *= np.where(LID_SHARES > 0, min(1.0, OWN_NARROWEST / max(float(both @ LID_SHARES), 1e-6)), 1.0)
    own[sides] = both
    return own


def _own_share(view: PhotoView, head: HeadModel) -> NDArray:
    params, names = view.fit.params, head.expression_names
    value = dict(zip(names, params.expression.astype(float), strict=True))
    opened = abs(float(params.jaw_pose[0])) / head.jaw_open_angle
    wide = max(opened / 0.5, *(max(value.get(f"{name}Left", 0), value.get(f"{name}Right", 0)) for name in MOUTH_WIDE))
    mouth = 1 - smoothstep(*OWN_MOUTH, wide)
    share = np.ones(len(names))
    for i, name in enumerate(names):
        if name.startswith(("eyeLook", "jaw", "tongue")) or name == "mouthClose":
            share[i] = 0
        elif name.startswith("mouth"):
            share[i] = mouth * min(1.0, OWN_LARGEST_MOUTH / max(float(params.expression[i]), 1e-6))
        elif name.startswith("brow"):
            share[i] = min(1.0, OWN_LARGEST_BROW / max(float(params.expression[i]), 1e-6))
        elif name.startswith("cheek"):
            share[i] = OWN_LARGEST_SQUINT * mouth
        elif name.startswith("eye"):
            share[i] = min(1.0, OWN_LARGEST_LID / max(float(params.expression[i]), 1e-6))
            if name.startswith("eyeWide"):  # who looks up raises the lids
                share[i] *= 1 - np.clip(value.get(name.replace("Wide", "LookUp"), 0), 0, 1)
    return share


def mean_shape(views: Sequence[PhotoView]) -> FloatArray:
    """[S] shape coefficients of all views, those that are fitted well and seen from the front counting more."""
    weights = np.array([view_weight(view) for view in views])
    return (weights @ np.stack([view.fit.params.shape for view in views]) / weights.sum()).astype(np.float32)


def view_weight(view: PhotoView) -> float:
    """How much a photograph counts among several."""
    yaw, pitch, _ = view.fit.turn_degrees
    return float(np.cos(np.radians(yaw)) ** 2 * np.cos(np.radians(pitch)) ** 2 / (0.01 + view.fit.residual) ** 2)


def posed_in(view: PhotoView, head: HeadModel, shaped: ShapedHead) -> PosedHead:
    """The head with the expression that a photograph shows."""
    params = view.fit.params
    return head.transforms(shaped, params.expression, params.joint_pose())


def landmark_error(view: PhotoView, vertices: FloatArray, embedding: LandmarkEmbedding) -> FloatArray:
    """[468, 2] pixels from the head's landmarks to the photograph's."""
    return view.landmarks[:468] - project(view.camera, embedding.points(vertices))[:, :2]


def facing(view: PhotoView, vertices: FloatArray, faces: NDArray) -> FloatArray:
    """[V] cosine between the skin's normal and the direction to the photographer; negative where it looks away."""
    toward = view.camera.position - vertices
    toward = toward / np.linalg.norm(toward, axis=1, keepdims=True)
    return (vertex_normals(vertices, faces) * toward).sum(1)


def _bend(views: Sequence[PhotoView], head: HeadModel, plain: ShapedHead, embedding: LandmarkEmbedding,
          noise: float) -> FloatArray:
    """Displacement [V, 3] of the resting vertices."""
    at_rest = embedding.points(plain.vertices).astype(np.float64)
    covariance = kernel(at_rest, at_rest)
    to_vertices = kernel(plain.vertices.astype(np.float64), at_rest)
    bend = np.zeros_like(plain.vertices)
    for _ in range(ROUNDS):
        shaped = _bent(head, plain, bend)
        rows, wanted, deviation = [], [], []
        now = embedding.points(bend)
        for view in views:
            by_bend, error, view_noise = _observed(view, head, shaped, embedding, noise)
            rows.append(by_bend)
            wanted.append(error + np.einsum("lab,lb->la", by_bend, now))
            deviation.append(view_noise)
        weights = _posterior(covariance, np.stack(rows), np.stack(wanted), np.stack(deviation))
        bend = np.einsum("vla,la->va", to_vertices, weights).astype(np.float32)
        bend = _with_rigid_parts(head, bend)
    return bend


def kernel(a: NDArray, b: NDArray) -> NDArray:
    """Prior covariance [A, B, 3] of each coordinate of the bend between points [A, 3] and [B, 3] of the resting head, m²."""
    mirror = np.array([-1.0, 1.0, 1.0])
    near = ((a[:, None] - b[None]) ** 2).sum(-1)
    across = ((a[:, None] - b[None] * mirror) ** 2).sum(-1)
    same, other = np.zeros(near.shape), np.zeros(near.shape)
    for reach, deviation, common in KERNELS:
        same += deviation**2 * np.exp(-near / (2 * reach**2))
        other += common * deviation**2 * np.exp(-across / (2 * reach**2))
    return same[..., None] + other[..., None] * mirror


def _observed(view: PhotoView, head: HeadModel, shaped: ShapedHead, embedding: LandmarkEmbedding,
              noise: float) -> tuple[NDArray, NDArray, NDArray]:
    """How a bend at rest moves the landmarks in the picture [468, 2, 3], how far they are from where they belong [468, 2], and
    how uncertain that is [468]; all in metres at the head's distance."""
    posed = posed_in(view, head, shaped)
    points = embedding.points(posed.vertices).astype(np.float64)
    camera = view.camera
    rotation = camera.world_to_camera[:3, :3].astype(np.float64)
    seen = points @ rotation.T + camera.world_to_camera[:3, 3]
    ray = seen[:, :2] / seen[:, 2:]
    flat = rotation[None, :2] - ray[:, :, None] * rotation[None, 2:]
    skinning = np.einsum("lk,lkj->lj", embedding.barycentric, head.skin_weights[embedding.triangles])
    turned = np.einsum("lj,jab->lab", skinning, posed.joint_transforms[:, :3, :3])
    error = landmark_error(view, posed.vertices, embedding) * (seen[:, 2:] / camera.fx)
    cosine = embedding.points(facing(view, posed.vertices, head.faces_of("skin"))[:, None])[:, 0]
    plain = np.clip((cosine - GRAZING) / (PLAIN - GRAZING), 0, 1)
    deviation = noise + HIDDEN_NOISE * (1 - plain) ** 2
    deviation[list(SILHOUETTE)] += SLIDING_NOISE
    return np.matmul(flat, turned), error, deviation


def _posterior(covariance: NDArray, rows: NDArray, wanted: NDArray, deviation: NDArray) -> NDArray:
    """Weights [468, 3] of the kernels at the landmarks.

    Args:
        covariance: [468, 468, 3]; rows: [views, 468, 2, 3]; wanted: [views, 468, 2]; deviation: [views, 468].
    """
    views, count = deviation.shape
    weighted = rows[:, :, :, None, :] * covariance[None, :, None]
    seen = np.einsum("ulima,vmja->ulivmj", weighted, rows, optimize=True).reshape(views * count * 2, -1)
    seen[np.diag_indices(len(seen))] += np.repeat(deviation.ravel() ** 2, 2)
    solution = np.linalg.solve(seen, wanted.ravel()).reshape(views, count, 2)
    return np.einsum("vlia,vli->la", rows, solution)


def _bent(head: HeadModel, plain: ShapedHead, bend: FloatArray) -> ShapedHead:
    vertices = (plain.vertices + bend).astype(np.float32)
    return replace(plain, vertices=vertices, joints=head.joint_regressor @ vertices)


def _with_rigid_parts(head: HeadModel, bend: FloatArray) -> FloatArray:
    """Eyes, and all that is in the mouth, keep their form: each moves as its surroundings do on average."""
    bend = bend.copy()
    for side, parts in zip(("left", "right", None), RIGID_PARTS, strict=True):
        inside = head.vertices_of(*parts)
        around = np.concatenate(_lid_rings(head, side)[2:5]) if side else np.flatnonzero(head.masks.lips > 0.5)
        bend[inside] = bend[around].mean(0)
    return bend


def _with_lids_over_the_eyes(head: HeadModel, plain: ShapedHead, bend: FloatArray) -> FloatArray:
    """Keeps the lids as far from the eyeballs as they were, open and closed: what has come nearer is pushed out again."""
    bend = bend.copy()
    for _ in range(CLEARANCE_ROUNDS):
        push = np.zeros_like(bend)
        for blink in (0.0, 0.5, 1.0):
            expression = head.expression(eyeBlink=blink)
            before, after = (head.vertices(form, expression) for form in (plain, _bent(head, plain, bend)))
            for part, side in (("eye_l", "left"), ("eye_r", "right")):
                ball, lids = head.vertices_of(part), np.unique(np.concatenate(_lid_rings(head, side)))
                centre, moved = before[ball].mean(0), after[ball].mean(0)
                out = after[lids] - moved
                distance = np.linalg.norm(out, axis=1, keepdims=True)
                deficit = np.linalg.norm(before[lids] - centre, axis=1, keepdims=True) + LID_CLEARANCE - distance
                wanted = np.maximum(deficit, 0) * out / distance
                larger = np.linalg.norm(wanted, axis=1) > np.linalg.norm(push[lids], axis=1)
                push[lids[larger]] = wanted[larger]
        bend += push
    return bend


def _with_eyes_behind_the_lids(head: HeadModel, plain: ShapedHead, bend: FloatArray) -> FloatArray:
    """Moves an eyeball back until closed lids hide it, seen from the front and both sides."""
    bend = bend.copy()
    skin = head.faces_of("skin")
    for part in ("eye_l", "eye_r"):
        ball = head.vertices_of(part)
        for _ in range(CLEARANCE_ROUNDS):
            closed = head.vertices(_bent(head, plain, bend), head.expression(eyeBlink=1.0))
            poking = 0.0
            for yaw in POKE_VIEWS:
                camera = orbit_camera(yaw, 0.0, POKE_SIZE, POKE_SIZE, target=closed[ball].mean(0), fov_degrees=1.6)
                lids, eye = (rasterize_mesh(project(camera, closed), faces, POKE_SIZE, POKE_SIZE).depth
                             for faces in (skin, head.faces_of(part)))
                both = np.isfinite(lids) & np.isfinite(eye)
                poking = max(poking, float((lids - eye)[both & _front_of(eye)].max(initial=-POKE_MARGIN)) + POKE_MARGIN)
            bend[ball, 2] -= min(poking, FARTHEST_BACK)
    return bend


def _front_of(depth: FloatArray) -> NDArray[np.bool_]:
    """The part of an eyeball's picture that is not seen at a grazing angle: iris and what is near it."""
    return depth < depth.min() + IRIS_DEPTH


def _with_lids_that_close(head: HeadModel, plain: ShapedHead, bend: FloatArray) -> FloatArray:
    """Brings the lids of an eye nearer to each other wherever a full blink would leave a gap."""
    bend = bend.copy()
    for _ in range(CLEARANCE_ROUNDS):
        closed = head.vertices(_bent(head, plain, bend), head.expression(eyeBlink=1.0))
        for side in ("left", "right"):
            rings = _lid_rings(head, side)
            upper, lower = _lid_halves(head, rings[LID_MARGIN])
            upper, lower = (half[np.argsort(closed[half, 0])] for half in (upper, lower))
            x = closed[upper, 0]
            gap = np.maximum(closed[upper, 1] - np.interp(x, closed[lower, 0], closed[lower, 1]) + LID_OVERLAP, 0)
            gap = np.convolve(np.pad(gap, 2, "edge"), [0.1, 0.2, 0.4, 0.2, 0.1], "valid")
            for number, ring in enumerate(rings):
                share = np.clip((len(rings) - number) / (len(rings) - LID_MARGIN), 0, 1)
                for half, way in zip(_lid_halves(head, ring), (-0.7, 0.3), strict=True):
                    bend[half, 1] += way * share * np.interp(closed[half, 0], x, gap)
    return bend


def _lid_halves(head: HeadModel, ring: NDArray) -> tuple[NDArray, NDArray]:
    """Vertices of a ring that lie above and below the line between the corners of the eye."""
    points = head.v_template[ring]
    inner, outer = points[np.abs(points[:, 0]).argmin()], points[np.abs(points[:, 0]).argmax()]
    line = np.interp(points[:, 0] * np.sign(inner[0]), [abs(inner[0]), abs(outer[0])], [inner[1], outer[1]])
    return ring[points[:, 1] > line], ring[points[:, 1] <= line]


@lru_cache(maxsize=4)
def _lid_rings(head: HeadModel, side: str) -> list[NDArray[np.int64]]:
    return eyelid_rings(head, side, 7)


def _turned_over(head: HeadModel, vertices: FloatArray, bend: FloatArray) -> bool:
    """Whether a face of the skin in front of the ears looks the other way after the bend."""
    faces = head.faces_of("skin")
    faces = faces[head.masks.face[faces].min(1) > 0.5]
    before, after = face_normals(vertices, faces), face_normals(vertices + bend, faces)
    return bool(((before * after).sum(1) < 0).mean() > 0.002)
