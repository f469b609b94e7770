"""How fast an avatar is driven, stage by stage, and how close the blend comes to the memory bus."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from core.avatar.identity import Identity
from core.avatar.kernels import BLOCK_ROWS
from core.avatar.model import Avatar
from core.avatar.motion import head_motion
from core.avatar.pack import AvatarPack
from core.geometry import quat_from_axis_angle
from core.types import FloatArray, Gaussians, HeadParams


@dataclass(frozen=True)
class DriveTimings:
    """Milliseconds of thread-CPU time per frame, the least of several runs.

    Attributes:
        gaussians: number of Gaussians;  basis_megabytes: what a full blend reads.
        regressor: ψ → coefficients.
        blend: coefficients → rows, everything blended.
        blend_skipping: the same, leaving out what nobody can see (how avatars are driven).
        rows: rows → Gaussians.
        neck: head turn.
        total: ψ and head pose → Gaussians, as `Avatar.drive` does it.
        read_floor: reading the basis once with nothing else to do, the bandwidth floor of the blend.
    """

    gaussians: int
    basis_megabytes: float
    regressor: float
    blend: float
    blend_skipping: float
    rows: float
    neck: float
    total: float
    read_floor: float

    @property
    def blend_over_floor(self) -> float:
        """Blend time as a multiple of the bandwidth floor."""
        return self.blend / self.read_floor


def measure_drive(avatar: Avatar, psi: FloatArray, repeats: int = 20) -> DriveTimings:
    """Times the stages of driving an avatar with the driving vector `psi` [P]."""
    coefficients = avatar.coefficients(psi)
    parts = np.split(coefficients, np.cumsum(avatar.pack.manifest.components)[:-1])
    residuals = [basis.zeros() for basis in avatar.pack.basis]
    out = avatar.empty()
    params = _turned(avatar, psi)
    motion = head_motion(params, avatar.identity.neck_joint)
    bases = [basis.planes.reshape(-1).view(np.int64) for basis in avatar.pack.basis if basis.planes.size]

    def milliseconds(work: Callable[[], object]) -> float:
        work()
        best = np.inf
        for _ in range(repeats):
            start = time.thread_time()
            work()
            best = min(best, time.thread_time() - start)
        return 1e3 * best

    avatar.pose(coefficients, motion, out)
    return DriveTimings(
        gaussians=len(avatar.identity), basis_megabytes=sum(basis.nbytes for basis in avatar.pack.basis) / 1e6,
        regressor=milliseconds(lambda: avatar.coefficients(psi)),
        blend=milliseconds(lambda: [basis.blend(part, residual) for basis, part, residual
                                    in zip(avatar.pack.basis, parts, residuals, strict=True)]),
        blend_skipping=milliseconds(lambda: avatar.blend(coefficients)),
        rows=milliseconds(lambda: avatar.apply_rows(out)),
        neck=milliseconds(lambda: avatar.apply_motion(motion, out)),
        total=milliseconds(lambda: avatar.pose(avatar.coefficients(psi), motion, out)),
        read_floor=milliseconds(lambda: [_read(basis) for basis in bases]),
    )


def synthetic_identity(pack: AvatarPack, gaussians: int = 90_000, seed: int = 0) -> Identity:
    """A cloud without a face that hangs on a pack's rows like a person: two thirds move, a tenth lies below the neck."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> FloatArray:
        return rng.standard_normal(shape).astype(np.float32)

    row = np.sort(rng.integers(0, pack.manifest.rows, gaussians)).astype(np.int32)
    row[rng.uniform(size=gaussians) < 1 / 3] = -1
    stretching = (row >= 0) & (rng.uniform(size=gaussians) < 0.7)
    angle = rng.uniform(0, 2 * np.pi, gaussians)
    axis = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    tangents = np.tile(np.eye(2, 3, dtype=np.float32), (gaussians, 1, 1))
    weight = np.clip(1.4 - 2.0 * rng.uniform(size=gaussians), 0, 1).astype(np.float32)
    cloud = Gaussians(0.08 * normal(gaussians, 3), np.exp(0.3 * normal(gaussians, 3) - 7),
                      quat_from_axis_angle(normal(gaussians, 3)),
                      rng.uniform(size=(gaussians, 3)).astype(np.float32), rng.uniform(size=gaussians).astype(np.float32))
    return Identity("synthetic", None, normal(pack.manifest.latent_size), cloud, row, 0.005 * normal(gaussians, 3),
                    tangents * stretching[:, None, None], axis * stretching[:, None], np.zeros(gaussians, np.float32), weight,
                    np.array([0, -0.1, -0.05], np.float32))


def _turned(avatar: Avatar, psi: FloatArray) -> HeadParams:
    params = HeadParams.neutral(avatar.psi_layout.expression)
    zero = np.zeros(3, np.float32)
    return HeadParams(psi[:avatar.psi_layout.expression], zero, zero, zero, np.array([0.1, 0.4, 0.05], np.float32),
                      params.head_translation)


@njit(cache=True, nogil=True, fastmath=True)
def _read(words):
    """Sum of all words, block by block: as fast as memory can be read by one thread."""
    total = np.int64(0)
    step = BLOCK_ROWS
    for start in range(0, len(words) - step + 1, step):
        part = words[start:start + step]
        for j in range(step):
            total += part[j]
    return total
