"""Who draws a person: one interface over the processor, OpenGL and CUDA (`core.avatar.backend_choice` chooses).

A backend turns a driving vector, a head motion and a camera into a picture. Where it works is its own matter: the CPU backend
does everything on the processor, the others keep the basis and the person on the graphics processor and read the picture back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.render.renderer import open_renderer
from core.types import Camera, FloatArray


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
            return self._backend.renderer.render(self.avatar.seen_from(camera, self._cloud), camera, None)

    def close(self) -> None:
        """Memory is freed as it goes out of use."""
