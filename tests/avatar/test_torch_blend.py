"""The torch path on the processor: the blend against the kernels, the drawing with the reference in gsplat's place."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.avatar.backend_choice import open_backend
from core.avatar.guard import GuardedBackend
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion, rest_motion
from core.avatar.self_test import probe_motion, probe_psi
from core.avatar.sources import StudioSource
from core.avatar.torch_blend import TorchAvatar, TorchBackend, TorchPack
from core.errors import DeviceError, InputError
from core.geometry import orbit_camera, rotation_from_axis_angle
from core.render.benchmark import psnr
from core.render.reference import render_reference
from core.render.renderer import open_renderer
from core.types import Camera, Gaussians
from tests.avatar.conftest import LAYOUT, Sample


def assert_same_gaussians(sample: Sample, psi, motion, device="cpu"):
    cloud = TorchAvatar(TorchPack(sample.pack, device), sample.identity).gaussians(psi, motion)
    avatar = Avatar(sample.pack, sample.identity, exact=True)
    expected = avatar.pose(avatar.coefficients(psi), motion)
    got = {name: tensor.cpu().numpy() for name, tensor in cloud._asdict().items()}
    assert all(field.dtype == np.float32 for field in got.values())
    np.testing.assert_allclose(got["xyz"], expected.xyz, atol=1e-5)
    np.testing.assert_allclose(got["scale"], expected.scale, atol=1e-6)
    np.testing.assert_allclose(got["opacity"], expected.opacity, atol=1e-4)
    np.testing.assert_array_equal(got["rgb"], expected.rgb)
    sign = np.where((got["quat"] * expected.quat).sum(1, keepdims=True) < 0, -1, 1)
    np.testing.assert_allclose(got["quat"] * sign, expected.quat, atol=1e-3)


def turned(angle: float) -> HeadMotion:
    axis = np.array([0.3, -0.9, 0.2]) / np.linalg.norm([0.3, -0.9, 0.2])
    return HeadMotion(rotation_from_axis_angle(angle * axis).astype(np.float32), axis.astype(np.float32), angle,
                      np.array([0.03, -0.02, 0.01], np.float32), np.array([0.01, 0.02, -0.005], np.float32))


def test_gaussians_move_by_the_rules_of_the_kernels(sample):
    for psi in (np.zeros(LAYOUT.size, np.float32), probe_psi(LAYOUT), 2 * probe_psi(LAYOUT, 3)):
        for motion in (rest_motion(), turned(1.2), turned(-2.8)):
            assert_same_gaussians(sample, psi, motion)


def test_half_a_turn_has_a_direction(sample):
    """Where the neck's weight is 1 the blend of rotations is the rotation, also at 180°, where the formula has 0 / 0."""
    assert_same_gaussians(sample, probe_psi(LAYOUT), turned(np.pi))


def test_a_studio_head_moves_by_the_rules_of_the_kernels():
    source = StudioSource()
    sample = Sample(source.pack, source.build(7))
    assert_same_gaussians(sample, probe_psi(source.pack.manifest.psi), turned(0.6))


def test_repeated_calls_do_not_disturb_the_person(relative):
    person = TorchAvatar(TorchPack(relative.pack, "cpu"), relative.identity)
    first = person.gaussians(probe_psi(LAYOUT), turned(0.5))
    kept = [field.clone() for field in first]
    person.gaussians(probe_psi(LAYOUT, 2), turned(-0.5))
    again = person.gaussians(probe_psi(LAYOUT), turned(0.5))
    for before, held, after in zip(kept, first, again, strict=True):
        assert torch.equal(before, held)
        assert torch.equal(before, after)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA graphics processor")
def test_gaussians_on_a_graphics_processor(sample):
    assert_same_gaussians(sample, probe_psi(LAYOUT), turned(0.6), "cuda")


# ------------------------------------------------------------------------------------------------------------ drawing


def rasterization(means, quats, scales, opacities, colors, viewmats, Ks, width, height, *, near_plane, eps2d, packed,
                  rasterize_mode):
    """gsplat's signature and shapes, the reference's pictures."""
    assert rasterize_mode == "antialiased"
    assert (near_plane, eps2d, packed) == (0.01, 0.3, False)
    assert viewmats.shape == (1, 4, 4)
    assert Ks.shape == (1, 3, 3)
    k = Ks[0].numpy()
    camera = Camera(viewmats[0].numpy(), k[0, 0], k[1, 1], k[0, 2], k[1, 2], width, height)
    cloud = Gaussians(*(tensor.numpy() for tensor in (means, scales, quats, colors, opacities)))
    color, coverage = render_reference(cloud, camera)
    tensors = (torch.as_tensor(array, dtype=torch.float32)[None] for array in (color, coverage[..., None]))
    return *tensors, {}


@pytest.fixture
def gsplat(monkeypatch):
    fake = SimpleNamespace(rasterization=rasterization)
    monkeypatch.setitem(sys.modules, "gsplat", fake)
    return fake


CAMERA = orbit_camera(0.3, 0.1, 40, 32)


def test_the_backend_draws_what_the_processor_draws(sample, gsplat):
    backend = GuardedBackend(TorchBackend("cpu"))
    performer = backend.performer(sample.pack, sample.identity)
    assert backend.name == "cuda", backend.description  # it has passed the self-test
    psi, motion = probe_psi(LAYOUT), probe_motion(sample.identity)
    picture = performer.draw(psi, motion, CAMERA)
    assert picture.dtype == np.uint8
    exact = Avatar(sample.pack, sample.identity, exact=True)
    expected = open_renderer("cpu").render(exact.pose(exact.coefficients(psi), motion), CAMERA)
    assert psnr(picture / 255, expected / 255) > 55
    with pytest.raises(InputError, match="driven by"):
        performer.draw(psi[:3], motion, CAMERA)
    backend.close()


def test_a_fault_of_cuda_hands_over_to_the_processor(relative, gsplat):
    inner = TorchBackend("cpu")
    backend = GuardedBackend(inner)
    performer = backend.performer(relative.pack, relative.identity)

    def lost(*args, **kwargs):
        raise RuntimeError("CUDA error: unspecified launch failure")

    inner.renderer._rasterization = lost
    picture = performer.draw(probe_psi(LAYOUT), probe_motion(relative.identity), CAMERA)
    assert picture[..., 3].any()
    assert backend.name == "cpu"
    assert "unspecified launch failure" in backend.description
    backend.close()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_without_cuda_it_says_so(gsplat):
    with pytest.raises(DeviceError, match="needs an NVIDIA graphics processor"):
        open_backend("cuda")
