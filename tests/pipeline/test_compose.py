"""Layouts, backgrounds, views, the timer and the slot."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import InputError
from core.pipeline.background import CHROMA_GREEN, BlurredDriver, Gradient, cover, lay_over, parse_background, straight_alpha
from core.pipeline.compose import LAYOUT_NAMES, Composer, make_layout
from core.pipeline.slots import Slot, SlotClosed
from core.pipeline.timing import StageTimer
from core.pipeline.views import ORBIT_PITCH, ORBIT_YAW, camera_path
from tests.pipeline.fakes import motion_of, params


@given(people=st.integers(1, 40), size=st.integers(32, 400), name=st.sampled_from(LAYOUT_NAMES), aspect=st.floats(0.2, 4))
@settings(max_examples=60, deadline=None)
def test_cells_tile_the_picture(people, size, name, aspect):
    """Every pixel belongs to exactly one cell, sizes are even, heads are square."""
    if (name == "avatar" and people > 1) or (name == "side-by-side" and people > 12):
        return
    layout = make_layout(name, people, size, aspect)
    claimed = np.zeros((layout.height, layout.width), int)
    for cell in (*layout.heads, *layout.blank, *([layout.driver] if layout.driver else [])):
        cell.of(claimed)[:] += 1
        assert cell.width % 2 == cell.height % 2 == 0
    assert (claimed == 1).all()
    assert len(layout.heads) == people
    assert all(cell.width == cell.height == size + size % 2 for cell in layout.heads)


def test_layouts_that_cannot_be():
    impossible = [("wall", 1), ("avatar", 3), ("avatar", 1, 8), ("avatar", 1, 5000), ("grid", 200, 1024), ("side-by-side", 1)]
    for arguments in impossible:
        with pytest.raises(InputError):
            make_layout(*arguments)


def test_compositing_is_the_over_operator(generator):
    alpha = generator.integers(0, 256, (16, 16, 1))
    colour = generator.integers(0, 256, (16, 16, 3)) * alpha // 255
    head = np.concatenate([colour, alpha], 2).astype(np.uint8)
    behind = generator.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    out = np.empty((16, 16, 3), np.uint8)
    lay_over(head, behind, out)
    assert np.abs(out - (colour + behind * (1 - alpha / 255))).max() <= 0.5 + 1e-9  # rounding to 8 bits


def test_straight_alpha_undoes_premultiplication(generator):
    alpha = generator.integers(32, 256, (16, 16, 1))
    colour = generator.integers(0, 256, (16, 16, 3))
    head = np.concatenate([np.round(colour * alpha / 255), alpha], 2).astype(np.uint8)
    out = np.empty_like(head)
    straight_alpha(head, out)
    assert np.abs(out[..., :3].astype(int) - colour).max() <= 255 / 32 / 2 + 1  # 8 bits of a colour times at least 32/255
    np.testing.assert_array_equal(out[..., 3], head[..., 3])
    empty = np.zeros((2, 2, 4), np.uint8)
    straight_alpha(empty, empty)
    assert not empty.any()


@pytest.mark.parametrize(("text", "colour"), [("green", CHROMA_GREEN), ("white", (255, 255, 255)), ("#203040", (32, 48, 64)),
                                              ("203040", (32, 48, 64)), ("Tomato", (255, 99, 71))])
def test_colours(text, colour):
    picture = parse_background(text).picture(6, 4, None)
    assert picture.shape == (4, 6, 3)
    assert (picture == colour).all()


def test_gradient_is_soft_and_always_the_same():
    first, second = Gradient().picture(128, 128, None), Gradient().picture(128, 128, None)
    np.testing.assert_array_equal(first, second)
    assert np.abs(np.diff(first.astype(int), axis=0)).max() <= 3
    assert first[:8].mean() > first[-8:].mean() + 20


def test_a_picture_file_fills_the_cell(tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255  # the middle third is what a square keeps
    Image.fromarray(picture).save(tmp_path / "wall.png")
    assert (parse_background(str(tmp_path / "wall.png")).picture(10, 10, None)[:, 1:-1] > 250).all()


def test_blurred_driver_keeps_the_colour_and_loses_the_detail():
    stripes = np.zeros((120, 160, 3), np.uint8)
    stripes[:, ::2] = (200, 100, 50)
    blurred = BlurredDriver().picture(64, 64, stripes)
    assert np.abs(blurred.reshape(-1, 3).mean(0) - (100, 50, 25)).max() < 4
    assert blurred.std(axis=(0, 1)).max() < 4
    with pytest.raises(InputError):
        BlurredDriver().picture(8, 8, None)


@pytest.mark.parametrize("text", ["pinkish", "nowhere.png", "#12"])
def test_unknown_backgrounds(text):
    with pytest.raises(InputError, match=text):
        parse_background(text)


def test_transparent_side_by_side_is_refused():
    with pytest.raises(InputError):
        Composer(make_layout("side-by-side", 1, 64, 1.0), parse_background("transparent"))


@given(width=st.integers(2, 50), height=st.integers(2, 50), columns=st.integers(1, 60), rows=st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_cover_always_fills(width, height, columns, rows):
    assert cover(np.full((rows, columns, 3), 7, np.uint8), width, height).shape == (height, width, 3)


def test_frontal_camera_stands_still():
    cameras = camera_path("frontal", motion_of(range(5)), 64, 64)
    assert all((camera.world_to_camera == cameras[0].world_to_camera).all() for camera in cameras)


def test_orbit_stays_within_its_swing_and_starts_in_front():
    motion = motion_of(range(600), 33_333_333)
    frontal = camera_path("frontal", motion, 64, 64)[0]
    cameras = camera_path("orbit", motion, 64, 64)
    np.testing.assert_allclose(cameras[0].world_to_camera, frontal.world_to_camera, atol=1e-6)
    axes = np.array([-camera.world_to_camera[2, :3] for camera in cameras])  # from the target to the camera
    yaw, pitch = np.arctan2(axes[:, 0], axes[:, 2]), np.arcsin(axes[:, 1])
    assert np.abs(yaw).max() == pytest.approx(ORBIT_YAW, rel=0.01)
    assert np.abs(pitch).max() == pytest.approx(ORBIT_PITCH, rel=0.01)
    assert np.abs(np.diff(yaw)).max() < math.radians(1.5)  # slow at 30 frames a second


def test_follow_ends_up_in_front_of_the_turned_face():
    turned = [params(0, i * 33_000_000, rotation=(0, 0.5, 0)) for i in range(100)]
    motion = [params(0, -33_000_000), *turned]
    cameras = camera_path("follow", motion, 64, 64)
    yaw = [math.atan2(-c.world_to_camera[2, 0], -c.world_to_camera[2, 2]) for c in cameras]
    assert yaw[0] == pytest.approx(0, abs=1e-6)
    assert yaw[-1] == pytest.approx(0.45, abs=0.01)
    assert (np.diff(yaw) >= -1e-9).all()


def test_unknown_view():
    with pytest.raises(InputError, match="sideways"):
        camera_path("sideways", motion_of([1]), 8, 8)


def test_timer_reports_median_and_tail():
    timer = StageTimer(clock=iter([0.0, 0.001] * 95 + [0.0, 0.101] * 5).__next__)
    for _ in range(100):
        with timer.stage("render"):
            pass
    (times,) = timer.report()
    assert (times.stage, times.count) == ("render", 100)
    assert times.p50 == pytest.approx(1.0)
    assert 1.0 <= times.p95 <= 101.0
    assert times.total == pytest.approx(95 + 505)


def test_slot_keeps_the_newest_and_counts_the_rest():
    slot = Slot()
    for value in range(5):
        slot.put(value, captured_ns=value)
    item = slot.take()
    assert (item.value, item.captured_ns, slot.dropped) == (4, 4, 4)
    assert slot.take(timeout=0) is None


def test_slot_hands_over_between_threads_in_order():
    slot, got = Slot(), []

    def consume():
        try:
            while True:
                got.append(slot.take().value)
        except SlotClosed:
            pass

    consumer = threading.Thread(target=consume)
    consumer.start()
    for value in range(2000):
        slot.put(value)
    slot.close()
    consumer.join(10)
    assert not consumer.is_alive()
    assert got == sorted(set(got))
    assert got[-1] == 1999
    assert len(got) + slot.dropped == 2000
    with pytest.raises(SlotClosed):
        slot.put(1)
