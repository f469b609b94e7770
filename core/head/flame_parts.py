"""What FLAME's file lacks: named parts, texture coordinates, a mouth interior with teeth, region masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from core.errors import HeadModelError
from core.head.mesh import boundary_loops
from core.head.uv import FaceLayout, pack_strip, texture_importance, unwrap_skin

NECK, JAW = 1, 2
EYE_JOINTS = {"eye_l": 3, "eye_r": 4}
JAW_OPEN_ANGLE, JAW_YAW_ANGLE = 0.42, 0.14  # radians, of a wide open and of a fully turned human jaw
STRIP = 0.125  # of the texture's height, below the skin
SHAPE_COLUMNS = 300
CAVITY_RINGS = ((0.003, 0.011), (0.016, 0.009), (0.030, 0.004))  # metres behind the lips, and up and down from their line
CAVITY_NARROWING = 0.12  # of the mouth's width at each ring
TEETH_BEHIND_LIPS = 0.004  # metres
TEETH_HEIGHT, TEETH_COLUMNS, TEETH_SPAN = 0.009, 12, 0.8  # metres; columns of quads; share of the mouth's width
UPPER_EDGE, LOWER_EDGE = -0.003, 0.002  # metres above the lips' line; the lower teeth bite behind the upper ones
TEETH_ARCH_DEPTH = 0.012  # metres from the front teeth back to the last ones
PART_NAMES = ("skin", "mouth", "teeth_u", "teeth_l", "eye_l", "eye_r")


@dataclass(frozen=True)
class _Grown:
    """Vertices to add, each following one vertex of the model.

    Attributes:
        offset: [N, 3] metres from the vertex followed, in the template.
        follows: [N] that vertex.
        jaw: [N] 0..1, share of the jaw's motion; the rest is the neck's.
        faces: [., 3], ids of added vertices count from the model's vertex count on.
        chart: [M, 2] flat coordinates in any unit of the vertices that the faces use, by rising id.
    """

    offset: NDArray[np.float64]
    follows: NDArray[np.int64]
    jaw: NDArray[np.float64]
    faces: NDArray[np.int64]
    chart: NDArray[np.float64]


def complete_flame(flame: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Checked FLAME arrays -> all arrays of a head model file.

    Raises:
        HeadModelError: the mesh has no eyeballs or no single skin.
    """
    template = flame["v_template"]
    parts = _split(flame, path)
    grown = _grow_mouth(template, flame["weights"][:, JAW], parts["skin"])
    for name, piece in grown.items():
        parts[name] = piece.faces
    extended = _extended(flame, list(grown.values()))
    names = tuple(name for name in PART_NAMES if name in parts)
    joints = extended["J_regressor"] @ extended["v_template"]
    charts = {name: piece.chart for name, piece in grown.items()}
    for name, joint in EYE_JOINTS.items():
        charts[name] = _polar_map(template[np.unique(parts[name])] - joints[joint])
    uv, uv_faces = _texture(extended["v_template"], parts, [charts[name] for name in names[1:]], names, joints)
    expressions = flame["shapedirs"].shape[2] - SHAPE_COLUMNS
    return {
        **{key: value.astype(np.float32) for key, value in extended.items()},
        "kintree_table": np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "f": np.concatenate([parts[name] for name in names]).astype(np.int32),
        "part": np.repeat(np.arange(len(names), dtype=np.int8), [len(parts[name]) for name in names]),
        "part_names": np.array(names),
        "expression_names": np.array([f"expression{i:02d}" for i in range(expressions)]),
        "vt": uv.astype(np.float32), "ft": uv_faces.astype(np.int32),
        "jaw_open_angle": np.float64(JAW_OPEN_ANGLE), "jaw_yaw_angle": np.float64(JAW_YAW_ANGLE),
        **_masks(extended["v_template"], parts["skin"], joints),
    }


def _split(flame: dict[str, np.ndarray], path: Path) -> dict[str, NDArray[np.int64]]:
    """Faces of eyeballs (connected pieces that turn with an eye joint) and of the skin (the largest other piece)."""
    faces, weights = flame["f"], flame["weights"]
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = sp.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(weights), len(weights)))
    piece = connected_components(graph, directed=False)[1][faces[:, 0]]
    parts, rest = {}, np.ones(len(faces), bool)
    for name, joint in EYE_JOINTS.items():
        turning = weights[faces[:, 0], joint] > 0.5
        if not turning.any():
            raise HeadModelError(f"{path}: it has no eyeball that turns with joint {joint}")
        ball = piece == np.bincount(piece[turning]).argmax()
        parts[name] = faces[ball]
        rest &= ~ball
    if not rest.any():
        raise HeadModelError(f"{path}: it has no skin")
    parts["skin"] = faces[piece == np.bincount(piece[rest]).argmax()]
    return parts


def _grow_mouth(template: NDArray, jaw_weight: NDArray, skin: NDArray) -> dict[str, _Grown]:
    """A pocket behind the lips and two rows of teeth, or nothing where the skin has no mouth hole."""
    loop = _mouth_loop(template, skin)
    if loop is None:
        return {}
    first = len(template)
    below = _lower_half(template[loop], jaw_weight[loop])
    cavity = _cavity(template, loop, below, first)
    first += len(cavity.offset)
    upper = _teeth(template, loop[~below], first, upper=True)
    lower = _teeth(template, loop[below], first + len(upper.offset), upper=False)
    return {"mouth": cavity, "teeth_u": upper, "teeth_l": lower}


def _mouth_loop(template: NDArray, skin: NDArray) -> NDArray[np.int64] | None:
    """The hole in the middle of the face's lower front."""
    loops = boundary_loops(skin)
    lowest = min(loops, key=lambda loop: template[loop, 1].mean())
    front = np.quantile(template[np.unique(skin), 2], 0.75)
    candidates = [loop for loop in loops if loop is not lowest and abs(template[loop, 0].mean()) < 0.012
                  and template[loop, 2].mean() > front]
    return max(candidates, key=len, default=None)


def _cavity(template: NDArray, loop: NDArray, below: NDArray, first: int) -> _Grown:
    """Rings that recede from the lips' inner edge, with room for the teeth above and below, closed at the back."""
    outline = template[loop]
    centre = outline.mean(0)
    half_width = 0.5 * np.ptp(outline[:, 0])
    turn = np.cumsum(np.linalg.norm(np.diff(outline, axis=0, prepend=outline[-1:]), axis=1))
    turn *= 2 * np.pi / turn[-1]
    from_corner = np.sqrt(np.clip(1 - ((outline[:, 0] - centre[0]) / half_width) ** 2, 0, 1))
    offsets, jaw, faces = [], [], []
    charts = [np.stack([np.cos(turn), -np.sin(turn)], 1)]
    previous = loop
    for number, (depth, room) in enumerate(CAVITY_RINGS, start=1):
        ring = first + (number - 1) * len(loop) + np.arange(len(loop))
        inwards = -CAVITY_NARROWING * number * (outline[:, 0] - centre[0])
        offsets.append(np.stack([inwards, room * from_corner * np.where(below, -1, 1), np.full(len(loop), -depth)], 1))
        jaw.append(0.5 + (below - 0.5) * (1 - (number - 1) / len(CAVITY_RINGS)))
        charts.append(charts[0] * (1 - number / (len(CAVITY_RINGS) + 1)))
        faces += _band(previous, ring)
        previous = ring
    back = first + len(CAVITY_RINGS) * len(loop)
    follows = np.concatenate([np.tile(loop, len(CAVITY_RINGS)), loop[:1]])
    offsets.append((centre - [0, 0, CAVITY_RINGS[-1][0] + 0.004] - outline[0])[None])
    fan = np.stack([np.roll(previous, -1), previous, np.full(len(loop), back)], 1)
    chart = np.concatenate([charts[0][np.argsort(loop)], *charts[1:], np.zeros((1, 2))])
    return _Grown(np.concatenate(offsets), follows, np.concatenate([*jaw, [0.5]]), np.concatenate([*faces, fan]), chart)


def _lower_half(outline: NDArray, jaw_weight: NDArray) -> NDArray[np.bool_]:
    """Which points of the mouth's outline [N, 3] are the lower lip's: the arc between the corners that the jaw moves."""
    left, right = int(np.argmax(outline[:, 0])), int(np.argmin(outline[:, 0]))
    order = np.arange(len(outline))
    arc = (order - left) % len(outline) < (right - left) % len(outline)
    return arc if jaw_weight[arc].mean() > jaw_weight[~arc].mean() else ~arc


def _teeth(template: NDArray, lip: NDArray, first: int, upper: bool) -> _Grown:
    """A strip along a parabolic arch behind a lip's inner edge, hanging from the upper jaw or standing on the lower."""
    outline = template[lip]
    centre, half = outline.mean(0), 0.5 * np.ptp(outline[:, 0]) * TEETH_SPAN
    across = np.linspace(-1, 1, TEETH_COLUMNS + 1)
    front = outline[np.abs(outline[:, 0] - centre[0]) < half / 2, 2].max() - TEETH_BEHIND_LIPS - (0.0 if upper else 0.0015)
    edge = np.stack([centre[0] + half * across, np.full_like(across, centre[1] + (UPPER_EDGE if upper else LOWER_EDGE)),
                     front - TEETH_ARCH_DEPTH * across**2], 1)
    root = edge + [0, TEETH_HEIGHT if upper else -TEETH_HEIGHT, 0]
    points = np.concatenate([edge, root])
    follows = np.full(len(points), lip[np.argmin(np.abs(outline[:, 0] - centre[0]))])
    ids = first + np.arange(len(points)).reshape(2, -1)
    low, high = (ids[0], ids[1]) if upper else (ids[1], ids[0])
    faces = np.concatenate([np.stack([low[:-1], low[1:], high[1:]], 1), np.stack([low[:-1], high[1:], high[:-1]], 1)])
    return _Grown(points - template[follows], follows, np.full(len(points), 0.0 if upper else 1.0), faces, points[:, :2])


def _band(outer: NDArray, inner: NDArray) -> list[NDArray[np.int64]]:
    """Triangles between two closed rings of as many vertices, on the side that continues the mesh at `outer`."""
    outer_next, inner_next = np.roll(outer, -1), np.roll(inner, -1)
    return [np.stack([outer_next, outer, inner], 1), np.stack([outer_next, inner, inner_next], 1)]


def _extended(flame: dict[str, np.ndarray], grown: list[_Grown]) -> dict[str, np.ndarray]:
    """The model's arrays with the added vertices: they share the identity of the vertex they follow, and no expression."""
    extended = {key: flame[key] for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")}
    for piece in grown:
        count = len(piece.follows)
        shapes = flame["shapedirs"][piece.follows].copy()
        shapes[:, :, SHAPE_COLUMNS:] = 0
        weights = np.zeros((count, 5))
        weights[:, JAW], weights[:, NECK] = piece.jaw, 1 - piece.jaw
        extended = {
            "v_template": np.concatenate([extended["v_template"], flame["v_template"][piece.follows] + piece.offset]),
            "shapedirs": np.concatenate([extended["shapedirs"], shapes]),
            "posedirs": np.concatenate([extended["posedirs"], np.zeros((count, 3, 36))]),
            "J_regressor": np.pad(extended["J_regressor"], ((0, 0), (0, count))),
            "weights": np.concatenate([extended["weights"], weights]),
        }
    return extended


def _texture(template: NDArray, parts: dict[str, NDArray], charts: list[NDArray], names: tuple[str, ...],
             joints: NDArray) -> tuple[NDArray, NDArray]:
    """The skin's map above, the other parts side by side in a strip below."""
    skin = parts["skin"]
    loop = _mouth_loop(template, skin)
    mouth = template[loop].mean(0) if loop is not None else joints[3:].mean(0) - [0, 0.066, 0]
    lowest = min(boundary_loops(skin), key=lambda loop: template[loop, 1].mean())
    layout = FaceLayout(joints[3], joints[4], mouth, template[lowest, 1].mean())
    skin_map = unwrap_skin(template, skin, texture_importance(template, layout), 1 - STRIP)
    uv, faces = [skin_map.uv + [0, STRIP]], [skin_map.faces]
    for name, chart in zip(names[1:], pack_strip(charts, STRIP), strict=True):
        faces.append(np.unique(parts[name], return_inverse=True)[1].reshape(-1, 3) + sum(len(block) for block in uv))
        uv.append(chart)
    return np.concatenate(uv), np.concatenate(faces)


def _polar_map(offset: NDArray) -> NDArray[np.float64]:
    """Directions from a centre, flattened around the front (+z): angle from it becomes the radius."""
    direction = offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-9)
    radius = np.arccos(np.clip(direction[:, 2], -1, 1))
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth)], 1)


def _masks(template: NDArray, skin: NDArray, joints: NDArray) -> dict[str, NDArray[np.float32]]:
    """Regions of the skin by where they lie: lips around the mouth's edge, lids around the eyes, ears at the sides."""
    ids = np.unique(skin)
    points = template[ids]
    spacing = joints[3, 0] - joints[4, 0]
    from_eyes = (points - joints[3:].mean(0)) / spacing
    masks = {}
    loop = _mouth_loop(template, skin)
    masks["lips"] = np.zeros(len(ids))
    if loop is not None:
        outline = template[loop]
        distance = np.linalg.norm(points[:, None] - outline, axis=2).min(1)
        beside = np.abs(points[:, 0] - outline[:, 0].mean()) - 0.5 * np.ptp(outline[:, 0])
        masks["lips"] = np.clip((0.011 - distance) / 0.003, 0, 1) * np.clip((0.002 - beside) / 0.003, 0, 1)
    from_ball = np.stack([np.linalg.norm((points - joints[j]) * [0.8, 1, 1], axis=1) for j in (3, 4)]).min(0)
    masks["eyelids"] = np.clip((0.021 - from_ball) / 0.004, 0, 1)
    side = np.abs(from_eyes[:, 0]) > 1.12
    masks["ears"] = (side & (np.abs(from_eyes[:, 1] + 0.2) < 0.7) & (from_eyes[:, 2] < -0.8)).astype(float)
    masks["face"] = np.clip((from_eyes[:, 2] + 1.1) / 0.3, 0, 1) * (from_eyes[:, 1] > -2.0) * (from_eyes[:, 1] < 1.1)
    full = {}
    for name, values in masks.items():
        full[f"mask_{name}"] = np.zeros(len(template), np.float32)
        full[f"mask_{name}"][ids] = values
    return full
