"""Make resources/demo_motion.npz: six seconds of someone who greets, talks, blinks and smiles. Written down, not recorded.

usage: python -m tools.make_demo_motion [OUT.npz]

Speech is a schedule of mouth shapes (visemes) that flow into one another; brows and nods stress some of them; the eyes jump
between a few points as eyes do; the head sways slowly. No person's data is in it.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.assets import resource
from core.head.library import load_open_head
from core.head.model import HeadModel
from core.tracking.motion_clip import MotionClip, write_motion
from core.types import HeadParams

FPS, SECONDS = 30, 6.4
CAMERA_DISTANCE = 0.6
VISEME_SECONDS = 0.055  # width of a mouth shape; neighbours overlap, as in speech
JAW = "jaw"  # fraction of the full opening

VISEMES = {
    "rest": {},
    "closed": {"mouthPress": 0.35, "mouthRollLower": 0.25, "mouthRollUpper": 0.15},
    "ah": {JAW: 0.42, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "eh": {JAW: 0.27, "mouthStretch": 0.2, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2},
    "ee": {JAW: 0.13, "mouthSmile": 0.35, "mouthStretch": 0.2, "mouthLowerDown": 0.3},
    "oh": {JAW: 0.3, "mouthFunnel": 0.5, "mouthPucker": 0.2},
    "oo": {JAW: 0.14, "mouthPucker": 0.65, "mouthFunnel": 0.2},
    "ss": {JAW: 0.05, "mouthStretch": 0.2, "mouthLowerDown": 0.35, "mouthUpperUp": 0.15},
    "ff": {JAW: 0.07, "mouthRollLower": 0.4, "mouthUpperUp": 0.25},
    "ll": {JAW: 0.2, "mouthLowerDown": 0.15},
}
# "Hello there. So good to see you. Shall we make somebody smile?"
SPEECH = ("0.55 rest 0.65 eh 0.76 ll 0.90 oh 1.08 ss 1.18 eh 1.34 rest "
          "1.62 ss 1.74 oh 1.92 ll 2.02 oo 2.16 ll 2.26 oo 2.40 ss 2.54 ee 2.72 ll 2.84 oo 3.02 rest "
          "3.34 ss 3.44 ah 3.58 ll 3.68 oo 3.78 ee 3.90 closed 4.00 eh 4.14 ll 4.24 ss 4.34 ah 4.44 closed 4.56 oh 4.66 ll "
          "4.78 ee 4.92 ss 5.00 closed 5.14 ah 5.28 ll 5.42 rest")
BLINKS = (0.32, 2.62, 2.95, 4.62, 6.02)  # seconds at which the lids meet
LOOKS = ((0.0, 0.0, 0.0), (1.40, 0.02, 0.13), (1.95, 0.0, 0.0), (3.08, -0.06, -0.14), (3.52, 0.0, 0.0),  # time, pitch, yaw
         (4.98, 0.03, 0.05), (5.40, 0.0, 0.0))
BROW_FLASHES = ((0.75, 1.0), (2.55, 0.6), (4.38, 0.8))  # seconds, strength
NODS = ((0.90, 0.07), (2.30, 0.045), (2.62, 0.05), (4.05, 0.05), (4.40, 0.06), (5.15, 0.07))  # seconds, radians
LAST_SMILE = (4.9, 5.7)  # seconds over which it rises


def make_motion(head: HeadModel) -> list[HeadParams]:
    """The frames of the demo."""
    times = np.arange(round(FPS * SECONDS)) / FPS
    expressions, jaw = _speech(head, times)
    _add_smile(head, expressions, times)
    _add_brows(head, expressions, times)
    gaze = _gaze(times)
    _add_lids(head, expressions, times, gaze)
    rotation = _head_rotation(times)
    frames = []
    for i, time in enumerate(times):
        eye = np.array([gaze[i, 0], gaze[i, 1], 0.0], np.float32)
        sway = np.array([0.006 * np.sin(0.9 * time), 0.003 * np.sin(1.7 * time), -CAMERA_DISTANCE], np.float32)
        frames.append(HeadParams(
            expression=expressions[i].clip(0, 1).astype(np.float32),
            jaw_pose=np.array([jaw[i] * head.jaw_open_angle, 0, 0], np.float32), left_eye_pose=eye, right_eye_pose=eye,
            head_rotation=rotation[i].astype(np.float32), head_translation=sway, time_ns=round(time * 1e9)))
    return frames


def _speech(head: HeadModel, times: NDArray) -> tuple[NDArray, NDArray]:
    """Expression columns [T, E] and jaw opening [T]: each moment is a mixture of the shapes scheduled around it."""
    words = SPEECH.split()
    at, names = np.array(words[0::2], float), words[1::2]
    at = np.concatenate([[0.0, 0.35], at, [at[-1] + 0.4, SECONDS]])
    names = ["rest", "rest", *names, "rest", "rest"]
    weights = np.exp(-0.5 * ((times[:, None] - at) / VISEME_SECONDS) ** 2) + 1e-9 * np.exp(-np.abs(times[:, None] - at))
    weights /= weights.sum(1, keepdims=True)
    expressions, jaw = np.zeros((len(times), len(head.expression_names))), np.zeros(len(times))
    for weight, name in zip(weights.T, names, strict=True):
        units = dict(VISEMES[name])
        jaw += weight * units.pop(JAW, 0.0)
        expressions += weight[:, None] * head.expression(**units)
    return expressions, jaw


def _add_smile(head: HeadModel, expressions: NDArray, times: NDArray) -> None:
    """Friendly throughout, a broad smile at the end."""
    friendly = head.expression(mouthSmile=0.16, cheekSquint=0.08)
    broad = head.expression(mouthSmile=0.95, cheekSquint=0.6, eyeSquint=0.3, mouthDimple=0.3, mouthUpperUp=0.55,
                            mouthLowerDown=0.25)
    amount = _smoothstep((times - LAST_SMILE[0]) / (LAST_SMILE[1] - LAST_SMILE[0]))[:, None]
    expressions += (1 - amount) * friendly + amount * broad


def _add_brows(head: HeadModel, expressions: NDArray, times: NDArray) -> None:
    raised = head.expression(browInnerUp=0.9, browOuterUp=0.9, eyeWide=0.3)
    for moment, strength in BROW_FLASHES:
        expressions += strength * np.exp(-0.5 * ((times - moment) / 0.13) ** 2)[:, None] * raised


def _add_lids(head: HeadModel, expressions: NDArray, times: NDArray, gaze: NDArray) -> None:
    """Blinks close in 70 ms and open in 170 ms; the lids follow the eyes up and down."""
    shut = np.zeros(len(times))
    for moment in BLINKS:
        before, after = (moment - times) / 0.07, (times - moment) / 0.17
        shut = np.maximum(shut, _smoothstep(1 - np.where(times < moment, before, after)))
    expressions += shut[:, None] * head.expression(eyeBlink=1.0)
    expressions += np.maximum(gaze[:, :1], 0) * 2 * head.expression(eyeLookDown=1.0)
    expressions += np.maximum(-gaze[:, :1], 0) * 2 * head.expression(eyeLookUp=1.0)


def _gaze(times: NDArray) -> NDArray:
    """Pitch and yaw [T, 2] in radians: still, with jumps of 40 ms."""
    gaze = np.zeros((len(times), 2))
    for (_, *before), (moment, *after) in itertools.pairwise(LOOKS):
        gaze += _smoothstep((times - moment) / 0.04)[:, None] * (np.array(after) - np.array(before))
    return gaze


def _head_rotation(times: NDArray) -> NDArray:
    """Axis-angle [T, 3]: a slow sway, glances that the head joins, nods on stressed words. It starts and ends at rest."""
    ease = _smoothstep(times / 0.8) * _smoothstep((SECONDS - times) / 0.8)
    pitch = 0.025 * np.sin(1.3 * times + 0.4)
    yaw = 0.12 * np.sin(1.05 * times) + 0.05 * np.sin(2.3 * times + 1)
    roll = 0.035 * np.sin(0.8 * times + 2) - 0.05 * _smoothstep((times - 4.9) / 0.6)
    for moment, size in NODS:
        pitch = pitch + size * np.exp(-0.5 * ((times - moment) / 0.12) ** 2)
    for moment, _, aside in LOOKS:
        yaw = yaw + 0.6 * aside * np.exp(-0.5 * ((times - moment - 0.25) / 0.22) ** 2)
    return np.stack([pitch, yaw, roll], 1) * ease[:, None]


def _smoothstep(x: NDArray) -> NDArray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def main(arguments: list[str]) -> int:
    out = Path(arguments[0]) if arguments else resource("demo_motion.npz")
    head = load_open_head()
    write_motion(out, MotionClip.of(make_motion(head), head))
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
