"""The photographs' colours on the skin: as seen where they are seen, elsewhere the studio's skin in their tone.

Everything is done with the logarithm of the ratio between photograph and studio. Its smooth part is a membrane over the skin,
held where the photographs are believed and free elsewhere, so that there is no seam; its detail is taken from the photographs,
and where they show only the other side of the face, from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from core.studio.anatomy import OUTER_MARGIN, Anatomy
from core.studio.identity import StudioIdentity
from core.studio.numerics import smoothstep
from core.types import FloatArray, Gaussians
from trainer.invert.geometry import FittedHead, view_weight
from trainer.invert.sight import FULL_FACING, HALF_FACING, PhotoSight

DARK = 0.02  # added to colours 0..1 before their logarithm is taken
STIFFNESS = 12.0  # of the membrane: squared texels over which it smooths what is believed
LEANING = 2e-4  # how strongly skin that nothing is known about takes the mean tone
NEIGHBOURS, REACH = 6, 2.2  # of a texel, and how far in typical distances they may be
EYE_ZONE = 0.008  # metres around the lids' margins that a blink unrolls
BROW_HEIGHT = (0.004, 0.009, 0.034, 0.028)  # on the template, metres: where brows are not the tone of the lids
HAIR_PAINT_HEIGHT = (0.020, 0.040)  # likewise, from which on hair may be painted on skin
LID_LIGHT = 0.8  # how far it takes the tone of the cheeks and the forehead rather than that of the eye's surroundings
UNROLLED = (0.45, 0.90)  # shares of a closed lid's area that count as hidden, and as shown
LARGEST_DETAIL = 0.9  # of logarithms that are mirrored
LARGEST_RATIO = 2.2  # of logarithms: beyond, it is not the skin that differs
FINE_FRONT = (-0.035, -0.115, 0.062, 0.070)  # template: least z, least and most y, most |x| of texels that are split in four


@dataclass(frozen=True)
class SkinPaint:
    """Colours of the texels of one person.

    Attributes:
        ratio: [M, 3] log(photograph / studio) of all texels, smooth part.
        detail: [M, 3] what comes on top.
        belief: [M] 0..1, how much of a texel the photographs show.
        color: [M, 3] display colours.
    """

    ratio: FloatArray
    detail: FloatArray
    belief: FloatArray
    color: FloatArray


def with_fine_face(person: StudioIdentity, anatomy: Anatomy) -> StudioIdentity:
    """The same person with every texel of the face split in four, so that the skin holds what a photograph shows."""
    rest = anatomy.texels.rest
    z, low, high, wide = FINE_FRONT
    front = (rest[:, 2] > z) & (rest[:, 1] > low) & (rest[:, 1] < high) & (np.abs(rest[:, 0]) < wide)
    split = np.flatnonzero((person.texel >= 0) & front[np.maximum(person.texel, 0)])
    du, dv = anatomy.texels.tangents(person.rest_vertices.astype(np.float64))
    texel, g = person.texel[split], person.gaussians
    xyz = np.concatenate([g.xyz[split] + (0.25 * (a * du[texel] + b * dv[texel])).astype(np.float32)
                          for a in (-1, 1) for b in (-1, 1)])
    four = np.tile(split, 4)
    finer = replace(g.subset(four), xyz=xyz, scale=(g.scale[four] * np.array([0.5, 0.5, 1.0], np.float32)))
    return with_added(without(person, split), finer, person.triangle[four], person.texel[four], person.rigid[four])


def without(person: StudioIdentity, rows: NDArray) -> StudioIdentity:
    """The person without some Gaussians (indices or a mask)."""
    keep = np.ones(len(person.gaussians), bool)
    keep[rows] = False
    number = np.cumsum(keep) - 1
    kept = keep[person.wrinkles.index]
    wrinkles = replace(person.wrinkles, index=number[person.wrinkles.index[kept]].astype(np.int32),
                       weights=person.wrinkles.weights[kept])
    return replace(person, gaussians=person.gaussians.subset(keep), triangle=person.triangle[keep], texel=person.texel[keep],
                   rigid=person.rigid[keep], wrinkles=wrinkles)


def with_added(person: StudioIdentity, more: Gaussians, triangle: NDArray, texel: NDArray, rigid: NDArray) -> StudioIdentity:
    """The person with more Gaussians."""
    both = (np.concatenate([getattr(person.gaussians, name), getattr(more, name)]).astype(np.float32)
            for name in ("xyz", "scale", "quat", "rgb", "opacity"))
    return replace(person, gaussians=Gaussians(*both),
                   triangle=np.concatenate([person.triangle, triangle]).astype(np.int32),
                   texel=np.concatenate([person.texel, texel]).astype(np.int32), rigid=np.concatenate([person.rigid, rigid]))


def with_colors(person: StudioIdentity, rows: NDArray, colors: FloatArray) -> StudioIdentity:
    """The person with other colours of some Gaussians."""
    rgb = person.gaussians.rgb.copy()
    rgb[rows] = np.clip(colors, 0, 1)
    return replace(person, gaussians=replace(person.gaussians, rgb=rgb))


def log(colors: FloatArray) -> FloatArray:
    return np.log(np.maximum(colors, 0) + DARK)


def unlog(logarithms: FloatArray) -> FloatArray:
    return np.clip(np.exp(logarithms) - DARK, 0, 1)


def seen_colors(sights: Sequence[PhotoSight], points: Sequence[FloatArray], cosines: Sequence[FloatArray],
                doubt: Sequence[FloatArray] | None = None) -> tuple[FloatArray, FloatArray]:
    """Colours [N, 3] of points in the photographs and how far to believe them [N].

    Args:
        points: per view, [N, 3] in the view's pose; cosines: likewise [N], skin against line of sight.
        doubt: per view, [S, S] pictures in 0..1 of what hides the skin.
    """
    total, weight, belief = np.zeros((len(points[0]), 3)), np.zeros(len(points[0])), np.zeros(len(points[0]))
    for i, sight in enumerate(sights):
        at = sight.pixels(points[i])[:, :2]
        here = sight.belief(points[i], cosines[i])
        if doubt is not None:
            here = here * (1 - sight.sample(doubt[i], at))
        share = view_weight(sight.view) * here**3
        total += share[:, None] * log(sight.sample(sight.picture, at))
        weight += share
        belief = np.maximum(belief, here)
    return unlog(total / np.maximum(weight, 1e-12)[:, None]).astype(np.float32), belief.astype(np.float32)


def paint_skin(person: StudioIdentity, fitted: FittedHead, sights: Sequence[PhotoSight], anatomy: Anatomy,
               covers: Sequence[FloatArray], not_skin: FloatArray) -> tuple[StudioIdentity, SkinPaint]:
    """The person with skin as the photographs show it.

    Args:
        covers: per view, [S, S] 0..1 where something hides the skin.
        not_skin: [M] 0..1, texels that are painted as hair.
    """
    texels = anatomy.texels
    studio = _studio_colors(person, anatomy)
    points, cosines = [texels.at(s.vertices) for s in sights], [texels.at(s.cosine) for s in sights]
    photo, belief = seen_colors(sights, points, cosines)
    unrolled = _unrolled(anatomy, fitted, sights)
    hats = _hats(sights, points, covers)
    belief = belief * unrolled * _may_be_painted(anatomy, hats, cosines)
    bare = unrolled * seen_colors(sights, points, cosines, covers)[1]
    ratio = np.clip(log(photo) - log(studio), -LARGEST_RATIO, LARGEST_RATIO)
    smooth = _membrane(anatomy, person.rest_vertices, ratio, belief, bare * (1 - not_skin), not_skin)
    plain = log(studio) + smooth
    detail = _with_mirrored(anatomy, ratio - smooth, log(photo), plain, belief, bare, np.max(hats, 0))
    paint = SkinPaint(smooth, detail, belief, unlog(plain + detail))
    return _painted(person, sights, anatomy, paint), paint


def ratio_at(person: StudioIdentity, anatomy: Anatomy, paint: SkinPaint, rows: NDArray) -> FloatArray:
    """Smooth part of log(photograph / studio) [N, 3] of the skin nearest to Gaussians."""
    positions = anatomy.texels.at(person.rest_vertices)
    distance, near = cKDTree(positions).query(person.gaussians.xyz[rows], k=3)
    weight = 1 / (distance + 1e-4)
    weight = (weight / weight.sum(1, keepdims=True))[..., None]
    return (weight * paint.ratio[near]).sum(1)


def _studio_colors(person: StudioIdentity, anatomy: Anatomy) -> FloatArray:
    """[M, 3] of all texels; those that the person does not have take the colour of the nearest."""
    has = person.texel >= 0
    color = np.zeros((len(anatomy.texels), 3), np.float32)
    known = np.zeros(len(color), bool)
    color[person.texel[has]], known[person.texel[has]] = person.gaussians.rgb[has], True
    rest = anatomy.texels.rest
    near = cKDTree(rest[known]).query(rest[~known])[1]
    color[~known] = color[known][near]
    return color


def _membrane(anatomy: Anatomy, vertices: FloatArray, ratio: FloatArray, belief: FloatArray, bare: FloatArray,
              not_skin: FloatArray) -> FloatArray:
    """Smooth field that follows `ratio` [M, 3] where it is believed and spans the rest.

    Args:
        belief: [M] how far a texel's colour is the photographs'; bare: [M] how far it also tells about the skin's tone around.
        not_skin: [M] texels that are painted as hair and take the tone of one another.
    """
    laplacian = _laplacian(anatomy.texels.at(vertices.astype(np.float64)))
    away = _distance_from_eyes(anatomy)
    smooth = _spanned(laplacian, ratio, bare)
    # what a blink unrolls has lain in the shade of its fold: it takes the tone from farther away
    brow = smoothstep(*BROW_HEIGHT[:2], anatomy.texels.rest[:, 1]) * smoothstep(*BROW_HEIGHT[2:], anatomy.texels.rest[:, 1])
    around = _spanned(laplacian, ratio, bare * smoothstep(EYE_ZONE, 1.8 * EYE_ZONE, away) * (1 - brow))
    fold = (smoothstep(1.3 * EYE_ZONE, 0.8 * EYE_ZONE, away) * (1 - belief))[:, None]
    smooth = (1 - fold) * smooth + fold * (LID_LIGHT * around + (1 - LID_LIGHT) * smooth)
    scalp = (not_skin * (1 - belief))[:, None]
    return (1 - scalp) * smooth + scalp * _spanned(laplacian, ratio, belief * not_skin)


def _laplacian(positions: FloatArray) -> scipy.sparse.csr_matrix:
    """Of the graph [M, M] that joins every texel with those nearest to it."""
    count = len(positions)
    distance, near = cKDTree(positions).query(positions, k=NEIGHBOURS + 1)
    typical = np.median(distance[:, 1:])
    strength = np.exp(-0.5 * np.minimum(distance[:, 1:].ravel() / (REACH * typical), 6) ** 2) + 1e-3
    graph = scipy.sparse.coo_matrix((strength, (np.repeat(np.arange(count), NEIGHBOURS), near[:, 1:].ravel())), (count, count))
    graph = 0.5 * (graph + graph.T).tocsr()
    return (scipy.sparse.diags(np.asarray(graph.sum(1)).ravel()) - graph).tocsr()


def _spanned(laplacian: scipy.sparse.csr_matrix, values: FloatArray, belief: FloatArray) -> FloatArray:
    """Membrane [M, 3] over values [M, 3] that are believed [M]."""
    held = belief.astype(np.float64) ** 2
    mean = (held[:, None] * values).sum(0) / max(held.sum(), 1e-9)
    system = scipy.sparse.diags(held + LEANING) + STIFFNESS / NEIGHBOURS * laplacian
    solver = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.stack([solver.solve(held * values[:, k] + LEANING * mean[k]) for k in range(3)], 1)


def _unrolled(anatomy: Anatomy, fitted: FittedHead, sights: Sequence[PhotoSight]) -> FloatArray:
    """[M] 0..1 by how much of its area with closed eyes a texel has in the photographs: they show next to nothing of a fold."""
    closed = anatomy.head.vertices(fitted.shaped, anatomy.head.expression(eyeBlink=1.0))

    def area(vertices: FloatArray) -> FloatArray:
        return np.linalg.norm(np.cross(*anatomy.texels.tangents(vertices.astype(np.float64))), axis=1)

    share = np.max([area(sight.vertices) for sight in sights], 0) / np.maximum(area(closed), 1e-12)
    return smoothstep(*UNROLLED, share)


def _distance_from_eyes(anatomy: Anatomy) -> FloatArray:
    """[M] metres on the template from the lids' margins."""
    rest = anatomy.head.v_template
    return cKDTree(np.concatenate([rest[eye.rings[OUTER_MARGIN]] for eye in anatomy.eyes])).query(anatomy.texels.rest)[0]


def _with_mirrored(anatomy: Anatomy, detail: FloatArray, photo: FloatArray, plain: FloatArray, belief: FloatArray,
                   bare: FloatArray, hat: FloatArray) -> FloatArray:
    """Detail [M, 3] where it is believed; elsewhere that of the bare skin, or the look of the hat, on the other side.

    Args:
        photo, plain: [M, 3] logarithms of the photographs' colours, and of those without detail.
        belief, bare, hat: [M] how far a texel is believed, shows skin, and shows what hides it.
    """
    rest = anatomy.texels.rest
    distance, twin = cKDTree(rest).query(rest * [-1, 1, 1])
    free = (1 - belief) * (distance < 0.003)
    skin = free * smoothstep(0.5, 0.9, bare[twin])
    hatted = free * belief[twin] * hat[twin]
    return belief[:, None] * detail + hatted[:, None] * (photo[twin] - plain) \
        + (skin * (1 - hatted))[:, None] * np.clip(detail[twin], -LARGEST_DETAIL, LARGEST_DETAIL)


def _hats(sights: Sequence[PhotoSight], points: Sequence[FloatArray], covers: Sequence[FloatArray]) -> list[FloatArray]:
    """Per view, [M] 0..1 whether hair, or what hides it, is seen where a texel is."""
    return [smoothstep(0.25, 0.65, sight.sample(cover, sight.pixels(point)[:, :2]))
            for sight, point, cover in zip(sights, points, covers, strict=True)]


def _may_be_painted(anatomy: Anatomy, hats: Sequence[FloatArray], cosines: Sequence[FloatArray]) -> FloatArray:
    """[M] 0..1: hair in a photograph may be painted on scalp and forehead, not on ears, cheeks or the rim of the face."""
    rest = anatomy.texels.rest
    above = smoothstep(*HAIR_PAINT_HEIGHT, rest[:, 1]) * (1 - smoothstep(0.05, 0.3, anatomy.regions.ears))
    plain = [1 - hat * (1 - above * smoothstep(HALF_FACING, FULL_FACING, cosine))
             for hat, cosine in zip(hats, cosines, strict=True)]
    return np.max(plain, 0)


def _painted(person: StudioIdentity, sights: Sequence[PhotoSight], anatomy: Anatomy, paint: SkinPaint) -> StudioIdentity:
    """Every Gaussian of the skin coloured: by the photographs at its own place as far as they are believed, else by its texel."""
    rows = np.flatnonzero(person.texel >= 0)
    texel, g = person.texel[rows], person.gaussians
    du, dv = anatomy.texels.tangents(person.rest_vertices.astype(np.float64))
    offset = g.xyz[rows] - anatomy.texels.at(person.rest_vertices)[texel]
    places = _plane_coordinates(offset, du[texel], dv[texel])
    points, cosines = [], []
    for sight in sights:
        du, dv = anatomy.texels.tangents(sight.vertices)
        points.append(anatomy.texels.at(sight.vertices)[texel] + places[:, :1] * du[texel] + places[:, 1:] * dv[texel])
        cosines.append(anatomy.texels.at(sight.cosine)[texel])
    photo, belief = seen_colors(sights, points, cosines)
    belief = np.minimum(belief, paint.belief[texel])
    elsewhere = log(g.rgb[rows]) + paint.ratio[texel] + paint.detail[texel]
    colors = unlog(belief[:, None] * log(photo) + (1 - belief[:, None]) * elsewhere)
    return with_colors(person, rows, colors)


def _plane_coordinates(offset: FloatArray, du: FloatArray, dv: FloatArray) -> FloatArray:
    """Offsets [N, 3] in units of the two tangents [N, 2]."""
    uu, uv, vv = (du * du).sum(1), (du * dv).sum(1), (dv * dv).sum(1)
    a, b = (offset * du).sum(1), (offset * dv).sum(1)
    determinant = np.maximum(uu * vv - uv**2, 1e-20)
    return np.clip(np.stack([(vv * a - uv * b) / determinant, (uu * b - uv * a) / determinant], 1), -0.5, 0.5)
