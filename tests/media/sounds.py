"""Sound for tests: clicks at known times, clips that flash and click together, and a microphone that is not there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np

from core.media.live_sound import RATE, sample_count

CLICK_SECONDS = 0.01


def clicks(from_ns: int, to_ns: int, every_ns: int = 1_000_000_000) -> np.ndarray:
    """Samples of a stretch of time in which a 2 kHz burst begins at every multiple of `every_ns`."""
    count = sample_count(from_ns, to_ns)
    phase = ((from_ns + np.arange(count) * (1_000_000_000 / RATE)) % every_ns) / 1e9
    return np.where(phase < CLICK_SECONDS, 0.8 * np.sin(2 * np.pi * 2000 * phase), 0).astype(np.float32)


class ClickSource:
    """Clicks at every full second of the clock; knows sound up to `now`, everything when that is None."""

    name = "clicks"

    def __init__(self) -> None:
        self.problem = ""
        self.now: int | None = None
        self.closed = False

    def known_until(self) -> int | None:
        return self.now

    def follow(self, captured_ns, position_ns, lap) -> None:
        pass

    def read(self, from_ns, to_ns) -> np.ndarray:
        return clicks(from_ns, to_ns)

    def close(self) -> None:
        self.closed = True


def make_clap_clip(path: Path, seconds: int, fps: int = 30, first_pts: int = 0, audio: str = "aac") -> Path:
    """A clip that is white for two frames and clicks at every full second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 90_000)
        sound = container.add_stream(audio, rate=RATE)
        sound.codec_context.layout = "mono"
        for index in range(seconds * fps):
            level = 235 if index % fps < 2 else 30
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = first_pts + index * 90_000 // fps, Fraction(1, 90_000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        size = sound.codec_context.frame_size or 1024
        shift = round(first_pts / 90_000 * RATE)
        for start in range(0, seconds * RATE, size):
            wave = clicks(round(start * 1e9 / RATE), round((start + size) * 1e9 / RATE))
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, :size]), format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = RATE, shift + start, Fraction(1, RATE)
            for resampled in av.AudioResampler(sound.codec_context.format, "mono", RATE).resample(frame):
                container.mux(sound.encode(resampled))
        container.mux(sound.encode())
    return path


def onsets(times: np.ndarray, loudness: np.ndarray, threshold: float, apart: float = 0.2) -> list[float]:
    """Times at which something gets louder (or brighter) than `threshold` after having been less for `apart` seconds."""
    found, last = [], -1e9
    for time in times[loudness > threshold]:
        if time - last > apart:
            found.append(float(time))
        last = time
    return found


def flash_times(path: Path, columns: slice = slice(None)) -> list[float]:
    """When the pictures of a video, or some columns of them, turn white, seconds."""
    with av.open(str(path)) as container:
        seen = [(float(f.time), f.to_ndarray(format="gray")[:, columns].mean()) for f in container.decode(video=0)]
    return onsets(*map(np.array, zip(*seen, strict=True)), 128)


def sound_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times and samples of a video's sound, as a player would place them."""
    times, samples = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            block = frame.to_ndarray().reshape(-1)
            times.append(float(frame.time) + np.arange(len(block)) / frame.sample_rate)
            samples.append(block)
    return np.concatenate(times), np.concatenate(samples)


def click_times(path: Path) -> list[float]:
    """When a video clicks, seconds."""
    times, samples = sound_of(path)
    return onsets(times, np.abs(samples), 0.15)


class FakeSounddevice:
    """Stands in for the sounddevice module; `stream` is the last opened one, whose callback the test calls.

    Args:
        latency: seconds from the air to the callback, beside the length of a block.
    """

    def __init__(self, latency: float = 0.0, reports_times: bool = True) -> None:
        self.latency, self.reports_times = latency, reports_times
        self.refuse: Exception | None = None
        self.stream = None
        self.default = SimpleNamespace(device=(1, 0))
        self.devices = [{"name": "Speaker", "max_input_channels": 0}, {"name": "Built-in", "max_input_channels": 2},
                        {"name": "Headset", "max_input_channels": 1}]

    def query_devices(self):
        return self.devices

    def InputStream(self, **options):
        if self.refuse is not None:
            raise self.refuse
        self.stream = SimpleNamespace(**{**options, "latency": self.latency}, started=False, closed=False)
        self.stream.start = lambda: setattr(self.stream, "started", True)
        self.stream.close = lambda: setattr(self.stream, "closed", True)
        return self.stream

    def deliver(self, samples: np.ndarray, now_ns: int) -> None:
        """Call back with a block whose last sample was captured `latency` before `now_ns`."""
        current = now_ns / 1e9 + 1234.5  # PortAudio's clock has an origin of its own
        first = current - self.latency - len(samples) / RATE
        times = SimpleNamespace(currentTime=current, inputBufferAdcTime=first if self.reports_times else 0.0)
        self.stream.callback(samples[:, None].copy(), len(samples), times, None)
