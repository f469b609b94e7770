"""Sound that arrives while a video is being recorded: read by capture time, encoded in step with the pictures."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import numpy as np

from core.media.ffmpeg import av
from core.media.formats import VideoFormat
from core.types import FloatArray

RATE = 48_000
BIT_RATES = {"aac": 128_000, "libopus": 96_000}
LONGEST_WAIT_NS = 300_000_000  # how far sound may lag behind the pictures before silence takes the place of what did not come
_WITHOUT_NEGATIVE_TIMES = ("mp4", "mov")
_BLOCK = 1024  # samples that are read and encoded at once where the encoder does not say


class SoundSource(Protocol):
    """Sound that can be asked for by the time at which it was captured (or, of a file, due).

    Attributes:
        name: for the user.
        problem: what is wrong with it in words; empty when all is well.
    """

    name: str

    @property
    def problem(self) -> str: ...

    def known_until(self) -> int | None:
        """`perf_counter_ns` up to which the sound has arrived; None when it can be had for any time."""

    def follow(self, captured_ns: int, position_ns: int | None, lap: int) -> None:
        """Told of every recorded picture: when it was captured and where in its file it stands."""

    def read(self, from_ns: int, to_ns: int) -> FloatArray:
        """Mono samples [n] at 48 kHz of a stretch of `perf_counter_ns` time; silence where there is none.

        n is `sample_count(from_ns, to_ns)`. Called with stretches that follow one another, in one thread at a time.
        """

    def close(self) -> None:
        """Let go of the device or file."""


class Silence:
    """No sound at all.

    Args:
        problem: why there is none, when there should be some.
    """

    name = "no sound"

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def known_until(self) -> int | None:
        return None

    def follow(self, captured_ns: int, position_ns: int | None, lap: int) -> None:
        """Nothing to follow."""

    def read(self, from_ns: int, to_ns: int) -> FloatArray:
        return np.zeros(sample_count(from_ns, to_ns), np.float32)

    def close(self) -> None:
        """Nothing to let go of."""


def sample_count(from_ns: int, to_ns: int) -> int:
    """Samples at 48 kHz between two times."""
    return round((to_ns - from_ns) * RATE / 1_000_000_000)


def samples_to_ns(samples: int) -> int:
    """Length of a number of samples at 48 kHz."""
    return round(samples * 1_000_000_000 / RATE)


class LiveSound:
    """Feeds a sound source into a video that is being written.

    Args:
        source: asked in the encoder's thread; it stays open.
        start_ns: capture time of the first picture, the video's time 0.
        delay_ms: by how much the sound comes later than it was captured; may be negative.
    """

    def __init__(self, source: SoundSource, start_ns: int, delay_ms: int = 0) -> None:
        self._source = source
        self._start_ns = start_ns - delay_ms * 1_000_000
        self._samples = 0  # encoded so far

    def open(self, output: av.container.OutputContainer, target: VideoFormat) -> LiveSound:
        """Add the stream to the video's container."""
        self._output = output
        self._stream = output.add_stream(target.audio_codec, rate=RATE)
        context = self._stream.codec_context
        context.layout = "mono"
        context.bit_rate = BIT_RATES.get(target.audio_codec, 128_000)
        context.open()
        self._block = context.frame_size or _BLOCK
        # An encoder's first packet lies before its first sample. MP4 would move the pictures to make room for it: the sound
        # begins one packet late instead (21 ms).
        self._samples = self._block if target.muxer in _WITHOUT_NEGATIVE_TIMES else 0
        self._resampler = av.AudioResampler(context.format, context.layout, RATE)
        return self

    def write_until(self, seconds: float) -> None:
        """Encode what has arrived of the sound before `seconds` of the video, and silence for what is overdue."""
        wanted = self._start_ns + round(seconds * 1e9)
        known = self._source.known_until()
        until = wanted if known is None else min(wanted, max(known, wanted - LONGEST_WAIT_NS))
        self._encode_until(sample_count(self._start_ns, until))

    def finish(self, seconds: float) -> None:
        """Encode the rest of the sound before `seconds` and what the encoder still holds."""
        end = sample_count(self._start_ns, self._start_ns + round(seconds * 1e9))
        self._encode_until(end)
        if end > self._samples:
            self._encode(end - self._samples)
        self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """Nothing to let go of: the source belongs to whoever made it."""

    def _encode_until(self, end: int) -> None:
        while self._samples + self._block <= end:
            self._encode(self._block)

    def _encode(self, count: int) -> None:
        first, last = (self._start_ns + samples_to_ns(self._samples + n) for n in (0, count))
        samples = np.clip(self._source.read(first, last), -1, 1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = RATE, self._samples, Fraction(1, RATE)
        self._samples += count
        for converted in self._resampler.resample(frame):
            self._output.mux(self._stream.encode(converted))
