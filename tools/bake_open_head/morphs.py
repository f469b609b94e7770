"""MakeHuman's morph targets as macro traits (sex, age, origin, muscle, weight) and signed local modifiers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.bake_open_head.source import read_target
from tools.bake_open_head.topology import Topology

SEXES, AGES, LEVELS = ("female", "male"), ("child", "young", "old"), ("min", "average", "max")
ORIGINS = ("african", "asian", "caucasian")
LOCAL_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
UNUSED = ("head-trans", "neck-trans", "nose-trans-in", "nose-trans-out", "mouth-trans-in", "mouth-trans-out", "head-angle",
          "ear-flap", "ear-shape-pointed", "ear-shape-triangle", "measure-neck-height", "neck-double")
ASYMMETRY = ("brown", "cheek", "eye", "jaw", "mouth", "nose")
OPPOSITES = (("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
             ("compress", "uncompress"), ("square", "round"))


@dataclass(frozen=True)
class Traits:
    """The macro traits of one person.

    Attributes:
        gender: 0 female .. 1 male.
        age: 0 child, 0.5 = 25 years, 1 = 80 years.
        origin: african, asian, caucasian shares that sum to 1.
        muscle, weight: 0..1, 0.5 average.
    """

    gender: float
    age: float
    origin: NDArray[np.float64]
    muscle: float
    weight: float

    def row(self) -> NDArray[np.float64]:
        """[7] as `core.head.model.SHAPE_BANK_TRAITS` orders them."""
        return np.array([self.gender, self.age, *self.origin, self.muscle, self.weight])


@dataclass(frozen=True)
class Morphs:
    """All offsets a head is mixed from, lifted to the head's vertices, decimetres.

    Attributes:
        universal: [2 sexes, 3 ages, 3 muscle, 3 weight, V, 3].
        origins: [3 origins, 2 sexes, 3 ages, V, 3].
        names: [M] names of the local modifiers; those of asymmetry start with ``asym``.
        modifiers: [M, 2, V, 3], for negative and for positive values.
    """

    universal: NDArray[np.float32]
    origins: NDArray[np.float32]
    names: tuple[str, ...]
    modifiers: NDArray[np.float32]

    def weights(self, traits: Traits, local: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of every offset a person has: macro corners, then origins, then both sides of the modifiers."""
        sex = np.array([1 - traits.gender, traits.gender])
        age = _corners(traits.age)
        universal = np.einsum("a,b,c,d->abcd", sex, age, _corners(traits.muscle), _corners(traits.weight))
        origins = np.einsum("a,b,c->abc", traits.origin, sex, age)
        signed = np.stack([np.maximum(-local, 0), np.maximum(local, 0)], 1)
        return np.concatenate([universal.ravel(), origins.ravel(), signed.ravel()])

    def offsets(self) -> NDArray[np.float32]:
        """All offsets [., 3V] in the order of `weights`."""
        size = self.modifiers.shape[2] * 3
        return np.concatenate([group.reshape(-1, size) for group in (self.universal, self.origins, self.modifiers)])


def _corners(x: float) -> NDArray[np.float64]:
    """Weights of the low, middle and high corner of a 0..1 trait."""
    return np.array([max(0.0, 1 - 2 * x), 1 - abs(2 * x - 1), max(0.0, 2 * x - 1)])


def read_morphs(targets: Path, topology: Topology) -> Morphs:
    """Read the targets folder of the base mesh."""
    count = len(topology.base.vertices)

    def lifted(path: Path) -> NDArray[np.float32]:
        return topology.lift(read_target(path, count)).astype(np.float32)

    macro = targets / "macrodetails"
    universal = [lifted(macro / f"universal-{sex}-{age}-{muscle}muscle-{weight}weight.target.gz")
                 for sex in SEXES for age in AGES for muscle in LEVELS for weight in LEVELS]
    origins = [lifted(macro / f"{origin}-{sex}-{age}.target.gz") for origin in ORIGINS for sex in SEXES for age in AGES]
    local = {_name(path): lifted(path) for folder in LOCAL_FOLDERS for path in sorted((targets / folder).glob("*.target.gz"))
             if not _stem(_name(path)).startswith(UNUSED)}
    asymmetric = {_name(path): lifted(path) for path in sorted((targets / "asym").glob("asym-*.target.gz"))
                  if path.name.split("-")[1] in ASYMMETRY}
    pairs = _pair_up(local)
    asymmetric_pairs = {name: (asymmetric[f"{name}-l"], asymmetric[f"{name}-r"]) for name in sorted({k[:-2] for k in asymmetric})}
    names = (*sorted(pairs), *asymmetric_pairs)
    modifiers = np.stack([np.stack(pairs.get(name) or asymmetric_pairs[name]) for name in names])
    size = modifiers.shape[2:]
    return Morphs(np.reshape(universal, (2, 3, 3, 3, *size)), np.reshape(origins, (3, 2, 3, *size)), names, modifiers)


def _name(path: Path) -> str:
    return path.name.removesuffix(".target.gz")


def _stem(name: str) -> str:
    return name.removeprefix("l-").removeprefix("r-")


def _pair_up(local: dict[str, NDArray]) -> dict[str, tuple[NDArray, NDArray]]:
    """Merge left with right and opposites with each other: name -> (negative, positive) offsets.

    ``l-eye-scale-decr``, ``r-eye-scale-decr``, ``l-eye-scale-incr`` and ``r-eye-scale-incr`` become ``eye-scale-decr|incr``.
    """
    zero = np.zeros_like(next(iter(local.values())))
    sides: dict[str, list[NDArray]] = {}
    for name, offset in local.items():
        stem, positive = _stem(name), True
        for low, high in OPPOSITES:
            if stem.endswith((f"-{low}", f"-{high}")):
                positive = stem.endswith(f"-{high}")
                stem = f"{stem.rsplit('-', 1)[0]}-{low}|{high}"
                break
        pair = sides.setdefault(stem, [zero, zero])
        pair[positive] = pair[positive] + offset
    return {name: (negative, positive) for name, (negative, positive) in sides.items()}
