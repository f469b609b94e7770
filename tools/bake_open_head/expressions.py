"""The 49 expression columns, and a resting face that looks at rest.

MakeHuman's neutral face has ajar lips, sleepy eyes and drooping corners of the mouth. A little of three expressions and a seal of
the lips are put into the template. So that an expression at 1 still ends on the artist's pose, the columns of those three are
shortened, and the columns that work against one of these offsets take it out again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.bake_open_head.source import read_target
from tools.bake_open_head.topology import Topology

DECIMETRE = 0.1  # metres
JAW_UNITS = ("jawOpen", "jawLeft", "jawRight")  # the jaw joint does these
RESTING_FACE = {"eyeWide": 0.20, "mouthSmile": 0.12, "browOuterUp": 0.04}
SEALED_LIPS = "sealedLips"
SIDE_BLEND = 0.006  # metres over which left and right releases cross over at the symmetry plane


@dataclass(frozen=True)
class Release:
    """The share of a resting offset that an expression takes out when it is fully on, each side on its own side."""

    expression: str
    resting: str
    share: float = 1.0


RELEASES = (
    Release("eyeBlink", "eyeWide"),  # a blink must still close
    Release("eyeSquint", "eyeWide", 0.5),
    Release("browDown", "browOuterUp"),
    Release("mouthFrown", "mouthSmile"),
    Release("mouthPucker", "mouthSmile"),
    Release("mouthFunnel", "mouthSmile"),
    Release("mouthFunnel", SEALED_LIPS),  # these part the lips, as the jaw does
    Release("mouthLowerDown", SEALED_LIPS),
    Release("mouthUpperUp", SEALED_LIPS, 0.5),
    Release("mouthClose", SEALED_LIPS, -1.0),  # closes what the jaw opens: gives back the seal that the jaw took
    Release("mouthRollUpper", SEALED_LIPS, 0.6),  # from here on: the lips press together, less of the tucked edge is needed
    Release("mouthRollLower", SEALED_LIPS, 0.25),
    Release("mouthShrugLower", SEALED_LIPS, 0.7),
    Release("mouthPucker", SEALED_LIPS, 0.6),
    Release("cheekPuff", SEALED_LIPS, 0.35),
    Release("mouthPress", SEALED_LIPS, 0.35),
    Release("mouthLeft", SEALED_LIPS, 0.25),
    Release("mouthRight", SEALED_LIPS, 0.25),
)


@dataclass(frozen=True)
class Expressions:
    """Expression columns around a resting face.

    Attributes:
        names: [E] ARKit's names.
        columns: [V, 3, E] metres at full activation.
        artist: [V, 3, E] the artist's offsets from the unchanged face.
        resting: [V, 3] the offset that makes the resting face.
    """

    names: tuple[str, ...]
    columns: NDArray[np.float64]
    artist: NDArray[np.float64]
    resting: NDArray[np.float64]


def read_units(folder: Path, topology: Topology) -> dict[str, NDArray[np.float64]]:
    """Offsets [V, 3] in metres of the 52 face units by name."""
    count = len(topology.base.vertices)
    return {path.stem: DECIMETRE * topology.lift(read_target(path, count)) for path in sorted(folder.glob("*.target"))}


def build_expressions(units: dict[str, NDArray], topology: Topology, mean: NDArray, sealed_lips: NDArray) -> Expressions:
    """Columns of all units but the jaw's; eyeballs stay still, as the eye joints turn them."""
    names = tuple(name for name in units if name not in JAW_UNITS)
    artist = np.stack([units[name] for name in names], -1)
    artist[len(topology.source):] = 0
    columns = artist.copy()
    offsets = {SEALED_LIPS: sealed_lips}
    for base_name, share in RESTING_FACE.items():
        for name in _sides(base_name, names):
            offsets[name] = share * artist[:, :, names.index(name)]
            columns[:, :, names.index(name)] *= 1 - share
    for release in RELEASES:
        for name in _sides(release.expression, names):
            side = name.removeprefix(release.expression)
            columns[:, :, names.index(name)] -= release.share * _offset_on_side(offsets, release.resting, side, mean)
    return Expressions(names, columns, artist, sum(offsets.values()))


def _sides(name: str, names: tuple[str, ...]) -> list[str]:
    return [known for known in names if known in (name, f"{name}Left", f"{name}Right")]


def _offset_on_side(offsets: dict[str, NDArray], name: str, side: str, mean: NDArray) -> NDArray[np.float64]:
    """The offset `name` [V, 3] of one side (``Left``, ``Right``), or of both when `side` is empty."""
    if f"{name}{side}" in offsets and side:
        return offsets[f"{name}{side}"]
    whole = sum(offsets[known] for known in _sides(name, tuple(offsets)))
    if not side:
        return whole
    left = np.clip(0.5 + mean[:, :1] / (2 * SIDE_BLEND), 0, 1)
    return whole * (left if side == "Left" else 1 - left)
