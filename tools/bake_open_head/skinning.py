"""Joints, skinning weights and pose correctives: the artist's jaw targets turned into a true jaw joint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.geometry import rotation_from_axis_angle
from core.head.mesh import edges
from tools.bake_open_head.source import Rig
from tools.bake_open_head.topology import Topology

ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
NECK_BONES = {"neck01": 0.25, "neck02": 0.65, "neck03": 1.0}  # share of the head's rotation that each neck bone takes
NECK_JOINT_CUBE = slice(14534, 14542)  # helper cube of the base mesh around the neck joint
WEIGHT_SMOOTHING = 2
JAW_COLUMNS = slice(9, 18)  # of the 36 pose correctives: the nine entries of (R - I) of the jaw
MINIMUM_YAW, DEFAULT_YAW = math.radians(4), math.radians(8)


@dataclass(frozen=True)
class JawMotion:
    """The jaw as a joint.

    Attributes:
        open_angle: radians about x that open it fully.
        yaw_angle: radians about y that move it fully to the subject's left.
        hinge: [3] metres, a point of the axis in the symmetry plane.
        weights: [V] 0..1, how much of the rotation each vertex takes.
    """

    open_angle: float
    yaw_angle: float
    hinge: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def open_rotation(self) -> NDArray[np.float64]:
        return rotation_from_axis_angle(np.array([self.open_angle, 0.0, 0.0]))

    @property
    def yaw_rotation(self) -> NDArray[np.float64]:
        return rotation_from_axis_angle(np.array([0.0, self.yaw_angle, 0.0]))


def fit_jaw(topology: Topology, mean: NDArray, jaw_open: NDArray, jaw_sideways: NDArray) -> JawMotion:
    """Fit a rotation to how the lower teeth move, then weights to how everything else does.

    The weight of a vertex is the projection of its offset onto the offset a rigid jaw would give it.
    """
    teeth = topology.vertices_of("teeth_l")
    rotation, shift = _rigid_fit(mean[teeth], mean[teeth] + jaw_open[teeth])
    angle = math.atan2(rotation[2, 1] - rotation[1, 2], rotation[1, 1] + rotation[2, 2])
    hinge = np.array([0.0, *np.linalg.solve(np.eye(2) - rotation[1:, 1:], shift[1:])])
    rigid = (mean - hinge) @ (rotation_from_axis_angle(np.array([angle, 0.0, 0.0])) - np.eye(3)).T
    size = (rigid * rigid).sum(1)
    weights = np.where(size > 1e-8, np.clip((rigid * jaw_open).sum(1) / (size + 1e-9), 0, 1), 0)
    pairs, _ = edges(topology.faces)
    for _ in range(WEIGHT_SMOOTHING):
        weights = 0.5 * weights + 0.5 * _neighbour_mean(weights, pairs)
    weights[teeth] = 1
    weights[topology.vertices_of("teeth_u")] = 0
    sideways, _ = _rigid_fit(mean[teeth], mean[teeth] + jaw_sideways[teeth])
    yaw = math.atan2(sideways[0, 2] - sideways[2, 0], sideways[0, 0] + sideways[2, 2])
    if abs(yaw) < MINIMUM_YAW:  # the artist's target slides more than it turns: take a plausible turn, correctives do the rest
        yaw = math.copysign(DEFAULT_YAW, jaw_sideways[teeth, 0].mean())
    return JawMotion(angle, yaw, hinge, weights)


def skin_weights(topology: Topology, jaw: JawMotion, rig: Rig) -> NDArray[np.float64]:
    """Weights [V, 5] of root, neck, jaw and eyes; the neck's come from the rig's neck bones."""
    count = len(topology.base.vertices)
    total, turning = np.zeros(count), np.zeros(count)
    for bone, pairs in rig.weights.items():
        share = 1.0 if "head" in rig.ancestry(bone) else NECK_BONES.get(bone, 0.0)
        ids, weights = np.array([i for i, _ in pairs], int), np.array([w for _, w in pairs])
        np.add.at(total, ids, weights)
        np.add.at(turning, ids, share * weights)
    head = (turning / np.maximum(total, 1e-9))[topology.source]
    head = np.concatenate([head, np.ones(2 * len(topology.sphere))])
    head[topology.vertices_of("mouth", "teeth_u", "teeth_l", "tongue", "lashes")] = 1
    weights = np.zeros((topology.vertex_count, 5))
    weights[:, JAW] = jaw.weights * head
    weights[:, NECK] = (1 - jaw.weights) * head
    weights[:, ROOT] = 1 - head
    for joint, rows in zip((LEFT_EYE, RIGHT_EYE), topology.eye_slices, strict=True):
        weights[rows] = np.eye(5)[joint]
    return weights


def joint_regressor(topology: Topology, mean: NDArray, jaw: JawMotion) -> NDArray[np.float64]:
    """Affine weights [5, V] (rows sum to 1) over nearby vertices, so that the joints follow the identity."""
    skin = topology.vertices_of("skin")
    eyes = 0.5 * sum(centre for centre, _ in topology.eye_rest)
    neck = 0.1 * (topology.base.vertices[NECK_JOINT_CUBE].mean(0) - eyes)
    root = neck - [0, 0.03, 0]

    def band(height: float, half: float) -> NDArray:
        return skin[np.abs(mean[skin, 1] - height) < half]

    def nearest(point: NDArray, count: int) -> NDArray:
        return skin[np.argsort(np.linalg.norm(mean[skin] - point, axis=1), kind="stable")[:count]]

    cheeks = np.concatenate([nearest(jaw.hinge + [side * 0.065, 0, 0], 40) for side in (-1, 1)])
    regressor = np.zeros((5, topology.vertex_count))
    for joint, ids, target in ((ROOT, band(root[1], 0.02), root), (NECK, band(neck[1], 0.012), neck), (JAW, cheeks, jaw.hinge)):
        regressor[joint, ids] = _affine_weights(mean[ids], target)
    for joint, rows in zip((LEFT_EYE, RIGHT_EYE), topology.eye_slices, strict=True):
        regressor[joint, rows] = 1 / len(topology.sphere)
    return regressor


def pose_correctives(topology: Topology, mean: NDArray, jaw: JawMotion, weights: NDArray, jaw_open: NDArray,
                     jaw_sideways: NDArray, sealed_lips: NDArray) -> NDArray[np.float64]:
    """Pose correctives [V, 3, 36]: what skinning lacks so that the full jaw motions land on the artist's targets.

    Args:
        sealed_lips: [V, 3] offset of the resting lips that has to go when the jaw opens.
    """
    jaw_open = jaw_open.copy()
    jaw_open[len(topology.source):] = 0
    correctives = np.zeros((len(mean), 3, 36))
    columns = correctives[:, :, JAW_COLUMNS].reshape(len(mean), 3, 3, 3)
    opened = _missing(mean, jaw, weights[:, JAW], jaw.open_rotation, jaw_open) - sealed_lips
    columns[:, :, 2, 1] += 0.5 * opened / math.sin(jaw.open_angle)
    columns[:, :, 1, 2] -= 0.5 * opened / math.sin(jaw.open_angle)
    turned = _missing(mean, jaw, weights[:, JAW], jaw.yaw_rotation, jaw_sideways)
    columns[:, :, 0, 2] += 0.5 * turned / math.sin(jaw.yaw_angle)
    columns[:, :, 2, 0] -= 0.5 * turned / math.sin(jaw.yaw_angle)
    correctives[:, :, JAW_COLUMNS] = columns.reshape(len(mean), 3, 9)
    return correctives


def before_jaw(offset: NDArray, jaw: JawMotion, weights: NDArray, opening: float) -> NDArray[np.float64]:
    """The offset [V, 3] to add before skinning, so that it shows as `offset` when the jaw is open by the fraction `opening`."""
    rotation = rotation_from_axis_angle(np.array([opening * jaw.open_angle, 0.0, 0.0]))
    return np.linalg.solve(_blended(weights, rotation), offset[:, :, None])[:, :, 0]


def _blended(weights: NDArray, rotation: NDArray) -> NDArray[np.float64]:
    return (1 - weights)[:, None, None] * np.eye(3) + weights[:, None, None] * rotation


def _missing(mean: NDArray, jaw: JawMotion, weights: NDArray, rotation: NDArray, target: NDArray) -> NDArray[np.float64]:
    """Offset [V, 3] to add before skinning, so that skinning with `rotation` moves the mean by `target`."""
    skinned = weights[:, None] * ((mean - jaw.hinge) @ (rotation - np.eye(3)).T)
    return np.linalg.solve(_blended(weights, rotation), (target - skinned)[:, :, None])[:, :, 0]


def _rigid_fit(before: NDArray, after: NDArray) -> tuple[NDArray, NDArray]:
    """Rotation and translation that best take `before` [N, 3] to `after` (Kabsch)."""
    a, b = before - before.mean(0), after - after.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    rotation = (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt).T
    return rotation, after.mean(0) - rotation @ before.mean(0)


def _affine_weights(points: NDArray, target: NDArray) -> NDArray[np.float64]:
    """Smallest weights that sum to 1 and combine `points` [N, 3] to `target` [3]."""
    system = np.concatenate([points, np.ones((len(points), 1))], 1)
    return np.linalg.lstsq(system.T, np.append(target, 1), rcond=None)[0]


def _neighbour_mean(values: NDArray, pairs: NDArray) -> NDArray[np.float64]:
    both_ways = np.concatenate([pairs, pairs[:, ::-1]])
    total = np.bincount(both_ways[:, 0], values[both_ways[:, 1]], len(values))
    return total / np.maximum(np.bincount(both_ways[:, 0], minlength=len(values)), 1)
