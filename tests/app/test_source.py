"""Choosing what drives the avatar: the model with a made-up session and cameras, and the dock under real clicks."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QCheckBox, QFileDialog, QWidget

from agora_app.docks.camera_preview import CameraPreview
from agora_app.docks.source import SourceDock
from agora_app.models.source import MOST_RECENT, SourceModel
from agora_app.settings.store import SettingsStore
from core.assets import resource
from core.head.library import load_open_head
from core.media.cameras import CameraInfo
from core.pipeline.live.sources import MotionSource, VideoSource
from core.pipeline.live.state import LivePicture, SourceState, SourceStatus
from core.tracking.motion_clip import MotionClip, write_motion
from core.types import Frame, HeadParams, Landmarks
from tests.app.fakes import FakeSession
from tests.media.clips import make_clip

LEFT, RIGHT = CameraInfo("id-left", "Integrated Camera", 200, 0), CameraInfo("id-right", "Stream Camera", 200, 2)


class StubCamera:
    is_live = True

    def __init__(self, info, width, height, fps) -> None:
        self.info, self.name, self.wanted = info, info.name, (width, height, fps)


class Setting:
    """A model with everything around it."""

    def __init__(self, qtbot) -> None:
        self.qtbot, self.session, self.store = qtbot, FakeSession(), SettingsStore()
        self.store.change("application", consent=True)
        self.cameras: list[CameraInfo] = [LEFT, RIGHT]
        self.looked = 0
        self.looks_in: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.model: SourceModel | None = None
        self.failures: list[tuple[str, str]] = []
        self.changes = 0

    def enumerate(self):
        self.looked += 1
        self.looks_in.add(threading.current_thread().name)
        assert self.gate.wait(10)
        return list(self.cameras)

    def start(self, **source) -> SourceModel:
        if source:
            self.store.change("source", **source)
        self.model = SourceModel(self.session, self.store, enumerate_cameras=self.enumerate, make_camera=StubCamera)
        self.model.failed.connect(lambda *words: self.failures.append(words))
        self.model.choice_changed.connect(self._count)
        return self.model

    def _count(self) -> None:
        self.changes += 1

    def playing(self, kind: str) -> None:
        self.qtbot.waitUntil(lambda: self.model.kind == kind, timeout=5000)

    def status(self, state: SourceState, **values) -> None:
        """Let the session report."""
        before = self.model.status
        self.session.status = SourceStatus(state, **values)
        self.qtbot.waitUntil(lambda: self.model.status is not before, timeout=2000)

    @property
    def source(self):
        return self.session.last("set_source")[0]


@pytest.fixture
def setting(qtbot):
    threads = set(threading.enumerate())
    setting = Setting(qtbot)
    yield setting
    setting.gate.set()
    if setting.model is not None:
        setting.model.close()
        setting.model.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not set(threading.enumerate()) - threads


@pytest.fixture
def clip(tmp_path):
    return str(make_clip(tmp_path / "face.mp4", [0, 40, 80]))


def own_motion(path):
    head = load_open_head()
    write_motion(path, MotionClip.of([HeadParams.neutral(len(head.expression_names))], head))
    return str(path)


# ------------------------------------------------------------------------------------------------------------ at the start


def test_no_camera_is_switched_on_before_the_note_has_been_answered(setting):
    setting.store.change("application", consent=False)
    setting.start()
    setting.playing("demo")
    assert setting.store.settings.source.kind == "camera"  # the choice itself stays


def test_starts_with_the_first_camera_found_in_another_thread(setting):
    model = setting.start()
    assert (model.kind, model.has_searched, model.title()) == ("", False, "No source")
    setting.playing("camera")
    assert setting.source.info == LEFT
    assert setting.source.wanted == (1280, 720, 30)
    assert setting.session.last("set_picture_options") == (True, 0)
    assert model.title() == "Integrated Camera"
    assert setting.looks_in == {"source look-up"}
    assert setting.store.settings.source.camera_id == ""  # nobody chose it


def test_starts_with_the_camera_of_last_time(setting):
    setting.start(camera_id=RIGHT.id)
    setting.playing("camera")
    assert setting.source.info == RIGHT


def test_camera_of_last_time_that_is_away_is_replaced_and_remembered(setting):
    setting.start(camera_id="elsewhere")
    setting.playing("camera")
    assert setting.source.info == LEFT
    assert setting.store.settings.source.camera_id == "elsewhere"


def test_without_a_camera_the_demo_plays_and_nobody_is_bothered(setting):
    setting.cameras = []
    model = setting.start()
    setting.playing("demo")
    assert isinstance(setting.source, MotionSource)
    assert (model.title(), model.mirror, model.banner, setting.failures) == ("Demo", False, None, [])
    assert setting.store.settings.source.kind == "camera"


def test_slow_look_for_cameras_holds_nobody_up(setting):
    setting.gate.clear()
    started = time.monotonic()
    model = setting.start()
    model.refresh_cameras()
    model.choose_camera(RIGHT.id)
    assert time.monotonic() - started < 0.2
    setting.gate.set()
    setting.playing("camera")
    assert setting.source.info == RIGHT
    assert setting.looked == 1


def test_starts_with_the_video_of_last_time(setting, clip):
    setting.start(kind="video", path=clip)
    setting.playing("video")
    assert isinstance(setting.source, VideoSource)
    assert setting.model.title() == "face.mp4"
    setting.qtbot.waitUntil(lambda: setting.model.has_searched)
    assert setting.model.kind == "video"


def test_video_of_last_time_that_is_gone_is_told_and_a_camera_plays(setting, tmp_path):
    setting.start(kind="video", path=str(tmp_path / "gone.mp4"))
    setting.playing("camera")
    assert len(setting.failures) == 1
    assert "gone.mp4" in setting.failures[0][0]


# ---------------------------------------------------------------------------------------------------------------- choosing


def test_choosing_a_camera_is_remembered_and_not_repeated(setting):
    model = setting.start()
    setting.playing("camera")
    setting.status(SourceState.RUNNING)
    model.choose_camera(RIGHT.id)
    assert (setting.source.info, setting.store.settings.source.camera_id) == (RIGHT, RIGHT.id)
    before = setting.source
    model.choose_camera(RIGHT.id)
    assert setting.source is before
    assert setting.session.last("retry_source") == ()  # which does nothing while all is well


def test_choosing_what_is_not_there_says_so_and_changes_nothing(setting):
    model = setting.start()
    setting.playing("camera")
    model.choose_camera("nowhere")
    assert [what for what, _ in setting.failures] == ["That camera is not connected"]
    assert (model.kind, setting.source.info) == ("camera", LEFT)


def test_videos_are_looked_at_before_anything_changes(setting, clip, tmp_path):
    model = setting.start()
    setting.playing("camera")
    (tmp_path / "text.mp4").write_text("hello")
    for bad in (tmp_path / "text.mp4", tmp_path / "absent.mp4", tmp_path):
        count = len(setting.failures)
        model.open_video(str(bad))
        setting.qtbot.waitUntil(lambda count=count: len(setting.failures) == count + 1, timeout=5000)
        assert (model.kind, setting.store.settings.source.kind) == ("camera", "camera")
    model.open_video(clip)
    assert model.kind == "camera"
    setting.playing("video")
    assert (setting.store.settings.source.kind, setting.store.settings.source.path) == ("video", clip)
    assert setting.store.settings.application.recent == (clip,)


def test_the_last_wish_wins(setting, clip):
    model = setting.start()
    setting.playing("camera")
    model.open_video(clip)
    model.play_demo()
    setting.qtbot.waitUntil(lambda: not any(thread.is_alive() for thread in model._threads))
    QApplication.processEvents()
    assert (model.kind, setting.store.settings.source.kind) == ("demo", "demo")


def test_motion_must_be_of_the_head_that_is_driven(setting, tmp_path):
    model = setting.start()
    setting.playing("camera")
    other = tmp_path / "other.npz"
    write_motion(other, MotionClip((HeadParams.neutral(2),), ("a", "b")))
    model.open_motion(str(other))
    setting.qtbot.waitUntil(lambda: bool(setting.failures))
    assert "another head" in setting.failures[0][0]
    model.open_file(own_motion(tmp_path / "mine.npz"))
    setting.playing("motion")
    assert isinstance(setting.source, MotionSource)
    assert (model.title(), setting.source.name) == ("mine.npz", "mine.npz")
    model.open_motion(str(resource("demo_motion.npz")))
    setting.qtbot.waitUntil(lambda: model.title() == "demo_motion.npz")


def test_recent_files_are_few_and_newest_first(setting, tmp_path):
    model = setting.start()
    setting.playing("camera")
    paths = []
    for number in range(MOST_RECENT + 2):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
        paths.append(str(path))
    for path in (*paths, paths[5]):
        model.open_file(path)
        setting.qtbot.waitUntil(lambda path=path: model.path == path, timeout=5000)
    expected = [paths[5], *[path for path in reversed(paths) if path != paths[5]]][:MOST_RECENT]
    assert setting.store.settings.application.recent == tuple(expected)
    assert model.last_file("motion") == ""
    model.play_demo()
    assert model.last_file("video") == paths[5]


# ----------------------------------------------------------------------------------------------------------------- options


def test_mirror_and_rotation_are_the_cameras_and_files_have_their_own(setting, clip):
    model = setting.start()
    setting.playing("camera")
    model.set_rotation(90)
    assert setting.session.last("set_picture_options") == (True, 90)
    model.open_video(clip)
    setting.playing("video")
    assert setting.session.last("set_picture_options") == (False, 0)
    model.set_mirror(True)
    model.set_rotation(180)
    assert setting.session.last("set_picture_options") == (True, 180)
    assert (setting.store.settings.source.mirror, setting.store.settings.source.rotation) == (True, 90)
    model.choose_camera()
    assert setting.session.last("set_picture_options") == (True, 90)
    model.set_mirror(False)
    assert setting.session.last("set_picture_options") == (False, 90)
    assert not setting.store.settings.source.mirror


def test_another_size_opens_the_camera_again(setting):
    model = setting.start()
    setting.playing("camera")
    first = setting.source
    model.set_size(640, 480)
    assert setting.source is not first
    assert setting.source.wanted == (640, 480, 30)
    setting.store.change("source", mirror=False)  # as the preferences do
    assert setting.session.last("set_picture_options") == (False, 0)


def test_loop_can_be_changed_while_a_file_plays(setting, clip):
    model = setting.start()
    setting.playing("camera")
    model.open_video(clip)
    setting.playing("video")
    source = setting.source
    assert source.loop
    model.set_loop(False)
    assert not source.loop
    assert setting.source is source
    assert setting.session.last("retry_source") is None
    setting.status(SourceState.ENDED)
    model.set_loop(True)
    assert source.loop
    assert setting.session.last("retry_source") == ()  # it had ended and begins again


# ------------------------------------------------------------------------------------------------------------------ status


def test_status_is_told_when_it_changes_only(setting):
    model = setting.start()
    setting.playing("camera")
    told = []
    model.status_changed.connect(told.append)
    setting.status(SourceState.RUNNING, fps=29.97)
    setting.session.status = SourceStatus(SourceState.RUNNING, fps=30.02)
    with setting.qtbot.assertNotEmitted(model.status_changed, wait=250):
        pass
    assert [(status.state, status.fps) for status in told] == [(SourceState.RUNNING, 30.0)]


def test_lost_camera_has_a_banner_and_is_looked_for(setting):
    model = setting.start()
    setting.playing("camera")
    setting.status(SourceState.RUNNING)
    assert model.banner is None
    looked = setting.looked
    setting.cameras = [RIGHT]
    with setting.qtbot.waitSignal(model.cameras_changed, timeout=3000):
        setting.status(SourceState.LOST, detail="Camera lost – reconnecting", hint="Plug it in again")
    assert (model.banner.text, model.banner.hint, model.banner.retry) == ("Camera lost – reconnecting", "Plug it in again", True)
    assert (setting.looked, model.cameras) == (looked + 1, (RIGHT,))
    setting.status(SourceState.RUNNING)
    assert model.banner is None


def test_retry_is_the_sessions(setting):
    model = setting.start()
    setting.playing("camera")
    setting.status(SourceState.FAILED, detail="used by zoom")
    assert setting.session.last("retry_source") is None
    model.retry()
    assert setting.session.last("retry_source") == ()


# -------------------------------------------------------------------------------------------------------------------- dock


@pytest.fixture
def dock(setting):
    """A dock of the usual width beside a model on its first camera."""
    setting.start()
    setting.playing("camera")
    dock = SourceDock(setting.model)
    setting.qtbot.addWidget(dock)
    dock.resize(320, 480)
    dock.show()
    setting.qtbot.waitExposed(dock)
    return dock


def click(qtbot, widget: QWidget) -> None:
    assert widget.isVisible()
    assert widget.isEnabled()
    place = QPoint(10, widget.height() // 2) if isinstance(widget, QCheckBox) else widget.rect().center()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)


def live_picture(image=None, landmarks=None, time_ns: int = 1) -> LivePicture:
    params = HeadParams.neutral(2)
    frame = None if image is None else Frame(image, time_ns)
    return LivePicture(np.zeros((4, 4, 3), np.uint8), (), params, params, params.psi(), frame, landmarks, None, 0, 0)


def test_every_kind_can_be_clicked(setting, dock, clip, tmp_path, monkeypatch):
    qtbot, asked = setting.qtbot, []
    answers = [clip, own_motion(tmp_path / "mine.npz")]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: asked.append(a[3]) or (answers[len(asked) - 1], ""))
    click(qtbot, dock.kind_buttons["video"])
    assert setting.model.kind == "camera"  # there is no video yet
    assert dock.file_labels["video"].text() == "No file chosen"
    click(qtbot, dock.open_buttons["video"])
    setting.playing("video")
    assert dock.file_labels["video"].text() == "face.mp4"
    assert "*.mp4" in asked[0]
    click(qtbot, dock.kind_buttons["motion"])
    click(qtbot, dock.open_buttons["motion"])
    setting.playing("motion")
    click(qtbot, dock.kind_buttons["demo"])
    assert setting.model.kind == "demo"
    click(qtbot, dock.kind_buttons["video"])
    setting.playing("video")  # the last one again, without a question
    assert len(asked) == 2
    click(qtbot, dock.kind_buttons["camera"])
    assert setting.model.kind == "camera"
    assert [kind for kind, button in dock.kind_buttons.items() if button.isChecked()] == ["camera"]


def test_file_that_cannot_be_opened_leaves_the_dock_with_what_plays(setting, dock, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "absent.mp4"), ""))
    click(setting.qtbot, dock.kind_buttons["video"])
    click(setting.qtbot, dock.open_buttons["video"])
    setting.qtbot.waitUntil(lambda: bool(setting.failures))
    assert dock.kind_buttons["camera"].isChecked()
    assert dock.camera_box.isVisible()


def test_footage_is_opened_with_leave_only(setting, dock, clip, monkeypatch):
    dock.may_film = lambda: False
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (clip, ""))
    click(setting.qtbot, dock.kind_buttons["video"])
    click(setting.qtbot, dock.open_buttons["video"])
    assert not any(thread.is_alive() for thread in setting.model._threads)
    assert setting.model.kind == "camera"
    assert dock.kind_buttons["camera"].isChecked()


def test_cameras_are_chosen_by_name(setting, dock):
    assert [dock.camera_box.itemText(i) for i in range(dock.camera_box.count())] == ["Integrated Camera", "Stream Camera"]
    dock.camera_box.setFocus()
    setting.qtbot.keyClick(dock.camera_box, Qt.Key.Key_Down)
    assert setting.source.info == RIGHT
    assert dock.camera_box.currentText() == "Stream Camera"


def test_cameras_that_come_and_go_show_while_the_dock_is_seen(setting, dock):
    qtbot = setting.qtbot
    setting.cameras = []
    click(qtbot, dock.refresh_button)
    qtbot.waitUntil(lambda: dock.camera_box.currentText() == "No camera found")
    assert not dock.camera_box.isEnabled()
    assert dock.camera_hint.isVisible()
    assert setting.model._lookout.isActive()
    assert setting.model._lookout.interval() == 3000
    dock.hide()
    assert not setting.model._lookout.isActive()
    setting.cameras = [LEFT]
    dock.show()
    click(qtbot, dock.refresh_button)
    qtbot.waitUntil(lambda: dock.camera_box.currentText() == "Integrated Camera")
    assert dock.camera_box.isEnabled()


def test_options_are_those_of_what_plays(setting, dock, clip):
    qtbot, model = setting.qtbot, setting.model
    click(qtbot, dock.mirror_box)
    assert not setting.store.settings.source.mirror
    qtbot.keyClick(dock.rotation_box, Qt.Key.Key_Down)
    assert setting.store.settings.source.rotation == 90
    assert dock.size_box.currentText() == "1280 × 720"
    qtbot.keyClick(dock.size_box, Qt.Key.Key_Home)
    assert setting.source.wanted == (0, 0, 30)
    assert not dock.loop_box.isVisible()
    model.open_video(clip)
    setting.playing("video")
    assert (dock.size_box.isVisible(), dock.loop_box.isVisible()) == (False, True)
    assert (dock.rotation_box.currentText(), dock.mirror_box.isChecked()) == ("None", False)
    click(qtbot, dock.loop_box)
    assert not setting.store.settings.source.loop
    model.play_demo()
    assert not any(box.isVisible() for box in (dock.size_box, dock.rotation_box, dock.mirror_box, dock.loop_box))


def test_odd_size_of_the_settings_is_shown(setting, dock):
    setting.store.change("source", width=800, height=600)
    assert dock.size_box.currentText() == "800 × 600"


def test_state_is_said_in_words_beside_the_dot(setting, dock):
    cases = [(SourceState.OPENING, {}, "Opening…"),
             (SourceState.RUNNING, {"width": 1280, "height": 720, "fps": 29.8}, "Running · 1280 × 720 · 30 frames/s"),
             (SourceState.LOST, {"detail": "Camera lost – reconnecting", "hint": "plug it in <again>"}, "Camera lost"),
             (SourceState.ENDED, {}, "Finished"), (SourceState.FAILED, {"detail": "it is used by zoom"}, "It is used by zoom")]
    for state, values, words in cases:
        setting.status(state, **values)
        assert words in dock.state_label.text()
        assert dock.state_label.accessibleDescription()
        expected = state in (SourceState.LOST, SourceState.FAILED, SourceState.ENDED)
        assert dock.retry_button.isVisible() is expected
    assert "30 frames/s" not in dock.state_label.text()
    click(setting.qtbot, dock.retry_button)
    assert setting.session.last("retry_source") == ()


def colour_at(image: QImage, x: float, y: float) -> tuple[int, int, int]:
    return image.pixelColor(round(x * (image.width() - 1)), round(y * (image.height() - 1))).getRgb()[:3]


def test_picture_is_shown_letterboxed_with_landmarks_when_asked(setting, dock):
    setting.status(SourceState.RUNNING)
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, :320], image[:, 320:] = (200, 40, 20), (20, 40, 200)
    points = np.full((478, 3), 240, np.float32)
    points[:, 0] = np.linspace(10, 630, 478)
    points[0] = np.nan
    landmarks = Landmarks(points, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 640, 480, 1)
    dock.show_picture(live_picture(image, landmarks))
    shown = dock.preview.image
    assert shown.width() / shown.height() == pytest.approx(4 / 3, rel=0.02)
    assert colour_at(shown, 0.2, 0.25) == (200, 40, 20)
    assert colour_at(shown, 0.8, 0.75) == (20, 40, 200)
    assert colour_at(shown, 0.2, 0.5) == (200, 40, 20)  # no landmarks unless wanted
    grabbed = dock.preview.grab().toImage()
    assert colour_at(grabbed, 0.02, 0.5) == (22, 24, 29)  # the bars beside it
    assert colour_at(grabbed, 0.4, 0.25) == (200, 40, 20)
    dock.set_overlay(True)
    dock._shown_at = 0.0
    dock.show_picture(live_picture(image, landmarks, 2))
    row = [dock.preview.image.pixelColor(x, round(dock.preview.image.height() / 2)).green() for x in range(10, 200)]
    assert np.mean(np.array(row) > 200) > 0.9


def test_pictures_are_drawn_ten_times_a_second_at_most_and_only_while_seen(setting, dock, generator):
    setting.status(SourceState.RUNNING)
    drawn = []
    dock.preview.show_picture = lambda image, landmarks: drawn.append(time.monotonic())
    started = time.monotonic()
    number = 0
    while time.monotonic() - started < 0.5:
        number += 1
        dock.show_picture(live_picture(np.zeros((48, 64, 3), np.uint8), time_ns=number))
    assert 4 <= len(drawn) <= 6
    dock.hide()
    dock._shown_at = 0.0
    dock.show_picture(live_picture(np.zeros((48, 64, 3), np.uint8), time_ns=number + 1))
    assert len(drawn) <= 6


def test_motion_has_words_instead_of_a_picture(setting, dock):
    setting.status(SourceState.RUNNING)
    dock.show_picture(live_picture(np.zeros((48, 64, 3), np.uint8)))
    assert dock.preview.text == ""
    setting.model.play_demo()
    assert "no camera picture" in dock.preview.text
    dock._shown_at = 0.0
    dock.show_picture(live_picture())
    assert "no camera picture" in dock.preview.text
    dock.show_picture(live_picture(np.zeros((48, 64, 3), np.uint8), time_ns=9))  # one of before, still on its way
    assert dock.preview.image is None


def test_a_picture_costs_little(qtbot, generator):
    preview = CameraPreview()
    qtbot.addWidget(preview)
    preview.resize(296, 166)
    image = generator.integers(0, 255, (720, 1280, 3), np.uint8)
    landmarks = Landmarks(generator.random((478, 3)).astype(np.float32) * 700, np.zeros(52, np.float32),
                          np.eye(4, dtype=np.float32), 1280, 720, 1)
    times = []
    for _ in range(30):
        started = time.thread_time()
        preview.show_picture(image, landmarks)
        times.append(time.thread_time() - started)
    assert np.median(times) < 0.002


def test_everything_has_a_name_a_tooltip_and_the_keyboard(dock):
    controls = [dock.kind_buttons["camera"], *dock.open_buttons.values(), dock.camera_box, dock.refresh_button, dock.mirror_box,
                dock.loop_box, dock.rotation_box, dock.size_box, dock.retry_button]
    for control in controls:
        assert control.accessibleName() or control.text()
        assert control.toolTip()
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert dock.minimumSizeHint().width() <= 320
    assert all(button.text() and button.toolTip() for button in dock.kind_buttons.values())


def test_kinds_are_chosen_with_the_arrow_keys(setting, dock):
    """As with radio buttons, Tab reaches the one that is chosen and arrows go on from there."""
    dock.activateWindow()
    dock.kind_buttons["camera"].setFocus()
    for _ in range(3):
        setting.qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Right)
    assert dock.kind_buttons["demo"].hasFocus()
    assert setting.model.kind == "demo"
