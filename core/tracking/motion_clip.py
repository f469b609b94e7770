"""Recorded motion: head parameters over time in a plain npz file. Nothing in it can execute."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.assets import write_atomically
from core.errors import InputError, OutputError
from core.head.model import HeadModel
from core.types import HeadParams, PsiLayout, TrackState

FORMAT = "agora-motion"
VERSION = 1
LARGEST_FILE = 1 << 30
_STATES = tuple(TrackState)
_ROWS = {"psi": None, "head_rotation": 3, "head_translation": 3, "time_ns": 0, "state": 0, "residual": 0}
_SCORE_COUNTS = (0, 52)  # motion that was not tracked, such as the demo's, has no scores


@dataclass(frozen=True)
class MotionClip:
    """A motion and what it was recorded for.

    Attributes:
        params: one per frame, times never running back.
        expression_names: names of the expression columns.
        head_sha256: hash of the head model.
        source_size: (width, height) of the video it was tracked in; (0, 0) when there was none.
    """

    params: tuple[HeadParams, ...]
    expression_names: tuple[str, ...]
    head_sha256: str = ""
    source_size: tuple[int, int] = (0, 0)

    @staticmethod
    def of(params: Sequence[HeadParams], head: HeadModel, source_size: tuple[int, int] = (0, 0)) -> MotionClip:
        """A motion of `head`."""
        return MotionClip(tuple(params), tuple(head.expression_names), head.sha256, source_size)

    @property
    def layout(self) -> PsiLayout:
        """What the driving vector is made of."""
        return PsiLayout(expression=len(self.expression_names))

    @property
    def fps(self) -> float:
        """Mean frame rate; 30 for a single frame."""
        span = self.params[-1].time_ns - self.params[0].time_ns if self.params else 0
        return (len(self.params) - 1) / (span * 1e-9) if span > 0 else 30.0

    def __len__(self) -> int:
        return len(self.params)


def check_motion_output(path: Path) -> None:
    """Fail now rather than after minutes of tracking. Raises OutputError when `path` cannot become a motion file."""
    if path.suffix.lower() != ".npz":
        raise OutputError(f"{path}: a motion file must end in .npz")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")


def write_motion(path: Path, motion: MotionClip) -> None:
    """Write a motion; an existing file is replaced only when all is written.

    Raises:
        OutputError: the file cannot be written.
    """
    check_motion_output(path)
    frames = motion.params
    arrays = {
        "format": np.array(FORMAT), "version": np.array(VERSION),
        "expression_names": np.array(motion.expression_names), "head_sha256": np.array(motion.head_sha256),
        "source_size": np.array(motion.source_size, np.int64),
        "shape": frames[0].shape.astype(np.float32) if frames else np.zeros(0, np.float32),
        "psi": _stack([p.psi() for p in frames], (motion.layout.size,)),
        "head_rotation": _stack([p.head_rotation for p in frames], (3,)),
        "head_translation": _stack([p.head_translation for p in frames], (3,)),
        "time_ns": np.array([p.time_ns for p in frames], np.int64),
        "state": np.array([_STATES.index(p.state) for p in frames], np.int8),
        "residual": np.array([p.residual for p in frames], np.float32),
        "scores": _stack_scores(frames),
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    try:
        write_atomically(path.absolute(), content.getvalue())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_motion(path: Path) -> MotionClip:
    """Read what `write_motion` wrote.

    Raises:
        InputError: missing, damaged, not a motion file, or written by a newer version.
    """
    arrays = _read_arrays(path)
    names = tuple(str(name) for name in arrays["expression_names"])
    _check_rows(path, arrays, PsiLayout(expression=len(names)))
    shape = arrays["shape"].astype(np.float32)
    blank = HeadParams.neutral(len(names))
    params = tuple(
        HeadParams(blank.expression, blank.jaw_pose, blank.left_eye_pose, blank.right_eye_pose, rotation, translation, shape,
                   _STATES[state], float(residual), int(time), scores).with_psi(psi)
        for psi, rotation, translation, time, state, residual, scores in zip(
            arrays["psi"], arrays["head_rotation"], arrays["head_translation"], arrays["time_ns"], arrays["state"],
            arrays["residual"], arrays["scores"], strict=True))
    width, height = (int(x) for x in arrays["source_size"])
    return MotionClip(params, names, str(arrays["head_sha256"]), (width, height))


def _read_arrays(path: Path) -> dict[str, NDArray]:
    """All arrays of a motion file of a known version."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: too large for a motion file")
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile) or "format" not in archive or str(archive["format"]) != FORMAT:
                raise InputError(f"{path}: not a motion file")
            version = int(archive["version"])
            if version > VERSION:
                raise InputError(f"{path}: motion format {version} is newer than this program's {VERSION}", "update the program")
            return {name: archive[name] for name in ("expression_names", "head_sha256", "source_size", "shape", "scores", *_ROWS)}
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, TypeError) as error:
        raise InputError(f"{path}: not a readable motion file") from error
    except Exception as error:  # zlib reports damage with a class of its own, numpy's header parser with several
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: the motion file is damaged") from error


def _check_rows(path: Path, arrays: dict[str, NDArray], layout: PsiLayout) -> None:
    """Reject arrays of wrong types and sizes and values that are no numbers."""
    count = arrays["psi"].shape[0] if arrays["psi"].ndim else -1
    for name, columns in _ROWS.items():
        array = arrays[name]
        wanted = (count,) if columns == 0 else (count, columns or layout.size)
        if array.shape != wanted or array.dtype.kind not in "fi" or not np.isfinite(array).all():
            raise InputError(f"{path}: the motion file is damaged ({name})")
    scores = arrays["scores"]
    if scores.ndim != 2 or scores.shape[0] != count or scores.shape[1] not in _SCORE_COUNTS or scores.dtype.kind != "f":
        raise InputError(f"{path}: the motion file is damaged (scores)")
    for name in ("shape", "source_size", "scores"):
        flat = arrays[name].ndim == 1 or name == "scores"
        if not flat or arrays[name].dtype.kind not in "fi" or not np.isfinite(arrays[name]).all():
            raise InputError(f"{path}: the motion file is damaged ({name})")
    if count < 1 or len(arrays["source_size"]) != 2:
        raise InputError(f"{path}: the motion file holds no motion")
    if not ((arrays["state"] >= 0) & (arrays["state"] < len(_STATES))).all():
        raise InputError(f"{path}: the motion file is damaged (state)")
    if (np.diff(arrays["time_ns"]) < 0).any():
        raise InputError(f"{path}: the motion file's times run backwards")


def _stack(rows: list[NDArray], width: tuple[int, ...]) -> NDArray:
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, *width), np.float32)


def _stack_scores(frames: Sequence[HeadParams]) -> NDArray:
    """Scores [M, 52]; frames at rest in a tracked clip score zero. [M, 0] when no frame has any."""
    count = max((len(p.scores) for p in frames), default=0)
    return _stack([p.scores if len(p.scores) else np.zeros(count) for p in frames], (count,))
