"""The avatar in torch: regressor, blend, anchors and neck on a device, for the CUDA backend. Torch is loaded on first use.

The arithmetic is tested against `core.avatar.model.Avatar`, on the processor and, in `tests/gpu`, on an H100.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.avatar.backend import Timer, timed
from core.avatar.basis import AttributeBasis
from core.avatar.identity import Identity
from core.avatar.kernels import BLOCK_ROWS, FACING, FACING_SOFTNESS, MIN_SCALE, OPACITY_HIGH, OPACITY_LOW, ROUNDNESS
from core.avatar.model import Avatar, check_psi
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.avatar.regressor import LEAK, IdentityRegressor, pose_features
from core.errors import InputError
from core.render.cuda import CudaRenderer, TensorCloud
from core.types import Camera, FloatArray

if TYPE_CHECKING:
    from torch import Tensor

_LARGEST_SIDE = 16384  # pixels
_MOTION_NUMBERS = 22  # rotation, axis, two shifts, cosine and sine of the angle and of its half


class TorchBackend:
    """`core.avatar.backend.Backend` that blends with torch and draws with gsplat.

    Args:
        device: as torch calls it.

    Raises:
        DeviceError: torch or gsplat is not installed, or there is no CUDA device.
    """

    name = "cuda"
    is_software = False

    def __init__(self, device: str = "cuda") -> None:
        self.renderer = CudaRenderer(device)
        self.device = device
        self.description = f"CUDA on {self.renderer.description}"
        self.timer: Timer | None = None
        self._pack: TorchPack | None = None

    def performer(self, pack: AvatarPack, identity: Identity) -> TorchPerformer:
        if self._pack is None or self._pack.pack is not pack:
            self._pack = TorchPack(pack, self.device)
        return TorchPerformer(self, TorchAvatar(self._pack, identity), Avatar(pack, identity))

    def set_detail(self, alpha_min: float) -> None:
        """gsplat always draws everything."""

    def close(self) -> None:
        self._pack = None
        self.renderer.close()


class TorchPerformer:
    """`Performer` of a `TorchBackend`."""

    def __init__(self, backend: TorchBackend, person: TorchAvatar, avatar: Avatar) -> None:
        self.avatar = avatar
        self._backend, self._person = backend, person

    def draw(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> NDArray[np.uint8]:
        if not (0 < camera.width <= _LARGEST_SIDE and 0 < camera.height <= _LARGEST_SIDE):
            raise InputError(f"a picture of {camera.width}×{camera.height} pixels cannot be drawn",
                             f"sides of 1 to {_LARGEST_SIDE} pixels are possible")
        with timed(self._backend.timer, "drive"):
            cloud = self._person.shown(psi, motion, camera)
        with timed(self._backend.timer, "render"):
            return self._backend.renderer.draw(cloud, camera)

    def close(self) -> None:
        """Tensors are freed as they go out of use."""


class TorchPack:
    """A pack's basis as float32 tensors: 84 MB for the studio pack, read once a picture."""

    def __init__(self, pack: AvatarPack, device: str) -> None:
        self.pack, self.device = pack, device
        self.bases = tuple(TorchBasis(basis, device) for basis in pack.basis)


class TorchBasis:
    """One attribute's basis on a device."""

    def __init__(self, basis: AttributeBasis, device: str) -> None:
        self._planes = _on_device(basis.planes, device).float()
        self._steps = _on_device(basis.steps, device)
        self._component = _on_device(basis.component, device).long()
        self._blocks = _on_device(basis.blocks, device).long()
        self._shape = basis.row_blocks, basis.channels, BLOCK_ROWS
        self.is_stored = len(basis.blocks) > 0

    def blend(self, coefficients: Tensor) -> Tensor:
        """Residuals [rows in whole blocks, C] of coefficients [K]."""
        blocks, channels, rows = self._shape
        out = coefficients.new_zeros(blocks, channels * rows)
        if self.is_stored:
            weights = self._steps * coefficients[self._component]
            out[self._blocks] = (weights[:, None] @ self._planes)[:, 0]
        return out.view(blocks, channels, rows).transpose(1, 2).reshape(-1, channels)


class TorchRegressor:
    """`core.avatar.regressor.IdentityRegressor` on a device."""

    def __init__(self, source: IdentityRegressor, device: str) -> None:
        def tensor(array: FloatArray | None) -> Tensor | None:
            return None if array is None else _on_device(array, device)

        self._source = source
        self._layers = [(tensor(weight), tensor(bias)) for weight, bias in zip(source.weights, source.biases, strict=True)]
        self._bias = tensor(source.bias)
        self._linear = [tensor(term) for term in (source.psi_term, source.pose_term, source.product_term)]

    def __call__(self, driving: Tensor, turned: Tensor) -> Tensor:
        """Coefficients [D] of a driving vector [P] and what `pose_features` says of it."""
        import torch

        source = self._source
        both = torch.cat([driving, turned])
        hidden = both if source.uses_pose else driving
        for weight, bias in self._layers[:-1]:
            hidden = torch.nn.functional.leaky_relu(weight @ hidden + bias, float(LEAK))
        weight, bias = self._layers[-1]
        out = weight @ hidden + bias + self._bias
        psi_term, pose_term, product_term = self._linear
        if psi_term is not None:
            out = out + psi_term @ driving
        if pose_term is not None:
            out = out + pose_term @ turned
        if product_term is not None:
            out = out + product_term @ (turned[:9, None] * driving[:source.layout.expression]).reshape(-1)
        return out


class TorchAvatar:
    """One person on a device; the rules are those of `core.avatar.kernels`."""

    def __init__(self, pack: TorchPack, identity: Identity) -> None:
        import torch

        def tensor(array: NDArray) -> Tensor:
            return _on_device(array, pack.device)

        self._pack, self._torch, self._device = pack, torch, pack.device
        self._regress = TorchRegressor(pack.pack.regressor.for_identity(identity.latent), pack.device)
        base = identity.gaussians
        self._base = TensorCloud(*map(tensor, (base.xyz, base.scale, base.quat, base.rgb, base.opacity)))
        self._layout = pack.pack.regressor.layout
        self._recording: _Recording | None = None
        self._moving = tensor(np.flatnonzero(identity.row >= 0))
        moving = identity.row >= 0
        self._row = tensor(identity.row[moving].astype(np.int64))
        self._offset, self._tangents = tensor(identity.offset[moving]), tensor(identity.tangents[moving])
        self._axis, self._gain = tensor(identity.axis[moving]), tensor(identity.opacity_gain[moving])
        self._neck_weight, self._neck_joint = tensor(identity.neck_weight), tensor(identity.neck_joint)
        self._splits = list(pack.pack.manifest.components)
        self._additive = pack.pack.manifest.rotation == "additive"
        self._closed = tensor(identity.closed) if pack.pack.manifest.facing == "soft" else None
        self._normal = tensor(identity.normal)

    def gaussians(self, psi: FloatArray, motion: HeadMotion) -> TensorCloud:
        """The person with an expression and a head motion, on the device. Raises InputError when ψ does not fit the pack."""
        with self._torch.no_grad():
            return self._driven(self._packed(psi, motion))

    def shown(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> TensorCloud:
        """As `gaussians`, without what the camera sees from behind, where the pack has soft facing. On CUDA every call answers
        with the same tensors: the next one writes them anew."""
        packed = self._packed(psi, motion, camera)
        with self._torch.no_grad():
            if not packed.is_cuda:
                return self._seen(packed)
            if self._recording is None:
                self._recording = _Recording(self._seen, packed)
            return self._recording(packed)

    def _packed(self, psi: FloatArray, motion: HeadMotion, camera: Camera | None = None) -> Tensor:
        """All that changes from picture to picture, in one tensor. The joints' rotations are worked out on the processor."""
        psi = check_psi(self._pack.pack, psi)
        angle, half = motion.angle, 0.5 * motion.angle
        parts = (psi, pose_features(psi, self._layout),
                 motion.rotation.ravel(), motion.axis, motion.head_shift, motion.body_shift,
                 (math.cos(angle), math.sin(angle), math.cos(half), math.sin(half)),
                 np.zeros(3) if camera is None else camera.position)
        return self._torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(self._device)

    def _seen(self, packed: Tensor) -> TensorCloud:
        cloud = self._driven(packed)
        return cloud if self._closed is None else self._faded(cloud, packed[-3:])

    def _driven(self, packed: Tensor) -> TensorCloud:
        size = self._layout.size
        psi, pose, turn, _ = packed.split([size, len(packed) - size - _MOTION_NUMBERS - 3, _MOTION_NUMBERS, 3])
        parts = self._regress(psi, pose).split(self._splits)
        residuals = [basis.blend(part)[self._row] for basis, part in zip(self._pack.bases, parts, strict=True)]
        cloud = self._added(*residuals) if self._additive else self._moved(*residuals)
        xyz, quat = self._turned(cloud.xyz, cloud.quat, turn)
        return cloud._replace(xyz=xyz, quat=quat)

    def _faded(self, cloud: TensorCloud, centre: Tensor) -> TensorCloud:
        """`core.avatar.kernels.fade_averted`."""
        torch = self._torch
        axis, normal = cloud.quat[:, 1:], self._normal
        turned = normal + 2 * torch.linalg.cross(axis, torch.linalg.cross(axis, normal) + cloud.quat[:, :1] * normal)
        away = (torch.nn.functional.normalize(cloud.xyz - centre, dim=1) * turned).sum(1)
        kept = 1 - self._closed * (1 - torch.sigmoid((FACING - away) / FACING_SOFTNESS))
        return cloud._replace(opacity=cloud.opacity * kept)

    def _moved(self, shift: Tensor, rotation: Tensor, strain: Tensor, gain: Tensor) -> TensorCloud:
        """`core.avatar.kernels.move_with_rows`; residuals of the moving Gaussians."""
        torch, base, moving = self._torch, self._base, self._moving
        xyz, scale, quat, opacity = (field.clone() for field in (base.xyz, base.scale, base.quat, base.opacity))
        q, arm = quat[moving], self._offset
        if self._pack.bases[2].is_stored:
            u, v = self._tangents.unbind(1)
            stretches = (self._axis != 0).any(1)
            along_u, along_v = (arm * u).sum(1), (arm * v).sum(1)
            uu, uv, vv = strain.unbind(1)
            stretched = (uu * along_u + uv * along_v)[:, None] * u + (uv * along_u + vv * along_v)[:, None] * v
            stretched = stretched * stretches[:, None]
            arm, shift = arm + stretched, shift + stretched
            s0, s1, half_turn = self._stretched_patch(scale[moving], strain)
            sizes = torch.stack([s0, s1, scale[moving][:, 2]], 1)
            scale[moving] = torch.where(stretches[:, None], sizes, scale[moving])
            q = torch.where(stretches[:, None], _times(torch, q, half_turn), q)
        squared = (rotation * rotation).sum(1, keepdim=True)
        turn = torch.cat([1 - squared, 2 * rotation], 1) / (1 + squared)
        twice = 2 * torch.linalg.cross(turn[:, 1:], arm)
        xyz[moving] += shift + turn[:, :1] * twice + torch.linalg.cross(turn[:, 1:], twice)
        quat[moving] = _times(torch, turn, q)
        if self._pack.bases[3].is_stored:
            opacity[moving] = (opacity[moving] + self._gain * gain[:, 0]).clamp(0, 1)
        return TensorCloud(xyz, scale, quat, base.rgb, opacity)

    def _stretched_patch(self, scale: Tensor, strain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`core.avatar.kernels._stretch_patch`: two scales [M], and the half turn as a quaternion [M, 4] about the normal."""
        torch = self._torch
        (s0, s1, _), (au, av), (uu, uv, vv) = scale.unbind(1), self._axis.unbind(1), strain.unbind(1)
        pu, pv = (1 + uu) * au + uv * av, uv * au + (1 + vv) * av
        qu, qv = uv * au - (1 + uu) * av, (1 + vv) * au - uv * av
        m00, m01 = s0 * (pu * au + pv * av), s0 * (pv * au - pu * av)
        m10, m11 = s1 * (qu * au + qv * av), s1 * (qv * au - qu * av)
        along, across, mixed = m00 * m00 + m10 * m10, m01 * m01 + m11 * m11, m00 * m01 + m10 * m11
        real = (along - across).abs() + ROUNDNESS * (along + across)
        imaginary = 2 * mixed * torch.where(along >= across, 1.0, -1.0)
        length = (real * real + imaginary * imaginary).sqrt() + 1e-20
        c = (0.5 * (1 + real / length)).sqrt()
        s = 0.5 * imaginary / (length * c)
        crossed = 2 * c * s * mixed
        new0 = (c * c * along + crossed + s * s * across).clamp_min(1e-16).sqrt()
        new1 = (s * s * along - crossed + c * c * across).clamp_min(1e-16).sqrt()
        cosine = (0.5 * (1 + c)).sqrt()
        zero = torch.zeros_like(c)
        return new0, new1, torch.stack([cosine, zero, zero, 0.5 * s / cosine], 1)

    def _added(self, shift: Tensor, rotation: Tensor, growth: Tensor, gain: Tensor) -> TensorCloud:
        """`core.avatar.kernels.add_to_rows`; residuals of the moving Gaussians."""
        base, moving = self._base, self._moving
        xyz, scale, quat, opacity = (field.clone() for field in (base.xyz, base.scale, base.quat, base.opacity))
        xyz[moving] += shift
        scale[moving] += growth
        quat[moving] += rotation
        opacity[moving] += gain[:, 0]
        quat /= (quat * quat).sum(1, keepdim=True).clamp_min(1e-24).sqrt()
        return TensorCloud(xyz, scale.clamp_min(MIN_SCALE), quat, base.rgb, opacity.clamp(OPACITY_LOW, OPACITY_HIGH))

    def _turned(self, xyz: Tensor, quat: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """`core.avatar.kernels.turn_at_neck`."""
        torch, w = self._torch, self._neck_weight[:, None]
        rotation, axis, head_shift, body_shift, whole_turn, half_turn = turn.split([9, 3, 3, 3, 2, 2])
        arm = xyz - self._neck_joint
        xyz = xyz + w * (arm @ rotation.view(3, 3).T - arm + head_shift) + (1 - w) * body_shift
        real, imaginary = 1 - w + w * whole_turn[:1], w * whole_turn[1:]
        half = torch.cat([(real * real + imaginary * imaginary).sqrt() + real, imaginary], 1)
        half = half / half.norm(dim=1, keepdim=True).clamp_min(1e-20)
        half = torch.where(w < 1, half, half_turn)  # at half a turn and full weight the blend has no direction
        return xyz, _times(torch, torch.cat([half[:, :1], half[:, 1:] * axis], 1), quat)


class _Recording:
    """A function of one tensor whose kernels are recorded once and replayed: to launch them one by one takes longer than they do.

    Args:
        compute: the function; it must not wait for the device.
        example: an argument.
    """

    def __init__(self, compute: Callable[[Tensor], TensorCloud], example: Tensor) -> None:
        import torch

        self._argument = example.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries make their workspaces before the recording
            compute(self._argument)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = compute(self._argument)

    def __call__(self, argument: Tensor) -> TensorCloud:
        self._argument.copy_(argument)
        self._graph.replay()
        return self._result


def _on_device(array: NDArray, device: str) -> Tensor:
    """A copy: the arrays of packs and people are not to be written to, and torch does not know that."""
    import torch

    return torch.from_numpy(np.array(array)).to(device)


def _times(torch, a: Tensor, b: Tensor) -> Tensor:
    """Products of quaternions wxyz [N, 4]."""
    (aw, ax, ay, az), (bw, bx, by, bz) = a.unbind(1), b.unbind(1)
    return torch.stack([aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
                        aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw], 1)
