from __future__ import annotations

import os

import numpy as np
import pytest

from core.errors import InputError
from core.tracking import calibration_child
from core.tracking.calibration import Calibration, calibrate, resting_scores
from core.tracking.calibration_child import calibrate_apart
from core.tracking.calibration_store import calibration_path, list_calibrations, load_calibration, save_calibration
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.tracking.score_prior import ScorePrior
from core.tracking.solver import HeadSolver, viewer_points

SMILE = [SCORE_NAMES.index("mouthSmileLeft"), SCORE_NAMES.index("mouthSmileRight")]


@pytest.fixture(scope="module")
def person(rig):
    shape = np.zeros(rig.shape_dirs.shape[2])
    shape[:6] = [1.2, -0.8, 0.9, -1.1, 0.5, 0.7]
    return shape


@pytest.fixture(scope="module")
def clip(observe, pose_of, person):
    """Someone who turns the head, smiles and talks, with scores that say so above a resting score of 0.2."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(24):
        smile, jaw = max(0, np.sin(i / 3)) * 0.8, max(0, np.cos(i / 2)) * 0.5
        turn = rng.uniform(-1, 1, 3) * (10, 20, 6)
        scores = {"mouthSmileLeft": 0.2 + 0.8 * smile, "mouthSmileRight": 0.2 + 0.8 * smile, "jawOpen": jaw}
        frames.append(observe(pose_of(turn=turn, jaw=jaw, mouthSmile=smile, time_ns=i * 33_000_000), shape=person, noise=0.2,
                              seed=i, scores=scores))
    return frames


@pytest.fixture(scope="module")
def calibration(rig, clip):
    return calibrate(rig, clip, head_sha256="abc")


def test_the_resting_face_is_found_among_moving_ones(rig, calibration, person):
    def up_to_size(points):
        centred = (points - points.mean(0))[:, :2]  # one camera shows depth only as far as the head turns
        return centred / np.linalg.norm(centred)

    truth, found, average = (up_to_size(p) for p in (rig.neutral(person), calibration.neutral(rig), rig.template))
    iod = np.linalg.norm(truth[33] - truth[263])
    error, start = (np.linalg.norm(p - truth, axis=1).mean() / iod for p in (found, average))
    assert start > 0.01
    assert error < 0.5 * start


def test_the_fit_of_the_person_is_far_better_than_of_the_average_one(rig, clip, calibration):
    def residual(person: Calibration) -> float:
        solver, prior = HeadSolver(rig), ScorePrior(rig)
        person.apply(solver)
        errors = []
        for landmarks in clip:
            fit = solver.start(landmarks)
            for _ in range(4):
                fit = solver.refine(fit, viewer_points(landmarks), prior(landmarks.scores, person.neutral_scores))
            errors.append(solver.errors(fit, viewer_points(landmarks)).mean())
        return float(np.mean(errors))

    assert residual(calibration) < 0.012
    assert residual(calibration) < 0.5 * residual(Calibration.nobody())


def test_neutral_scores_are_those_of_the_resting_face(calibration):
    np.testing.assert_allclose(calibration.neutral_scores[SMILE], 0.2, atol=0.08)


def test_a_score_that_other_expressions_lower_is_not_underestimated():
    scores = np.zeros((100, 52))
    scores[:, SMILE] = 0.3
    scores[40:60, SMILE] = 0.0  # a pucker
    scores[40:60, SCORE_NAMES.index("mouthPucker")] = 0.8
    scores[80:, SMILE] = 0.9
    np.testing.assert_allclose(resting_scores(scores)[SMILE], 0.3)


def test_frames_known_to_rest_decide(rig, clip):
    forced = calibrate(rig, clip, resting=[5, 6, 7])
    np.testing.assert_allclose(forced.neutral_scores, np.median([clip[i].scores for i in (5, 6, 7)], axis=0))


def test_lips_of_someone_who_never_closes_them_are_closed_at_rest(rig, observe, pose_of):
    talking = [observe(pose_of(jaw=0.3 + 0.1 * np.sin(i), turn=(0, 8 * np.sin(i / 2), 0)), scores={"jawOpen": 0.0})
               for i in range(16)]
    neutral = calibrate(rig, talking).neutral(rig)
    parted = (neutral[13, 1] - neutral[14, 1]) - (rig.template[13, 1] - rig.template[14, 1])
    assert parted < 2e-3  # the open mouths were parted by about a centimetre


def test_too_few_frames_are_refused(rig, clip):
    with pytest.raises(InputError, match="5 frames"):
        calibrate(rig, clip[:4])


def test_saved_and_loaded_by_name(tmp_path, calibration):
    save_calibration("Ada at the desk", calibration, tmp_path)
    assert list_calibrations(tmp_path) == ["Ada at the desk"]
    back = load_calibration("Ada at the desk", "abc", tmp_path)
    np.testing.assert_array_equal(back.offset, calibration.offset)
    np.testing.assert_array_equal(back.shape, calibration.shape)
    np.testing.assert_array_equal(back.lids.closed, calibration.lids.closed)
    np.testing.assert_array_equal(back.gaze.zero, calibration.gaze.zero)
    assert back.lip_gap == calibration.lip_gap


def test_a_calibration_of_another_head_model_is_refused(tmp_path, calibration):
    save_calibration("x", calibration, tmp_path)
    with pytest.raises(InputError, match="another head model"):
        load_calibration("x", "def", tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x.", "a" * 80, "a\0b"])
def test_names_that_are_paths_are_refused(tmp_path, name):
    with pytest.raises(InputError):
        calibration_path(name, tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_damaged_calibrations_are_named(tmp_path, content):
    calibration_path("x", tmp_path).write_bytes(content)
    with pytest.raises(InputError, match=r"x\.npz"):
        load_calibration("x", "abc", tmp_path)
    with pytest.raises(InputError, match="no calibration 'y'"):
        load_calibration("y", "abc", tmp_path)


def test_a_calibration_with_numbers_missing_is_refused(tmp_path, calibration):
    path = save_calibration("x", calibration, tmp_path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "offset"}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="damaged"):
        load_calibration("x", "abc", tmp_path)


def test_a_child_process_calibrates_alike_and_its_errors_come_back_in_words(rig, clip, calibration):
    there = calibrate_apart(rig, clip, head_sha256="abc")
    np.testing.assert_array_equal(there.shape, calibration.shape)
    np.testing.assert_array_equal(there.offset, calibration.offset)
    assert there.head_sha256 == "abc"
    with pytest.raises(InputError, match="needs"):
        calibrate_apart(rig, clip[:2])


def test_a_child_that_dies_at_once_is_replaced_by_this_process(rig, clip, calibration, monkeypatch):
    """More is sent to it than a pipe holds: nobody may wait for it for ever."""
    monkeypatch.setattr(calibration_child, "_serve", os._exit)
    there = calibrate_apart(rig, clip, head_sha256="abc")
    np.testing.assert_array_equal(there.shape, calibration.shape)
