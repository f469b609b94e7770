"""Recording in the window: the button, what goes wrong, takes, snapshots, and closing while recording."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QInputDialog, QLabel, QMessageBox

from agora_app.docks.level_meter import LevelMeter
from agora_app.docks.recording import RecordingDock
from agora_app.models import recording as recording_module
from agora_app.models.recording import RecordingState
from agora_app.models.take_sound import TakeSound
from agora_app.words import about, length, size_of
from core.errors import InputError
from core.media.live_sound import Silence
from core.pipeline.live import take_folder
from core.pipeline.live.take import check_take
from core.pipeline.live.take_recorder import TakeRecorder, TakeStatus
from tests.app import recordings
from tests.app.recordings import FakeOutputs, Microphones, Stage, feed, make_model
from tests.media.sounds import make_clap_clip
from tests.pipeline.live.pictures import live_picture


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(take_folder.platformdirs, "user_videos_dir", lambda: str(tmp_path / "Videos"))
    path = tmp_path / "takes"
    path.mkdir()
    return path


@pytest.fixture
def microphones():
    return Microphones()


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def model(qtbot, session, store, folder, microphones, stage):
    made = make_model(session, store, folder, microphones, stage=stage)
    yield made
    made.close()


@pytest.fixture
def dock(qtbot, model, store):
    made = RecordingDock(model, FakeOutputs(), store)
    qtbot.addWidget(made)
    made.resize(320, 800)
    made.show()
    return made


def start(qtbot, model):
    model.start()
    qtbot.waitUntil(lambda: model.state is RecordingState.RECORDING)


def record(qtbot, model, session, frames=30):
    start(qtbot, model)
    feed(session, frames)
    with qtbot.waitSignal(model.saved, timeout=10_000) as saved:
        model.stop()
    return saved.args[0]


def click(qtbot, widget):
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


# ----------------------------------------------------------------------------------------------------------------- model


def test_a_take_is_recorded_and_listed(qtbot, model, session, folder, stage, tmp_path):
    pack = tmp_path / "a.agora"
    pack.write_bytes(b"pack")
    stage.now = replace(stage.now, pack_path=pack, shape=(0.5,))
    states = []
    model.state_changed.connect(lambda: states.append(model.state))
    take = record(qtbot, model, session)
    assert states == [RecordingState.STARTING, RecordingState.RECORDING, RecordingState.STOPPING, RecordingState.IDLE]
    assert take.video.parent == folder
    assert take.info.frames == 30
    assert check_take(take) == []
    assert (take.about.person, take.about.pack, take.about.shape) == ("7", "Studio", (0.5,))
    assert take.about.pack_sha256 == hashlib.sha256(b"pack").hexdigest()
    assert [t.name for t in model.takes()] == [take.name]
    assert session.sinks == []


def test_toggle_starts_and_stops(qtbot, model, session):
    model.toggle()
    assert model.is_recording
    qtbot.waitUntil(lambda: model.state is RecordingState.RECORDING)
    model.start()  # nothing happens
    feed(session, 5)
    model.toggle()
    qtbot.waitUntil(lambda: model.state is RecordingState.IDLE)


def test_stopping_while_it_starts_is_not_lost(qtbot, model, session, microphones, store):
    store.change("recording", sound="microphone")
    microphones.gate = threading.Event()
    model.start()
    model.stop()
    microphones.gate.set()
    with qtbot.waitSignal(model.failed) as failed:
        qtbot.waitUntil(lambda: model.state is RecordingState.IDLE)
    assert "no picture" in failed.args[0]


def test_the_status_is_told_while_recording(qtbot, model, session):
    start(qtbot, model)
    feed(session, 60)
    with qtbot.waitSignal(model.status_changed, check_params_cb=lambda s: s.seconds > 1.5, timeout=5000) as told:
        pass
    assert told.args[0].free > 0
    assert told.args[0].dropped == 0


def test_markers_are_kept(qtbot, model, session):
    start(qtbot, model)
    feed(session, 31)
    with qtbot.waitSignal(model.notice):
        model.mark(False)  # as an action's signal calls it
    model.mark("laugh")
    with qtbot.waitSignal(model.saved) as saved:
        model.stop()
    assert [(m.seconds, m.text) for m in saved.args[0].info.markers] == [(1.0, "marker 1"), (1.0, "laugh")]


def test_a_folder_that_cannot_be_used_is_replaced_with_a_word(qtbot, model, session, store, tmp_path):
    (tmp_path / "file").write_text("")
    store.change("recording", folder=str(tmp_path / "file" / "takes"))
    with qtbot.waitSignal(model.notice) as notice:
        take = record(qtbot, model, session)
    assert take.video.parent == tmp_path / "Videos" / "AGORA live"
    assert "cannot be used" in notice.args[0]


def test_a_missing_microphone_is_a_word_and_a_silent_take(qtbot, model, session, store, microphones):
    store.change("recording", sound="microphone")
    microphones.problem = "no microphone is there"
    start(qtbot, model)
    qtbot.waitUntil(lambda: "no microphone" in model.status.sound_problem)
    feed(session, 10)
    with qtbot.waitSignal(model.saved) as saved:
        model.stop()
    assert saved.args[0].info.frames == 10


def test_no_room_is_a_failure_in_words(qtbot, session, store, folder, microphones):
    model = make_model(session, store, folder, microphones,
                       recorder=lambda *a, **k: TakeRecorder(*a, **k, free_bytes=lambda _: 100))
    with qtbot.waitSignal(model.failed) as failed:
        model.start()
    assert "no room" in failed.args[0]
    assert model.state is RecordingState.IDLE
    assert all(microphone.closed for microphone in microphones.opened)
    model.close()


def test_a_disk_that_fills_ends_the_take_and_keeps_it(qtbot, session, store, folder, monkeypatch):
    monkeypatch.setattr("core.pipeline.live.take_recorder.GUARD_SECONDS", 0.0)
    room = [10**12]
    model = make_model(session, store, folder, recorder=lambda *a, **k: TakeRecorder(*a, **k, free_bytes=lambda _: room[0]))
    start(qtbot, model)
    at = feed(session, 30)
    room[0] = 1000
    with qtbot.waitSignal(model.saved), qtbot.waitSignal(model.failed) as failed:
        feed(session, 5, at)
    assert "before the disk is full" in failed.args[0]
    assert model.state is RecordingState.IDLE  # not started again: it would end at once
    assert session.sinks == []
    model.close()


def test_a_folder_that_goes_away_is_followed_by_another_take(qtbot, model, session, folder, monkeypatch):
    monkeypatch.setattr("core.pipeline.live.take_recorder.GUARD_SECONDS", 0.0)
    start(qtbot, model)
    recorder = session.sinks[0]
    at = time.perf_counter_ns() - 90 * recordings.FRAME
    for _ in range(3):
        at = feed(session, 30, at)
        qtbot.waitUntil(lambda: recorder.backlog == 0)
    shutil.rmtree(folder)
    with qtbot.waitSignal(model.saved, timeout=10_000) as saved:
        feed(session, 5, at)
    assert saved.args[0].info.frames >= 90
    qtbot.waitUntil(lambda: model.state is RecordingState.RECORDING and session.sinks and session.sinks[0] is not recorder)
    feed(session, 10)
    with qtbot.waitSignal(model.saved) as second:
        model.stop()
    assert second.args[0].video.exists()


def test_closing_while_recording_keeps_the_take(qtbot, session, store, folder):
    model = make_model(session, store, folder)
    start(qtbot, model)
    feed(session, 60)
    began = time.monotonic()
    model.close()
    assert time.monotonic() - began < 3
    (video,) = folder.glob("*.mp4")
    assert json.loads(video.with_name(video.stem + ".json").read_text())["finished"]


def test_stop_and_keep_says_whether_it_is_done(qtbot, model, session):
    assert model.stop_and_keep()
    start(qtbot, model)
    feed(session, 10)
    assert model.stop_and_keep(3.0)
    qtbot.waitUntil(lambda: model.state is RecordingState.IDLE)


# ------------------------------------------------------------------------------------------------------------------ sound


def test_the_microphone_is_open_only_while_somebody_looks_or_records(qtbot, model, session, microphones, store):
    assert model.level is None
    model.set_watching(True)
    qtbot.waitUntil(lambda: model.level == 0.25)
    listening = microphones.opened[0]
    take = record(qtbot, model, session)
    assert take.about.sound == "default microphone"
    assert listening.closed  # the recording took it over and closed it
    qtbot.waitUntil(lambda: len(microphones.open_now) == 1)
    store.change("recording", microphone="Headset")
    qtbot.waitUntil(lambda: [m.name for m in microphones.open_now] == ["Headset"])
    model.set_watching(False)
    qtbot.waitUntil(lambda: not microphones.open_now)


def test_microphones_are_listed_or_the_reason_is_told(qtbot, model, microphones):
    with qtbot.waitSignal(model.microphones_changed):
        model.refresh_microphones()
    assert model.microphones == ("Built-in", "Headset")
    microphones.problem = "sound cannot be recorded here: PortAudio is missing"
    with qtbot.waitSignal(model.microphones_changed):
        model.refresh_microphones()
    assert model.microphones == ()
    assert "PortAudio" in model.microphone_problem


def test_automatic_sound_is_the_files_own_else_the_microphone(tmp_path, store, microphones):
    clip = make_clap_clip(tmp_path / "clap.mp4", 1)
    sound, settings = TakeSound(microphones.open), store.settings.recording
    own = sound.open(settings, "video", str(clip))
    assert own.name == "clap.mp4"
    own.close()
    assert sound.open(settings, "camera", "").name == "default microphone"
    sound.returned()
    silent = TakeSound(microphones.open, lambda path: (_ for _ in ()).throw(InputError(f"{path} has no sound")))
    assert silent.open(settings, "video", "x.mp4").name == "default microphone"
    chosen = settings.model_copy(update={"sound": "source"})
    for kind, path in (("video", "x.mp4"), ("demo", "")):
        assert isinstance(silent.open(chosen, kind, path), Silence)
        assert silent.open(chosen, kind, path).problem
    assert sound.open(settings.model_copy(update={"sound": "none"}), "camera", "") is None


# --------------------------------------------------------------------------------------------------------------- snapshot


def test_a_snapshot_is_a_picture_with_its_parameters(qtbot, model, session):
    session.picture = live_picture(5, 90, value=0.25)
    with qtbot.waitSignal(model.snapshot_saved) as saved:
        expected = model.snapshot()
    path = saved.args[0]
    assert path == expected
    with Image.open(path) as image:
        assert image.mode == "RGB"
        assert np.asarray(image).mean() == 90
        assert "person 7" in image.text["Comment"]
        inside = json.loads(image.text["Parameters"])
    beside = json.loads(path.with_suffix(".json").read_text())
    assert inside == beside
    assert beside["psi"][0] == 0.25
    assert len(beside["camera"]["world_to_camera"]) == 4
    assert beside["person"] == "7"


def test_a_snapshot_on_a_transparent_background_is_transparent(qtbot, model, session, stage):
    stage.now = replace(stage.now, background="transparent")
    session.picture = live_picture(5, 200, alpha=128)
    with qtbot.waitSignal(model.snapshot_saved) as saved:
        model.snapshot()
    with Image.open(saved.args[0]) as image:
        assert image.getpixel((3, 3)) == (199, 199, 199, 128)


def test_without_a_picture_a_snapshot_is_a_word(qtbot, model):
    with qtbot.waitSignal(model.failed) as failed:
        assert model.snapshot() is None
    assert "no picture" in failed.args[0]


# ------------------------------------------------------------------------------------------------------------------- dock


def test_the_button_records_and_shows_the_time(qtbot, dock, model, session):
    assert dock.record_button.text() == "Record"
    assert not dock.marker_button.isEnabled()
    click(qtbot, dock.record_button)
    qtbot.waitUntil(lambda: model.state is RecordingState.RECORDING)
    feed(session, 59)
    qtbot.waitUntil(lambda: "0:02" in dock.record_button.text())
    assert dock.record_button.text().startswith("Stop")
    assert dock.marker_button.isEnabled()
    assert not dock.layout_box.isEnabled()
    click(qtbot, dock.marker_button)
    click(qtbot, dock.record_button)
    qtbot.waitUntil(lambda: dock.record_button.text() == "Record")
    qtbot.waitUntil(lambda: dock.take_list.list.count() == 1)
    (take,) = dock.take_list.takes()
    assert len(take.info.markers) == 1
    assert dock.layout_box.isEnabled()


def test_choices_are_kept_in_the_settings(qtbot, dock, store):
    for box, field, text, value in ((dock.layout_box, "layout", "Camera and avatar", "side-by-side"),
                                    (dock.sound_box, "sound", "No sound", "none"),
                                    (dock.quality_box, "quality", "Safest", "safest")):
        qtbot.keyClicks(box, text[0])
        box.setCurrentText(text)
        box.activated.emit(box.currentIndex())
        assert getattr(store.settings.recording, field) == value
    assert not dock.microphone_box.isVisible()
    assert not dock.meter.isVisible()
    store.change("recording", sound="microphone", layout="alpha")
    assert dock.layout_box.currentData() == "alpha"
    assert dock.meter.isVisible()


def test_microphones_are_offered_by_name(qtbot, dock, store):
    qtbot.waitUntil(lambda: dock.microphone_box.count() == 3)
    assert [dock.microphone_box.itemText(i) for i in range(3)] == ["System default", "Built-in", "Headset"]
    dock.microphone_box.setCurrentIndex(2)
    dock.microphone_box.activated.emit(2)
    assert store.settings.recording.microphone == "Headset"


def test_a_microphone_that_is_not_there_stays_chosen(qtbot, dock, store, microphones, model):
    store.change("recording", microphone="USB thing")
    assert dock.microphone_box.currentText() == "USB thing"


def test_warnings_are_words_in_the_dock(qtbot, dock, model, session):
    start(qtbot, model)
    dock._show_status(TakeStatus(5.0, warning="the disk is nearly full", sound_problem="Headset no longer delivers sound"))
    assert dock.banner.isVisible()
    assert dock.banner_label.text() == "Headset no longer delivers sound.\nThe disk is nearly full."
    dock._show_status(TakeStatus(6.0))
    assert not dock.banner.isVisible()


def test_the_room_on_the_disk_is_shown(qtbot, dock):
    qtbot.waitUntil(lambda: "free" in dock.room_label.text())


def test_another_folder_is_chosen(qtbot, dock, store, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(other))
    click(qtbot, dock.folder_button)
    assert store.settings.recording.folder == str(other)
    assert dock.folder_label.toolTip() == str(other)


def test_takes_have_pictures_and_are_opened(qtbot, dock, model, session, monkeypatch):
    take = record(qtbot, model, session)
    items = dock.take_list.list
    qtbot.waitUntil(lambda: items.count() == 1)
    qtbot.waitUntil(lambda: not items.item(0).icon().pixmap(64, 48).toImage().pixelColor(30, 20).hue() > 0
                    and items.item(0).icon().pixmap(64, 48).toImage().pixelColor(30, 20).red() in range(45, 56))
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    place = items.visualItemRect(items.item(0)).center()
    qtbot.mouseClick(items.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseDClick(items.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert opened == [str(take.video)]
    assert "Person 7" in items.item(0).toolTip()


def test_a_take_is_rendered_again_renamed_and_thrown_away(qtbot, dock, model, session, folder, monkeypatch):
    take = record(qtbot, model, session)
    items = dock.take_list.list
    qtbot.waitUntil(lambda: items.count() == 1)
    menu = dock.take_list.menu_of(take)
    actions = {action.text(): action for action in menu.actions()}
    with qtbot.waitSignal(dock.rerender_wanted) as wanted:
        actions["Re-render…"].trigger()
    assert wanted.args[0].name == take.name
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("The best one", True))
    items.setCurrentRow(0)
    qtbot.keyClick(items, Qt.Key.Key_F2)
    assert dock.take_list.takes()[0].name == "The best one"
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    thrown = []

    class Trash:
        @staticmethod
        def moveToTrash(path):
            thrown.append(path)
            (folder / path).unlink()
            return True, ""

    monkeypatch.setattr(recording_module, "QFile", Trash)
    items.setCurrentRow(0)
    qtbot.keyClick(items, Qt.Key.Key_Delete)
    assert len(thrown) == 3
    assert items.count() == 0
    assert dock.take_list.empty.isVisible()
    menu.deleteLater()


def test_what_cannot_be_thrown_away_is_not_deleted(qtbot, model, session, monkeypatch):
    take = record(qtbot, model, session)

    class NoTrash:
        @staticmethod
        def moveToTrash(path):
            return False, ""

    monkeypatch.setattr(recording_module, "QFile", NoTrash)
    with qtbot.waitSignal(model.failed) as failed:
        assert not model.delete(take)
    assert "trash" in failed.args[0]
    assert take.video.exists()


def test_renaming_to_a_name_that_is_taken_is_a_word(qtbot, model, session):
    record(qtbot, model, session)
    first, second = (record(qtbot, model, session) for _ in range(2))
    with qtbot.waitSignal(model.failed) as failed:
        assert not model.rename(first, second.name)
    assert "already" in failed.args[0]


def test_the_outputs_are_switched(qtbot, dock, store):
    panel = dock.output_panel
    panel.camera_box.click()
    assert panel.camera_box.isChecked()
    assert panel.camera_status.text() == "On: OBS"
    panel.osc_box.click()
    assert "Sending" in panel.osc_status.text()
    panel.host_edit.selectAll()
    qtbot.keyClicks(panel.host_edit, "192.168.1.7")
    qtbot.keyClick(panel.host_edit, Qt.Key.Key_Return)
    panel.port_box.setFocus()
    panel.port_box.selectAll()
    qtbot.keyClicks(panel.port_box, "9000")
    qtbot.keyClick(panel.port_box, Qt.Key.Key_Return)
    panel.protocol_box.setCurrentIndex(1)
    panel.protocol_box.activated.emit(1)
    output = store.settings.output
    assert (output.osc_host, output.osc_port, output.osc_protocol) == ("192.168.1.7", 9000, "osc")


def test_the_meter_shows_loudness_in_words_too(qtbot):
    meter = LevelMeter()
    qtbot.addWidget(meter)
    meter.set_level(None)
    assert (meter.lit, meter.accessibleDescription()) == (0, "No microphone is open")
    meter.set_level(0.0)
    assert (meter.lit, meter.accessibleDescription()) == (0, "Silent")
    lit = []
    for level in (0.01, 0.1, 0.5):
        meter.set_level(level)
        lit.append(meter.lit)
    assert lit == sorted(lit)
    assert "-6 dB" in meter.accessibleDescription()
    meter.set_level(1.0)
    assert meter.lit == 27
    assert "Too loud" in meter.accessibleDescription()


@pytest.mark.parametrize("width", [300, 320, 400])
@pytest.mark.parametrize("theme", ["theme_dark", "theme_light"])
def test_nothing_is_cut_off(qtbot, dock, model, request, theme, width):
    request.getfixturevalue(theme)
    dock.resize(width, 900)
    qtbot.waitUntil(lambda: "free" in dock.room_label.text())
    for label in dock.findChildren(QLabel):
        if label.isVisible() and label is not dock.folder_label and not label.wordWrap():
            assert label.width() >= label.sizeHint().width() - 1, label.text()
    port = dock.output_panel.port_box
    assert port.lineEdit().width() >= port.fontMetrics().horizontalAdvance("65535") + 2
    for widget in (dock.record_button, dock.snapshot_button, dock.marker_button, port):
        assert widget is port or widget.width() >= widget.minimumSizeHint().width()
        assert widget.mapTo(dock, QPoint(widget.width(), 0)).x() <= width


def test_every_control_says_what_it_is(dock):
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSpinBox

    for kind in (QAbstractButton, QComboBox, QSpinBox, QLineEdit):
        for widget in dock.findChildren(kind):
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not widget.objectName().startswith("qt_"):
                assert widget.accessibleName() or getattr(widget, "text", lambda: "")(), widget
                assert widget.toolTip() or widget.parent().toolTip(), widget


@pytest.mark.parametrize(("value", "words"), [(7.9, "0:07"), (754, "12:34"), (3723, "1:02:03")])
def test_lengths(value, words):
    assert length(value) == words


@pytest.mark.parametrize(("value", "words"), [(512, "512 bytes"), (7_400_000, "7.4 MB"), (128e9, "128 GB"), (9_990, "10.0 kB")])
def test_sizes(value, words):
    assert size_of(value) == words


@pytest.mark.parametrize(("value", "words"), [(40, "40 s"), (700, "12 min"), (18000, "5 h"), (200_000, "over a day")])
def test_rough_times(value, words):
    assert about(value) == words
