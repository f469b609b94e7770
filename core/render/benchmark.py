"""How fast and how exact the renderers are on this machine. Printing is the command line's part.

Times are thread-CPU or process-CPU milliseconds, the least of several runs: other programs on the machine slow a run down,
nothing speeds it up.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.geometry import orbit_camera
from core.render.reference import render_reference
from core.render.renderer import Renderer, RenderStats, open_renderer
from core.types import Camera, Gaussians

SHELL_AXES = np.array([0.080, 0.115, 0.095])  # half-axes of a head, metres
SHELL_DISTANCE = 1.0
SHELL_FOV_DEGREES = 14.7
WHITE = (1.0, 1.0, 1.0)
LARGEST_ERROR_FREE_PSNR = 99.0


@dataclass(frozen=True)
class StageTimes:
    """Least cost of each stage of the CPU rasteriser in milliseconds, and of the whole picture."""

    gaussian_count: int
    project_ms: float
    sort_ms: float
    blend_ms: float
    total_ms: float


@dataclass(frozen=True)
class RendererComparison:
    """Another renderer on the same cloud.

    Attributes:
        description: the device, as its driver calls it.
        is_software: whether it draws on the processor.
        cpu_ms: least processor time of a picture over all threads of the process.
        ratio: that time over the CPU rasteriser's, measured in turn with it.
    """

    description: str
    is_software: bool
    cpu_ms: float
    ratio: float


def shell_cloud(count: int = 65536, size: int = 512, seed: int = 0) -> tuple[Gaussians, Camera]:
    """A head-sized ellipsoid of flat Gaussians, the far side included, and a camera in front of it.

    Neighbours overlap so that the shell covers the picture evenly at any count; a seventh of the Gaussians is translucent.

    Args:
        count: a square number.
        size: the picture's side in pixels.
    """
    rng = np.random.default_rng(seed)
    side = math.isqrt(count)
    column, row = np.indices((side, side)).reshape(2, -1)
    u, v = (column + rng.uniform(0.2, 0.8, side**2)) / side, (row + rng.uniform(0.2, 0.8, side**2)) / side
    longitude, height = 2 * np.pi * (u - 0.5), 2 * v - 1
    radius = np.sqrt(1 - height**2)
    direction = np.stack([radius * np.sin(longitude), height, radius * np.cos(longitude)], -1)
    normal = direction / SHELL_AXES
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    xyz = direction * SHELL_AXES * (1 + 0.03 * np.sin(7 * direction[:, :1]) * np.cos(5 * direction[:, 1:2] + 1))

    camera = orbit_camera(0.0, 0.0, size, size, SHELL_DISTANCE, np.zeros(3), SHELL_FOV_DEGREES)
    pixel = SHELL_DISTANCE / orbit_camera(0.0, 0.0, 512, 512, SHELL_DISTANCE, np.zeros(3), SHELL_FOV_DEGREES).fx
    scale = 1.5 * pixel * 256 / side * np.exp(rng.normal(0, 0.2, xyz.shape)) * (1, 1, 0.3)
    quat = np.stack([1 + normal[:, 2], -normal[:, 1], normal[:, 0], np.zeros(len(normal))], -1)  # turns z to the normal
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    opacity = np.where(rng.random(len(xyz)) < 0.85, rng.uniform(0.9, 0.99, len(xyz)), rng.uniform(0.15, 0.6, len(xyz)))
    waves = np.stack([np.sin(100 * xyz[:, 0]), np.cos(85 * xyz[:, 1]), np.sin(90 * (xyz[:, 0] + xyz[:, 1]))], -1)
    rgb = np.clip(0.5 + 0.25 * waves + rng.normal(0, 0.06, xyz.shape), 0, 1)
    return Gaussians(*(np.ascontiguousarray(field, np.float32) for field in (xyz, scale, quat, rgb, opacity))), camera


def measure_stages(gaussians: Gaussians, camera: Camera, repeats: int = 20) -> StageTimes:
    """Stages of the CPU rasteriser on one core."""
    renderer = open_renderer("cpu")
    renderer.warm_up()
    runs = [_stats_of(renderer, gaussians, camera) for _ in range(repeats)]
    renderer.close()
    return StageTimes(len(gaussians), min(run.project_ms for run in runs), min(run.sort_ms for run in runs),
                      min(run.blend_ms for run in runs), min(run.total_ms for run in runs))


def _stats_of(renderer: Renderer, gaussians: Gaussians, camera: Camera) -> RenderStats:
    renderer.render(gaussians, camera, WHITE)
    return renderer.stats


def compare_with_opengl(gaussians: Gaussians, camera: Camera, repeats: int = 5) -> RendererComparison:
    """The system's OpenGL against the CPU rasteriser, picture by picture in turn.

    Raises:
        DeviceError: there is no OpenGL here.
    """
    opengl, cpu = open_renderer("opengl"), open_renderer("cpu")
    cpu.warm_up()
    times = [(_process_ms(opengl, gaussians, camera), _process_ms(cpu, gaussians, camera)) for _ in range(repeats)]
    description, is_software = opengl.description, opengl.is_software
    opengl.close()
    cpu.close()
    opengl_ms, cpu_ms = np.min(times, axis=0)
    return RendererComparison(description, is_software, float(opengl_ms), float(opengl_ms / cpu_ms))


def _process_ms(renderer: Renderer, gaussians: Gaussians, camera: Camera) -> float:
    start = time.process_time()
    renderer.render(gaussians, camera, WHITE)
    return 1e3 * (time.process_time() - start)


def psnr(picture: NDArray, expected: NDArray) -> float:
    """Peak signal-to-noise ratio in dB of two pictures with values in 0..1."""
    error = float(np.mean((np.asarray(picture, np.float64) - expected) ** 2))
    return LARGEST_ERROR_FREE_PSNR if error == 0 else -10 * math.log10(error)


def measure_parity(renderer: Renderer, gaussians: Gaussians, camera: Camera) -> float:
    """PSNR in dB of a renderer's 8-bit picture over white against the float64 reference, which takes seconds."""
    expected, _ = render_reference(gaussians, camera, WHITE)
    return psnr(renderer.render(gaussians, camera, WHITE)[..., :3] / 255, expected)


def measure_read_bandwidth(megabytes: int = 128, repeats: int = 5) -> float:
    """How fast one core reads memory in order, in bytes a second: the floor of every kernel that streams its data once."""
    data = np.ones(megabytes * (1 << 20) // 8, np.int64)
    _xor_all(data[:64])
    best = math.inf
    for _ in range(repeats):
        start = time.thread_time()
        _xor_all(data)
        best = min(best, time.thread_time() - start)
    return data.nbytes / best


@njit(cache=True, nogil=True)
def _xor_all(data):
    result = np.int64(0)
    for i in range(len(data)):
        result ^= data[i]
    return result
