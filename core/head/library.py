"""Where head models come from: the embedded open head, or a file of the user's."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.errors import AssetError, HeadModelError
from core.head.model import HeadMasks, HeadModel

OPEN_HEAD_PATH = Path(__file__).parents[2] / "resources" / "open_head.npz"
_FLAME_SHAPE_COLUMNS = 300
_LAYOUT_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


@lru_cache(maxsize=1)
def load_open_head() -> HeadModel:
    """The head model that comes with the program (49 ARKit expressions, mouth interior, UVs, shape bank).

    Raises:
        AssetError: the resource is missing or damaged.
    """
    try:
        return read_npz(OPEN_HEAD_PATH, name="open head")
    except HeadModelError as error:
        raise AssetError(error.message, "reinstall the program") from error


def load_head_model(path: str | Path | None = None) -> HeadModel:
    """A head model from a file, or the open head when there is no path.

    Raises:
        HeadModelError: the file is not a usable head model; the message names what it is instead.
    """
    if path is None:
        return load_open_head()
    return read_npz(Path(path))


def read_npz(path: Path, name: str | None = None) -> HeadModel:
    """A head model in FLAME's layout with UVs and parts, as the bake tool writes it.

    Raises:
        HeadModelError: missing, unreadable, damaged or not a head model.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HeadModelError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise HeadModelError(f"{path}: not a readable npz file") from error
    missing = [key for key in _LAYOUT_KEYS if key not in arrays]
    if missing:
        raise HeadModelError(f"{path}: not a head model, it has no '{missing[0]}'")
    return model_from_arrays(arrays, name or path.stem, hashlib.sha256(data).hexdigest())


def model_from_arrays(arrays: dict[str, np.ndarray], name: str, sha256: str) -> HeadModel:
    """Arrays under FLAME's names -> `HeadModel`. Trailing shape and expression columns that are zero are dropped."""
    shape_dirs = arrays["shapedirs"][:, :, :_FLAME_SHAPE_COLUMNS]
    expression_dirs = arrays["shapedirs"][:, :, _FLAME_SHAPE_COLUMNS:]
    expression_names = tuple(str(n) for n in arrays["expression_names"])
    vertex_count = len(arrays["v_template"])
    shape_dirs = _float(shape_dirs[:, :, :_used_columns(shape_dirs)])
    bank = arrays.get("beta_samples", np.zeros((0, shape_dirs.shape[2])))
    traits = arrays.get("meta", np.zeros((0, 7)))[:len(bank)]
    return HeadModel(
        name=name, sha256=sha256,
        v_template=_float(arrays["v_template"]),
        faces=_frozen(arrays["f"].astype(np.int32)),
        shape_dirs=shape_dirs,
        expression_dirs=_float(expression_dirs[:, :, :len(expression_names)]),
        pose_dirs=_float(arrays["posedirs"].reshape(vertex_count, 3, 36)),
        joint_regressor=_float(arrays["J_regressor"]),
        skin_weights=_float(arrays["weights"]),
        uv=_float(arrays["vt"]), uv_faces=_frozen(arrays["ft"].astype(np.int32)),
        part=_frozen(arrays["part"].astype(np.int8)), part_names=tuple(str(n) for n in arrays["part_names"]),
        expression_names=expression_names,
        jaw_open_angle=float(arrays["jaw_open_angle"]), jaw_yaw_angle=float(arrays["jaw_yaw_angle"]),
        masks=HeadMasks(*(_float(arrays[f"mask_{region}"]) for region in ("lips", "eyelids", "ears", "face"))),
        shape_bank=_float(bank), shape_bank_traits=_float(traits),
    )


def _used_columns(dirs: np.ndarray) -> int:
    used = np.flatnonzero(np.abs(dirs).max((0, 1)) > 0)
    return int(used[-1]) + 1 if len(used) else 0


def _float(array: np.ndarray) -> np.ndarray:
    return _frozen(np.ascontiguousarray(array, np.float32))


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    array.setflags(write=False)
    return array
