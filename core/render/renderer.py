"""What every renderer offers, and the choice between them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError, InputError
from core.types import Camera, Gaussians

Background = tuple[float, float, float] | None
RENDERER_NAMES = ("auto", "cpu", "opengl", "cuda", "reference")


@dataclass(frozen=True)
class RenderStats:
    """What the last picture cost: thread-CPU milliseconds by stage, and how much there was to draw.

    A renderer that cannot tell its stages apart puts the whole into ``blend_ms``.
    """

    project_ms: float = 0.0
    sort_ms: float = 0.0
    blend_ms: float = 0.0
    gaussian_count: int = 0

    @property
    def total_ms(self) -> float:
        return self.project_ms + self.sort_ms + self.blend_ms


class StageClock:
    """Milliseconds of this thread's processor time between laps; time in which other programs ran does not count."""

    def __init__(self) -> None:
        self._last = time.thread_time()

    def lap(self) -> float:
        now = time.thread_time()
        elapsed = now - self._last
        self._last = now
        return 1e3 * elapsed


class Renderer(Protocol):
    """Draws a cloud of Gaussians by the rules of `core.render.reference`.

    A renderer keeps buffers between pictures and belongs to one thread at a time.

    Attributes:
        name: as `open_renderer` takes it.
        stats: cost of the last picture.
    """

    name: str
    stats: RenderStats

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a picture.

        Args:
            background: RGB in 0..1, or None for a transparent picture.

        Returns:
            uint8 RGBA [H, W, 4], the caller's to keep. A is the coverage 1 − T. RGB lies over the background; without
            one it is premultiplied by the coverage.
        """
        ...

    def warm_up(self) -> None:
        """Compile what has to be compiled, so that the first picture is not late. May run in a background thread."""
        ...

    def close(self) -> None:
        """Release threads and device memory. The renderer is not used afterwards."""
        ...


def open_renderer(name: str = "auto", threads: int = 1) -> Renderer:
    """Make a renderer.

    Args:
        name: one of `RENDERER_NAMES`. "auto" takes OpenGL when a real graphics processor answers, else the CPU.
        threads: 1, or 2 to let the CPU renderer use a helper thread; the others ignore it.

    Raises:
        InputError: there is no renderer of that name.
        DeviceError: the graphics library or device it needs is missing.
    """
    if name == "cpu":
        from core.render.cpu import CpuRenderer

        return CpuRenderer(threads)
    if name == "reference":
        from core.render.reference import ReferenceRenderer

        return ReferenceRenderer()
    if name == "opengl":
        from core.render.opengl import OffscreenOpenGLRenderer

        return OffscreenOpenGLRenderer()
    if name == "cuda":
        from core.render.cuda import CudaRenderer

        return CudaRenderer()
    if name == "auto":
        return _open_fastest(threads)
    raise InputError(f"there is no renderer called {name!r}", f"choose one of {', '.join(RENDERER_NAMES)}")


def _open_fastest(threads: int) -> Renderer:
    """OpenGL on real hardware, else the CPU rasteriser, which beats a software OpenGL by an order of magnitude."""
    try:
        renderer = open_renderer("opengl")
    except DeviceError:
        return open_renderer("cpu", threads)
    if renderer.is_software:
        renderer.close()
        return open_renderer("cpu", threads)
    return renderer
