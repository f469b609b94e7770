"""Which hair a photograph shows: candidate styles are grown on the fitted head and compared with the mask of the hair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.head.mesh import project, rasterize_mesh
from core.head.model import HeadModel
from core.studio.anatomy import Anatomy, anatomy_of
from core.studio.hair import Strands, grow_hair
from core.studio.illumination import head_normals
from core.studio.numerics import smoothstep
from core.studio.regions import HairRegions, hair_regions
from core.studio.traits import HairTraits, Traits
from core.types import Camera, FloatArray
from trainer.invert.looks_regions import PhotoRegions, scaled
from trainer.invert.view import PhotoView

JUDGED_SIZE = 128  # pixels
_POINTS = 4  # along each segment of a strand
_WIDTH_GAIN = 2.6  # a strand's shadow against its standard deviation, so that the mask is as dense as the drawn hair
_BEHIND = 0.006  # metres behind the skin at which hair is hidden
_PARTING, _SIDES = 0.022, (1.0, -1.0)
_REFINED = 3  # candidates that get their length, volume and fringe tried
_GAIN = 0.004  # of the likeness that a change must bring


# styles whose strands lie every way; and how much likeness a style must bring more than others, being rarer
ROUGH = ("curly", "afro", "textured", "fade", "pixie")
_RARE = {"afro": 0.04, "braids": 0.05, "curly": 0.02, "bald": 0.02, "bun": -0.01}
_COMBED, _TOUSLED = 0.70, 0.55  # coherence of hair that is surely combed, and surely not
_NOT_ROUGH, _NOT_COMBED = 0.08, 0.05  # what styles pay for the wrong texture; paint and noise roughen combed hair
_TEXTURE_SIZE, _TEXTURE_SIGMA, _FAINT_TEXTURE = 512, 6.0, 0.22


@dataclass(frozen=True)
class HairChoice:
    """A haircut and how well it goes with the photographs.

    Attributes:
        likeness: of its mask and theirs, intersection over union 0..1.
        score: the same, less what the style pays for the wrong texture and for being rare.
    """

    hair: HairTraits
    likeness: float
    score: float


@dataclass(frozen=True)
class _Sitting:
    """One photograph, prepared for comparing: camera, mask of the hair, weight of each pixel, depth of the bare head."""

    camera: Camera
    hair: FloatArray
    weight: FloatArray
    depth: FloatArray


class HairJudge:
    """Compares haircuts with photographs of one person.

    Args:
        views, regions: the photographs and their masks.
        shape: [S] of the fitted head.
        traits: of the person; everything but the hair stays.
    """

    def __init__(self, views: Sequence[PhotoView], regions: Sequence[PhotoRegions], head: HeadModel, shape: FloatArray,
                 traits: Traits) -> None:
        self._anatomy: Anatomy = anatomy_of(head)
        self._vertices = head.neutral(shape).vertices.astype(np.float64)
        self._normals = head_normals(self._anatomy, self._vertices)
        self._traits = replace(traits, beard=replace(traits.beard, style="none"))
        self._sittings = tuple(self._sitting(v, r, head) for v, r in zip(views, regions, strict=True))
        self._known: dict[tuple, float] = {}
        self._coherence = float(np.median([coherence(v, r) for v, r in zip(views, regions, strict=True)]))

    def _sitting(self, view: PhotoView, regions: PhotoRegions, head: HeadModel) -> _Sitting:
        size, camera = JUDGED_SIZE, scaled(view.camera, JUDGED_SIZE)
        small = {name: cv2.resize(getattr(regions, name), (size, size), interpolation=cv2.INTER_AREA)
                 for name in ("skin", "hair", "cloth")}
        surface = rasterize_mesh(project(camera, self._vertices), head.faces_of("skin"), size, size)
        # whether hair lies on clothes is hard to see: it counts less there
        weight = 1 - 0.7 * small["cloth"]
        return _Sitting(camera, small["hair"], weight.astype(np.float32), surface.depth)

    def likeness(self, hair: HairTraits) -> float:
        """Soft intersection over union of the haircut's mask and the photographs', mean over these."""
        key = (hair.style, hair.fringe, hair.ears_covered, hair.parting, hair.length, hair.volume, hair.recession, hair.hairline)
        if key not in self._known:
            masks = self.masks(hair)
            self._known[key] = float(np.mean([_overlap(m, s) for m, s in zip(masks, self._sittings, strict=True)]))
        return self._known[key]

    def masks(self, hair: HairTraits) -> list[FloatArray]:
        """How a haircut covers each photograph [JUDGED_SIZE, JUDGED_SIZE], 0..1."""
        traits = replace(self._traits, hair=hair)
        regions = hair_regions(self._anatomy, traits)
        strands = grow_hair(self._anatomy, traits, regions, self._vertices, self._normals)
        return [self._mask(sitting, traits, regions, strands) for sitting in self._sittings]

    def _mask(self, sitting: _Sitting, traits: Traits, regions: HairRegions, strands: list[Strands]) -> FloatArray:
        size = JUDGED_SIZE
        total = np.zeros(size * size)
        pixel = float(np.median(sitting.depth[np.isfinite(sitting.depth)])) / sitting.camera.fx
        for group in strands:
            area = group.shadow_area * _WIDTH_GAIN / pixel**2 / _POINTS
            for k in range(_POINTS):
                at = group.start + (group.end - group.start) * ((k + 0.5) / _POINTS)
                index, seen = _seen(sitting, at)
                total += np.bincount(index[seen], area[seen], size * size)
        covered = cv2.GaussianBlur(1 - np.exp(-total.reshape(size, size).astype(np.float32)), (3, 3), 0.7)
        if traits.hair.style == "bald":
            return covered
        texels = self._anatomy.texels
        index, seen = _seen(sitting, texels.at(self._vertices) + 0.0015 * texels.at(self._normals))
        seen &= regions.scalp > 0.5
        painted = np.zeros(size * size, np.float32)
        painted[index[seen]] = 1
        painted = cv2.morphologyEx(painted.reshape(size, size), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        return np.maximum(covered, 0.9 * painted)

    # ------------------------------------------------------------------ search

    def best(self, first: HairTraits) -> list[HairChoice]:
        """The most alike haircut of every style, best first; the best few have their length, volume and fringe refined."""
        ranked = sorted((self._choice(h) for h in _styles(first, self._traits.masculine)), key=lambda c: -c.score)
        leaders: list[HairChoice] = []
        for choice in ranked:
            if choice.hair.style not in [c.hair.style for c in leaders]:
                leaders.append(choice)
        refined = [self._refined(choice) for choice in leaders[:_REFINED]]
        return sorted([*refined, *leaders[_REFINED:]], key=lambda c: -c.score)

    def _choice(self, hair: HairTraits) -> HairChoice:
        likeness = self.likeness(hair)
        combed = float(smoothstep(_TOUSLED, _COMBED, self._coherence))
        wrong = _NOT_ROUGH * combed if hair.style in ROUGH else _NOT_COMBED * (1 - combed)
        return HairChoice(hair, likeness, likeness - wrong - _RARE.get(hair.style, 0.0))

    def _refined(self, choice: HairChoice) -> HairChoice:
        for changes in _CHANGES:
            tried = [self._choice(hair) for change in changes if (hair := change(choice.hair)) is not None]
            better = max(tried, key=lambda c: c.score, default=choice)
            if better.score > choice.score + _GAIN:
                choice = better
        return choice


def coherence(view: PhotoView, regions: PhotoRegions) -> float:
    """How much the hair's lines agree with their neighbours', 0..1: combed hair about 0.85, curls 0.45; 0.65 where nothing shows.

    Coherence of the structure tensor of the logarithm of the brightness (Weickert, "Anisotropic diffusion in image processing",
    1998), weighted by its trace.
    """
    size = _TEXTURE_SIZE
    hair = cv2.erode((cv2.resize(regions.hair, (size, size)) > 0.8).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    grey = cv2.cvtColor(cv2.resize(view.colors, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    light = cv2.GaussianBlur(np.log(grey.astype(np.float32) + 8), (0, 0), 1.0)
    gx, gy = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    if hair.sum() < 200 or np.sqrt((gx**2 + gy**2)[hair].mean()) < _FAINT_TEXTURE:
        return (_COMBED + _TOUSLED) / 2
    xx, xy, yy = (cv2.GaussianBlur(product, (0, 0), _TEXTURE_SIGMA) for product in (gx * gx, gx * gy, gy * gy))
    return float(np.sqrt((xx - yy) ** 2 + 4 * xy**2)[hair].sum() / max(float((xx + yy)[hair].sum()), 1e-9))


Change = Callable[[HairTraits], "HairTraits | None"]
_FRINGED = {"bob": ("none", "full", "side"), "long": ("none", "full", "side"), "wavy": ("none", "side"),
            "ponytail": ("none", "full", "side"), "bun": ("none", "side")}


def _with(**values: object) -> Change:
    return lambda hair: replace(hair, **values)


def _scaled(name: str, factor: float, low: float, high: float) -> Change:
    return lambda hair: replace(hair, **{name: float(np.clip(getattr(hair, name) * factor, low, high))})


def _fringe(name: str) -> Change:
    return lambda hair: replace(hair, fringe=name) if name in _FRINGED.get(hair.style, ()) else None


_CHANGES: tuple[tuple[Change, ...], ...] = (
    (_fringe("none"), _fringe("side"), _fringe("full")),
    (lambda hair: replace(hair, ears_covered=not hair.ears_covered) if hair.style in ("bob", "long") else None,),
    (_scaled("length", 0.78, 0.6, 1.4), _scaled("length", 1.25, 0.6, 1.4)),
    (_scaled("volume", 0.65, 0.5, 1.8), _scaled("volume", 1.45, 0.5, 1.8)),
    (lambda hair: replace(hair, parting=-hair.parting),),
    (_with(hairline=0.006), _with(hairline=-0.006), _with(recession=0.8)),
)


def _styles(hair: HairTraits, masculine: bool) -> list[HairTraits]:
    """Every style in its usual forms, all else as in `hair`."""
    plain = replace(hair, fringe="none", ears_covered=True, parting=_PARTING, length=1.0, volume=1.0, recession=0.0, hairline=0.0)
    out = [replace(plain, style=s) for s in ("bald", "buzz", "textured", "fade", "side part", "slick", "wavy", "curly", "afro",
                                             "braids")]
    out += [replace(plain, style="pixie", fringe="side")]
    out += [replace(plain, style=s, ears_covered=over) for s in ("bob", "long") for over in (True, False)]
    out += [replace(plain, style=s, volume=v) for s in ("ponytail", "bun") for v in (0.85, 1.05)]
    return out


def _seen(sitting: _Sitting, points: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pixel index [N] of points and whether they lie in the picture and before the skin [N]."""
    size = JUDGED_SIZE
    at = project(sitting.camera, points)
    x, y = np.floor(at[:, 0]).astype(int), np.floor(at[:, 1]).astype(int)
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    index = np.where(inside, y * size + x, 0)
    return index, inside & (at[:, 2] < sitting.depth.ravel()[index] + _BEHIND)


def _overlap(mask: FloatArray, sitting: _Sitting) -> float:
    both, either = np.minimum(mask, sitting.hair), np.maximum(mask, sitting.hair)
    # a head without hair agrees with a picture without hair: a little of each pixel is shared by all
    ground = 0.01 * sitting.hair.size
    return float(((both * sitting.weight).sum() + ground) / ((either * sitting.weight).sum() + ground))
