"""Microphones: the only module that imports sounddevice. Sound is kept for ten seconds, findable by the time it was captured."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from core.errors import DeviceError
from core.media.live_sound import RATE, sample_count
from core.types import FloatArray

KEPT_SECONDS = 10
BLOCK_SECONDS = 0.01
SILENT_AFTER_NS = 1_000_000_000  # without a block for so long the microphone counts as gone
_JUMP_NS = 50_000_000  # a stamp that differs by more than this from what was foretold: sound was lost in between
_STAMP_WEIGHT = 0.02  # of a new stamp; the scheduler shakes them by a few milliseconds
_STRETCH_FROM, _STRETCH_MOST = 48, 0.004  # samples of drift from which, and share by which, a stretch is read longer or shorter
_LONGEST_LATENCY = 1.0  # seconds; beyond that the driver's times are not to be believed
_INSTALL_HINT = "install PortAudio: apt install libportaudio2"


def list_microphones() -> list[str]:
    """Names of the microphones, the system's default first. Raises DeviceError when sound does not work at all."""
    library = _sounddevice()
    try:
        devices = [(index, str(device["name"])) for index, device in enumerate(library.query_devices())
                   if device["max_input_channels"] > 0]
        default = library.default.device[0]
    except Exception as error:
        raise DeviceError(f"microphones cannot be listed: {error}", "check the system's sound settings") from error
    devices.sort(key=lambda device: device[0] != default)
    return list(dict.fromkeys(name for _, name in devices))


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except OSError as error:  # the library behind the package is not there
        raise DeviceError("sound cannot be recorded here: PortAudio is missing", _INSTALL_HINT) from error
    except ImportError as error:
        raise DeviceError("sound cannot be recorded here: the package sounddevice is missing",
                          "pip install sounddevice") from error
    return sounddevice


@dataclass(frozen=True)
class _Anchor:
    """Sample number `sample` was captured at `time_ns`."""

    sample: int
    time_ns: int


class SoundMemory:
    """The last ten seconds of a stream of samples, with the times of capture. Written by one thread, read by another.

    The device's clock is not the computer's: the time of a sample follows the stamps of the blocks slowly, so that neither
    their jitter nor a drift of the clocks is heard.
    """

    def __init__(self, seconds: float = KEPT_SECONDS) -> None:
        self._ring = np.zeros(round(seconds * RATE), np.float32)
        self._written = 0  # samples since the beginning
        self._anchor: _Anchor | None = None
        self._cursor: int | None = None  # next sample that `read` would take
        self._lock = threading.Lock()
        self.level = 0.0  # root mean square, decaying

    def add(self, samples: FloatArray, captured_ns: int) -> None:
        """Append a block [n] whose first sample was captured at `captured_ns`."""
        with self._lock:
            if self._anchor is not None:
                lead = captured_ns - self._time_of(self._written)
                if lead > _JUMP_NS:
                    self._put(np.zeros(min(sample_count(0, lead), len(self._ring)), np.float32))
                    self._anchor = _Anchor(self._written, captured_ns)
                elif lead < -_JUMP_NS:
                    self._anchor = _Anchor(self._written, captured_ns)
                else:
                    self._anchor = _Anchor(self._written, self._time_of(self._written) + round(_STAMP_WEIGHT * lead))
            else:
                self._anchor = _Anchor(self._written, captured_ns)
            self._put(samples)
        loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
        self.level = max(loudness, 0.85 * self.level)

    def known_until(self) -> int:
        """Capture time of the newest sample; 0 before the first."""
        with self._lock:
            return self._time_of(self._written) if self._anchor is not None else 0

    def read(self, from_ns: int, to_ns: int) -> FloatArray:
        """Samples of a stretch of time; silence where none arrived, and for what is older than the memory."""
        count = sample_count(from_ns, to_ns)
        with self._lock:
            if self._anchor is None:
                return np.zeros(count, np.float32)
            wanted = self._anchor.sample + sample_count(self._anchor.time_ns, from_ns)
            drift = 0 if self._cursor is None else wanted - self._cursor
            most = math.ceil(_STRETCH_MOST * count)
            if self._cursor is None or abs(drift) > sample_count(0, _JUMP_NS):
                first, taken = wanted, count
            elif abs(drift) > _STRETCH_FROM:
                first, taken = self._cursor, count + max(-most, min(most, drift))
            else:
                first, taken = self._cursor, count
            self._cursor = first + taken
            samples = self._take(first, taken)
        if taken == count or count < 2 or taken < 2:
            return samples[:count] if taken >= count else np.pad(samples, (0, count - taken))
        return np.interp(np.linspace(0, taken - 1, count), np.arange(taken), samples).astype(np.float32)

    def _time_of(self, sample: int) -> int:
        return self._anchor.time_ns + round((sample - self._anchor.sample) * 1_000_000_000 / RATE)

    def _put(self, samples: FloatArray) -> None:
        samples = samples[-len(self._ring):]
        at = self._written % len(self._ring)
        head = min(len(samples), len(self._ring) - at)
        self._ring[at:at + head] = samples[:head]
        self._ring[:len(samples) - head] = samples[head:]
        self._written += len(samples)

    def _take(self, first: int, count: int) -> FloatArray:
        samples = np.zeros(count, np.float32)
        begin, end = max(first, self._written - len(self._ring), 0), min(first + count, self._written)
        if end > begin:
            places = np.arange(begin, end) % len(self._ring)
            samples[begin - first:end - first] = self._ring[places]
        return samples


class Microphone:
    """A microphone that listens from construction until it is closed. A `core.media.live_sound.SoundSource`.

    Opening may take a second. When the device goes away later, reading goes on with silence and `problem` says so.

    Args:
        device: its name as `list_microphones` gives it; empty for the system's default.
        clock: `perf_counter_ns`, for tests.
        library: the sounddevice module, for tests.

    Raises DeviceError: there is no such device, or it cannot be opened.
    """

    def __init__(self, device: str = "", clock: Callable[[], int] = time.perf_counter_ns,
                 library: ModuleType | None = None) -> None:
        self._clock = clock
        self._library = library or _sounddevice()
        self._memory = SoundMemory()
        self._last_block_ns = clock()
        self._stopped = False
        self._stream = None
        self.name = device or "default microphone"
        self._stream = self._open(device)

    @property
    def level(self) -> float:
        """Loudness now, 0 (silent) to 1 (as loud as can be)."""
        return 0.0 if self.problem else min(1.0, self._memory.level)

    @property
    def problem(self) -> str:
        if not self._stopped and self._clock() - self._last_block_ns <= SILENT_AFTER_NS:
            return ""
        return f"{self.name} no longer delivers sound"

    def known_until(self) -> int | None:
        return self._memory.known_until()

    def follow(self, captured_ns: int, position_ns: int | None, lap: int) -> None:
        """A microphone follows no file."""

    def read(self, from_ns: int, to_ns: int) -> FloatArray:
        return self._memory.read(from_ns, to_ns)

    def close(self) -> None:
        """Stop listening."""
        self._stopped = True
        try:
            self._stream.close()
        except Exception:  # a device that is gone may refuse to be closed; there is nothing left to do about it
            return

    def _open(self, device: str):
        try:
            stream = self._library.InputStream(
                samplerate=RATE, channels=1, dtype="float32", device=device or None, latency="low",
                blocksize=round(BLOCK_SECONDS * RATE), callback=self._on_block, finished_callback=self._on_finished)
            stream.start()
        except Exception as error:  # PortAudioError, or ValueError for a name that is not there
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DeviceError(f"{self.name} cannot be opened: {reason}",
                              "choose another microphone, or allow this program to use it") from error
        return stream

    def _on_block(self, data, frames: int, times, status) -> None:
        """Called by PortAudio in a thread of its own; `data` is valid during the call only."""
        now = self._clock()
        age = times.currentTime - times.inputBufferAdcTime  # seconds since the first sample was captured
        if times.inputBufferAdcTime <= 0 or not 0 <= age <= _LONGEST_LATENCY:
            age = frames / RATE + _latency(self._stream)
        self._last_block_ns = now
        self._memory.add(np.array(data[:, 0], np.float32), now - round(age * 1e9))

    def _on_finished(self) -> None:
        self._stopped = True


def _latency(stream) -> float:
    """What the driver says about the time from the air to the buffer, seconds."""
    latency = float(getattr(stream, "latency", 0.0) or 0.0)
    return latency if 0 <= latency <= _LONGEST_LATENCY else 0.0
