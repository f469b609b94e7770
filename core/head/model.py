"""The parametric head: shape, expression and pose coefficients -> vertices, in FLAME's formulation.

Li et al., "Learning a model of facial shape and expression from 4D scans" (SIGGRAPH Asia 2017), section 4: blend shapes are
added to a template, pose-dependent correctives follow, and linear blend skinning moves the result over five joints.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.geometry import rotation_from_axis_angle
from core.types import FloatArray, PsiLayout

JOINT_PARENTS = (-1, 0, 1, 1, 1)
SHAPE_BANK_TRAITS = ("gender", "age", "african", "asian", "caucasian", "muscle", "weight")
_ROOT, _NECK, _JAW, _LEFT_EYE, _RIGHT_EYE = range(5)
_CACHED_IDENTITIES = 8


@dataclass(frozen=True)
class ShapedHead:
    """A head with its identity applied, without expression or pose.

    Attributes:
        shape: [S] float32 shape coefficients.
        vertices: [V, 3] float32 metres, head space.
        joints: [5, 3] float32 metres, rest positions of the joints.
    """

    shape: FloatArray
    vertices: FloatArray
    joints: FloatArray


@dataclass(frozen=True)
class PosedHead:
    """A head with identity, expression and pose applied.

    Attributes:
        vertices: [V, 3] float32 metres, head space.
        joints: [5, 3] float32 metres, posed positions of the joints.
        joint_transforms: [5, 4, 4] float32, each takes a point rigidly attached to a joint from rest to posed head space.
    """

    vertices: FloatArray
    joints: FloatArray
    joint_transforms: FloatArray


@dataclass(frozen=True)
class HeadMasks:
    """Regions of the skin, float32 [V] in 0..1 each."""

    lips: FloatArray
    eyelids: FloatArray
    ears: FloatArray
    face: FloatArray


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A head model in FLAME's layout. Arrays are read-only.

    Attributes:
        name: what to call the model in messages.
        sha256: hash of the file it came from; avatars made for one model refuse another.
        v_template: [V, 3] float32 metres, head space.
        faces: [F, 3] int32 vertex ids, counter-clockwise seen from outside.
        shape_dirs: [V, 3, S] float32, metres per unit of a shape coefficient.
        expression_dirs: [V, 3, E] float32, metres per unit of an expression coefficient.
        pose_dirs: [V, 3, 36] float32, metres per entry of (R - I) of the joints neck, jaw, left eye, right eye, row-major.
        joint_regressor: [5, V] float32; joints = joint_regressor @ vertices with shape and expression applied.
        skin_weights: [V, 5] float32, rows sum to 1.
        uv: [T, 2] float32 texture coordinates, v up.
        uv_faces: [F, 3] int32 rows of `uv`.
        part: [F] int8 index into `part_names`.
        part_names: names of the mesh parts: ``skin``, ``mouth``, ``teeth_u``, ``teeth_l``, ``tongue``, ``lashes``, ``eye_l``,
            ``eye_r`` (a model may lack some of them).
        expression_names: [E] names of the expression columns (ARKit's for the open head).
        jaw_open_angle: radians about x that open the jaw fully.
        jaw_yaw_angle: radians about y that move the jaw fully to the subject's left.
        masks: how much each vertex belongs to lips, eyelids, ears and face.
        shape_bank: [B, S] float32 shape coefficients of plausible people; B may be 0.
        shape_bank_traits: [B, 7] float32, columns `SHAPE_BANK_TRAITS`: gender 0 female .. 1 male, age 0.5 = 25 and
            1 = 80 years, three origins that sum to 1, muscle and weight 0..1.
    """

    name: str
    sha256: str
    v_template: FloatArray
    faces: NDArray[np.int32]
    shape_dirs: FloatArray
    expression_dirs: FloatArray
    pose_dirs: FloatArray
    joint_regressor: FloatArray
    skin_weights: FloatArray
    uv: FloatArray
    uv_faces: NDArray[np.int32]
    part: NDArray[np.int8]
    part_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    jaw_open_angle: float
    jaw_yaw_angle: float
    masks: HeadMasks
    shape_bank: FloatArray
    shape_bank_traits: FloatArray

    @property
    def vertex_count(self) -> int:
        return len(self.v_template)

    @property
    def shape_count(self) -> int:
        return self.shape_dirs.shape[2]

    @property
    def expression_count(self) -> int:
        return self.expression_dirs.shape[2]

    @property
    def psi_layout(self) -> PsiLayout:
        """The driving vector of this model: all its expression columns, jaw and both eyes."""
        return PsiLayout(expression=self.expression_count)

    def faces_of(self, *parts: str) -> NDArray[np.int32]:
        """Faces [., 3] of the named parts."""
        return self.faces[self.face_indices_of(*parts)]

    def face_indices_of(self, *parts: str) -> NDArray[np.int64]:
        """Indices into `faces` of the named parts.

        Raises:
            InputError: the model has no part of that name.
        """
        unknown = [name for name in parts if name not in self.part_names]
        if unknown:
            raise InputError(f"head model {self.name} has no part '{unknown[0]}'", f"it has {', '.join(self.part_names)}")
        return np.flatnonzero(np.isin(self.part, [self.part_names.index(name) for name in parts]))

    def vertices_of(self, *parts: str) -> NDArray[np.int32]:
        """Sorted ids of the vertices that the faces of the named parts use."""
        return np.unique(self.faces_of(*parts))

    # ------------------------------------------------------------------ coefficients by name

    def expression(self, **activations: float) -> FloatArray:
        """Expression coefficients [E] by name; a name without ``Left`` or ``Right`` sets both sides.

        Raises:
            InputError: no column has that name.
        """
        coefficients = np.zeros(self.expression_count, np.float32)
        for name, value in activations.items():
            columns = [i for i, known in enumerate(self.expression_names) if known in (name, f"{name}Left", f"{name}Right")]
            if not columns:
                raise InputError(f"head model {self.name} has no expression '{name}'")
            coefficients[columns] = value
        return coefficients

    def pose(self, jaw: float = 0.0, jaw_yaw: float = 0.0, gaze: tuple[float, float] = (0.0, 0.0),
             neck: tuple[float, float, float] = (0.0, 0.0, 0.0),
             root: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> FloatArray:
        """Joint rotations [5, 3] as axis-angle.

        Args:
            jaw: radians of jaw opening.
            jaw_yaw: radians, positive moves the chin to the subject's left.
            gaze: (pitch, yaw) radians of both eyes; positive looks down and to the subject's left.
            neck, root: axis-angle of these joints.
        """
        eye = (gaze[0], gaze[1], 0.0)
        return np.array([root, neck, (jaw, jaw_yaw, 0.0), eye, eye], np.float32)

    # ------------------------------------------------------------------ forward pass

    def neutral(self, shape: FloatArray) -> ShapedHead:
        """The head with the identity `shape` [<= S], resting. The last few identities are kept."""
        coefficients = self._padded(shape, self.shape_count, "shape")
        key = coefficients.tobytes()
        cache = self._identity_cache
        shaped = cache.get(key)
        if shaped is None:
            vertices = self.v_template + self.shape_dirs @ coefficients
            shaped = ShapedHead(coefficients, vertices, self.joint_regressor @ vertices)
            shaped.vertices.setflags(write=False)
            shaped.joints.setflags(write=False)
            cache[key] = shaped
            while len(cache) > _CACHED_IDENTITIES:
                cache.popitem(last=False)
        return shaped

    def vertices(self, shape: FloatArray | ShapedHead, expression: FloatArray | None = None,
                 pose: FloatArray | None = None) -> FloatArray:
        """Vertices [V, 3] float32 in head space.

        Args:
            shape: shape coefficients [<= S], or an identity from `neutral`.
            expression: expression coefficients [<= E]; missing ones are 0.
            pose: axis-angle [5, 3] of root, neck, jaw, left eye, right eye.
        """
        return self.transforms(shape, expression, pose).vertices

    def driven(self, shape: FloatArray | ShapedHead, psi: FloatArray, neck: FloatArray | None = None) -> FloatArray:
        """Vertices [V, 3] under a driving vector ψ [P], and a rotation of the neck, axis-angle [3]."""
        pose = np.zeros((5, 3), np.float32)
        if neck is not None:
            pose[_NECK] = neck
        e = self.expression_count
        pose[_JAW:] = psi[e:e + 9].reshape(3, 3)
        return self.vertices(shape, psi[:e], pose)

    def transforms(self, shape: FloatArray | ShapedHead, expression: FloatArray | None = None,
                   pose: FloatArray | None = None) -> PosedHead:
        """As `vertices`, with the joints and their transforms."""
        shaped = shape if isinstance(shape, ShapedHead) else self.neutral(shape)
        vertices, joints = shaped.vertices.copy(), shaped.joints
        if expression is not None:
            coefficients = self._padded(expression, self.expression_count, "expression")
            moving, dirs, joint_dirs = self._expression_rows
            vertices[moving] += (dirs @ coefficients).reshape(-1, 3)
            joints = joints + (joint_dirs @ coefficients).reshape(5, 3)
        if pose is None:
            return PosedHead(vertices, joints, np.tile(np.eye(4, dtype=np.float32), (5, 1, 1)))
        rotations = rotation_from_axis_angle(np.asarray(pose, np.float32))
        moving, entries, dirs = self._corrective_rows
        vertices[moving] += (dirs @ (rotations[1:] - np.eye(3, dtype=np.float32)).reshape(-1)[entries]).reshape(-1, 3)
        posed_joints, transforms = joint_chain(rotations, joints)
        blended = (self.skin_weights @ transforms[:, :3].reshape(5, 12)).reshape(-1, 3, 4)
        vertices = np.einsum("vab,vb->va", blended[:, :, :3], vertices) + blended[:, :, 3]
        return PosedHead(vertices, posed_joints, transforms)

    # ------------------------------------------------------------------ internals

    def _padded(self, values: FloatArray, size: int, what: str) -> FloatArray:
        values = np.asarray(values, np.float32).reshape(-1)
        if len(values) > size:
            raise InputError(f"{len(values)} {what} coefficients given, head model {self.name} has {size}")
        return np.concatenate([values, np.zeros(size - len(values), np.float32)])

    @cached_property
    def _identity_cache(self) -> OrderedDict[bytes, ShapedHead]:
        return OrderedDict()

    @cached_property
    def _expression_rows(self) -> tuple[NDArray, FloatArray, FloatArray]:
        """Vertices that any expression moves, their columns [3M, E], and the motion of the joints [15, E]."""
        moving = np.flatnonzero(np.abs(self.expression_dirs).max((1, 2)) > 0)
        dirs = np.ascontiguousarray(self.expression_dirs[moving].reshape(-1, self.expression_count))
        joint_dirs = np.einsum("jv,vae->jae", self.joint_regressor[:, moving], self.expression_dirs[moving])
        return moving, dirs, joint_dirs.reshape(15, -1)

    @cached_property
    def _corrective_rows(self) -> tuple[NDArray, NDArray, FloatArray]:
        """Vertices that pose correctives move, the entries of (R - I) that move them, and their columns [3M, entries]."""
        size = np.abs(self.pose_dirs)
        moving = np.flatnonzero(size.max((1, 2)) > 0)
        entries = np.flatnonzero(size.max((0, 1)) > 0)
        return moving, entries, np.ascontiguousarray(self.pose_dirs[moving][:, :, entries].reshape(-1, len(entries)))


def joint_chain(rotations: FloatArray, joints: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Forward kinematics over the five joints.

    Args:
        rotations: [5, 3, 3], each relative to its parent.
        joints: [5, 3] rest positions.

    Returns:
        posed joints [5, 3] and skinning transforms [5, 4, 4] (rest to posed).
    """
    world = np.zeros((5, 4, 4), np.float32)
    for joint, parent in enumerate(JOINT_PARENTS):
        local = np.eye(4, dtype=np.float32)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world[joint] = local if parent < 0 else world[parent] @ local
    skinning = world.copy()
    skinning[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    return world[:, :3, 3].copy(), skinning
