"""Who draws: the processor's backend, the watch over the others, and the choice."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from core.avatar import backend_choice as backends
from core.avatar.backend import CpuBackend
from core.avatar.backend_choice import cuda_is_likely, open_backend
from core.avatar.guard import GuardedBackend
from core.avatar.model import Avatar
from core.avatar.self_test import PASSING_DB, probe_motion, probe_psi, self_test
from core.errors import DeviceError, InputError
from core.geometry import orbit_camera
from core.render.cpu import CpuRenderer
from core.render.renderer import open_renderer
from tests.avatar.conftest import LAYOUT

CAMERA = orbit_camera(0.3, 0.1, 64, 48)


def expected_picture(sample, psi, motion) -> np.ndarray:
    avatar, renderer = Avatar(sample.pack, sample.identity), open_renderer("cpu")
    picture = renderer.render(avatar.pose(avatar.coefficients(psi), motion), CAMERA)
    renderer.close()
    return picture


class FakeBackend(CpuBackend):
    """The processor in disguise, which can be made to fail or to draw nonsense."""

    name = "opengl"
    is_software = False

    def __init__(self) -> None:
        super().__init__()
        self.description = "OpenGL on a fake"
        self.fault: Exception | None = None
        self.wrong = False
        self.refuses = False
        self.alphas: list[float] = []
        self.closed = 0
        self.drawn = 0

    def performer(self, pack, identity):
        if self.refuses:
            raise DeviceError("out of memory")
        performer = super().performer(pack, identity)
        draw = performer.draw

        def maybe(psi, motion, camera):
            if self.fault:
                raise self.fault
            self.drawn += 1
            picture = draw(psi, motion, camera)
            return 255 - picture if self.wrong else picture

        performer.draw = maybe
        return performer

    def set_detail(self, alpha_min):
        self.alphas.append(alpha_min)
        super().set_detail(alpha_min)

    def close(self):
        self.closed += 1
        super().close()


class Stages:
    """A timer that only notes names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @contextmanager
    def stage(self, name):
        yield
        self.names.append(name)


# ------------------------------------------------------------------------------------------------------ the processor


def test_the_processor_draws_what_avatar_and_renderer_give(sample):
    backend = CpuBackend()
    performer = backend.performer(sample.pack, sample.identity)
    motion = probe_motion(sample.identity)
    pictures = [(psi, performer.draw(psi, motion, CAMERA)) for psi in (probe_psi(LAYOUT), probe_psi(LAYOUT, 2))]
    for psi, picture in pictures:  # compared after both were drawn: a picture is the caller's to keep
        np.testing.assert_array_equal(picture, expected_picture(sample, psi, motion))
    assert (pictures[0][1] != pictures[1][1]).any()
    backend.close()
    backend.close()


def test_stages_are_timed_when_asked_for(relative):
    backend = open_backend("cpu")
    performer = backend.performer(relative.pack, relative.identity)
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    performer.draw(psi, motion, CAMERA)
    backend.timer = Stages()
    performer.draw(psi, motion, CAMERA)
    assert backend.timer.names == ["drive", "render"]
    backend.close()


def test_less_detail_is_the_renderer_s_own(relative):
    backend = CpuBackend()
    performer = backend.performer(relative.pack, relative.identity)
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    backend.set_detail(1 / 32)
    cloud = Avatar(relative.pack, relative.identity)
    expected = CpuRenderer(alpha_min=1 / 32).render(cloud.pose(cloud.coefficients(psi), motion), CAMERA)
    np.testing.assert_array_equal(performer.draw(psi, motion, CAMERA), expected)
    assert (expected != expected_picture(relative, psi, motion)).any()
    backend.close()


def test_two_people_share_a_backend(relative, additive):
    backend = CpuBackend()
    first = backend.performer(relative.pack, relative.identity)
    second = backend.performer(additive.pack, additive.identity)
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    for _ in range(2):
        np.testing.assert_array_equal(first.draw(psi, motion, CAMERA), expected_picture(relative, psi, motion))
        np.testing.assert_array_equal(second.draw(psi, motion, CAMERA), expected_picture(additive, psi, motion))
    backend.close()


def test_a_driving_vector_of_another_head_is_refused(relative):
    for backend in (CpuBackend(), GuardedBackend(FakeBackend())):
        performer = backend.performer(relative.pack, relative.identity)
        with pytest.raises(InputError, match="driven by 14 numbers, 3 given"):
            performer.draw(np.zeros(3, np.float32), probe_motion(relative.identity), CAMERA)
        assert backend.description in ("the processor", "OpenGL on a fake")  # the device is not to blame
        backend.close()


# -------------------------------------------------------------------------------------------------------- the watch


def test_the_self_test_tells_right_from_wrong(sample):
    fake = FakeBackend()
    assert self_test(fake, sample.pack, sample.identity) > 90
    fake.wrong = True
    assert self_test(fake, sample.pack, sample.identity) < PASSING_DB
    assert probe_psi(LAYOUT).any()
    fake.close()


def test_a_good_backend_is_used_and_tested_once_a_pack(relative, additive):
    fake = FakeBackend()
    guarded = GuardedBackend(fake)
    performer = guarded.performer(relative.pack, relative.identity)
    assert (guarded.name, guarded.description, guarded.is_software) == ("opengl", "OpenGL on a fake", False)
    assert fake.drawn == 1
    guarded.performer(relative.pack, relative.identity)
    assert fake.drawn == 1
    guarded.performer(additive.pack, additive.identity)
    assert fake.drawn == 2
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    np.testing.assert_array_equal(performer.draw(psi, motion, CAMERA), expected_picture(relative, psi, motion))
    guarded.close()
    assert fake.closed == 1


def test_a_backend_that_draws_nonsense_is_replaced(relative):
    fake = FakeBackend()
    fake.wrong = True
    guarded = GuardedBackend(fake)
    guarded.timer = Stages()
    performer = guarded.performer(relative.pack, relative.identity)
    assert fake.closed == 1
    assert guarded.name == "cpu"
    assert guarded.is_software
    assert "OpenGL on a fake failed" in guarded.description
    assert "first picture was wrong" in guarded.description
    assert guarded.timer.names == []  # the test's own pictures are not timed
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    np.testing.assert_array_equal(performer.draw(psi, motion, CAMERA), expected_picture(relative, psi, motion))
    assert guarded.timer.names == ["drive", "render"]
    guarded.close()


@pytest.mark.parametrize("fault", [DeviceError("the device was removed"), RuntimeError("driver says no"), OSError(5, "I/O")])
def test_a_device_that_is_lost_is_replaced_in_place(relative, additive, fault):
    """All performers go on with the processor, with the same timer and detail."""
    fake = FakeBackend()
    guarded = GuardedBackend(fake)
    guarded.timer = Stages()
    guarded.set_detail(1 / 64)
    people = [(sample, guarded.performer(sample.pack, sample.identity)) for sample in (relative, additive)]
    fake.fault = fault
    psi, motion = probe_psi(LAYOUT), probe_motion(relative.identity)
    plain = CpuBackend()
    plain.set_detail(1 / 64)
    for sample, performer in people:
        expected = plain.performer(sample.pack, sample.identity).draw(psi, motion, CAMERA)
        np.testing.assert_array_equal(performer.draw(psi, motion, CAMERA), expected)
        assert performer.avatar.identity is sample.identity
    assert (getattr(fault, "message", None) or str(fault)) in guarded.description
    assert guarded.timer.names == ["drive", "render"] * 2
    assert fake.closed == 1
    newcomer = guarded.performer(relative.pack, relative.identity)
    assert newcomer.draw(psi, motion, CAMERA).any()
    newcomer.close()
    newcomer.close()
    guarded.close()
    plain.close()


def test_a_person_the_device_has_no_room_for_is_drawn_by_the_processor(relative):
    fake = FakeBackend()
    guarded = GuardedBackend(fake)
    guarded.performer(relative.pack, relative.identity)
    fake.refuses = True
    late = guarded.performer(relative.pack, relative.identity)
    assert "out of memory" in guarded.description
    assert late.draw(probe_psi(LAYOUT), probe_motion(relative.identity), CAMERA).any()
    guarded.close()


def test_when_the_processor_itself_fails_the_error_is_told(relative):
    fake = FakeBackend()
    guarded = GuardedBackend(fake)
    performer = guarded.performer(relative.pack, relative.identity)
    fake.fault = DeviceError("gone")
    with pytest.raises(AttributeError):
        performer.draw(probe_psi(LAYOUT), probe_motion(relative.identity), None)
    guarded.close()


# -------------------------------------------------------------------------------------------------------- the choice


def test_an_unknown_name_is_told():
    with pytest.raises(InputError, match="'vulkan'"):
        open_backend("vulkan")


def test_auto_without_a_graphics_processor_takes_the_processor_and_says_why(monkeypatch):
    def absent(make_context):
        raise DeviceError("libEGL is missing", "install it")

    monkeypatch.setattr(backends, "cuda_is_likely", lambda: False)
    monkeypatch.setattr(backends, "_open_opengl", absent)
    backend = open_backend("auto", threads=2)
    assert backend.name == "cpu"
    assert "libEGL is missing" in backend.description
    backend.close()


class Software(FakeBackend):
    is_software = True
    device = "llvmpipe"


def test_auto_never_takes_an_opengl_in_software(monkeypatch):
    software = Software()
    monkeypatch.setattr(backends, "cuda_is_likely", lambda: False)
    monkeypatch.setattr(backends, "_open_opengl", lambda make_context: software)
    backend = open_backend("auto")
    assert (backend.name, backend.is_software) == ("cpu", True)
    assert "software here: llvmpipe" in backend.description
    assert software.closed == 1
    backend.close()
    forced = open_backend("opengl")  # who asks for it gets it
    assert isinstance(forced, GuardedBackend)
    assert forced.name == "opengl"
    forced.close()


def test_auto_takes_what_draws_in_hardware_and_cuda_first(monkeypatch):
    monkeypatch.setattr(backends, "_open_opengl", lambda make_context: FakeBackend())
    monkeypatch.setattr(backends, "cuda_is_likely", lambda: True)

    def broken():
        raise DeviceError("no CUDA after all")

    monkeypatch.setattr(backends, "_open_cuda", broken)
    backend = open_backend("auto")
    assert backend.description == "OpenGL on a fake"
    backend.close()
    cuda = FakeBackend()
    cuda.description = "CUDA on a fake"
    monkeypatch.setattr(backends, "_open_cuda", lambda: cuda)
    backend = open_backend("auto")
    assert backend.description == "CUDA on a fake"
    backend.close()


@pytest.mark.parametrize(("versions", "driver", "likely"), [
    ({"gsplat": "1.5.3", "torch": "2.9.0+cu128"}, True, True), ({"gsplat": "1.5.3", "torch": "2.9.0"}, True, True),
    ({"gsplat": "1.5.3", "torch": "2.9.0+cu128"}, False, False), ({"gsplat": "1.5.3", "torch": "2.9.0+cpu"}, True, False),
    ({"torch": "2.9.0+cu128"}, True, False), ({}, True, False)])
def test_cuda_is_looked_for_without_loading_torch(monkeypatch, tmp_path, versions, driver, likely):
    def version(name):
        if name not in versions:
            raise backends.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(backends.importlib.metadata, "version", version)
    monkeypatch.setattr(backends.shutil, "which", lambda name: None)
    monkeypatch.setattr(backends, "_NVIDIA_DEVICES", (str(tmp_path if driver else tmp_path / "absent"),))
    assert cuda_is_likely() == likely


def test_the_processor_needs_no_graphics_library():
    code = ("import sys; from core.avatar.backend_choice import open_backend; open_backend('cpu').close();"
            "bad = {'OpenGL', 'torch', 'gsplat'} & set(sys.modules); assert not bad, bad")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_auto_here_draws():
    """Whatever this machine has."""
    backend = open_backend("auto")
    assert backend.name == "cpu" or not backend.is_software
    assert backend.description
    backend.close()
