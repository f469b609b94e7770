"""Who the open head can be: the distribution that people are drawn from.

Each local modifier has its own mean and spread. The bones of the face (jaw, chin, cheekbones, nose, eye distance, brow, lips)
vary most, because they are what tells people apart; details such as folds and lobes vary less. A few modifiers are tied
together, as a square jaw comes with a wide chin. The means keep the resting face friendly: open eyes, no scowl, a slim jaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.bake_open_head.morphs import Morphs, Traits

CLIP_SIGMAS = 2.1  # further out, modifiers make caricatures
LIMIT = 0.75  # of a modifier's full strength
DEFAULT_SPREAD = 0.12
ASYMMETRY_SPREAD = 0.10


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of one modifier, in units of its full strength."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Tie:
    """A hidden trait that moves several modifiers together: (modifier, strength per standard deviation)."""

    pulls: tuple[tuple[str, float], ...]


SPREADS = {
    # lower face
    "chin-bones-decr|incr": Spread(-0.16, 0.20),
    "chin-width-decr|incr": Spread(-0.06, 0.20),
    "chin-height-decr|incr": Spread(0.0, 0.20),
    "chin-jaw-drop-decr|incr": Spread(0.0, 0.24),
    "chin-prominent-decr|incr": Spread(0.04, 0.22),
    "chin-prognathism-decr|incr": Spread(0.0, 0.16),
    "chin-cleft-decr|incr": Spread(0.0, 0.20),
    "chin-triangle": Spread(0.10, 0.14),
    "head-fat-decr|incr": Spread(-0.14, 0.13),
    # middle of the face
    "cheek-bones-decr|incr": Spread(0.10, 0.28),
    "cheek-volume-decr|incr": Spread(-0.06, 0.20),
    "cheek-inner-decr|incr": Spread(0.0, 0.22),
    "cheek-trans-down|up": Spread(0.0, 0.25),
    # outline
    "head-scale-horiz-decr|incr": Spread(-0.03, 0.085),
    "head-scale-vert-decr|incr": Spread(0.02, 0.085),
    "head-scale-depth-decr|incr": Spread(0.0, 0.12),
    "head-square|round": Spread(0.0, 0.09),
    "head-rectangular": Spread(0.0, 0.10),
    "head-triangular": Spread(0.0, 0.06),
    "head-invertedtriangular": Spread(0.14, 0.12),
    "head-diamond": Spread(0.0, 0.06),
    "head-oval": Spread(0.0, 0.09),
    "head-age-decr|incr": Spread(0.0, 0.08),
    "head-back-scale-depth-decr|incr": Spread(0.0, 0.12),
    "forehead-nubian-decr|incr": Spread(0.0, 0.05),
    "forehead-scale-vert-decr|incr": Spread(0.0, 0.07),
    "forehead-temple-decr|incr": Spread(0.04, 0.14),
    "forehead-trans-backward|forward": Spread(0.0, 0.16),
    # nose
    "nose-scale-vert-decr|incr": Spread(-0.08, 0.22),
    "nose-scale-depth-decr|incr": Spread(0.0, 0.22),
    "nose-scale-horiz-decr|incr": Spread(-0.16, 0.20),
    "nose-volume-decr|incr": Spread(-0.22, 0.15),
    "nose-width1-decr|incr": Spread(-0.04, 0.22),
    "nose-width2-decr|incr": Spread(-0.08, 0.22),
    "nose-width3-decr|incr": Spread(-0.12, 0.18),
    "nose-hump-decr|incr": Spread(0.02, 0.22),
    "nose-curve-concave|convex": Spread(0.0, 0.20),
    "nose-greek-decr|incr": Spread(0.0, 0.20),
    "nose-point-down|up": Spread(0.10, 0.16),
    "nose-point-width-decr|incr": Spread(-0.18, 0.20),
    "nose-base-down|up": Spread(0.08, 0.17),
    "nose-nostrils-width-decr|incr": Spread(-0.04, 0.18),
    "nose-nostrils-angle-down|up": Spread(0.0, 0.18),
    "nose-flaring-decr|incr": Spread(0.0, 0.18),
    "nose-trans-down|up": Spread(0.02, 0.10),
    "nose-trans-backward|forward": Spread(0.0, 0.12),
    # eyes and brows
    "eye-height1-decr|incr": Spread(0.13, 0.12),
    "eye-height2-decr|incr": Spread(0.21, 0.13),
    "eye-height3-decr|incr": Spread(0.13, 0.12),
    "eye-scale-decr|incr": Spread(0.09, 0.16),
    "eye-trans-in|out": Spread(0.0, 0.26),
    "eye-trans-down|up": Spread(0.0, 0.16),
    "eye-corner1-down|up": Spread(0.0, 0.20),
    "eye-corner2-down|up": Spread(0.05, 0.22),
    "eye-epicanthus-in|out": Spread(0.0, 0.10),
    "eye-bag-decr|incr": Spread(-0.15, 0.07),
    "eye-eyefold-angle-down|up": Spread(0.0, 0.09),
    "eyebrows-trans-down|up": Spread(0.04, 0.22),
    "eyebrows-trans-backward|forward": Spread(0.0, 0.16),
    "eyebrows-angle-down|up": Spread(0.08, 0.10),
    # mouth
    "mouth-scale-horiz-decr|incr": Spread(0.22, 0.18),
    "mouth-scale-vert-decr|incr": Spread(-0.24, 0.17),
    "mouth-scale-depth-decr|incr": Spread(0.0, 0.14),
    "mouth-upperlip-height-decr|incr": Spread(-0.04, 0.17),
    "mouth-lowerlip-height-decr|incr": Spread(-0.04, 0.17),
    "mouth-upperlip-volume-decr|incr": Spread(-0.02, 0.15),
    "mouth-lowerlip-volume-decr|incr": Spread(-0.14, 0.15),
    "mouth-upperlip-width-decr|incr": Spread(0.0, 0.16),
    "mouth-lowerlip-width-decr|incr": Spread(0.0, 0.16),
    "mouth-cupidsbow-decr|incr": Spread(0.0, 0.18),
    "mouth-cupidsbow-width-decr|incr": Spread(0.0, 0.18),
    "mouth-philtrum-volume-decr|incr": Spread(0.0, 0.16),
    "mouth-trans-down|up": Spread(0.0, 0.10),
    "mouth-trans-backward|forward": Spread(0.0, 0.08),
    "mouth-angles-down|up": Spread(0.24, 0.06),
    "mouth-laugh-lines-in|out": Spread(0.0, 0.06),
    "mouth-dimples-in|out": Spread(0.0, 0.08),
    # ears
    "ear-scale-decr|incr": Spread(0.0, 0.22),
    "ear-wing-decr|incr": Spread(0.0, 0.24),
    "ear-lobe-decr|incr": Spread(0.0, 0.22),
}
ONE_SIDED = ("chin-triangle", "head-rectangular", "head-triangular", "head-invertedtriangular", "head-diamond", "head-oval")
NECK_SPREAD = 0.06
TIES = (
    Tie((("chin-bones-decr|incr", 0.18), ("chin-width-decr|incr", 0.14), ("head-square|round", -0.07), ("head-rectangular", 0.08),
         ("chin-triangle", -0.10))),  # pointed .. square jaw
    Tie((("head-scale-vert-decr|incr", 0.06), ("chin-height-decr|incr", 0.14), ("nose-scale-vert-decr|incr", 0.14),
         ("head-scale-horiz-decr|incr", -0.05))),  # short and wide .. long and narrow
    Tie((("mouth-upperlip-height-decr|incr", 0.14), ("mouth-lowerlip-height-decr|incr", 0.16),
         ("mouth-upperlip-volume-decr|incr", 0.14), ("mouth-lowerlip-volume-decr|incr", 0.14),
         ("mouth-scale-vert-decr|incr", 0.08))),  # thin .. full lips
    Tie((("nose-scale-horiz-decr|incr", 0.16), ("nose-width2-decr|incr", 0.10), ("nose-width3-decr|incr", 0.10),
         ("nose-nostrils-width-decr|incr", 0.10))),  # narrow .. wide nose
    Tie((("cheek-volume-decr|incr", 0.12), ("head-fat-decr|incr", 0.10),
         ("cheek-bones-decr|incr", -0.10))),  # hollow .. full cheeks
)


@dataclass(frozen=True)
class Person:
    """One draw: macro traits and the local modifiers [M]."""

    traits: Traits
    local: NDArray[np.float64]


def draw_person(morphs: Morphs, rng: np.random.Generator) -> Person:
    """Draw macro traits and modifiers independently of each other."""
    traits = Traits(gender=rng.beta(0.35, 0.35), age=0.28 + 0.62 * rng.uniform() ** 1.1, origin=rng.dirichlet([0.45] * 3),
                    muscle=float(np.clip(rng.normal(0.48, 0.16), 0, 1)), weight=float(np.clip(rng.normal(0.42, 0.17), 0, 1)))
    local = np.array([_draw(name, rng) for name in morphs.names])
    row = {name: i for i, name in enumerate(morphs.names)}
    for tie in TIES:
        strength = float(np.clip(rng.normal(), -CLIP_SIGMAS, CLIP_SIGMAS))
        for name, pull in tie.pulls:
            local[row[name]] += pull * strength
    for name in ONE_SIDED:
        local[row[name]] = max(local[row[name]], 0.0)
    return Person(traits, np.clip(local, -LIMIT, LIMIT))


def _draw(name: str, rng: np.random.Generator) -> float:
    if name.startswith("asym"):
        spread = Spread(0.0, ASYMMETRY_SPREAD)
    elif name.startswith(("neck", "measure")):
        spread = Spread(0.0, NECK_SPREAD)
    else:
        spread = SPREADS.get(name, Spread(0.0, DEFAULT_SPREAD))
    return spread.mean + spread.deviation * float(np.clip(rng.normal(), -CLIP_SIGMAS, CLIP_SIGMAS))
