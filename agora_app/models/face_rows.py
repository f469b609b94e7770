"""The numbers that move a face, as rows a person can read: names, groups, ranges, and the entries of ψ behind them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QCoreApplication

from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.head.model import HeadModel
from core.pipeline.live.steering import GROUPS, group_of
from core.types import FloatArray

HEAD = "head"
ROW_GROUPS = (*GROUPS, HEAD)
_SIDES = {"left": "L", "right": "R"}


@dataclass(frozen=True)
class FaceRow:
    """One number.

    Attributes:
        name: for programs: a column of expressions, "jawOpen", "jawTurn", "gazeUp", "gazeLeft", "headYaw", "headPitch" or
            "headRoll".
        title: for people.
        group: one of `ROW_GROUPS`.
        entries: of ψ, or of the head's axis-angle where the group is "head".
        per_unit: what one unit of the entries (1 or a radian) is in the row's own unit.
        low, high: range shown, in the row's own unit; `limit`: largest offset either way.
        unit: "%" or "°".
    """

    name: str
    title: str
    group: str
    entries: tuple[int, ...]
    per_unit: float
    low: float
    high: float
    limit: float
    unit: str


def face_rows(head: HeadModel) -> tuple[FaceRow, ...]:
    """The rows of a head model, group by group."""
    names = head.expression_names
    arkit = "mouthSmileLeft" in names
    low, high = (0.0, 100.0) if arkit else (-300.0, 300.0)
    rows = [FaceRow(name, column_title(name), group_of(name), (i,), 100.0, low, high, high, "%") for i, name in enumerate(names)]
    jaw, eyes = len(names), len(names) + 3
    rows += [
        FaceRow("jawOpen", _tr("Jaw open"), "jaw", (jaw,), 100 / head.jaw_open_angle, 0, 100, 100, "%"),
        FaceRow("jawTurn", _tr("Jaw to the left"), "jaw", (jaw + 1,), 100 / head.jaw_yaw_angle, -100, 100, 100, "%"),
        FaceRow("gazeUp", _tr("Gaze up"), "eyes", (eyes, eyes + 3), -np.degrees(1), -30, 30, 30, "°"),
        FaceRow("gazeLeft", _tr("Gaze to the left"), "eyes", (eyes + 1, eyes + 4), np.degrees(1), -30, 30, 30, "°"),
        FaceRow("headYaw", _tr("Turn to the left"), HEAD, (1,), np.degrees(1), -60, 60, 60, "°"),
        FaceRow("headPitch", _tr("Look up"), HEAD, (0,), -np.degrees(1), -45, 45, 45, "°"),
        FaceRow("headRoll", _tr("Tilt to the right"), HEAD, (2,), np.degrees(1), -45, 45, 45, "°"),
    ]
    return tuple(sorted(rows, key=lambda row: ROW_GROUPS.index(row.group)))


def column_title(name: str) -> str:
    """An expression column's name for people: "browInnerUp" becomes "Brow inner up", "mouthSmileLeft" "Mouth smile · L"."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)] or [name]
    side = f" · {_SIDES[words.pop()]}" if words[-1] in _SIDES and len(words) > 2 else ""
    return " ".join(words).capitalize() + side


def levels(rows: Sequence[FaceRow], psi: FloatArray, head_rotation: FloatArray) -> FloatArray:
    """What every row shows of a face, in its own unit [rows]."""
    return np.array([np.mean([(head_rotation if row.group == HEAD else psi)[entry] for entry in row.entries]) * row.per_unit
                     for row in rows], np.float32)


def offsets_of(rows: Sequence[FaceRow], values: dict[str, float], size: int) -> tuple[FloatArray, FloatArray]:
    """Offsets by row name, in the rows' own units, as what is added to ψ [size] and as the head's axis-angle [3].

    The head tilts first, then nods, then turns, each about its own axis as one would say it.
    """
    psi = np.zeros(size, np.float32)
    turn = np.eye(3)
    for row in rows:
        value = values.get(row.name, 0.0) / row.per_unit
        if value and row.group != HEAD:
            psi[list(row.entries)] += np.float32(value)
    by_name = {row.name: row for row in rows}
    for name in ("headYaw", "headPitch", "headRoll"):
        row = by_name[name]
        axis = np.zeros(3)
        axis[row.entries[0]] = values.get(name, 0.0) / row.per_unit
        turn = turn @ rotation_from_axis_angle(axis)
    return psi, axis_angle_from_rotation(turn).astype(np.float32)


def _tr(text: str) -> str:
    return QCoreApplication.translate("FaceRow", text)
