"""A backend under watch: it must draw like the processor at first, and when it fails later the processor takes over."""

from __future__ import annotations

import logging
import weakref

import numpy as np
from numpy.typing import NDArray

from core.avatar.backend import Backend, CpuBackend, Performer, Timer
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.avatar.self_test import PASSING_DB, self_test
from core.errors import AgoraError, DeviceError, InputError
from core.render.reference import ALPHA_MIN
from core.types import Camera, FloatArray

log = logging.getLogger(__name__)


class GuardedBackend:
    """`Backend` that hands over to the processor when the one it was given does not work. Its performers stay valid.

    A pack's first performer is tested against the CPU backend. What a driver throws is not ours to foresee, so every
    exception but wrong input counts as a failure of the device; it is logged, and told in the description.

    Args:
        chosen: the backend to be used as long as it works; closed by this one.
        threads: for the processor's rasteriser.
    """

    def __init__(self, chosen: Backend, threads: int = 1) -> None:
        self._current: Backend = chosen
        self._has_fallen_back = False
        self._threads = threads
        self._tested: AvatarPack | None = None
        self._alpha_min = ALPHA_MIN
        self._timer: Timer | None = None
        self._performers: weakref.WeakSet[GuardedPerformer] = weakref.WeakSet()

    @property
    def name(self) -> str:
        return self._current.name

    @property
    def description(self) -> str:
        return self._current.description

    @property
    def is_software(self) -> bool:
        return self._current.is_software

    @property
    def timer(self) -> Timer | None:
        return self._timer

    @timer.setter
    def timer(self, timer: Timer | None) -> None:
        self._timer = self._current.timer = timer

    @property
    def has_fallen_back(self) -> bool:
        """Whether the processor has taken over."""
        return self._has_fallen_back

    def performer(self, pack: AvatarPack, identity: Identity) -> GuardedPerformer:
        if self._tested is not pack and not self.has_fallen_back:
            self._test(pack, identity)
        performer = GuardedPerformer(self, pack, identity)
        self._performers.add(performer)
        return performer

    def set_detail(self, alpha_min: float) -> None:
        self._alpha_min = alpha_min
        self._current.set_detail(alpha_min)

    def close(self) -> None:
        for performer in list(self._performers):
            performer.close()
        self._current.close()

    def make(self, pack: AvatarPack, identity: Identity) -> Performer:
        """A performer of the backend in use, the processor's if need be."""
        try:
            return self._current.performer(pack, identity)
        except InputError:
            raise
        except Exception as error:
            self.fall_back(error)
            return self._current.performer(pack, identity)

    def fall_back(self, error: Exception) -> None:
        """Let the processor take over.

        Raises:
            Exception: the error, when the processor draws already.
        """
        if self.has_fallen_back:
            raise error
        failed, self._has_fallen_back = self._current, True
        log.warning("%s fails, the processor takes over", failed.description, exc_info=error)
        words = error.message if isinstance(error, AgoraError) else f"{type(error).__name__}: {error}"
        self._current = CpuBackend(self._threads, f"{failed.description} failed: {words}")
        self._current.timer = self._timer
        self._current.set_detail(self._alpha_min)
        for performer in list(self._performers):
            performer.let_go()
        try:
            failed.close()
        except Exception:  # a lost device may refuse even this
            log.warning("%s could not be closed", failed.description, exc_info=True)

    def _test(self, pack: AvatarPack, identity: Identity) -> None:
        self._current.timer = None  # a test is not a picture
        try:
            quality = self_test(self._current, pack, identity)
            log.info("%s agrees with the processor to %.1f dB", self.description, quality)
            if not quality >= PASSING_DB:
                raise DeviceError(f"its first picture was wrong ({quality:.0f} dB against the processor's)")
            self._tested = pack
        except InputError:
            raise
        except Exception as error:
            self.fall_back(error)
        finally:
            self._current.timer = self._timer


class GuardedPerformer:
    """`Performer` that is drawn by whatever its backend uses at the time."""

    def __init__(self, backend: GuardedBackend, pack: AvatarPack, identity: Identity) -> None:
        self._backend, self._pack, self._identity = backend, pack, identity
        self._inner: Performer | None = backend.make(pack, identity)
        self.avatar: Avatar = self._inner.avatar

    def draw(self, psi: FloatArray, motion: HeadMotion, camera: Camera) -> NDArray[np.uint8]:
        try:
            return self._performer().draw(psi, motion, camera)
        except InputError:
            raise
        except Exception as error:
            self._backend.fall_back(error)
            return self._performer().draw(psi, motion, camera)

    def _performer(self) -> Performer:
        if self._inner is None:
            self._inner = self._backend.make(self._pack, self._identity)
        return self._inner

    def let_go(self) -> None:
        """Forget the performer of a backend that failed; that backend frees it."""
        self._inner = None

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None
