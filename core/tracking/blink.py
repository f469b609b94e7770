"""How far the eyes are closed, from the lids' aperture and the blink scores, in the person's own range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.types import Landmarks

# Corners and upper-lower lid pairs of the subject's left and right eye.
EYE_CORNERS = np.array([(362, 263), (133, 33)])
LID_PAIRS = np.array([[(385, 380), (386, 374), (387, 373)], [(160, 144), (159, 145), (158, 153)]])
BLINK_SCORES = [SCORE_NAMES.index("eyeBlinkLeft"), SCORE_NAMES.index("eyeBlinkRight")]

AVERAGE_OPEN, AVERAGE_CLOSED = 0.30, 0.09  # aperture / width of the eye
AVERAGE_OPEN_SCORE, AVERAGE_CLOSED_SCORE = 0.08, 0.60
OPEN_SHARE = 0.6  # frames with at least this share of the widest aperture count as open
WIDEST_PERCENTILE = 95.0
CLOSED_PERCENTILE = 1.0
CLOSED_SHARE = 0.55  # the least aperture seen counts as closed when it is below this share of the open one
SCORE_SHARE = 0.5  # how much the score counts beside the aperture
SNAP_FROM, SNAP_TO = 0.55, 0.75  # closures between these are stretched to reach 1


@dataclass(frozen=True)
class LidRange:
    """Values of the open and the closed eyes, [2] each: subject's left, right.

    Attributes:
        open, closed: aperture of the lids as a fraction of the eye's width.
        open_score, closed_score: the landmarker's blink score.
    """

    open: NDArray
    closed: NDArray
    open_score: NDArray
    closed_score: NDArray

    @staticmethod
    def average() -> LidRange:
        """An average person's."""
        return LidRange(*(np.full(2, value) for value in
                          (AVERAGE_OPEN, AVERAGE_CLOSED, AVERAGE_OPEN_SCORE, AVERAGE_CLOSED_SCORE)))


def lid_aperture(points: NDArray) -> NDArray:
    """Mean distance of the lids over the width of the eye, subject's left and right [2].

    Args:
        points: [478, 3] landmarks; their depth keeps the ratio steady when the head turns.
    """
    width = np.linalg.norm(points[EYE_CORNERS[:, 0]] - points[EYE_CORNERS[:, 1]], axis=-1)
    opening = np.linalg.norm(points[LID_PAIRS[:, :, 0]] - points[LID_PAIRS[:, :, 1]], axis=-1).mean(1)
    return opening / np.maximum(width, 1e-6)


def measure_lid_range(clip: Sequence[Landmarks]) -> LidRange:
    """A person's range from a clip: open is the median of the frames with open eyes, closed the least seen.

    Where no blink was seen, closed stands at an average person's share of open.
    """
    aperture = np.stack([lid_aperture(landmarks.points) for landmarks in clip])
    scores = np.stack([landmarks.scores[BLINK_SCORES] for landmarks in clip]).astype(float)
    widest = np.percentile(aperture, WIDEST_PERCENTILE, axis=0)
    wide = aperture >= OPEN_SHARE * widest
    opened, open_score = (np.array([np.median(values[wide[:, eye], eye]) for eye in range(2)]) for values in (aperture, scores))
    least = np.percentile(aperture, CLOSED_PERCENTILE, axis=0)
    blinked = least < CLOSED_SHARE * opened
    closed = np.where(blinked, least, opened * AVERAGE_CLOSED / AVERAGE_OPEN)
    most = np.percentile(scores, 100 - CLOSED_PERCENTILE, axis=0)
    closed_score = np.where(blinked, np.maximum(most, open_score + 0.2), np.maximum(AVERAGE_CLOSED_SCORE, open_score + 0.3))
    return LidRange(opened, closed, open_score, closed_score)


def lid_closure(landmarks: Landmarks, lids: LidRange) -> NDArray:
    """Closure of the left and right eye [2] in 0..1: 0 wide open, 1 shut, linear up to a half and snapping shut after."""
    aperture = lid_aperture(landmarks.points)
    by_aperture = (lids.open - aperture) / np.maximum(lids.open - lids.closed, 0.05)
    by_score = (landmarks.scores[BLINK_SCORES] - lids.open_score) / np.maximum(lids.closed_score - lids.open_score, 0.1)
    closure = (1 - SCORE_SHARE) * by_aperture + SCORE_SHARE * by_score
    return snap_shut(np.clip(closure, 0.0, 1.0))


def snap_shut(closure: NDArray) -> NDArray:
    """Identity up to `SNAP_FROM`, then a steeper line that reaches 1 at `SNAP_TO`."""
    slope = (1 - SNAP_FROM) / (SNAP_TO - SNAP_FROM)
    return np.where(closure < SNAP_FROM, closure, np.minimum(SNAP_FROM + (closure - SNAP_FROM) * slope, 1.0))
