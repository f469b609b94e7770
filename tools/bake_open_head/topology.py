"""Cuts the head out of the base mesh, names its parts, and puts proper eyeballs in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from tools.bake_open_head.source import BaseMesh

CUT_HEIGHT, CUT_HALF_WIDTH = 4.75, 2.0  # decimetres: keeps head, neck and the shoulders that portraits show
EYE_RINGS, EYE_SECTORS = 18, 28
EYE_RADIUS_SCALE = 0.96  # the lids are modelled around slightly smaller balls than the helper eyes
RING_POWER = 1.15  # > 1: denser rings at the iris
PART_GROUPS = {
    "teeth_u": ("helper-upper-teeth",),
    "teeth_l": ("helper-lower-teeth",),
    "tongue": ("helper-tongue",),
    "lashes": ("helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1", "helper-r-eyelashes-2"),
}
PART_NAMES = ("skin", "mouth", "teeth_u", "teeth_l", "tongue", "lashes", "eye_l", "eye_r")


@dataclass(frozen=True)
class Topology:
    """The vertex set of the open head and how offsets of the base mesh carry over to it.

    Attributes:
        base: the base mesh.
        source: [S] base-mesh ids of the head's first S vertices; two eyeballs follow them.
        parts: faces [., 3] of each part, in the order of `PART_NAMES`.
        sphere: [E, 3] unit sphere of an eyeball, pole along +z.
        eye_helpers: base-mesh ids of the left and the right helper eye.
        uv_of_source: [S, 2] the base mesh's own texture coordinates, for sampling its masks.
        mouth_uv: [S, 2] the same with the mouth cavity's chart, for its vertices.
    """

    base: BaseMesh
    source: NDArray[np.int64]
    parts: dict[str, NDArray[np.int64]]
    sphere: NDArray[np.float64]
    eye_helpers: tuple[NDArray[np.int64], NDArray[np.int64]]
    uv_of_source: NDArray[np.float64]
    mouth_uv: NDArray[np.float64]

    @property
    def vertex_count(self) -> int:
        return len(self.source) + 2 * len(self.sphere)

    @property
    def eye_slices(self) -> tuple[slice, slice]:
        """Rows of the left and of the right eyeball."""
        start, size = len(self.source), len(self.sphere)
        return slice(start, start + size), slice(start + size, start + 2 * size)

    @property
    def faces(self) -> NDArray[np.int64]:
        return np.concatenate([self.parts[name] for name in PART_NAMES])

    @property
    def face_parts(self) -> NDArray[np.int8]:
        return np.repeat(np.arange(len(PART_NAMES), dtype=np.int8), [len(self.parts[name]) for name in PART_NAMES])

    def vertices_of(self, *names: str) -> NDArray[np.int64]:
        return np.unique(np.concatenate([self.parts[name] for name in names]))

    @cached_property
    def eye_rest(self) -> tuple[tuple[NDArray, float], tuple[NDArray, float]]:
        """Centre and mean radius of each helper eye, decimetres."""
        spheres = []
        for ids in self.eye_helpers:
            points = self.base.vertices[ids]
            centre = points.mean(0)
            spheres.append((centre, float(np.linalg.norm(points - centre, axis=1).mean())))
        return spheres[0], spheres[1]

    @cached_property
    def rest(self) -> NDArray[np.float64]:
        """The unmorphed head [V, 3], decimetres."""
        eyes = [centre + EYE_RADIUS_SCALE * radius * self.sphere for centre, radius in self.eye_rest]
        return np.concatenate([self.base.vertices[self.source], *eyes])

    def lift(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """An offset of the base mesh [., 3] -> the head's [V, 3]. Linear: eyeballs follow their helper's centre and radius."""
        lifted = [offset[self.source]]
        for ids, (centre, radius) in zip(self.eye_helpers, self.eye_rest, strict=True):
            moved = offset[ids]
            shift = moved.mean(0)
            outward = self.base.vertices[ids] - centre
            growth = ((moved - shift) * outward).sum(1).mean() / radius
            lifted.append(shift + EYE_RADIUS_SCALE * growth * self.sphere)
        return np.concatenate(lifted)


def cut_head(base: BaseMesh) -> Topology:
    """Select the head's parts: skin and mouth cavity by their texture islands, the rest by the base mesh's groups."""
    centre = base.vertices[base.quads].mean(1)
    selected = np.flatnonzero((base.groups == "body") & (centre[:, 1] > CUT_HEIGHT) & (np.abs(centre[:, 0]) < CUT_HALF_WIDTH))
    kind = _island_kinds(base, selected)
    skin = _largest_piece(base.quads[selected[kind == "skin"]], len(base.vertices))
    mouth = base.quads[selected[kind == "mouth"]]
    quads = {"skin": skin, "mouth": mouth, **{name: base.quads_of(*groups) for name, groups in PART_GROUPS.items()}}
    source = np.unique(np.concatenate([q.ravel() for q in quads.values()]))
    row = np.full(len(base.vertices), -1)
    row[source] = np.arange(len(source))
    parts = {name: _triangles(row[q]) for name, q in quads.items()}
    sphere, sphere_faces = _eyeball()
    parts["eye_l"], parts["eye_r"] = sphere_faces + len(source), sphere_faces + len(source) + len(sphere)
    helpers = tuple(np.unique(base.quads_of(f"helper-{side}-eye")) for side in "lr")
    uv, mouth_uv = np.zeros((2, len(base.vertices), 2))
    uv[base.quads[selected]] = base.uv[base.uv_quads[selected]]
    cavity = selected[kind == "mouth"]
    mouth_uv[base.quads[cavity]] = base.uv[base.uv_quads[cavity]]
    return Topology(base, source, parts, sphere, helpers, uv[source], mouth_uv[source])


def _island_kinds(base: BaseMesh, selected: NDArray) -> NDArray[np.str_]:
    """``skin``, ``mouth`` or ``socket`` for every selected quad, by where its texture island lies on the head."""
    island = _components(base.uv_quads[selected], len(base.uv))[base.uv_quads[selected][:, 0]]
    kind = np.full(len(selected), "skin", dtype="<U8")
    for label in np.unique(island):
        members = island == label
        _, height, depth = base.vertices[base.quads[selected[members]]].reshape(-1, 3).mean(0)
        if members.sum() < 1200 and 6.4 < height < 6.9 and 0.4 < depth < 1.4:
            kind[members] = "mouth"
        elif members.sum() < 400 and 7.1 < height < 7.5:
            kind[members] = "socket"
    return kind


def _components(quads: NDArray, count: int) -> NDArray[np.int64]:
    """Label of the connected piece each of `count` vertices is in."""
    pairs = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    graph = sp.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _largest_piece(quads: NDArray, count: int) -> NDArray[np.int64]:
    label = _components(quads, count)[quads[:, 0]]
    return quads[label == np.bincount(label).argmax()]


def _triangles(quads: NDArray) -> NDArray[np.int64]:
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return triangles[(triangles[:, 0] != triangles[:, 2]) & (triangles[:, 1] != triangles[:, 2])]


def _eyeball() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A unit sphere with its pole along the gaze (+z): vertices [E, 3] and faces."""
    polar = np.linspace(0, 1, EYE_RINGS + 1)[1:-1] ** RING_POWER * math.pi
    azimuth = 2 * math.pi * np.arange(EYE_SECTORS) / EYE_SECTORS
    rings = np.stack([np.sin(polar)[:, None] * np.cos(azimuth), np.sin(polar)[:, None] * np.sin(azimuth),
                      np.repeat(np.cos(polar)[:, None], EYE_SECTORS, 1)], -1)
    vertices = np.concatenate([[[0, 0, 1.0]], rings.reshape(-1, 3), [[0, 0, -1.0]]])
    this = np.arange(EYE_SECTORS)
    following = (this + 1) % EYE_SECTORS
    last = len(vertices) - 1
    faces = [np.stack([np.zeros_like(this), 1 + this, 1 + following], 1)]
    for ring in range(EYE_RINGS - 2):
        a, b = 1 + ring * EYE_SECTORS + this, 1 + ring * EYE_SECTORS + following
        strip = np.stack([a, a + EYE_SECTORS, b + EYE_SECTORS, a, b + EYE_SECTORS, b], 1)
        faces.append(strip.reshape(-1, 3))
    outer = 1 + (EYE_RINGS - 2) * EYE_SECTORS
    faces.append(np.stack([np.full_like(this, last), outer + following, outer + this], 1))
    return vertices, np.concatenate(faces)
