from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.errors import InputError, OutputError
from core.head.library import load_open_head
from core.tracking.motion_clip import VERSION, MotionClip, check_motion_output, read_motion, write_motion
from core.types import HeadParams, TrackState

numbers = st.floats(-3, 3, width=32)


@st.composite
def motions(draw) -> MotionClip:
    count = draw(st.integers(1, 6))
    names = tuple(draw(st.lists(st.text("abcXYZ", min_size=1, max_size=8), min_size=0, max_size=7, unique=True)))
    times = np.cumsum(draw(st.lists(st.integers(0, 10**9), min_size=count, max_size=count)))
    shape = draw(hnp.arrays(np.float32, draw(st.integers(0, 5)), elements=numbers))
    frames = [
        replace(HeadParams.neutral(len(names)).with_psi(draw(hnp.arrays(np.float32, len(names) + 9, elements=numbers))),
                head_rotation=draw(hnp.arrays(np.float32, 3, elements=numbers)),
                head_translation=draw(hnp.arrays(np.float32, 3, elements=numbers)), shape=shape,
                state=draw(st.sampled_from(TrackState)), residual=float(draw(st.floats(0, 1, width=32))), time_ns=int(time))
        for time in times]
    return MotionClip(tuple(frames), names, draw(st.text("0123456789abcdef", max_size=64)),
                      (draw(st.integers(0, 4096)), draw(st.integers(0, 4096))))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(motions())
def test_round_trip(tmp_path, motion):
    path = tmp_path / "m.npz"
    write_motion(path, motion)
    back = read_motion(path)
    assert (back.expression_names, back.head_sha256, back.source_size) == (
        motion.expression_names, motion.head_sha256, motion.source_size)
    assert back.layout == motion.layout
    for a, b in zip(motion.params, back.params, strict=True):
        np.testing.assert_array_equal(a.psi(), b.psi())
        np.testing.assert_array_equal(a.head_rotation, b.head_rotation)
        np.testing.assert_array_equal(a.head_translation, b.head_translation)
        np.testing.assert_array_equal(a.shape, b.shape)
        assert (a.state, a.time_ns) == (b.state, b.time_ns)
        assert a.residual == pytest.approx(b.residual)


def small() -> MotionClip:
    frames = [replace(HeadParams.neutral(2), time_ns=i * 40_000_000) for i in range(5)]
    return MotionClip(tuple(frames), ("a", "b"), "0" * 64, (640, 480))


def test_frame_rate_comes_from_the_times():
    assert small().fps == pytest.approx(25)


def test_no_temporary_file_is_left(tmp_path):
    write_motion(tmp_path / "m.npz", small())
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_every_truncation_is_named(tmp_path):
    path = tmp_path / "m.npz"
    write_motion(path, small())
    whole = path.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"m\.npz"):
            read_motion(path)


def test_changed_bytes_are_noticed_or_harmless(tmp_path):
    path = tmp_path / "m.npz"
    write_motion(path, small())
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.choice(len(whole), 60, replace=False):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        try:
            motion = read_motion(path)
        except InputError:
            continue
        assert np.isfinite([p.psi() for p in motion.params]).all()


def rewritten(path, **changes):
    write_motion(path, small())
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays.update(changes)
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(("changes", "words"), [
    ({"version": np.array(VERSION + 1)}, "newer"), ({"format": np.array("else")}, "not a motion file"),
    ({"psi": np.full((5, 11), np.nan, np.float32)}, "damaged"), ({"psi": np.zeros((5, 10), np.float32)}, "damaged"),
    ({"psi": np.zeros((0, 11), np.float32)}, "damaged"), ({"state": np.full(5, 9, np.int8)}, "damaged"),
    ({"time_ns": np.arange(5)[::-1]}, "backwards"), ({"psi": np.array(["x"] * 5)}, "damaged"),
])
def test_files_that_lie_are_named(tmp_path, changes, words):
    path = rewritten(tmp_path / "m.npz", **changes)
    with pytest.raises(InputError, match=words):
        read_motion(path)


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, format=np.array({"a": 1}, dtype=object))
    with pytest.raises(InputError):
        read_motion(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip"])
def test_other_files_are_named(tmp_path, content):
    path = tmp_path / "m.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.npz"):
        read_motion(path)
    with pytest.raises(InputError, match="does not exist"):
        read_motion(tmp_path / "none.npz")


def test_unusable_outputs_are_named_before_the_work(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    for bad in ("m.txt", "none/m.npz", "folder.npz"):
        with pytest.raises(OutputError):
            check_motion_output(tmp_path / bad)
    check_motion_output(tmp_path / "m.npz")


def test_scores_come_back_and_motion_without_them_stays_without(tmp_path):
    head = load_open_head()
    scores = np.linspace(-0.2, 0.9, 52, dtype=np.float32)
    tracked = replace(HeadParams.neutral(head.expression_count), scores=scores)
    lost = replace(HeadParams.neutral(head.expression_count), time_ns=1)
    write_motion(tmp_path / "a.npz", MotionClip.of([tracked, lost], head))
    first, second = read_motion(tmp_path / "a.npz").params
    np.testing.assert_array_equal(first.scores, scores)
    np.testing.assert_array_equal(second.scores, 0)
    write_motion(tmp_path / "b.npz", MotionClip.of([lost], head))
    assert len(read_motion(tmp_path / "b.npz").params[0].scores) == 0
