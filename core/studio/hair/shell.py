"""What strands collide with: skin and garment as a smooth signed distance, ears as ellipsoids, the face as a keep-out zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.studio.anatomy import Anatomy
from core.studio.clothes import garment_clearance
from core.studio.numerics import Array, normalize
from core.studio.traits import Traits

SKULL_CENTER = np.array([0.0, 0.022, -0.088])  # on the template
REACH = 0.07  # metres from the skin beyond which there is nothing to collide with
CLING_RATE, CLING_LIMIT = 0.65, 0.03


@dataclass(frozen=True)
class Ear:
    side: int
    center: Array
    radius: Array


@dataclass(frozen=True)
class Shell:
    """Collision proxy of one person.

    Attributes:
        points, normals: [P, 3] skin without ears.
        lift: [P] how far the garment stands off the skin there, metres (0 where it is bare).
        tree: over `points`.
        ears: left and right.
        center: centre of the cranium.
    """

    points: Array
    normals: Array
    lift: Array
    tree: cKDTree
    ears: tuple[Ear, Ear]
    center: Array

    def distance(self, x: Array) -> tuple[Array, Array, Array]:
        """Signed distance above skin or garment [N], its gradient [N, 3], plain distance to the skin's nearest point [N]."""
        d, j = self.tree.query(x, k=3)
        weight = 1 / (d + 1e-4)
        weight = (weight / weight.sum(1, keepdims=True))[:, :, None]
        normal = normalize((weight * self.normals[j]).sum(1))
        foot = (weight * self.points[j]).sum(1)
        lift = (weight[:, :, 0] * self.lift[j]).sum(1)
        return ((x - foot) * normal).sum(1) - lift, normal, d[:, 0]

    def push(self, x: Array, clearance: Array | float, ear: str | None = None, face: bool = True,
             cling: Array | float | None = None) -> Array:
        """Move strand points [N, 3] to where they may be.

        Args:
            clearance: least height above skin or garment.
            ear: "over" lays strands over the ears, "behind" tucks them behind, None ignores the ears.
            face: keep out of the face's oval.
            cling: greatest height; strands above it are pulled back. This is what makes a haircut instead of a hedgehog.
        """
        height, normal, reach = self.distance(x)
        x = x + normal * np.where((height < clearance) & (reach < REACH), clearance - height, 0)[:, None]
        if cling is not None:
            x = x - normal * (np.clip(height - cling, 0, CLING_LIMIT) * CLING_RATE)[:, None]
        if ear is not None:
            x = self._around_ears(x, ear)
        return self._out_of_face(x) if face else x

    def _around_ears(self, x: Array, how: str) -> Array:
        for ear in self.ears:
            y = (x - ear.center) / (ear.radius + 0.004)
            inside = np.linalg.norm(y, axis=1) < 1
            if how == "over":
                shell = np.sqrt(np.maximum(1 - y[:, 1] ** 2 - y[:, 2] ** 2, 0)) * (ear.radius[0] + 0.005)
                x[inside, 0] = ear.center[0] + ear.side * shell[inside]
            else:
                shell = np.sqrt(np.maximum(1 - y[:, 0] ** 2 - y[:, 1] ** 2, 0)) * (ear.radius[2] + 0.004)
                x[inside, 2] = ear.center[2] - shell[inside]
        return x

    def _out_of_face(self, x: Array) -> Array:
        limit = 0.070 * np.sqrt(np.clip(1 - ((x[:, 1] + 0.025) / 0.085) ** 2, 0, 1))
        inside = (x[:, 2] > -0.045) & (np.abs(x[:, 0]) < limit)
        x[inside, 0] = np.where(x[inside, 0] >= 0, 1, -1) * limit[inside]
        return x


def build_shell(anatomy: Anatomy, traits: Traits, vertices: Array, normals: Array) -> Shell:
    head, skin = anatomy.head, anatomy.skin_vertices
    in_ear = head.masks.ears[skin]
    bare = skin[in_ear < 0.3]
    ears = []
    for side in (1, -1):
        ear = skin[(in_ear > 0.6) & (side * head.v_template[skin, 0] > 0)]
        ears.append(Ear(side, vertices[ear].mean(0), np.maximum(np.ptp(vertices[ear], axis=0) * 0.58, 0.012)))
    center = SKULL_CENTER + vertices[skin].mean(0) - head.v_template[skin].mean(0)
    return Shell(vertices[bare], normals[bare], garment_clearance(traits.garment.style, head.v_template[bare].astype(np.float64)),
                 cKDTree(vertices[bare]), tuple(ears), center)
