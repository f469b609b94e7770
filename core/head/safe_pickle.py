"""Reads the arrays out of a pickle without running anything from it.

A pickle is a program: it may import any callable and call it. Here only names on a short list exist. Array classes that FLAME's
distribution needs (chumpy, scipy's sparse matrices) are stand-ins that keep their state and do nothing; the few functions are
numpy's own constructors of arrays, rewritten so that they accept nothing but numbers.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import HeadModelError

MAXIMUM_BYTES = 1 << 30
MAXIMUM_ITEMS = 1 << 26  # of one array
_NUMBER_KINDS = "biufcSU"
_CHUMPY_STATE = ("x", "_x", "a")
_SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array")


class _Kept:
    """Stands in for a class of the pickle: takes any arguments and state, runs nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class _Chumpy(_Kept):
    """An array of the chumpy library."""


class _Sparse(_Kept):
    """A scipy sparse matrix in compressed or coordinate form."""

    layout = ""


class _Array:
    """A numpy array that is being put together: made by ``_reconstruct``, filled by its state."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        dtype = _checked_dtype(dtype)
        shape = tuple(int(n) for n in shape)
        count = int(np.prod(shape, dtype=np.float64)) if shape else 1
        if min(shape, default=0) < 0 or count > MAXIMUM_ITEMS:
            raise pickle.UnpicklingError("array of an impossible size")
        if isinstance(content, str):
            content = content.encode("latin1")
        if not isinstance(content, bytes) or len(content) != count * dtype.itemsize:
            raise pickle.UnpicklingError("array whose size does not match its data")
        self.value = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()


class _Dtype:
    """A numpy dtype that is being put together; only plain numbers and byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or code[:1].lstrip("<>=|") not in _NUMBER_KINDS:
            raise pickle.UnpicklingError(f"array of {code!r}")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order if order in ("<", ">", "=", "|") else "="


def _checked_dtype(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("array without a plain type")
    try:
        checked = np.dtype(dtype.code)
        checked = checked.newbyteorder(dtype.order) if dtype.order != "|" else checked
    except TypeError as error:
        raise pickle.UnpicklingError(f"array of {dtype.code!r}") from error
    if checked.kind not in _NUMBER_KINDS:
        raise pickle.UnpicklingError("array of objects")
    return checked


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C") -> _Array:
    if not isinstance(content, (bytes, bytearray)):
        raise pickle.UnpicklingError("array without data")
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(content)))
    return array


def _scalar(dtype: Any, content: Any = b"") -> Any:
    if isinstance(content, str):
        content = content.encode("latin1")
    return np.frombuffer(content, _checked_dtype(dtype), count=1)[0]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise pickle.UnpicklingError("unexpected text encoding")
    return text.encode(encoding)


def _rebuild(cls: Any, *_: Any) -> Any:
    """``copyreg._reconstructor``, for the stand-ins alone."""
    if isinstance(cls, type) and issubclass(cls, _Kept):
        return cls()
    raise pickle.UnpicklingError("unexpected object")


class _NdArrayName:
    """The name ``numpy.ndarray``; it is passed about but never called."""

    def __init__(self, *_: Any) -> None:
        raise pickle.UnpicklingError("arrays are not made this way")


class _ObjectName(_NdArrayName):
    """The name ``object``."""


def _sparse_class(name: str) -> type[_Sparse]:
    return type(f"_{name}", (_Sparse,), {"layout": name[:3]})


_NUMPY_CORE = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMPY_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_ALLOWED: dict[tuple[str, str], Any] = {
    **{(module, "_reconstruct"): _reconstruct for module in _NUMPY_CORE},
    **{(module, "scalar"): _scalar for module in _NUMPY_CORE},
    **{(module, "_frombuffer"): _from_buffer for module in _NUMPY_NUMERIC},
    ("numpy", "ndarray"): _NdArrayName,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _rebuild,
    ("copyreg", "_reconstructor"): _rebuild,
    ("__builtin__", "object"): _ObjectName,
    ("builtins", "object"): _ObjectName,
}


class _ArrayUnpickler(pickle._Unpickler):  # the pure Python one: its instructions can be replaced
    """Unpickles numbers, text, containers and the stand-ins above; every other name ends the reading."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module.split(".")[0] == "chumpy" and name.isidentifier():
            return _Chumpy
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return _sparse_class(name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to outside objects")

    def get_extension(self, code: int) -> Any:
        raise pickle.UnpicklingError("it uses registered extensions")

    def load_build(self) -> None:
        """Give an object its state: only to objects made here, never to the names on the list themselves."""
        if not isinstance(self.stack[-2], _Kept | _Array | _Dtype):
            raise pickle.UnpicklingError("it changes something else than an array")
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}  # noqa: RUF012


def read_pickled_arrays(path: Path) -> dict[str, np.ndarray]:
    """The top-level arrays of a pickled dict, by name. Entries that are not numeric arrays are left out.

    Raises:
        HeadModelError: not a pickle, damaged, not a dict, or in need of anything but arrays (then nothing of it has been run).
    """
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise HeadModelError(f"{path}: larger than any head model file")
        with path.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise HeadModelError(f"{path}: cannot be read ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        raise HeadModelError(f"{path}: refused, {error}",
                             "a head model holds nothing but arrays; get the file from its publisher") from error
    except Exception as error:  # a damaged pickle can fail in any instruction
        raise HeadModelError(f"{path}: damaged or not a pickle") from error
    if not isinstance(content, dict):
        raise HeadModelError(f"{path}: not a head model")
    arrays = {str(key): _as_array(value, path) for key, value in content.items() if isinstance(key, str)}
    return {key: value for key, value in arrays.items() if value is not None}


def _as_array(value: Any, path: Path) -> np.ndarray | None:
    """The numbers inside a stand-in, or None when there are none."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, _Chumpy):
        for key in _CHUMPY_STATE:
            if key in value.state:
                return _as_array(value.state[key], path)
        return None
    if isinstance(value, _Sparse):
        return _dense(value, path)
    return None


def _dense(matrix: _Sparse, path: Path) -> np.ndarray:
    """A sparse matrix written out. Both names of its shape that scipy has used are understood."""
    import scipy.sparse

    state = matrix.state
    shape = state.get("_shape", state.get("shape"))
    parts = [_as_array(state.get(key), path) for key in (("data", "row", "col") if matrix.layout == "coo"
                                                         else ("data", "indices", "indptr"))]
    if matrix.layout == "coo" and parts[1] is None and isinstance(state.get("coords"), tuple):
        parts[1:] = [_as_array(part, path) for part in state["coords"]]
    if shape is None or any(part is None for part in parts) or np.prod(shape, dtype=np.float64) > MAXIMUM_ITEMS:
        raise HeadModelError(f"{path}: damaged sparse matrix")
    make = getattr(scipy.sparse, f"{matrix.layout}_matrix")
    arguments = (parts[0], (parts[1], parts[2])) if matrix.layout == "coo" else tuple(parts)
    try:
        made = make(arguments, shape=tuple(int(n) for n in shape))
        if matrix.layout != "coo":
            made.check_format()
        return made.toarray()
    except (ValueError, TypeError, IndexError) as error:
        raise HeadModelError(f"{path}: damaged sparse matrix") from error


def looks_like_pickle(head: bytes) -> bool:
    """Whether the first bytes of a file can start a pickled dict (or an attack)."""
    if head[:1] == b"\x80":
        return len(head) > 1 and head[1] <= pickle.HIGHEST_PROTOCOL
    return head[:1] in (b"(", b"}", b"c")
