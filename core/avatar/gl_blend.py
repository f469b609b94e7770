"""The basis blend and the motion of the Gaussians in OpenGL 3.3: two passes that fill textures, no buffer that shaders write.

The first pass has a fragment for every row of the basis and sums up its planes, the second one for every Gaussian of a person
and applies the rules of `core.avatar.kernels`. The planes stay 8-bit integers, four to a texel. The coefficients, 170 numbers,
are worked out on the processor in 0.07 ms, less than sending the network's input and waiting for its layers would take; each
is multiplied with the steps of its planes there too. Nothing is left out as negligible: a graphics processor gains little by it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from core.avatar.gl_layout import (
    PLANE_SAMPLERS,
    PLANES_PER_TEXEL,
    move_defines,
    moves_scale_and_opacity,
    plane_texels,
    rows_defines,
    slot_table,
    weight_table,
)
from core.avatar.identity import Identity
from core.avatar.kernels import BLOCK_ROWS, STATIC_ROW
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.errors import DeviceError
from core.render.gl import R32F, R32I, RGBA8I, RGBA32F, RGBA32I, CoverPass, Device, Target, Texture
from core.render.opengl import LAYERS, WIDTH
from core.types import Camera, FloatArray

_RESTING_LAYERS = 6  # as move.frag names them; one more with soft facing


class PackOnDevice:
    """A pack's basis in textures, and the residuals of its rows.

    Raises:
        DeviceError: the basis is larger than the device's textures may be.
    """

    def __init__(self, pack: AvatarPack, device: Device) -> None:
        self.pack, self.device = pack, device
        self.soft_facing = pack.manifest.facing == "soft"
        blocks = pack.basis[0].row_blocks
        planes = [plane_texels(basis) for basis in pack.basis]
        self._counts = tuple(float(texels.shape[0]) for texels in planes)
        self._check(blocks, planes)
        self._component, self._steps = weight_table(pack)
        self.has_scale, self.has_opacity = moves_scale_and_opacity(pack)
        self._planes = {name: _filled(RGBA8I, texels, True) for name, texels in zip(PLANE_SAMPLERS, planes, strict=True)}
        self._slots, self._weights = _filled(RGBA32I, slot_table(pack)), Texture(RGBA32F)
        self.residuals = [Texture(RGBA32F) for _ in range(3)]  # xyz opacity · rotation · scale
        for texture in self.residuals:
            texture.allocate(blocks, BLOCK_ROWS)
        self._target = Target(*((texture, None) for texture in self.residuals))
        self._blend = CoverPass("core.avatar/rows.frag", rows_defines(pack.manifest))
        self.move = CoverPass("core.avatar/move.frag", move_defines(pack.manifest))

    def _check(self, blocks: int, planes: list[NDArray[np.int8]]) -> None:
        side = max(BLOCK_ROWS, blocks, int(sum(self._counts)), *(texels.shape[1] for texels in planes))
        layers = max(texels.shape[0] for texels in planes)
        if side > self.device.largest_side or layers > self.device.most_layers:
            raise DeviceError(f"pack '{self.pack.manifest.name}' needs textures of {side} texels and {layers} layers, "
                              f"{self.device.name} has {self.device.largest_side} and {self.device.most_layers}")

    def blend(self, coefficients: FloatArray) -> None:
        """Fill the residuals of all rows from blend coefficients [D]."""
        weights = self._steps * coefficients[self._component] if len(coefficients) else self._steps
        self._weights.send(weights.reshape(len(weights), -1, PLANES_PER_TEXEL))
        program = self._blend.program
        program.use(slots=self._slots, weights=self._weights, **self._planes)
        program.set(counts=self._counts)
        self._blend.run(self._target)

    def delete(self) -> None:
        """Free everything; harmless when repeated."""
        for thing in (self._target, *self._planes.values(), self._slots, self._weights, *self.residuals, self._blend, self.move):
            thing.delete()


class PersonOnDevice:
    """A person's resting Gaussians in textures, and the moved ones.

    Attributes:
        attributes: the moved Gaussians as `core.render.opengl.OpenGLRenderer.draw` takes them.

    Raises:
        DeviceError: there are more Gaussians than fit a texture.
    """

    def __init__(self, pack: PackOnDevice, identity: Identity) -> None:
        count = len(identity)
        rows = -(-count // WIDTH)
        if rows > pack.device.largest_side:
            raise DeviceError(f"{identity.name} has {count} Gaussians, too many for the textures of {pack.device.name}")
        self._pack, self._identity = pack, identity
        self._resting = _filled(RGBA32F, resting_texels(identity, rows), True)
        number = np.full(rows * WIDTH, STATIC_ROW, np.int32)
        number[:count] = identity.row
        self._rows = _filled(R32I, number.reshape(rows, WIDTH))
        colors = np.zeros((LAYERS, rows * WIDTH, 4), np.float32)
        colors[3, :count, :3] = identity.gaussians.rgb
        self.attributes = _filled(RGBA32F, colors.reshape(LAYERS, rows, WIDTH, 4), True)
        self._depths = Texture(R32F)
        self._depths.allocate(rows, WIDTH)
        self._depth_data = np.empty((rows, WIDTH), np.float32)
        self._target = Target(*((self.attributes, layer) for layer in range(3)), (self._depths, None))

    def move(self, motion: HeadMotion, camera: Camera) -> FloatArray:
        """Fill `attributes` from the residuals of the pack's rows and a head motion.

        Returns:
            Depth [N] along the camera's axis, written over by the next call.

        Raises:
            DeviceError: the device is gone.
        """
        pack, program = self._pack, self._pack.move.program
        xyz_opacity, rotation, scale = pack.residuals
        program.use(row_xyz_opacity=xyz_opacity, row_rotation=rotation, row_scale=scale, rows=self._rows, resting=self._resting)
        angle = motion.angle
        program.set(has_scale=pack.has_scale, has_opacity=pack.has_opacity, head_rotation=motion.rotation,
                    head_turn=(math.cos(angle), math.sin(angle), math.cos(angle / 2), math.sin(angle / 2)),
                    turn_axis=motion.axis, neck_joint=self._identity.neck_joint, head_shift=motion.head_shift,
                    body_shift=motion.body_shift, view_depth=camera.world_to_camera[2])
        if pack.soft_facing:
            program.set(eye=camera.position)
        pack.move.run(self._target)
        self._depth_data[-1, -1] = np.nan  # stays when a device that is gone ignores what it is told
        self._target.read(3, R32F, self._depth_data)
        if np.isnan(self._depth_data[-1, -1]):
            raise DeviceError(f"{pack.device.name} does not answer", "update the graphics driver, or use the CPU renderer")
        return self._depth_data.reshape(-1)[:len(self._identity)]

    def read(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Positions [N, 3], scales [N, 3], quaternions [N, 4] and opacities [N] as they are on the device."""
        layers = np.empty((3, *self._depth_data.shape, 4), np.float32)
        for layer in range(3):
            self._target.read(layer, RGBA32F, layers[layer])
        first, scale, quat = layers.reshape(3, -1, 4)[:, :len(self._identity)]
        return first[:, :3], scale[:, :3], quat, first[:, 3]

    def delete(self) -> None:
        """Free everything; harmless when repeated."""
        for thing in (self._target, self._resting, self._rows, self.attributes, self._depths):
            thing.delete()


def resting_texels(identity: Identity, rows: int) -> FloatArray:
    """All that moves a person's Gaussians and never changes, [layers, rows, 1024, 4], as move.frag reads it."""
    soft = len(identity.closed) > 0
    texels = np.zeros((_RESTING_LAYERS + soft, rows * WIDTH, 4), np.float32)
    base, filled = identity.gaussians, texels[:, :len(identity)]
    filled[0, :, :3], filled[0, :, 3] = base.xyz, base.opacity
    filled[1, :, :3], filled[1, :, 3] = base.scale, identity.opacity_gain
    filled[2] = base.quat
    filled[3, :, :3], filled[3, :, 3] = identity.offset, identity.neck_weight
    for layer in range(2):
        filled[4 + layer, :, :3], filled[4 + layer, :, 3] = identity.tangents[:, layer], identity.axis[:, layer]
    if soft:
        filled[6, :, :3], filled[6, :, 3] = identity.normal, identity.closed
    return texels.reshape(len(texels), rows, WIDTH, 4)


def _filled(texels, data: NDArray, layered: bool = False) -> Texture:
    texture = Texture(texels, layered)
    texture.send(data)
    return texture
