"""Driving by the difference to a zero pose: for a camera that stands aside, or a face whose rest is not the avatar's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.pipeline.live.turn import Turn
from core.tracking.loss import BLEND_NS, EASE_NS, HOLD_NS
from core.types import FloatArray, HeadParams, TrackState

_SMALLEST_RANGE = 0.3  # lids that rest more than 70 % shut are not stretched further


class RelativeDrive:
    """Takes the zero pose off tracked parameters.

    The head is expressed in the axes of the zero pose: with R₀ and t₀ there, R becomes R₀ᵀ·R and t becomes t₀ + R₀ᵀ·(t − t₀).
    That is what a camera right in front of the resting face would have seen, so a head that nods before a camera at its side
    nods on the avatar. While no face is seen the tracker eases to a face at rest, which is a difference of zero here: the
    zero pose is eased out and in along with the face.

    Args:
        expression_names: columns of the head model. ARKit's do not fall below 0 (nor does the jaw close through the teeth), and
            lids that were half shut in the zero pose still shut fully.
    """

    def __init__(self, expression_names: Sequence[str]) -> None:
        self._one_sided = is_arkit(expression_names)
        self._lids = np.array([i for i, name in enumerate(expression_names) if name.startswith("eyeBlink")], int)
        self.reset()

    def reset(self) -> None:
        """Forget the zero pose."""
        self._zero: HeadParams | None = None
        self._share = self._share_on_return = 1.0  # of the zero pose that is in what the tracker gives
        self._state = TrackState.TRACKED
        self._seen_ns = 0
        self._back_ns: int | None = None

    def take_zero(self, params: HeadParams) -> None:
        """Measure from `params` from now on."""
        self._zero = params
        self._share, self._back_ns = 1.0, None

    def follow(self, params: HeadParams) -> None:
        """Notice how the tracking is doing; to be called with everything that is tracked, in order."""
        now = params.time_ns
        if params.state in (TrackState.EASING, TrackState.LOST):
            self._share = 0.0 if params.state is TrackState.LOST else 1 - _smooth((now - self._seen_ns - HOLD_NS) / EASE_NS)
        elif params.state is TrackState.TRACKED:
            if self._state in (TrackState.EASING, TrackState.LOST):
                self._back_ns, self._share_on_return = now, self._share
            self._share = self._share_while_returning(now)
            self._seen_ns = now
        self._state = params.state

    def _share_while_returning(self, now_ns: int) -> float:
        if self._back_ns is None or now_ns - self._back_ns >= BLEND_NS:
            self._back_ns = None
            return 1.0
        return self._share_on_return + (1 - self._share_on_return) * max(now_ns - self._back_ns, 0) / BLEND_NS

    def __call__(self, params: HeadParams) -> HeadParams:
        """The difference to the zero pose; `params` themselves while there is none."""
        zero, share = self._zero, self._share
        if zero is None or share == 0:
            return params
        inverse = Turn.of(zero.head_rotation * share).inverse
        moved = inverse.apply(params.head_translation - zero.head_translation)
        jaw = params.jaw_pose - share * zero.jaw_pose
        if self._one_sided:
            jaw[0] = max(jaw[0], 0.0)
        scores = params.scores - share * zero.scores if len(params.scores) == len(zero.scores) else params.scores
        return replace(params, expression=self._expression(params, zero, share), jaw_pose=jaw, scores=scores,
                       left_eye_pose=params.left_eye_pose - share * zero.left_eye_pose,
                       right_eye_pose=params.right_eye_pose - share * zero.right_eye_pose,
                       head_rotation=inverse.after(Turn.of(params.head_rotation)).axis_angle(),
                       head_translation=(zero.head_translation + moved).astype(np.float32))

    def _expression(self, params: HeadParams, zero: HeadParams, share: float) -> FloatArray:
        resting = share * zero.expression
        expression = params.expression - resting
        if self._one_sided:
            expression[self._lids] /= np.maximum(1 - resting[self._lids], _SMALLEST_RANGE)
            np.maximum(expression, 0, out=expression)
        return expression


def _smooth(x: float) -> float:
    """The smooth step with which the loss policy eases, for any x."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def is_arkit(expression_names: Sequence[str]) -> bool:
    """Whether expression columns are ARKit's blendshapes, which run from 0 to 1."""
    return "mouthSmileLeft" in expression_names and "eyeBlinkLeft" in expression_names
