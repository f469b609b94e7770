"""Who draws a person: one interface over the processor, OpenGL and CUDA, and the choice between them.

A backend turns a driving vector, a head motion and a camera into a picture. Where it works is its own matter: the CPU backend
does everything on the processor, the others keep the basis and the person on the graphics processor and read the picture back.
"""

from __future__ import annotations

import importlib.metadata
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.errors import DeviceError, InputError
from core.render.renderer import open_renderer
from core.types import Camera, FloatArray

log = logging.getLogger(__name__)

BACKEND_NAMES = ("auto", "cpu", "opengl", "cuda")
_NVIDIA_DEVICES = ("/dev/nvidiactl", "/dev/dxg")  # Linux, and Linux inside Windows


class DrawingContext(Protocol):
    """An OpenGL context without a window, current in the thread that made it."""

    def make_current(self) -> None:
        """Direct the calling thread's OpenGL calls to it."""

    def close(self) -> None:
        """Destroy it."""


MakeContext = Callable[[], DrawingContext]


class Timer(Protocol):
    """What collects the times of the stages "drive" and "render" (`core.pipeline.timing.StageTimer`)."""

    def stage(self, name: str) -> AbstractContextManager[None]: ...


class Performer(Protocol):
    """One person, ready to be drawn. Belongs to the thread of its backend.

    Attributes:
        avatar: the person on the processor's side: conventions of ψ, driving response, neck joint.
    """

    avatar: Avatar

    def draw(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> NDArray[np.uint8]:
        """The person with an expression and a head motion.

        Args:
            psi: [P] driving vector.

        Returns:
            uint8 RGBA [H, W, 4], premultiplied by the coverage; the caller's to keep.

        Raises:
            InputError: ψ does not fit the pack, or the camera has no pixels.
            DeviceError: the device fails.
        """
        ...

    def close(self) -> None:
        """Release what the person holds on the device; harmless when repeated."""
        ...


class Backend(Protocol):
    """Makes performers. Made, used and closed in one thread.

    Attributes:
        name: "cpu", "opengl" or "cuda".
        description: what draws and why, in words for the user.
        is_software: whether the processor draws.
        timer: told what the stages "drive" and "render" of every picture take; None for nobody.
    """

    name: str
    description: str
    is_software: bool
    timer: Timer | None

    def performer(self, pack: AvatarPack, identity: Identity) -> Performer:
        """A person who is drawn by this backend.

        Raises:
            DeviceError: the device has no room for the person.
        """
        ...

    def set_detail(self, alpha_min: float) -> None:
        """Skip contributions to a pixel below `alpha_min`; 1/255 is everything, 1/64 is faster and looks nearly the same."""
        ...

    def close(self) -> None:
        """Release the device and all performers; harmless when repeated."""
        ...


@contextmanager
def timed(timer: Timer | None, stage: str) -> Iterator[None]:
    """The block as a run of a stage, where somebody wants to know."""
    if timer is None:
        yield
    else:
        with timer.stage(stage):
            yield


class CpuBackend:
    """`Backend` on the processor, the one that every machine has.

    Args:
        threads: 1, or 2 to let a helper thread take some tiles.
        reason: why the processor draws, for the description.
    """

    name = "cpu"
    is_software = True

    def __init__(self, threads: int = 1, reason: str = "") -> None:
        self.description = f"the processor ({reason})" if reason else "the processor"
        self.timer: Timer | None = None
        self.renderer = open_renderer("cpu", threads)

    def performer(self, pack: AvatarPack, identity: Identity) -> CpuPerformer:
        return CpuPerformer(self, Avatar(pack, identity))

    def set_detail(self, alpha_min: float) -> None:
        self.renderer.alpha_min = alpha_min

    def close(self) -> None:
        self.renderer.close()


class CpuPerformer:
    """`Performer` of a `CpuBackend`. The cloud of a picture is written over by the next one's."""

    def __init__(self, backend: CpuBackend, avatar: Avatar) -> None:
        self.avatar = avatar
        self._backend = backend
        self._cloud = avatar.empty()

    def draw(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> NDArray[np.uint8]:
        timer = self._backend.timer
        with timed(timer, "drive"):
            self.avatar.pose(self.avatar.coefficients(psi), motion, self._cloud)
        with timed(timer, "render"):
            return self._backend.renderer.render(self._cloud, camera, None)

    def close(self) -> None:
        """Memory is freed as it goes out of use."""


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
    from core.avatar.guard import GuardedBackend

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
