"""``python -m tools.head_sheet [--out FILE]``: a clay picture of every expression of the open head, for the documentation."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from core.geometry import orbit_camera
from core.head.library import load_head_model, load_open_head
from core.head.model import HeadModel
from core.head.picture import render_clay

TILE, COLUMNS, LABEL_HEIGHT = 168, 9, 16
YAW = 0.35
JAW_WITH = {"tongueOut": 0.5, "mouthClose": 1.0}  # these two mean nothing while the jaw is shut
DEFAULT_OUT = Path(__file__).parents[1] / "docs" / "open_head_expressions.png"


def poses(head: HeadModel) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Label, expression [E] and pose [5, 3] of every tile: neutral, the jaw, then each column fully on."""
    rest = np.zeros(head.expression_count, np.float32)
    yield "neutral", rest, head.pose()
    yield "jaw half open", rest, head.pose(jaw=0.5 * head.jaw_open_angle)
    yield "jaw open", rest, head.pose(jaw=head.jaw_open_angle)
    yield "jaw left", rest, head.pose(jaw_yaw=head.jaw_yaw_angle)
    yield "jaw right", rest, head.pose(jaw_yaw=-head.jaw_yaw_angle)
    for name in head.expression_names:
        jaw = JAW_WITH.get(name, 0.0) * head.jaw_open_angle
        yield name, head.expression(**{name: 1.0}), head.pose(jaw=jaw)


def sheet(head: HeadModel, shape: np.ndarray) -> np.ndarray:
    """All tiles of one identity as one picture [H, W, 3]."""
    camera = orbit_camera(YAW, 0.0, TILE, TILE, distance=1.3, target=(0, -0.04, -0.03), fov_degrees=9.0)
    identity = head.neutral(shape)
    tiles = []
    for label, expression, pose in poses(head):
        tile = render_clay(head, head.vertices(identity, expression, pose), camera)
        strip = np.full((LABEL_HEIGHT, TILE, 3), 255, np.uint8)
        cv2.putText(strip, label, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
        tiles.append(np.vstack([tile, strip]))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    return np.vstack([np.hstack(tiles[i:i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def main() -> int:
    """Draw the sheet of the mean person."""
    parser = argparse.ArgumentParser(prog="python -m tools.head_sheet", description=__doc__)
    parser.add_argument("--head", type=Path, help="a head model file; the open head when left out")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    head = load_head_model(arguments.head) if arguments.head else load_open_head()
    if not cv2.imwrite(str(arguments.out), sheet(head, np.zeros(0, np.float32))[:, :, ::-1]):
        print(f"error: {arguments.out}: cannot be written")
        return 2
    print(arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
