"""Calibrations kept by name in the user's data folder."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from core.assets import data_folder, write_atomically
from core.errors import InputError, OutputError
from core.tracking.blink import LidRange
from core.tracking.calibration import Calibration
from core.tracking.gaze import GazeRange

FORMAT, VERSION = "agora-calibration", 1
_NAME = re.compile(r"[\w][\w .,()'&+–-]{0,63}")
_SHAPES = {"offset": (468, 3), "neutral_scores": (52,), "lid_open": (2,), "lid_closed": (2,), "lid_open_score": (2,),
           "lid_closed_score": (2,), "gaze_zero": (2, 2), "lip_gap": ()}


def calibration_path(name: str, folder: Path | None = None) -> Path:
    """File of the calibration `name`. Raises InputError for a name that is no plain file name."""
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise InputError(f"'{name}' cannot name a calibration", "use letters, digits, spaces, dots, commas, brackets and dashes")
    folder = folder or data_folder() / "calibrations"
    return folder / f"{name}.npz"


def plain_name(text: str) -> str:
    """`text`, such as the name of a camera, as a name that a calibration can have."""
    kept = re.sub(r"[^\w .,()'&+–-]+", " ", text)
    return re.sub(r"\s+", " ", kept).lstrip(" .,()'&+–-")[:60].rstrip(" .,'&+–-") or "Calibration"


def list_calibrations(folder: Path | None = None) -> list[str]:
    """Names of the calibrations that are kept, sorted."""
    return sorted(path.stem for path in calibration_path("x", folder).parent.glob("*.npz"))


def save_calibration(name: str, calibration: Calibration, folder: Path | None = None) -> Path:
    """Keep a calibration under a name; one of the same name is replaced. Raises OutputError when it cannot be written."""
    path = calibration_path(name, folder)
    arrays = {
        "format": np.array(FORMAT), "version": np.array(VERSION), "head_sha256": np.array(calibration.head_sha256),
        "shape": calibration.shape, "offset": calibration.offset, "neutral_scores": calibration.neutral_scores,
        "lid_open": calibration.lids.open, "lid_closed": calibration.lids.closed,
        "lid_open_score": calibration.lids.open_score, "lid_closed_score": calibration.lids.closed_score,
        "gaze_zero": calibration.gaze.zero, "lip_gap": np.array(calibration.lip_gap),
        "residual": np.array(calibration.residual),
    }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise OutputError(f"{path}: the calibration cannot be saved ({error.strerror or error})") from error
    return path


def load_calibration(name: str, head_sha256: str, folder: Path | None = None) -> Calibration:
    """The calibration `name`, which must belong to the head model in use.

    Raises:
        InputError: there is none, it is damaged, of a newer version, or made for another head model.
    """
    path = calibration_path(name, folder)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"there is no calibration '{name}'", f"{path} does not exist") from error
    except Exception as error:  # zip, zlib and numpy each report damage with classes of their own
        raise InputError(f"{path}: not a readable calibration") from error
    if str(arrays.get("format")) != FORMAT:
        raise InputError(f"{path}: not a calibration")
    if int(arrays.get("version", 0)) > VERSION:
        raise InputError(f"{path}: calibration format {int(arrays['version'])} is newer than this program's {VERSION}")
    sound = all(key in arrays and arrays[key].shape == shape and arrays[key].dtype.kind == "f" and np.isfinite(arrays[key]).all()
                for key, shape in _SHAPES.items())
    shape = arrays.get("shape", np.zeros((0, 0)))
    if not sound or shape.ndim != 1 or not np.isfinite(shape).all():
        raise InputError(f"{path}: the calibration is damaged")
    if str(arrays.get("head_sha256")) != head_sha256:
        raise InputError(f"{path}: was made for another head model", "calibrate again")
    lids = LidRange(arrays["lid_open"], arrays["lid_closed"], arrays["lid_open_score"], arrays["lid_closed_score"])
    residual = arrays.get("residual", np.zeros(()))  # files of the first version do not have it
    known = residual.shape == () and residual.dtype.kind == "f" and np.isfinite(residual) and residual > 0
    return Calibration(shape, arrays["offset"], arrays["neutral_scores"], lids, GazeRange(arrays["gaze_zero"]),
                       float(arrays["lip_gap"]), head_sha256, float(residual) if known else 0.0)


def remove_calibration(name: str, folder: Path | None = None) -> None:
    """Forget a calibration; harmless when there is none. Raises OutputError when its file cannot be removed."""
    path = calibration_path(name, folder)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the calibration cannot be removed ({error.strerror or error})") from error


def rename_calibration(name: str, new_name: str, folder: Path | None = None) -> None:
    """Give a calibration another name.

    Raises:
        InputError: there is none of that name, or the new name is taken or cannot name a file.
        OutputError: the file cannot be renamed.
    """
    path, target = calibration_path(name, folder), calibration_path(new_name, folder)
    if path == target:
        return
    if not path.is_file():
        raise InputError(f"there is no calibration '{name}'", f"{path} does not exist")
    if target.exists() and not target.samefile(path):  # a change of capitals is the same file on some systems
        raise InputError(f"there already is a calibration '{new_name}'", "choose another name or delete that one first")
    try:
        path.rename(target)
    except OSError as error:
        raise OutputError(f"{path}: the calibration cannot be renamed ({error.strerror or error})") from error
