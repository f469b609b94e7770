"""A pack and its people as the arrays of a web page.

Everything that is looked at keeps what an 8-bit picture can show of it: positions in steps of 20 micrometres, colours as they
are in pictures, scales in steps of some percent, orientations to a quarter of a degree. The basis stays exactly as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.avatar.gl_layout import PLANE_SAMPLERS, PLANES_PER_TEXEL, plane_texels, slot_table, weight_table
from core.avatar.identity import Identity
from core.avatar.kernels import BLOCK_ROWS
from core.avatar.pack import AvatarPack
from core.avatar.regressor import IdentityRegressor
from core.export.web_arrays import PackedArray, PackedPart, as_floats, in_ratios, in_steps, pack_part, whole_numbers
from core.types import FloatArray

_POSITION_STEP = 1e-5  # metres
_SMALLEST_SCALE = 1e-6  # metres; a thousandth of a pixel
_LEVELS = 127
_FLAT = 0.9995  # cosine; patches that lie in their row's tangent plane are told by an angle


def basis_part(pack: AvatarPack, people: Sequence[Identity]) -> PackedPart:
    """The planes of the basis in texels. Rows that move none of these people are emptied, which makes them small."""
    used = np.zeros(pack.basis[0].row_blocks * BLOCK_ROWS, bool)
    for person in people:
        used[person.row[person.row >= 0]] = True
    arrays = []
    for sampler, basis in zip(PLANE_SAMPLERS, pack.basis, strict=True):
        if len(basis.blocks):
            kept = used.reshape(-1, 1, 1, BLOCK_ROWS)[basis.blocks]
            planes = basis.planes.reshape(len(basis.blocks), -1, basis.channels, BLOCK_ROWS) * kept
            basis = replace(basis, planes=planes.reshape(basis.planes.shape))
        arrays.append(whole_numbers(sampler, plane_texels(basis).reshape(-1, PLANES_PER_TEXEL), np.int8, differences=True))
    component, steps = weight_table(pack)
    return pack_part("basis", [*arrays, whole_numbers("slots", slot_table(pack)[0], np.int32),
                               whole_numbers("component", component, np.int32), PackedArray("steps", steps)])


def basis_shapes(pack: AvatarPack) -> dict[str, Any]:
    """Layers and rows of the textures of each attribute's planes."""
    shapes = [plane_texels(basis).shape for basis in pack.basis]
    return {sampler: shape[:3] for sampler, shape in zip(PLANE_SAMPLERS, shapes, strict=True)}


def regressor_part(pack: AvatarPack) -> PackedPart:
    """The coefficient regressor without what depends on the person."""
    folded = pack.regressor.for_identity(np.zeros(pack.manifest.latent_size, np.float32))
    arrays = [as_floats(f"weight_{i}", weight) for i, weight in enumerate(folded.weights)]
    arrays += [as_floats(f"bias_{i}", bias) for i, bias in enumerate(folded.biases) if i]
    arrays += [as_floats(name, value) for name, value in
               (("bias", folded.bias), ("psi", folded.psi_term), ("product", folded.product_term)) if value is not None]
    return pack_part("regressor", arrays)


def regressor_sizes(pack: AvatarPack) -> dict[str, Any]:
    """What the page must know of the network."""
    layout, folded = pack.manifest.psi, pack.regressor.for_identity(np.zeros(pack.manifest.latent_size, np.float32))
    return {"expression": layout.expression, "jaw": layout.jaw, "eyes": layout.eyes, "psi": layout.size,
            "usesPose": folded.uses_pose, "layers": [list(weight.shape) for weight in folded.weights]}


def person_part(pack: AvatarPack, identity: Identity, name: str) -> PackedPart:
    """A person: resting Gaussians in the order of their rows, how they hang on them, and their share of the regressor."""
    order = np.lexsort((np.arange(len(identity)), np.where(identity.row < 0, np.iinfo(np.int32).max, identity.row)))
    base = identity.gaussians.subset(order)
    moving = int((identity.row >= 0).sum())
    arrays = [
        in_steps("xyz", base.xyz, _POSITION_STEP, np.uint16),
        in_ratios("scale", base.scale, _SMALLEST_SCALE),
        *_orientations(base.quat, pack.manifest.rotation == "additive"),
        in_steps("rgb", base.rgb, 1 / 255),
        in_steps("opacity", base.opacity),
        in_steps("neckWeight", identity.neck_weight[order]),
        in_steps("gain", identity.opacity_gain[order], differences=False),
        whole_numbers("row", identity.row[order][:moving], np.int32, differences=True),
        *_patches(identity, order, base.quat, moving),
    ]
    if np.any(identity.offset):
        arrays.append(in_steps("offset", identity.offset[order][:moving], _POSITION_STEP, np.uint16))
    if len(identity.closed):
        arrays += [in_steps("normal", identity.normal[order]), in_steps("closed", identity.closed[order], differences=False)]
    return pack_part(name, [*arrays, *_own_regressor(pack.regressor.for_identity(identity.latent))])


def _own_regressor(folded: IdentityRegressor) -> list[PackedArray]:
    own = [as_floats("bias_0", folded.biases[0])]
    return own if folded.pose_term is None else [*own, as_floats("pose", folded.pose_term)]


def _orientations(quat: FloatArray, additive: bool) -> list[PackedArray]:
    """Quaternions: the three smaller components and which one is the largest. Additive packs, whose quaternions have lengths that
    count, keep all four."""
    if additive:
        return [in_steps("quat", quat, kind=np.uint16)]
    largest = np.abs(quat).argmax(1)
    positive = quat * np.sign(np.take_along_axis(quat, largest[:, None], 1))
    others = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    three = np.take_along_axis(positive, others, 1) * (np.sqrt(2) * _LEVELS)
    return [whole_numbers("largest", largest, np.uint8), whole_numbers("three", np.rint(three), np.int8, differences=True)]


def _patches(identity: Identity, order: NDArray, quat: FloatArray, moving: int) -> list[PackedArray]:
    """How the Gaussians that stretch lie in their row's tangent plane.

    The tangents follow from the orientation and the angle of the first axis when a patch is flat in the plane, as all are that
    this program makes; any others are told in full.
    """
    axis, tangents = identity.axis[order][:moving], identity.tangents[order][:moving]
    stretches = (axis != 0).any(1)
    if not stretches.any():
        return []
    flags = whole_numbers("stretches", stretches, np.uint8)
    u, v = tangents[stretches, 0], tangents[stretches, 1]
    if (np.abs(_third_axis(quat[:moving][stretches]) - np.cross(u, v)).max() < np.sqrt(2 * (1 - _FLAT))):
        angle = np.arctan2(axis[stretches, 1], axis[stretches, 0])
        return [flags, PackedArray("angle", np.rint(angle * (128 / np.pi)).astype(np.int64).astype(np.int8)[:, None], True)]
    return [flags, in_steps("tangents", tangents[stretches].reshape(-1, 6)), in_steps("axis", axis[stretches])]


def _third_axis(quat: FloatArray) -> FloatArray:
    w, x, y, z = quat.T
    return np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1)
