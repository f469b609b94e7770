"""Choosing a renderer; what all of them have in common; the benchmark's helpers; numba's set-up."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from core import _numba_setup
from core.errors import DeviceError, InputError
from core.geometry import orbit_camera
from core.render.benchmark import measure_parity, measure_read_bandwidth, measure_stages, psnr, shell_cloud
from core.render.renderer import RENDERER_NAMES, open_renderer
from tests.render.clouds import cloud, front_camera


@pytest.mark.parametrize("name", RENDERER_NAMES)
def test_every_renderer_keeps_the_contract(name):
    try:
        renderer = open_renderer(name)
    except DeviceError as error:
        pytest.skip(str(error))
    renderer.warm_up()
    gaussians = cloud([0, 0, 1], scale=0.05, rgb=(0.2, 0.4, 0.8), opacity=0.9)
    camera = front_camera(24, 16)
    over, premultiplied = renderer.render(gaussians, camera, (1.0, 0.0, 0.0)), renderer.render(gaussians, camera)
    renderer.close()
    for picture in (over, premultiplied):
        assert picture.dtype == np.uint8
        assert picture.shape == (16, 24, 4)
    alpha = 0.9 * 25 / 25.3 * np.exp(-0.25 / 25.3)  # half a pixel from the centre in x and y
    np.testing.assert_allclose(over[8, 12] / 255, [0.2 * alpha + 1 - alpha, 0.4 * alpha, 0.8 * alpha, alpha], atol=1.5 / 255)
    np.testing.assert_allclose(premultiplied[8, 12] / 255, [0.2 * alpha, 0.4 * alpha, 0.8 * alpha, alpha], atol=1.5 / 255)


def test_an_unknown_renderer_is_named():
    with pytest.raises(InputError, match="'vulkan'"):
        open_renderer("vulkan")


def test_auto_never_takes_a_software_opengl():
    renderer = open_renderer("auto")
    assert renderer.name == "cpu" or not renderer.is_software
    renderer.close()


def test_the_shell_covers_the_middle_of_the_picture_evenly_at_any_count():
    cpu = open_renderer("cpu")
    for count in (64**2, 100**2):
        gaussians, camera = shell_cloud(count, 128)
        assert len(gaussians) == count
        coverage = cpu.render(gaussians, camera)[..., 3]
        assert coverage[44:84, 44:84].min() > 200
        assert 0.3 < (coverage > 128).mean() < 0.6


def test_benchmark_figures_are_what_they_say():
    gaussians, camera = shell_cloud(32**2, 64)
    times = measure_stages(gaussians, camera, repeats=3)
    assert times.gaussian_count == 32**2
    assert 0 < times.project_ms + times.sort_ms + times.blend_ms <= times.total_ms * 1.001
    assert measure_parity(open_renderer("reference"), gaussians, camera) > 55
    assert 1e8 < measure_read_bandwidth(megabytes=8, repeats=2) < 1e13
    assert psnr(np.full((4, 4), 0.5), np.full((4, 4), 0.6)) == pytest.approx(20.0)


def test_rendering_needs_no_graphics_library():
    """The CPU path must not import PyOpenGL, torch or Qt."""
    code = ("import sys; from core.render.renderer import open_renderer; open_renderer('cpu');"
            "bad = {'OpenGL', 'torch', 'PySide6', 'gsplat'} & set(sys.modules); assert not bad, bad")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wide_vectors_are_asked_for_only_where_they_exist(monkeypatch):
    from llvmlite import binding

    class Features(dict):
        def flatten(self):
            return ",".join(("+" if on else "-") + name for name, on in self.items())

    def with_features(**features):
        monkeypatch.setattr(binding, "get_host_cpu_features", lambda: Features(features))
        return _numba_setup.wide_vector_processor()

    name, features = with_features(avx2=True, avx512f=True)
    assert name == binding.get_host_cpu_name()
    assert features == "+avx2,+avx512f,-prefer-256-bit"
    assert with_features(avx2=True, avx512f=False) is None
    assert with_features(neon=True) is None

    def unknown():
        raise RuntimeError

    monkeypatch.setattr(binding, "get_host_cpu_features", unknown)
    assert _numba_setup.wide_vector_processor() is None


def test_the_user_s_own_numba_settings_stay(monkeypatch):
    for name in ("NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.setenv(name, "mine")
    _numba_setup.configure_numba()
    assert {os.environ[name] for name in ("NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")} == {"mine"}


def test_a_camera_from_the_side_shows_the_side():
    """The camera's yaw turns the right half of the shell into view on the reference and the rasteriser alike."""
    gaussians = cloud([[0.05, 0, 0], [-0.05, 0, 0]], scale=0.02, rgb=[[1, 0, 0], [0, 0, 1]], opacity=0.99)
    camera = orbit_camera(np.pi / 2, 0.0, 32, 32, 1.0, np.zeros(3), 12)
    for name in ("cpu", "reference"):
        red, _, blue, _ = open_renderer(name).render(gaussians, camera, (0, 0, 0))[16, 16]
        assert red > 200 > 50 > blue  # +x is nearer to a camera at +x
