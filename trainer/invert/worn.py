"""The photographs' colours on all that is not skin texels: hair, clothes, lids, creases and the inside of the mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from core.studio import pose_identity
from core.studio.anatomy import Anatomy
from core.studio.identity import StudioIdentity
from core.types import Camera, FloatArray, Gaussians
from trainer.invert.geometry import view_weight
from trainer.invert.sight import PhotoSight
from trainer.invert.texture import SkinPaint, log, ratio_at, unlog, with_colors, without
from trainer.rasterize import CameraBatch, rasterize

CLOTH_TOP = -0.085  # template height of the root below which what is no skin is clothing
HALF_SEEN = 0.06  # pixels of weight in a photograph at which a strand is half believed
SPREAD = 24  # strands whose ratios a hidden strand takes the mean of
STRANDS = 0.4  # of the studio's differences between strands that remain where the photographs show none
STRAND_REACH, SMALLEST_LOCK = 0.007, 80  # metres between strands that hang together, and how many do at least
DIM = 0.03  # added to the colours of eyes before they are compared
EYE_RATIO = (0.12, 1.5)  # darkest and brightest that an eye may become against the studio's
INSIDE_SHARE = 0.6  # of the skin's change of tone that the inside of the mouth follows


@dataclass(frozen=True)
class Kinds:
    """What the Gaussians of a person are, [N] bool each; all others are skin texels.

    Attributes:
        hair: of head and beard.
        cloth: garments.
        eye: the eyeballs.
        inside: of the mouth.
        close: on the skin: extra lid patches, lid margins, lashes, creases.
    """

    hair: NDArray[np.bool_]
    cloth: NDArray[np.bool_]
    eye: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    close: NDArray[np.bool_]


def kinds_of(person: StudioIdentity, anatomy: Anatomy) -> Kinds:
    """By what the Gaussians are rooted in."""
    head = anatomy.head
    part = head.part[person.triangle]
    of = {name: np.isin(part, [head.part_names.index(n) for n in names]) for name, names in
          (("eye", ("eye_l", "eye_r")), ("inside", ("mouth", "teeth_u", "teeth_l", "tongue")), ("skin", ("skin",)))}
    free = of["skin"] & (person.texel < 0)
    close = np.isin(person.triangle, np.concatenate([eye.lid_triangles for eye in anatomy.eyes]))
    close |= np.isin(person.triangle, anatomy.lids.samples.triangle) & ~person.rigid
    close[person.wrinkles.index] = True
    low = head.v_template[head.faces[person.triangle], 1].mean(1) < CLOTH_TOP
    strand = np.sort(person.gaussians.scale, 1)
    thin = strand[:, 1] < 0.35 * strand[:, 2]
    cloth = free & ~close & (~person.rigid | (low & ~thin))
    return Kinds(free & ~close & ~cloth, cloth, of["eye"], of["inside"], free & close)


@dataclass(frozen=True)
class Footprints:
    """What each Gaussian sees of pictures that are laid over a view.

    Attributes:
        weight: [N] pixels' worth of the picture that the Gaussian makes up.
        mean: [N, C] mean of the picture over those pixels; zero where the weight is.
    """

    weight: FloatArray
    mean: FloatArray


def footprints(cloud: Gaussians, camera: Camera, image: FloatArray, weight: FloatArray) -> Footprints:
    """Reads a picture through the blending weights of a cloud: the gradient of what is drawn with respect to the colours.

    Args:
        image: [S, S, C]; weight: [S, S] of the pixels.
    """
    fields = [torch.from_numpy(np.ascontiguousarray(a))[None] for a in (cloud.xyz, cloud.scale, cloud.quat)]
    opacity = torch.from_numpy(np.ascontiguousarray(cloud.opacity))[None]
    values = np.concatenate([weight[..., None], image * weight[..., None]], 2)
    sums = []
    for first in range(0, values.shape[2], 3):
        part = values[..., first:first + 3]
        part = np.concatenate([part, np.zeros((*part.shape[:2], 3 - part.shape[2]))], 2).astype(np.float32)
        color = torch.zeros(1, len(cloud), 3, requires_grad=True)
        drawn = rasterize(*fields, color, opacity, CameraBatch.of([camera])).color
        upstream = torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))[None]
        sums.append(torch.autograd.grad(drawn, color, upstream)[0][0])
    total = torch.cat(sums, 1).numpy()[:, :values.shape[2]]
    return Footprints(total[:, 0], total[:, 1:] / np.maximum(total[:, :1], 1e-9))


def posed_cloud(person: StudioIdentity, sight: PhotoSight) -> Gaussians:
    """The person as the photograph shows them, expression wrinkles aside."""
    return pose_identity(person, sight.vertices)


def paint_worn(person: StudioIdentity, sights: Sequence[PhotoSight], kinds: Kinds,
               shown: Sequence[tuple[FloatArray, FloatArray]]) -> StudioIdentity:
    """Hair and clothes in the colours of the photographs; what they do not show takes the tone of what is near to it.

    Args:
        shown: per view, [S, S] shares of the picture that are hair and cloth.
    """
    for kind, number in ((kinds.hair, 0), (kinds.cloth, 1)):
        rows = np.flatnonzero(kind)
        if len(rows) == 0:
            continue
        total, weight, belief = np.zeros((len(rows), 3)), np.zeros(len(rows)), np.zeros(len(rows))
        for sight, shares in zip(sights, shown, strict=True):
            print_ = footprints(posed_cloud(person, sight), sight.camera, sight.picture, shares[number] * sight.inside)
            seen = print_.weight[rows] / (print_.weight[rows] + HALF_SEEN)
            share = view_weight(sight.view) * seen**2
            total += share[:, None] * log(print_.mean[rows])
            weight += share
            belief = np.maximum(belief, seen)
        person = _spread(person, rows, total / np.maximum(weight, 1e-12)[:, None], belief)
    return person


def _spread(person: StudioIdentity, rows: NDArray, photo: FloatArray, belief: FloatArray) -> StudioIdentity:
    """Colours of one kind: log colours `photo` [n, 3] where believed [n], else the studio's in the tone of the surroundings."""
    studio, places = log(person.gaussians.rgb[rows]), person.gaussians.xyz[rows]
    known = np.flatnonzero(belief > 0.5)
    if len(known) < SPREAD:
        return person
    distance, near = cKDTree(places[known]).query(places, k=SPREAD)
    share = np.exp(-distance / 0.02) + 1e-6
    share = (share / share.sum(1, keepdims=True))[..., None]
    far = 1 - np.exp(-distance[:, :1] / 0.05)
    shown = (1 - far) * (share * photo[known][near]).sum(1) + far * np.median(photo[known], 0)
    around = (1 - far) * (share * studio[known][near]).sum(1) + far * np.median(studio[known], 0)
    elsewhere = shown + STRANDS * np.clip(studio - around, -1, 1).mean(1, keepdims=True)
    color = unlog(belief[:, None] * np.where(belief[:, None] > 0, photo, 0) + (1 - belief[:, None]) * elsewhere)
    return with_colors(person, rows, color)


def paint_close(person: StudioIdentity, anatomy: Anatomy, kinds: Kinds, paint: SkinPaint) -> StudioIdentity:
    """Lids, creases and what grows at the lids' edges follow the skin under them; the mouth's inside follows its brightness."""
    rows = np.flatnonzero(kinds.close)
    person = with_colors(person, rows, unlog(log(person.gaussians.rgb[rows]) + ratio_at(person, anatomy, paint, rows)))
    lids = anatomy.lids
    rows = rows[~person.rigid[rows] & np.isin(person.triangle[rows], lids.samples.triangle)]
    away, sample = cKDTree(lids.samples.at(person.rest_vertices)).query(person.gaussians.xyz[rows])
    rows, sample = rows[away < 1e-5], sample[away < 1e-5]
    person = with_colors(person, rows, np.einsum("nk,nkc->nc", lids.weights[sample], paint.color[lids.texels[sample]]))
    held = paint.belief[:, None] ** 2
    tone = INSIDE_SHARE * (held * paint.ratio).sum(0) / max(float(held.sum()), 1e-9)
    inside = np.flatnonzero(kinds.inside)
    return with_colors(person, inside, unlog(log(person.gaussians.rgb[inside]) + np.minimum(tone, 0.1)))


def without_lonely(person: StudioIdentity, kinds: Kinds) -> StudioIdentity:
    """The person without the few strands that a carving leaves hanging in the air."""
    rows = np.flatnonzero(kinds.hair)
    pairs = cKDTree(person.gaussians.xyz[rows]).query_pairs(STRAND_REACH, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(rows), len(rows)))
    lock = connected_components(graph, directed=False)[1]
    return without(person, rows[np.bincount(lock, minlength=1)[lock] < SMALLEST_LOCK])
