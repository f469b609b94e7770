"""A take once more: right frames, right people, its own sound; wrong options are found before any work."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import InputError, OutputError
from core.media.video_reader import open_video
from core.pipeline import rerender as module
from core.pipeline.live.take import TakeAbout
from core.pipeline.live.take_recorder import TakeRecorder, TakeSettings
from core.pipeline.rerender import Cancelled, RerenderOptions, check_options, parse_people, rerender, unused_name
from tests.media.clips import sound_seconds, stamps
from tests.media.sounds import ClickSource, click_times
from tests.pipeline.fakes import NumberRenderer
from tests.pipeline.live.pictures import FakeClock, live_picture

FRAME = 33_333_333
FRAMES = 75


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    """2.5 s with clicks at full seconds; the first expression runs from 0 to 1."""
    clock = FakeClock(9_000_000_000)
    recorder = TakeRecorder(tmp_path_factory.mktemp("take"), TakeSettings(), TakeAbout(person="7"), ClickSource(), clock=clock)
    for index in range(FRAMES):
        clock.now = 9_000_000_000 + index * FRAME
        recorder.accept(live_picture(clock.now, value=index / FRAMES))
        while recorder.backlog > 10:
            pass
    return recorder.stop(20).take


class Actor:
    """Shows the person's number plus the first expression as a grey level (see `NumberRenderer`)."""

    def __init__(self, pack, identity):
        self.identity = identity

    def drive(self, params, rest_translation=None, out=None):
        return SimpleNamespace(xyz=np.array([[100 * params.expression[0] + self.identity, 0, 0]]))

    def seen_from(self, camera, cloud):
        return cloud


class Source:
    pack = None

    def __init__(self):
        self.built = []

    def build_person(self, person):
        self.built.append(person)
        return int(person.split("+")[0])


@pytest.fixture
def stage(monkeypatch):
    """Rendering replaced by grey levels."""
    monkeypatch.setattr(module, "Avatar", Actor)
    monkeypatch.setattr(module, "open_renderer", lambda name: SimpleNamespace(name="cpu", close=lambda: None) if name == "auto"
                        else NumberRenderer())
    return Source()


def options(folder, people=("20",), **changes):
    return RerenderOptions(**({"people": people, "folder": folder, "name": "again", "size": 32, "background": "black"} | changes))


def levels(path, columns=slice(0, 12)):
    return [float(frame.image[:12, columns].mean()) for frame in open_video(path)]


def test_every_frame_is_there_with_its_time_and_the_takes_sound(take, stage, tmp_path):
    (made,) = rerender(take, options(tmp_path), stage)
    assert made.path == tmp_path / "again.mp4"
    assert made.frames == FRAMES
    np.testing.assert_allclose([float(t) for t in stamps(made.path)], [i * FRAME / 1e9 for i in range(FRAMES)], atol=1e-5)
    np.testing.assert_allclose(levels(made.path), [20 + 100 * i / FRAMES for i in range(FRAMES)], atol=5)
    assert sound_seconds(made.path) == pytest.approx(2.5, abs=0.1)
    np.testing.assert_allclose(click_times(made.path), click_times(take.video), atol=0.005)


def test_several_people_are_several_videos(take, stage, tmp_path):
    told = []
    made = rerender(take, options(tmp_path, ("20", "90", "120+130@0.5")), stage, lambda *progress: told.append(progress))
    assert [recording.path.name for recording in made] == ["again 20.mp4", "again 90.mp4", "again 120+130@0.5.mp4"]
    assert stage.built == ["20", "90", "120+130@0.5"]
    for recording, number in zip(made, (20, 90, 120), strict=True):
        assert levels(recording.path)[0] == pytest.approx(number, abs=5)
    rendering = [done for doing, done, total in told if doing == "rendering"]
    assert rendering == list(range(1, 3 * FRAMES + 1))
    assert {total for doing, _, total in told if doing == "rendering"} == {3 * FRAMES}


def test_a_grid_shows_them_together(take, stage, tmp_path):
    (made,) = rerender(take, options(tmp_path, ("20", "90"), layout="grid"), stage)
    assert open_video(made.path).width == 64
    assert levels(made.path)[0] == pytest.approx(20, abs=5)
    assert levels(made.path, slice(32, 44))[0] == pytest.approx(90, abs=6)


def test_a_transparent_background_makes_a_webm(take, stage, tmp_path):
    (made,) = rerender(take, options(tmp_path, background="transparent"), stage)
    assert made.path.suffix == ".webm"
    assert sound_seconds(made.path) == pytest.approx(2.5, abs=0.1)


def test_cancelling_leaves_nothing_half_written_and_keeps_what_is_finished(take, stage, tmp_path):
    def cancel(doing, done, total):
        if doing == "rendering" and done == FRAMES + 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        rerender(take, options(tmp_path, ("20", "90")), stage, cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["again 20.mp4"]


@pytest.mark.parametrize(("changes", "words"), [
    ({"background": "blur"}, "blurred camera"), ({"layout": "wall"}, "no layout"), ({"view": "above"}, "no view"),
    ({"background": "nothing"}, "no background"), ({"size": 5}, "out of range"), ({"name": "a/b"}, "name of a file"),
    ({"name": ""}, "name of a file"), ({"people": tuple(map(str, range(50))), "layout": "grid", "size": 2048}, "too large"),
])
def test_wrong_options_are_found_before_any_work(take, stage, tmp_path, changes, words):
    with pytest.raises((InputError, OutputError), match=words):
        rerender(take, options(tmp_path, **changes), stage)
    assert stage.built == []


def test_nothing_is_overwritten(take, stage, tmp_path):
    (tmp_path / "again.mp4").write_text("precious")
    with pytest.raises(OutputError, match="there already"):
        check_options(options(tmp_path))
    assert unused_name(tmp_path, "again") == "again (2)"
    assert unused_name(tmp_path, "other") == "other"


def test_a_folder_that_is_not_there_is_said(take, stage, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        rerender(take, options(tmp_path / "nowhere"), stage)


def test_people_are_listed_as_seeds_ranges_and_mixes():
    assert parse_people("7, 20-22,42+7@0.25, 7") == ("7", "20", "21", "22", "7+42@0.75")
    for wrong in ("", " , ", "anna", "7-", "7+", "0-999"):
        with pytest.raises(InputError):
            parse_people(wrong)
