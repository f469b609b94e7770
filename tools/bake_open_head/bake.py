"""Runs the stages and gathers their results under FLAME's names."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tools.bake_open_head.expressions import build_expressions, read_units
from tools.bake_open_head.lip_seal import lip_seal
from tools.bake_open_head.morphs import read_morphs
from tools.bake_open_head.shape_space import build_shape_space
from tools.bake_open_head.skinning import JAW, before_jaw, fit_jaw, joint_regressor, pose_correctives, skin_weights
from tools.bake_open_head.source import read_obj, read_rig
from tools.bake_open_head.texture import region_masks, texture_sheet
from tools.bake_open_head.topology import PART_NAMES, cut_head

SHAPE_COLUMNS, EXPRESSION_COLUMNS = 300, 100  # FLAME's; unused ones are zero and compress to nothing
MOUTH_CLOSE_JAW = 0.8  # mouthClose closes an open mouth: the jaw opening at which it does so as its artist meant
KINEMATIC_TREE = np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]])


def to_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """The npz file. The same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def bake(data: Path, people: int, seed: int, report: Callable[[str], None]) -> dict[str, np.ndarray]:
    """Bake the open head from the package's data folder: arrays by their names in the file."""
    mpfb = data / "mpfb2"
    topology = cut_head(read_obj(mpfb / "3dobjs" / "base.obj"))
    report(f"{topology.vertex_count} vertices, {len(topology.faces)} faces")
    morphs = read_morphs(mpfb / "targets", topology)
    report(f"{len(morphs.names)} local modifiers; drawing {people} people")
    space = build_shape_space(topology, morphs, people, seed)
    report(f"shape space: {1000 * space.reconstruction:.2f} mm mean reconstruction error")
    units = read_units(data / "faceunits01" / "targets" / "faceunits", topology)
    sideways = 0.5 * (units["jawLeft"] - units["jawRight"])
    jaw = fit_jaw(topology, space.mean, units["jawOpen"], sideways)
    report(f"jaw opens {np.degrees(jaw.open_angle):.1f} degrees about {np.round(jaw.hinge, 4)}")
    weights = skin_weights(topology, jaw, read_rig(mpfb / "rigs" / "standard"))
    sealed_lips = lip_seal(topology, space.mean, jaw.weights)
    units["mouthClose"] = before_jaw(units["mouthClose"], jaw, weights[:, JAW], MOUTH_CLOSE_JAW)
    expressions = build_expressions(units, topology, space.mean, sealed_lips)
    correctives = pose_correctives(topology, space.mean, jaw, weights, units["jawOpen"], sideways, sealed_lips)
    regressor = joint_regressor(topology, space.mean, jaw)
    uv, uv_faces, skin_map = texture_sheet(topology, space.mean, regressor @ space.mean)
    report(f"texture map: {skin_map.flipped} flipped triangles, energy {skin_map.energy:.2f} (4 is ideal)")

    blend_shapes = np.zeros((topology.vertex_count, 3, SHAPE_COLUMNS + EXPRESSION_COLUMNS), np.float16)
    blend_shapes[:, :, :space.dirs.shape[2]] = space.dirs
    blend_shapes[:, :, SHAPE_COLUMNS:SHAPE_COLUMNS + len(expressions.names)] = expressions.columns
    return {
        "v_template": (space.mean + expressions.resting).astype(np.float32),
        "f": topology.faces.astype(np.int32),
        "shapedirs": blend_shapes,
        "posedirs": correctives.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": KINEMATIC_TREE,
        "vt": uv.astype(np.float32),
        "ft": uv_faces.astype(np.int32),
        "part": topology.face_parts,
        "part_names": np.array(PART_NAMES),
        "expression_names": np.array(expressions.names),
        "beta_samples": space.bank.astype(np.float16),
        "meta": space.traits.astype(np.float16),
        "phenotype_to_beta": space.traits_to_shape.astype(np.float32),
        "jaw_open_angle": np.float64(jaw.open_angle),
        "jaw_yaw_angle": np.float64(jaw.yaw_angle),
        **{f"mask_{name}": mask for name, mask in region_masks(topology, mpfb / "textures").items()},
    }
