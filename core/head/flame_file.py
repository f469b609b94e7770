"""A user's own FLAME file: ``generic_model.pkl``, ``flame2023*.pkl``, ``flame2023_Open.pkl`` or the same as npz.

FLAME's distribution has neither texture coordinates nor a mouth interior; both are computed (`core.head.flame_parts`). The result
is kept in the user's cache under the file's hash. FLAME's files are not free to ship, so this was tested on files made to the
published layout (names, shapes, chumpy and sparse arrays), not on a real one.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from core.assets import cache_folder, write_atomically
from core.errors import HeadModelError
from core.head.flame_parts import complete_flame
from core.head.model import HeadModel
from core.head.npz_file import HEAD_KEYS, LAYOUT_KEYS, file_sha256, model_from_arrays, read_npz_arrays
from core.head.safe_pickle import looks_like_pickle, read_pickled_arrays

FLAME_VERTICES = 5023
BLEND_SHAPES = 400  # 300 of identity, 100 of expression
CONVERSION_VERSION = 1  # of the cached result
PARENTS = (0, 1, 1, 1)  # of neck, jaw and eyes; FLAME stores the root's as an unsigned -1
OTHER_MODELS = {10475: "SMPL-X", 6890: "SMPL or one of its relatives with a body", 778: "MANO", 3931: "a FLAME skin without eyes"}
OTHER_FLAME_FILES = (
    ("tex_dir", "FLAME's texture space"), ("texture_dir", "FLAME's texture space"), ("lmk_face_idx", "a landmark embedding"),
    ("static_lmk_faces_idx", "a landmark embedding"), ("eye_region", "FLAME's vertex masks"), ("scalp", "FLAME's vertex masks"),
)
_NOT_A_MODEL = "give FLAME's model file, such as generic_model.pkl or flame2023.pkl"


def load_flame_file(path: Path) -> HeadModel:
    """A head model from a FLAME pkl or npz, or from an npz of our own layout.

    The first time, textures coordinates and a mouth interior are added to a FLAME file, which takes a few seconds.

    Raises:
        HeadModelError: the file is not usable; the message says what it is instead. No code from the file is run.
    """
    sha256 = file_sha256(path)
    cached = converted_path(sha256)
    if cached.is_file():
        try:
            return model_from_arrays(read_npz_arrays(cached), path.stem, sha256, cached)
        except HeadModelError:
            cached.unlink(missing_ok=True)  # damaged: convert again
    arrays = _read_arrays(path)
    if all(key in arrays for key in HEAD_KEYS):
        return model_from_arrays(arrays, path.stem, sha256, path)
    flame = _checked(arrays, path)
    try:
        complete = complete_flame(flame, path)
    except (ValueError, KeyError, IndexError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise HeadModelError(f"{path}: its mesh is not FLAME's, no texture map can be made for it") from error
    buffer = io.BytesIO()
    np.savez(buffer, **complete)
    write_atomically(cached, buffer.getvalue())
    return model_from_arrays(complete, path.stem, sha256, path)


def converted_path(sha256: str) -> Path:
    """Where the converted form of the file with this hash is kept."""
    return cache_folder() / "heads" / f"{sha256[:32]}-v{CONVERSION_VERSION}.npz"


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a pickle or npz; anything else is named by its first bytes, whatever its ending."""
    with path.open("rb") as file:
        start = file.read(512)
    text = start.lstrip().lower()
    if not start:
        raise HeadModelError(f"{path}: the file is empty")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise HeadModelError(f"{path}: a web page, not a head model", "the download asks for a log-in; use a browser")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith(".npy") for name in archive.namelist()):
                raise HeadModelError(f"{path}: a zip archive, not a head model", "unpack it and give the .pkl inside")
        return read_npz_arrays(path)
    if looks_like_pickle(start):
        return read_pickled_arrays(path)
    raise HeadModelError(f"{path}: damaged or not a head model", _NOT_A_MODEL)


def _checked(arrays: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """FLAME's arrays with plain types and the shapes they must have."""
    for key, description in OTHER_FLAME_FILES:
        if key in arrays and "v_template" not in arrays:
            raise HeadModelError(f"{path}: {description}, not the model", _NOT_A_MODEL)
    if "v_template" not in arrays:
        raise HeadModelError(f"{path}: not a head model, it has no 'v_template'", _NOT_A_MODEL)
    count = len(arrays["v_template"])
    if count in OTHER_MODELS:
        raise HeadModelError(f"{path}: {OTHER_MODELS[count]} ({count} vertices), not FLAME", _NOT_A_MODEL)
    if count != FLAME_VERTICES:
        raise HeadModelError(f"{path}: a model of {count} vertices, FLAME has {FLAME_VERTICES}", _NOT_A_MODEL)
    missing = [key for key in LAYOUT_KEYS if key not in arrays]
    if missing:
        raise HeadModelError(f"{path}: incomplete, it has no '{missing[0]}'", _NOT_A_MODEL)
    expected = {"v_template": (count, 3), "shapedirs": (count, 3, BLEND_SHAPES), "posedirs": (count, 3, 36),
                "J_regressor": (5, count), "weights": (count, 5), "kintree_table": (2, 5)}
    checked = {}
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise HeadModelError(f"{path}: '{key}' is {arrays[key].shape}, FLAME's is {shape}")
        checked[key] = arrays[key].astype(np.float64)
        if not np.isfinite(checked[key]).all():
            raise HeadModelError(f"{path}: '{key}' holds numbers that are not finite")
    faces = arrays["f"]
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iuf":
        raise HeadModelError(f"{path}: 'f' is not a list of triangles")
    checked["f"] = faces.astype(np.int64)
    if checked["f"].min() < 0 or checked["f"].max() >= count:
        raise HeadModelError(f"{path}: faces name vertices that do not exist")
    if tuple(checked["kintree_table"][0, 1:].astype(int)) != PARENTS:
        raise HeadModelError(f"{path}: its joints are not FLAME's")
    return checked
