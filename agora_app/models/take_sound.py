"""Which sound a take gets: the file's own, a microphone's, or none; and the microphone that is listened to meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from agora_app.settings.model import Recording
from core.errors import AgoraError, DeviceError
from core.media.clip_sound import ClipSound
from core.media.live_sound import Silence, SoundSource
from core.media.microphone import Microphone

log = logging.getLogger(__name__)


class TakeSound:
    """Opens sound sources; methods may wait for the device and are called in a worker thread, `level` in any.

    A microphone that is listened to for its level is handed to the recording: two streams of one device may not go together.

    Args:
        open_microphone, open_clip: replaced in tests.
    """

    def __init__(self, open_microphone: Callable[[str], SoundSource] = Microphone,
                 open_clip: Callable[[str], SoundSource] = ClipSound) -> None:
        self._open_microphone, self._open_clip = open_microphone, open_clip
        self._lock = threading.Lock()
        self._heard: SoundSource | None = None  # for the level alone
        self._device = ""
        self._lent: SoundSource | None = None

    @property
    def level(self) -> float | None:
        """Loudness of the microphone, 0..1; None when none is open."""
        source = self._lent or self._heard
        return getattr(source, "level", None)

    def open(self, settings: Recording, source_kind: str, source_path: str) -> SoundSource | None:
        """The sound of a new take; silence that says why when there should be sound and is none. None: no sound wanted."""
        if settings.sound == "none":
            return None
        source, problem = None, ""
        if settings.sound in ("auto", "source") and source_kind == "video" and source_path:
            try:
                source = self._open_clip(source_path)
            except AgoraError as error:
                problem = error.message
        elif settings.sound == "source":
            problem = "what plays has no sound of its own"
        if source is None and settings.sound in ("auto", "microphone"):
            source, problem = self._microphone(settings.microphone)
        if source is None:
            log.warning("a take without sound: %s", problem)
            return Silence(problem)
        return source

    def listen(self, device: str) -> str:
        """Open a microphone for its level. Returns why that cannot be done, in words."""
        with self._lock:
            if self._lent is not None or (self._heard is not None and self._device == device and not self._heard.problem):
                return ""
            self._forget()
            try:
                self._heard, self._device = self._open_microphone(device), device
            except DeviceError as error:
                return str(error)
        return ""

    def stop_listening(self) -> None:
        """Let go of a microphone that is open for its level alone."""
        with self._lock:
            self._forget()

    def returned(self) -> None:
        """The take is over and has closed its sound."""
        with self._lock:
            self._lent = None

    def _microphone(self, device: str) -> tuple[SoundSource | None, str]:
        with self._lock:
            if self._heard is not None and self._device == device and not self._heard.problem:
                self._lent, self._heard = self._heard, None
                return self._lent, ""
            self._forget()
            try:
                self._lent = self._open_microphone(device)
            except DeviceError as error:
                return None, str(error)
        return self._lent, ""

    def _forget(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard.close()
