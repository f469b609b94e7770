"""Where head models come from: the embedded open head, or a file of the user's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from core.errors import AssetError, HeadModelError
from core.head.model import HeadModel
from core.head.npz_file import read_head_npz

OPEN_HEAD_PATH = Path(__file__).parents[2] / "resources" / "open_head.npz"


@lru_cache(maxsize=1)
def load_open_head() -> HeadModel:
    """The head model that comes with the program (49 ARKit expressions, mouth interior, UVs, shape bank).

    Raises:
        AssetError: the resource is missing or damaged.
    """
    try:
        return read_head_npz(OPEN_HEAD_PATH, name="open head")
    except HeadModelError as error:
        raise AssetError(error.message, "reinstall the program") from error


def load_head_model(path: str | Path | None = None) -> HeadModel:
    """A head model from a file (our npz, or a FLAME pkl or npz), or the open head when there is no path.

    Raises:
        HeadModelError: the file is not a usable head model; the message names what it is instead.
    """
    if path is None:
        return load_open_head()
    from core.head.flame_file import load_flame_file  # needs SciPy's solvers, which the open head does not

    return load_flame_file(Path(path))
