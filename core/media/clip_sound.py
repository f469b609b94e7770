"""A file's own sound, placed by where the pictures stand in the file: loops, pauses and seeks stay in step."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.media.ffmpeg import av, open_input
from core.media.live_sound import RATE, sample_count
from core.types import FloatArray

SAME_RUN_NS = 15_000_000  # pictures whose clock and file time agree within this belong to one undisturbed run
OVERSHOOT_NS = 100_000_000  # the sound runs on this long after the last picture before a jump; then it is silent
KEPT_SECONDS = 4  # of decoded sound behind the reading place


@dataclass(frozen=True)
class _Run:
    """From `start_ns` to `end_ns` of the clock the file's time is the clock's plus `offset_ns`. No end: the current run."""

    start_ns: int
    offset_ns: int
    lap: int
    end_ns: int | None = None
    last_ns: int = 0


class ClipSound:
    """The sound of a video file that plays as a source of pictures.

    Args:
        path: the file.

    Raises InputError when the file cannot be read or has no sound.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = Path(path).name
        self.problem = ""
        self._decoder = SoundDecoder(path)
        self._lock = threading.Lock()
        self._runs: deque[_Run] = deque()
        self._newest_ns: int | None = None

    def known_until(self) -> int | None:
        return self._newest_ns if self._newest_ns is not None else 0

    def follow(self, captured_ns: int, position_ns: int | None, lap: int) -> None:
        if position_ns is None or (self._newest_ns is not None and captured_ns <= self._newest_ns):
            return
        with self._lock:
            self._newest_ns = captured_ns
            current = self._runs[-1] if self._runs else None
            offset = position_ns - captured_ns
            if current is not None and current.lap == lap and abs(offset - current.offset_ns) <= SAME_RUN_NS:
                self._runs[-1] = _Run(current.start_ns, current.offset_ns, lap, None, captured_ns)
                return
            start = captured_ns
            if current is not None:
                # A new lap begins where the file does, also when its first pictures were left out.
                beginning = captured_ns - position_ns
                start = beginning if lap > current.lap and beginning > current.last_ns else captured_ns
                end = min(start, current.last_ns + OVERSHOOT_NS)
                self._runs[-1] = _Run(current.start_ns, current.offset_ns, current.lap, end, current.last_ns)
            self._runs.append(_Run(start, offset, lap, None, captured_ns))

    def read(self, from_ns: int, to_ns: int) -> FloatArray:
        samples = np.zeros(sample_count(from_ns, to_ns), np.float32)
        with self._lock:
            while len(self._runs) > 1 and self._runs[0].end_ns is not None and self._runs[0].end_ns < from_ns:
                self._runs.popleft()
            runs = list(self._runs)
        for run in runs:
            first = max(from_ns, run.start_ns)
            last = min(to_ns, run.last_ns + OVERSHOOT_NS if run.end_ns is None else run.end_ns)
            begin, end = sample_count(from_ns, first), min(sample_count(from_ns, last), len(samples))
            if end > begin:
                samples[begin:end] = self._decoder.read(first + run.offset_ns, end - begin)
        return samples

    def close(self) -> None:
        self._decoder.close()


class SoundDecoder:
    """Random access to a file's sound, mono at 48 kHz, counted from the file's first picture. Little of it is in memory."""

    def __init__(self, path: str | Path) -> None:
        self._input = open_input(Path(path))
        if not self._input.streams.audio:
            self._input.close()
            raise InputError(f"{path} has no sound")
        self._stream = self._input.streams.audio[0]
        pictures = self._input.streams.video[0] if self._input.streams.video else self._stream
        self._zero = (pictures.start_time or 0) * pictures.time_base  # seconds, in the file's clock
        self._end = False
        self._restart()

    def read(self, position_ns: int, count: int) -> FloatArray:
        """`count` samples from a place in the file; silence before its beginning, after its end and where it is damaged."""
        wanted = round(position_ns * RATE / 1_000_000_000)
        held = self._first + len(self._held)
        if wanted + count > 0 and (wanted < self._first or wanted > held + RATE):
            self._seek(wanted)
        while not self._end and self._first + len(self._held) < wanted + count:
            self._decode_more(wanted)
        samples = np.zeros(count, np.float32)
        begin, end = max(wanted, self._first), min(wanted + count, self._first + len(self._held))
        if end > begin:
            samples[begin - wanted:end - wanted] = self._held[begin - self._first:end - self._first]
        return samples

    def close(self) -> None:
        """Close the file."""
        self._input.close()

    def _restart(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._first = 0  # sample number of the first one held
        self._placed = False
        self._packets = self._input.demux(self._stream)
        self._resampler = av.AudioResampler("fltp", "mono", RATE)

    def _seek(self, wanted: int) -> None:
        seconds = Fraction(wanted, RATE) - Fraction(1, 5) + self._zero  # decoders need a run-up, also before the beginning
        self._end = False
        try:
            self._input.seek(round(seconds / self._stream.time_base), stream=self._stream, backward=True)
        except (av.FFmpegError, OSError):
            self._end = True
        self._stream.codec_context.flush_buffers()
        self._restart()

    def _decode_more(self, wanted: int) -> None:
        """Decode one packet; a torn end is the end."""
        try:
            packet = next(self._packets, None)
        except (av.FFmpegError, OSError):
            packet = None
        if packet is None:
            self._end = True
            return
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            for converted in self._resampler.resample(frame):
                self._hold(converted, frame)
        surplus = len(self._held) - KEPT_SECONDS * RATE
        if surplus > 0 and self._first + surplus < wanted:
            self._held = self._held[surplus:]
            self._first += surplus

    def _hold(self, converted: av.AudioFrame, decoded: av.AudioFrame) -> None:
        samples = converted.to_ndarray().reshape(-1).astype(np.float32)
        if not self._placed and decoded.pts is not None:
            self._first = round((decoded.pts * decoded.time_base - self._zero) * RATE)
            self._placed = True
        self._held = np.concatenate([self._held, samples])
