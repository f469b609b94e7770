"""A studio person as numbers: what a generator is told about appearance (the shape has a channel of its own)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.studio.traits import BEARDS, HAIR_STYLES, Traits
from core.types import FloatArray

FRINGES = ("none", "full", "side")
GARMENTS = ("crew", "vneck", "collar", "hoodie", "turtle")
_CHOICE = 2.0  # height of the one in a one-of-many code: a choice changes more than a standard deviation of a number


def trait_vector(traits: Traits) -> FloatArray:
    """The appearance of a person [Z] float32: numbers roughly of unit variance, and one-of-many codes.

    Glasses and earrings are left out: they are no part of the head's surface.
    """
    parts = (_person(traits), _skin(traits), _hair(traits), _brows_and_beard(traits), _eyes_and_makeup(traits), _garment(traits),
             _light(traits))
    return np.concatenate([np.asarray(part, np.float32).reshape(-1) for group in parts for part in group])


def _one_of(value: str, choices: Sequence[str]) -> FloatArray:
    code = np.zeros(len(choices), np.float32)
    if value in choices:
        code[choices.index(value)] = _CHOICE
    return code


def _number(value: float, mean: float, deviation: float) -> float:
    return (value - mean) / deviation


def _color(value: np.ndarray) -> np.ndarray:
    """Linear albedo, in steps that look even."""
    return 2.5 * np.sqrt(np.clip(value, 0, None)) - 1.0


def _person(t: Traits) -> tuple:
    return 1.0 if t.masculine else -1.0, _number(t.age, 42, 14), (t.ancestry - 1 / 3) / 0.35


def _skin(t: Traits) -> tuple:
    s = t.skin
    return (_number(np.log(s.melanin), -0.2, 0.5), _number(s.hemoglobin, 0.27, 0.045), _number(s.roughness, 1.0, 0.3),
            _number(s.oiliness, 1.0, 0.3), _number(s.blush, 1.0, 0.45), s.freckles / 0.4, s.moles / 1.5 - 1,
            _number(s.lip_saturation, 0.8, 0.27))


def _hair(t: Traits) -> tuple:
    h = t.hair
    return (_one_of(h.style, HAIR_STYLES), _color(h.color), h.grey / 0.15, _one_of(h.fringe, FRINGES),
            1.0 if h.ears_covered else -1.0, h.parting / 0.02, _number(h.length, 1.0, 0.12), _number(h.volume, 1.0, 0.18),
            _number(h.wave, 0.5, 0.29), _number(h.highlights, 0.5, 0.35), h.recession / 0.3, h.hairline / 0.0025)


def _brows_and_beard(t: Traits) -> tuple:
    b, beard = t.brows, t.beard
    shown = 0.0 if beard.style == "none" else 1.0
    return (_color(b.color), _number(b.thickness, 1.0, 0.2), _number(b.density, 1.0, 0.15), b.height / 0.001, b.arch / 0.001,
            b.slant / 0.4, _one_of(beard.style, BEARDS), shown * _color(beard.color), shown * _number(beard.density, 1.0, 0.15),
            shown * _number(beard.length, 1.0, 0.2), shown * beard.edge / 0.004)


def _eyes_and_makeup(t: Traits) -> tuple:
    e, m = t.eyes, t.makeup
    return (_color(e.iris), _number(e.iris_radius, 1.01, 0.023), _number(e.lash_length, 0.9, 0.22), 2 * m.strength - 0.5,
            m.lipstick / 0.2, m.lipstick * _color(m.lip_color), m.strength * _color(m.shadow_color), m.liner / 0.3)


def _garment(t: Traits) -> tuple:
    g = t.garment
    return _one_of(g.style, GARMENTS), _color(g.color), _color(g.accent), 2.0 if g.stripes else 0.0


def _light(t: Traits) -> tuple:
    light = t.light
    return (2 * light.key.direction, (light.key.color - [0.98, 0.926, 0.853]) / 0.012, _number(light.key.intensity, 4.1, 0.29),
            _number(light.fill.intensity, 0.53, 0.075), _number(light.rim.intensity, 2.2, 0.35),
            _number(float(light.ground.mean()), 0.3, 0.043), _number(light.exposure, 0.875, 0.026))


TRAIT_VECTOR_SIZE = 2 + 3 + 8 + len(HAIR_STYLES) + 3 + 1 + len(FRINGES) + 8 + 3 + 5 + len(BEARDS) + 6 + 3 + 2 + 2 + 6 + 1 \
    + len(GARMENTS) + 7 + 3 + 3 + 5
