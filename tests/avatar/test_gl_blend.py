"""Blend and motion in OpenGL, on whatever OpenGL the machine has: numbers against the kernels, pictures against the reference."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from core.avatar.backend import CpuBackend
from core.avatar.backend_benchmark import measure_backend_parity
from core.avatar.backend_choice import open_backend
from core.avatar.basis import quantize
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion, rest_motion
from core.avatar.self_test import probe_motion, probe_psi, self_test
from core.avatar.sources import StudioSource
from core.errors import DeviceError
from core.geometry import orbit_camera, rotation_from_axis_angle
from core.render.benchmark import psnr
from tests.avatar.conftest import LAYOUT, Sample, make_sample

SEEDS = (7, 42, 2024)
CAMERA = orbit_camera(0.3, 0.1, 96, 64)
CPU_DB, HALF_DB, BYTES_DB, BLEND_DB = 58.0, 52.0, 45.0, 52.0


@pytest.fixture(scope="module", autouse=True)
def _opengl():
    try:
        open_backend("opengl").close()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture
def make_backend():
    """`GlBackend`s that are closed after the test."""
    from core.avatar.gl_backend import GlBackend

    made = []

    def make(*args, **kwargs):
        made.append(GlBackend(*args, **kwargs))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture(scope="module")
def heads() -> dict[int, Sample]:
    source = StudioSource()
    return {seed: Sample(source.pack, source.build(seed)) for seed in SEEDS}


def assert_same_gaussians(performer, sample: Sample, psi, motion):
    """What lies on the device after a picture, against the kernels on the processor."""
    performer.draw(psi, motion, CAMERA)
    performer._backend.make_current()
    xyz, scale, quat, opacity = performer.person.read()
    avatar = Avatar(sample.pack, sample.identity, exact=True)
    expected = avatar.pose(avatar.coefficients(psi), motion)
    np.testing.assert_allclose(xyz, expected.xyz, atol=1e-5)
    np.testing.assert_allclose(scale, expected.scale, atol=1e-6)
    np.testing.assert_allclose(opacity, expected.opacity, atol=1e-5)
    sign = np.where((quat * expected.quat).sum(1, keepdims=True) < 0, -1, 1)
    np.testing.assert_allclose(quat * sign, expected.quat, atol=2e-4)


def large_motion(identity) -> HeadMotion:
    axis_angle = np.array([0.4, -1.2, 0.3])
    angle = float(np.linalg.norm(axis_angle))
    return HeadMotion(rotation_from_axis_angle(axis_angle).astype(np.float32), (axis_angle / angle).astype(np.float32), angle,
                      np.array([0.03, -0.02, 0.01], np.float32), np.array([0.01, 0.02, -0.005], np.float32))


# ------------------------------------------------------------------------------------------------------------ numbers


def test_gaussians_move_by_the_rules_of_the_kernels(sample, make_backend):
    """Both conventions, at rest, at a face, and under a turn that is large enough to tell R from its transpose."""
    performer = make_backend().performer(sample.pack, sample.identity)
    for psi in (np.zeros(LAYOUT.size, np.float32), probe_psi(LAYOUT), 2 * probe_psi(LAYOUT, 3)):
        for motion in (rest_motion(), large_motion(sample.identity)):
            assert_same_gaussians(performer, sample, psi, motion)


@pytest.mark.parametrize("rotation", ["relative", "additive"])
def test_what_is_not_stored_does_not_move(rotation, make_backend):
    """Attributes without any plane, blocks without planes, and numbers of planes that do not fill a texel."""
    sample = make_sample(rotation, seed=3)
    manifest = replace(sample.pack.manifest, components=(5, 3, 0, 2))
    rng = np.random.default_rng(0)
    bases = [(0.01 * rng.standard_normal((k, manifest.rows, c))).astype(np.float32)
             for k, c in zip(manifest.components, manifest.channels, strict=True)]
    bases[0][:, 1024:2048] = 0
    bases[1][:, :1024] = 0
    bases[3][:] = 0
    packed = tuple(quantize(basis, refined=1) for basis in bases)
    assert [len(basis.blocks) for basis in packed] == [2, 2, 0, 0]
    outputs = sum(manifest.components)
    cut = {name: value[:outputs] for name, value in sample.pack.regressor.linear.items()}
    source = sample.pack.regressor
    regressor = replace(source, weights=(*source.weights[:-1], source.weights[-1][:outputs]),
                        biases=(*source.biases[:-1], source.biases[-1][:outputs]), linear=cut)
    changed = Sample(replace(sample.pack, manifest=manifest, basis=packed, regressor=regressor), sample.identity)
    performer = make_backend().performer(changed.pack, changed.identity)
    # an additive pack reads scales from rows that are not stored: they are zeros
    assert_same_gaussians(performer, changed, probe_psi(LAYOUT), probe_motion(changed.identity))


def test_a_studio_head_moves_by_the_rules_of_the_kernels(heads, make_backend):
    sample = heads[7]
    performer = make_backend().performer(sample.pack, sample.identity)
    for phase in range(3):
        psi = probe_psi(sample.pack.manifest.psi, phase)
        assert_same_gaussians(performer, sample, psi, large_motion(sample.identity))


# ----------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("seed", SEEDS)
def test_parity_with_the_reference(heads, seed, record_property):
    """One face from one side, because the reference takes seconds; `bench` and the next test look at more."""
    parity = measure_backend_parity(heads[seed].pack, heads[seed].identity, 512, faces=1, yaws=(0.3,))
    record_property("parity", str(parity))
    assert parity.cpu >= CPU_DB
    assert parity.opengl >= HALF_DB
    assert parity.opengl_bytes >= BYTES_DB
    assert parity.whole >= HALF_DB


@pytest.mark.parametrize("seed", SEEDS)
def test_blending_on_the_device_makes_the_same_pictures(heads, seed, make_backend):
    """Three faces from two sides, against the processor's blend drawn by the same OpenGL, and against the processor alone."""
    sample = heads[seed]
    on_device, uploaded, cpu = (backend.performer(sample.pack, sample.identity)
                                for backend in (make_backend(), make_backend(gpu_blend=False), CpuBackend()))
    motion = probe_motion(sample.identity)
    for phase in range(3):
        psi = probe_psi(sample.pack.manifest.psi, phase)
        for yaw in (0.0, 0.6):
            camera = orbit_camera(yaw, 0.1, 256, 256)
            picture = on_device.draw(psi, motion, camera) / 255
            assert psnr(picture, uploaded.draw(psi, motion, camera) / 255) >= BLEND_DB
            assert psnr(picture, cpu.draw(psi, motion, camera) / 255) >= HALF_DB - 2  # both have their own rounding


def test_pictures_are_upright_and_the_caller_s_to_keep(relative, make_backend):
    """Against the processor, in a picture that is neither square nor symmetric, and after the next one was drawn."""
    gl, cpu = make_backend(), CpuBackend()
    performers = [backend.performer(relative.pack, relative.identity) for backend in (gl, cpu)]
    motion = probe_motion(relative.identity)
    cameras = [orbit_camera(0.4, 0.2, 90, 50), orbit_camera(-0.4, 0.0, 40, 70), CAMERA]
    pictures = [[performer.draw(probe_psi(LAYOUT, k), motion, camera) for k, camera in enumerate(cameras)]
                for performer in performers]
    for ours, theirs in zip(*pictures, strict=True):
        assert ours.dtype == np.uint8
        assert ours.shape == theirs.shape
        assert psnr(ours / 255, theirs / 255) > 45
        assert psnr(ours[::-1] / 255, theirs / 255) < 30


def test_less_detail_leaves_out_the_same_as_on_the_processor(relative, make_backend):
    gl, cpu = make_backend(), CpuBackend()
    performers = [backend.performer(relative.pack, relative.identity) for backend in (gl, cpu)]
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    full = performers[0].draw(psi, motion, CAMERA)
    for backend in (gl, cpu):
        backend.set_detail(1 / 16)
    rough, expected = (performer.draw(psi, motion, CAMERA) for performer in performers)
    assert psnr(rough / 255, expected / 255) > 45 > psnr(rough / 255, full / 255)


# ------------------------------------------------------------------------------------------- contexts, limits, failures


def test_asking_for_opengl_gets_it_even_in_software(relative):
    backend = open_backend("opengl")
    performer = backend.performer(relative.pack, relative.identity)
    assert backend.name == "opengl", backend.description
    assert "OpenGL on " in backend.description
    assert performer.draw(probe_psi(LAYOUT), probe_motion(relative.identity), CAMERA)[..., 3].any()
    backend.close()
    backend.close()


class FragileContext:
    """A context that can be lost: `make_current` then either says so, or nobody says anything and every call is ignored."""

    def __init__(self, silent: bool) -> None:
        from core.render.egl import OffscreenContext

        self.inner, self.lost, self.silent = OffscreenContext(), False, silent

    def lose(self) -> None:
        self.inner.close()
        self.lost = True

    def make_current(self) -> None:
        if not (self.lost and self.silent):
            self.inner.make_current()

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("silent", [False, True])
def test_a_lost_context_is_replaced_by_the_processor(relative, silent):
    """The context is destroyed under the backend, as a driver does when the device is removed."""
    context = FragileContext(silent)
    backend = open_backend("opengl", lambda: context)
    performer = backend.performer(relative.pack, relative.identity)
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    before = performer.draw(psi, motion, CAMERA)
    context.lose()
    after = performer.draw(psi, motion, CAMERA)
    assert backend.name == "cpu"
    assert ("does not answer" if silent else "cannot be made current") in backend.description
    assert psnr(before / 255, after / 255) > 45
    backend.close()


def test_textures_that_are_too_small_leave_the_blend_to_the_processor(relative, make_backend, heads):
    from core.avatar.gl_backend import UploadPerformer

    backend, sample = make_backend(), heads[7]
    backend.renderer.device = backend.renderer.device._replace(largest_side=1024, most_layers=8)
    performer = backend.performer(sample.pack, sample.identity)
    assert isinstance(performer, UploadPerformer)
    assert "blended by the processor" in backend.description
    assert "8" in backend.description
    assert self_test(backend, sample.pack, sample.identity) > 45
    backend.renderer.device = backend.renderer.device._replace(largest_side=16384, most_layers=2048)
    assert not isinstance(backend.performer(relative.pack, relative.identity), UploadPerformer)


def test_backends_side_by_side_do_not_disturb_each_other(relative, additive, make_backend):
    first, second = make_backend(), make_backend()
    one, two = first.performer(relative.pack, relative.identity), second.performer(additive.pack, additive.identity)
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    alone = one.draw(psi, motion, CAMERA), two.draw(psi, motion, CAMERA)
    for _ in range(2):
        np.testing.assert_array_equal(one.draw(psi, motion, CAMERA), alone[0])
        np.testing.assert_array_equal(two.draw(psi, motion, CAMERA), alone[1])
    first.close()
    np.testing.assert_array_equal(two.draw(psi, motion, CAMERA), alone[1])
    with pytest.raises(DeviceError, match="closed"):
        one.draw(psi, motion, CAMERA)


def test_it_works_in_a_thread_of_its_own(relative, make_backend):
    """Made, used and closed in another thread, while this one has a backend too."""
    from core.avatar.gl_backend import GlBackend

    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    here = make_backend().performer(relative.pack, relative.identity)
    expected, pictures, failures = here.draw(psi, motion, CAMERA), [], []

    def work():
        try:
            backend = GlBackend()
            performer = backend.performer(relative.pack, relative.identity)
            pictures.extend(performer.draw(psi, motion, CAMERA) for _ in range(3))
            backend.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    pictures.append(here.draw(psi, motion, CAMERA))
    for thread in threads:
        thread.join()
    assert not failures
    assert len(pictures) == 7
    for picture in pictures:
        np.testing.assert_array_equal(picture, expected)


class KeptContext:
    """A context that outlives its backend, so that one can look at what was left behind."""

    def __init__(self) -> None:
        from core.render.egl import OffscreenContext

        self.inner = OffscreenContext()

    def make_current(self) -> None:
        self.inner.make_current()

    def close(self) -> None:
        """Not yet."""


def objects_alive() -> int:
    from core.render.gl import GL

    kinds = (GL.glIsTexture, GL.glIsFramebuffer, GL.glIsProgram, GL.glIsShader, GL.glIsRenderbuffer, GL.glIsVertexArray,
             GL.glIsBuffer)
    return sum(bool(is_object(name)) for is_object in kinds for name in range(1, 400))


def test_nothing_is_left_behind(relative, additive):
    from core.avatar.gl_backend import GlBackend

    context = KeptContext()
    assert objects_alive() == 0
    backend = GlBackend(lambda: context)
    motion = probe_motion(relative.identity)
    empty = objects_alive()
    first = backend.performer(relative.pack, relative.identity)
    first.draw(probe_psi(LAYOUT), motion, CAMERA)
    one = objects_alive()
    for _ in range(3):  # people come and go
        guest = backend.performer(relative.pack, relative.identity)
        guest.draw(probe_psi(LAYOUT), motion, orbit_camera(0, 0, 32, 48))
        guest.close()
        guest.close()
        assert objects_alive() == one
    first.close()
    other = backend.performer(additive.pack, additive.identity)  # the other pack's basis goes with the last who used it
    other.draw(probe_psi(LAYOUT), motion, CAMERA)
    assert objects_alive() == one
    assert one > empty > 0
    backend.close()
    context.make_current()
    assert objects_alive() == 0
    context.inner.close()
