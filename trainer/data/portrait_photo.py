"""One photograph in, one training picture with its labels out, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from core.errors import InputError
from core.head.embedding import load_landmark_embedding
from core.head.mesh import vertex_normals
from core.head.model import HeadModel
from core.media.image import read_image
from core.tracking.person_segmenter import PersonSegmenter
from core.tracking.still_landmarker import StillLandmarker, face_size
from core.types import FloatArray, Landmarks
from trainer.data.dataset import Samples
from trainer.data.portrait_filter import (
    CoverCheck,
    QualityLimits,
    Refusal,
    blur_of,
    crowded,
    perceptual_hash,
)
from trainer.data.portrait_fit import PortraitFit, PortraitFitter
from trainer.data.portrait_mask import foreground_colours, head_silhouette, portrait_mask

LEAST_WORKING_SIZE = 256  # masks of smaller portraits are made at this size and shrunk
MATTE_SHARE = 0.01  # a file's own transparency is believed when it hides at least this share of the portrait


@dataclass(frozen=True)
class Portrait:
    """A training picture made of a photograph.

    Attributes:
        sample: its picture and labels [1], as person 0.
        fingerprint: [32] uint8 to recognise copies by.
        residual: landmark error of the fit, fraction of the interocular distance.
    """

    sample: Samples
    fingerprint: NDArray[np.uint8]
    residual: float


@dataclass(frozen=True)
class Refused:
    """Why a photograph gave none, and by how much."""

    reason: Refusal
    detail: str = ""

    @property
    def text(self) -> str:
        """For people."""
        return self.reason.value + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class Sitting:
    """A photograph whose face was found and has nothing against it.

    Attributes:
        image: [H, W, 3] RGB, upright.
        matte: [H, W] the file's own transparency, None where it has none.
        landmarks: in pixels of the photograph.
        fit: the head.
    """

    image: NDArray[np.uint8]
    matte: NDArray[np.uint8] | None
    landmarks: Landmarks
    fit: PortraitFit


@dataclass(frozen=True)
class CutOut:
    """The portrait's square [S, S] and who is in it.

    Attributes:
        picture: RGB.
        alpha: 0..1 float32, the person.
        colors: RGB freed of the background that shines through the border.
    """

    picture: NDArray[np.uint8]
    alpha: FloatArray
    colors: NDArray[np.uint8]


class PortraitMaker:
    """Makes portraits of photographs. Holds native resources: use from one thread and close there.

    Args:
        head: the head model to fit.
        size: side of the portraits, pixels.
        limits: what photographs must keep to.
        landmarker, segmenter: the networks; fetched on first use by default.

    Raises:
        AssetError: a network's file is missing and cannot be fetched.
    """

    def __init__(self, head: HeadModel, size: int, limits: QualityLimits | None = None,
                 landmarker: StillLandmarker | None = None, segmenter: PersonSegmenter | None = None) -> None:
        self._head, self._size = head, size
        self._limits = limits or QualityLimits()
        self._segmenter = segmenter or PersonSegmenter()
        self._landmarker = landmarker or StillLandmarker()
        self._fitter = PortraitFitter(head)
        self._cover = CoverCheck(self._fitter.rig)
        self._embedding = load_landmark_embedding(head)

    def close(self) -> None:
        """Frees the landmarker."""
        self._landmarker.close()

    def __call__(self, path: Path) -> Portrait | Refused:
        """The portrait in the photograph at `path`."""
        sitting = self.sitting(path)
        return sitting if isinstance(sitting, Refused) else self._portrait(sitting)

    def sitting(self, path: Path) -> Sitting | Refused:
        """The head in the photograph at `path`, unless something is against it."""
        try:
            image = read_image(path)
            matte = _own_matte(path)
        except (InputError, OSError, ValueError) as error:
            return Refused(Refusal.UNREADABLE, str(error))
        faces = self._landmarker.faces(image)
        landmarks = self._landmarker.examine(image, faces[0]) if faces else None
        if landmarks is None:
            return Refused(Refusal.NO_FACE, "what looks like a face is not a human one" if faces else "")
        fit = self._fitter(landmarks)
        if fit is None:
            return Refused(Refusal.POOR_FIT)
        return (self._objection_to_fit(fit, image, faces)
                or self._objection_to_cover(landmarks, image, faces[0])
                or Sitting(image, matte, landmarks, fit))

    def cut_out(self, sitting: Sitting, size: int) -> CutOut | Refused:
        """The person in the portrait's square of `size` pixels, told from the background."""
        picture = sitting.fit.framing.cut(sitting.image, size)
        silhouette = head_silhouette(self._head, sitting.fit, size)
        alpha = None
        if sitting.matte is not None:
            alpha = sitting.fit.framing.cut(sitting.matte, size).astype(np.float32) / 255
        if alpha is None or (alpha < 0.5).mean() < MATTE_SHARE:
            confidence = self._segmenter(picture)
            certainty = float(confidence[silhouette].mean()) if silhouette.any() else 0.0
            if certainty < self._limits.person:
                return Refused(Refusal.NO_FOREGROUND, f"certain by {100 * certainty:.0f} %")
            alpha = portrait_mask(confidence, picture, silhouette)
        return CutOut(picture, alpha, foreground_colours(picture, alpha))

    def _objection_to_fit(self, fit: PortraitFit, image: NDArray[np.uint8], faces: list[FloatArray]) -> Refused | None:
        limits, framing = self._limits, fit.framing
        yaw, pitch, _ = fit.turn_degrees
        if framing.side < limits.resolution * self._size:
            return Refused(Refusal.TOO_SMALL, f"the portrait would be {framing.side:.0f} pixels of the photograph")
        if abs(yaw) > limits.yaw or abs(pitch) > limits.pitch:
            return Refused(Refusal.TURNED_AWAY, f"{abs(yaw):.0f} degrees to the side, {abs(pitch):.0f} up or down")
        if fit.residual > limits.residual:
            return Refused(Refusal.POOR_FIT, f"{100 * fit.residual:.1f} % of the distance of the eyes")
        if crowded(fit, faces, [face_size(face) for face in faces], limits):
            return Refused(Refusal.SEVERAL_FACES)
        outside = framing.share_outside(image.shape[1], image.shape[0])
        if outside > limits.outside:
            return Refused(Refusal.CUT_OFF, f"{100 * outside:.0f} % of the portrait are missing")
        return None

    def _objection_to_cover(self, landmarks: Landmarks, image: NDArray[np.uint8], face: FloatArray) -> Refused | None:
        mouth, eye = self._cover.doubts(landmarks, self._landmarker.examine_mirrored(image, face))
        if mouth > self._limits.doubt:
            return Refused(Refusal.MOUTH_COVERED, f"uncertain by {100 * min(mouth, 1):.1f} %")
        if eye > self._limits.doubt:
            return Refused(Refusal.EYE_COVERED, f"uncertain by {100 * min(eye, 1):.1f} %")
        return None

    def _portrait(self, sitting: Sitting) -> Portrait | Refused:
        fit = sitting.fit
        picture = fit.framing.cut(sitting.image, self._size)
        points = fit.to_crop(sitting.landmarks.points[:468, :2], self._size)
        blur = blur_of(picture, _hull(points, self._size))
        if blur > self._limits.blur:
            return Refused(Refusal.BLURRED, f"blur {blur:.2f}, at most {self._limits.blur:.2f}")
        cut = self.cut_out(sitting, max(self._size, LEAST_WORKING_SIZE))
        if isinstance(cut, Refused):
            return cut
        rgba = _premultiplied(cut.colors, cut.alpha, self._size)
        return Portrait(self._sample(rgba, fit, points), perceptual_hash(picture), fit.residual)

    def _sample(self, rgba: NDArray[np.uint8], fit: PortraitFit, points: FloatArray) -> Samples:
        camera, params = fit.camera(self._size), fit.params
        shape = np.zeros(self._head.shape_count, np.float32)
        shape[:len(params.shape)] = params.shape
        vertices = self._head.vertices(shape, params.expression, params.joint_pose())
        normals = self._embedding.points(vertex_normals(vertices, self._head.faces_of("skin")))
        facing = ((camera.position - self._embedding.points(vertices)) * normals).sum(1) > 0
        seen = np.concatenate([points, facing[:, None]], 1).astype(np.float32)
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
        return Samples(rgba[None], shape[None], params.psi()[None], np.zeros((1, 3), np.float32), camera.world_to_camera[None],
                       intrinsics[None], np.zeros(1, np.int32), seen[None])


def _own_matte(path: Path) -> NDArray[np.uint8] | None:
    """The transparency that a file brings along [H, W], upright; None where it has none."""
    with Image.open(path) as image:
        if not image.has_transparency_data:
            return None
        return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A")))


def _hull(points: FloatArray, size: int) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return mask > 0


def _premultiplied(colours: NDArray[np.uint8], alpha: FloatArray, size: int) -> NDArray[np.uint8]:
    """RGBA [size, size, 4] whose colours are multiplied by alpha, from a larger picture."""
    rgba = np.concatenate([colours * alpha[..., None], 255 * alpha[..., None]], 2).astype(np.float32)
    if len(rgba) != size:
        rgba = cv2.resize(rgba, (size, size), interpolation=cv2.INTER_AREA)
    whole = np.clip(np.rint(rgba), 0, 255).astype(np.uint8)
    return np.concatenate([np.minimum(whole[..., :3], whole[..., 3:]), whole[..., 3:]], 2)
