"""How a pack's basis lies in the textures that rows.frag reads, and what the shaders are told about the pack. No OpenGL here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.avatar.basis import AttributeBasis
from core.avatar.kernels import BLOCK_ROWS, FACING, FACING_SOFTNESS
from core.avatar.manifest import PackManifest
from core.avatar.pack import AvatarPack
from core.types import FloatArray

PLANES_PER_TEXEL = 4
PLANE_SAMPLERS = ("xyz_planes", "rotation_planes", "scale_planes", "opacity_planes")
_SOFT_FACING = ("SOFT_FACING", f"FACING {FACING}", f"FACING_SOFTNESS {FACING_SOFTNESS}")


def rows_defines(manifest: PackManifest) -> tuple[str, ...]:
    """What rows.frag is told."""
    return (f"ROTATION_CHANNELS {manifest.channels[1]}",)


def move_defines(manifest: PackManifest) -> tuple[str, ...]:
    """What move.frag is told."""
    return (manifest.rotation == "additive") * ("ADDITIVE",) + (manifest.facing == "soft") * _SOFT_FACING


def moves_scale_and_opacity(pack: AvatarPack) -> tuple[bool, bool]:
    """Whether anything changes the scales, and the opacities."""
    additive = pack.manifest.rotation == "additive"
    return additive or len(pack.basis[2].blocks) > 0, additive or len(pack.basis[3].blocks) > 0


def slot_table(pack: AvatarPack) -> NDArray[np.int32]:
    """Number of the stored block of each attribute, [1, row blocks, 4]; -1 where nothing is stored."""
    slots = np.full((1, pack.basis[0].row_blocks, 4), -1, np.int32)
    for attribute, basis in enumerate(pack.basis):
        slots[0, basis.blocks, attribute] = np.arange(len(basis.blocks))
    return slots


def plane_texels(basis: AttributeBasis) -> NDArray[np.int8]:
    """Planes [B, P, C·1024] -> [⌈P/4⌉, B·C, 1024, 4], four planes to a texel; a basis that stores nothing gives one texel."""
    stored, count = basis.planes.shape[:2]
    if stored == 0 or count == 0:
        return np.zeros((1, 1, 1, PLANES_PER_TEXEL), np.int8)
    texels = -(-count // PLANES_PER_TEXEL)
    padded = np.zeros((stored, texels * PLANES_PER_TEXEL, basis.channels, BLOCK_ROWS), np.int8)
    padded[:, :count] = basis.planes.reshape(stored, count, basis.channels, BLOCK_ROWS)
    by_texel = padded.reshape(stored, texels, PLANES_PER_TEXEL, basis.channels, BLOCK_ROWS).transpose(1, 0, 3, 4, 2)
    return np.ascontiguousarray(by_texel).reshape(texels, stored * basis.channels, BLOCK_ROWS, PLANES_PER_TEXEL)


def weight_table(pack: AvatarPack) -> tuple[NDArray[np.intp], FloatArray]:
    """Which coefficient scales each plane [Q], and its step in every block [row blocks, Q], attributes one after the other.

    Every attribute's planes are filled up to whole texels with steps of zero.
    """
    component, steps, first = [], [], 0
    for basis in pack.basis:
        count = basis.planes.shape[1] if len(basis.blocks) else 0
        filled = max(1, -(-count // PLANES_PER_TEXEL)) * PLANES_PER_TEXEL
        numbers, table = np.zeros(filled, np.intp), np.zeros((basis.row_blocks, filled), np.float32)
        numbers[:count] = first + basis.component[:count]
        table[basis.blocks, :count] = basis.steps[:, :count]
        component.append(numbers)
        steps.append(table)
        first += basis.components
    return np.concatenate(component), np.concatenate(steps, 1)
