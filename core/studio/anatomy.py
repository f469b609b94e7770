"""What the studio needs to know about a head model, found once: samples, lid rings, loops, neighbourhoods, distances.

Positions in the studio's recipes are metres on the template ("the same place on every head"): the template faces +z, its
eyes lie near (±0.031, 0, 0) and its lips near (0, -0.066, 0.02).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.head.mesh import edges, vertex_normals
from core.head.model import HeadModel
from core.head.regions import eyelid_rings, head_regions
from core.studio.atlas import TexelGrid, texel_grid
from core.studio.numerics import Array
from core.studio.surface import SurfaceSamples, area_samples

BUST_TOP = -0.105  # garments are sampled below this template height
LID_RING_COUNT = 7
LID_SAMPLE_SPACING = 0.0008  # metres on the closed lids
INNER_MARGIN, OUTER_MARGIN, CREASE = 2, 3, 5  # rings of vertices, counted from the edge of the eye socket


@dataclass(frozen=True)
class Eye:
    """One eye of the head model.

    Attributes:
        part: name of the eyeball's part.
        side: +1 on the subject's left, -1 on the right.
        triangles: [T] faces of the eyeball.
        vertices: ids of its vertices.
        rings: lid rings from the socket's edge outwards, each ordered by angle from the nose along the lower lid.
        lid_triangles: skin faces that touch the lid margins; lashes are rooted there.
    """

    part: str
    side: int
    triangles: NDArray[np.int64]
    vertices: NDArray[np.int32]
    rings: tuple[NDArray[np.int64], ...]
    lid_triangles: NDArray[np.int64]


@dataclass(frozen=True)
class TexelRegions:
    """Head-only weights of the skin texels [M]: lips, lids, ears in 0..1; distances in metres on the template."""

    lips: Array
    lids: Array
    ears: Array
    mouth_distance: Array
    crease_distance: Array


@dataclass(frozen=True)
class LidSamples:
    """Extra samples on the skin that a blink unrolls: the few texels there would be stretched until the eye shines through.

    Attributes:
        samples: evenly spread on the closed lids.
        texels, weights: [L, 3] the nearest texels and their shares, to take colour from.
    """

    samples: SurfaceSamples
    texels: NDArray[np.int64]
    weights: Array


@dataclass(frozen=True)
class Anatomy:
    """Everything that depends on the head model alone."""

    head: HeadModel
    grid: TexelGrid
    regions: TexelRegions
    lids: LidSamples
    bust: SurfaceSamples
    tongue: SurfaceSamples
    cavity: SurfaceSamples
    eyes: tuple[Eye, Eye]
    mouth_loop: NDArray[np.int64]
    skin_vertices: NDArray[np.int32]
    skin_triangles: NDArray[np.int64]
    mean_of_neighbours: scipy.sparse.csr_matrix
    shoulder_edges: NDArray[np.int64]

    @property
    def texels(self) -> SurfaceSamples:
        return self.grid.samples


@lru_cache(maxsize=2)
def anatomy_of(head: HeadModel) -> Anatomy:
    """Build (about half a second) or recall the anatomy of a head model that has the open head's parts."""
    rng = np.random.default_rng(0)
    template = head.v_template.astype(np.float64)
    grid = texel_grid(head)
    skin_triangles = head.face_indices_of("skin")
    centers = template[head.faces].mean(1)
    mouth_loop = head_regions(head).mouth_loop
    eyes = tuple(_eye(head, part, name, side) for part, name, side in (("eye_l", "left", 1), ("eye_r", "right", -1)))
    mean_of_neighbours = _mean_operator(head.faces[skin_triangles], head.vertex_count)
    return Anatomy(
        head=head,
        grid=grid,
        regions=_texel_regions(head, grid.samples, eyes, mouth_loop, mean_of_neighbours),
        lids=_lid_samples(head, grid.samples, rng),
        bust=area_samples(template, head.faces, skin_triangles[centers[skin_triangles, 1] < BUST_TOP], 11000, rng),
        tongue=area_samples(template, head.faces, head.face_indices_of("tongue"), 900, rng),
        cavity=area_samples(template, head.faces, _hidden_cavity(head), 2000, rng),
        eyes=eyes,
        mouth_loop=mouth_loop,
        skin_vertices=head.vertices_of("skin"),
        skin_triangles=skin_triangles,
        mean_of_neighbours=mean_of_neighbours,
        shoulder_edges=_shoulder_edges(head, template),
    )


def _eye(head: HeadModel, part: str, side_name: str, side: int) -> Eye:
    rings = tuple(eyelid_rings(head, side_name, LID_RING_COUNT))
    margin = np.concatenate([rings[INNER_MARGIN], rings[OUTER_MARGIN]])
    skin = head.face_indices_of("skin")
    touching = skin[np.isin(head.faces[skin], margin).any(1)]
    return Eye(part, side, head.face_indices_of(part), head.vertices_of(part), rings, touching)


def _lid_samples(head: HeadModel, texels: SurfaceSamples, rng: np.random.Generator) -> LidSamples:
    closed = head.vertices(np.zeros(0), head.expression(eyeBlink=1.0)).astype(np.float64)
    faces = head.faces
    skin = head.face_indices_of("skin")

    def areas(vertices: Array) -> Array:
        a, b, c = (vertices[faces[skin, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2

    grown = areas(closed) > 1.35 * areas(head.v_template.astype(np.float64))
    lids = skin[grown & (head.masks.eyelids[faces[skin]].max(1) > 0)]
    count = int(areas(closed)[np.isin(skin, lids)].sum() / LID_SAMPLE_SPACING**2)
    samples = area_samples(closed, faces, lids, count, rng)
    distance, nearest = cKDTree(texels.at(closed)).query(samples.at(closed), k=3)
    weights = 1 / (distance + 1e-5)
    return LidSamples(samples, nearest, weights / weights.sum(1, keepdims=True))


def _mean_operator(faces: NDArray, vertex_count: int) -> scipy.sparse.csr_matrix:
    """Sparse [V, V] matrix that averages over the neighbours of each vertex."""
    pairs, _ = edges(faces)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    graph = scipy.sparse.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (vertex_count, vertex_count)).tocsr()
    degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1)
    return scipy.sparse.diags(1 / degree) @ graph


def _texel_regions(head: HeadModel, texels: SurfaceSamples, eyes: tuple[Eye, Eye], mouth_loop: NDArray,
                   mean_of_neighbours: scipy.sparse.csr_matrix) -> TexelRegions:
    template = head.v_template.astype(np.float64)
    lips = head.masks.lips.astype(np.float64)
    lips = 0.45 * lips + 0.55 * (mean_of_neighbours @ lips)  # the mask is binary per vertex: soften its steps once
    creases = []
    for eye in eyes:
        ring = template[eye.rings[CREASE]]
        following = np.roll(ring, -1, axis=0)
        dense = np.concatenate([ring * (1 - w) + following * w for w in np.linspace(0, 1, 8, endpoint=False)])
        creases.append(dense[dense[:, 1] > 0.0015])
    return TexelRegions(
        lips=texels.at(lips),
        lids=texels.at(head.masks.eyelids.astype(np.float64)),
        ears=texels.at(head.masks.ears.astype(np.float64)),
        mouth_distance=cKDTree(template[mouth_loop]).query(texels.rest)[0],
        crease_distance=cKDTree(np.concatenate(creases)).query(texels.rest)[0],
    )


def _hidden_cavity(head: HeadModel) -> NDArray[np.int64]:
    """Mouth-cavity faces that may be drawn: those in front of the teeth and those that poke through a cheek are left out."""
    cavity = head.face_indices_of("mouth")
    rest = head.v_template[head.faces[cavity]].mean(1)
    skin_faces = head.faces_of("skin")
    skin = head.vertices_of("skin")
    poking = np.zeros(len(cavity), bool)
    poses = (head.vertices(np.zeros(0), None, head.pose(jaw=head.jaw_open_angle)),
             head.vertices(np.zeros(0), head.expression(mouthSmile=1.0, mouthDimple=0.5)))
    for vertices in poses:
        normals = vertex_normals(vertices, skin_faces)
        centers = vertices[head.faces[cavity]].mean(1)
        nearest = skin[cKDTree(vertices[skin]).query(centers)[1]]
        outside = ((centers - vertices[nearest]) * normals[nearest]).sum(1) > -0.0018
        poking |= outside & (np.abs(rest[:, 0]) > 0.019) & (rest[:, 2] < 0.014)
    return cavity[~poking & (rest[:, 2] <= 0.010)]


def _shoulder_edges(head: HeadModel, template: Array) -> NDArray[np.int64]:
    """Boundary edges [E, 2] where the model ends at the upper arms: garments hang down from there."""
    pairs, uses = edges(head.faces_of("skin"))
    middle = template[pairs].mean(1)
    return pairs[(uses == 1) & (middle[:, 1] < -0.15) & (np.abs(template[pairs, 0]).min(1) > 0.17)]


def nearest_triangles(anatomy: Anatomy, points: Array, vertices: Array, triangles: NDArray) -> NDArray[np.int32]:
    """For free-standing Gaussians [N, 3]: the closest (by centre) of the given triangles of the head."""
    centers = vertices[anatomy.head.faces[triangles]].mean(1)
    return triangles[cKDTree(centers).query(points)[1]].astype(np.int32)
