"""seed -> who this person is. Only this module (with `casting` and `palette`) decides what the population looks like."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from core.head.model import HeadModel
from core.studio import palette
from core.studio.casting import cast_shape
from core.studio.light import LightRig, sample_light
from core.studio.numerics import Array, smoothstep
from core.types import FloatArray

HAIR_STYLES = ("buzz", "textured", "fade", "side part", "slick", "pixie", "bob", "long", "wavy", "ponytail", "bun", "curly",
               "afro", "braids", "bald")
BEARDS = ("none", "stubble", "short", "full", "goatee")
MAXIMUM_SEED = 2**32 - 1


@dataclass(frozen=True)
class SkinTraits:
    """Pigments and marks. Melanin about 0.26 (very fair) to 2.4 (very dark); haemoglobin about 0.15 to 0.4."""

    melanin: float
    hemoglobin: float
    roughness: float
    oiliness: float
    blush: float
    freckles: float
    moles: int
    lip_saturation: float


@dataclass(frozen=True)
class HairTraits:
    """Hair of the head. `parting` is where it falls apart (metres from the middle); length and volume are factors around 1."""

    style: str
    color_name: str
    color: Array
    grey: float
    fringe: str
    ears_covered: bool
    parting: float
    length: float
    volume: float
    wave: float
    highlights: float
    recession: float
    hairline: float


@dataclass(frozen=True)
class BrowTraits:
    """Brows: factors around 1 for thickness and density, offsets in metres for height and arch, `slant` in -1..1."""

    color: Array
    thickness: float
    density: float
    height: float
    arch: float
    slant: float


@dataclass(frozen=True)
class BeardTraits:
    style: str
    color: Array
    density: float
    length: float
    edge: float


@dataclass(frozen=True)
class EyeTraits:
    iris_name: str
    iris: Array
    iris_radius: float
    lash_length: float


@dataclass(frozen=True)
class MakeupTraits:
    """Strengths 0..1 and colours."""

    strength: float
    lipstick: float
    lip_color: Array
    shadow_color: Array
    liner: float


@dataclass(frozen=True)
class GarmentTraits:
    style: str
    color: Array
    accent: Array
    stripes: bool


@dataclass(frozen=True)
class AccessoryTraits:
    """What is worn: shape of the glasses ("none" for none) and their frame, earrings and their metal."""

    glasses: str
    frame_color: Array
    frame_width: float
    earrings: bool
    hoops: bool
    hoop_radius: float
    metal: Array


@dataclass(frozen=True)
class Traits:
    """Everything that tells one studio person from another.

    Attributes:
        seed: 0 .. 2**32 - 1.
        shape: [S] float32 shape coefficients of the head model.
        masculine: gender presentation.
        age: years.
        ancestry: [3] weights of the head bank's three origins.
    """

    seed: int
    shape: FloatArray
    masculine: bool
    age: float
    ancestry: Array
    skin: SkinTraits
    hair: HairTraits
    brows: BrowTraits
    beard: BeardTraits
    eyes: EyeTraits
    makeup: MakeupTraits
    garment: GarmentTraits
    accessories: AccessoryTraits
    light: LightRig

    def generator(self, purpose: str) -> np.random.Generator:
        """An independent random stream for one part of the build, so that parts do not disturb each other."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])

    def noise_seed(self, purpose: str) -> int:
        """An offset for the value noise of one part of the build."""
        return zlib.crc32(f"{purpose} {self.seed}".encode()) % 60000


def sample_traits(seed: int, head: HeadModel) -> Traits:
    """The person behind a seed.

    Args:
        seed: 0 .. 2**32 - 1; the same seed is the same person on every machine.
        head: an open head with a shape bank.

    Raises:
        ValueError: the seed is out of range.
    """
    if not 0 <= seed <= MAXIMUM_SEED:
        raise ValueError(f"seed {seed} is not in 0..{MAXIMUM_SEED}")
    rng = np.random.default_rng([seed, 0])
    masculine = bool(rng.uniform() < 0.5)
    wanted_age = 19 + 55 * rng.beta(1.05, 1.65)
    cast = cast_shape(head, masculine, wanted_age, rng.dirichlet([0.45] * 3), np.random.default_rng([seed, 1]))
    age = float(np.clip(cast.age, 18, 75))
    skin = _sample_skin(masculine, cast.ancestry, age, rng)
    hair, base_color = _sample_hair(masculine, age, skin.melanin, cast.ancestry, rng)
    return Traits(
        seed=seed, shape=cast.shape, masculine=masculine, age=age, ancestry=cast.ancestry, skin=skin, hair=hair,
        brows=_sample_brows(masculine, base_color, hair.grey, rng),
        beard=_sample_beard(masculine, age, base_color, rng),
        eyes=_sample_eyes(masculine, skin.melanin, rng),
        makeup=_sample_makeup(masculine, rng),
        garment=_sample_garment(rng),
        accessories=_sample_accessories(masculine, age, rng),
        light=sample_light(rng),
    )


def _weighted(table: dict[str, float], rng: np.random.Generator) -> str:
    names = list(table)
    weights = np.maximum(np.array([table[n] for n in names], np.float64), 0)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _by_skin(table: dict[str, tuple[float, float, float]], melanin: float) -> dict[str, float]:
    """Weights for a skin: the table's columns stand for melanin 0.4, 0.85 and 1.5."""
    return {name: float(np.interp(melanin, (0.4, 0.85, 1.5), row)) for name, row in table.items()}


def _sample_skin(masculine: bool, ancestry: Array, age: float, rng: np.random.Generator) -> SkinTraits:
    melanin = float(np.clip(ancestry @ [1.95, 0.56, 0.38] + rng.normal(0, 0.18), 0.41, 2.4))
    return SkinTraits(
        melanin=melanin,
        hemoglobin=float(np.clip(rng.normal(0.27, 0.045), 0.19, 0.38)),
        roughness=float(np.clip(rng.normal(1.0, 0.30) + 0.4 * smoothstep(45, 75, age), 0.4, 2.0)),
        oiliness=float(np.clip(rng.normal(1.0, 0.30), 0.4, 1.8)),
        blush=float(np.clip(rng.normal(1.0, 0.45), 0.2, 2.2)),
        freckles=float(np.clip(rng.normal(-0.25, 0.5), 0, 1.2)) * (melanin < 0.65),
        moles=int(rng.integers(0, 4)),
        lip_saturation=float(np.clip(rng.normal(0.65 if masculine else 1.0, 0.22), 0.3, 1.5)),
    )


def _style_weights(masculine: bool, age: float, african: float) -> dict[str, float]:
    coily = float(smoothstep(0.35, 0.65, african))
    if masculine:
        return {"buzz": 0.10 + 0.10 * coily, "textured": 0.19, "fade": 0.17, "side part": 0.18, "slick": 0.09, "long": 0.035,
                "wavy": 0.045, "ponytail": 0.015, "bun": 0.035, "curly": 0.11, "afro": 0.20 * coily, "braids": 0.10 * coily,
                "bald": 0.02 + 0.004 * max(0.0, age - 35)}
    return {"buzz": 0.018, "pixie": 0.11, "bob": 0.17, "long": 0.17, "wavy": 0.19, "ponytail": 0.12, "bun": 0.10, "curly": 0.13,
            "afro": 0.22 * coily, "braids": 0.17 * coily, "slick": 0.012, "bald": 0.006}


_FRINGE_WEIGHTS = {
    "bob": {"none": 0.4, "full": 0.3, "side": 0.3},
    "long": {"none": 0.45, "full": 0.25, "side": 0.3},
    "wavy": {"none": 0.55, "side": 0.45},
    "pixie": {"side": 1.0},
    "ponytail": {"none": 0.5, "full": 0.2, "side": 0.3},
    "bun": {"none": 0.65, "side": 0.35},
}


def _sample_hair(masculine: bool, age: float, melanin: float, ancestry: Array,
                 rng: np.random.Generator) -> tuple[HairTraits, str]:
    """Hair of the head, and the natural colour behind it (brows and beard keep it when the hair is dyed)."""
    color_weights = _by_skin(palette.HAIR_COLOR_WEIGHTS, melanin)
    total = sum(color_weights.values())
    greying = float(smoothstep(44, 74, age))
    color_weights["grey"] = total * 0.75 * greying
    color_weights["white"] = total * 0.75 * greying**2
    natural = _weighted(color_weights, rng)
    style = _weighted(_style_weights(masculine, age, ancestry[0]), rng)
    color, name = np.array(palette.HAIR_COLORS[natural]) * rng.uniform(0.85, 1.2), natural
    dyed = rng.uniform() < 0.05 and natural not in ("grey", "white") and age < 60
    dye = palette.DYED_COLORS[rng.integers(len(palette.DYED_COLORS))]
    if dyed:
        color, name = np.array(dye), "dyed"
    silver = natural in ("grey", "white")
    return HairTraits(
        style=style, color_name=name, color=color,
        grey=0.0 if silver or dyed else float(np.clip((age - 42) / 30, 0, 0.55) * rng.uniform()),
        fringe=_weighted(_FRINGE_WEIGHTS.get(style, {"none": 1.0}), rng),
        ears_covered=bool(rng.uniform() < 0.6),
        parting=float(rng.choice([-1, 1]) * rng.choice([0.004, 0.022, 0.034])),
        length=float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.3)),
        volume=float(np.clip(rng.normal(1.0, 0.18), 0.6, 1.5)),
        wave=float(rng.uniform()),
        highlights=float(np.clip(rng.normal(0.5, 0.35), 0.0, 1.2)),
        recession=float(smoothstep(30, 68, age) * rng.uniform(0.2, 1.3)) if masculine else 0.0,
        hairline=float(rng.normal(0, 0.0025)),
    ), natural


def _sample_brows(masculine: bool, natural: str, grey: float, rng: np.random.Generator) -> BrowTraits:
    color = np.array(palette.BROW_COLORS[natural]) * rng.uniform(0.85, 1.1)
    return BrowTraits(
        color=color * (1 - 0.3 * grey) + 0.3 * grey * np.array(palette.BROW_COLORS["grey"]),
        thickness=float(np.clip(rng.normal(1.12 if masculine else 0.92, 0.17), 0.6, 1.6)),
        density=float(np.clip(rng.normal(1.0, 0.15), 0.6, 1.35)),
        height=float(np.clip(rng.normal(0.0, 0.0010), -0.002, 0.002)),
        arch=float(np.clip(rng.normal(0.0000 if masculine else 0.0006, 0.0009), -0.0018, 0.0022)),
        slant=float(np.clip(rng.normal(0.0, 0.4), -1, 1)),
    )


def _sample_beard(masculine: bool, age: float, natural: str, rng: np.random.Generator) -> BeardTraits:
    weights = {"none": 0.42, "stubble": 0.24, "short": 0.17, "full": 0.09, "goatee": 0.08}
    style = _weighted(weights if masculine and age > 20 else {"none": 1.0}, rng)
    color = np.array(palette.HAIR_COLORS[natural])
    darker = 0.25 * color + 0.75 * np.array(palette.BROW_COLORS[natural])
    return BeardTraits(
        style=style, color=darker * rng.uniform(0.9, 1.15),
        density=float(np.clip(rng.normal(1.0, 0.15), 0.7, 1.3)),
        length=float(np.clip(rng.normal(1.0, 0.2), 0.6, 1.5)),
        edge=float(rng.normal(0, 0.004)),
    )


def _sample_eyes(masculine: bool, melanin: float, rng: np.random.Generator) -> EyeTraits:
    name = _weighted(_by_skin(palette.IRIS_WEIGHTS, melanin), rng)
    return EyeTraits(name, np.array(palette.IRIS_COLORS[name]) * rng.uniform(0.85, 1.2), float(rng.uniform(0.97, 1.05)),
                     float(np.clip(rng.normal(0.72 if masculine else 1.05, 0.14), 0.5, 1.4)))


def _sample_makeup(masculine: bool, rng: np.random.Generator) -> MakeupTraits:
    strength = 0.0 if masculine else float(rng.choice([0.0, 0.5, 1.0], p=[0.40, 0.38, 0.22]))
    return MakeupTraits(
        strength=strength,
        lipstick=strength * float(rng.uniform(0.25, 0.75)),
        lip_color=np.array(palette.LIPSTICKS[rng.integers(len(palette.LIPSTICKS))]),
        shadow_color=np.array(palette.EYE_SHADOWS[rng.integers(len(palette.EYE_SHADOWS))]),
        liner=strength * float(rng.uniform(0.3, 1.0)),
    )


def _sample_garment(rng: np.random.Generator) -> GarmentTraits:
    style = _weighted({"crew": 0.34, "vneck": 0.16, "collar": 0.22, "hoodie": 0.18, "turtle": 0.10}, rng)
    first, second = rng.choice(len(palette.GARMENT_COLORS), 2, replace=False)
    stripes = bool(style in ("crew", "turtle") and rng.uniform() < 0.22)
    return GarmentTraits(style, np.array(palette.GARMENT_COLORS[first]) * rng.uniform(0.85, 1.1),
                         np.array(palette.GARMENT_COLORS[second]), stripes)


def _sample_accessories(masculine: bool, age: float, rng: np.random.Generator) -> AccessoryTraits:
    wears_glasses = bool(rng.uniform() < 0.12 + 0.10 * smoothstep(40, 65, age))
    shape = _weighted({"round": 0.4, "rectangular": 0.35, "oval": 0.25}, rng)
    thick = bool(rng.uniform() < 0.55)
    frame = palette.FRAME_COLORS[rng.integers(len(palette.FRAME_COLORS))]
    return AccessoryTraits(
        glasses=shape if wears_glasses else "none",
        frame_color=np.array(frame), frame_width=0.00085 if thick else 0.00050,
        earrings=bool(rng.uniform() < (0.06 if masculine else 0.45)),
        hoops=bool(not masculine and rng.uniform() < 0.4), hoop_radius=float(rng.uniform(0.006, 0.012)),
        metal=np.array(palette.METALS[rng.integers(len(palette.METALS))]),
    )
