"""Clips made for the tests, with PyAV directly, so that reader and writer are judged by something that is neither."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A smooth coloured picture; its mean level tells which one it is, its top left quarter is red."""
    level = 40 + 9 * (index % 20)
    image = np.full((height, width, 3), level, np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    return image


def level_of(image: np.ndarray) -> float:
    """The level of `picture` in its lower right quarter."""
    height, width = image.shape[:2]
    return float(image[height * 5 // 8:, width * 5 // 8:].mean())


def make_clip(path: Path, times: list[int], *, time_base: Fraction = Fraction(1, 1000), width: int = 96, height: int = 64,
              codec: str = "libx264", pixel_format: str = "yuv420p", options: dict | None = None, audio: str = "",
              rotation: int = 0, audio_seconds: float = 2.0, pictures=None, movflags: str = "", tags: dict | None = None) -> Path:
    """A video whose frame i is `picture(i)` at `times[i]` ticks; with a 440 Hz tone when an audio codec is named."""
    container = av.open(str(path), "w", options={"movflags": movflags} if movflags else {})
    stream = container.add_stream(codec, rate=25, options=options or {})
    stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
    stream.time_base = stream.codec_context.time_base = time_base
    for name, value in (tags or {}).items():
        setattr(stream.codec_context, name, value)
    if rotation:
        stream.set_display_rotation(rotation)
    sound = container.add_stream(audio, rate=48_000) if audio else None
    for index, time in enumerate(times):
        image = picture(index, width, height) if pictures is None else pictures[index]
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
        frame.pts, frame.time_base = time, time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
    if sound is not None:
        write_tone(container, sound, audio_seconds)
    container.close()
    return path


def write_tone(container, stream, seconds: float) -> None:
    size = stream.codec_context.frame_size or 1024
    for start in range(0, int(seconds * 48_000), size):
        wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(start, start + size) / 48_000)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        for resampled in av.AudioResampler(stream.codec_context.format, "mono", 48_000).resample(frame):
            container.mux(stream.encode(resampled))
    container.mux(stream.encode())


def stamps(path: Path) -> list[Fraction]:
    """Presentation times of all pictures, seconds, sorted, by demuxing alone."""
    with av.open(str(path)) as container:
        return sorted(p.pts * p.time_base for p in container.demux(video=0) if p.size)


def sound_seconds(path: Path) -> float:
    """Length of the decoded sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return 0.0
        return sum(f.samples / f.sample_rate for f in container.decode(audio=0))
