"""Files played as cameras: paced by their time stamps on a clock of the test's own; motion that loops without a jump."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from core.assets import resource
from core.errors import DeviceError, InputError
from core.media.cameras import CameraInfo
from core.media.video_reader import VideoReader
from core.pipeline.live.sources import SEAM_NS, CameraSource, MotionSource, VideoSource, demo_source
from core.tracking.motion_clip import MotionClip, read_motion, write_motion
from core.types import Frame, HeadParams
from tests.media.clips import level_of, make_clip, picture
from tests.pipeline.live.fake_camera import FakeClock

MILLISECOND = 1_000_000
UNEVEN = [0, 40, 75, 130, 160, 230, 250]


def play(source, count: int):
    """That many items, however often the source has to be asked."""
    items = []
    while len(items) < count:
        item = source.read()
        if item is not None:
            items.append(item)
    return items


def opened(make, *arguments, **named):
    clock = FakeClock()
    source = make(*arguments, clock=clock, sleep=clock.sleep, **named)
    source.open()
    return source, clock


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", UNEVEN)


# ------------------------------------------------------------------------------------------------------------------- video


def test_frames_come_when_their_time_stamps_say(clip):
    source, clock = opened(VideoSource, clip)
    start = clock()
    arrivals, items = [], []
    for _ in UNEVEN:
        items += play(source, 1)
        arrivals.append((clock() - start) / MILLISECOND)
    np.testing.assert_allclose(arrivals, UNEVEN, atol=1e-3)
    assert [item.captured_ns - start for item in items] == [t * MILLISECOND for t in UNEVEN]
    assert all(item.captured_ns == item.value.time_ns for item in items)
    assert [item.position_ns for item in items] == [t * MILLISECOND for t in UNEVEN]
    for index, item in enumerate(items):
        assert level_of(item.value.image) == pytest.approx(level_of(picture(index)), abs=3)
        assert item.value.index == index


def test_slow_readers_do_not_make_the_film_drift(clip):
    source, clock = opened(VideoSource, clip)
    start = clock()
    for lap in range(20):
        for item, due in zip(play(source, len(UNEVEN)), UNEVEN, strict=True):
            assert (item.lap, item.position_ns) == (lap, due * MILLISECOND)
            clock.advance(0.003)  # work of the one who asked
    period = (item.captured_ns - start - 250 * MILLISECOND) / 19
    item = play(source, 1)[0]
    assert item.captured_ns == pytest.approx(start + 20 * period, abs=2)
    assert clock() == item.captured_ns


def test_times_rise_strictly_over_laps_and_laps_are_counted(clip):
    source, _ = opened(VideoSource, clip)
    items = play(source, 4 * len(UNEVEN) + 1)
    times = [item.captured_ns for item in items]
    assert (np.diff(times) > 0).all()
    assert [item.lap for item in items] == [lap for lap in range(4) for _ in UNEVEN] + [4]
    assert [item.value.index for item in items] == list(range(len(items)))
    assert np.diff(times).max() < 80 * MILLISECOND  # no pause where it begins again


def test_stall_costs_frames_but_no_lasting_delay(tmp_path):
    source, clock = opened(VideoSource, make_clip(tmp_path / "long.mp4", [40 * i for i in range(60)]))
    first = play(source, 3)[-1]
    clock.advance(1.0)
    after = play(source, 1)[0]
    assert after.captured_ns >= clock() - 200 * MILLISECOND
    assert after.position_ns - first.position_ns == after.captured_ns - first.captured_ns
    assert after.position_ns - first.position_ns > 600 * MILLISECOND
    for _ in range(20):
        item = play(source, 1)[0]
    assert clock() == item.captured_ns  # on time again


def test_decoder_that_cannot_keep_up_plays_slower_instead_of_hanging(tmp_path, monkeypatch):
    frames, clock = VideoReader.frames, FakeClock()

    def heavy(reader, first=0):
        for frame in frames(reader, first):
            clock.advance(0.12)
            yield frame

    monkeypatch.setattr(VideoReader, "frames", heavy)
    source = VideoSource(make_clip(tmp_path / "heavy.mp4", [40 * i for i in range(60)]), clock=clock, sleep=clock.sleep)
    source.open()
    shown = 0
    for _ in range(40):
        before = clock()
        item = source.read()
        shown += item is not None
        assert clock() - before <= 1_000 * MILLISECOND
        assert item is None or clock() - item.captured_ns <= 330 * MILLISECOND
    assert shown >= 30


def test_long_pauses_between_frames_do_not_hold_the_thread(tmp_path):
    source, clock = opened(VideoSource, make_clip(tmp_path / "slides.mp4", [0, 3000, 6000]))
    assert source.read() is not None
    asked, item = 0, None
    while item is None:
        before = clock()
        item = source.read()
        asked += 1
        assert clock() - before <= 1_000 * MILLISECOND
    assert asked > 3
    assert item.position_ns == 3000 * MILLISECOND


def test_end_of_a_file_that_does_not_loop_and_changing_ones_mind(clip):
    source, _ = opened(VideoSource, clip, loop=False)
    play(source, len(UNEVEN))
    with pytest.raises(EOFError):
        source.read()
    source.open()
    play(source, 3)
    source.loop = True
    assert play(source, len(UNEVEN))[-1].lap == 1
    source.close()
    with pytest.raises(InputError):
        source.read()


def test_frames_that_all_claim_one_moment_do_not_spin(tmp_path):
    path = make_clip(tmp_path / "burst.mkv", list(range(30)))  # one each millisecond
    source, clock = opened(VideoSource, path, loop=False)
    start, got = clock(), 0
    try:
        while True:
            got += source.read() is not None
    except EOFError:
        pass
    assert 1 <= got <= 30 // 4 + 1
    assert clock() - start <= 40 * MILLISECOND


def test_still_picture_plays_ten_times_a_second(tmp_path, generator):
    image = generator.integers(0, 255, (20, 30, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "face.png")
    source, clock = opened(VideoSource, tmp_path / "face.png", loop=False)
    start = clock()
    items = play(source, 25)
    assert [item.captured_ns - start for item in items] == [100 * MILLISECOND * i for i in range(25)]
    np.testing.assert_array_equal(items[7].value.image, image)


def test_files_that_are_no_videos_or_vanish(tmp_path, clip):
    for name, content in (("empty.mp4", b""), ("text.mp4", b"hello " * 100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            VideoSource(tmp_path / name).open()
    source, _ = opened(VideoSource, clip)
    play(source, 2)
    clip.unlink()
    play(source, 20)  # it is open, so it plays on
    source.close()
    with pytest.raises(InputError):
        source.open()


def test_rate_of_a_long_film_is_exact_over_minutes(tmp_path):
    ticks = [1001 * i for i in range(90)]
    source, clock = opened(VideoSource, make_clip(tmp_path / "ntsc.mkv", ticks, time_base=Fraction(1, 30000)))
    start = clock()
    items = play(source, 90 * 20)
    seconds = (items[-1].captured_ns - start) * 1e-9
    assert seconds == pytest.approx((90 * 20 - 1) * 1001 / 30000, abs=0.02)


# ------------------------------------------------------------------------------------------------------------------ motion


def motion(times_ms, jaw=None) -> MotionClip:
    names = ("a", "b")
    track = []
    for index, time in enumerate(times_ms):
        value = time / 1000 if jaw is None else jaw[index]
        params = HeadParams.neutral(2)
        track.append(replace(params, expression=np.array([value, 1], np.float32), time_ns=(7000 + time) * MILLISECOND,
                             head_rotation=np.array([0, 0.5 * value, 0], np.float32)))
    return MotionClip(tuple(track), names)


def test_motion_keeps_its_times_and_ends(tmp_path):
    path = tmp_path / "wave.npz"
    write_motion(path, motion([0, 30, 80, 110]))
    source, clock = opened(MotionSource, path, loop=False)
    start = clock()
    items = play(source, 4)
    assert [item.captured_ns - start for item in items] == [t * MILLISECOND for t in (0, 30, 80, 110)]
    assert [item.position_ns for item in items] == [t * MILLISECOND for t in (0, 30, 80, 110)]
    assert [float(item.value.expression[0]) for item in items] == pytest.approx([0, 0.03, 0.08, 0.11])
    assert all(item.captured_ns == item.value.time_ns for item in items)
    assert source.name == "wave.npz"
    with pytest.raises(EOFError):
        source.read()


def test_seam_of_a_loop_has_no_jump():
    """A ramp from 0 to 2 in two seconds: without the fade the loop would jump by 2."""
    source, clock = opened(MotionSource, motion(range(0, 2001, 20)))
    start, seam = clock(), SEAM_NS / MILLISECOND
    items = play(source, 300)
    times = np.array([item.captured_ns - start for item in items]) / MILLISECOND
    values = np.array([item.value.expression[0] for item in items])
    turns = np.array([item.value.head_rotation[1] for item in items])
    assert (np.diff(times) > 0).all()
    assert np.diff(times).max() <= 21
    assert np.abs(np.diff(values)).max() < 0.2
    period = 2000 - seam
    inside = times % period
    expected = np.where((inside <= seam) & (times > period), inside, np.nan)  # recomputed: fade of end and beginning
    fading = ~np.isnan(expected)
    weight = inside[fading] / seam
    np.testing.assert_allclose(values[fading], (1 - weight) * (inside[fading] + period) / 1000 + weight * inside[fading] / 1000,
                               atol=1e-3)
    np.testing.assert_allclose(turns, 0.5 * values, atol=1e-4)
    assert items[-1].lap == 3


def test_demo_loops_as_smoothly_as_it_plays():
    source, _ = opened(lambda **named: MotionSource(resource("demo_motion.npz"), **named))
    clip = read_motion(resource("demo_motion.npz"))
    items = play(source, 3 * len(clip))
    assert {item.lap for item in items} == {0, 1, 2, 3}
    rotations = Rotation.from_rotvec(np.array([item.value.head_rotation for item in items]))
    speeds = (rotations[1:] * rotations[:-1].inv()).magnitude()
    within = Rotation.from_rotvec(np.array([params.head_rotation for params in clip.params]))
    usual = (within[1:] * within[:-1].inv()).magnitude().max()
    assert speeds.max() <= 1.2 * usual
    psi = np.array([item.value.psi() for item in items])
    usual = np.abs(np.diff([params.psi() for params in clip.params], axis=0)).max()
    assert np.abs(np.diff(psi, axis=0)).max() <= 1.2 * usual
    assert demo_source().name == "Demo"


def test_motion_of_one_frame_goes_on():
    source, clock = opened(MotionSource, motion([0]), name="Pose")
    start = clock()
    items = play(source, 5)
    assert [item.captured_ns - start for item in items] == [100 * MILLISECOND * i for i in range(5)]
    assert source.name == "Pose"


def test_stalled_motion_goes_on_from_where_it_was():
    source, clock = opened(MotionSource, motion(range(0, 2001, 20)))
    before = play(source, 3)[-1]
    clock.advance(5)
    after = play(source, 2)
    assert after[0].captured_ns == clock() - 20 * MILLISECOND
    assert after[0].position_ns - before.position_ns == 20 * MILLISECOND


def test_files_that_are_no_motion(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\3\4 nothing")
    for path in (tmp_path / "bad.npz", tmp_path / "absent.npz"):
        with pytest.raises(InputError):
            MotionSource(path).open()


# ------------------------------------------------------------------------------------------------------------------ camera


class Device:
    def __init__(self, problem: DeviceError | None = None) -> None:
        self.problem, self.closed = problem, 0

    def open(self) -> None:
        if self.problem:
            raise self.problem

    def read(self):
        return Frame(np.zeros((4, 6, 3), np.uint8), 123, 0)

    def close(self) -> None:
        self.closed += 1


def test_every_opening_of_a_camera_has_a_device_of_its_own():
    made = []

    def make(info, width, height, fps):
        assert (info.id, width, height, fps) == ("usb-1", 640, 480, 30)
        made.append(Device(DeviceError("gone") if len(made) == 1 else None))
        return made[-1]

    source = CameraSource(CameraInfo("usb-1", "Webcam", 200, 0), 640, 480, 30, make)
    assert (source.name, source.device_id, source.is_live) == ("Webcam", "usb-1", True)
    source.close()
    source.open()
    assert source.read().captured_ns == 123
    with pytest.raises(DeviceError):
        source.open()
    source.close()  # must not touch the first device, in which a thread may hang
    assert [device.closed for device in made] == [0, 0]
    source.open()
    source.close()
    assert [device.closed for device in made] == [0, 0, 1]
