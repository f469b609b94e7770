"""The window put together: real services and session with the real renderer, offscreen, driven by its own actions."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QByteArray, QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QCloseEvent, QDropEvent
from PySide6.QtWidgets import QMessageBox

from agora_app.log import LogModel, RingLog
from agora_app.main_window import MainWindow
from agora_app.services import Services
from agora_app.settings.paths import window_state
from core.pipeline.live.state import SourceState, SourceStatus


class Stage:
    """A window with everything behind it, playing the demo."""

    def __init__(self, qtbot, store) -> None:
        store.change("source", kind="demo")
        store.change("application", wizard_done=True, consent=True)
        store.change("recording", sound="none")
        store.change("performance", renderer="cpu")
        self.qtbot, self.store = qtbot, store
        self.services = Services(store)
        self.log_model = LogModel(RingLog())
        self.services.start()
        self.services.cast.choose("7")
        self.window = MainWindow(self.services, self.log_model)
        self.painted = []
        self.window.view.painted.connect(self.painted.append)
        self.window.show()
        self.closed = False

    def trigger(self, name: str) -> None:
        action = self.window.registry.action(name)
        assert action.isEnabled(), name
        action.trigger()

    def wait_for_pictures(self, count: int = 3) -> None:
        start = len(self.painted)
        self.qtbot.waitUntil(lambda: len(self.painted) >= start + count, timeout=60_000)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.window.close()
            self.log_model.close()


@pytest.fixture
def stage(qtbot, store, tmp_path):
    store.change("recording", folder=str(tmp_path / "takes"))
    window_state().clear()
    made = Stage(qtbot, store)
    qtbot.addWidget(made.window, before_close_func=lambda _: made.close())
    yield made
    made.close()
    window_state().clear()


def test_the_demo_moves_and_everything_ends(stage):
    stage.wait_for_pictures(5)
    moving = {picture.psi.tobytes() for picture in stage.painted}
    assert len(moving) > 1
    assert stage.services.session.stats().shown_fps > 0
    assert "7" in stage.window.windowTitle()


def test_every_action_of_the_table_does_something(stage):
    idle = {"file.recent", "edit.undo", "edit.redo"}  # enabled when there is something to open or undo
    dead = [spec.id for spec in stage.window.registry.specs
            if not stage.window.registry.action(spec.id).isEnabled() and spec.id not in idle]
    assert dead == []


def test_the_view_turns_and_the_picture_follows(stage):
    stage.wait_for_pictures()
    stage.services.view.orbit(-120, 0, 400)
    stage.qtbot.waitUntil(lambda: abs(stage.painted[-1].camera.position[0]) > 0.5, timeout=20_000)
    stage.trigger("view.reset")
    stage.qtbot.waitUntil(lambda: abs(stage.painted[-1].camera.position[0]) < 0.01, timeout=20_000)


def test_a_live_recording_becomes_a_take(stage):
    stage.wait_for_pictures()
    stage.trigger("record.toggle")
    stage.qtbot.waitUntil(lambda: stage.services.recording.is_recording and stage.services.recording.status.seconds > 0.7,
                          timeout=20_000)
    assert "REC" in stage.window.windowTitle()
    with stage.qtbot.waitSignal(stage.services.recording.saved, timeout=20_000) as saved:
        stage.trigger("record.toggle")
    assert saved.args[0].video.is_file()
    assert "REC" not in stage.window.windowTitle()


def test_closing_while_recording_asks_and_keeps(stage, monkeypatch):
    stage.wait_for_pictures()
    stage.trigger("record.toggle")
    stage.qtbot.waitUntil(lambda: stage.services.recording.status.seconds > 0.5, timeout=20_000)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Cancel)
    event = QCloseEvent()
    stage.window.closeEvent(event)
    assert not event.isAccepted()
    assert stage.services.recording.is_recording
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    folder = stage.services.recording.folder
    stage.close()
    assert [path.suffix for path in folder.glob("*.mp4")] == [".mp4"]
    assert list(folder.glob("*.npz"))
    assert not list(folder.glob("*.part"))


def test_a_lost_camera_has_a_banner_that_goes_by_itself(stage):
    source = stage.services.source
    source.status_changed.emit(SourceStatus(SourceState.LOST, "Camera", "Camera lost – reconnecting", "check the cable"))
    assert stage.window.banner.isVisible()
    assert "reconnecting" in stage.window.banner.text
    source.status_changed.emit(SourceStatus(SourceState.RUNNING, "Camera"))
    assert not stage.window.banner.isVisible()


def test_files_dropped_on_the_window_are_opened_or_refused_in_words(stage, tmp_path):
    bad = tmp_path / "notes.txt"
    bad.write_text("hello")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(bad))])
    event = QDropEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    stage.window.dropEvent(event)
    stage.qtbot.waitUntil(lambda: any("notes.txt" in text for text in stage.window.toasts.texts()), timeout=5000)


def test_docks_hide_and_come_back_and_the_layout_is_kept(stage):
    stage.qtbot.waitUntil(stage.window.docks["people"].isVisible, timeout=5000)
    stage.trigger("view.docks")
    assert not any(dock.isVisible() for dock in stage.window.docks.values())
    stage.trigger("view.docks")
    assert stage.window.docks["people"].isVisible()
    stage.window.docks["log"].close()
    stage.close()
    assert isinstance(window_state().value("state"), QByteArray)


def test_full_screen_shows_the_picture_alone_and_gives_everything_back(stage):
    stage.trigger("view.fullscreen")
    assert stage.window.isFullScreen()
    assert not stage.window.tool_bar.isVisible()
    assert not stage.window.docks["people"].isVisible()
    stage.qtbot.keyClick(stage.window, Qt.Key.Key_Escape)
    assert not stage.window.isFullScreen()
    assert stage.window.tool_bar.isVisible()
    assert stage.window.docks["people"].isVisible()


def test_pausing_holds_the_motion(stage):
    stage.wait_for_pictures()
    stage.trigger("live.toggle")
    stage.services.view.orbit(-40, 0, 400)
    stage.qtbot.waitUntil(lambda: not stage.painted[-1].fresh, timeout=20_000)
    stage.trigger("live.toggle")
    stage.wait_for_pictures()


def test_theme_and_performance_overlay(stage):
    stage.wait_for_pictures()
    stage.trigger("view.performance")
    stage.qtbot.waitUntil(lambda: stage.store.settings.appearance.show_performance, timeout=2000)
    assert stage.window.registry.action("view.performance").isChecked()
    stage.trigger("view.theme")
    assert stage.store.settings.appearance.theme in ("dark", "light")
