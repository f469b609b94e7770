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
from core.types import FloatArray
from trainer.invert.geometry import FittedHead, view_weight
from trainer.invert.sight import FULL_FACING, HALF_FACING, PhotoSight

DARK = 0.02  # added to colours 0..1 before their logarithm is taken
STIFFNESS = 12.0  # of the membrane: squared texels over which it smooths what is believed
LEANING = 2e-4  # how strongly skin that nothing is known about takes the mean tone
NEIGHBOURS, REACH = 6, 2.2  # of a texel, and how far in typical distances they may be
EYE_ZONE = 0.008  # metres around the lids' margins that a blink unrolls
BROW_HEIGHT = (0.004, 0.009, 0.034, 0.028)  # on the template, metres: where brows are not the tone of the lids
HAIR_PAINT_HEIGHT = (0.020, 0.040)  # likewise, from which on hair may be painted on skin
LID_ZONE = (0.008, 0.014)  # metres from the lids' margins from which on skin counts as around them
LID_LIGHT = 0.85  # how far the middle of a lid takes the tone around rather than that of its edges
UNROLLED = (0.45, 0.90)  # shares of a closed lid's area that count as hidden, and as shown
PLAINLY_BARE = (0.85, 0.98)  # shares of bare skin from which on its detail is repeated on the other side
PLAINLY_HAT = (0.55, 0.85)  # shares of a hat at which it begins to go on on the other side, and does
LARGEST_DETAIL = 0.4  # of logarithms that are mirrored
LARGEST_RATIO = 2.2  # of logarithms: beyond, it is not the skin that differs
QUARTERS = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])  # of a texel along its tangents: every second one lies across
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
    """The same person with every texel of the face split in four, so that the skin holds what a photograph shows.

    The quarters of a texel follow one another, those of the face first, then other skin block by block of the texel grid: slow
    machines draw one of so many neighbours in the order of a person, enlarged, and the skin must stay closed.
    """
    rest, grid = anatomy.texels.rest, anatomy.grid
    z, low, high, wide = FINE_FRONT
    front = (rest[:, 2] > z) & (rest[:, 1] > low) & (rest[:, 1] < high) & (np.abs(rest[:, 0]) < wide)
    skin = np.flatnonzero(person.texel >= 0)
    row, column = grid.row[person.texel[skin]], grid.column[person.texel[skin]]
    skin = skin[np.lexsort((column % 2, row % 2, column // 2, row // 2))]
    of_face = front[person.texel[skin]]
    split, whole = np.repeat(skin[of_face], 4), skin[~of_face]
    du, dv = anatomy.texels.tangents(person.rest_vertices.astype(np.float64))
    texel, side = person.texel[split], np.tile(QUARTERS, (len(split) // 4, 1))
    person = reordered(person, np.concatenate([split, whole, np.flatnonzero(person.texel < 0)]))
    g, fine = person.gaussians, slice(len(split))
    xyz, scale = g.xyz.copy(), g.scale.copy()
    xyz[fine] += (0.25 * (side[:, :1] * du[texel] + side[:, 1:] * dv[texel])).astype(np.float32)
    scale[fine] *= np.array([0.5, 0.5, 1.0], np.float32)
    return replace(person, gaussians=replace(g, xyz=xyz, scale=scale))


def reordered(person: StudioIdentity, rows: NDArray) -> StudioIdentity:
    """The person of some rows, in their order. A wrinkle may be there once only."""
    number = np.full(len(person.gaussians), -1)
    number[rows] = np.arange(len(rows))
    kept = number[person.wrinkles.index] >= 0
    wrinkles = replace(person.wrinkles, index=number[person.wrinkles.index[kept]].astype(np.int32),
                       weights=person.wrinkles.weights[kept])
    return replace(person, gaussians=person.gaussians.subset(rows), triangle=person.triangle[rows], texel=person.texel[rows],
                   rigid=person.rigid[rows], wrinkles=wrinkles)


def without(person: StudioIdentity, rows: NDArray) -> StudioIdentity:
    """The person without some Gaussians (indices or a mask)."""
    keep = np.ones(len(person.gaussians), bool)
    keep[rows] = False
    return reordered(person, np.flatnonzero(keep))


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
    hat = np.max(hats, 0)
    belief = belief * unrolled * _may_be_painted(anatomy, hats, cosines)
    bare = unrolled * seen_colors(sights, points, cosines, covers)[1]
    ratio = np.clip(log(photo) - log(studio), -LARGEST_RATIO, LARGEST_RATIO)
    laplacian = _laplacian(texels.at(person.rest_vertices.astype(np.float64)))
    other = _other_side(anatomy, laplacian, belief, bare, hat)
    not_skin = not_skin * (1 - other.known) + other.hat
    smooth = _membrane(anatomy, laplacian, log(studio), ratio, belief, bare * (1 - not_skin), not_skin)
    plain, detail = log(studio) + smooth, ratio - smooth
    detail = belief[:, None] * detail + other.hat[:, None] * (log(photo)[other.twin] - plain) \
        + other.skin[:, None] * np.clip(detail[other.twin], -LARGEST_DETAIL, LARGEST_DETAIL)
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


def _membrane(anatomy: Anatomy, laplacian: scipy.sparse.csr_matrix, studio: FloatArray, ratio: FloatArray, belief: FloatArray,
              bare: FloatArray, not_skin: FloatArray) -> FloatArray:
    """Smooth field that follows `ratio` [M, 3] where it is believed and spans the rest.

    Args:
        studio: [M, 3] logarithms of the studio's colours.
        belief: [M] how far a texel's colour is the photographs'; bare: [M] how far it also tells about the skin's tone around.
        not_skin: [M] texels that are painted as hair and take the tone of one another.
    """
    away, photo = _distance_from_eyes(anatomy), studio + ratio
    smooth = _spanned(laplacian, ratio, bare)
    # what a blink unrolls has lain in the shade of its fold, in the studio as well: its colour joins on to what is seen at its
    # edges and becomes lighter inside, as the skin farther around is
    brow = smoothstep(*BROW_HEIGHT[:2], anatomy.texels.rest[:, 1]) * smoothstep(*BROW_HEIGHT[2:], anatomy.texels.rest[:, 1])
    edge = _spanned(laplacian, photo, belief) - studio
    around = _spanned(laplacian, photo, bare * smoothstep(*LID_ZONE, away) * (1 - brow)) - studio
    inside = LID_LIGHT * _spanned(laplacian, 1 - belief[:, None], np.ones(len(belief)))
    fold = (smoothstep(1.3 * EYE_ZONE, 0.8 * EYE_ZONE, away) * (1 - belief))[:, None]
    smooth = (1 - fold) * smooth + fold * (inside * around + (1 - inside) * edge)
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
    """Membrane [M, C] over values [M, C] that are believed [M]."""
    held = belief.astype(np.float64) ** 2
    mean = (held[:, None] * values).sum(0) / max(held.sum(), 1e-9)
    system = scipy.sparse.diags(held + LEANING) + STIFFNESS / NEIGHBOURS * laplacian
    solver = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.stack([solver.solve(held * values[:, k] + LEANING * mean[k]) for k in range(values.shape[1])], 1)


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


@dataclass(frozen=True)
class _OtherSide:
    """What texels that no photograph shows take from the other side of the head.

    Attributes:
        twin: [M] the texel there.
        known: [M] 0..1, how far that one is believed.
        skin, hat: [M] 0..1, how far it is bare skin, and plainly something on it; together at most `known`. The rim of the hat,
            in the shade, is neither.
    """

    twin: NDArray[np.int64]
    known: FloatArray
    skin: FloatArray
    hat: FloatArray


def _other_side(anatomy: Anatomy, laplacian: scipy.sparse.csr_matrix, belief: FloatArray, bare: FloatArray,
                hat: FloatArray) -> _OtherSide:
    """Where skin goes on, and where the hat, on the side that is not seen.

    Args:
        belief, bare, hat: [M] how far a texel is believed, shows skin, and shows what hides it.
    """
    rest = anatomy.texels.rest
    distance, twin = cKDTree(rest).query(rest * [-1, 1, 1])
    free = (1 - belief) * (distance < 0.003)
    seen = np.stack([bare[twin], belief[twin] * hat[twin], belief[twin]], 1)
    skin, hatted, known = np.clip(_spanned(laplacian, seen, np.ones(len(rest))), 0, 1).T
    hatted = smoothstep(*PLAINLY_HAT, hatted)
    skin = np.minimum(smoothstep(*PLAINLY_BARE, skin), 1 - hatted)
    return _OtherSide(twin, free * np.maximum(known, skin + hatted), free * skin, free * hatted)


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
