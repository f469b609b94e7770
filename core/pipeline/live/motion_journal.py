"""Motion that survives a crash: written record by record while it happens, turned into a motion clip afterwards."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.tracking.motion_clip import MotionClip
from core.types import FloatArray, HeadParams, PsiLayout, TrackState

JOURNAL_SUFFIX = ".motion.journal"
SCORES = 52
LARGEST_HEADER = 1 << 20
MOST_WAITING = 4  # records; a full disk costs the motion no more than that
_MAGIC = b"AGORAMJ1"
_STATES = tuple(TrackState)
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class JournalAbout:
    """What all records share.

    Attributes:
        expression_names: names of the expression columns.
        head_sha256: hash of the head model.
        source_size: (width, height) of what was tracked; (0, 0) when there was nothing.
        shape: [S] shape coefficients of the person who drives.
    """

    expression_names: tuple[str, ...]
    head_sha256: str = ""
    source_size: tuple[int, int] = (0, 0)
    shape: tuple[float, ...] = ()

    @property
    def layout(self) -> PsiLayout:
        return PsiLayout(expression=len(self.expression_names))


class MotionJournal:
    """Appends to a journal, a few records at a time; what was flushed is safe when the process dies. Raises OSError anywhere.

    Args:
        path: the file, which must not exist yet.
    """

    def __init__(self, path: Path, about: JournalAbout) -> None:
        self.path = path
        self.records = 0
        self._record = _record_type(about.layout.size)
        self._waiting = bytearray()
        header = json.dumps(asdict(about)).encode()
        self._file = path.open("x+b", buffering=0)
        self._write(_MAGIC + _LENGTH.pack(len(header)) + header + _LENGTH.pack(zlib.crc32(header)))

    @property
    def descriptor(self) -> int:
        """Of the open file, which can be read from."""
        return self._file.fileno()

    def append(self, params: HeadParams, time_ns: int) -> None:
        """Keep parameters for the time `time_ns` of the recording."""
        record = np.zeros(1, self._record)
        body = record["body"]
        body["time_ns"], body["state"], body["residual"] = time_ns, _STATES.index(params.state), params.residual
        body["psi"][0], body["rotation"][0], body["translation"][0] = params.psi(), params.head_rotation, params.head_translation
        if len(params.scores) == SCORES:
            body["scored"], body["scores"][0] = 1, params.scores
        record["checksum"] = zlib.crc32(body.tobytes())
        self._waiting += record.tobytes()
        self.records += 1
        if len(self._waiting) >= MOST_WAITING * record.nbytes:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the system."""
        if self._waiting:
            self._write(bytes(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._file.close()

    def _write(self, content: bytes) -> None:
        while content:  # an unbuffered file may take a part of it, when the disk fills
            content = content[self._file.write(content):]


def read_journal(path: Path) -> MotionClip:
    """The motion in a journal, up to its torn end.

    Raises:
        InputError: missing, not a journal, or without a whole record.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    about, at = _read_header(path, content)
    record = _record_type(about.layout.size)
    rows = np.frombuffer(content, record, (len(content) - at) // record.itemsize, at)
    params, shape, last = [], np.array(about.shape, np.float32), 0
    blank = HeadParams.neutral(len(about.expression_names))
    for row in rows:
        body = row["body"]
        if zlib.crc32(body.tobytes()) != int(row["checksum"]):
            break
        last = max(last, int(body["time_ns"]))
        scores = body["scores"].copy() if body["scored"] else np.zeros(0, np.float32)
        params.append(HeadParams(blank.expression, blank.jaw_pose, blank.left_eye_pose, blank.right_eye_pose,
                                 body["rotation"].copy(), body["translation"].copy(), shape, _STATES[int(body["state"])],
                                 float(body["residual"]), last, scores).with_psi(body["psi"].copy()))
    if not params:
        raise InputError(f"{path}: the motion journal holds no motion")
    return MotionClip(tuple(params), about.expression_names, about.head_sha256, about.source_size)


def shape_of(params: HeadParams) -> tuple[float, ...]:
    """Shape coefficients as a journal's header holds them."""
    shape: FloatArray = np.asarray(params.shape, np.float32)
    return tuple(float(value) for value in shape)


def _record_type(psi: int) -> np.dtype:
    body = np.dtype([("time_ns", "<i8"), ("residual", "<f4"), ("psi", "<f4", psi), ("rotation", "<f4", 3),
                     ("translation", "<f4", 3), ("scores", "<f4", SCORES), ("state", "u1"), ("scored", "u1")])
    return np.dtype([("body", body), ("checksum", "<u4")])


def _read_header(path: Path, content: bytes) -> tuple[JournalAbout, int]:
    """What the header says, and where the records begin."""
    start = len(_MAGIC) + _LENGTH.size
    if not content.startswith(_MAGIC) or len(content) < start:
        raise InputError(f"{path}: not a motion journal")
    length = _LENGTH.unpack_from(content, len(_MAGIC))[0]
    end = start + length
    header = content[start:end]
    if length > LARGEST_HEADER or len(content) < end + _LENGTH.size or zlib.crc32(header) != _LENGTH.unpack_from(content, end)[0]:
        raise InputError(f"{path}: the motion journal is damaged")
    try:
        raw = json.loads(header)
        return JournalAbout(tuple(map(str, raw["expression_names"])), str(raw["head_sha256"]),
                            tuple(int(side) for side in raw["source_size"]), tuple(float(v) for v in raw["shape"])), end + 4
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: the motion journal is damaged") from error
