"""The generator on a head model of one's own: planes over its texture map, Gaussians on seats that turn with the skin.

The networks are AGORA's (`core.networks.synthesis`). What differs is how plane values become Gaussians: `closed` keeps a
learned skin watertight (limits of position and scale, soft culling of what faces away); `paper` has the published activations.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.head.model import HeadModel
from core.networks.attributes import colour_from, harmonics_of, log_scale, opacity_of, quat_product, rotation_of
from core.networks.config import POSITION, ROTATION, SCALE, GeneratorConfig
from core.networks.generator import MAPPING_LAYERS
from core.networks.head_surface import HeadSurface, head_surface
from core.networks.layers import SharedNoise
from core.networks.mapping import Mapping
from core.networks.reach import hair_seats, seat_reach
from core.networks.synthesis import Deformation, Synthesis, Tap
from core.types import FloatArray

PARAMETRIZATIONS = ("closed", "paper")
SIGMA = 0.8  # tangential standard deviation of a resting Gaussian, in pitches: neighbours leave no gaps
THICKNESS = 0.25  # standard deviation along the normal, in pitches
SCALE_FLOOR = 0.85  # r < 1 becomes SCALE_FLOOR + (1 - SCALE_FLOOR) r
SCALE_RANGE, LOOSE_RANGE = 1.1, 1.6  # largest |log| of the scale ratio of skin, and of hair
TILT, LOOSE_TILT = 0.4, math.pi  # radians, largest rotation against the seat, per axis
RESIDUAL_REACH, RESIDUAL_SCALE, RESIDUAL_TILT = 0.002, 0.1, 0.2  # metres, log, radians that an expression may add
OPACITY_FLOOR, OPACITY_BIAS = 0.9, 3.0
FACING, FACING_SOFTNESS = 0.2, 0.06  # a seat fades where the cosine between view and normal passes the first
_FIRST_PLANES = 0.1  # size of the planes that a fresh network puts out


@dataclass(frozen=True)
class HeadGeneratorConfig:
    """A generator on a head model.

    Attributes:
        networks: sizes.
        latent_input: length Z of z.
        parametrization: one of `PARAMETRIZATIONS`.
        seat_resolution: side of the map whose texels carry a Gaussian each, 0 for that of the planes.
        shape_map: the shape displacement map conditions every convolution (off: an ablation).
        deformation: the expression branch is used (off: an ablation).
    """

    networks: GeneratorConfig
    latent_input: int
    parametrization: str = "closed"
    seat_resolution: int = 0
    shape_map: bool = True
    deformation: bool = True

    @property
    def seats(self) -> int:
        """Side of the map of the seats."""
        return self.seat_resolution or self.networks.plane_resolution

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(raw: dict) -> HeadGeneratorConfig:
        """Reads what `to_json` wrote. Raises TypeError for unknown or missing fields."""
        return HeadGeneratorConfig(**{**raw, "networks": GeneratorConfig(**raw["networks"])})


@dataclass(frozen=True)
class HeadPlanes:
    """What depends on the person alone.

    Attributes:
        w: [B, W].
        planes: [B, C, R, R].
        tap: for the deformation branch.
    """

    w: Tensor
    planes: Tensor
    tap: Tap

    def repeated(self, count: int) -> HeadPlanes:
        """One person [B = 1] as a batch of `count`; nothing is copied."""
        def batch(field: Tensor) -> Tensor:
            return field.expand(count, *field.shape[1:])

        return HeadPlanes(batch(self.w), batch(self.planes), Tap(batch(self.tap.features), batch(self.tap.planes)))


@dataclass(frozen=True)
class Seats:
    """A batch of posed seats, see `core.networks.head_surface.SeatFrames`: xyz [B, G, 3], frame [B, G, 3, 3], quat [B, G, 4],
    pitch [B, G]."""

    xyz: Tensor
    frame: Tensor
    quat: Tensor
    pitch: Tensor

    def to(self, device: torch.device | str) -> Seats:
        """The same seats on another device."""
        return Seats(*(field.to(device) for field in (self.xyz, self.frame, self.quat, self.pitch)))


@dataclass(frozen=True)
class SeatedGaussians:
    """A batch of clouds before anybody looks at them; G Gaussians.

    Attributes:
        xyz: [B, G, 3] metres.
        scale: [B, G, 3] metres.
        quat: [B, G, 4] wxyz, unit.
        color: [B, G, 3] RGB, or [B, G, 4, 3] spherical harmonics of degree 1.
        opacity: [B, G].
        normal: [B, G, 3] of the seats.
        closed: [G] share of the soft culling that applies.
    """

    xyz: Tensor
    scale: Tensor
    quat: Tensor
    color: Tensor
    opacity: Tensor
    normal: Tensor
    closed: Tensor

    def seen_from(self, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Colour [B, G, 3] and opacity [B, G] for eyes at centres [B, 3]."""
        color = self.color if self.color.ndim == 3 else colour_from(self.color, self.xyz, centre)
        return color, self.opacity * facing(self.xyz.detach(), self.normal, self.closed, centre)


@dataclass(frozen=True)
class RawSeats:
    """Plane values at the seats before activation, [B, G, C] each; the regularisers look at them."""

    main: Tensor
    residual: Tensor


def facing(xyz: Tensor, normal: Tensor, closed: Tensor, centre: Tensor) -> Tensor:
    """Soft culling of seats that look away from centres [B, 3]: a factor [B, G] on their opacity."""
    view = functional.normalize(xyz - centre[:, None], dim=-1)
    away = (view * normal).sum(-1)
    return 1 - closed * (1 - torch.sigmoid((FACING - away) / FACING_SOFTNESS))


class HeadGenerator(nn.Module):
    """z, head shape and driving vector -> Gaussians on a head model.

    Args:
        config: what to build.
        head: the head model; its surface is computed here, nothing of it is stored with the weights but the limits.
    """

    def __init__(self, config: HeadGeneratorConfig, head: HeadModel) -> None:
        super().__init__()
        networks = config.networks
        self.config, self.head = config, head
        self.mapping = Mapping(config.latent_input, networks.camera_size, networks.latent_size, MAPPING_LAYERS,
                               rate=networks.mapping_rate, normalize=networks.normalize_latent)
        self.synthesis = Synthesis(networks)
        self.deformation = Deformation(networks)
        if config.parametrization == "closed":
            self._start_at_rest()
        surface = self.surface
        hair = hair_seats(surface)
        self.register_buffer("reach", torch.from_numpy(seat_reach(surface)))
        self.register_buffer("closed", torch.from_numpy(1 - hair))
        moves = (1 - hair) * (surface.template[:, 1] > _LOWEST_MOVING)
        self.register_buffer("moves", torch.from_numpy(moves.astype(np.float32)))
        self.register_buffer("_texel", torch.from_numpy(surface.row * surface.resolution + surface.column), persistent=False)

    @property
    def surface(self) -> HeadSurface:
        """The seats of the Gaussians."""
        return head_surface(self.head, self.config.seats)

    def shape_maps(self, shape: FloatArray) -> Tensor:
        """Shape displacement maps [n, 3, R, R] metres of shape coefficients [n, s] (specification 3.4)."""
        surface = head_surface(self.head, self.config.networks.plane_resolution)
        maps = np.stack([surface.displacement_map(self.head.neutral(row).vertices) for row in shape])
        return torch.from_numpy(maps)

    def seats(self, shape: FloatArray, psi: FloatArray, neck: FloatArray | None = None) -> Seats:
        """Posed seats for shapes [n, s], driving vectors [n, P] and neck rotations [n, 3]."""
        posed = [self.surface.frames(self.head.driven(shape[i], psi[i], None if neck is None else neck[i]))
                 for i in range(len(shape))]
        return Seats(*(torch.from_numpy(np.stack([getattr(seat, name) for seat in posed]))
                       for name in ("xyz", "frame", "quat", "pitch")))

    def people(self, z: Tensor, shape_map: Tensor, camera: Tensor | None = None, truncation: float = 1.0, noise: str = "const",
               generator: SharedNoise | None = None) -> HeadPlanes:
        """Planes of people: latents z [B, Z], shape displacement maps [B, 3, R, R]."""
        return self.people_of(self.mapping(z, camera, truncation), shape_map, noise, generator)

    def people_of(self, w: Tensor, shape_map: Tensor, noise: str = "const",
                  generator: SharedNoise | None = None) -> HeadPlanes:
        """As `people`, for styles w [B, W], or one for each block of the synthesis [B, L, W] (W+), whose mean is the person's."""
        condition = shape_map if self.config.shape_map else torch.zeros_like(shape_map)
        planes, tap = self.synthesis(w, condition, noise, generator)
        return HeadPlanes(w if w.ndim == 2 else w.mean(1), planes, tap)

    def residual_planes(self, person: HeadPlanes, psi: Tensor, noise: str = "none") -> Tensor:
        """Planes [B, C, R, R] of the deformation branch for ψ [B, P]."""
        if not self.config.deformation:
            return torch.zeros_like(person.planes)
        return self.deformation(person.tap, person.w, psi, noise)

    def raw(self, planes: Tensor, residual: Tensor) -> RawSeats:
        """Plane values [B, C, R, R] at the seats."""
        return RawSeats(self._at_seats(planes), self._at_seats(residual))

    def assemble(self, raw: RawSeats, seats: Seats) -> SeatedGaussians:
        """Gaussians on posed seats."""
        return self._closed(raw, seats) if self.config.parametrization == "closed" else self._paper(raw, seats)

    def seat_coordinates(self) -> Tensor:
        """(u, v, -1) of the seats [1, G, 3], u and v in -1..1 (specification 7.1)."""
        side = self.config.seats
        x, y = self._texel % side, self._texel // side
        u, v = ((axis.to(self.reach.dtype) * 2 + 1) / side - 1 for axis in (x, y))
        return torch.stack([u, v, -torch.ones_like(u)], 1)[None]

    def forward(self, z: Tensor, shape_map: Tensor, psi: Tensor, seats: Seats, camera: Tensor | None = None,
                noise: str = "const") -> SeatedGaussians:
        """z to Gaussians in one go."""
        person = self.people(z, shape_map, camera, noise=noise)
        return self.assemble(self.raw(person.planes, self.residual_planes(person, psi)), seats)

    # ------------------------------------------------------------------ plane values -> Gaussians

    def _at_seats(self, planes: Tensor) -> Tensor:
        if planes.shape[-1] == self.config.seats:
            return planes.flatten(2).index_select(2, self._texel).transpose(1, 2)
        grid = self.seat_coordinates()[..., :2].to(planes.dtype)[:, :, None].expand(len(planes), -1, -1, -1)
        return functional.grid_sample(planes, grid, "bilinear", "border", align_corners=False)[..., 0].transpose(1, 2)

    def _closed(self, raw: RawSeats, seats: Seats) -> SeatedGaussians:
        main, more, networks = raw.main, raw.residual, self.config.networks
        loose, moves = (1 - self.closed)[:, None], self.moves[:, None]
        offset = self.reach[:, None] * torch.tanh(main[..., POSITION]) \
            + RESIDUAL_REACH * moves * torch.tanh(more[..., POSITION])
        xyz = seats.xyz + (seats.frame @ offset[..., None])[..., 0]
        ratio = torch.exp((SCALE_RANGE + (LOOSE_RANGE - SCALE_RANGE) * loose) * torch.tanh(main[..., SCALE]))
        floored = torch.where(ratio < 1, SCALE_FLOOR + (1 - SCALE_FLOOR) * ratio, ratio)
        ratio = torch.lerp(floored, ratio, loose) * torch.exp(RESIDUAL_SCALE * moves * torch.tanh(more[..., SCALE]))
        footprint = seats.pitch[..., None] * seats.pitch.new_tensor([SIGMA, SIGMA, THICKNESS])
        tilt = (TILT + (LOOSE_TILT - TILT) * loose) * torch.tanh(main[..., ROTATION]) \
            + RESIDUAL_TILT * moves * torch.tanh(more[..., ROTATION])
        quat = quat_product(seats.quat, quat_of_axis_angle(tilt))
        floor = OPACITY_FLOOR * self.closed
        shown = torch.sigmoid(OPACITY_BIAS + main[..., networks.opacity] + moves * more[..., networks.opacity])[..., 0]
        color = torch.sigmoid(main[..., networks.color])
        return SeatedGaussians(xyz, footprint * ratio, quat, color, floor + (1 - floor) * shown, seats.frame[..., 2], self.closed)

    def _paper(self, raw: RawSeats, seats: Seats) -> SeatedGaussians:
        main, more, networks = raw.main, raw.residual, self.config.networks
        offset = torch.tanh(main[..., POSITION]) + networks.deform_range * torch.tanh(more[..., POSITION])
        opacity = opacity_of(main[..., networks.opacity] + more[..., networks.opacity])[..., 0]
        color = main[..., networks.color]
        color = harmonics_of(color) if networks.color_channels == 12 else torch.sigmoid(color)
        return SeatedGaussians(seats.xyz + networks.position_range * offset,
                               torch.exp(log_scale(main[..., SCALE]) + log_scale(more[..., SCALE])),
                               rotation_of(main[..., ROTATION], more[..., ROTATION]), color, opacity.clamp(0, 1),
                               seats.frame[..., 2], torch.zeros_like(self.closed))

    def _start_at_rest(self) -> None:
        """A fresh generator puts its Gaussians on their seats, in mid grey."""
        for name, parameter in self.named_parameters():
            if ".torgb.weight" in name:
                parameter.data.mul_(0.0 if name.startswith("deformation") else _FIRST_PLANES)


_LOWEST_MOVING = -0.16  # metres on the template: expressions move nothing below


def quat_of_axis_angle(axis_angle: Tensor) -> Tensor:
    """Unit quaternions [..., 4] of axis-angle vectors [..., 3]; smooth at 0."""
    half = 0.5 * (axis_angle.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    return torch.cat([torch.cos(half), axis_angle * (0.5 * torch.sinc(half / math.pi))], -1)


def grown(small: HeadGenerator, plane_resolution: int, seat_resolution: int = 0) -> HeadGenerator:
    """The same generator with larger planes or more seats: the blocks that are new add nothing at first."""
    networks = replace(small.config.networks, plane_resolution=plane_resolution)
    large = HeadGenerator(replace(small.config, networks=networks, seat_resolution=seat_resolution), small.head)
    own = dict(large.named_parameters())
    with torch.no_grad():
        known = dict(small.named_parameters())
        for name, parameter in own.items():
            if name in known:
                parameter.copy_(known[name])
            elif ".torgb." in name and ".affine." not in name:  # the affine stays: zero times zero would never learn
                parameter.zero_()
        buffers = dict(small.named_buffers())
        for name, buffer in large.named_buffers():
            if name in buffers and buffers[name].shape == buffer.shape and name not in ("reach", "closed", "moves", "_texel"):
                buffer.copy_(buffers[name])
    return large.to(next(small.parameters()).device)
