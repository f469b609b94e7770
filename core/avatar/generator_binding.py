"""People of a generator: their Gaussians for any ψ, and how the resting ones hang on the rows of a pack. Torch.

Row i moves the Gaussian of seat i. A row turns with what its Gaussian turns by, so that hair 70 mm off its seat goes round with
it; `core.avatar.kernels.move_with_rows` and `seat_residuals` are each other's inverse.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from core.avatar.identity import Identity
from core.avatar.kernels import STATIC_ROW
from core.avatar.pack import AvatarPack
from core.errors import PackError
from core.geometry import quat_multiply, rotation_from_quat
from core.networks.attributes import colour_from
from core.networks.head_generator import HeadGenerator, HeadPlanes
from core.networks.head_surface import HeadSurface
from core.types import FloatArray, Gaussians

SHAPE_SIZE = 60  # leading shape coefficients that are part of a person's latent
INVISIBLE = 1 / 255
_FRONT = (0.0, 0.0, 0.8)  # where colours that depend on the view are taken from (AGORA-M, specification 9.6)
_CONJUGATE = np.array([1, -1, -1, -1], np.float32)


@dataclass(frozen=True)
class SeatClouds:
    """A person's Gaussians for n driving vectors, float32; G seats.

    Attributes:
        xyz: [n, G, 3];  scale: [n, G, 3];  quat: [n, G, 4];  rgb: [n, G, 3];  opacity: [n, G].
        normal: [n, G, 3] of the seats;  seat: [n, G, 3] metres.
    """

    xyz: FloatArray
    scale: FloatArray
    quat: FloatArray
    rgb: FloatArray
    opacity: FloatArray
    normal: FloatArray
    seat: FloatArray


class Sitter:
    """A person of a generator, whose planes are made once, when they are needed.

    Args:
        generator: in evaluation mode.
        w: [W] style.
        shape: [s] shape coefficients.
        person: planes to be used instead of those that the generator makes of w, B = 1.
    """

    def __init__(self, generator: HeadGenerator, w: Tensor, shape: FloatArray, person: HeadPlanes | None = None) -> None:
        self.generator, self.w = generator, w
        self.shape, self._given = np.asarray(shape, np.float32), person

    @cached_property
    def _person(self) -> HeadPlanes:
        if self._given is not None:
            return self._given
        with torch.inference_mode():
            return self.generator.people_of(self.w[None], self.generator.shape_maps(self.shape[None]))

    def latent(self, size: int) -> FloatArray:
        """The w [size] of a pack's regressor: leading shape coefficients, then the style."""
        count = size - len(self.w)
        leading = np.zeros(count, np.float32)
        known = self.shape[:count]
        leading[:len(known)] = known
        return np.concatenate([leading, self.w.numpy()]).astype(np.float32)

    def posed(self, psi: FloatArray) -> SeatClouds:
        """Gaussians for driving vectors [n, P]; the head does not turn."""
        count, generator = len(psi), self.generator
        seats = generator.seats(np.repeat(self.shape[None], count, 0), psi)
        with torch.inference_mode():
            person = self._person.repeated(count)
            residual = generator.residual_planes(person, torch.from_numpy(np.asarray(psi, np.float32)))
            cloud = generator.assemble(generator.raw(person.planes, residual), seats)
            color = cloud.color
            if color.ndim == 4:
                color = colour_from(color, cloud.xyz, torch.tensor([_FRONT]).expand(count, -1)).clamp(max=1)
            fields = (cloud.xyz, cloud.scale, cloud.quat, color, cloud.opacity, cloud.normal, seats.xyz)
            return SeatClouds(*(field.expand(count, *field.shape[1:]).contiguous().numpy() for field in fields))

    @cached_property
    def rest(self) -> SeatClouds:
        """The resting Gaussians, n = 1."""
        return self.posed(np.zeros((1, self.generator.config.networks.psi_size), np.float32))


def surface_of_seats(surface: HeadSurface) -> str:
    """Identifies the seats; packs made on other seats do not fit."""
    digest = hashlib.sha256(np.ascontiguousarray(surface.triangle, np.int32).tobytes())
    digest.update(np.round(surface.barycentric, 3).astype(np.float32).tobytes())
    return f"seats-{digest.hexdigest()[:16]}"


def is_closed(generator: HeadGenerator) -> bool:
    """Whether Gaussians turn with their seats and fade when averted; otherwise the published rules hold."""
    return generator.config.parametrization == "closed"


def seat_residuals(rest: SeatClouds, posed: SeatClouds, closed: bool) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """What the rows of a pack must say for n faces: xyz [n, G, 3], rotation, scale and opacity [n, G, 1].

    Closed generators give conventions ``relative`` and ``strain``: turn and growth of each Gaussian, in its own axes and without
    its thickness, and the motion that remains when the offset from the seat is turned. Others give plain differences.
    """
    sign = np.where((posed.quat * rest.quat).sum(-1, keepdims=True) < 0, -1, 1).astype(np.float32)
    opacity = (posed.opacity - rest.opacity)[..., None]
    if not closed:
        return posed.xyz - rest.xyz, posed.quat * sign - rest.quat, posed.scale - rest.scale, opacity
    turn = quat_multiply(posed.quat * sign, rest.quat * _CONJUGATE)
    turn /= np.linalg.norm(turn, axis=-1, keepdims=True)
    offset = rest.xyz - rest.seat
    twice = 2 * np.cross(turn[..., 1:], offset)
    swing = turn[..., :1] * twice + np.cross(turn[..., 1:], twice)
    growth = posed.scale / rest.scale - 1
    growth = np.stack([growth[..., 0], np.zeros_like(growth[..., 0]), growth[..., 1]], -1)
    return posed.xyz - rest.xyz - swing, turn[..., 1:] / (1 + turn[..., :1]), growth, opacity


@dataclass(frozen=True)
class BoundPerson:
    """A person ready to be driven.

    Attributes:
        identity: hangs on the pack's rows.
        seat: [N] the seat of each of its Gaussians.
    """

    identity: Identity
    seat: FloatArray


def bind_sitter(pack: AvatarPack, sitter: Sitter, name: str, seed: int | None, tags: tuple[str, ...] = ()) -> BoundPerson:
    """The resting Gaussians of a person that can be seen, and how they hang on the rows of a pack.

    Raises:
        PackError: the pack's rows were not made for these seats.
    """
    generator, manifest, rest = sitter.generator, pack.manifest, sitter.rest
    surface = generator.surface
    seat = np.flatnonzero(rest.opacity[0] >= min(INVISIBLE, rest.opacity.max()))  # somebody has at least one Gaussian
    row = _rows_of(pack, surface)[seat]
    closed, moving = is_closed(generator), row != STATIC_ROW
    quat = rest.quat[0][seat]
    cloud = Gaussians(*(_float(field[0][seat]) for field in (rest.xyz, rest.scale, rest.quat, rest.rgb, rest.opacity)))
    n = len(seat)
    axis = np.zeros((n, 2), np.float32)
    axis[:, 0] = closed & moving  # growth is given along a Gaussian's own axes
    above = 1 - generator.head.skin_weights[:, :1]
    facing = ()
    if manifest.facing == "soft":
        normal = np.einsum("nij,ni->nj", rotation_from_quat(quat), rest.normal[0][seat])
        facing = (_float(normal), _float(generator.closed.numpy()[seat].clip(0, 1)))
    identity = Identity(
        name, seed, sitter.latent(manifest.latent_size), cloud, row,
        _float((rest.xyz - rest.seat)[0][seat] * (closed & moving)[:, None]), np.zeros((n, 2, 3), np.float32), axis,
        np.ones(n, np.float32), _float(surface.at(above)[seat, 0].clip(0, 1)),
        _float(generator.head.neutral(sitter.shape).joints[1]), tags, np.zeros(0, np.float32), *facing)
    return BoundPerson(identity, seat)


def _rows_of(pack: AvatarPack, surface: HeadSurface) -> np.ndarray:
    """Row of every seat, `STATIC_ROW` where nothing moves it."""
    manifest = pack.manifest
    if manifest.surface != surface_of_seats(surface) or pack.rows is None:
        raise PackError(f"pack '{manifest.name}' was made for other seats on the head", "make it anew with the distill command")
    seat = pack.rows.texel
    if (seat < 0).any() or (seat >= len(surface)).any():
        raise PackError(f"pack '{manifest.name}' has rows that are on no seat of its generator")
    rows = np.full(len(surface), STATIC_ROW, np.int32)
    rows[seat] = np.arange(len(seat), dtype=np.int32)
    return rows


def _float(array: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(array, np.float32)
