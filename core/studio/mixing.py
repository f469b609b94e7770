"""Two studio people blended: what is continuous is interpolated, what is a choice comes from the nearer one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from core.studio.light import LightRig, SoftBox
from core.studio.numerics import Array, normalize, smoothstep
from core.studio.traits import (
    AccessoryTraits,
    BeardTraits,
    BrowTraits,
    EyeTraits,
    GarmentTraits,
    HairTraits,
    MakeupTraits,
    SkinTraits,
    Traits,
)

_Value = TypeVar("_Value")

# how far the hair of a style hangs; where two people differ, the longer style is cut and the shorter one grown before they change
_LENGTH_RANK = {"bald": 0, "buzz": 1, "fade": 2, "textured": 3, "side part": 3, "slick": 3, "pixie": 3, "curly": 4, "afro": 4,
                "bun": 4, "bob": 5, "ponytail": 5, "braids": 6, "long": 7, "wavy": 7}
_SHORTEST_HAIR, _LONGEST_HAIR = 0.75, 1.3  # as sampled
_THINNEST_BEARD, _SHORTEST_BEARD = 0.7, 0.6  # as sampled
_DARKEST = 1e-4  # a colour's least value, for logarithms


def mix_traits(a: Traits, b: Traits, t: float) -> Traits:
    """The person between two people.

    Numbers are interpolated, pigments and colours of hair and eyes by their logarithm. Choices (style of hair, beard, garment and
    glasses, gender presentation) and the random streams are the nearer person's, at t = 0.5 those of `b`; strengths belonging to
    a choice ease off toward the change. t = 0 is exactly `a`, t = 1 exactly `b`.

    Args:
        t: share of `b`, 0..1.

    Raises:
        ValueError: t is out of range.
    """
    if not 0 <= t <= 1:
        raise ValueError(f"the share {t} is not in 0..1")
    if t in (0, 1):
        return b if t else a
    mix = _Mix(float(t))
    skin = _skin(mix, a.skin, b.skin)
    return Traits(
        seed=mix.choice(a.seed, b.seed), shape=mix.number(a.shape, b.shape).astype(np.float32),
        masculine=mix.choice(a.masculine, b.masculine), age=mix.number(a.age, b.age), ancestry=mix.number(a.ancestry, b.ancestry),
        skin=skin, hair=_hair(mix, a.hair, b.hair), brows=_brows(mix, a.brows, b.brows), beard=_beard(mix, a.beard, b.beard),
        eyes=_eyes(mix, a.eyes, b.eyes), makeup=_makeup(mix, a.makeup, b.makeup), garment=_garment(mix, a.garment, b.garment),
        accessories=_accessories(mix, a.accessories, b.accessories), light=_light(mix, a.light, b.light),
    )


@dataclass(frozen=True)
class _Mix:
    """The rules of mixing for one share `t` of the second person."""

    t: float

    def choice(self, a: _Value, b: _Value) -> _Value:
        return b if self.t >= 0.5 else a

    def far(self, a: _Value, b: _Value) -> _Value:
        """What `choice` did not take."""
        return a if self.t >= 0.5 else b

    @property
    def nearness(self) -> float:
        """1 at either person, falling to 0 where choices change."""
        return 1 - float(smoothstep(0, 0.5, min(self.t, 1 - self.t)))

    def number(self, a: _Value, b: _Value) -> _Value:
        return a + self.t * (b - a)

    def pigment(self, a: _Value, b: _Value) -> _Value:
        """Between two densities or albedos: even steps to the eye are even ratios."""
        mixed = np.exp(self.number(np.log(np.maximum(a, _DARKEST)), np.log(np.maximum(b, _DARKEST))))
        return mixed if isinstance(a, np.ndarray) else float(mixed)

    def direction(self, a: Array, b: Array) -> Array:
        return normalize(self.number(a, b))


def _skin(mix: _Mix, a: SkinTraits, b: SkinTraits) -> SkinTraits:
    melanin = mix.pigment(a.melanin, b.melanin)
    return SkinTraits(
        melanin=melanin, hemoglobin=mix.number(a.hemoglobin, b.hemoglobin), roughness=mix.number(a.roughness, b.roughness),
        oiliness=mix.number(a.oiliness, b.oiliness), blush=mix.number(a.blush, b.blush),
        freckles=mix.number(a.freckles, b.freckles) * (1 - float(smoothstep(0.65, 0.85, melanin))),  # fair skin only
        moles=round(mix.number(a.moles, b.moles)), lip_saturation=mix.number(a.lip_saturation, b.lip_saturation),
    )


def _hair(mix: _Mix, a: HairTraits, b: HairTraits) -> HairTraits:
    near, far = mix.choice(a, b), mix.far(a, b)
    length = mix.number(a.length, b.length)
    longer = _LENGTH_RANK[near.style] - _LENGTH_RANK[far.style]
    if longer:
        limit = _SHORTEST_HAIR if longer > 0 else _LONGEST_HAIR
        length += 0.6 * (1 - mix.nearness) * (limit - length)
    # fringe, ears and parting belong to the style
    return replace(
        near, color=mix.pigment(a.color, b.color), grey=mix.number(a.grey, b.grey), length=length,
        volume=mix.number(a.volume, b.volume), wave=mix.number(a.wave, b.wave), highlights=mix.number(a.highlights, b.highlights),
        recession=mix.number(a.recession, b.recession), hairline=mix.number(a.hairline, b.hairline),
    )


def _brows(mix: _Mix, a: BrowTraits, b: BrowTraits) -> BrowTraits:
    return BrowTraits(
        color=mix.pigment(a.color, b.color), thickness=mix.number(a.thickness, b.thickness),
        density=mix.number(a.density, b.density), height=mix.number(a.height, b.height), arch=mix.number(a.arch, b.arch),
        slant=mix.number(a.slant, b.slant),
    )


def _beard(mix: _Mix, a: BeardTraits, b: BeardTraits) -> BeardTraits:
    near, far = mix.choice(a, b), mix.far(a, b)
    density, length = mix.number(a.density, b.density), mix.number(a.length, b.length)
    if near.style != "none" and far.style == "none":
        density = _THINNEST_BEARD + mix.nearness * (near.density - _THINNEST_BEARD)
        length = _SHORTEST_BEARD + mix.nearness * (near.length - _SHORTEST_BEARD)
    return BeardTraits(style=near.style, color=mix.pigment(a.color, b.color), density=density, length=length,
                       edge=mix.number(a.edge, b.edge))


def _eyes(mix: _Mix, a: EyeTraits, b: EyeTraits) -> EyeTraits:
    return EyeTraits(mix.choice(a, b).iris_name, mix.pigment(a.iris, b.iris), mix.number(a.iris_radius, b.iris_radius),
                     mix.number(a.lash_length, b.lash_length))


def _makeup(mix: _Mix, a: MakeupTraits, b: MakeupTraits) -> MakeupTraits:
    """Where only one of the two wears make-up, it keeps its colours and comes late."""
    colors = mix
    if a.strength == 0 or b.strength == 0:
        share = mix.t if a.strength == 0 else 1 - mix.t
        mix = _Mix(share**2 if a.strength == 0 else 1 - share**2)
        colors = _Mix(float(a.strength == 0))
    return MakeupTraits(
        strength=mix.number(a.strength, b.strength), lipstick=mix.number(a.lipstick, b.lipstick),
        lip_color=colors.number(a.lip_color, b.lip_color), shadow_color=colors.number(a.shadow_color, b.shadow_color),
        liner=mix.number(a.liner, b.liner),
    )


def _garment(mix: _Mix, a: GarmentTraits, b: GarmentTraits) -> GarmentTraits:
    return replace(mix.choice(a, b), color=mix.number(a.color, b.color), accent=mix.number(a.accent, b.accent))


def _accessories(mix: _Mix, a: AccessoryTraits, b: AccessoryTraits) -> AccessoryTraits:
    near, far = mix.choice(a, b), mix.far(a, b)
    both = near.glasses != "none" and far.glasses != "none"
    return replace(
        near, frame_color=mix.number(a.frame_color, b.frame_color) if both else near.frame_color,
        frame_width=mix.number(a.frame_width, b.frame_width) if both else near.frame_width,
        hoop_radius=mix.number(a.hoop_radius, b.hoop_radius),
        metal=mix.number(a.metal, b.metal) if near.earrings and far.earrings else near.metal,
    )


def _light(mix: _Mix, a: LightRig, b: LightRig) -> LightRig:
    return LightRig(_box(mix, a.key, b.key), _box(mix, a.fill, b.fill), _box(mix, a.rim, b.rim), mix.number(a.sky, b.sky),
                    mix.number(a.ground, b.ground), mix.number(a.exposure, b.exposure))


def _box(mix: _Mix, a: SoftBox, b: SoftBox) -> SoftBox:
    return SoftBox(mix.direction(a.direction, b.direction), mix.number(a.color, b.color),
                   mix.number(a.intensity, b.intensity), mix.number(a.width, b.width))
