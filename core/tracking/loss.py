"""What the avatar does while no face is seen, and which faces are not to be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.tracking.filters import interpolate
from core.tracking.solver import Fit
from core.types import HeadParams, TrackState

HOLD_NS = 150_000_000
EASE_NS = 500_000_000
BLEND_NS = 100_000_000


class LossPolicy:
    """Bridges gaps in the tracking: hold for 150 ms, ease to neutral over 500 ms, blend in over 100 ms on return.

    Eased out, the face is relaxed and looks at the camera from where it was last seen.

    Args:
        expression_count: number of expression columns of the head model.
    """

    def __init__(self, expression_count: int) -> None:
        self._neutral = HeadParams.neutral(expression_count)
        self.reset()

    def reset(self) -> None:
        """Forget the past, as before the first frame."""
        self._shown = self._neutral
        self._last: HeadParams | None = None
        self._blend_from: HeadParams | None = None
        self._blend_start_ns = 0

    def update(self, tracked: HeadParams | None, time_ns: int) -> HeadParams:
        """What to show at `time_ns`, given what was tracked then (None: no face)."""
        shown = self._bridge(time_ns) if tracked is None else self._follow(tracked, time_ns)
        self._shown = shown
        return shown

    def _follow(self, tracked: HeadParams, time_ns: int) -> HeadParams:
        came_back = self._last is not None and self._shown.state is not TrackState.TRACKED
        if came_back:
            self._blend_from, self._blend_start_ns = self._shown, time_ns
        self._last = tracked
        if self._blend_from is None:
            return tracked
        weight = (time_ns - self._blend_start_ns) / BLEND_NS
        if weight >= 1:
            self._blend_from = None
            return tracked
        return interpolate(self._blend_from, tracked, max(weight, 0.0))

    def _bridge(self, time_ns: int) -> HeadParams:
        self._blend_from = None
        if self._last is None:
            return replace(self._neutral, state=TrackState.LOST, time_ns=time_ns)
        if self._shown.state is TrackState.TRACKED:
            self._last = self._shown
        since = time_ns - self._last.time_ns
        unseen = replace(self._last, residual=0.0, time_ns=time_ns)
        if since <= HOLD_NS:
            return replace(unseen, state=TrackState.HELD)
        rest = replace(self._neutral, head_translation=self._last.head_translation, shape=self._last.shape, time_ns=time_ns)
        progress = (since - HOLD_NS) / EASE_NS
        if progress >= 1:
            return replace(rest, state=TrackState.LOST)
        eased = interpolate(unseen, rest, progress * progress * (3 - 2 * progress))
        return replace(eased, state=TrackState.EASING)


@dataclass(frozen=True)
class Plausibility:
    """Limits beyond which a fit is not a face.

    Attributes:
        residual: mean landmark error, fraction of the inter-ocular distance.
        upright: cosine of the tilt of the eyes-above-mouth axis in the picture.
        facing: cosine of the angle between the face and the camera.
    """

    residual: float = 0.09
    upright: float = 0.2
    facing: float = 0.15

    def reason_against(self, fit: Fit) -> str:
        """Why `fit` is not believed; empty when it is."""
        if not np.isfinite(fit.translation).all() or fit.translation[2] >= 0:
            return "the face is behind the camera"
        if fit.rotation[1, 1] < self.upright:
            return "the face is upside down"
        if fit.rotation[2, 2] < self.facing:
            return "the face is turned away"
        if fit.residual > self.residual:
            return "this is no human face"
        return ""
