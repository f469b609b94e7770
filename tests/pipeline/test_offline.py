"""Both passes with stand-ins: order, times, sound, what an interruption keeps and what an error leaves."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest

from core.errors import InputError, OutputError
from core.media.video_reader import open_video
from core.media.video_writer import VideoWriter
from core.pipeline import offline
from core.pipeline.background import Plain, Transparent
from core.pipeline.compose import Composer, make_layout
from core.pipeline.offline import Painter, film, observe, resting_translation
from core.types import TrackState
from tests.media.clips import make_clip, sound_seconds, stamps
from tests.pipeline.fakes import LevelLandmarker, NumberActor, NumberRenderer, motion_of, params

SIZE = 32


def levels_of(path):
    """Mean of the left (head) half of each frame."""
    return [float(frame.image[:, :12].mean()) for frame in open_video(path)]


def studio(layout="avatar", people=1, aspect=None, background=None):
    composer = Composer(make_layout(layout, people, SIZE, aspect), background or Plain((0, 0, 200)))
    return composer, lambda: Painter(NumberRenderer(), [NumberActor()] * people, composer, np.zeros(3))


def write_film(path, motion, **options):
    composer, make_painter = studio()
    writer = VideoWriter(path, composer.layout.width, composer.layout.height, fps=25, audio=options.pop("audio", None),
                         time_base=options.pop("time_base", None))
    return film(motion, make_painter, composer, "frontal", writer, **options)


@pytest.mark.parametrize("workers", [1, 3])
def test_frames_out_are_frames_in_in_order_with_their_times(tmp_path, workers):
    levels = list(range(20, 200, 3))
    motion = motion_of(levels)
    result = write_film(tmp_path / "o.mp4", motion, workers=workers)
    assert result.recording.frames == len(levels)
    assert not result.interrupted
    assert stamps(tmp_path / "o.mp4") == [Fraction(p.time_ns, 10**9) for p in motion]
    np.testing.assert_allclose(levels_of(tmp_path / "o.mp4"), levels, atol=4)  # H.264 next to a blue field


def test_drivers_sound_and_times_are_kept(tmp_path):
    times = [0, 40, 85, 130, 300, 340, 600]
    clip = open_video(make_clip(tmp_path / "d.mp4", times, audio="aac"))
    observations = observe(clip, LevelLandmarker).frames
    motion = [params(o.landmarks.points[0, 0], o.time_ns) for o in observations]
    write_film(tmp_path / "o.mp4", motion, audio=clip, time_base=clip.time_base)
    assert stamps(tmp_path / "o.mp4") == [Fraction(t, 1000) for t in times]
    assert 0.5 < sound_seconds(tmp_path / "o.mp4") < 0.8


def test_ctrl_c_keeps_what_is_done(tmp_path):
    def stop_at_10(doing, done, total):
        if done == 10:
            raise KeyboardInterrupt

    result = write_film(tmp_path / "o.mp4", motion_of(range(50, 150)), progress=stop_at_10)
    assert result.interrupted
    assert (result.recording.frames, result.wanted_frames) == (10, 100)
    assert len(levels_of(tmp_path / "o.mp4")) == 10


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path):
    composer, make_painter = studio("side-by-side", aspect=1.0)

    def interrupted_driver():
        raise KeyboardInterrupt
        yield

    writer = VideoWriter(tmp_path / "o.mp4", 2 * SIZE, SIZE)
    with pytest.raises(KeyboardInterrupt):
        film(motion_of([1, 2]), make_painter, composer, "frontal", writer, driver=interrupted_driver())
    assert not list(tmp_path.iterdir())


def test_an_error_in_a_worker_is_raised_and_leaves_nothing(tmp_path):
    class Broken(NumberActor):
        def drive(self, params, rest_translation=None, out=None):
            raise InputError("pack p.agora is driven by 58 numbers, 1 given")

    composer, _ = studio()
    writer = VideoWriter(tmp_path / "o.mp4", SIZE, SIZE)

    def make_painter():
        return Painter(NumberRenderer(), [Broken()], composer, np.zeros(3))

    with pytest.raises(InputError, match=r"p\.agora"):
        film(motion_of(range(30)), make_painter, composer, "frontal", writer)
    assert not list(tmp_path.iterdir())


def test_a_renderer_that_does_not_open_is_reported(tmp_path):
    def cannot():
        raise OutputError("no renderer")

    composer, _ = studio()
    writer = VideoWriter(tmp_path / "o.mp4", SIZE, SIZE)
    with pytest.raises(OutputError, match="no renderer"):
        film(motion_of(range(5)), cannot, composer, "frontal", writer)
    assert not list(tmp_path.iterdir())


def test_renderers_are_closed(tmp_path):
    renderers = []
    composer, _ = studio()

    def make_painter():
        renderers.append(NumberRenderer())
        return Painter(renderers[-1], [NumberActor()], composer, np.zeros(3))

    film(motion_of(range(9)), make_painter, composer, "frontal", VideoWriter(tmp_path / "o.mp4", SIZE, SIZE), workers=2)
    assert len(renderers) == 2
    assert all(renderer.closed for renderer in renderers)


def test_side_by_side_shows_the_frame_of_the_same_moment(tmp_path):
    clip = open_video(make_clip(tmp_path / "d.mp4", list(range(0, 800, 40)), width=64, height=64))
    composer, make_painter = studio("side-by-side", aspect=1.0)
    writer = VideoWriter(tmp_path / "o.mp4", composer.layout.width, composer.layout.height, fps=25)
    motion = motion_of([40 + 9 * i for i in range(20)])  # the level of the driver's lower right quarter
    film(motion, make_painter, composer, "frontal", writer, driver=clip)
    for frame in open_video(tmp_path / "o.mp4"):
        left, right = frame.image[22:30, 20:28].mean(), frame.image[10:22, SIZE + 2:SIZE + 12].mean()
        assert left == pytest.approx(right, abs=5)


def test_transparent_films_have_straight_alpha(tmp_path):
    composer, make_painter = studio(background=Transparent())
    writer = VideoWriter(tmp_path / "o.mov", SIZE, SIZE, alpha=True)
    film(motion_of([100, 100]), make_painter, composer, "frontal", writer)
    assert len(levels_of(tmp_path / "o.mov")) == 2


@pytest.mark.parametrize("cores", [1, 2])
def test_every_frame_is_observed_once_and_in_order(tmp_path, monkeypatch, cores):
    """With two cores the clip is split in the middle; the second landmarker settles on frames before its half."""
    monkeypatch.setattr(offline, "core_count", lambda: cores)
    made = []

    def open_landmarker():
        made.append(LevelLandmarker())
        return made[-1]

    count = 2 * offline.SHORTEST_HALF + 7
    clip = open_video(make_clip(tmp_path / "d.mp4", list(range(0, 40 * count, 40))))
    seen = observe(clip, open_landmarker).frames
    assert [o.time_ns for o in seen] == [i * 40_000_000 for i in range(count)]
    reference = [float(frame.image.mean()) for frame in clip]
    np.testing.assert_allclose([o.landmarks.points[0, 0] for o in seen], reference, atol=1e-3)
    assert len(made) == cores
    assert all(landmarker.closed for landmarker in made)
    if cores == 2:
        late = max(made, key=lambda landmarker: landmarker.seen[0])
        assert late.seen[0] == count // 2 - offline.OVERLAP


def test_frames_without_a_face_stay_in_place(tmp_path):
    clip = open_video(make_clip(tmp_path / "d.mp4", list(range(0, 400, 40))))
    seen = observe(clip, lambda: LevelLandmarker(blind_below=100)).frames
    found = [o.landmarks is not None for o in seen]
    assert found == sorted(found)  # the pictures grow lighter
    assert 0 < sum(found) < 10


def test_ctrl_c_while_tracking_keeps_the_beginning_and_ends_the_threads(tmp_path, monkeypatch):
    """The landmarkers wait at frame 30 until Ctrl-C has come."""
    monkeypatch.setattr(offline, "core_count", lambda: 2)
    made, reached, pressed = [], threading.Event(), threading.Event()

    class Waiting(LevelLandmarker):
        def detect(self, frame):
            if len(self.seen) == 30 and self.seen[0] == 0:
                reached.set()
                assert pressed.wait(10)
            return super().detect(frame)

    def open_landmarker():
        made.append(Waiting())
        return made[-1]

    def press(*_):
        assert reached.wait(10)
        pressed.set()
        raise KeyboardInterrupt

    clip = open_video(make_clip(tmp_path / "d.mp4", list(range(0, 40 * 200, 40))))
    seen = observe(clip, open_landmarker, press)
    assert not seen.complete
    assert [o.time_ns for o in seen.frames] == [i * 40_000_000 for i in range(len(seen.frames))]
    assert len(seen.frames) >= 30
    assert all(landmarker.closed for landmarker in made)


def test_errors_of_the_landmarker_arrive(tmp_path):
    def cannot():
        raise InputError("the model is missing")

    with pytest.raises(InputError, match="model is missing"):
        observe(open_video(make_clip(tmp_path / "d.mp4", [0, 40])), cannot)


def test_resting_place_is_where_the_head_mostly_was():
    from dataclasses import replace

    def at(x, state=TrackState.TRACKED):
        return replace(params(0), head_translation=np.array([x, 0, -0.6], np.float32), state=state)

    motion = [at(0.1), at(0.1), at(0.3), *[at(5.0, TrackState.LOST)] * 9]
    assert resting_translation(motion)[0] == pytest.approx(0.1)
    assert resting_translation([at(5.0, TrackState.LOST)])[0] == pytest.approx(5.0)
