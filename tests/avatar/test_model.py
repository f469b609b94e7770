"""The run time against a plain float64 version of the rules in the manifest's docstrings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.avatar.basis import quantize
from core.avatar.identity import Identity
from core.avatar.kernels import OPACITY_HIGH, OPACITY_LOW
from core.avatar.manifest import PackManifest
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion, MotionSettings, head_motion, rest_motion
from core.avatar.pack import AvatarPack
from core.avatar.regressor import Regressor, pose_features
from core.errors import InputError
from core.geometry import quat_from_axis_angle, quat_multiply, rotation_from_axis_angle, rotation_from_quat
from core.types import Gaussians, HeadParams, PsiLayout
from tests.avatar.conftest import LAYOUT, make_sample, random_response

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


def covariances(gaussians: Gaussians) -> np.ndarray:
    axes = rotation_from_quat(gaussians.quat.astype(np.float64)) * gaussians.scale.astype(np.float64)[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def turn_quat(vector: np.ndarray) -> np.ndarray:
    """tan(θ/4)·axis [N, 3] -> quaternion [N, 4], by way of the angle."""
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    return quat_from_axis_angle(vector / length * 4 * np.arctan(length))


def row_residuals(pack: AvatarPack, coefficients: np.ndarray) -> list[np.ndarray]:
    """Residuals [R, C] per attribute from the dense basis in float64."""
    parts = np.split(coefficients.astype(np.float64), np.cumsum(pack.manifest.components)[:-1])
    return [np.einsum("k,krc->rc", part, basis.dense().astype(np.float64))
            for part, basis in zip(parts, pack.basis, strict=True)]


def test_blend_equals_dense_product(sample):
    coefficients = np.random.default_rng(1).standard_normal(sum(sample.pack.manifest.components)).astype(np.float32)
    start = 0
    for basis, wanted in zip(sample.pack.basis, row_residuals(sample.pack, coefficients), strict=True):
        out = basis.zeros()
        out[:] = 7.0  # stored blocks must be overwritten, not added to
        basis.blend(coefficients[start:start + basis.components], out, exact=True)
        start += basis.components
        got = out.transpose(0, 2, 1).reshape(-1, basis.channels)[:basis.rows]
        np.testing.assert_allclose(got, wanted, atol=2e-6 * np.abs(wanted).max())  # float32 sums of a few terms


@pytest.mark.parametrize("refined", [0, 3])
def test_rounding_error_is_bounded(refined):
    """Half a step, which is 1/254 of the largest entry of its block and plane; refined planes 254 times less."""
    basis = np.random.default_rng(0).standard_normal((3, 2000, 3)).astype(np.float32)
    basis[:, 1024:] *= 1e-3  # a quiet block has its own steps
    error = np.abs(quantize(basis, refined).dense() - basis)
    finer = 254 if refined else 1
    for block in (slice(0, 1024), slice(1024, 2000)):
        assert error[:, block].max() <= np.abs(basis[:, block]).max() / 254 / finer * 1.01


def test_inactive_blocks_are_not_stored_and_read_as_zero():
    basis = np.zeros((2, 5000, 3), np.float32)
    basis[:, 2100] = 1.0
    stored = quantize(basis)
    assert stored.blocks.tolist() == [2]
    out = stored.zeros()
    stored.blend(np.array([1.0, 2.0], np.float32), out)
    assert out[[0, 1, 3, 4]].max() == 0
    np.testing.assert_allclose(out[2, :, 2100 - 2048], 3.0, rtol=1e-4)  # weights of 16 bits


def test_skipping_planes_stays_below_the_threshold_per_plane(sample):
    basis = sample.pack.basis[0]
    coefficients = np.linspace(1e-3, 1.0, basis.components).astype(np.float32)
    exact, skipped = basis.zeros(), basis.zeros()
    basis.blend(coefficients, exact, exact=True)
    threshold = 0.002
    basis.blend(coefficients, skipped, threshold)
    difference = np.abs(exact - skipped).max()
    assert 0 < difference <= threshold * len(basis.component)


def test_relative_rule(relative):
    """x = x0 + Δ + (R P − I) o and covariance R P S P Rᵀ, orientation of rigid Gaussians δ ⊗ q0."""
    pack, person, base = relative.pack, relative.identity, relative.identity.gaussians
    coefficients = 0.3 * np.random.default_rng(2).standard_normal(sum(pack.manifest.components)).astype(np.float32)
    driven = Avatar(pack, person, exact=True).pose(coefficients)
    residuals = row_residuals(pack, coefficients)
    d_xyz, d_rotation, d_strain, d_opacity = (residual[np.maximum(person.row, 0)] for residual in residuals)
    moving, stretching = person.row >= 0, np.abs(person.axis).sum(1) > 0
    rotation = rotation_from_quat(turn_quat(d_rotation))
    tangents = person.tangents.astype(np.float64)
    strain = np.stack([np.stack([d_strain[:, 0], d_strain[:, 1]], 1), np.stack([d_strain[:, 1], d_strain[:, 2]], 1)], 1)
    stretch = np.eye(3) + np.einsum("nki,nkl,nlj->nij", tangents, strain, tangents)
    offset = person.offset.astype(np.float64)
    moved = base.xyz + d_xyz + np.einsum("nij,nj->ni", rotation @ stretch, offset) - offset
    np.testing.assert_allclose(driven.xyz, np.where(moving[:, None], moved, base.xyz), atol=1e-7)  # float32 of 0.3 m
    rigid = moving & ~stretching
    quat = quat_multiply(turn_quat(d_rotation), base.quat.astype(np.float64))
    np.testing.assert_allclose(driven.quat[rigid], quat[rigid], atol=1e-6)
    np.testing.assert_allclose(driven.quat[~moving], base.quat[~moving], atol=1e-6)
    np.testing.assert_array_equal(driven.scale[~stretching], base.scale[~stretching])
    expected_opacity = np.where(moving, np.clip(base.opacity + person.opacity_gain * d_opacity[:, 0], 0, 1), base.opacity)
    np.testing.assert_allclose(driven.opacity, expected_opacity, atol=1e-6)
    # patches whose axes are well defined: the covariance is the exact affine image
    both = rotation @ stretch
    exact = both @ covariances(base) @ both.transpose(0, 2, 1)
    long_patch = stretching & (np.abs(base.scale[:, 0] / base.scale[:, 1] - 1) > 0.5)
    error = np.linalg.norm(covariances(driven) - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))
    assert long_patch.sum() > 100
    assert np.median(error[long_patch]) < 0.02  # nearly round patches keep their axes on purpose (ROUNDNESS)
    assert error[long_patch].max() < 0.2


def test_additive_rule(additive):
    pack, base = additive.pack, additive.identity.gaussians
    coefficients = 2 * np.random.default_rng(3).standard_normal(sum(pack.manifest.components)).astype(np.float32)
    driven = Avatar(pack, additive.identity, exact=True).pose(coefficients)
    d_xyz, d_rotation, d_scale, d_opacity = row_residuals(pack, coefficients)
    quat = base.quat + d_rotation
    np.testing.assert_allclose(driven.xyz, base.xyz + d_xyz, atol=1e-6)
    np.testing.assert_allclose(driven.scale, np.maximum(base.scale + d_scale, 1e-5), atol=1e-7)
    np.testing.assert_allclose(driven.quat, quat / np.linalg.norm(quat, axis=1, keepdims=True), atol=2e-6)
    np.testing.assert_allclose(driven.opacity, np.clip(base.opacity + d_opacity[:, 0], OPACITY_LOW, OPACITY_HIGH), atol=1e-6)
    assert (driven.scale == np.float32(1e-5)).any()  # the limits were really met
    assert (driven.opacity == np.float32(OPACITY_HIGH)).any()


def test_rest_is_the_identity(sample):
    driven = Avatar(sample.pack, sample.identity).pose(np.zeros(sum(sample.pack.manifest.components), np.float32))
    base = sample.identity.gaussians
    for name in ("xyz", "scale", "quat", "opacity", "rgb"):
        np.testing.assert_allclose(getattr(driven, name), getattr(base, name), atol=1e-6)


def test_anchored_gaussians_turn_about_their_row(relative):
    """A quarter turn about z takes an offset along x to one along y, and the Gaussian turns with it."""
    manifest = replace(relative.pack.manifest, components=(0, 1, 0, 0), rows=1)
    bases = (quantize(np.zeros((0, 1, 3), np.float32)), quantize(np.array([[[0, 0, np.tan(np.pi / 8)]]], np.float32)),
             quantize(np.zeros((0, 1, 3), np.float32)), quantize(np.zeros((0, 1, 1), np.float32)))
    person = relative.identity
    one = replace(person, gaussians=Gaussians(*(np.array(a, np.float32) for a in (
        [[0.1, 0, 0]], [[1e-3] * 3], [[1, 0, 0, 0]], [[0, 0, 0]], [1.0]))), row=np.zeros(1, np.int32),
        offset=np.array([[0.02, 0, 0]], np.float32), tangents=np.zeros((1, 2, 3), np.float32), axis=np.zeros((1, 2), np.float32),
        opacity_gain=np.zeros(1, np.float32), neck_weight=np.zeros(1, np.float32))
    avatar = Avatar(replace(relative.pack, manifest=manifest, basis=bases, regressor=_constant(manifest, [1.0])), one)
    driven = avatar.pose(avatar.coefficients(np.zeros(LAYOUT.size, np.float32)))
    np.testing.assert_allclose(driven.xyz, [[0.08, 0.02, 0]], atol=1e-7)
    np.testing.assert_allclose(driven.quat, [[np.sqrt(0.5), 0, 0, np.sqrt(0.5)]], atol=1e-6)


def _constant(manifest: PackManifest, values: list[float]) -> Regressor:
    inputs = manifest.latent_size + manifest.psi.size + 27
    return Regressor(manifest.psi, manifest.latent_size, manifest.features, (np.zeros((len(values), inputs), np.float32),),
                     (np.array(values, np.float32),))


# ---------------------------------------------------------------- regressor

@pytest.mark.parametrize("rotation", ["relative", "additive"])
def test_regressor_equals_torch(rotation):
    import torch

    regressor = make_sample(rotation).pack.regressor
    rng = np.random.default_rng(0)
    latent, psi = rng.standard_normal(regressor.latent_size), rng.uniform(-0.4, 0.8, (9, LAYOUT.size))
    pose = np.concatenate([(rotation_from_axis_angle(psi[:, s:s + 3]) - np.eye(3)).reshape(9, 9) for s in (5, 8, 11)], 1)
    inputs = [np.tile(latent, (9, 1)), psi] + ([pose] if regressor.features else [])
    layers = []
    for weight, bias in zip(regressor.weights, regressor.biases, strict=True):
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
        layer.weight.data, layer.bias.data = torch.tensor(weight).double(), torch.tensor(bias).double()
        layers += [layer, torch.nn.LeakyReLU(0.2)]
    wanted = torch.nn.Sequential(*layers[:-1])(torch.tensor(np.concatenate(inputs, 1))).detach().numpy()
    if regressor.features:
        linear = {name: value.astype(np.float64) for name, value in regressor.linear.items()}
        wanted = (wanted + linear["bias"] + psi @ linear["psi"].T + pose @ linear["pose"].T
                  + np.einsum("np,dpw,w->nd", pose, linear["pose_by_latent"], latent)
                  + np.einsum("nj,dje,ne->nd", pose[:, :9], linear["jaw_by_expression"], psi[:, :5]))
    got = regressor.for_identity(latent)
    np.testing.assert_allclose(got(psi), wanted, atol=2e-5)  # float32 of sums of about 300 terms of size 1
    np.testing.assert_allclose(got(psi[4]), wanted[4], atol=2e-5)


def test_pose_features_of_a_face_without_eyes():
    assert pose_features(np.zeros((2, 55), np.float32), PsiLayout(50, 3, 0, 2)).shape == (2, 9)


def test_drive_corrects_psi_by_what_the_landmarker_saw(relative):
    response = random_response(LAYOUT.size)
    avatar = Avatar(replace(relative.pack, response=response), relative.identity)
    params = HeadParams.neutral(LAYOUT.expression).with_psi(np.linspace(0, 0.6, LAYOUT.size, dtype=np.float32))
    np.testing.assert_array_equal(avatar.respond(params), params.psi())  # motion without scores is left alone
    seen = replace(params, scores=np.full(52, 0.3, np.float32))
    np.testing.assert_array_equal(avatar.respond(seen), response.correct(seen.psi(), seen.scores, seen.head_rotation))
    plain = Avatar(relative.pack, relative.identity)
    expected = plain.drive(params.with_psi(avatar.respond(seen)))
    np.testing.assert_allclose(avatar.drive(seen).xyz, expected.xyz, atol=1e-7)


def test_motion_of_another_head_model_is_refused(relative):
    with pytest.raises(InputError, match="another head model"):
        Avatar(relative.pack, relative.identity).coefficients(np.zeros(LAYOUT.size + 1, np.float32))


# ---------------------------------------------------------------- head motion

def turned(axis_angle, translation=(0.0, 0.0, -0.6)) -> HeadParams:
    neutral = HeadParams.neutral(LAYOUT.expression)
    return replace(neutral, head_rotation=np.array(axis_angle, np.float32), head_translation=np.array(translation, np.float32))


def test_neck_turn_is_linear_blend_skinning(relative):
    person, axis_angle = relative.identity, np.array([0.2, -0.5, 0.1])
    avatar = Avatar(relative.pack, person, exact=True)
    still = avatar.pose(avatar.coefficients(np.zeros(LAYOUT.size, np.float32)))
    moved = avatar.drive(turned(axis_angle))
    rotation, joint = rotation_from_axis_angle(axis_angle), person.neck_joint.astype(np.float64)
    w = person.neck_weight[:, None].astype(np.float64)
    np.testing.assert_allclose(moved.xyz, (1 - w) * still.xyz + w * ((still.xyz - joint) @ rotation.T + joint), atol=1e-6)
    np.testing.assert_array_equal(moved.quat[person.neck_weight == 0], still.quat[person.neck_weight == 0])
    # orientations turn by the rotation nearest to the blended matrix
    left, _, right = np.linalg.svd((1 - w)[:, :, None] * np.eye(3) + w[:, :, None] * rotation)
    np.testing.assert_allclose(rotation_from_quat(moved.quat.astype(np.float64)),
                               left @ right @ rotation_from_quat(still.quat.astype(np.float64)), atol=2e-6)


def test_head_follows_translation_gently_and_shoulders_less():
    joint, rest = np.array([0, -0.08, -0.03]), np.array([0.0, 0.0, -0.6])
    settings = MotionSettings()
    aside = head_motion(turned((0, 0, 0), (0.1, 0, -0.6)), joint, rest, settings)
    assert 0.005 < aside.head_shift[0] < settings.translation_limit
    np.testing.assert_allclose(aside.body_shift, settings.shoulder_share * aside.head_shift, rtol=1e-6)
    far = head_motion(turned((0, 0, 0), (5.0, 0, -0.6)), joint, rest, settings)
    assert np.linalg.norm(far.head_shift) < settings.translation_limit


def test_turning_about_the_neck_shifts_nothing():
    """A head that turns about its neck joint displaces its origin; that is not a movement of the neck."""
    joint, rest, axis_angle = np.array([0, -0.08, -0.03]), np.array([0.02, 0.01, -0.5]), np.array([0.1, 0.6, 0.0])
    origin = rest + joint - rotation_from_axis_angle(axis_angle) @ joint
    motion = head_motion(turned(axis_angle, origin), joint, rest)
    np.testing.assert_allclose(motion.head_shift, 0, atol=1e-6)
    np.testing.assert_allclose(motion.rotation, rotation_from_axis_angle(axis_angle), atol=1e-6)


def test_without_a_rest_the_avatar_turns_on_the_spot():
    motion = head_motion(turned((0, 0.3, 0), (1.0, 1.0, -2.0)), np.zeros(3))
    assert not motion.head_shift.any()
    assert isinstance(rest_motion(), HeadMotion)


def test_drive_reuses_arrays_on_request(sample):
    avatar = Avatar(sample.pack, sample.identity)
    first = avatar.drive(turned((0, 0.2, 0)))
    kept = first.xyz.copy()
    second = avatar.drive(turned((0, -0.2, 0)))
    np.testing.assert_array_equal(first.xyz, kept)  # fresh arrays unless asked otherwise
    again = avatar.drive(turned((0, -0.2, 0)), out=first)
    assert again.xyz is first.xyz
    np.testing.assert_array_equal(again.xyz, second.xyz)
    for array in (again.xyz, again.scale, again.quat, again.opacity):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


# ---------------------------------------------------------------- official layout

@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden official files are not here")
@pytest.mark.parametrize("person", [0, 1])
def test_official_distilled_model_is_reproduced(person):
    """A pack made from official tensors, blended with 15-bit planes, gives the published values."""
    import torch

    svd, mlp = (torch.load(GOLDEN / "agora_m_small" / f"{name}.pt", weights_only=True)
                for name in ("svd_basis", "mlp_regressor"))
    golden = np.load(GOLDEN / "golden_agora_m.npz")
    k, rows = int(svd["K"]), int(svd["G"])
    state = next(value for value in mlp.values() if isinstance(value, dict))
    weights = tuple(state[f"net.{i}.weight"].numpy() for i in (0, 2, 4))
    biases = tuple(state[f"net.{i}.bias"].numpy() for i in (0, 2, 4))
    order = {"xyz": 0, "rotation": 2, "scale": 1, "opacity": 3}  # official blocks: xyz, scale, rotation, opacity
    rearranged = np.concatenate([np.arange(k) + k * block for block in order.values()])
    weights, biases = (*weights[:2], weights[2][rearranged]), (*biases[:2], biases[2][rearranged])
    layout = PsiLayout(50, 3, 0, 2)
    latent_size = weights[0].shape[1] - layout.size
    manifest = PackManifest("official", "official", "FLAME", "", layout, latent_size, rows, (k,) * 4)
    bases = tuple(quantize(svd[f"U_{name}"].numpy().reshape(k, rows, -1), refined=k) for name in order)
    pack = AvatarPack(manifest, bases, Regressor(layout, latent_size, (), weights, biases))
    gaussians = Gaussians(*(np.ascontiguousarray(golden[f"base_{name}"][person]) for name in ("xyz", "scale", "rotation")),
                          np.zeros((rows, 3), np.float32), golden["base_opacity"][person].reshape(-1))
    avatar = Avatar(pack, Identity.self_anchored("seed", 0, golden["w_code"][person], gaussians, golden["joint_root"][person]),
                    exact=True)
    for frame in range(2):
        coefficients = avatar.coefficients(golden["psi55"][person, frame])
        wanted = golden["coeffs"][person, frame][rearranged]
        np.testing.assert_allclose(coefficients, wanted, atol=1e-5, rtol=1e-5)
        driven = avatar.pose(coefficients)
        np.testing.assert_allclose(driven.xyz, golden["xyz"][person, frame], atol=1e-5)
        np.testing.assert_allclose(driven.scale, golden["scale"][person, frame], atol=3e-6)  # 15 bits of a basis entry
        np.testing.assert_allclose(driven.opacity, golden["opacity"][person, frame].reshape(-1), atol=3e-5)
        # the column-normalised quaternions are about 0.02 long, so rounding counts 50 times more after normalisation
        np.testing.assert_allclose(driven.quat, golden["rotation"][person, frame], atol=1e-3)
