"""OpenGL contexts for the drawing thread on systems without EGL, made by Qt. Windows and macOS: written for, not run."""

from __future__ import annotations

import sys
from collections.abc import Callable

from PySide6.QtGui import QOffscreenSurface, QOpenGLContext, QSurfaceFormat

from core.errors import DeviceError


class QtContext:
    """An OpenGL 4.1 or 3.3 core context without a window. The surface is made in the GUI's thread, as Qt asks for."""

    def __init__(self, surface: QOffscreenSurface) -> None:
        self._surface = surface
        self._context = QOpenGLContext()
        self._context.setFormat(surface.format())
        if not self._context.create():
            raise DeviceError("no OpenGL context can be made", "update the graphics driver")
        self.make_current()

    def make_current(self) -> None:
        """Direct this thread's OpenGL calls to the context. Raises DeviceError."""
        if not self._context.makeCurrent(self._surface):
            raise DeviceError("the OpenGL context cannot be made current", "update the graphics driver")

    def close(self) -> None:
        """Let go of the context."""
        self._context.doneCurrent()


def make_gl_context_factory() -> Callable[[], QtContext] | None:
    """A maker of contexts for `core.avatar.backend_choice.open_backend`; None on Linux, where EGL needs no window system."""
    if sys.platform == "linux":
        return None
    wanted = QSurfaceFormat()
    wanted.setVersion(4, 1) if sys.platform == "darwin" else wanted.setVersion(3, 3)
    wanted.setProfile(QSurfaceFormat.OpenGLContextProfile.CoreProfile)
    surface = QOffscreenSurface()
    surface.setFormat(wanted)
    surface.create()
    return lambda: QtContext(surface)
