"""Where things are on a head mesh, found from its topology: mouth, eyelids, neck edge.

Nothing here knows vertex ids, so it holds for the open head, for FLAME and for their variants.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.head.mesh import boundary_loops, neighbours
from core.head.model import HeadModel
from core.types import FloatArray

EYE_LOOP_REACH = 0.02  # metres between an eye joint and the centre of its socket's edge, across the face
MOUTH_LOOP_REACH = 0.012  # metres between the centre of the mouth's edge and the symmetry plane


@dataclass(frozen=True)
class HeadRegions:
    """Loops of vertex ids around the holes of the skin; a loop that the mesh does not have is empty.

    Attributes:
        neck_loop: the lower edge of the skin.
        mouth_loop: where the inner lips end.
        left_eye_loop, right_eye_loop: where the eyelids' inner sides end (the subject's left and right).
    """

    neck_loop: NDArray[np.int64]
    mouth_loop: NDArray[np.int64]
    left_eye_loop: NDArray[np.int64]
    right_eye_loop: NDArray[np.int64]

    def eye_loop(self, side: str) -> NDArray[np.int64]:
        """The loop of the ``left`` or ``right`` eye."""
        return self.left_eye_loop if side == "left" else self.right_eye_loop


@lru_cache(maxsize=4)
def head_regions(head: HeadModel) -> HeadRegions:
    """Find the holes of the skin of `head` by where they lie relative to its joints."""
    loops = boundary_loops(head.faces_of("skin"))
    joints = head.joint_regressor @ head.v_template
    empty = np.zeros(0, np.int64)
    if not loops:
        return HeadRegions(empty, empty, empty, empty)
    centres = np.stack([head.v_template[loop].mean(0) for loop in loops])
    neck = int(np.argmin(centres[:, 1]))
    found = {"neck": loops[neck]}
    for side, joint in (("left", joints[3]), ("right", joints[4])):
        distance = np.linalg.norm(centres[:, :2] - joint[:2], axis=1)
        near = int(np.argmin(distance))
        if near != neck and distance[near] < EYE_LOOP_REACH:
            found[side] = loops[near]
    eye_height = joints[3:, 1].mean()
    below_eyes = [i for i in range(len(loops)) if i != neck and abs(centres[i, 0]) < MOUTH_LOOP_REACH
                  and joints[1, 1] < centres[i, 1] < eye_height - EYE_LOOP_REACH]
    if below_eyes:
        found["mouth"] = loops[max(below_eyes, key=lambda i: len(loops[i]))]
    return HeadRegions(found.get("neck", empty), found.get("mouth", empty), found.get("left", empty), found.get("right", empty))


def rings(faces: NDArray, loop: NDArray, count: int) -> list[NDArray[np.int64]]:
    """Vertices at 0, 1, … count - 1 edges from `loop` [N]; each ring sorted by id."""
    table = neighbours(faces)
    current = set(loop.tolist())
    seen = set(current)
    found = []
    for _ in range(count):
        found.append(np.array(sorted(current), np.int64))
        current = set().union(*(table[i] for i in current)) - seen if current else set()
        seen |= current
    return found


def eyelid_rings(head: HeadModel, side: str, count: int = 7) -> list[NDArray[np.int64]]:
    """Rings of vertices around the ``left`` or ``right`` eye opening, from the socket's edge outwards.

    Each ring is ordered by angle around its centre, starting at the nose and running along the lower lid first. On the open
    head ring 2 is the inner margin of the lids and ring 3 the outer one.
    """
    outward = 1.0 if side == "left" else -1.0
    return [_by_angle(head.v_template, ring, outward)
            for ring in rings(head.faces_of("skin"), head_regions(head).eye_loop(side), count)]


def _by_angle(vertices: FloatArray, ring: NDArray, outward: float) -> NDArray[np.int64]:
    offset = vertices[ring] - vertices[ring].mean(0)
    stretch = np.ptp(offset[:, 0]) / max(np.ptp(offset[:, 1]), 1e-6)
    return ring[np.argsort(np.arctan2(stretch * offset[:, 1], outward * offset[:, 0]))]
