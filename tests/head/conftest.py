from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from core.head.library import load_open_head
from core.head.model import HeadModel


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_open_head()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """All five joints turned by up to half a radian or so."""
    return rng.normal(0, 0.25, (5, 3)).astype(np.float32)


def flame_arrays(head: HeadModel) -> dict[str, np.ndarray]:
    """The open head under FLAME's names, float64, with 300 + 100 blend shapes."""
    shapes = np.zeros((head.vertex_count, 3, 400))
    shapes[:, :, :head.shape_count] = head.shape_dirs
    shapes[:, :, 300:300 + head.expression_count] = head.expression_dirs
    tree = np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32)  # FLAME stores the root's parent so
    return {"f": head.faces.astype(np.uint32), "v_template": head.v_template.astype(float), "shapedirs": shapes,
            "posedirs": head.pose_dirs.astype(float), "J_regressor": head.joint_regressor.astype(float),
            "weights": head.skin_weights.astype(float), "kintree_table": tree}


def pretend_flame(head: HeadModel, vertex_count: int = 5023) -> dict[str, np.ndarray]:
    """A model with FLAME's layout and vertex count: the open head's skin and eyeballs, thinned or padded with stray vertices.

    The real file may not be shipped. This one has its parts (skin with a mouth hole, two eyeballs) and none of its data.
    """
    arrays = flame_arrays(head)
    keep = head.vertices_of("skin", "eye_l", "eye_r")
    faces = head.faces_of("skin", "eye_l", "eye_r")
    row = np.full(head.vertex_count, -1)
    row[keep] = np.arange(len(keep))
    padding = vertex_count - len(keep)
    assert padding >= 0
    order = np.concatenate([keep, np.repeat(keep[:1], padding)])
    regressor = arrays["J_regressor"][:, keep]
    return {"f": row[faces].astype(np.uint32), "v_template": arrays["v_template"][order], "shapedirs": arrays["shapedirs"][order],
            "posedirs": arrays["posedirs"][order], "J_regressor": np.pad(regressor, ((0, 0), (0, padding))),
            "weights": arrays["weights"][order], "kintree_table": arrays["kintree_table"]}


def write_chumpy_pickle(path: Path, arrays: dict[str, np.ndarray], chumpy_keys: tuple[str, ...] = ("shapedirs", "v_template"),
                        protocol: int = 2) -> Path:
    """Pickle as FLAME is distributed: some arrays as chumpy objects, the regressor sparse. chumpy itself is pretended."""
    import scipy.sparse

    module = types.ModuleType("chumpy.ch")

    class Ch:
        """Stands in for chumpy's array class, whose state is a dict with the array under ``x``."""

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    saved = {name: sys.modules.get(name) for name in ("chumpy", "chumpy.ch")}
    sys.modules["chumpy"], sys.modules["chumpy.ch"] = types.ModuleType("chumpy"), module
    try:
        content = dict(arrays)
        for key in chumpy_keys:
            wrapped = Ch()
            wrapped.x = content[key]
            content[key] = wrapped
        content["J_regressor"] = scipy.sparse.csc_matrix(content["J_regressor"])
        content["bs_style"], content["bs_type"] = "lbs", "lrotmin"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    finally:
        for name, module_before in saved.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before
    return path
