"""The choice of what draws on this machine."""

from __future__ import annotations

import importlib.metadata
import logging
import shutil
from pathlib import Path

from core.avatar.backend import Backend, CpuBackend, MakeContext
from core.avatar.guard import GuardedBackend
from core.errors import DeviceError, InputError

log = logging.getLogger(__name__)

BACKEND_NAMES = ("auto", "cpu", "opengl", "cuda")
_NVIDIA_DEVICES = ("/dev/nvidiactl", "/dev/dxg")  # Linux, and Linux inside Windows


def open_backend(name: str = "auto", make_context: MakeContext | None = None, threads: int = 1) -> Backend:
    """Choose what draws. Call it in the thread that will draw.

    Everything but the processor is guarded: before the first picture it must draw nearly the same as the processor, and when
    it fails later, the processor takes over (see `core.avatar.guard`).

    Args:
        name: one of `BACKEND_NAMES`. "auto" takes CUDA or OpenGL where a graphics processor answers, else the processor.
        make_context: makes the OpenGL context; an EGL context without a surface when left out (Linux).
        threads: for the processor's rasteriser, 1 or 2.

    Raises:
        InputError: there is no backend of that name.
        DeviceError: the library or device it needs is missing; never for "auto" and "cpu".
    """
    if name == "cpu":
        return CpuBackend(threads)
    if name == "opengl":
        return GuardedBackend(_open_opengl(make_context), threads)
    if name == "cuda":
        return GuardedBackend(_open_cuda(), threads)
    if name != "auto":
        raise InputError(f"there is no renderer called {name!r}", f"choose one of {', '.join(BACKEND_NAMES)}")
    chosen, reason = _fastest(make_context)
    return CpuBackend(threads, reason) if chosen is None else GuardedBackend(chosen, threads)


def _fastest(make_context: MakeContext | None) -> tuple[Backend | None, str]:
    """A backend on a graphics processor; without one, None and the reason in words."""
    if cuda_is_likely():
        try:
            return _open_cuda(), ""
        except DeviceError as error:
            log.info("CUDA is not used: %s", error)
    try:
        opengl = _open_opengl(make_context)
    except DeviceError as error:
        log.info("OpenGL is not used: %s", error)
        return None, f"no graphics processor to be had: {error.message}"
    if opengl.is_software:
        device = opengl.device
        opengl.close()
        return None, f"OpenGL is in software here: {device}"
    return opengl, ""


def cuda_is_likely() -> bool:
    """Whether loading torch is worth its seconds: gsplat, a torch that may know CUDA, and traces of an NVIDIA driver."""
    try:
        importlib.metadata.version("gsplat")
        torch_version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
    if "+cpu" in torch_version or "+rocm" in torch_version:
        return False
    return any(Path(device).exists() for device in _NVIDIA_DEVICES) or shutil.which("nvidia-smi") is not None


def _open_opengl(make_context: MakeContext | None) -> Backend:
    from core.avatar.gl_backend import GlBackend  # loads the OpenGL library

    return GlBackend(make_context)


def _open_cuda() -> Backend:
    from core.avatar.torch_blend import TorchBackend  # loads torch

    return TorchBackend()
