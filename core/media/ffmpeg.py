"""The door to FFmpeg: the only module that imports PyAV. Opens files for reading under limits, and translates errors."""

from __future__ import annotations

from pathlib import Path

import av

from core.errors import InputError

MAX_PIXELS = 100_000_000  # of one picture; a 16K frame has 133 million, a large phone photo 50 million
# Real containers only: playlists and scripts (HLS, concat, SDP) could make the reader open other files or the network.
DEMUXERS = ("mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,ivf,nut,mxf,h264,hevc,m4v,mjpeg,dv,"
            "yuv4mpegpipe,rm,wtv")

av.logging.set_level(av.logging.PANIC)  # damage is counted and reported by us, in our own words


def open_input(path: Path) -> av.container.InputContainer:
    """Open a media file for reading. Raises InputError that says what the file is instead."""
    require_file(path)
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        return av.open(str(path), options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(f"{path} cannot be read as a video: {_what_is_wrong(path, error)}",
                         "play it in a media player to see whether it is whole") from error


def require_file(path: Path) -> None:
    """Raise InputError when there is no readable, non-empty file at `path`."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error


def reason(error: Exception) -> str:
    """What an FFmpeg or system error says, without the number and the file name."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(". ")


def _what_is_wrong(path: Path, error: Exception) -> str:
    if not isinstance(error, av.error.InvalidDataError):
        return reason(error)
    with path.open("rb") as file:
        head = file.read(4096)
    if head[4:8] == b"ftyp":
        return "it is cut off or damaged (its index is missing)"
    if b"\0" not in head:
        return "it is a text file"
    return "it is damaged or no video at all"
