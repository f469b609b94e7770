"""The extraction on a teacher whose answer is known, and the studio teacher against the exact rig."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sparse

from core.avatar.basis import quantize
from core.avatar.identity import Identity
from core.avatar.manifest import PackManifest
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack, read_pack, write_pack
from core.avatar.regressor import Regressor
from core.avatar.studio_binding import bind_studio_identity
from core.geometry import rotation_from_axis_angle, rotation_from_quat
from core.head.library import load_open_head
from core.studio import TexelAtlas, build_identity, pose_identity
from core.types import Gaussians, PsiLayout
from tests.avatar.conftest import random_gaussians
from trainer.distill import DistillSettings, distill
from trainer.psi_sampling import PsiSampler
from trainer.regression import RegressionSettings
from trainer.studio_teacher import StudioTeacher, triangle_maps

LAYOUT = PsiLayout(expression=4, jaw=3, eyes=0)
ROWS, ELEMENTS = 1500, 300


class LinearTeacher:
    """Residuals are linear in ψ: whatever K ≥ 7 says must be exact. The last 200 rows never move."""

    rows = None

    def __init__(self, rng: np.random.Generator) -> None:
        self.conventions = PackManifest("linear", "official", "none", "", LAYOUT, 3, ROWS, (0, 0, 0, 0))
        self.row_weight = rng.uniform(0.5, 3.0, ROWS).astype(np.float32)
        carrier = sparse.random_array((ROWS, ELEMENTS), density=0.02, rng=rng, format="csr").astype(np.float32)
        carrier = sparse.csr_array(carrier + sparse.csr_array(np.eye(ROWS, ELEMENTS, dtype=np.float32)))
        moving = np.arange(ROWS) < ROWS - 200
        self.carriers = (sparse.csr_array(sparse.diags_array(moving.astype(np.float32)) @ carrier), None, None, None)
        self.mixing = (0.01 * rng.standard_normal((LAYOUT.size, ELEMENTS, 3))).astype(np.float32)

    def sample_identity(self, rng):
        return rng.standard_normal(3).astype(np.float32)

    def latent(self, identity):
        return identity

    def sample_psi(self, rng, count):
        return rng.uniform(0, 0.5, (count, LAYOUT.size)).astype(np.float32)

    def residuals(self, identity, psi):
        return np.einsum("np,pmc->nmc", psi, self.mixing), None, None, None


def test_a_linear_teacher_is_recovered(tmp_path):
    rng = np.random.default_rng(0)
    teacher = LinearTeacher(rng)
    settings = DistillSettings(components=(12, 4, 4, 4), refined=(12, 0, 0, 0), basis_samples=60, training_samples=400,
                               regression=RegressionSettings(epochs=2))
    stages = []
    pack = distill(teacher, settings, lambda stage, share: stages.append((stage, share)))
    assert {stage for stage, _ in stages} == {"basis", "faces", "regressor"}
    assert all(0 < share <= 1 for _, share in stages)
    assert pack.manifest.components == (LAYOUT.size, 0, 0, 0)  # its rank, however many were asked for
    active = np.abs(teacher.carriers[0]).sum(1) > 0
    assert pack.manifest.rows == active.sum()
    write_pack(tmp_path / "p.agora", pack)
    pack = read_pack(tmp_path / "p.agora")
    person = Identity.self_anchored("x", 0, np.zeros(3), random_gaussians(rng, pack.manifest.rows), np.zeros(3))
    avatar = Avatar(pack, person, exact=True)
    psi = teacher.sample_psi(rng, 1)
    wanted = (teacher.carriers[0] @ teacher.residuals(None, psi)[0][0])[active]
    moved = avatar.pose(avatar.coefficients(psi[0])).xyz - person.gaussians.xyz
    # float32 Gram matrix of a well-conditioned basis: relative error about 1e-4
    assert np.abs(moved - wanted).max() < 5e-4 * np.abs(wanted).max()


def test_the_same_seed_gives_the_same_pack():
    settings = DistillSettings(components=(4, 1, 1, 1), basis_samples=20, training_samples=60,
                               regression=RegressionSettings(epochs=1))
    first, second = (distill(LinearTeacher(np.random.default_rng(0)), settings) for _ in range(2))
    np.testing.assert_array_equal(first.basis[0].planes, second.basis[0].planes)
    np.testing.assert_array_equal(first.regressor.weights[0], second.regressor.weights[0])


# ---------------------------------------------------------------- studio

@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def teacher(head):
    return StudioTeacher(head, weight_people=0)


def test_triangle_maps_are_polar_decompositions():
    rng = np.random.default_rng(0)
    faces = np.arange(60).reshape(20, 3)
    rest = rng.standard_normal((60, 3))
    posed = rest + 0.3 * rng.standard_normal((60, 3))
    turn, strain = np.empty((20, 3)), np.empty((20, 3))
    triangle_maps(faces, rest, posed, turn, strain)
    for face, g, (uu, uv, vv) in zip(faces, turn, strain, strict=True):
        e1, e2 = rest[face[1]] - rest[face[0]], rest[face[2]] - rest[face[0]]
        u = e1 / np.linalg.norm(e1)
        normal = np.cross(e1, e2) / np.linalg.norm(np.cross(e1, e2))
        v = np.cross(normal, u)
        length = np.linalg.norm(g)
        rotation = rotation_from_axis_angle(g / length * 4 * np.arctan(length))
        stretch = np.eye(3) + uu * np.outer(u, u) + uv * (np.outer(u, v) + np.outer(v, u)) + vv * np.outer(v, v)
        np.testing.assert_allclose(rotation @ stretch @ e1, posed[face[1]] - posed[face[0]], atol=1e-9)
        np.testing.assert_allclose(rotation @ stretch @ e2, posed[face[2]] - posed[face[0]], atol=1e-9)


def exact_pack(teacher: StudioTeacher, residuals) -> AvatarPack:
    """A pack with one component: one face, exactly."""
    on_rows = [np.zeros((0, len(teacher.rows.texel), channels), np.float32) if carrier is None else (carrier @ residual[0])[None]
               for carrier, residual, channels in zip(teacher.carriers, residuals, teacher.conventions.channels, strict=True)]
    manifest = replace(teacher.conventions, components=tuple(len(rows) for rows in on_rows), features=())
    outputs, inputs = sum(manifest.components), manifest.latent_size + manifest.psi.size
    regressor = Regressor(manifest.psi, manifest.latent_size, (), (np.zeros((outputs, inputs), np.float32),),
                          (np.ones(outputs, np.float32),))
    return AvatarPack(manifest, tuple(quantize(rows, refined=1) for rows in on_rows), regressor, teacher.rows)


def test_rows_and_anchors_reproduce_the_exact_rig(head, teacher):
    """With the residuals of a face as basis, every Gaussian of a person lands where the rig puts it."""
    person = build_identity(77, head)
    neutral = head.neutral(person.shape)
    sampled = PsiSampler(head).sample(np.random.default_rng(5), 1)[0]
    frowning = np.zeros_like(sampled)
    frowning[:head.expression_count] = head.expression(browInnerUp=1.0, mouthSmile=0.8, eyeBlink=1.0)
    for drive in (frowning, sampled):
        pack = exact_pack(teacher, teacher.residuals(neutral, drive[None]))
        avatar = Avatar(pack, bind_studio_identity(pack, head, TexelAtlas(head), person), exact=True)
        driven = avatar.pose(avatar.coefficients(drive))
        exact = pose_identity(person, head.driven(neutral, drive), drive[:head.expression_count])
        assert np.abs(exact.xyz - person.gaussians.xyz).max() > 2e-3  # the face does move
        distance = np.linalg.norm(driven.xyz - exact.xyz, axis=1)
        assert np.percentile(distance, 99.9) < 5e-6  # rows have 15 bits: 1/32000 of a few centimetres
        assert distance.max() < 5e-3  # a sliver in the corner of the eye turns over, its axis is not defined
        # closing lids stretch twentyfold, which makes for coarse steps in their blocks
        assert np.percentile(np.abs(driven.scale / exact.scale - 1), 99.9) < 0.02
        # covariances, because the axes of round patches are arbitrary
        first, second = (_covariance(cloud) for cloud in (driven, exact))
        np.testing.assert_allclose(driven.opacity, exact.opacity, atol=0.1)  # creases that share a triangle share a drive
        assert (np.abs(driven.opacity - exact.opacity) > 0.005).mean() < 1e-3
        if drive is frowning:
            assert (exact.opacity - person.gaussians.opacity).max() > 0.2  # the wrinkles do come out
        error = np.linalg.norm(first - second, axis=(1, 2)) / np.linalg.norm(second, axis=(1, 2))
        assert np.percentile(error, 99.9) < 0.01


def _covariance(cloud: Gaussians) -> np.ndarray:
    axes = rotation_from_quat(cloud.quat.astype(np.float64)) * cloud.scale[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def test_neck_weights_are_those_of_the_head_model(head, teacher):
    """Turning an avatar at the neck moves its skin as the head model's own skinning does."""
    from tests.avatar.test_model import turned

    person = build_identity(77, head)
    neutral = head.neutral(person.shape)
    pack = exact_pack(teacher, teacher.residuals(neutral, np.zeros((1, head.psi_layout.size), np.float32)))
    avatar = Avatar(pack, bind_studio_identity(pack, head, TexelAtlas(head), person), exact=True)
    axis_angle = (0.1, 0.4, -0.1)
    params = replace(turned(axis_angle), expression=np.zeros(head.expression_count, np.float32))
    driven = avatar.drive(params)
    pose_dirs = head.pose_dirs.copy()
    pose_dirs[:, :, :9] = 0  # correctives of the neck are not part of the turn
    exact = pose_identity(person, replace(head, pose_dirs=pose_dirs).vertices(neutral, None, head.pose(neck=axis_angle)))
    skin = person.texel >= 0
    distance = np.linalg.norm(driven.xyz - exact.xyz, axis=1)
    # the rig blends at the vertices, the avatar at each Gaussian: they differ inside a triangle, by much less than a texel
    assert distance[skin].max() < 5e-4
    assert distance[skin].mean() < 2e-5
    shoulders = (person.gaussians.xyz[:, 1] < -0.19) & ~person.rigid  # long hair is rigid and moves with the head
    assert shoulders.sum() > 100
    assert np.linalg.norm(driven.xyz - person.gaussians.xyz, axis=1)[shoulders].max() < 2e-3


def test_sampled_faces_are_plausible(head):
    psi = PsiSampler(head).sample(np.random.default_rng(0), 300)
    e = head.expression_count
    assert psi.shape == (300, head.psi_layout.size)
    assert psi[:, :e].min() >= 0
    assert psi[:, :e].max() == 1
    assert psi[:, e].max() <= head.jaw_open_angle * 1.001
    assert (psi[:, :e] > 0.3).any(0).all()  # every unit is used
    blinks = [head.expression_names.index(name) for name in ("eyeBlinkLeft", "eyeWideLeft", "eyeSquintLeft", "eyeLookDownLeft")]
    assert psi[:, blinks].sum(1).max() <= 1.15 + 1e-5


# ---------------------------------------------------------------- the shipped pack

def test_the_shipped_pack_fits_the_head_and_reproduces_the_rig(head):
    from core.assets import resource
    from core.avatar.sources import STUDIO_PACK_NAME, load_studio_pack
    from trainer.pack_metrics import evaluate_studio_pack

    assert resource(STUDIO_PACK_NAME).stat().st_size <= 25_000_000
    metrics = evaluate_studio_pack(load_studio_pack(), head, seeds=(4001,), faces=12, pictures=1)
    assert metrics.mean_mm <= 0.15
    assert metrics.p99_mm <= 1.2
    assert metrics.worst_psnr_db >= 36


@pytest.mark.slow
def test_the_shipped_pack_on_two_hundred_faces_of_eight_people(head):
    from core.avatar.sources import load_studio_pack
    from trainer.pack_metrics import evaluate_studio_pack

    metrics = evaluate_studio_pack(load_studio_pack(), head)
    assert metrics.mean_mm <= 0.15
    assert metrics.p99_mm <= 1.2
    assert metrics.psnr_db >= 36
