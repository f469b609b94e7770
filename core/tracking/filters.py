"""Smoothing: the One-Euro filter for live use, and a filter without delay for recordings.

Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems" (CHI 2012),
algorithm 1: an exponential low-pass whose cutoff rises with the speed of the signal, so that rest is calm and motion prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.types import HeadParams

JAW_SCALE = 2.3  # an open jaw (0.43 rad) counts about like a coefficient of 1


@dataclass(frozen=True)
class OneEuroSettings:
    """Cutoffs of a One-Euro filter.

    Attributes:
        min_cutoff: Hz at rest. Lower is calmer.
        beta: Hz per unit of speed. Higher follows motion more promptly.
        derivative_cutoff: Hz of the low-pass on the speed.
    """

    min_cutoff: float
    beta: float
    derivative_cutoff: float = 1.0


@dataclass(frozen=True)
class SmoothingSettings:
    """Filters by group, and one slider for all.

    Attributes:
        rotation: degrees; the head turns slowly.
        translation: millimetres.
        expression: coefficients of mouth, cheeks and brows.
        eyes: degrees of gaze. Blinks are never filtered.
        strength: 0 turns smoothing off, 1 is the default, larger is calmer.
    """

    rotation: OneEuroSettings = field(default_factory=lambda: OneEuroSettings(1.5, 0.1))
    translation: OneEuroSettings = field(default_factory=lambda: OneEuroSettings(1.5, 0.05))
    expression: OneEuroSettings = field(default_factory=lambda: OneEuroSettings(2.0, 5.0))
    eyes: OneEuroSettings = field(default_factory=lambda: OneEuroSettings(6.0, 0.5))
    strength: float = 1.0


def smoothing_factor(cutoff: NDArray | float, period: float) -> NDArray | float:
    """Weight of the new sample in an exponential low-pass: 1 / (1 + tau / period), tau = 1 / (2 pi cutoff)."""
    return 1.0 / (1.0 + 1.0 / (2 * np.pi * cutoff * period))


class OneEuro:
    """One-Euro filter of a vector; every entry has its own cutoff.

    Args:
        settings: cutoffs.
        strength: divides the cutoffs; 0 passes the signal through.
    """

    def __init__(self, settings: OneEuroSettings, strength: float = 1.0) -> None:
        self.settings = settings
        self.strength = strength
        self.reset()

    def reset(self) -> None:
        """Take the next sample as it is."""
        self._value: NDArray | None = None
        self._speed: NDArray | None = None
        self._time = 0.0

    def __call__(self, value: NDArray, seconds: float) -> NDArray:
        """Filter a sample taken at time `seconds`; a time that does not advance starts anew."""
        value = np.asarray(value, float)
        period = seconds - self._time
        self._time = seconds
        if self.strength <= 0 or self._value is None or period <= 0:
            self._value, self._speed = value, np.zeros_like(value)
            return value
        speed = (value - self._value) / period
        derivative = smoothing_factor(self.settings.derivative_cutoff, period)
        self._speed = self._speed + derivative * (speed - self._speed)
        cutoff = (self.settings.min_cutoff + self.settings.beta * np.abs(self._speed)) / self.strength
        self._value = self._value + smoothing_factor(cutoff, period) * (value - self._value)
        return self._value


class ParamsFilter:
    """Smooths head parameters over time, group by group.

    Args:
        bypass: expression columns that pass unfiltered (blinks).
    """

    def __init__(self, settings: SmoothingSettings | None = None, bypass: Sequence[int] = ()) -> None:
        settings = settings or SmoothingSettings()
        self._bypass = list(bypass)
        self._rotation = OneEuro(settings.rotation, settings.strength)
        self._translation = OneEuro(settings.translation, settings.strength)
        self._expression = OneEuro(settings.expression, settings.strength)
        self._eyes = OneEuro(settings.eyes, settings.strength)
        self._scores = OneEuro(settings.expression, settings.strength)

        self._parts = (self._rotation, self._translation, self._expression, self._eyes, self._scores)

    def reset(self) -> None:
        """Forget the past, as after a seek."""
        for part in self._parts:
            part.reset()

    def set_strength(self, strength: float) -> None:
        """Smooth more or less from now on; see `SmoothingSettings.strength`."""
        for part in self._parts:
            part.strength = strength

    def __call__(self, params: HeadParams) -> HeadParams:
        """The smoothed parameters. The jaw counts as expression, in radians."""
        seconds = params.time_ns * 1e-9
        count = len(params.expression)
        rotation = np.radians(self._rotation(np.degrees(params.head_rotation), seconds))
        translation = self._translation(np.asarray(params.head_translation) * 1e3, seconds) * 1e-3
        moving = self._expression(np.concatenate([params.expression, params.jaw_pose * JAW_SCALE]), seconds)
        expression = moving[:count].copy()
        expression[self._bypass] = params.expression[self._bypass]
        eyes = np.radians(self._eyes(np.degrees(np.concatenate([params.left_eye_pose, params.right_eye_pose])), seconds))
        return replace(params, expression=expression.astype(np.float32),
                       scores=self._scores(params.scores, seconds).astype(np.float32),
                       jaw_pose=(moving[count:] / JAW_SCALE).astype(np.float32),
                       left_eye_pose=eyes[:3].astype(np.float32), right_eye_pose=eyes[3:].astype(np.float32),
                       head_rotation=rotation.astype(np.float32), head_translation=translation.astype(np.float32))


def smooth_recording(track: Sequence[HeadParams | None], settings: SmoothingSettings | None = None,
                     bypass: Sequence[int] = ()) -> list[HeadParams | None]:
    """Smooth a whole recording without delay: the mean of filtering it forwards and backwards.

    The delays of the two runs cancel. A frame without a face (None) ends a stretch; nothing leaks across it.
    """
    smoothed: list[HeadParams | None] = []
    for present, stretch in groupby(track, key=lambda params: params is not None):
        frames = list(stretch)
        smoothed += _smooth_stretch(frames, settings, bypass) if present else frames
    return smoothed


def _smooth_stretch(track: Sequence[HeadParams], settings: SmoothingSettings | None, bypass: Sequence[int]) -> list[HeadParams]:
    forward_filter, backward_filter = ParamsFilter(settings, bypass), ParamsFilter(settings, bypass)
    forward = [forward_filter(params) for params in track]
    end = track[-1].time_ns
    backward = [backward_filter(replace(params, time_ns=end - params.time_ns)) for params in reversed(track)][::-1]
    return [replace(interpolate(a, b, 0.5), time_ns=params.time_ns)
            for a, b, params in zip(forward, backward, track, strict=True)]


def interpolate(a: HeadParams, b: HeadParams, weight: float) -> HeadParams:
    """From `a` (weight 0) to `b` (weight 1), rotations along the shortest arc; what is not a number comes from `b`."""
    def mix(start: NDArray, end: NDArray) -> NDArray:
        return ((1 - weight) * np.asarray(start, float) + weight * np.asarray(end, float)).astype(np.float32)

    start = rotation_from_axis_angle(np.asarray(a.head_rotation, float))
    turn = axis_angle_from_rotation(rotation_from_axis_angle(np.asarray(b.head_rotation, float)) @ start.T)
    rotation = axis_angle_from_rotation(rotation_from_axis_angle(weight * turn) @ start)
    return replace(b, expression=mix(a.expression, b.expression), jaw_pose=mix(a.jaw_pose, b.jaw_pose),
                   scores=_mix_scores(a.scores, b.scores, weight),
                   left_eye_pose=mix(a.left_eye_pose, b.left_eye_pose),
                   right_eye_pose=mix(a.right_eye_pose, b.right_eye_pose),
                   head_rotation=rotation.astype(np.float32),
                   head_translation=mix(a.head_translation, b.head_translation))


def _mix_scores(a: NDArray, b: NDArray, weight: float) -> NDArray:
    """Scores between two heads; a head without any is at rest, where they are zero."""
    size = max(len(a), len(b))
    a, b = (scores if len(scores) else np.zeros(size) for scores in (a, b))
    return ((1 - weight) * a + weight * b).astype(np.float32)
