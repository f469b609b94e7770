"""Gauss-Newton fit of the head model to landmarks, with the landmarker's blendshape scores as the prior mean.

Per frame the unknowns are the head's rotation and translation, the expression coefficients and the jaw. The cost is

    sum_i w_i rho(|project(R p_i(e, jaw) + t) - y_i|) + sum_k lambda_k (x_k - mu_k)^2 + sum_k tau_k (x_k - x_k')^2

with y the landmarks in units of the inter-ocular distance, rho of Geman and McClure, mu the prior mean and x' the last frame.
lambda_k and tau_k are proportional to how much coefficient k moves the picture, so that all of them shrink alike. Coefficients
are kept in their boxes by an active set. Warm-started at video rate one iteration is enough.

Images are described by normalised viewer coordinates: X / -Z and Y / -Z of viewer space, x right, y up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.geometry import rotation_from_axis_angle, skew
from core.tracking.landmark_rig import (
    LEFT_EYE_OUTER,
    RIGHT_EYE_OUTER,
    LandmarkRig,
    fit_subset,
    landmark_weights,
)
from core.types import Landmarks

FOCAL_FACTOR = 1.3  # a webcam's focal length in units of the longer side of its picture
ROBUST_SCALE = 0.06  # landmarks further off than this (of the IOD) count less and less
MINIMUM_FACING = 0.15
SCORE_ONLY = ("tongueOut", "cheekPuff")  # invisible to the landmarks: the score, where there is one, is taken as it is
WEAK = ("mouthClose", "mouthShrug", "mouthRoll", "jawForward", "mouthPress", "mouthDimple", "mouthStretch", "cheekSquint")
WEAK_FACTOR = 4.0
JAW_YAW_LIMIT = 1.0


@dataclass(frozen=True)
class FitSettings:
    """Strengths of the terms of the cost.

    Attributes:
        prior: weight of the prior mean against the picture; 1 trusts both alike.
        floor: absolute prior weight (IOD^2 per squared unit) that holds coefficients the picture hardly shows.
        temporal: weight of the last frame's values.
        gaussian_prior: prior weight of models whose columns are no blendshapes (mean zero, unit variance).
        jaw_limit: largest jaw opening, 1 = the model's full opening.
    """

    prior: float = 0.1
    floor: float = 1e-5
    temporal: float = 0.05
    gaussian_prior: float = 2e-5
    jaw_limit: float = 1.2


@dataclass(frozen=True)
class Fit:
    """A fitted head.

    Attributes:
        rotation: [3, 3] head space to viewer space.
        translation: [3] metres.
        expression: [E].
        jaw: [2] opening and turn to the subject's left, 1 = the model's full angle.
        residual: mean distance of the used landmarks, as a fraction of the inter-ocular distance.
    """

    rotation: NDArray
    translation: NDArray
    expression: NDArray
    jaw: NDArray
    residual: float = 0.0


@dataclass(frozen=True)
class Prior:
    """Where a fit is drawn to.

    Attributes:
        expression: [E] means. Columns that the fit does not solve for take these values.
        jaw: [2] means.
        strength: [E + 2] factors on the prior weight, 1 where nothing special is known.
    """

    expression: NDArray
    jaw: NDArray
    strength: NDArray


@dataclass(frozen=True)
class View:
    """A fitted face beside the observed landmarks; n landmarks, residuals in units of the IOD.

    Attributes:
        residual: [n, 2] predicted - observed.
        weights: [n] static, robust and facing weights multiplied.
        turned: [n, 3] landmarks in viewer axes, before translation.
        lever: [n, 3] landmarks relative to the jaw joint, before the jaw turns them.
        jaw_rotation: [3, 3].
        by_point, by_posed, by_rest: [n, 2, 3] derivatives of the residual by the landmark in viewer space, in head space
            after the jaw turned it, and before.
    """

    residual: NDArray
    weights: NDArray
    turned: NDArray
    lever: NDArray
    jaw_rotation: NDArray
    by_point: NDArray
    by_posed: NDArray
    by_rest: NDArray

    @property
    def mean_distance(self) -> float:
        return float(np.linalg.norm(self.residual, axis=1).mean())


def viewer_points(landmarks: Landmarks) -> NDArray:
    """Landmarks in normalised viewer coordinates [478, 2]."""
    focal = FOCAL_FACTOR * max(landmarks.width, landmarks.height)
    centred = landmarks.points[:, :2].astype(float) - (landmarks.width / 2, landmarks.height / 2)
    return centred * (1 / focal, -1 / focal)


def project(points: NDArray) -> NDArray:
    """Viewer space [..., 3] -> normalised viewer coordinates [..., 2]."""
    return points[..., :2] / -points[..., 2:]


class HeadSolver:
    """Fits one person's head to landmarks.

    Args:
        rig: the head model at the landmarks.
        settings: strengths of the prior and temporal terms.
        subset: ids of the landmarks to use; all by default.
    """

    def __init__(self, rig: LandmarkRig, settings: FitSettings | None = None, subset: NDArray | None = None) -> None:
        self.rig = rig
        self.settings = settings or FitSettings()
        self.subset = fit_subset() if subset is None else np.asarray(subset)
        self.solved = solved_columns(rig)
        weights = landmark_weights()[self.subset]
        self._weights = self.static_weights = weights / weights.sum()
        self._jaw_weight = rig.jaw_weight[self.subset, None]
        self._jaw_dirs = np.ascontiguousarray(rig.jaw_dirs[self.subset])
        self._normals = rig.normals[self.subset]
        self._expression_dirs = rig.expression_dirs[self.subset].reshape(-1, rig.expression_dirs.shape[2])
        self._solved_dirs = np.ascontiguousarray(rig.expression_dirs[self.subset][:, :, self.solved])
        self._angles = np.array([rig.jaw_open_angle, rig.jaw_yaw_angle])
        self.set_neutral(rig.template, rig.joints[2])

    def set_neutral(self, points: NDArray, jaw_joint: NDArray) -> None:
        """Take a person's resting landmarks [468, 3] and jaw joint [3]."""
        self.neutral = np.asarray(points, float)
        self.jaw_joint = np.asarray(jaw_joint, float)
        self._neutral_subset = self.neutral[self.subset]
        self._iod = float(np.linalg.norm(self.neutral[RIGHT_EYE_OUTER] - self.neutral[LEFT_EYE_OUTER]))
        self._visible = self._visibility()
        self._lower, self._upper = self._limits()

    def start(self, landmarks: Landmarks) -> Fit:
        """A first guess from nothing: similarity of the resting face to the landmarker's own 3D points (Umeyama 1991)."""
        xy = viewer_points(landmarks)[self.subset]
        focal = FOCAL_FACTOR * max(landmarks.width, landmarks.height)
        observed = np.column_stack([xy, -landmarks.points[self.subset, 2].astype(float) / focal])
        weights = self._weights[:, None]
        source_mean, target_mean = (weights * self._neutral_subset).sum(0), (weights * observed).sum(0)
        source, target = self._neutral_subset - source_mean, observed - target_mean
        u, singular, vt = np.linalg.svd((weights * target).T @ source)
        handed = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = u @ handed @ vt
        scale = np.trace(np.diag(singular) @ handed) / (weights * source**2).sum()
        depth = 1 / scale
        centre = np.array([target_mean[0] * depth, target_mean[1] * depth, -depth])
        fit = Fit(rotation, centre - rotation @ source_mean, np.zeros(len(self.rig.expression_names)), np.zeros(2))
        observed_xy = viewer_points(landmarks)
        for _ in range(6):
            fit = self.refine_pose(fit, observed_xy)
        return fit

    def refine_pose(self, fit: Fit, observed: NDArray) -> Fit:
        """One Gauss-Newton step on rotation and translation alone. `observed`: [478, 2] from `viewer_points`."""
        view = self.look(fit, observed)
        hessian, gradient = _normal_equations(self._pose_jacobian(view), view)
        return _moved(fit, np.linalg.solve(hessian + 1e-9 * np.eye(6), -gradient), view.mean_distance)

    def refine(self, fit: Fit, observed: NDArray, prior: Prior, previous: Fit | None = None) -> Fit:
        """One Gauss-Newton step on everything.

        Args:
            fit: where to linearise.
            observed: [478, 2] from `viewer_points`.
            prior: means of expression and jaw.
            previous: the last frame's fit for the temporal term, or None.
        """
        fit = replace(fit, expression=self._with_fixed(fit.expression, prior.expression))
        view = self.look(fit, observed)
        hessian, gradient = _normal_equations(self._full_jacobian(view), view)
        value = self._pack(fit)
        strength = np.append(prior.strength[self.solved], prior.strength[-2:])
        pull = self._prior_weight() * strength
        gradient[6:] += pull * (value - self._pack_parts(prior.expression, prior.jaw))
        diagonal = pull
        if previous is not None:
            hold = self.settings.temporal * self._visible
            gradient[6:] += hold * (value - self._pack(previous))
            diagonal = pull + hold
        index = np.arange(6, len(gradient))
        hessian[index, index] += diagonal
        hessian[np.arange(6), np.arange(6)] += 1e-9
        step = _boxed_step(hessian, gradient, self._lower - value, self._upper - value)
        moved = _moved(fit, step[:6], view.mean_distance)
        value = np.clip(value + step[6:], self._lower, self._upper)
        expression = fit.expression.copy()
        expression[self.solved] = value[:-2]
        return replace(moved, expression=expression, jaw=value[-2:])

    def landmarks_of(self, fit: Fit, neutral: NDArray | None = None) -> NDArray:
        """The fitted face's landmarks in viewer space [468, 3], optionally with another resting face [468, 3]."""
        rig = self.rig
        rest = self.neutral if neutral is None else neutral
        rotation = self._jaw_rotation(fit.jaw)
        points = rest + rig.expression_dirs @ fit.expression + rig.jaw_dirs @ (rotation - np.eye(3)).reshape(-1)
        lever = points - self.jaw_joint
        points = points + rig.jaw_weight[:, None] * (lever @ (rotation - np.eye(3)).T)
        return points @ fit.rotation.T + fit.translation

    def errors(self, fit: Fit, observed: NDArray) -> NDArray:
        """Distance of all 468 landmarks from the observed ones as fractions of the IOD.

        The IOD is that of the fitted face at its distance, so that turning the head does not inflate the errors.
        """
        predicted = project(self.landmarks_of(fit))
        return np.linalg.norm(predicted - observed[:len(predicted)], axis=1) * -fit.translation[2] / self._iod

    # ------------------------------------------------------------------ internals

    def _jaw_rotation(self, jaw: NDArray) -> NDArray:
        return rotation_from_axis_angle(np.append(jaw * self._angles, 0.0))

    def look(self, fit: Fit, observed: NDArray) -> View:
        """The fitted face against the observed landmarks, with everything that derivatives are made of."""
        jaw_rotation = self._jaw_rotation(fit.jaw)
        swing = jaw_rotation - np.eye(3)
        points = self._neutral_subset + (self._expression_dirs @ fit.expression).reshape(-1, 3)
        points = points + self._jaw_dirs @ swing.reshape(-1)
        lever = points - self.jaw_joint
        turned = (points + self._jaw_weight * (lever @ swing.T)) @ fit.rotation.T
        in_view = turned + fit.translation

        depth = -in_view[:, 2]
        predicted = in_view[:, :2] / depth[:, None]
        scale = -fit.translation[2] / self._iod
        residual = (predicted - observed[self.subset]) * scale
        squared = (residual**2).sum(1)
        facing = np.clip(self._normals @ fit.rotation[2], MINIMUM_FACING, 1.0)
        weights = self._weights * facing / (1 + squared / ROBUST_SCALE**2) ** 2

        by_point = np.zeros((len(points), 2, 3))
        by_point[:, 0, 0] = by_point[:, 1, 1] = scale / depth
        by_point[:, :, 2] = predicted * (scale / depth)[:, None]
        by_posed = by_point @ fit.rotation
        by_rest = by_posed + self._jaw_weight[:, :, None] * (by_posed @ swing)
        return View(residual, weights, turned, lever, jaw_rotation, by_point, by_posed, by_rest)

    def _pose_jacobian(self, view: View, extra: int = 0) -> NDArray:
        """Derivatives [n, 2, 6 + extra] by rotation (left-multiplied) and translation; the extra columns are left open."""
        jacobian = np.empty((len(view.residual), 2, 6 + extra))
        jacobian[:, :, 0:3] = -np.matmul(view.by_point, skew(view.turned))
        jacobian[:, :, 3:6] = view.by_point
        return jacobian

    def _full_jacobian(self, view: View) -> NDArray:
        """Derivatives [n, 2, 6 + solved + 2] by the pose, the solved expression columns and the jaw."""
        jacobian = self._pose_jacobian(view, len(self.solved) + 2)
        np.matmul(view.by_rest, self._solved_dirs, out=jacobian[:, :, 6:-2])
        for k in range(2):
            turn = self._angles[k] * skew(np.eye(3)[k]) @ view.jaw_rotation
            corrective = self._jaw_dirs @ turn.reshape(-1)
            moved = self._jaw_weight * (view.lever @ turn.T)
            jacobian[:, :, -2 + k] = (np.matmul(view.by_rest, corrective[:, :, None])
                                      + np.matmul(view.by_posed, moved[:, :, None]))[:, :, 0]
        return jacobian

    def _visibility(self) -> NDArray:
        """Weighted squared motion in the picture of each solved column and the jaw, seen from the front (IOD^2)."""
        moved = self._solved_dirs[:, :2] / self._iod
        columns = np.einsum("n,nak->k", self._weights, moved**2)
        jaw = np.empty(2)
        for k in range(2):
            turn = self._jaw_rotation(np.eye(2)[k]) - np.eye(3)
            motion = self._jaw_dirs @ turn.reshape(-1) + self._jaw_weight * ((self._neutral_subset - self.jaw_joint) @ turn.T)
            jaw[k] = self._weights @ (motion[:, :2] ** 2).sum(1) / self._iod**2
        return np.append(columns, jaw)

    def _prior_weight(self) -> NDArray:
        if self.rig.has_arkit_expressions:
            return self._relative * self.settings.prior * self._visible + self.settings.floor
        weight = np.full(len(self._visible), self.settings.gaussian_prior)
        weight[-2:] = 0.1 * self.settings.prior * self._visible[-2:]
        return weight

    def _limits(self) -> tuple[NDArray, NDArray]:
        names = [self.rig.expression_names[i] for i in self.solved]
        self._relative = np.array([WEAK_FACTOR if n.startswith(WEAK) else 1.0 for n in names] + [1.0, WEAK_FACTOR])
        bounded = self.rig.has_arkit_expressions
        lower = np.full(len(names), 0.0 if bounded else -np.inf)
        upper = np.full(len(names), 1.0 if bounded else np.inf)
        return np.append(lower, [0.0, -JAW_YAW_LIMIT]), np.append(upper, [self.settings.jaw_limit, JAW_YAW_LIMIT])

    def _with_fixed(self, expression: NDArray, fixed: NDArray) -> NDArray:
        merged = np.array(fixed, float)
        merged[self.solved] = expression[self.solved]
        return merged

    def _pack(self, fit: Fit) -> NDArray:
        return self._pack_parts(fit.expression, fit.jaw)

    def _pack_parts(self, expression: NDArray, jaw: NDArray) -> NDArray:
        return np.concatenate([expression[self.solved], jaw])


def solved_columns(rig: LandmarkRig) -> NDArray[np.int64]:
    """Expression columns that landmarks determine: all but the lid motion of gaze, the tongue and the puffed cheeks."""
    if not rig.has_arkit_expressions:
        return np.arange(len(rig.expression_names))
    return np.array([i for i, name in enumerate(rig.expression_names)
                     if not name.startswith("eyeLook") and name not in SCORE_ONLY])


def _normal_equations(jacobian: NDArray, view: View) -> tuple[NDArray, NDArray]:
    """Weighted J'J and J'r of a Jacobian [n, 2, columns]."""
    root = np.repeat(np.sqrt(view.weights), 2)
    flat = jacobian.reshape(-1, jacobian.shape[2]) * root[:, None]
    return flat.T @ flat, flat.T @ (view.residual.reshape(-1) * root)


def _moved(fit: Fit, step: NDArray, residual: float) -> Fit:
    rotation = rotation_from_axis_angle(step[:3]) @ fit.rotation
    u, _, vt = np.linalg.svd(rotation)  # keeps rounding from building up over a long session
    return replace(fit, rotation=u @ vt, translation=fit.translation + step[3:6], residual=residual)


def _boxed_step(hessian: NDArray, gradient: NDArray, lowest: NDArray, highest: NDArray, rounds: int = 4) -> NDArray:
    """Minimiser of the quadratic with its entries from 6 on kept in [lowest, highest], by an active set.

    Entries that leave their interval are fixed at the limit they crossed and the others are solved for again.
    """
    step = np.linalg.solve(hessian, -gradient)
    fixed = np.zeros(len(step), bool)
    limit = np.zeros(len(step))
    for _ in range(rounds):
        outside = (step[6:] < lowest - 1e-9) | (step[6:] > highest + 1e-9)
        if not outside.any():
            break
        limit[6:] = np.where(outside & ~fixed[6:], np.clip(step[6:], lowest, highest), limit[6:])
        fixed[6:] |= outside
        free = ~fixed
        step[fixed] = limit[fixed]
        rest = gradient[free] + hessian[np.ix_(free, fixed)] @ limit[fixed]
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], -rest)
    return step
