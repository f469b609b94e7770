"""Video files that survive a crash: written under a temporary name in fragments, verified, then renamed.

Frames go through a bounded queue to a thread of their own; nothing is ever dropped, a slow encoder makes `write` wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from core.errors import OutputError
from core.media.audio import AudioTrack
from core.media.ffmpeg import av, reason
from core.media.formats import VideoCodec, check_video_output, video_codec, video_format
from core.media.live_sound import LiveSound
from core.media.priority import lower_thread_priority
from core.media.video_reader import VideoReader

UNFINISHED_SUFFIX = ".part"
DEFAULT_TIME_BASE = Fraction(1, 120_000)  # a whole number of ticks at 23.976, 24, 25, 29.97, 30, 50, 59.94 and 60 frames/s
FINEST_TIME_BASE = Fraction(1, 1_000_000)
QUEUED_FRAMES = 8
SMALL_BUFFER = 32_768  # bytes between encoder and disk
_BT601, _LIMITED_RANGE, _BT709 = 6, 1, 1  # ITU-T H.273 codes
_THREADED_ABOVE_PIXELS = 1_000_000


@dataclass(frozen=True)
class Recording:
    """A finished video file."""

    path: Path
    frames: int
    seconds: float


class VideoWriter:
    """Writes frames with their own time stamps.

    Args:
        path: the file; its ending decides the format (see `core.media.formats`).
        width, height: of the frames. Odd sizes are extended by one row or column where the format needs even ones.
        fps: nominal frames per second; sets the distance of key frames (1 s) and the length of the last frame.
        time_base: of the time stamps, best that of the driver; a fine default otherwise.
        audio: clip whose sound is kept, cut to the length of the pictures.
        alpha: whether frames are RGBA with straight alpha and transparency is stored.
        sound: sound that arrives while the pictures do, instead of a clip's.
        codec: the encoder, when it is not to be the usual one of the format (`core.media.formats.live_codec`).
        metadata: texts kept inside the file: title, comment.
        keep: a recording that cannot be made again. When it cannot be written to the end, what has been written stays in
            the unfinished file `part`, and the encoder runs behind everything else.

    Raises OutputError from any method when the file cannot be written; nothing half-written stays then, unless it is to be
    kept. Used as a context manager it is closed at the end of the block and discarded when the block raises.
    """

    def __init__(self, path: str | Path, width: int, height: int, *, fps: float = 30.0, time_base: Fraction | None = None,
                 audio: VideoReader | None = None, alpha: bool = False, queue_size: int = QUEUED_FRAMES,
                 sound: LiveSound | None = None, codec: VideoCodec | None = None, metadata: Mapping[str, str] | None = None,
                 keep: bool = False) -> None:
        self.path = Path(path)
        check_video_output(self.path, alpha)
        self.width, self.height, self.alpha = width, height, alpha
        self.fps = min(max(fps, 1.0), 1000.0)
        self.time_base = _ticks(time_base)
        self.part = _unused_part(self.path)
        self.keep = keep
        self.frames = 0  # encoded so far
        self._codec = codec or video_codec(self.path, alpha)
        self._metadata = dict(metadata or {})
        self._last_pts = self._last_encoded = -1
        self._failure: Exception | None = None
        self._audio: AudioTrack | LiveSound | None = None
        self._container = None
        self._open(audio, sound)
        self._queue: queue.Queue[tuple[NDArray[np.uint8], int] | None] = queue.Queue(queue_size)
        self._thread: threading.Thread | None = threading.Thread(target=self._encode_all, name="encoder", daemon=True)
        self._thread.start()

    def write(self, image: NDArray[np.uint8], time_ns: int) -> None:
        """Hand over the next frame, uint8 [H, W, 3] or [H, W, 4]; the array must not change afterwards."""
        if image.shape[:2] != (self.height, self.width):
            raise ValueError(f"frame of {image.shape[1]} x {image.shape[0]} in a video of {self.width} x {self.height}")
        self._raise_failure()
        pts = max(round(Fraction(time_ns, 1_000_000_000) / self.time_base), self._last_pts + 1)
        self._last_pts = pts
        self._queue.put((image, pts))

    def close(self) -> Recording:
        """Finish the file, check that every frame is in it, and give it its name.

        A recording that is to be kept stays in `part` when anything of this fails.
        """
        self._join()
        self._raise_failure()
        if self.frames == 0:
            self.discard()
            raise OutputError(f"{self.path} was not written: there is no frame to put into it")
        stored = count_pictures(self.part)
        if stored != self.frames:
            raise OutputError(f"{self.path} is not complete: {stored} of {self.frames} frames are in it",
                              f"what was written is kept in {self.part.name}")
        try:
            _flush_to_disk(self.part)
            os.replace(self.part, self.path)
        except OSError as error:
            self._give_up()
            raise OutputError(f"{self.path} cannot be written: {reason(error)}") from error
        return Recording(self.path, self.frames, self._seconds())

    def discard(self) -> None:
        """Stop and leave nothing behind."""
        self._join()
        self.part.unlink(missing_ok=True)

    def _give_up(self) -> None:
        self._join() if self.keep else self.discard()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _open(self, audio: VideoReader | None, sound: LiveSound | None) -> None:
        target = video_format(self.path)
        try:
            self._container = av.open(str(self.part), "w", format=target.muxer, options=target.options, buffer_size=SMALL_BUFFER)
            self._container.metadata.update(self._metadata)
            self._stream = self._add_video_stream()
            if sound is not None:
                self._audio = sound.open(self._container, target)
            elif audio is not None and audio.has_audio:
                self._audio = AudioTrack(self._container, audio.path, audio.info.start, target)
        except (av.FFmpegError, OSError) as error:
            self._close_container()
            self.part.unlink(missing_ok=True)
            raise OutputError(f"{self.path} cannot be written: {reason(error)}") from error

    def _add_video_stream(self) -> av.VideoStream:
        codec = self._codec
        key_frames = {"g": str(max(1, round(codec.key_frame_seconds * self.fps)))}
        rate = Fraction(self.fps).limit_denominator(1001)
        stream = self._container.add_stream(codec.name, rate=rate, options={**codec.options, **key_frames})
        stream.width = self.width + self.width % 2
        stream.height = self.height + self.height % 2
        stream.pix_fmt = codec.pixel_format
        stream.time_base = stream.codec_context.time_base = self.time_base
        stream.thread_count = 2 if self.width * self.height > _THREADED_ABOVE_PIXELS else 1
        # BT.601 is also what readers assume that ignore the tag.
        stream.codec_context.colorspace = _BT601
        stream.codec_context.color_range = _LIMITED_RANGE
        stream.codec_context.color_primaries = stream.codec_context.color_trc = _BT709
        return stream

    def _encode_all(self) -> None:
        """Body of the encoder's thread; after a failure it only empties the queue, so that nobody waits for ever."""
        if self.keep:
            lower_thread_priority()
        while True:
            item = self._queue.get()
            if self._failure is None:
                try:
                    self._finish() if item is None else self._encode(*item)
                except Exception as error:
                    self._failure = error
            if item is None:
                break
        self._close_container()

    def _encode(self, image: NDArray[np.uint8], pts: int) -> None:
        image = image[..., :4 if self.alpha else 3]
        if self.height % 2 or self.width % 2:
            image = np.pad(image, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgba" if self.alpha else "rgb24")
        picture = rgb.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU601", dst_color_range=_LIMITED_RANGE, threads=1)
        picture.pts, picture.time_base = pts, self.time_base
        self._mux(self._stream.encode(picture))
        self.frames += 1
        self._last_encoded = pts
        if self._audio is not None:
            self._audio.write_until(float(pts * self.time_base))

    def _finish(self) -> None:
        self._mux(self._stream.encode())
        if self._audio is not None:
            self._audio.finish(self._seconds())
        container, self._container = self._container, None
        container.close()

    def _seconds(self) -> float:
        return float(self._last_encoded * self.time_base) + 1 / self.fps

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            packet.duration = max(1, round(1 / (self.fps * self.time_base)))  # matters for the last frame
            self._container.mux(packet)

    def _close_container(self) -> None:
        if self._audio is not None:
            self._audio.close()
            self._audio = None
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError):  # it already failed, for a reason that is reported
                container.close()

    def _join(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        self._give_up()
        hint = "free some space and run it again" if is_disk_full(self._failure) else ""
        raise OutputError(f"{self.path} cannot be written: {reason(self._failure)}", hint) from self._failure


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a failure, or what caused it, was a lack of space."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def count_pictures(path: Path) -> int:
    """Pictures stored in a video file, without decoding them."""
    try:
        with av.open(str(path)) as container:
            indexed = container.streams.video[0].frames  # the index is written last: when it is whole, so is the file
            return indexed or sum(packet.size > 0 for packet in container.demux(video=0))
    except (av.FFmpegError, OSError):
        return 0


def _ticks(time_base: Fraction | None) -> Fraction:
    """A time base of the form 1/n that holds the driver's stamps exactly."""
    if time_base is None or Fraction(1, time_base.denominator) < FINEST_TIME_BASE:
        return DEFAULT_TIME_BASE
    return Fraction(1, time_base.denominator)


def _unused_part(path: Path) -> Path:
    """A temporary name beside `path` that overwrites no earlier unfinished recording."""
    candidate, number = path.with_name(path.name + UNFINISHED_SUFFIX), 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}.{number}{UNFINISHED_SUFFIX}")
    return candidate


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
