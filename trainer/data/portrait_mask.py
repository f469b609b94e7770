"""The foreground of a portrait: network mask, corrected by the fitted head, sharpened along the picture's own edges.

Steps: the person network (`core.tracking.person_segmenter`) on the portrait's square; the head's own silhouette is filled in;
what is not connected with the head is dropped; a guided filter (He et al., "Guided Image Filtering", TPAMI 2013) moves the soft
border onto the edges of the picture; colours of the border are freed of the background by two rounds of blur fusion (Forte,
"Approximate Fast Foreground Colour Estimation", ICIP 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.head.mesh import project, rasterize_mesh
from core.head.model import HeadModel
from core.types import FloatArray
from trainer.data.portrait_fit import PortraitFit

GUIDE_RADIUS, GUIDE_EPSILON = 0.03, 1e-4  # of the guided filter: share of the side, variance of 0..1 colours
LOW, HIGH = 0.15, 0.85  # of the filtered mask: below is background, above is foreground
FILL_MARGIN = 0.05  # how far inside the head's silhouette everything is foreground, share of the side
FUSION_RADII = (0.05, 0.01)  # of the colour estimate, shares of the side; best on studio people


@dataclass(frozen=True)
class MaskSettings:
    """What of the refinement is done; all of it except for comparisons.

    Attributes:
        fill_head, connected, guided: the steps of the module's text.
    """

    fill_head: bool = True
    connected: bool = True
    guided: bool = True


def portrait_mask(confidence: FloatArray, picture: NDArray[np.uint8], silhouette: NDArray[np.bool_],
                  settings: MaskSettings | None = None) -> FloatArray:
    """Alpha in 0..1 [S, S].

    Args:
        confidence: [S, S] of the network.
        picture: [S, S, 3] RGB.
        silhouette: [S, S] where the fitted head is.
    """
    settings = settings or MaskSettings()
    side = len(picture)
    alpha = confidence.astype(np.float32)
    inside = _eroded(silhouette, FILL_MARGIN * side)
    if settings.fill_head:
        alpha = np.where(inside, 1, alpha).astype(np.float32)
    if settings.connected:
        alpha = alpha * _connected(alpha, inside)
    if settings.guided:
        radius = max(1, round(GUIDE_RADIUS * side))
        # an 8-bit guide: with one of floats OpenCV's filter ignores small epsilons and blurs
        alpha = cv2.ximgproc.guidedFilter(guide=picture, src=alpha, radius=radius, eps=GUIDE_EPSILON * 255**2)
        if settings.fill_head:
            alpha = np.where(inside, 1, alpha)
    return np.clip((alpha - LOW) / (HIGH - LOW), 0, 1).astype(np.float32)


def foreground_colours(picture: NDArray[np.uint8], alpha: FloatArray) -> NDArray[np.uint8]:
    """RGB [S, S, 3] as it would be without the background that shines through the border."""
    image, a = picture.astype(np.float32), alpha[..., None].astype(np.float32)
    front = back = image
    for radius in FUSION_RADII:
        size = (2 * max(1, round(radius * len(picture))) + 1,) * 2
        share = cv2.blur(alpha.astype(np.float32), size)[..., None]
        front = cv2.blur(front * a, size) / np.maximum(share, 1e-4)
        back = cv2.blur(back * (1 - a), size) / np.maximum(1 - share, 1e-4)
        front = np.clip(front + a * (image - a * front - (1 - a) * back), 0, 255)
    return np.rint(np.where(a >= 1, image, front)).astype(np.uint8)


def head_silhouette(head: HeadModel, fit: PortraitFit, size: int) -> NDArray[np.bool_]:
    """Where the fitted head is in the portrait [S, S]; its shoulders, which do not follow the photograph's, are left out."""
    params = fit.params
    vertices = head.vertices(params.shape, params.expression, params.joint_pose())
    skin = head.faces_of("skin")
    on_head = head.skin_weights[:, 0] < 0.5  # the root joint holds the shoulders
    faces = skin[on_head[skin].all(1)]
    return rasterize_mesh(project(fit.camera(size), vertices), faces, size, size).triangle >= 0


def _connected(alpha: FloatArray, seed: NDArray[np.bool_]) -> FloatArray:
    """1 on the parts of the mask that touch the head and on their soft border, 0 elsewhere [S, S]."""
    count, labels = cv2.connectedComponents((alpha > 0.5).astype(np.uint8))
    touching = np.unique(labels[seed]) if seed.any() else np.arange(1, count)
    kept = np.isin(labels, touching[touching > 0]).astype(np.uint8)
    others = ((labels > 0) & (kept == 0)).astype(np.uint8)
    near = cv2.distanceTransform(1 - kept, cv2.DIST_L2, 3) if kept.any() else np.zeros(alpha.shape, np.float32)
    away = cv2.distanceTransform(1 - others, cv2.DIST_L2, 3) if others.any() else np.full(alpha.shape, np.inf, np.float32)
    return (near <= away).astype(np.float32)


def _eroded(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """The mask without a rim of `radius` pixels."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3) > radius
