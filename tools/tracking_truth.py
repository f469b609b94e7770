"""Measure the tracker where the truth is known: on rendered studio people that move in a written-down way.

usage: python -m tools.tracking_truth [SEED ...] [--size 480] [--frames 12]

The first action is rest, with which the tracker is calibrated; the others rise and fall once each, while the head sways and the
eyes wander. Prints the root mean square error of the expression coefficients and the jaw, the mean absolute errors of head pose
and gaze in degrees, and how much of each action's peak is recovered.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.assets import landmarker_model_path
from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.head.library import load_open_head
from core.head.model import HeadModel
from core.render.renderer import open_renderer
from core.studio.assemble import build_identity
from core.studio.pose import pose_identity
from core.tracking.calibration import calibrate
from core.tracking.gaze import eye_pose, pitch_yaw
from core.tracking.lids import FULL_GAZE
from core.tracking.solver import FOCAL_FACTOR
from core.tracking.tracker import ClipTrack, Tracker
from core.types import Camera, Frame, HeadParams

PEAK = 0.9
FPS = 30
GREY = (0.45, 0.46, 0.48)
JAW = "jaw"
ACTIONS = {
    "neutral": {}, "jawOpen": {JAW: 1.0}, "smile": {"mouthSmile": 1.0}, "blink": {"eyeBlink": 1.0},
    "wink": {"eyeBlinkLeft": 1.0}, "pucker": {"mouthPucker": 1.0}, "browUp": {"browInnerUp": 1.0, "browOuterUp": 1.0},
    "browDown": {"browDown": 1.0}, "funnel": {"mouthFunnel": 1.0, JAW: 0.4}, "frown": {"mouthFrown": 1.0},
    "upperUp": {"mouthUpperUp": 1.0}, "sneer": {"noseSneer": 1.0}, "stretch": {"mouthStretch": 1.0},
    "mouthLeft": {"mouthLeft": 1.0}, "squint": {"eyeSquint": 1.0}, "wide": {"eyeWide": 1.0},
}


@dataclass(frozen=True)
class Accuracy:
    """Errors of a track against the truth.

    Attributes:
        found: share of the frames in which the face was found.
        expression_rmse: over all columns and frames.
        jaw_rmse: of the opening, 1 = fully open.
        pose_mae: [3] degrees of rotation about x, y and z.
        gaze_mae: [2] degrees of pitch and yaw, eyes open.
        depth_error: mean relative error of the distance, after one common factor (a single camera does not show size).
        residual: mean landmark error, fraction of the inter-ocular distance.
        peaks: recovered share of each action's peak.
    """

    found: float
    expression_rmse: float
    jaw_rmse: float
    pose_mae: NDArray
    gaze_mae: NDArray
    depth_error: float
    residual: float
    peaks: dict[str, float]


def script(head: HeadModel, actions: dict[str, dict[str, float]], frames: int) -> list[HeadParams]:
    """The truth: every action for `frames` frames, one after the other."""
    truth = []
    for units in actions.values():
        for step in range(frames):
            truth.append(_moment(head, units, PEAK * np.sin(np.pi * step / (frames - 1)), len(truth)))
    return truth


def _moment(head: HeadModel, units: dict[str, float], strength: float, t: int) -> HeadParams:
    pitch, yaw = np.radians([8 * np.sin(t / 13), 15 * np.sin(t / 11)])
    names = {name: weight * strength for name, weight in units.items() if name != JAW}
    expression = head.expression(**names)
    down, left = np.clip(np.array([pitch, yaw]) / FULL_GAZE, -1, 1)
    follow = {"eyeLookDown": max(down, 0), "eyeLookUp": max(-down, 0), "eyeLookOutLeft": max(left, 0),
              "eyeLookInRight": max(left, 0), "eyeLookInLeft": max(-left, 0), "eyeLookOutRight": max(-left, 0)}
    expression += head.expression(**follow)
    jaw = units.get(JAW, 0.0) * strength * head.jaw_open_angle
    eye = eye_pose(np.array([pitch, yaw]))
    rotation = np.radians([8 * np.sin(t / 17), 18 * np.sin(t / 23), 6 * np.sin(t / 29)])
    translation = [0.02 * np.sin(t / 31), 0.015 * np.sin(t / 19), -0.62 + 0.05 * np.sin(t / 37)]
    return HeadParams(expression, np.array([jaw, 0, 0], np.float32), eye, eye, rotation.astype(np.float32),
                      np.array(translation, np.float32), time_ns=round(t * 1e9 / FPS))


def film(head: HeadModel, seed: int, truth: list[HeadParams], size: int) -> Iterator[Frame]:
    """The studio person `seed` doing what `truth` says, seen by the camera that the tracker assumes."""
    person = build_identity(seed, head)
    rest = head.neutral(person.shape)
    renderer = open_renderer("cpu")
    rng = np.random.default_rng(seed)
    try:
        for index, params in enumerate(truth):
            vertices = head.vertices(rest, params.expression, params.joint_pose())
            cloud = pose_identity(person, vertices, params.expression)
            image = renderer.render(cloud, _camera(params, size), GREY)[..., :3]
            noisy = image + rng.normal(0, 2, image.shape)
            yield Frame(np.ascontiguousarray(noisy.clip(0, 255).astype(np.uint8)), params.time_ns, index)
    finally:
        renderer.close()


def _camera(params: HeadParams, size: int) -> Camera:
    head_to_viewer = np.eye(4)
    head_to_viewer[:3, :3] = rotation_from_axis_angle(params.head_rotation.astype(float))
    head_to_viewer[:3, 3] = params.head_translation
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    focal = FOCAL_FACTOR * size
    return Camera((flip @ head_to_viewer).astype(np.float32), focal, focal, size / 2, size / 2, size, size)


def compare(head: HeadModel, actions: dict[str, dict[str, float]], frames: int, truth: list[HeadParams],
            track: ClipTrack) -> Accuracy:
    """Errors of a track of the whole script."""
    tracked = track.params
    expression = np.stack([p.expression for p in truth]), np.stack([p.expression for p in tracked])
    jaw = [np.array([p.jaw_pose[0] for p in side]) / head.jaw_open_angle for side in (truth, tracked)]
    turns = [np.degrees(_turn(a.head_rotation, b.head_rotation)) for a, b in zip(truth, tracked, strict=True)]
    depth = np.array([b.head_translation[2] / a.head_translation[2] for a, b in zip(truth, tracked, strict=True)])
    blink = [head.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    opened = expression[0][:, blink].max(1) < 0.3
    gaze = np.array([[_looks(a.left_eye_pose) - _looks(b.left_eye_pose), _looks(a.right_eye_pose) - _looks(b.right_eye_pose)]
                     for a, b in zip(truth, tracked, strict=True)])[opened]
    peaks = {}
    for block, (name, units) in enumerate(actions.items()):
        if units:
            at = block * frames + frames // 2
            if JAW in units and len(units) == 1:
                peaks[name] = float(jaw[1][at] / jaw[0][at])
            else:
                columns = np.flatnonzero(head.expression(**{k: 1.0 for k in units if k != JAW}))
                peaks[name] = float(expression[1][at, columns].mean() / expression[0][at, columns].mean())
    return Accuracy(
        found=track.found / len(truth), expression_rmse=float(np.sqrt(np.mean((expression[1] - expression[0]) ** 2))),
        jaw_rmse=float(np.sqrt(np.mean((jaw[1] - jaw[0]) ** 2))), pose_mae=np.abs(turns).mean(0),
        gaze_mae=np.degrees(np.abs(gaze)).mean((0, 1)), depth_error=float(np.abs(depth / np.median(depth) - 1).mean()),
        residual=float(np.mean([p.residual for p in tracked])), peaks=peaks)


def _turn(a: NDArray, b: NDArray) -> NDArray:
    """Axis-angle [3] from rotation `a` to rotation `b`."""
    first, second = (rotation_from_axis_angle(np.asarray(r, float)) for r in (a, b))
    return axis_angle_from_rotation(second @ first.T)


def _looks(pose: NDArray) -> NDArray:
    """(pitch, yaw) in radians of an eye pose."""
    return pitch_yaw(rotation_from_axis_angle(np.asarray(pose, float))[:, 2])


def measure(seed: int, actions: dict[str, dict[str, float]] = ACTIONS, frames: int = 12, size: int = 480) -> Accuracy:
    """Film, track and compare one studio person."""
    head = load_open_head()
    truth = script(head, actions, frames)
    with Tracker(head, landmarker_model_path()) as tracker:
        clip = list(film(head, seed, truth, size))
        seen = [tracker.landmarker.detect(frame) for frame in clip]
        person = calibrate(tracker.rig, [landmarks for landmarks in seen if landmarks is not None], head_sha256=head.sha256,
                           resting=range(frames))
        track = tracker.track_landmarks(seen, [frame.time_ns for frame in clip], person)
    return compare(head, actions, frames, truth, track)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1000, 1001])
    parser.add_argument("--size", type=int, default=480)
    parser.add_argument("--frames", type=int, default=12)
    options = parser.parse_args()
    results = []
    for seed in options.seeds:
        a = measure(seed, frames=options.frames, size=options.size)
        results.append(a)
        gaze = " ".join(f"{x:.2f}" for x in a.gaze_mae)
        pose = " ".join(f"{x:.2f}" for x in a.pose_mae)
        print(f"seed {seed}: found {a.found:.0%}  expression {a.expression_rmse:.3f}  jaw {a.jaw_rmse:.3f}  pose {pose} deg  "
              f"gaze {gaze} deg  depth {a.depth_error:.2%}  fit {a.residual:.2%}", flush=True)
    print("share of the peak recovered: " + ", ".join(
        f"{name} {np.mean([a.peaks[name] for a in results]):.2f}" for name in results[0].peaks))


if __name__ == "__main__":
    main()
