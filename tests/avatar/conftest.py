"""Small synthetic packs: every convention, without a head model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from core.avatar.basis import quantize
from core.avatar.identity import Identity
from core.avatar.manifest import PackManifest
from core.avatar.pack import AvatarPack, RowTable
from core.avatar.regressor import Regressor
from core.avatar.response import DrivingResponse
from core.geometry import quat_from_axis_angle
from core.types import Gaussians, PsiLayout

ROWS = 2500  # two full blocks and a part of a third
LATENT = 7
LAYOUT = PsiLayout(expression=5)


@dataclass(frozen=True)
class Sample:
    """A pack and a person of it."""

    pack: AvatarPack
    identity: Identity


def random_gaussians(rng: np.random.Generator, count: int) -> Gaussians:
    return Gaussians(
        (0.1 * rng.standard_normal((count, 3))).astype(np.float32),
        rng.uniform(5e-4, 3e-3, (count, 3)).astype(np.float32),
        quat_from_axis_angle(rng.standard_normal((count, 3))).astype(np.float32),
        rng.uniform(size=(count, 3)).astype(np.float32), rng.uniform(size=count).astype(np.float32))


def random_regressor(rng: np.random.Generator, manifest: PackManifest) -> Regressor:
    """All features, untrained."""
    outputs, joints = sum(manifest.components), 3

    def normal(*shape):
        return (0.2 * rng.standard_normal(shape)).astype(np.float32)

    inputs = manifest.latent_size + manifest.psi.size + ("pose_matrices" in manifest.features) * 9 * joints
    linear = {}
    if manifest.features:
        linear = {"bias": normal(outputs), "psi": normal(outputs, manifest.psi.size), "pose": normal(outputs, 9 * joints),
                  "pose_by_latent": normal(outputs, 9 * joints, manifest.latent_size),
                  "jaw_by_expression": normal(outputs, 9, manifest.psi.expression)}
    return Regressor(manifest.psi, manifest.latent_size, manifest.features,
                     (normal(16, inputs), normal(32, 16), normal(outputs, 32)), (normal(16), normal(32), normal(outputs)), linear)


def random_response(psi_size: int, seed: int = 0) -> DrivingResponse:
    """An untrained network that reads three scores and may change four entries of ψ."""
    rng = np.random.default_rng(seed)
    inputs, hidden = psi_size + 3 + 3, (6, 5)

    def normal(*shape):
        return (0.4 * rng.standard_normal(shape)).astype(np.float32)

    return DrivingResponse(
        score=np.array([3, 25, 51], np.int32), variable=np.array([0, 2, 3, 5], np.int32), weight_0=normal(hidden[0], inputs),
        bias_0=normal(hidden[0]), weight_1=normal(hidden[1], hidden[0]), bias_1=normal(hidden[1]), weight_2=normal(3, hidden[1]),
        bias_2=normal(3), linear=normal(3, inputs), input_mean=normal(inputs), input_scale=1 + normal(inputs) ** 2,
        uncertainty=np.full(3, 0.7, np.float32), freedom=np.full(4, 0.4, np.float32), low=np.full(4, -0.3, np.float32),
        high=np.full(4, 1.2, np.float32), rest_scores=np.array([0.1, 0.3, 0.02], np.float32))


def make_sample(rotation: str, seed: int = 0) -> Sample:
    """A relative pack whose people hang on rows, or an additive one whose Gaussians are their own anchors."""
    rng = np.random.default_rng(seed)
    relative = rotation == "relative"
    components = (6, 4, 3, 2)
    manifest = PackManifest(
        name="synthetic", kind="studio" if relative else "official", head_name="none", head_sha256="0" * 64, psi=LAYOUT,
        latent_size=LATENT, rows=ROWS, components=components, anchors="rows" if relative else "identity",
        neck="weights" if relative else "one", rotation=rotation, scale="strain" if relative else "additive",
        features=("pose_matrices", "pose_by_latent", "jaw_by_expression") if relative else ())
    sizes = (0.004, 0.05, 0.05 if relative else 4e-4, 0.1)
    bases = tuple(quantize((size * rng.standard_normal((k, ROWS, c))).astype(np.float32), refined=2)
                  for k, c, size in zip(components, manifest.channels, sizes, strict=True))
    rows = RowTable(np.arange(ROWS, dtype=np.int32), np.full(ROWS, -1, np.int32)) if relative else None
    pack = AvatarPack(manifest, bases, random_regressor(rng, manifest), rows)
    return Sample(pack, anchored_identity(rng, 3000) if relative else self_anchored_identity(rng))


def self_anchored_identity(rng: np.random.Generator) -> Identity:
    latent = rng.standard_normal(LATENT).astype(np.float32)
    return Identity.self_anchored("itself", 3, latent, random_gaussians(rng, ROWS), np.zeros(3, np.float32))


def anchored_identity(rng: np.random.Generator, count: int) -> Identity:
    """Some Gaussians are static, some stretch, some follow their row's opacity."""
    row = rng.integers(0, ROWS, count).astype(np.int32)
    row[rng.uniform(size=count) < 0.2] = -1
    frames, _ = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    frames *= np.sign(np.linalg.det(frames))[:, None, None]
    angle = rng.uniform(0, 2 * np.pi, count)
    axis = np.stack([np.cos(angle), np.sin(angle)], 1)
    gaussians = random_gaussians(rng, count)
    stretches = (rng.uniform(size=count) < 0.6) & (row >= 0)
    tangents = frames[:, :2]
    quat = np.where(stretches[:, None], _patch_quats(frames, axis), gaussians.quat)
    gaussians = replace(gaussians, quat=quat.astype(np.float32))
    return Identity(
        "somebody", 12, rng.standard_normal(LATENT).astype(np.float32), gaussians, row,
        (0.01 * rng.standard_normal((count, 3))).astype(np.float32),
        np.where(stretches[:, None, None], tangents, 0).astype(np.float32),
        np.where(stretches[:, None], axis, 0).astype(np.float32),
        (rng.uniform(size=count) < 0.3).astype(np.float32), rng.uniform(size=count).astype(np.float32).round(1),
        np.array([0.0, -0.08, -0.03], np.float32), ("tall", "friendly"))


def _patch_quats(frames: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Quaternions of patches that lie in the tangent plane, first axis at `axis`, third along the normal."""
    from core.geometry import quat_from_rotation

    first = np.einsum("nk,nkd->nd", axis, frames[:, :2])
    normal = np.cross(frames[:, 0], frames[:, 1])
    return quat_from_rotation(np.stack([first, np.cross(normal, first), normal], 2))


@pytest.fixture(params=["relative", "additive"])
def sample(request) -> Sample:
    return make_sample(request.param)


@pytest.fixture
def relative() -> Sample:
    return make_sample("relative")


@pytest.fixture
def additive() -> Sample:
    return make_sample("additive")
