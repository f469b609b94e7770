"""Expression wrinkles: pairs of a dark line and a light ridge that lie invisible on the skin until an expression folds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.head.model import HeadModel
from core.studio.anatomy import Anatomy
from core.studio.numerics import Array, dot, normalize, smoothstep
from core.studio.skin import SkinSurface
from core.studio.splats import Splats, concatenate, ribbons
from core.studio.traits import Traits

SPACING = 0.0014  # metres between the Gaussians of a crease
LINE_WIDTH, RIDGE_OFFSET = 0.00060, 0.0014
LIFT = 0.0005  # above the skin, so that the patches around do not cover the line
LINE_SHADE, RIDGE_SHADE = 0.58, 1.14
RIDGE_STRENGTH = 0.55


@dataclass(frozen=True)
class Crease:
    """One crease on the template, on the subject's left or in the middle (``mirrored`` makes its right twin).

    Attributes:
        path: control points (x, y), metres.
        drives: how much opacity one unit of each expression gives; "Left" in a name becomes "Right" in the twin.
        ridge: +1 or -1, the side of the path (to its left or right) on which the light ridge lies; 0 for none.
    """

    path: tuple[tuple[float, float], ...]
    drives: dict[str, float]
    ridge: int = 1
    mirrored: bool = True


def _forehead(height: float, half_width: float) -> list[Crease]:
    inner = {"browInnerUp": 0.50, "browOuterUpLeft": 0.12, "browOuterUpRight": 0.12}
    outer = {"browInnerUp": 0.20, "browOuterUpLeft": 0.45}
    middle = half_width * 0.5
    return [Crease(((-middle, height), (0.0, height - 0.0012), (middle, height)), inner, ridge=1, mirrored=False),
            Crease(((middle, height), (half_width * 0.8, height - 0.001), (half_width, height - 0.004)), outer)]


CREASES: tuple[Crease, ...] = (
    *_forehead(0.0375, 0.036), *_forehead(0.0455, 0.038), *_forehead(0.0530, 0.032),
    Crease(((0.0062, 0.0065), (0.0050, 0.0150), (0.0062, 0.0235)), {"browDownLeft": 0.62, "browDownRight": 0.12}),
    Crease(((0.0035, -0.0020), (-0.0035, -0.0020)), {"browDownLeft": 0.25, "browDownRight": 0.25, "noseSneerLeft": 0.2,
                                                    "noseSneerRight": 0.2}, mirrored=False),
    *(Crease(((0.0475, 0.0015 + 0.0018 * k), (0.0530, 0.0012 + 0.0040 * k), (0.0585, 0.0004 + 0.0066 * k)),
             {"eyeSquintLeft": 0.22, "cheekSquintLeft": 0.30, "mouthSmileLeft": 0.16, "eyeBlinkLeft": 0.06}) for k in (-1, 0, 1)),
    Crease(((0.0190, -0.0130), (0.0300, -0.0178), (0.0410, -0.0135)),
           {"eyeSquintLeft": 0.28, "cheekSquintLeft": 0.34, "mouthSmileLeft": 0.10}, ridge=-1),
    Crease(((0.0185, -0.0420), (0.0245, -0.0510), (0.0300, -0.0600), (0.0330, -0.0680)),
           {"mouthSmileLeft": 0.42, "noseSneerLeft": 0.42, "cheekSquintLeft": 0.12, "mouthUpperUpLeft": 0.18,
            "mouthDimpleLeft": 0.10}),
    Crease(((0.0085, -0.0060), (0.0115, -0.0125)), {"noseSneerLeft": 0.55}),
    Crease(((0.0125, -0.0075), (0.0150, -0.0150)), {"noseSneerLeft": 0.45}),
    Crease(((0.0370, -0.0570), (0.0385, -0.0640), (0.0370, -0.0700)), {"mouthDimpleLeft": 0.45, "mouthSmileLeft": 0.12}),
    Crease(((0.0295, -0.0725), (0.0320, -0.0800), (0.0315, -0.0870)), {"mouthFrownLeft": 0.50, "mouthStretchLeft": 0.25}),
    Crease(((0.0110, -0.0860), (0.0, -0.0850), (-0.0110, -0.0860)), {"mouthShrugLower": 0.35, "mouthFrownLeft": 0.12,
                                                                     "mouthFrownRight": 0.12}, mirrored=False),
)


@dataclass(frozen=True)
class CreaseGroup:
    """Crease Gaussians with opacity at rest, and how much each expression adds [N, E]."""

    splats: Splats
    weights: Array


def creases(anatomy: Anatomy, traits: Traits, surface: SkinSurface) -> CreaseGroup:
    """All creases of a person. The old have some of them at rest, and all of them deeper."""
    ground = _Ground(anatomy, surface)
    old = float(smoothstep(38, 72, traits.age))
    strength = 0.75 + 0.40 * old
    groups, weights = [], []
    for crease in CREASES:
        for side in (1, -1) if crease.mirrored else (1,):
            drive = _drive(anatomy.head, crease, side)
            path, taper = _resample(np.array(crease.path) * [side, 1])
            rows = [(0.0, LINE_SHADE, 1.0)]
            if crease.ridge:
                rows.append((crease.ridge * side * RIDGE_OFFSET, RIDGE_SHADE, RIDGE_STRENGTH))
            for offset, shade, share in rows:
                splats = ground.line(path, offset, shade, 0.16 * old * taper * share)
                groups.append(splats)
                weights.append((strength * share * taper)[:, None] * drive)
    return CreaseGroup(concatenate(groups), np.concatenate(weights))


def _drive(head: HeadModel, crease: Crease, side: int) -> Array:
    weights = np.zeros(head.expression_count)
    for name, gain in crease.drives.items():
        if side < 0:
            name = name.replace("Left", "#").replace("Right", "Left").replace("#", "Right")
        if name in head.expression_names:
            weights[head.expression_names.index(name)] = gain
    return weights


def _resample(path: Array) -> tuple[Array, Array]:
    """Points at equal steps along a smooth curve through the control points, and a taper toward its ends."""
    knots = np.linspace(0, 1, len(path))
    fine = np.linspace(0, 1, 60)
    degree = min(2, len(path) - 1)
    curve = np.stack([np.polyval(np.polyfit(knots, path[:, k], degree), fine) for k in range(2)], 1)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    count = max(4, round(arc[-1] / SPACING))
    at = np.linspace(0, arc[-1], count)
    points = np.stack([np.interp(at, arc, curve[:, k]) for k in range(2)], 1)
    return points, np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 0.6


class _Ground:
    """The front of the skin, looked up by template position (x, y)."""

    def __init__(self, anatomy: Anatomy, surface: SkinSurface) -> None:
        rest = anatomy.texels.rest
        self.front = np.flatnonzero((rest[:, 2] > -0.065) & (rest[:, 1] > -0.11) & (rest[:, 1] < 0.08)
                                    & (anatomy.regions.lids < 0.5) & (anatomy.regions.lips < 0.5) & (anatomy.regions.ears < 0.2))
        self.tree = cKDTree(rest[self.front, :2])
        self.surface, self.triangle = surface, anatomy.texels.triangle

    def line(self, path: Array, offset: float, shade: float, opacity: Array) -> Splats:
        """Ribbons along template points [P, 2] moved sideways by `offset`."""
        tangent = normalize(np.gradient(path, axis=0))
        path = path + offset * np.stack([-tangent[:, 1], tangent[:, 0]], 1)
        distance, index = self.tree.query(path, k=4)
        weight = 1 / (distance + 2e-4)
        weight = (weight / weight.sum(1, keepdims=True))[:, :, None]
        texel = self.front[index]
        position = (weight * self.surface.position[texel]).sum(1)
        normal = normalize((weight * self.surface.normal[texel]).sum(1))
        color = (weight * self.surface.color[texel]).sum(1) * shade
        step = np.gradient(position, axis=0)
        step = step - dot(step, normal) * normal
        center = position + LIFT * normal
        return ribbons(center - 0.9 * step, center + 0.9 * step, normal, LINE_WIDTH, 0.0001, color, opacity,
                       self.triangle[texel[:, 0]])
