"""A person's head as a rig that other programs can play: resting mesh, morph targets, joints with weights, and clips.

A glTF skin poses by linear blending, as the head model does. Two things of the head model a skin has not: correctives that
follow the jaw's rotation become morph targets with a weight of their own, and the little way that an expression moves a joint
becomes a translation of the joint. Clips carry both, so that they are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.motion import MotionSettings, head_motion
from core.avatar.pack import AvatarPack
from core.errors import InputError
from core.export.mesh_texture import LEFT_OUT
from core.geometry import quat_from_rotation, rotation_from_axis_angle
from core.head.mesh import vertex_normals
from core.head.model import JOINT_PARENTS, HeadModel, ShapedHead
from core.types import FloatArray, HeadParams

JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
SHAPE_SIZE = 60  # leading numbers of a person's latent are shape coefficients, on the open head
_ROOT, _NECK, _JAW = range(3)
_AXES = "xyz"


@dataclass(frozen=True)
class HeadRig:
    """A person's resting mesh and what moves it. G vertices (one for each pair of vertex and texture coordinate), M targets.

    Attributes:
        positions, normals: [G, 3] float32, metres in head space.
        uv: [G, 2] float32, v down as glTF has it.
        faces: triangles [F, 3] uint16 by part name.
        targets: [M, G, 3] float32 displacements in metres.
        target_names: [M] ARKit's names, then the jaw's three as shapes, then the correctives of the jaw's rotation.
        joints: [5, 3] float32 rest positions.
        weights: [G, 5] float32, rows sum to 1.
        corrective_entries: which entries of (R − I) of neck, jaw and eyes [36] weigh the last targets.
        vertex: [G] the vertex of the head model.
    """

    positions: FloatArray
    normals: FloatArray
    uv: FloatArray
    faces: dict[str, NDArray[np.uint16]]
    targets: FloatArray
    target_names: tuple[str, ...]
    joints: FloatArray
    weights: FloatArray
    corrective_entries: NDArray[np.int64]
    vertex: NDArray[np.int64]


@dataclass(frozen=True)
class RigClip:
    """A motion of a rig over T frames.

    Attributes:
        name: of the clip.
        seconds: [T] float32, from 0.
        weights: [T, M] float32 of the targets.
        rotations: [T, 5, 4] float32 quaternions x y z w, each joint relative to its parent.
        translations: [T, 5, 3] float32, each joint relative to its parent.
    """

    name: str
    seconds: FloatArray
    weights: FloatArray
    rotations: FloatArray
    translations: FloatArray


def shape_of(pack: AvatarPack, person: Identity, head: HeadModel) -> FloatArray:
    """The shape coefficients [60] of a person on the open head.

    Raises:
        InputError: the pack is on another head model (a FLAME mesh may not be passed on), or it has no mesh at all.
    """
    manifest = pack.manifest
    if manifest.kind == "static":
        raise InputError(f"'{manifest.name}' is a cloud of Gaussians and has no mesh", "export it as ply, splat or spz")
    if manifest.head_sha256 != head.sha256:
        raise InputError(f"the mesh of '{manifest.name}' is that of {manifest.head_name or 'another head model'}, which may not "
                         "be passed on", "glb takes people on the open head; ply, splat and spz take everybody")
    if manifest.latent_size < SHAPE_SIZE:
        raise InputError(f"'{manifest.name}' does not say which shape its people's heads have", "export as ply, splat or spz")
    return person.latent[:SHAPE_SIZE]


def rig_of(head: HeadModel, shaped: ShapedHead) -> HeadRig:
    """The rig of a shaped head; lashes are left out, which the texture has on the lids."""
    shown = np.flatnonzero(~np.isin(head.part, [head.part_names.index(name) for name in LEFT_OUT if name in head.part_names]))
    pairs = np.stack([head.faces[shown].ravel(), head.uv_faces[shown].ravel()], 1)
    unique, corner = np.unique(pairs, axis=0, return_inverse=True)
    vertex, corner = unique[:, 0], corner.reshape(-1, 3).astype(np.uint16)
    uv = head.uv[unique[:, 1]] * np.array([1, -1]) + np.array([0, 1])
    part = head.part[shown]
    faces = {name: corner[part == number] for number, name in enumerate(head.part_names) if (part == number).any()}
    jaw = {"jawOpen": head.pose(jaw=head.jaw_open_angle), "jawLeft": head.pose(jaw_yaw=head.jaw_yaw_angle),
           "jawRight": head.pose(jaw_yaw=-head.jaw_yaw_angle)}
    jaw = {name: pose for name, pose in jaw.items() if name not in head.expression_names}
    opened = [head.vertices(shaped, None, pose) - shaped.vertices for pose in jaw.values()]
    entries = np.flatnonzero(np.abs(head.pose_dirs).max((0, 1)) > 0)
    targets = [*np.moveaxis(head.expression_dirs, 2, 0), *opened, *np.moveaxis(head.pose_dirs[:, :, entries], 2, 0)]
    correctives = (f"{JOINT_NAMES[_NECK + entry // 9]}Corrective{_AXES[entry % 9 // 3]}{_AXES[entry % 3]}" for entry in entries)
    normals = vertex_normals(shaped.vertices, head.faces)[vertex]
    normals[np.linalg.norm(normals, axis=1) == 0] = (0, 0, 1)
    return HeadRig(_float(shaped.vertices[vertex]), _float(normals), _float(uv), faces, _float(np.stack(targets)[:, vertex]),
                   (*head.expression_names, *jaw, *correctives), shaped.joints, head.skin_weights[vertex], entries, vertex)


def motion_clip(name: str, rig: HeadRig, head: HeadModel, avatar: Avatar, frames: Sequence[HeadParams],
                rest_translation: FloatArray | None = None, settings: MotionSettings | None = None) -> RigClip:
    """A tracked motion as the avatar plays it: its driving response and its way of turning at the neck included."""
    weights, rotations, translations = _still(rig, len(frames))
    e = head.expression_count
    for i, params in enumerate(frames):
        psi = avatar.respond(params)
        motion = head_motion(params, rig.joints[_NECK], rest_translation, settings)
        turned = np.tile(np.eye(3, dtype=np.float32), (5, 1, 1))
        turned[_NECK], turned[_JAW:] = motion.rotation, rotation_from_axis_angle(psi[e:e + 9].reshape(3, 3))
        _pose(rig, head, psi[:e], turned, weights[i], rotations[i], translations[i])
        translations[i, _ROOT] += motion.body_shift
        translations[i, _NECK] += motion.head_shift - motion.body_shift
    times = np.array([params.time_ns for params in frames], np.int64)
    return RigClip(name, _float((times - times[0]) / 1e9), weights, _continuous(rotations), translations)


def face_clip(name: str, rig: HeadRig, head: HeadModel, expression: FloatArray, pose: FloatArray,
              seconds: float = 0.5) -> RigClip:
    """From rest to a face: expression [E] and joint rotations [5, 3]."""
    weights, rotations, translations = _still(rig, 2)
    _pose(rig, head, expression, rotation_from_axis_angle(pose), weights[1], rotations[1], translations[1])
    return RigClip(name, np.array([0, seconds], np.float32), weights, _continuous(rotations), translations)


def _still(rig: HeadRig, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights, rotations and translations of a rig at rest, to be written over."""
    parents = np.array(JOINT_PARENTS)
    local = rig.joints - np.where(parents[:, None] >= 0, rig.joints[parents], 0)
    rotations = np.zeros((count, 5, 4), np.float32)
    rotations[:, :, 3] = 1
    return np.zeros((count, len(rig.targets)), np.float32), rotations, np.tile(_float(local), (count, 1, 1))


def _pose(rig: HeadRig, head: HeadModel, expression: FloatArray, rotations: FloatArray, weights: FloatArray, quats: FloatArray,
          translations: FloatArray) -> None:
    """One frame, in place: joints with rotations [5, 3, 3] also make good for the way Δ the expression moves them: (I − R) Δ."""
    weights[:len(expression)] = expression
    difference = (rotations[1:] - np.eye(3, dtype=np.float32)).reshape(-1)
    if len(rig.corrective_entries):
        weights[-len(rig.corrective_entries):] = difference[rig.corrective_entries]
    quats[:] = quat_from_rotation(rotations)[:, [1, 2, 3, 0]]
    moved = np.einsum("jv,vae,e->ja", head.joint_regressor, head.expression_dirs, expression, optimize=True)
    translations += moved - np.einsum("jab,jb->ja", rotations, moved)


def _continuous(rotations: FloatArray) -> FloatArray:
    """The same rotations [T, 5, 4] without jumps between q and −q, so that players may interpolate."""
    flips = np.where((rotations[1:] * rotations[:-1]).sum(-1) < 0, -1, 1)
    signs = np.concatenate([np.ones((1, rotations.shape[1])), np.cumprod(flips, 0)])
    return _float(rotations * signs[..., None])


def _float(values: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)
