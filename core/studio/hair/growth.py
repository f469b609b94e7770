"""Strand operators: picking roots, growing through a field of forces, clumping, waving, cutting into segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.studio.anatomy import Anatomy
from core.studio.hair.shell import Shell, build_shell
from core.studio.numerics import Array, dot, normalize, smoothstep, value_noise, vector, vector_noise
from core.studio.regions import HairRegions
from core.studio.traits import Traits

WHORL = np.array([0.010, 0.098, -0.155])  # hair flows away from the crown, on the template
SHADOW_FACTOR = 1.6  # projected area of a strand segment relative to length x width x opacity


@dataclass(frozen=True)
class Strands:
    """Hair segments without colour, so that their shadow can fall on skin and hair before anything is shaded.

    Attributes:
        start, end: [N, 3] of each segment.
        width, opacity: [N].
        along: [N] 0 at the root of the strand, 1 at its tip.
        shade: [N] brightness factor of strand and clump.
        grey: [N] bool, whether the strand has lost its pigment.
        tint: [N] -1..1, clump-wise variation of the colour.
        triangle: [N] root triangle.
        flat: [N, 3] scalp normal for flattened segments, or None.
        beard: whether this is facial hair.
        long: whether the strands are long enough to shine along their length.
    """

    start: Array
    end: Array
    width: Array
    opacity: Array
    along: Array
    shade: Array
    grey: Array
    tint: Array
    triangle: Array
    flat: Array | None
    beard: bool
    long: bool

    @property
    def center(self) -> Array:
        return 0.5 * (self.start + self.end)

    @property
    def shadow_area(self) -> Array:
        return np.linalg.norm(self.end - self.start, axis=1) * self.width * self.opacity * SHADOW_FACTOR


Field = Callable[[Array, Array, float], Array]


class Scalp:
    """The ground hair grows on: texels of one person with frames, collision shell and random stream."""

    def __init__(self, anatomy: Anatomy, traits: Traits, regions: HairRegions, vertices: Array, normals: Array) -> None:
        texels = anatomy.texels
        self.traits, self.regions = traits, regions
        self.rng = traits.generator("hair")
        self.noise = traits.noise_seed("hair")
        self.shell: Shell = build_shell(anatomy, traits, vertices, normals)
        self.rest = texels.rest
        self.position, self.normal = texels.at(vertices), normalize(texels.at(normals))
        self.du, self.dv = texels.tangents(vertices)
        self.area = np.linalg.norm(np.cross(self.du, self.dv), axis=1)
        self.triangle = texels.triangle
        self.top = smoothstep(0.030, 0.075, self.rest[:, 1])
        self.front = smoothstep(-0.075, -0.01, self.rest[:, 2])
        away = self.rest - WHORL
        self.flow = normalize(away - dot(away, self.normal) * self.normal)
        self.full = np.where(regions.scalp > 0.5, regions.scalp, 0.0)

    def roots(self, weight: Array, count: float) -> tuple[Array, Array]:
        """Texel ids and positions of about `count` roots, drawn by weight [M] and area, spread within the texels."""
        weight = self.area * weight
        rows = self.rng.choice(len(weight), int(count), p=weight / weight.sum())
        offset = self.rng.uniform(-0.5, 0.5, (len(rows), 2))
        return rows, self.position[rows] + self.du[rows] * offset[:, :1] + self.dv[rows] * offset[:, 1:]

    def tangent(self, direction: Array, rows: Array) -> Array:
        """The part of directions [N, 3] that lies in the skin."""
        return direction - dot(direction, self.normal[rows]) * self.normal[rows]

    def grow(self, roots: Array, direction: Array, length: Array | float, steps: int, gravity: Array | float,
             clearance: Array | float, *, field: Field | None = None, roughness: float = 0.05, ear: str | None = None,
             face: bool = True, ramp: float = 2.0, cling: float | Array | Callable[[Array], Array] | None = None) -> Array:
        """Strands [S, steps + 1, 3] that start along `direction`, fall, wander coherently and slide over the shell.

        Args:
            length: of the strands, metres.
            gravity: weight of the downward pull per step against the current direction.
            clearance: height above the skin that the strand has reached after 1/ramp of its length.
            field: extra pull, called with points, directions and the fraction grown.
            cling: greatest height above the skin (a number, one per strand, or a function of the points).
        """
        count = len(roots)
        step = np.broadcast_to(length, (count,))[:, None] / steps
        pull = np.broadcast_to(gravity, (count,))[:, None] * vector(0, -1, 0)
        clear = np.broadcast_to(clearance, (count,))
        points, direction = [roots], normalize(direction)
        for k in range(steps):
            grown = (k + 1) / steps
            direction = direction + pull + roughness * vector_noise(points[-1] + k * 0.003, 0.018, self.noise + k)
            if field is not None:
                direction = direction + field(points[-1], direction, grown)
            direction = normalize(direction)
            limit = cling(points[-1]) if callable(cling) else cling
            x = self.shell.push(points[-1] + direction * step, clear * min(1.0, grown * ramp), ear, face, limit)
            direction = normalize(0.5 * direction + 0.5 * normalize(x - points[-1]))
            points.append(x)
        return np.stack(points, 1)

    def clump(self, strands: Array, size: int, amount: float, power: float = 1.0, tight: float = 0.85) -> tuple[Array, Array]:
        """Draw strands toward the nearest of a few guides; returns the strands and each one's clump.

        Nearness counts root and path: by the root alone, neighbours on two sides of the parting would be pulled across it.
        """
        guides = self.rng.choice(len(strands), max(1, len(strands) // size), replace=False)
        feature = np.hstack([strands[:, 0], 0.45 * strands[:, strands.shape[1] // 2]])
        _, clump = cKDTree(feature[guides]).query(feature)
        guide = strands[guides[clump]]
        along = np.linspace(0, 1, strands.shape[1])[None, :, None]
        offset = (strands[:, :1] - guide[:, :1]) * (1 - tight * along)
        weight = amount * along**power
        return strands * (1 - weight) + (guide + offset) * weight, clump

    def wave(self, strands: Array, clump: Array, amplitude: float, wavelength: float, length: Array | float) -> Array:
        """Sideways sine whose phase is smooth over the scalp and jumps a little between clumps."""
        along = normalize(np.gradient(strands, axis=1))
        sideways = normalize(np.cross(along, normalize(strands - self.shell.center)))
        jump = self.rng.normal(0, 0.55, clump.max() + 1)[clump]
        phase = 5 * value_noise(strands[:, 0], 0.05, self.noise + 70) + jump
        return self._displaced(strands, sideways, along, amplitude, 0.45, wavelength, length, phase)

    def curl(self, strands: Array, clump: Array, radius: float, pitch: float, length: Array | float) -> Array:
        """A helix per clump around a random axis."""
        along = normalize(np.gradient(strands, axis=1))
        axis = normalize(self.rng.normal(size=(clump.max() + 1, 3)))[clump][:, None]
        sideways = normalize(np.cross(along, np.broadcast_to(axis, along.shape)))
        phase = self.rng.uniform(0, 2 * np.pi, clump.max() + 1)[clump]
        return self._displaced(strands, sideways, along, radius, 1.0, pitch, length, phase)

    @staticmethod
    def _displaced(strands: Array, sideways: Array, along: Array, amplitude: float, depth: float, wavelength: float,
                   length: Array | float, phase: Array) -> Array:
        grown = np.linspace(0, 1, strands.shape[1])[None]
        angle = 2 * np.pi * grown * np.broadcast_to(length, (len(strands),))[:, None] / wavelength + phase[:, None]
        weight = smoothstep(0.0, 0.35, grown) * amplitude
        outward = np.cross(sideways, along)
        return strands + sideways * (weight * np.sin(angle))[:, :, None] + outward * (depth * weight * np.cos(angle))[:, :, None]

    def cut(self, strands: Array, rows: Array, width: Array | float, *, taper: float = 0.5, opacity: float = 0.86,
            clump: Array | None = None, gain: float = 1.0, flat: bool = False, beard: bool = False) -> Strands:
        """Strands [S, K + 1, 3] rooted in texels `rows` [S] as segments that thin out and fade toward the tips."""
        count, steps = len(strands), strands.shape[1] - 1
        clump = np.arange(count) if clump is None else clump
        along = np.tile((np.arange(steps) + 0.5) / steps, count)
        start, end = strands[:, :-1].reshape(-1, 3), strands[:, 1:].reshape(-1, 3)
        shade = self.rng.lognormal(0, 0.13, count) * np.exp(0.13 * self.rng.normal(size=clump.max() + 1))[clump]
        tint = np.clip(self.rng.normal(0, 0.5, clump.max() + 1)[clump] + self.rng.normal(0, 0.25, count), -1, 1)
        grey = self.rng.uniform(size=count) < self.traits.hair.grey
        return Strands(
            start=start, end=end,
            width=np.broadcast_to(width, (count,)).repeat(steps) * (1 - taper * along),
            opacity=opacity * (1 - 0.25 * along), along=along,
            shade=(shade * gain).repeat(steps), grey=grey.repeat(steps), tint=tint.repeat(steps),
            triangle=self.triangle[rows].repeat(steps),
            flat=self.normal[rows].repeat(steps, 0) if flat else None, beard=beard,
            long=float(np.linalg.norm(np.diff(strands, axis=1), axis=2).sum(1).mean()) > 0.02,
        )
