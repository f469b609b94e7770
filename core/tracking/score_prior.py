"""From the landmarker's blendshape scores to the mean of the fit's prior.

A person's resting face does not score zero. What moves a coefficient is the score minus the person's neutral score, stretched
so that a score of 1 still means a full expression.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.tracking.landmark_rig import LandmarkRig
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.tracking.solver import Prior

SMALLEST_RANGE = 0.3  # a neutral score above 0.7 is not stretched further
SCORE = {name: index for index, name in enumerate(SCORE_NAMES)}
KNOWN_STRENGTH = 30.0

# Factors on the prior weight of a column: above 1 the scores decide, below 1 the landmarks do. The scores settle what
# landmarks confuse (jaw against funnel and lip lowering); landmarks see brows and lip raising that the scores miss.
COLUMN_STRENGTH = {
    "jawOpen": 3.0,
    "mouthSmile": 2.0,
    "mouthPucker": 1.0,
    "mouthFunnel": 3.0,
    "mouthLowerDown": 2.0,
    "browDown": 0.5,
    "browInnerUp": 0.5,
    "browOuterUp": 0.5,
    "noseSneer": 2.0,
}


class ScorePrior:
    """Turns scores into prior means for the expression columns and the jaw of one head model."""

    def __init__(self, rig: LandmarkRig) -> None:
        names = rig.expression_names
        self._count = len(names)
        known = [(column, SCORE[name]) for column, name in enumerate(names) if name in SCORE]
        self._columns = np.array([column for column, _ in known], int)
        self._scores = np.array([score for _, score in known], int)
        self._strength = np.ones(self._count + 2)
        for column, name in enumerate(names):
            self._strength[column] = _strength_of(name)
        self._strength[-2] = COLUMN_STRENGTH["jawOpen"]

    def deltas(self, scores: NDArray, neutral_scores: NDArray) -> NDArray:
        """Scores [52] above the neutral, stretched to 0..1; negative where they fall below it."""
        return (scores - neutral_scores) / np.maximum(1 - neutral_scores, SMALLEST_RANGE)

    def __call__(self, scores: NDArray, neutral_scores: NDArray, known: dict[int, float] | None = None) -> Prior:
        """The prior of a frame.

        Args:
            scores: [52] the landmarker's scores.
            neutral_scores: [52] those of the resting face.
            known: values of columns that are known better than by the scores (lids): the fit explains the rest around them.
        """
        delta = np.clip(self.deltas(scores, neutral_scores), 0.0, 1.0)
        expression = np.zeros(self._count)
        expression[self._columns] = delta[self._scores]
        strength = self._strength
        if known:
            strength = strength.copy()
            for column, value in known.items():
                expression[column] = value
                strength[column] = KNOWN_STRENGTH
        jaw = np.array([delta[SCORE["jawOpen"]], delta[SCORE["jawLeft"]] - delta[SCORE["jawRight"]]])
        return Prior(expression, jaw, strength)


def _strength_of(name: str) -> float:
    return next((factor for start, factor in COLUMN_STRENGTH.items() if name.startswith(start)), 1.0)
