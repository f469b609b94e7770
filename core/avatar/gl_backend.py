"""The OpenGL backend: the basis and the people stay on the device, which blends, moves and draws; the processor sorts.

Written for graphics processors. Only the software OpenGL of Mesa has been tried: there everything works, and nothing is fast.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from core.avatar.backend import MakeContext, Timer, timed
from core.avatar.gl_blend import PackOnDevice, PersonOnDevice
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.errors import DeviceError
from core.render.egl import OffscreenContext
from core.render.gl import check_errors
from core.render.opengl import OpenGLRenderer
from core.types import Camera, FloatArray

log = logging.getLogger(__name__)


class GlBackend:
    """`core.avatar.backend.Backend` in an OpenGL context of its own, current in the thread that made it.

    Args:
        make_context: makes the context; by default one of EGL without a surface.
        gpu_blend: blend and move on the device; otherwise the processor does it and sends the Gaussians every frame, which
            is also what happens when a pack or a person is too large for the device's textures.
        half_floats: as for `OpenGLRenderer`.

    Attributes:
        device: the driver's name for the device.

    Raises:
        DeviceError: there is no OpenGL 3.3 to be had.
    """

    name = "opengl"

    def __init__(self, make_context: MakeContext | None = None, gpu_blend: bool = True, half_floats: bool = True) -> None:
        self._context = (make_context or OffscreenContext)()
        try:
            self.renderer = OpenGLRenderer(half_floats)
        except BaseException:
            self._context.close()
            raise
        self.timer: Timer | None = None
        self.device, self.is_software = self.renderer.description, self.renderer.is_software
        self.description = f"OpenGL on {self.device}" + ("" if gpu_blend else ", blended by the processor")
        self._gpu_blend = gpu_blend
        self._packs: list[PackOnDevice] = []
        self._performers: list[GlPerformer | UploadPerformer] = []
        self._closed = False

    def performer(self, pack: AvatarPack, identity: Identity) -> GlPerformer | UploadPerformer:
        self.make_current()
        performer = self._performer(pack, identity)
        self._performers.append(performer)
        return performer

    def _performer(self, pack: AvatarPack, identity: Identity) -> GlPerformer | UploadPerformer:
        avatar = Avatar(pack, identity)
        if self._gpu_blend:
            try:
                on_device = self._pack_on_device(pack)
                person = PersonOnDevice(on_device, identity)
                check_errors("loading the avatar")  # such as being out of memory
                return GlPerformer(self, avatar, on_device, person)
            except DeviceError as error:
                log.warning("the processor blends for OpenGL: %s", error)
                self.description = f"OpenGL on {self.device}, blended by the processor ({error.message})"
        return UploadPerformer(self, avatar)

    def _pack_on_device(self, pack: AvatarPack) -> PackOnDevice:
        """The basis in textures; those of packs that nobody uses any more are freed."""
        used = [performer.pack_on_device for performer in self._performers if isinstance(performer, GlPerformer)]
        for idle in [held for held in self._packs if held not in used and held.pack is not pack]:
            idle.delete()
            self._packs.remove(idle)
        found = next((held for held in self._packs if held.pack is pack), None)
        if found is None:
            found = PackOnDevice(pack, self.renderer.device)
            self._packs.append(found)
        return found

    def forget(self, performer: GlPerformer | UploadPerformer) -> bool:
        """Strike a performer off the list; whether it was on it."""
        known = performer in self._performers
        if known:
            self._performers.remove(performer)
        return known

    def make_current(self) -> None:
        """Direct this thread's OpenGL calls to the backend's context. Raises DeviceError once it is closed."""
        if self._closed:
            raise DeviceError("the OpenGL renderer is closed")
        self._context.make_current()

    def set_detail(self, alpha_min: float) -> None:
        self.renderer.alpha_min = alpha_min

    def close(self) -> None:
        if self._closed:
            return
        try:
            self.make_current()
            for performer in list(self._performers):
                performer.close()
            for pack in self._packs:
                pack.delete()
            self.renderer.close()
        finally:
            self._closed = True
            self._packs.clear()
            self._context.close()


class GlPerformer:
    """`Performer` that is blended and drawn on the device."""

    def __init__(self, backend: GlBackend, avatar: Avatar, pack: PackOnDevice, person: PersonOnDevice) -> None:
        self.avatar, self.pack_on_device, self.person = avatar, pack, person
        self._backend = backend

    def draw(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> NDArray[np.uint8]:
        backend = self._backend
        backend.make_current()
        with timed(backend.timer, "drive"):
            self.pack_on_device.blend(self.avatar.coefficients(psi))
            depth = self.person.move(motion, camera)
            check_errors("moving the avatar")
        with timed(backend.timer, "render"):
            return backend.renderer.draw(self.person.attributes, depth, camera)

    def close(self) -> None:
        if self._backend.forget(self):
            self._backend.make_current()
            self.person.delete()


class UploadPerformer:
    """`Performer` that the processor blends and moves, and the device draws."""

    def __init__(self, backend: GlBackend, avatar: Avatar) -> None:
        self.avatar = avatar
        self._backend = backend
        self._cloud = avatar.empty()

    def draw(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> NDArray[np.uint8]:
        backend = self._backend
        backend.make_current()
        with timed(backend.timer, "drive"):
            self.avatar.pose(self.avatar.coefficients(psi), motion, self._cloud)
        with timed(backend.timer, "render"):
            return backend.renderer.render(self.avatar.seen_from(camera, self._cloud), camera)

    def close(self) -> None:
        self._backend.forget(self)
