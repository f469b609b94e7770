"""Which video formats can be written, and how."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import OutputError

# Fragments while recording, an ordinary file with one index after closing; what is written reaches the disk at once.
# Fragments of 0.3 s cost 1 % more bytes than those of 1 s while recording and nothing afterwards.
_CRASH_SAFE_MP4 = {"movflags": "hybrid_fragmented", "flush_packets": "1", "frag_duration": "300000"}
_CRASH_SAFE_MATROSKA = {"flush_packets": "1", "cluster_time_limit": "300"}


@dataclass(frozen=True)
class VideoCodec:
    """An encoder with its settings. `pixel_format` decides whether transparency survives."""

    name: str
    pixel_format: str
    options: dict[str, str]
    key_frame_seconds: float = 1.0


@dataclass(frozen=True)
class VideoFormat:
    """A file type.

    Attributes:
        muxer: FFmpeg's name of it.
        opaque, transparent: the encoder for either kind of picture; None when the type cannot hold it.
        audio_copied: sound codecs that go over as they are.
        audio_codec: what any other sound is encoded to.
        options: of the muxer.
    """

    muxer: str
    opaque: VideoCodec | None
    transparent: VideoCodec | None
    audio_copied: frozenset[str]
    audio_codec: str
    options: dict[str, str] = field(default_factory=dict)


# Without B-frames packets leave in display order: time stamps are exact in every container and a killed recording loses less.
_H264 = VideoCodec("libx264", "yuv420p", {"preset": "superfast", "crf": "18", "bf": "0"})
_VP9_SETTINGS = {"crf": "22", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0", "lag-in-frames": "0",
                 "row-mt": "1"}
_VP9 = VideoCodec("libvpx-vp9", "yuv420p", _VP9_SETTINGS)
_VP9_ALPHA = VideoCodec("libvpx-vp9", "yuva420p", _VP9_SETTINGS)
_PRORES_4444 = VideoCodec("prores_ks", "yuva444p10le", {"profile": "4444", "vendor": "apl0"})

LIVE_QUALITIES = ("balanced", "high", "safest")
# Superfast x264 looks at no later picture, so a packet leaves with its picture: 3.5 ms a picture of 512 x 512 on one core, and
# what a kill costs is the open fragment. "safest" also drops the frame that x264 holds back, for a quarter more bytes.
_LIVE_H264 = {
    "balanced": {"crf": "20"},
    "high": {"crf": "16"},
    "safest": {"crf": "20", "tune": "zerolatency"},
}
_LIVE_VP9 = {
    "balanced": {"crf": "24", "cpu-used": "8"},
    "high": {"crf": "16", "cpu-used": "7"},
    "safest": {"crf": "24", "cpu-used": "8"},
}
_KEY_FRAME_SECONDS = {"safest": 0.5}

FORMATS = {
    ".mp4": VideoFormat("mp4", _H264, None, frozenset({"aac", "mp3"}), "aac", _CRASH_SAFE_MP4),
    ".m4v": VideoFormat("mp4", _H264, None, frozenset({"aac", "mp3"}), "aac", _CRASH_SAFE_MP4),
    ".mov": VideoFormat("mov", _H264, _PRORES_4444, frozenset({"aac", "mp3", "pcm_s16le"}), "aac", _CRASH_SAFE_MP4),
    ".mkv": VideoFormat("matroska", _H264, None, frozenset({"aac", "mp3", "opus", "vorbis", "flac"}), "aac",
                        _CRASH_SAFE_MATROSKA),
    ".webm": VideoFormat("webm", _VP9, _VP9_ALPHA, frozenset({"opus", "vorbis"}), "libopus", _CRASH_SAFE_MATROSKA),
}


def video_format(path: Path) -> VideoFormat:
    """The format that a file name asks for. Raises OutputError."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise OutputError(f"{path} has no video's ending", f"use one of {' '.join(FORMATS)}")
    return found


def video_codec(path: Path, alpha: bool) -> VideoCodec:
    """The encoder for a file name. Raises OutputError when transparency is wanted of a format that has none."""
    chosen = video_format(path)
    codec = chosen.transparent if alpha else chosen.opaque
    if codec is None:
        raise OutputError(f"{path}: {path.suffix} files cannot be transparent", "use .webm (VP9) or .mov (ProRes 4444)")
    return codec


def live_codec(path: Path, alpha: bool, quality: str) -> VideoCodec:
    """The encoder for a recording that has to keep up with the pictures.

    Args:
        quality: one of `LIVE_QUALITIES`.
    """
    codec = video_codec(path, alpha)
    tuned = {"libx264": _LIVE_H264, "libvpx-vp9": _LIVE_VP9}.get(codec.name, {})
    return replace(codec, options={**codec.options, **tuned.get(quality, {})},
                   key_frame_seconds=_KEY_FRAME_SECONDS.get(quality, codec.key_frame_seconds))


def check_video_output(path: str | Path, alpha: bool = False) -> None:
    """Raise OutputError unless a video can be written at `path`: ending, transparency, folder."""
    path = Path(path)
    video_codec(path, alpha)
    require_writable(path)


def require_writable(path: Path) -> None:
    """Raise OutputError unless a file can be made at `path`, found out by making one without a name beside it."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist", "make the folder first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", "choose another folder") from error
