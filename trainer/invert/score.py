"""How like its photographs an avatar is: driven as it will be, in their own view and in views that no photograph shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.pack import AvatarPack
from core.geometry import rotation_from_axis_angle
from core.head.embedding import load_landmark_embedding
from core.head.mesh import project
from core.head.model import HeadModel
from core.tracking.still_landmarker import StillLandmarker
from core.types import Camera, FloatArray
from trainer.invert.geometry import FittedHead
from trainer.invert.pack import GREY, seen
from trainer.invert.person import PhotoScore
from trainer.invert.view import PhotoView
from trainer.metrics.similarity import ssim_map

SCORE_SIZE = 256
READ_SIZE = 512  # pixels of renderings on which landmarks are read
TURNS = (-0.35, 0.35)  # radians of yaw away from the photograph
NEAR_FRONTAL = 12.0  # degrees of yaw up to which the mirrored photograph is a view of the same person
WORST_ERROR = 0.15  # landmark error, fraction of the distance of the eyes, at which nothing of the face is left


def photo_score(pack: AvatarPack, identity: Identity, views: Sequence[PhotoView], psis: Sequence[FloatArray], fitted: FittedHead,
                head: HeadModel) -> PhotoScore:
    """Likeness of a finished avatar, mean over the photographs.

    Args:
        psis: per photograph the driving vector [P] with which the avatar has the photograph's expression.
        fitted: the head of the photographs, to know where landmarks belong in other views.

    Raises:
        AssetError: the landmark model is missing.
    """
    pictures = [fitted_likeness(pack, identity, view, psi) for view, psi in zip(views, psis, strict=True)]
    with StillLandmarker() as landmarker:
        errors = [_read_error(landmarker, seen(pack, identity, view.fit.camera(READ_SIZE), psi), READ_SIZE / view.size
                              * view.landmarks) for view, psi in zip(views, psis, strict=True)]
        held_out = _held_out(pack, identity, views[0], psis[0], fitted, head, landmarker)
    ssim, psnr = np.mean(pictures, 0)
    return PhotoScore(float(ssim), float(psnr), float(np.mean(errors)), held_out)


def fitted_likeness(pack: AvatarPack, identity: Identity, view: PhotoView, psi: FloatArray) -> tuple[float, float]:
    """SSIM and PSNR of the avatar in a photograph's own view, over the person, at `SCORE_SIZE`."""
    drawn = seen(pack, identity, view.fit.camera(SCORE_SIZE), psi)
    return likeness(drawn, view.colors, view.alpha)


def likeness(drawn: NDArray[np.uint8], colors: NDArray[np.uint8], alpha: FloatArray) -> tuple[float, float]:
    """SSIM and PSNR of a rendering before grey [s, s, 3] and a photograph [S, S, 3] over its foreground [S, S]."""
    size = (len(drawn),) * 2
    weight = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    real = cv2.resize(colors, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    real = real * weight[..., None] + GREY * (1 - weight[..., None])
    fake = drawn.astype(np.float32) / 255
    error = float((((fake - real) ** 2).mean(2) * weight).sum() / max(float(weight.sum()), 1.0))
    a, b = (torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1), np.float32))[None] for p in (fake, real))
    similar = ssim_map(a, b).mean(1)[0].numpy()
    rim = (len(drawn) - len(similar)) // 2
    inner = weight[rim:rim + len(similar), rim:rim + len(similar)]
    return float((similar * inner).sum() / max(float(inner.sum()), 1.0)), float(-10 * np.log10(max(error, 1e-10)))


def _held_out(pack: AvatarPack, identity: Identity, view: PhotoView, psi: FloatArray, fitted: FittedHead, head: HeadModel,
              landmarker: StillLandmarker) -> float:
    """0..1: whether a face is read where it belongs when the avatar is turned to both sides, and, of a photograph taken from the
    front, how like the mirrored photograph the avatar is."""
    expected = load_landmark_embedding(head).points(fitted.posed[0].vertices)
    marks = []
    for turn in TURNS:
        camera = turned(view.fit.camera(READ_SIZE), turn)
        error = _read_error(landmarker, seen(pack, identity, camera, psi), project(camera, expected)[:, :2])
        marks.append(1 - min(error, WORST_ERROR) / WORST_ERROR if np.isfinite(error) else 0.0)
    if abs(view.fit.turn_degrees[0]) < NEAR_FRONTAL:
        marks.append(_mirrored_likeness(pack, identity, view, psi))
    return float(np.mean(marks))


def _mirrored_likeness(pack: AvatarPack, identity: Identity, view: PhotoView, psi: FloatArray) -> float:
    drawn = seen(pack, identity, mirrored(view.fit.camera(SCORE_SIZE)), psi)
    return likeness(drawn, view.colors[:, ::-1], view.alpha[:, ::-1])[0]


def turned(camera: Camera, yaw: float) -> Camera:
    """The same camera farther around the head's vertical axis, radians; positive moves it toward the head's left."""
    turn = np.eye(4)
    turn[:3, :3] = rotation_from_axis_angle(np.array([0.0, -yaw, 0.0]))
    return replace(camera, world_to_camera=(camera.world_to_camera @ turn).astype(np.float32))


def mirrored(camera: Camera) -> Camera:
    """The camera that sees a mirrored head as this one sees the head."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    return replace(camera, world_to_camera=(flip @ camera.world_to_camera @ flip).astype(np.float32),
                   cx=camera.width - camera.cx)


def _read_error(landmarker: StillLandmarker, picture: NDArray[np.uint8], expected: FloatArray) -> float:
    """Mean distance of landmarks read on a picture from where they belong, fraction of the distance of the outer corners of the
    eyes; nan when no face is found."""
    faces = landmarker.faces(picture)
    found = landmarker.examine(picture, faces[0]) if faces else None
    if found is None:
        return float("nan")
    error = np.linalg.norm(found.points[:468, :2] - expected[:468], axis=1).mean()
    return float(error / np.linalg.norm(expected[33] - expected[263]))
