"""An OpenGL context without a window (Linux), for the command line, benchmarks and tests. Plain EGL through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from core.errors import DeviceError

_NONE = 0x3038
_CONFIG_ATTRIBUTES = (0x3033, 0, 0x3040, 0x0008, _NONE)  # SURFACE_TYPE none, RENDERABLE_TYPE OpenGL
_CONTEXT_ATTRIBUTES = (0x3098, 3, 0x30FB, 3, 0x30FD, 0x0001, _NONE)  # version 3.3, core profile
_OPENGL_API = 0x30A2
_PLATFORM_DEVICE, _PLATFORM_SURFACELESS = 0x313F, 0x31DD
_LARGEST_DEVICE_COUNT = 16


class OffscreenContext:
    """An OpenGL 3.3 core context that draws into framebuffer objects only. Graphics processors are preferred to software.

    It belongs to the thread that made it current.

    Raises:
        DeviceError: there is no EGL library, or none of its displays offers such a context.
    """

    def __init__(self) -> None:
        try:
            self._egl = ctypes.CDLL("libEGL.so.1")
        except OSError:
            raise DeviceError("OpenGL cannot be used without a window here: libEGL is missing",
                              "on Debian or Ubuntu: apt install libegl1 libgl1 libgl1-mesa-dri") from None
        self._declare()
        for display in self._displays():
            context = self._create(display)
            if context:
                self._display, self._context = display, context
                self.make_current()
                return
        raise DeviceError("no OpenGL 3.3 context can be made without a window here", "update the graphics driver")

    def _declare(self) -> None:
        pointer, integers = ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
        egl = self._egl
        egl.eglGetProcAddress.restype = pointer
        egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
        egl.eglGetDisplay.restype = pointer
        egl.eglGetDisplay.argtypes = [pointer]
        egl.eglInitialize.argtypes = [pointer, integers, integers]
        egl.eglChooseConfig.argtypes = [pointer, integers, ctypes.POINTER(pointer), ctypes.c_int, integers]
        egl.eglCreateContext.restype = pointer
        egl.eglCreateContext.argtypes = [pointer, pointer, pointer, integers]
        egl.eglMakeCurrent.argtypes = [pointer, pointer, pointer, pointer]
        egl.eglDestroyContext.argtypes = [pointer, pointer]

    def _displays(self) -> Iterator[int]:
        """Handles of displays worth trying: each graphics device, Mesa without a surface, the default."""
        platform_display = self._extension("eglGetPlatformDisplayEXT", ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p,
                                           ctypes.c_void_p)
        query_devices = self._extension("eglQueryDevicesEXT", ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        if platform_display and query_devices:
            devices, count = (ctypes.c_void_p * _LARGEST_DEVICE_COUNT)(), ctypes.c_int()
            if query_devices(_LARGEST_DEVICE_COUNT, devices, ctypes.byref(count)):
                yield from filter(None, (platform_display(_PLATFORM_DEVICE, device, None) for device in devices[:count.value]))
        if platform_display:
            yield from filter(None, [platform_display(_PLATFORM_SURFACELESS, None, None)])
        yield from filter(None, [self._egl.eglGetDisplay(None)])

    def _extension(self, name: str, *prototype):
        address = self._egl.eglGetProcAddress(name.encode())
        return ctypes.CFUNCTYPE(*prototype)(address) if address else None

    def _create(self, display: int) -> int | None:
        egl, integers = self._egl, lambda values: (ctypes.c_int * len(values))(*values)
        if not egl.eglInitialize(display, None, None) or not egl.eglBindAPI(_OPENGL_API):
            return None
        config, count = ctypes.c_void_p(), ctypes.c_int()
        if not egl.eglChooseConfig(display, integers(_CONFIG_ATTRIBUTES), ctypes.byref(config), 1, ctypes.byref(count)):
            return None
        if count.value == 0:
            return None
        context = egl.eglCreateContext(display, config, None, integers(_CONTEXT_ATTRIBUTES))
        if context and egl.eglMakeCurrent(display, None, None, context):
            return context
        if context:
            egl.eglDestroyContext(display, context)
        return None

    def make_current(self) -> None:
        """Direct this thread's OpenGL calls to the context.

        Raises:
            DeviceError: the context is closed or lost, or another thread uses it.
        """
        if not self._context or not self._egl.eglMakeCurrent(self._display, None, None, self._context):
            raise DeviceError("the offscreen OpenGL context cannot be made current", "it is lost, or in use by another thread")

    def close(self) -> None:
        """Destroy the context."""
        if self._context:
            self._egl.eglMakeCurrent(self._display, None, None, None)
            self._egl.eglDestroyContext(self._display, self._context)
            self._context = None
