"""The fit recovers heads that it is shown, within what noise and priors allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.tracking.landmark_rig import LandmarkRig
from core.tracking.solver import Fit, FitSettings, HeadSolver, Prior, _boxed_step, project, viewer_points

WEAK_PRIOR = FitSettings(prior=1e-5, floor=1e-8, temporal=0.0)


def no_prior(rig: LandmarkRig) -> Prior:
    count = len(rig.expression_names)
    return Prior(np.zeros(count), np.zeros(2), np.ones(count + 2))


def fitted(solver: HeadSolver, landmarks, prior: Prior, steps: int = 12) -> Fit:
    fit = solver.start(landmarks)
    for _ in range(steps):
        fit = solver.refine(fit, viewer_points(landmarks), prior)
    return fit


def degrees_apart(fit: Fit, params) -> float:
    truth = rotation_from_axis_angle(params.head_rotation.astype(float))
    return float(np.degrees(np.linalg.norm(axis_angle_from_rotation(fit.rotation @ truth.T))))


@pytest.mark.parametrize("turn", [(0, 0, 0), (15, -30, 10), (-20, 40, 0), (0, 10, 60)])
def test_pose_is_recovered_exactly_from_exact_landmarks(rig, observe, pose_of, turn):
    params = pose_of(turn=turn)
    fit = fitted(HeadSolver(rig, WEAK_PRIOR), observe(params), no_prior(rig))
    # float32 pixels and the averaged skinning weights of a landmark's triangle are all that is left
    assert degrees_apart(fit, params) < 0.1
    np.testing.assert_allclose(fit.translation, params.head_translation, atol=1e-3)


@pytest.mark.parametrize("units", [{"mouthSmile": 0.8}, {"mouthPucker": 0.9}, {"browInnerUp": 0.7}, {"mouthFunnel": 0.6},
                                   {"mouthUpperUp": 0.7}, {"browDown": 0.8}, {"eyeBlink": 0.9}])
def test_expressions_are_recovered_from_exact_landmarks(head, rig, observe, pose_of, units):
    params = pose_of(turn=(5, 12, -4), **units)
    fit = fitted(HeadSolver(rig, WEAK_PRIOR), observe(params), no_prior(rig))
    solved = HeadSolver(rig).solved
    # columns that look alike share what cannot be told apart; 0.06 is a tenth of the smallest activation here
    assert np.sqrt(np.mean((fit.expression - params.expression)[solved] ** 2)) < 0.06
    active = np.flatnonzero(params.expression)
    assert np.abs(fit.expression - params.expression)[active].max() < 0.2


@pytest.mark.parametrize("jaw", [0.2, 0.6, 1.0])
def test_the_jaw_is_a_joint_and_recovered_as_one(rig, observe, pose_of, jaw):
    fit = fitted(HeadSolver(rig, WEAK_PRIOR), observe(pose_of(jaw=jaw)), no_prior(rig))
    assert fit.jaw[0] == pytest.approx(jaw, abs=0.03)
    assert abs(fit.jaw[1]) < 0.03


def test_noise_of_one_percent_costs_less_than_a_degree(rig, observe, pose_of):
    params = pose_of(turn=(8, -15, 5), mouthSmile=0.6)
    iod_pixels = 0.0816 / 0.6 * 1.3 * 640
    told = replace(no_prior(rig), expression=params.expression.astype(float))
    errors = [degrees_apart(fitted(HeadSolver(rig), observe(params, noise=0.01 * iod_pixels, seed=seed), told), params)
              for seed in range(5)]
    assert np.mean(errors) < 0.8  # measured 0.58: depth and pitch trade against each other


def test_the_prior_mean_decides_what_landmarks_do_not_show(rig, observe, pose_of):
    smile = rig.expression_names.index("mouthSmileLeft")
    count = len(rig.expression_names)
    mean = np.zeros(count)
    mean[smile] = 0.8
    strong = FitSettings(prior=1e3)
    fit = fitted(HeadSolver(rig, strong), observe(pose_of()), Prior(mean, np.zeros(2), np.ones(count + 2)))
    assert fit.expression[smile] == pytest.approx(0.8, abs=0.02)


def test_columns_that_are_not_solved_take_the_prior(rig, observe, pose_of):
    tongue = rig.expression_names.index("tongueOut")
    prior = no_prior(rig)
    prior.expression[tongue] = 0.7
    assert fitted(HeadSolver(rig), observe(pose_of()), prior, steps=2).expression[tongue] == pytest.approx(0.7)


def test_coefficients_stay_in_their_boxes(rig, observe, pose_of):
    wild = observe(pose_of(jaw=1.0, mouthFunnel=1.0), noise=12.0)
    solver = HeadSolver(rig, FitSettings(prior=1e-6, floor=1e-9))
    fit = fitted(solver, wild, no_prior(rig))
    assert fit.expression.min() >= 0
    assert fit.expression.max() <= 1
    assert 0 <= fit.jaw[0] <= solver.settings.jaw_limit


def test_boxed_step_satisfies_the_optimality_conditions():
    rng = np.random.default_rng(3)
    for _ in range(20):
        basis = rng.normal(size=(40, 12))
        hessian, gradient = basis.T @ basis, 30 * rng.normal(size=12)
        lowest, highest = -rng.uniform(0, 0.4, 6), rng.uniform(0, 0.4, 6)
        step = _boxed_step(hessian, gradient, lowest, highest, rounds=12)
        slope = hessian @ step + gradient
        assert np.abs(slope[:6]).max() < 1e-6
        inside = (step[6:] > lowest + 1e-7) & (step[6:] < highest - 1e-7)
        assert np.abs(slope[6:][inside]).max(initial=0) < 1e-6
        assert (step[6:] >= lowest - 1e-9).all()
        assert (step[6:] <= highest + 1e-9).all()


def test_jacobian_matches_finite_differences(rig, observe, pose_of):
    solver = HeadSolver(rig)
    landmarks = observe(pose_of())
    fit = replace(solver.start(landmarks), jaw=np.array([0.4, 0.0]))
    fit.expression[solver.solved] = 0.2
    observed = viewer_points(landmarks)
    view = solver.look(fit, observed)
    jacobian = solver._full_jacobian(view)
    step = 1e-6

    def moved(column: int) -> Fit:
        if column < 3:
            turn = rotation_from_axis_angle(step * np.eye(3)[column])
            return replace(fit, rotation=turn @ fit.rotation)
        if column < 6:
            return replace(fit, translation=fit.translation + step * np.eye(3)[column - 3])
        value = solver._pack(fit)
        value[column - 6] += step
        expression = fit.expression.copy()
        expression[solver.solved] = value[:-2]
        return replace(fit, expression=expression, jaw=value[-2:])

    focal_scale = -fit.translation[2] / solver._iod  # the Jacobian holds the unit of length (IOD in the picture) constant
    before = project(solver.landmarks_of(fit))[solver.subset] * focal_scale
    for column in (0, 1, 2, 3, 4, 5, 6, 20, 6 + len(solver.solved)):
        after = project(solver.landmarks_of(moved(column)))[solver.subset] * focal_scale
        numeric = (after - before) / step
        np.testing.assert_allclose(jacobian[:, :, column], numeric, atol=2e-4, rtol=2e-3)


def test_a_model_without_arkit_columns_is_fitted_without_bounds(rig, observe, pose_of):
    names = tuple(f"expression{i}" for i in range(len(rig.expression_names)))
    flame_like = replace(rig, expression_names=names, expression_dirs=-rig.expression_dirs)
    solver = HeadSolver(flame_like)
    params = pose_of(mouthSmile=0.9)
    fit = fitted(solver, observe(params), no_prior(flame_like))
    assert fit.expression.min() < -0.2  # the smile has the other sign in this basis
    assert solver.errors(fit, viewer_points(observe(params))).mean() < 0.004


def test_errors_are_fractions_of_the_eye_distance(rig, observe, pose_of):
    params = pose_of()
    solver = HeadSolver(rig, WEAK_PRIOR)
    fit = fitted(solver, observe(params), no_prior(rig))
    shifted = viewer_points(observe(params)) + (0.01 * 0.0816 / 0.6, 0)
    iod = np.linalg.norm(rig.template[33] - rig.template[263])
    assert solver.errors(fit, shifted).mean() == pytest.approx(0.01 * 0.0816 / iod, rel=0.15)
