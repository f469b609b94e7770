"""seed -> StudioIdentity: every part of a person is built on the shaped, lit head and packed into one cloud."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from core.head.model import HeadModel, ShapedHead
from core.studio.accessories import accessories
from core.studio.anatomy import Anatomy, anatomy_of
from core.studio.brows_lashes import brows, lashes
from core.studio.clothes import SKIN_MARGIN, clothes, depth_below_edge
from core.studio.creases import creases
from core.studio.eyes import eyes
from core.studio.hair import grow_hair, shade_strands
from core.studio.identity import StudioIdentity, Wrinkles
from core.studio.illumination import head_normals, light_head
from core.studio.mouth import mouth
from core.studio.numerics import display_from_linear
from core.studio.prune import visibility_scores
from core.studio.regions import hair_regions
from core.studio.skin import lid_patches, shade_skin, skin_patches
from core.studio.splats import Splats, concatenate
from core.studio.traits import Traits, sample_traits
from core.studio.visibility import HairVolume
from core.types import Gaussians

MAXIMUM_GAUSSIANS = 98_000


def build_identity(seed_or_traits: int | Traits, head: HeadModel, label: str = "",
                   shaped: ShapedHead | None = None, whole_skin: bool = False) -> StudioIdentity:
    """Make a person.

    Args:
        seed_or_traits: a seed (0 .. 2**32 - 1), or traits that were sampled and perhaps altered or mixed.
        head: the open head.
        label: what the person's name begins with; "seed 7" and the like when left out.
        shaped: the resting head, where it is not exactly the one of the traits' shape.
        whole_skin: keep the skin that hair hides, for people whose hair will be changed afterwards.

    Raises:
        ValueError: the seed is out of range.
    """
    traits = seed_or_traits if isinstance(seed_or_traits, Traits) else sample_traits(int(seed_or_traits), head)
    anatomy = anatomy_of(head)
    shaped = shaped or head.neutral(traits.shape)
    vertices = shaped.vertices.astype(np.float64)
    regions = hair_regions(anatomy, traits)
    strands = grow_hair(anatomy, traits, regions, vertices, head_normals(anatomy, vertices))
    volume = HairVolume()
    for group in strands:
        volume.add(group.center, group.shadow_area)
    lit = light_head(anatomy, traits, shaped, volume)
    surface = shade_skin(anatomy, traits, lit, regions)
    bare = depth_below_edge(traits.garment.style, anatomy.texels.rest) < SKIN_MARGIN
    outside = concatenate([
        skin_patches(anatomy, surface, vertices, bare),
        *clothes(anatomy, traits, lit),
        *(shade_strands(group, traits, lit, volume) for group in strands),
    ])
    features = concatenate([
        lid_patches(anatomy, surface, vertices),
        *mouth(anatomy, traits, lit, shaped),
        *eyes(anatomy, traits, lit),
        *brows(anatomy, traits, surface, lit, regions),
        *lashes(anatomy, traits, lit),
        *accessories(anatomy, traits, lit),
    ])
    folds = creases(anatomy, traits, surface)
    room = MAXIMUM_GAUSSIANS - len(features) - len(folds.splats)
    score = visibility_scores(concatenate([outside, features]))[: len(outside)]
    if whole_skin:
        score = np.where(outside.texel >= 0, np.inf, score)
    splats = concatenate([outside.subset(_worth_keeping(anatomy, outside, score, room)), features, folds.splats])
    first = len(splats) - len(folds.splats)
    wrinkles = Wrinkles(np.arange(first, len(splats), dtype=np.int32), folds.weights.astype(np.float32))
    return _pack(traits, anatomy, shaped.vertices, splats, wrinkles, label or f"seed {traits.seed}")


def _worth_keeping(anatomy: Anatomy, splats: Splats, score: np.ndarray, most: int) -> np.ndarray:
    """The rows [N] that are seen or may be uncovered; the least visible ones go first when there are more than `most`."""
    keep = (score >= 1) | _kept_regardless(anatomy, splats, score >= 1)
    rank = np.argsort(-np.where(keep, np.maximum(score, 1e-9), 0.0), kind="stable")
    return np.sort(rank[: min(most, int(keep.sum()))])


def _kept_regardless(anatomy: Anatomy, splats: Splats, seen: np.ndarray) -> np.ndarray:
    """Skin [N] that an expression or a turn of the neck uncovers: lids, lips, and a rim around what is seen at neutral."""
    grid = anatomy.grid
    rows = splats.texel >= 0
    texel = splats.texel[rows]
    picture = np.zeros((grid.resolution, grid.resolution), bool)
    picture[grid.row[texel], grid.column[texel]] = seen[rows]
    near_seen = binary_dilation(picture, iterations=2)[grid.row[texel], grid.column[texel]]
    keep = np.zeros(len(splats), bool)
    keep[rows] = near_seen | (anatomy.regions.lids[texel] > 0.02) | (anatomy.regions.lips[texel] > 0.02)
    return keep


def _pack(traits: Traits, anatomy: Anatomy, rest_vertices: np.ndarray, splats: Splats,
          wrinkles: Wrinkles, label: str) -> StudioIdentity:
    gaussians = Gaussians(
        xyz=np.ascontiguousarray(splats.xyz, np.float32),
        scale=np.ascontiguousarray(splats.scale, np.float32),
        quat=np.ascontiguousarray(splats.quat, np.float32),
        rgb=np.ascontiguousarray(display_from_linear(splats.color), np.float32),
        opacity=np.ascontiguousarray(splats.opacity, np.float32),
    )
    return StudioIdentity(
        seed=traits.seed, shape=traits.shape, gaussians=gaussians, triangle=splats.triangle, texel=splats.texel,
        rigid=splats.rigid, wrinkles=wrinkles,
        faces=anatomy.head.faces, rest_vertices=rest_vertices, name=f"{label}: {describe(traits)}", tags=_tags(traits),
    )


def _tags(traits: Traits) -> tuple[str, ...]:
    tags = [traits.hair.style, f"{traits.hair.color_name} hair", f"{traits.eyes.iris_name} eyes", traits.garment.style]
    if traits.beard.style != "none":
        tags.append("beard" if traits.beard.style in ("short", "full") else traits.beard.style)
    if traits.accessories.glasses != "none":
        tags.append("glasses")
    return tuple(tags)


def describe(traits: Traits) -> str:
    """A person in a few words: hair and beard."""
    beard = "" if traits.beard.style == "none" else f", {traits.beard.style} beard".replace("goatee beard", "goatee")
    hair = "bald" if traits.hair.style == "bald" else f"{traits.hair.color_name} {traits.hair.style} hair"
    return f"{hair}{beard}"
