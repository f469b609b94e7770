"""The head model file: an npz in FLAME's layout with texture coordinates and parts."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from core.errors import HeadModelError
from core.head.model import HeadMasks, HeadModel

SHAPE_COLUMNS = 300  # of FLAME's blend shapes; the rest are expressions
LAYOUT_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
HEAD_KEYS = (*LAYOUT_KEYS, "vt", "ft", "part", "part_names", "expression_names", "jaw_open_angle", "jaw_yaw_angle", "mask_lips",
             "mask_eyelids", "mask_ears", "mask_face")


def read_head_npz(path: Path, name: str | None = None) -> HeadModel:
    """A head model as the bake tool writes it.

    Raises:
        HeadModelError: missing, unreadable, damaged or not such a file.
    """
    arrays = read_npz_arrays(path)
    return model_from_arrays(arrays, name or path.stem, file_sha256(path), path)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's content.

    Raises:
        HeadModelError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
                else hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise HeadModelError(f"{path}: cannot be read ({error.strerror})") from error


def read_npz_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file but those of Python objects, which are not read.

    Raises:
        HeadModelError: missing, unreadable or damaged.
    """
    arrays = {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            for key in archive.files:
                try:
                    arrays[key] = archive[key]
                except ValueError as error:
                    if "Object arrays" not in str(error):
                        raise
    except OSError as error:
        raise HeadModelError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from error
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError, zlib.error, TypeError) as error:
        raise HeadModelError(f"{path}: damaged or not an npz file") from error
    return arrays


def model_from_arrays(arrays: dict[str, np.ndarray], name: str, sha256: str, path: Path) -> HeadModel:
    """Arrays by their names in the file -> `HeadModel`. Shape columns at the end that are zero are dropped.

    Raises:
        HeadModelError: an array is missing or has another shape than the rest.
    """
    missing = [key for key in HEAD_KEYS if key not in arrays]
    if missing:
        raise HeadModelError(f"{path}: not a head model, it has no '{missing[0]}'")
    _check_shapes(arrays, path)
    shape_dirs = arrays["shapedirs"][:, :, :SHAPE_COLUMNS]
    expression_dirs = arrays["shapedirs"][:, :, SHAPE_COLUMNS:]
    expression_names = tuple(str(n) for n in arrays["expression_names"])
    shape_dirs = _float(shape_dirs[:, :, :_used_columns(shape_dirs)])
    bank = arrays.get("beta_samples", np.zeros((0, shape_dirs.shape[2])))
    traits = arrays.get("meta", np.zeros((0, 7)))[:len(bank)]
    return HeadModel(
        name=name, sha256=sha256,
        v_template=_float(arrays["v_template"]),
        faces=_frozen(arrays["f"].astype(np.int32)),
        shape_dirs=shape_dirs,
        expression_dirs=_float(expression_dirs[:, :, :len(expression_names)]),
        pose_dirs=_float(arrays["posedirs"]),
        joint_regressor=_float(arrays["J_regressor"]),
        skin_weights=_float(arrays["weights"]),
        uv=_float(arrays["vt"]), uv_faces=_frozen(arrays["ft"].astype(np.int32)),
        part=_frozen(arrays["part"].astype(np.int8)), part_names=tuple(str(n) for n in arrays["part_names"]),
        expression_names=expression_names,
        jaw_open_angle=float(arrays["jaw_open_angle"]), jaw_yaw_angle=float(arrays["jaw_yaw_angle"]),
        masks=HeadMasks(*(_float(arrays[f"mask_{region}"]) for region in ("lips", "eyelids", "ears", "face"))),
        shape_bank=_float(bank), shape_bank_traits=_float(traits),
    )


def _check_shapes(arrays: dict[str, np.ndarray], path: Path) -> None:
    vertices, faces = len(arrays["v_template"]), len(arrays["f"])
    expected = {"v_template": (vertices, 3), "f": (faces, 3), "posedirs": (vertices, 3, 36), "J_regressor": (5, vertices),
                "weights": (vertices, 5), "ft": (faces, 3), "part": (faces,), "mask_lips": (vertices,),
                "mask_eyelids": (vertices,), "mask_ears": (vertices,), "mask_face": (vertices,)}
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise HeadModelError(f"{path}: '{key}' is {arrays[key].shape}, expected {shape}")
    if arrays["shapedirs"].shape[:2] != (vertices, 3) or arrays["shapedirs"].shape[2] <= SHAPE_COLUMNS:
        raise HeadModelError(f"{path}: 'shapedirs' is {arrays['shapedirs'].shape}, expected ({vertices}, 3, 400)")
    if arrays["f"].min() < 0 or arrays["f"].max() >= vertices or arrays["ft"].max() >= len(arrays["vt"]):
        raise HeadModelError(f"{path}: faces name vertices that do not exist")


def _used_columns(dirs: np.ndarray) -> int:
    used = np.flatnonzero(np.abs(dirs).max((0, 1)) > 0)
    return int(used[-1]) + 1 if len(used) else 0


def _float(array: np.ndarray) -> np.ndarray:
    return _frozen(np.ascontiguousarray(array, np.float32))


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array
