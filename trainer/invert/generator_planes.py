"""The last step of an inversion: a person's planes themselves are tuned to the photographs, texel by texel.

As pivotal tuning (Roich et al. 2021) it starts at a pivot, the person of the style found, and leaves what lies between the
generator and the photograph to be learned; but it moves the person's planes instead of the generator's weights, so that nobody
else changes, and texels that no photograph shows can be held where the generator put them, or follow their mirror images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from core.networks.config import POSITION, ROTATION, GeneratorConfig
from core.networks.flame_camera import camera_centre
from core.networks.head_generator import HeadGenerator, HeadPlanes
from core.networks.head_surface import HeadSurface, head_surface
from trainer.invert.generator_likeness import Likeness
from trainer.invert.generator_styles import Step, ramp
from trainer.invert.generator_target import Targets, draw
from trainer.rasterize import rasterize

_MIRRORED_PARTS = {"eye_l": "eye_r", "eye_r": "eye_l"}
_GRAZING, _FRONTAL = 0.15, 0.5  # cosines between skin and view: no longer seen, and fully
_FULLY_SEEN = 0.15  # a texel counts as seen by half at this share of the median contribution of those that are drawn


@dataclass(frozen=True)
class PlaneTuning:
    """How planes are tuned. Changes are in the planes' own units, before activations.

    Attributes:
        steps: of Adam.
        color_rate, geometry_rate: largest step of the colours, and of all else.
        closeness, color_closeness: weights of the squared change of geometry, and of colours.
        unseen: weight of the squared change of the colour of what neither it nor its mirror image shows.
        smoothness, color_smoothness: weights of the squared difference of the changes of neighbours.
        hidden_smoothness: added to that of the colours where the photographs do not show them.
        mirror: weight of the squared difference of an unseen texel's change of colour from its mirror image's.
        seed: of the backgrounds.
    """

    steps: int = 200
    color_rate: float = 0.04
    geometry_rate: float = 0.015
    closeness: float = 2.0
    color_closeness: float = 0.001
    unseen: float = 0.005
    smoothness: float = 1.0
    color_smoothness: float = 0.02
    hidden_smoothness: float = 0.3
    mirror: float = 0.1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class TexelRelations:
    """What texels of the planes have to do with each other.

    Attributes:
        used: [R, R] whether a Gaussian sits there.
        mirror: [R, R] flat index of the texel that the mirror in the head's middle plane maps to.
        across, down: [R, R - 1] and [R - 1, R] whether both neighbours lie on the same part.
    """

    used: Tensor
    mirror: Tensor
    across: Tensor
    down: Tensor

    @staticmethod
    def of(surface: HeadSurface) -> TexelRelations:
        """Of the seats of a head."""
        side = surface.resolution
        texel = surface.row * side + surface.column
        part = np.full((side, side), -1)
        part[surface.row, surface.column] = surface.part
        mirror = np.arange(side * side)
        mirror[texel] = texel[_mirrored_seats(surface)]
        used = part >= 0
        return TexelRelations(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (
            used, mirror.reshape(side, side), used[:, 1:] & (part[:, 1:] == part[:, :-1]),
            used[1:] & (part[1:] == part[:-1]))))


def _mirrored_seats(surface: HeadSurface) -> np.ndarray:
    """The seat [G] that each one's mirror image lies nearest to."""
    names, points = surface.head.part_names, surface.template.astype(np.float64)
    seat = np.arange(len(surface))
    for number in np.unique(surface.part):
        name = names[number]
        own = np.flatnonzero(surface.part == number)
        other = np.flatnonzero(surface.part == names.index(_MIRRORED_PARTS.get(name, name)))
        if len(other):
            seat[own] = other[cKDTree(points[other]).query(points[own] * (-1, 1, 1))[1]]
    return seat


def tune_planes(generator: HeadGenerator, person: HeadPlanes, residual: Tensor, targets: Targets, likeness: Likeness,
                tuning: PlaneTuning, step: Step = lambda done, total, drawn: None) -> HeadPlanes:
    """The person with planes that show what the photographs show.

    Args:
        person: [B = 1] from the generator.
        residual: planes [n, C, R, R] of the deformation branch for the targets' ψ; they stay.
    """
    relations = TexelRelations.of(head_surface(generator.head, person.planes.shape[-1]))
    seen = seen_texels(generator, person, residual, targets, relations)
    random = torch.Generator().manual_seed(tuning.seed)
    networks = generator.config.networks
    color = torch.zeros_like(person.planes[:, networks.color]).requires_grad_()
    rest = torch.zeros_like(person.planes[:, _geometry(networks)]).requires_grad_()
    optimizer = torch.optim.Adam([{"params": [color]}, {"params": [rest]}], tuning.color_rate, betas=(0.9, 0.99))
    rates = (tuning.color_rate, tuning.geometry_rate)
    for i in range(tuning.steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * ramp(i / tuning.steps)
        drawn = draw(generator, changed(person, color, rest, networks), residual, targets)
        loss = likeness(drawn, torch.rand(len(targets), 3, 1, 1, generator=random)) \
            + _restraint(color, rest, seen, relations, tuning)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step(i + 1, tuning.steps, drawn)
    return changed(person, color.detach(), rest.detach(), networks)


def changed(person: HeadPlanes, color: Tensor, rest: Tensor, networks: GeneratorConfig) -> HeadPlanes:
    """A person with changes of the colours [1, c, R, R] and of position, scale, rotation and opacity [1, 10, R, R] added."""
    opacity = rest[:, ROTATION.stop:]
    return HeadPlanes(person.w, person.planes + torch.cat([rest[:, :ROTATION.stop], color, opacity], 1), person.tap)


def seen_texels(generator: HeadGenerator, person: HeadPlanes, residual: Tensor, targets: Targets,
                relations: TexelRelations) -> Tensor:
    """How well the photographs show each texel [R, R], 0..1: how many pixels of the foreground it colours; skin that is seen from
    the side, where a small error of the shape shows it what lies behind, counts less."""
    with torch.no_grad():
        gaussians = generator.assemble(generator.raw(person.repeated(len(targets)).planes, residual), targets.seats)
        centre = camera_centre(targets.cameras.world_to_camera)
        _, opacity = gaussians.seen_from(centre)
        cosine = (functional.normalize(centre[:, None] - gaussians.xyz, dim=-1) * gaussians.normal).sum(-1)
        frontal = 1 - gaussians.closed * (1 - ((cosine - _GRAZING) / (_FRONTAL - _GRAZING)).clamp(0, 1))
    probe = torch.zeros_like(person.planes).requires_grad_()
    shared = generator.raw(probe, torch.zeros_like(probe)).main[..., :1].expand(len(targets), -1, -1) * frontal[..., None]
    drawn = rasterize(gaussians.xyz, gaussians.scale, gaussians.quat, shared.contiguous(), opacity, targets.cameras)
    pixels, = torch.autograd.grad((drawn.color * targets.alpha).sum(), probe)
    pixels = pixels[0, 0] * relations.used
    typical = pixels[pixels > 0].median() if (pixels > 0).any() else pixels.new_ones(())
    return pixels / (pixels + _FULLY_SEEN * typical)


def _geometry(networks: GeneratorConfig) -> list[int]:
    return [*range(POSITION.start, ROTATION.stop), networks.opacity.start]


def _restraint(color: Tensor, rest: Tensor, seen: Tensor, relations: TexelRelations, tuning: PlaneTuning) -> Tensor:
    """What holds the changes back; means over the texels that are used."""
    used, hidden = relations.used, 1 - seen
    twin = color.detach().flatten(2)[:, :, relations.mirror.flatten()].view_as(color)
    known = seen.flatten()[relations.mirror]
    loss = tuning.closeness * (rest.square() * used).sum() + tuning.color_closeness * (color.square() * seen).sum()
    loss = loss + (hidden * used * (tuning.mirror * known * (color - twin).square()
                                    + tuning.unseen * (1 - known) * color.square())).sum()
    spread = tuning.color_smoothness + tuning.hidden_smoothness * hidden
    for change, weight in ((color, spread), (rest, torch.full_like(spread, tuning.smoothness))):
        loss = loss + (change.diff(dim=3).square() * relations.across * torch.maximum(weight[:, 1:], weight[:, :-1])).sum() \
            + (change.diff(dim=2).square() * relations.down * torch.maximum(weight[1:], weight[:-1])).sum()
    return loss / used.sum()
