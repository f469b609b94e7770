"""The 49 expression columns, and a resting face that looks at rest.

MakeHuman's neutral face has ajar lips, sleepy eyes and drooping corners of the mouth. A little of four expressions is put into
the template. So that an expression at 1 still ends on the artist's pose, the columns of those four are shortened, and the
columns that work against one of them take it out again.
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
RESTING_FACE = {"mouthClose": 0.20, "eyeWide": 0.20, "mouthSmile": 0.12, "browOuterUp": 0.04}
SIDE_BLEND = 0.006  # metres over which left and right releases cross over at the symmetry plane


@dataclass(frozen=True)
class Release:
    """How much of a resting offset an expression takes out when it is fully on, and where (``all``, ``upper``, ``lower`` lip)."""

    expression: str
    resting: str
    share: float = 1.0
    where: str = "all"


RELEASES = (
    Release("eyeBlink", "eyeWide"),  # a blink must still close
    Release("eyeSquint", "eyeWide", 0.5),
    Release("browDown", "browOuterUp"),
    Release("mouthFrown", "mouthSmile"),
    Release("mouthPucker", "mouthSmile"),
    Release("mouthFunnel", "mouthSmile"),
    Release("mouthFunnel", "mouthClose"),
    Release("mouthLowerDown", "mouthClose", where="lower"),
    Release("mouthUpperUp", "mouthClose", where="upper"),
    Release("mouthPress", "mouthClose"),
)


@dataclass(frozen=True)
class Expressions:
    """Expression columns around a biased resting face.

    Attributes:
        names: [E] ARKit's names.
        columns: [V, 3, E] metres at full activation.
        artist: [V, 3, E] the artist's offsets from the unbiased face.
        resting: [V, 3] the offset that makes the resting face.
        sealed_lips: [V, 3] the part of it that closes the mouth.
    """

    names: tuple[str, ...]
    columns: NDArray[np.float64]
    artist: NDArray[np.float64]
    resting: NDArray[np.float64]
    sealed_lips: NDArray[np.float64]


def read_units(folder: Path, topology: Topology) -> dict[str, NDArray[np.float64]]:
    """Offsets [V, 3] in metres of the 52 face units by name."""
    count = len(topology.base.vertices)
    return {path.stem: DECIMETRE * topology.lift(read_target(path, count)) for path in sorted(folder.glob("*.target"))}


def build_expressions(units: dict[str, NDArray], topology: Topology, mean: NDArray, jaw_weights: NDArray) -> Expressions:
    """Columns of all units but the jaw's; eyeballs stay still, as the eye joints turn them."""
    names = tuple(name for name in units if name not in JAW_UNITS)
    artist = np.stack([units[name] for name in names], -1)
    artist[len(topology.source):] = 0
    column = {name: i for i, name in enumerate(names)}
    columns = artist.copy()
    resting = np.zeros_like(mean)
    for base_name, share in RESTING_FACE.items():
        for name in _sides(base_name, names):
            resting += share * artist[:, :, column[name]]
            columns[:, :, column[name]] *= 1 - share
    for release in RELEASES:
        offset = release.share * RESTING_FACE[release.resting]
        for name in _sides(release.expression, names):
            side = name.removeprefix(release.expression)
            for source in _matching_sides(release.resting, side, names):
                field = artist[:, :, column[source]] * _region(release.where, jaw_weights)[:, None]
                if side and source == release.resting:  # one side of a two-sided offset
                    field = field * _side_weight(mean, side)[:, None]
                columns[:, :, column[name]] -= offset * field
    return Expressions(names, columns, artist, resting, RESTING_FACE["mouthClose"] * artist[:, :, column["mouthClose"]])


def _sides(name: str, names: tuple[str, ...]) -> list[str]:
    return [known for known in names if known in (name, f"{name}Left", f"{name}Right")]


def _matching_sides(name: str, side: str, names: tuple[str, ...]) -> list[str]:
    """The column of `name` on the given side; both or the only one where there is no such side."""
    return [f"{name}{side}"] if side and f"{name}{side}" in names else _sides(name, names)


def _region(where: str, jaw_weights: NDArray) -> NDArray[np.float64]:
    return {"all": np.ones_like(jaw_weights), "lower": jaw_weights, "upper": 1 - jaw_weights}[where]


def _side_weight(mean: NDArray, side: str) -> NDArray[np.float64]:
    """0..1 [V]; the two sides sum to 1."""
    left = np.clip(0.5 + mean[:, 0] / (2 * SIDE_BLEND), 0, 1)
    return left if side == "Left" else 1 - left
