"""Video files as upright RGB frames with their own time stamps, however odd the file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.media import hdr
from core.media.ffmpeg import MAX_PIXELS, av, open_input, reason, require_file
from core.media.image import is_image, read_image
from core.types import Frame

FALLBACK_FPS = 30.0
SHOWN_STILL_SECONDS = 1 / FALLBACK_FPS
_HDR_TRANSFERS = {16: hdr.Transfer.PQ, 18: hdr.Transfer.HLG}  # ITU-T H.273, table 3
_THREADED_ABOVE_PIXELS = 1_000_000


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before it is read to the end.

    Attributes:
        width, height: of the upright picture with square pixels.
        fps: average frames per second.
        frame_count: an estimate; exact for most files.
        duration: seconds; 0 when the file does not say.
        time_base: seconds per tick of the file's time stamps.
        start: presentation time of the first frame in the file's clock, seconds. Frames are counted from there.
        has_audio: whether there is sound that can be kept.
    """

    width: int
    height: int
    fps: float
    frame_count: int
    duration: float
    time_base: Fraction
    start: Fraction
    has_audio: bool


class VideoReader:
    """A clip that can be read from its beginning any number of times.

    Iterating yields `Frame`s in presentation order: upright, square pixels, 8-bit RGB, `time_ns` counted from the first
    frame and strictly increasing. What cannot be decoded is skipped and counted in `damaged`.

    Raises InputError on opening when the file is no video, holds no picture that decodes, or is too large.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damaged = 0
        self.info = self._probe()

    @property
    def width(self) -> int:
        return self.info.width

    @property
    def height(self) -> int:
        return self.info.height

    @property
    def fps(self) -> float:
        return self.info.fps

    @property
    def frame_count(self) -> int:
        return self.info.frame_count

    @property
    def duration(self) -> float:
        return self.info.duration

    @property
    def time_base(self) -> Fraction:
        return self.info.time_base

    @property
    def has_audio(self) -> bool:
        return self.info.has_audio

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open between iterations; here so that readers and cameras are used alike."""

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Frames from number `first` on; those before it are decoded, which costs little, but not converted."""
        self.damaged = 0
        with open_input(self.path) as container:
            yield from self._frames(container, _video_stream(container, self.path), first)

    def laps(self) -> Iterator[Iterator[Frame]]:
        """The clip over and over: an iterator of frames for each lap, each to be used up before the next.

        The file is opened once. Opened anew for every lap it would leave a decoder behind each time, which only the garbage
        collector frees, some day.
        """
        with open_input(self.path) as container:
            stream = _video_stream(container, self.path)
            while True:
                self.damaged = 0
                yield self._frames(container, stream, 0)
                try:
                    container.seek(min(0, int(self.info.start * av.time_base)))
                except av.FFmpegError:  # a raw stream that cannot be wound back
                    break
        while True:
            yield self.frames()

    def _frames(self, container: av.container.InputContainer, stream: av.VideoStream, first: int) -> Iterator[Frame]:
        last, step = -1, round(1e9 / self.info.fps)
        for index, decoded in enumerate(self._decode(container, stream)):
            time_ns = last + step if last >= 0 else 0
            if decoded.pts is not None:
                time_ns = round((decoded.pts * decoded.time_base - self.info.start) * 1_000_000_000)
            time_ns = max(time_ns, last + 1)
            last = time_ns
            if index >= first:
                yield Frame(_upright_rgb(decoded, stream), time_ns, index)

    def _decode(self, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
        """Frames that decode. A damaged packet costs its own frames only; a torn end keeps all that came before it."""
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self.damaged += 1
                packet = None
            if packet is None:
                break
            try:
                frames = stream.decode(packet)
            except av.error.EOFError:
                continue
            except av.FFmpegError:
                self.damaged += 1
                continue
            for frame in frames:
                self.damaged += frame.is_corrupt
                yield frame

    def _probe(self) -> ClipInfo:
        with open_input(self.path) as container:
            stream = _video_stream(container, self.path)
            context = stream.codec_context
            if context.width * context.height > MAX_PIXELS:
                raise InputError(f"{self.path} is too large: {context.width} x {context.height} pixels",
                                 f"at most {MAX_PIXELS // 1_000_000} million pixels can be read")
            first = next(self._decode(container, stream), None)
            if first is None:
                raise InputError(f"{self.path} holds no picture that can be decoded", "it is damaged or has no frames")
            height, width = _upright_rgb(first, stream).shape[:2]
            fps = float(stream.average_rate or stream.guessed_rate or FALLBACK_FPS)
            seconds = _duration(container, stream)
            count = stream.frames or max(1, round(seconds * fps))
            start = (first.pts or 0) * Fraction(first.time_base or stream.time_base)
            return ClipInfo(width, height, fps, count, seconds or count / fps, Fraction(stream.time_base), start,
                            bool(container.streams.audio))


class StillReader(VideoReader):
    """A picture as a clip of one frame."""

    def _probe(self) -> ClipInfo:
        self._image = read_image(self.path)
        height, width = self._image.shape[:2]
        return ClipInfo(width, height, FALLBACK_FPS, 1, SHOWN_STILL_SECONDS, Fraction(1, 30), Fraction(0), False)

    def frames(self, first: int = 0) -> Iterator[Frame]:
        if first == 0:
            yield Frame(self._image, 0, 0)


def open_video(path: str | Path) -> VideoReader:
    """Open a video or a still picture (a clip of one frame). Raises InputError in one line that names file and reason."""
    path = Path(path)
    require_file(path)
    return StillReader(path) if is_image(path) else VideoReader(path)


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        if container.streams.audio:
            raise InputError(f"{path} has only sound in it", "choose a file with a video of a face")
        raise InputError(f"{path} cannot be read as a video: it is cut off or holds none")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(f"{path} cannot be read as a video: it is cut off or of an unknown encoding",
                         "convert it to H.264 first")
    if stream.codec_context.width * stream.codec_context.height > _THREADED_ABOVE_PIXELS:
        stream.thread_type = "AUTO"
    else:
        stream.thread_count = 1
    return stream


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _upright_rgb(frame: av.VideoFrame, stream: av.VideoStream) -> NDArray[np.uint8]:
    """uint8 RGB [H, W, 3] with square pixels and the file's rotation applied. Raises InputError when it is too large."""
    width, height = _square_pixel_size(frame, stream)
    if width * height > MAX_PIXELS:
        raise InputError(f"a picture of {width} x {height} pixels is too large")
    transfer = _HDR_TRANSFERS.get(int(frame.color_trc))
    try:
        if transfer is None:
            image = frame.to_ndarray(format="rgb24", width=width, height=height)
        else:
            image = hdr.to_srgb(frame.to_ndarray(format="rgb48le", width=width, height=height), transfer)
    except (av.FFmpegError, ValueError) as error:
        raise InputError(f"pictures of the kind '{frame.format.name}' cannot be read: {reason(error)}") from error
    return np.ascontiguousarray(_oriented(image, *_display_axes(frame, stream)))


def _square_pixel_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect == 1 or not 0.1 < aspect < 10:
        return frame.width, frame.height
    return max(1, round(frame.width * aspect)), frame.height


def _display_axes(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int, int, int]:
    """Where the stored x and y axes point on the screen (x right, y down): (a, b) and (c, d), each 0 or ±1."""
    matrix = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5] / 65536
    else:  # files of before 2013 say it in a tag, clockwise
        try:
            angle = math.radians(float(stream.metadata.get("rotate", 0)))
        except ValueError:
            angle = 0.0
        a, b, c, d = math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    scale = max(abs(a), abs(b), 1e-6)
    return tuple(round(v / scale) for v in (a, b, c, d))


def _oriented(image: NDArray[np.uint8], a: int, b: int, c: int, d: int) -> NDArray[np.uint8]:
    """Turn and mirror by quarter turns; anything else leaves the picture as it is stored."""
    if a and d and not (b or c):
        return image[::d, ::a]
    if b and c and not (a or d):
        return image.transpose(1, 0, 2)[::b, ::c]
    return image
