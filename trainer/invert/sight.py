"""What a photograph shows of a posed person: where points lie in it, what hides them, and what of the picture may be believed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.head.mesh import project, rasterize_mesh
from core.head.model import HeadModel
from core.studio.numerics import smoothstep
from core.types import Camera, FloatArray
from trainer.invert.geometry import facing
from trainer.invert.view import PhotoView

# contours of the landmarks in order around an eye's opening and around the slit between the lips
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
INNER_MOUTH = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LASH_MARGIN, LIP_MARGIN = 0.020, 0.006  # around eyes and slit nothing is believed, fractions of the distance of the eyes
OPEN_MOUTH = 0.02  # height of the slit from which on there is something to see in it, likewise
BEHIND = 0.004  # metres behind the visible surface at which a point counts as hidden
HALF_FACING, FULL_FACING = 0.12, 0.50  # cosines at which skin begins to be believed, and is fully
_REMAP_COLUMNS = 4096  # OpenCV's remap takes no row of 32768 or more
BORDER = 0.012  # of the foreground in which colours are uncertain, share of the picture's side


@dataclass(frozen=True)
class PhotoSight:
    """One photograph and the head mesh posed in it.

    Attributes:
        view: the photograph.
        vertices: [V, 3] posed head, head space.
        cosine: [V] between skin and line of sight.
        depth: [S, S] metres of the nearest skin or eye, infinite where there is none.
        believed: [S, S] 0..1, where the picture shows the person's surface: not the background, eyes or an open mouth.
        picture: [S, S, 3] 0..1 RGB freed of the background.
    """

    view: PhotoView
    vertices: FloatArray
    cosine: FloatArray
    depth: FloatArray
    believed: FloatArray
    picture: FloatArray

    @property
    def camera(self) -> Camera:
        return self.view.camera

    def pixels(self, points: FloatArray) -> FloatArray:
        """Pixel x, pixel y and depth [N, 3] of points in head space."""
        return project(self.camera, points)

    def sample(self, image: FloatArray, pixels: FloatArray) -> FloatArray:
        """Values [N(, C)] of a picture at pixels [N, 2], bilinear, continued past the border."""
        rows = -(-len(pixels) // _REMAP_COLUMNS)
        at = np.zeros((rows * _REMAP_COLUMNS, 2), np.float32)
        at[:len(pixels)] = pixels - 0.5
        at = at.reshape(rows, _REMAP_COLUMNS, 2)
        read = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return read.reshape(rows * _REMAP_COLUMNS, *image.shape[2:])[:len(pixels)]

    def belief(self, points: FloatArray, cosine: FloatArray) -> FloatArray:
        """[N] how far the photograph may be believed about skin at points [N, 3] whose normals have a `cosine` with the line of
        sight."""
        at = self.pixels(points)
        inside = ((at[:, :2] > 1) & (at[:, :2] < self.view.size - 1)).all(1)
        nearest = self.sample(self._near_depth, at[:, :2])
        seen = smoothstep(BEHIND, 0.4 * BEHIND, at[:, 2] - nearest)
        return (inside * seen * smoothstep(HALF_FACING, FULL_FACING, cosine) * self.sample(self.believed, at[:, :2])).astype(
            np.float32)

    def before_surface(self, points: FloatArray) -> NDArray[np.bool_]:
        """[N] whether points [N, 3] are not hidden by the head."""
        at = self.pixels(points)
        depth = np.where(np.isfinite(self.depth), self.depth, 9.0).astype(np.float32)
        return at[:, 2] < self.sample(depth, at[:, :2]) + 2 * BEHIND

    @property
    def inside(self) -> FloatArray:
        """[S, S] 0..1, the foreground without its border, where the background shines through."""
        distance = cv2.distanceTransform((self.view.alpha > 0.9).astype(np.uint8), cv2.DIST_L2, 3)
        return smoothstep(0.25, 1, distance / (BORDER * self.view.size)).astype(np.float32)

    @property
    def _near_depth(self) -> FloatArray:
        """Depth of the nearest surface in the neighbourhood; far where there is none."""
        return cv2.erode(np.where(np.isfinite(self.depth), self.depth, 9.0).astype(np.float32), np.ones((3, 3), np.uint8))


def photo_sight(view: PhotoView, head: HeadModel, vertices: FloatArray) -> PhotoSight:
    """Puts the posed head into its photograph."""
    faces = head.faces_of("skin", "eye_l", "eye_r")
    drawn = rasterize_mesh(project(view.camera, vertices), faces, view.size, view.size)
    cosine = facing(view, vertices, head.faces_of("skin"))
    return PhotoSight(view, vertices, cosine, drawn.depth, _believed(view), view.colors.astype(np.float32) / 255)


def eye_distance(view: PhotoView) -> float:
    """Pixels between the outer corners of the eyes."""
    return float(np.linalg.norm(view.landmarks[33] - view.landmarks[263]))


def eye_masks(view: PhotoView) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[S, S] openings of the left and the right eye (the subject's)."""
    return _filled(view, LEFT_EYE), _filled(view, RIGHT_EYE)


def mouth_mask(view: PhotoView) -> NDArray[np.bool_]:
    """[S, S] the opening between the lips; empty when they are closed."""
    slit = view.landmarks[list(INNER_MOUTH)]
    height = np.abs(slit[1:10] - slit[:10:-1]).max(0)[1]
    return _filled(view, INNER_MOUTH) if height > OPEN_MOUTH * eye_distance(view) else np.zeros((view.size,) * 2, bool)


def _believed(view: PhotoView) -> FloatArray:
    unit = eye_distance(view)
    border = BORDER * view.size
    inside = cv2.distanceTransform((view.alpha > 0.9).astype(np.uint8), cv2.DIST_L2, 3)
    picture_edge = np.zeros((view.size,) * 2, np.uint8)
    picture_edge[1:-1, 1:-1] = 1
    inside = np.where(cv2.distanceTransform(picture_edge, cv2.DIST_L2, 3) < border, border * (view.alpha > 0.9), inside)
    belief = smoothstep(0.25 * border, border, inside)
    for mask, margin in ((np.logical_or(*eye_masks(view)), LASH_MARGIN), (mouth_mask(view), LIP_MARGIN)):
        if mask.any():
            away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
            belief = belief * smoothstep(margin * unit, 1.6 * margin * unit, away)
    return belief.astype(np.float32)


def _filled(view: PhotoView, contour: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros((view.size,) * 2, np.uint8)
    cv2.fillPoly(mask, [np.rint(view.landmarks[list(contour)] * 16).astype(np.int32)], 1, shift=4)
    return mask > 0
