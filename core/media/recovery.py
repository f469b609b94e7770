"""Unfinished recordings of a process that was killed: found, and turned into videos with all that still decodes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from core.errors import InputError, OutputError
from core.media.ffmpeg import av, reason, require_file
from core.media.formats import video_format
from core.media.video_writer import UNFINISHED_SUFFIX, Recording, count_pictures

_BOXED = ("mp4", "mov")
_KEPT_METADATA = ("title", "comment")


def find_unfinished(folder: str | Path) -> list[Path]:
    """Recordings in a folder that were never closed, oldest first."""
    return sorted(Path(folder).glob(f"*.*{UNFINISHED_SUFFIX}"), key=lambda path: path.stat().st_mtime)


def recover_recording(part: str | Path, target: str | Path | None = None) -> Recording:
    """Copy what is whole in an unfinished recording into a proper video; the unfinished file goes when that has worked.

    Args:
        part: a file that `find_unfinished` named.
        target: the video to write; beside `part`, with "-recovered" in its name, when left out.

    Raises:
        InputError: nothing in it can be read.
        OutputError: the video cannot be written.
    """
    part = Path(part)
    require_file(part)
    target = Path(target) if target else _recovered_name(part)
    temporary = target.with_name(f".{target.name}.recovering")
    try:
        pictures, seconds = _remux(part, temporary, video_format(target).muxer)
        if pictures == 0:
            raise InputError(f"nothing in {part} can be recovered")
        if count_pictures(temporary) != pictures:
            raise OutputError(f"{target} is not complete", f"{part} is kept")
        os.replace(temporary, target)
    except (av.FFmpegError, OSError) as error:
        raise OutputError(f"{target} cannot be written: {reason(error)}", f"{part} is kept") from error
    finally:
        temporary.unlink(missing_ok=True)
    part.unlink()
    return Recording(target, pictures, seconds)


def make_playable(part: str | Path, target: str | Path) -> Recording:
    """Turn an unfinished recording into a video where it lies, for a disk on which there is no room for a copy of it.

    The torn end is cut off and the file gets its name. It stays in fragments, which players take but some editors do not.

    Raises:
        InputError: nothing in it can be read.
        OutputError: it cannot be cut or renamed.
    """
    part, target = Path(part), Path(target)
    require_file(part)
    try:
        if video_format(target).muxer in _BOXED:
            whole = _end_of_fragments(part)
            if whole < part.stat().st_size:
                os.truncate(part, whole)
        pictures, seconds = measure(part)
        if pictures == 0:
            raise InputError(f"nothing in {part} can be recovered")
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {reason(error)}", f"{part} is kept") from error
    return Recording(target, pictures, seconds)


def _end_of_fragments(part: Path) -> int:
    """Bytes up to the end of the last whole fragment of an MP4 file; all of them when its boxes are not understood."""
    size, at, end = part.stat().st_size, 0, 0
    with part.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8 or at + length > size:
                break
            at += length
            if kind in (b"mdat", b"moov"):
                end = at
    return end or size


def _recovered_name(part: Path) -> Path:
    name = Path(part.name.removesuffix(UNFINISHED_SUFFIX))
    while name.suffix and name.suffix[1:].isdigit():  # the number of a second unfinished take of the same name
        name = name.with_suffix("")
    return part.with_name(f"{name.stem}-recovered{name.suffix}")


def measure(part: Path) -> tuple[int, float]:
    """Pictures in an unfinished recording and the seconds they cover."""
    try:
        source = av.open(str(part))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"nothing in {part} can be recovered: {reason(error)}") from error
    pictures, end = 0, Fraction(0)
    with source:
        for packet in _whole_packets(source, source.streams.video[:1]):
            pictures += 1
            end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return pictures, float(end)


def _whole_packets(source: av.container.InputContainer, streams: Sequence[av.stream.Stream]) -> Iterator[av.Packet]:
    """Packets up to the torn end."""
    packets = source.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):
            return
        if packet is None:
            return
        if packet.size and not packet.is_corrupt:
            yield packet


def _remux(part: Path, target: Path, muxer: str) -> tuple[int, float]:
    """Copy packets up to the torn end. Returns the number of pictures and the seconds they cover."""
    try:
        source = av.open(str(part))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"nothing in {part} can be recovered: {reason(error)}") from error
    pictures, end = 0, Fraction(0)
    with source, av.open(str(target), "w", format=muxer) as output:
        output.metadata.update({name: value for name, value in source.metadata.items() if name.lower() in _KEPT_METADATA})
        kept = [stream for stream in source.streams if stream.type in ("video", "audio")]
        streams = {stream.index: output.add_stream_from_template(stream) for stream in kept}
        for packet in _whole_packets(source, kept):
            if packet.stream.type == "video":
                pictures += 1
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            packet.stream = streams[packet.stream.index]
            output.mux(packet)
    return pictures, float(end)
