"""What the user does to the motion between tracking and drawing: freeze, relative driving, gains, presets and offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.pipeline.live.relative import RelativeDrive, is_arkit
from core.pipeline.live.state import DriveControls, Gains
from core.pipeline.live.turn import Turn
from core.types import FloatArray, HeadParams, TrackState

EASE_SECONDS = 0.15
EXPRESSION_LIMIT = 1.25  # ARKit columns; a little over 1 still looks like a face
COEFFICIENT_LIMIT = 5.0  # statistical columns, standard deviations
EYE_LIMIT = np.radians(40.0)
JAW_OPEN, JAW_YAW = 0.427, 0.140  # radians of the open head's fully open and fully turned jaw
JAW_OVERDRIVE = 1.2  # the tracker too lets a jaw open that much further than its full angle
NECK_JOINT = (0.0, -0.1394, -0.1177)  # metres, of the open head

_GROUP_STARTS = {"brow": "brows", "eye": "eyes", "jaw": "jaw", "mouth": "mouth", "cheek": "mouth", "nose": "mouth",
                 "tongue": "mouth"}
GROUPS = ("brows", "eyes", "jaw", "mouth")


def group_of(column: str) -> str:
    """Part of the face (one of `GROUPS`) that an expression column moves; the mouth when its name does not tell."""
    return next((group for start, group in _GROUP_STARTS.items() if column.startswith(start)), "mouth")


class Steering:
    """Applies `DriveControls`. Belongs to the drawing thread; only `rezero` may be called from others.

    Per picture: `params` once for what was tracked, then `psi` and `rotation` for each person. Nothing is changed in place.

    Args:
        expression_names: columns of the head model that ψ begins with.
        jaw_open, jaw_yaw: radians of its fully open and fully turned jaw.
        neck_joint: [3] metres, about which the head turns: changing its rotation moves its origin along, so the neck stays.
    """

    def __init__(self, expression_names: Sequence[str], *, jaw_open: float = JAW_OPEN, jaw_yaw: float = JAW_YAW,
                 neck_joint: Sequence[float] = NECK_JOINT) -> None:
        self._groups = psi_groups(expression_names)
        self._low, self._high = psi_limits(expression_names, jaw_open, jaw_yaw)
        self._relative = RelativeDrive(expression_names)
        self._fade = PresetFade(expression_names)
        self._neck = np.asarray(neck_joint, float)
        self._gain_of: tuple[Gains, FloatArray] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the zero pose, what is frozen, and running fades, as after a change of source."""
        self._relative.reset()
        self._fade.reset()
        self._rest: FloatArray | None = None
        self._held: tuple[HeadParams, FloatArray | None] | None = None
        self._frozen = self._rezero = False

    def rezero(self) -> None:
        """The next tracked parameters become the zero pose and the rest translation. From any thread."""
        self._rezero = True

    @property
    def rest_translation(self) -> FloatArray | None:
        """Translation [3] of the resting head, that of the zero pose; None before a face was seen."""
        return self._held[1] if self._frozen and self._held else self._rest

    @property
    def is_easing(self) -> bool:
        """Whether a preset is on its way in or out, so that the next picture differs even when nothing new is tracked."""
        return self._fade.is_running

    def params(self, tracked: HeadParams, controls: DriveControls, now_ns: int | None = None) -> HeadParams:
        """What drives: tracked parameters after re-zeroing, relative driving and freezing.

        Args:
            tracked: as the tracker gives them.
            controls: what the user has set.
            now_ns: time of the picture, for fades while the source stands still; the time of `tracked` by default.
        """
        self._relative.follow(tracked)
        self._take_zero(tracked)
        self._fade.advance(controls.preset, tracked.time_ns if now_ns is None else now_ns)
        self._frozen = controls.frozen
        if controls.frozen and self._held is not None:
            held = self._held[0]
            return replace(held, time_ns=tracked.time_ns, state=tracked.state)
        shown = self._relative(tracked) if controls.relative else tracked
        self._held = (shown, self._rest)
        return shown

    def psi(self, psi: FloatArray, controls: DriveControls) -> FloatArray:
        """ψ [P] as it shall be shown: gains, then the preset, then offsets, kept in sane limits.

        What the limits cut off is only what the controls add. Without gains, preset and offsets the same array comes back.
        """
        steered = psi
        if controls.gains != _UNIT:
            steered = steered * self._gain(controls.gains)
        if self._fade.weight > 0:
            steered = self._fade.apply(steered)
        offset = controls.psi_offset
        if len(offset) == len(psi) and offset.any():
            steered = steered + offset
        if steered is psi:
            return psi
        low, high = np.minimum(self._low, psi), np.maximum(self._high, psi)
        return np.minimum(np.maximum(steered, low), high).astype(np.float32)

    def rotation(self, params: HeadParams, controls: DriveControls) -> HeadParams:
        """`params` with the head's motion about its rest scaled, then turned by the offset, both about the neck."""
        gain = controls.gains.head * controls.rotation_gain
        offset = controls.rotation_offset
        if gain == 1.0 and not offset.any():
            return params
        turned = Turn.of(offset).after(Turn.of(params.head_rotation * gain))
        return replace(params, head_rotation=turned.axis_angle(), head_translation=self._translated(params, turned, gain))

    # ------------------------------------------------------------------ internals

    def _translated(self, params: HeadParams, turned: Turn, gain: float) -> FloatArray:
        """Translation [3] of a head `turned` otherwise for which the neck has moved from its rest `gain` times as far."""
        rest = self.rest_translation
        if rest is None:
            return params.head_translation
        neck_before = Turn.of(params.head_rotation).apply(self._neck) - self._neck
        neck_after = turned.apply(self._neck) - self._neck
        return (rest + gain * (params.head_translation - rest + neck_before) - neck_after).astype(np.float32)

    def _take_zero(self, tracked: HeadParams) -> None:
        if tracked.state is not TrackState.TRACKED or not (self._rezero or self._rest is None):
            return
        self._rezero = False
        self._rest = tracked.head_translation
        self._relative.take_zero(tracked)

    def _gain(self, gains: Gains) -> FloatArray:
        """Factor [P] on ψ."""
        if self._gain_of is None or self._gain_of[0] != gains:
            values = np.array([getattr(gains, group) for group in GROUPS], np.float32)
            self._gain_of = (gains, values[self._groups])
        return self._gain_of[1]


class PresetFade:
    """Fades preset faces in, out and into each other.

    A preset replaces the expression and the jaw. Blinks and gaze go on as tracked where the preset has none of its own: a
    face whose eyes stand still looks dead.

    Args:
        expression_names: columns of the head model.
    """

    def __init__(self, expression_names: Sequence[str]) -> None:
        names = list(expression_names)
        self._count = len(names)
        self._lids = np.array([i for i, name in enumerate(names) if name.startswith("eyeBlink")], int)
        self._looks = np.array([i for i, name in enumerate(names) if name.startswith("eyeLook")], int)
        self._wide = [(names.index(f"eyeWide{side}"), names.index(f"eyeBlink{side}")) for side in ("Left", "Right")
                      if f"eyeWide{side}" in names and f"eyeBlink{side}" in names]
        self.reset()

    def reset(self) -> None:
        """No preset, no fade."""
        self.weight = 0.0
        self._preset: HeadParams | None = None
        self._face: FloatArray | None = None
        self._progress = 1.0
        self._time_ns: int | None = None

    @property
    def is_running(self) -> bool:
        return self._progress < 1

    def advance(self, preset: HeadParams | None, time_ns: int) -> None:
        """Go on to `time_ns` toward `preset`, or toward none. A time that does not advance changes nothing."""
        passed = 0.0 if self._time_ns is None else max(time_ns - self._time_ns, 0) * 1e-9
        self._time_ns = time_ns
        if preset is not self._preset:
            self._start(preset)
            passed = 0.0
        if self._progress >= 1:
            return
        self._progress = min(self._progress + passed / EASE_SECONDS, 1.0)
        eased = self._progress**2 * (3 - 2 * self._progress)
        self.weight = self._weight_from + eased * (self._weight_to - self._weight_from)
        if self._face_to is not None:
            self._face = self._face_from + eased * (self._face_to - self._face_from)

    def apply(self, psi: FloatArray) -> FloatArray:
        """ψ [P] with the preset laid over it."""
        face = np.array(self._face, np.float32)
        count = self._count
        face[self._lids] = np.maximum(face[self._lids], psi[self._lids])
        for wide, blink in self._wide:
            face[wide] *= 1 - min(max(face[blink], 0.0), 1.0)
        if not (face[self._looks].any() or face[count + 3:count + 9].any()):
            face[self._looks] = psi[self._looks]
            face[count + 3:] = psi[count + 3:]
        return psi + self.weight * (face - psi)

    def _start(self, preset: HeadParams | None) -> None:
        self._preset = preset
        self._progress = 0.0
        self._weight_from, self._weight_to = self.weight, 0.0 if preset is None else 1.0
        self._face_to = None if preset is None else preset.psi()
        if self._face is None or self.weight == 0:
            self._face = self._face_to
        self._face_from = self._face


_UNIT = Gains()


def psi_groups(expression_names: Sequence[str]) -> FloatArray:
    """Index into `GROUPS` of every entry of ψ [P]."""
    by_column = [GROUPS.index(group_of(name)) for name in expression_names]
    return np.array(by_column + [GROUPS.index("jaw")] * 3 + [GROUPS.index("eyes")] * 6, int)


def psi_limits(expression_names: Sequence[str], jaw_open: float = JAW_OPEN,
               jaw_yaw: float = JAW_YAW) -> tuple[FloatArray, FloatArray]:
    """Least and largest sane values of ψ [P]. A jaw opens but closes no further, turns to both sides, and does not roll."""
    count, arkit = len(expression_names), is_arkit(expression_names)
    jaw = np.array([jaw_open, jaw_yaw, 0.0]) * JAW_OVERDRIVE
    low = np.concatenate([np.full(count, 0.0 if arkit else -COEFFICIENT_LIMIT), [0.0, -jaw[1], 0.0], np.full(6, -EYE_LIMIT)])
    high = np.concatenate([np.full(count, EXPRESSION_LIMIT if arkit else COEFFICIENT_LIMIT), jaw, np.full(6, EYE_LIMIT)])
    return low.astype(np.float32), high.astype(np.float32)
