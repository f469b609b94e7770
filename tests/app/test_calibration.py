"""Guided calibration and profiles: the model fed with synthetic faces, and its dock by real clicks."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt

from agora_app.docks.tracking import TrackingDock
from agora_app.models.calibration import CalibrationModel, FaceState
from agora_app.settings.store import SettingsStore
from core.head.library import load_open_head
from core.pipeline.live.state import Observation, SourceState, SourceStatus
from core.tracking.calibration import Calibration
from core.tracking.calibration_store import list_calibrations, load_calibration, plain_name, save_calibration
from core.tracking.guided_calibration import Phase
from core.types import Frame, HeadParams, TrackState
from tests.tracking.conftest import embedding, head, observe, pose_of, rig  # noqa: F401

SHA256 = load_open_head().sha256
BRIGHT = np.full((480, 640, 3), 140, np.uint8)
NOBODY = replace(HeadParams.neutral(49), state=TrackState.LOST)


def someone(lift: float = 0.0) -> Calibration:
    """A calibration to be told from others by one number."""
    return replace(Calibration.nobody(SHA256), shape=np.array([lift, 0.0]), residual=0.01)


class Stage:
    """Stands for the tracker: hands observations to whoever observes the session."""

    def __init__(self, session, observe, pose_of) -> None:  # noqa: F811
        self._session, self._observe, self._pose_of = session, observe, pose_of
        self.time_ns = 0
        self._cache: dict = {}

    def show(self, seconds: float, face: bool = True, scores=None, image=BRIGHT, residual=0.02, **pose) -> None:
        for i in range(round(seconds * 30)):
            self.time_ns += 33_333_333
            landmarks = None
            if face:
                key = (i % 7, repr(sorted(pose.items())), repr(scores))
                if key not in self._cache:
                    self._cache[key] = self._observe(self._pose_of(**pose), noise=0.05, seed=i % 7, scores=scores)
                landmarks = replace(self._cache[key], time_ns=self.time_ns)
            params = replace(HeadParams.neutral(49), residual=residual, time_ns=self.time_ns, scores=np.zeros(52, np.float32))
            for observer in list(self._session.observers):
                observer(Observation(Frame(image, self.time_ns), landmarks, params if face else NOBODY))


OPEN = {"jaw": 0.9, "scores": {"jawOpen": 0.8}}


@pytest.fixture
def stage(session, observe, pose_of) -> Stage:  # noqa: F811
    session.status = SourceStatus(SourceState.RUNNING, "Integrated Camera: HD (04f2)")
    return Stage(session, observe, pose_of)


@pytest.fixture
def model(session, store, rig):  # noqa: F811
    model = CalibrationModel(session, store, make_rig=lambda: rig)
    yield model
    model.close()


@pytest.fixture
def dock(qtbot, model, store):
    dock = TrackingDock(model, store)
    qtbot.addWidget(dock)
    dock.resize(340, 700)
    dock.show()
    return dock


def calibrated(model, stage, qtbot) -> None:
    model.start()
    stage.show(2.6)
    qtbot.waitUntil(lambda: model.step is not None and model.step.phase is Phase.DONE, timeout=20000)


# ----------------------------------------------------------------------------------------------------------- the course


def test_a_calibration_runs_to_its_end_is_used_and_saved_under_the_cameras_name(model, stage, session, qtbot):
    steps, progress = [], []
    model.phase_changed.connect(lambda step: steps.append(step.phase))
    model.progress.connect(progress.append)
    calibrated(model, stage, qtbot)
    assert steps[0] is Phase.REST
    assert steps[-2:] == [Phase.COMPUTING, Phase.DONE]
    assert max(progress) == 1
    assert model.current_name == "Integrated Camera HD (04f2)"
    assert list_calibrations() == [model.current_name]
    told = session.last("set_calibration")[0]
    np.testing.assert_array_equal(load_calibration(model.current_name, SHA256).offset, told.offset)
    assert model.step.before == pytest.approx(0.02)
    assert 0 < model.step.after < 0.01
    assert not model.is_running


def test_observations_from_another_thread_arrive_in_the_windows(model, stage, qtbot):
    threads = set()
    model.phase_changed.connect(lambda _: threads.add(threading.current_thread()))
    model.start()
    tracker = threading.Thread(target=stage.show, args=(2.6,))
    tracker.start()
    qtbot.waitUntil(lambda: model.step.phase is Phase.DONE, timeout=20000)
    tracker.join()
    assert threads == {threading.main_thread()}


def test_the_range_is_led_through_in_words(model, stage, qtbot):
    model.start(with_range=True)
    stage.show(2.6)
    qtbot.waitUntil(lambda: model.step.phase is Phase.OPEN)
    stage.show(0.2)
    qtbot.waitUntil(lambda: model.step.waiting_for != "")
    assert (model.step.step, model.step.steps, model.step.can_skip) == (2, 5, True)
    assert model.step.waiting_for == "Open wider"
    stage.show(1.8, **OPEN)
    qtbot.waitUntil(lambda: model.step.phase is Phase.SMILE)
    for phase in (Phase.SHUT, Phase.BROWS, Phase.COMPUTING):
        model.skip()
        assert model.step.phase is phase
    qtbot.waitUntil(lambda: model.step.phase is Phase.DONE, timeout=20000)


@pytest.mark.parametrize(("shown", "words"), [
    ({"face": False}, "No face in sight"), ({"at": (0, 0, -2.5)}, "Come closer"),
    ({"image": np.full((480, 640, 3), 8, np.uint8)}, "Too dark: turn on a light in front of you")])
def test_why_it_waits_is_told(model, stage, qtbot, shown, words):
    model.start()
    stage.show(0.5, **shown)
    qtbot.waitUntil(lambda: model.step.waiting_for == words)


def test_cancelled_leaves_everything_as_it_was(model, stage, session, qtbot):
    model.start()
    stage.show(1)
    model.cancel()
    assert model.step is None
    stage.show(3)
    qtbot.wait(50)
    assert model.step is None
    assert session.last("set_calibration") is None
    assert list_calibrations() == []


def test_cancelled_while_it_is_worked_out_nothing_comes_of_it(session, store, stage, qtbot, rig):  # noqa: F811
    gate = threading.Event()

    def late():
        gate.wait(10)
        return rig

    model = CalibrationModel(session, store, make_rig=late)
    model.start()
    stage.show(2.6)
    qtbot.waitUntil(lambda: model.step.phase is Phase.COMPUTING)
    model.cancel()
    gate.set()
    model.close()
    qtbot.wait(50)
    assert model.step is None
    assert session.last("set_calibration") is None


def test_a_computation_that_fails_is_told(session, store, stage, qtbot):
    def broken():
        raise OSError("no such file")

    model = CalibrationModel(session, store, make_rig=broken)
    model.start()
    stage.show(2.6)
    qtbot.waitUntil(lambda: model.step.phase is Phase.FAILED, timeout=10000)
    assert "such file" in model.step.instruction
    model.close()


def test_closed_it_observes_no_more(session, store):
    model = CalibrationModel(session, store)
    assert len(session.observers) == 1
    model.close()
    assert session.observers == []


# ------------------------------------------------------------------------------------------------------------ profiles


def test_a_new_calibration_can_be_given_a_name_of_its_own(model, stage, store, qtbot):
    model.camera_opened("usb-1")
    calibrated(model, stage, qtbot)
    assert model.save_as("Anna – Integrated Camera")
    assert list_calibrations() == ["Anna – Integrated Camera"]
    assert model.current_name == model.step.name == "Anna – Integrated Camera"
    assert store.settings.tracking.profiles == {"usb-1": "Anna – Integrated Camera"}


def test_naming_it_gives_back_the_profile_it_was_saved_over(model, stage, qtbot):
    """Somebody else calibrates while Anna's profile is in use: hers must survive."""
    save_calibration("Anna", someone(0.7))
    model.use("Anna")
    calibrated(model, stage, qtbot)
    assert model.current_name == "Anna"
    model.save_as("Bert")
    assert list_calibrations() == ["Anna", "Bert"]
    assert load_calibration("Anna", SHA256).shape[0] == 0.7


def test_nothing_to_save_and_bad_names_are_told(model, stage, qtbot):
    with qtbot.waitSignal(model.failed):
        assert not model.save_as("Anna")
    calibrated(model, stage, qtbot)
    with qtbot.waitSignal(model.failed):
        assert not model.save_as("../Anna")
    assert list_calibrations() == [model.current_name]


def test_the_automatic_name_is_numbered_when_it_is_taken(model, stage, qtbot):
    save_calibration("Integrated Camera HD (04f2)", someone())
    calibrated(model, stage, qtbot)
    assert model.current_name == "Integrated Camera HD (04f2) 2"


def test_a_profile_is_used_and_remembered(model, session, store):
    save_calibration("Anna", someone(0.7))
    model.camera_opened("usb-1")
    assert model.use("Anna")
    assert session.last("set_calibration")[0].shape[0] == 0.7
    assert store.settings.tracking.calibration == "Anna"
    assert store.settings.tracking.profiles["usb-1"] == "Anna"
    assert model.use("")
    assert session.last("set_calibration") == (None,)
    assert store.settings.tracking.profiles["usb-1"] == ""


def test_a_camera_recalls_its_profile(session, store, qapp):
    save_calibration("Anna", someone(0.7))
    save_calibration("Bert", someone(0.3))
    store.change("tracking", profiles={"usb-1": "Anna", "usb-2": "Bert", "usb-3": "gone"})
    model = CalibrationModel(session, store)
    for camera, name in (("usb-1", "Anna"), ("usb-2", "Bert"), ("usb-3", ""), ("usb-1", "Anna"), ("new", "")):
        model.camera_opened(camera)
        assert model.current_name == name
    model.close()


def test_the_last_profile_comes_back_with_the_program(session, store, qapp):
    save_calibration("Anna", someone(0.7))
    store.change("tracking", calibration="Anna", smoothing=2.0)
    model = CalibrationModel(session, store)
    assert session.last("set_calibration")[0].shape[0] == 0.7
    assert session.last("set_smoothing") == (2.0,)
    model.close()


def test_a_damaged_profile_is_told_when_it_is_chosen_and_passed_over_when_it_is_recalled(session, store, qtbot):
    path = save_calibration("Anna", someone())
    path.write_bytes(b"nonsense")
    store.change("tracking", calibration="Anna")
    model = CalibrationModel(session, store)
    assert model.current_name == ""
    with qtbot.waitSignal(model.failed):
        assert not model.use("Anna")
    model.close()


def test_renamed_and_removed_everywhere(model, store, session):
    save_calibration("Anna", someone(0.7))
    model.camera_opened("usb-1")
    model.use("Anna")
    assert model.rename("Anna", "Anne")
    assert (model.profiles(), model.current_name) == (["Anne"], "Anne")
    assert store.settings.tracking.profiles == {"usb-1": "Anne"}
    save_calibration("Bert", someone())
    assert not model.rename("Anne", "Bert")
    assert model.profiles() == ["Anne", "Bert"]
    model.remove("Anne")
    assert (model.profiles(), model.current_name) == (["Bert"], "")
    assert session.last("set_calibration") == (None,)
    assert "usb-1" not in store.settings.tracking.profiles or store.settings.tracking.profiles["usb-1"] == ""


@pytest.mark.parametrize(("camera", "name"), [
    ("HD Webcam (04f2:b5a7)", "HD Webcam (04f2 b5a7)"), ("../../etc", "etc"), ("   ", "Calibration"), ("é", "é"),
    ("a" * 90, "a" * 60)])
def test_names_of_cameras_become_names_of_files(camera, name):
    assert plain_name(camera) == name


# --------------------------------------------------------------------------------------------------------------- drift


def test_drift_is_told_once_and_ends_with_another_calibration(model, stage, qtbot):
    save_calibration("Anna", someone())
    model.use("Anna")
    told = []
    model.drift.connect(told.append)
    stage.show(30, residual=0.05)
    qtbot.waitUntil(lambda: told != [])
    assert len(told) == 1
    assert "Shift+X" in told[0]
    model.use("")
    assert told[1:] == [""]


def test_no_drift_without_a_profile_or_when_hints_are_off(model, stage, store, qtbot):
    told = []
    model.drift.connect(told.append)
    stage.show(30, residual=0.05)
    save_calibration("Anna", someone())
    model.use("Anna")
    store.change("tracking", drift_hints=False)
    stage.show(30, residual=0.05)
    qtbot.wait(50)
    assert told == []


# -------------------------------------------------------------------------------------------------------------- the dock


def test_a_click_calibrates_and_the_panel_leads_through_it(dock, model, stage, qtbot):
    assert dock.calibrate.isVisible()
    assert not dock.panel.isVisible()
    dock.with_range.click()
    qtbot.mouseClick(dock.calibrate, Qt.MouseButton.LeftButton)
    panel = dock.panel
    assert panel.isVisible()
    assert not dock.calibrate.isVisible()
    assert panel.title.text() == "Relax your face"
    assert not panel.skip.isVisible()
    stage.show(0.5, face=False)
    qtbot.waitUntil(lambda: "No face" in panel.waiting.text())
    stage.show(2.8)
    qtbot.waitUntil(lambda: "mouth" in panel.title.text())
    assert panel.count.text() == "Step 2 of 5"
    for _ in range(4):
        qtbot.mouseClick(panel.skip, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: model.step.phase is Phase.DONE, timeout=20000)
    assert "Saved as" in panel.outcome.text()
    assert "before 2.0 %" in panel.outcome.text()
    assert dock.profiles.currentText() == model.current_name
    qtbot.mouseClick(panel.finish, Qt.MouseButton.LeftButton)
    assert not panel.isVisible()
    assert dock.calibrate.isVisible()


def test_cancel_puts_the_panel_away(dock, model, qtbot):
    qtbot.mouseClick(dock.calibrate, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(dock.panel.finish, Qt.MouseButton.LeftButton)
    assert model.step is None
    assert not dock.panel.isVisible()


def test_profiles_are_chosen_renamed_and_deleted_in_the_dock(dock, model, qtbot, monkeypatch):
    save_calibration("Anna", someone(0.7))
    model.use("")
    dock.profiles.setCurrentIndex(dock.profiles.findData("Anna"))
    dock.profiles.activated.emit(dock.profiles.currentIndex())
    assert model.current_name == "Anna"
    monkeypatch.setattr(dock, "ask_name", lambda *_: "Anne")
    qtbot.mouseClick(dock.rename, Qt.MouseButton.LeftButton)
    assert dock.profiles.currentText() == "Anne"
    monkeypatch.setattr(dock, "may_delete", lambda _: False)
    qtbot.mouseClick(dock.delete, Qt.MouseButton.LeftButton)
    assert model.profiles() == ["Anne"]
    monkeypatch.setattr(dock, "may_delete", lambda _: True)
    qtbot.mouseClick(dock.delete, Qt.MouseButton.LeftButton)
    assert model.profiles() == []
    assert dock.profiles.currentText() == "Automatic"
    assert not dock.delete.isEnabled()


def test_the_state_says_whether_a_face_is_found_and_fits(dock, stage, qtbot):
    stage.show(0.1, residual=0.008)
    qtbot.waitUntil(lambda: "Face found" in dock.state.text())
    assert "fits well" in dock.state.text()
    dock.show_state(FaceState(True, 0.03))
    assert "fits poorly" in dock.state.text()
    dock.show_state(FaceState())
    assert "No face" in dock.state.text()


def test_smoothing_is_kept_and_told(dock, store, session, qtbot):
    dock.smoothing.slider.setValue(250)
    assert store.settings.tracking.smoothing == 2.5
    assert session.last("set_smoothing") == (2.5,)
    store.change("tracking", smoothing=0.5)
    assert dock.smoothing.slider.value() == 50


def test_the_drift_card_offers_a_new_calibration(dock, model, qtbot):
    assert not dock.drift_card.isVisible()
    model.drift.emit("The calibration no longer fits.")
    assert dock.drift_card.isVisible()
    qtbot.mouseClick(dock.recalibrate, Qt.MouseButton.LeftButton)
    assert model.is_running


def test_settings_without_a_file_serve_as_well(session, qapp):
    model = CalibrationModel(session, SettingsStore())
    assert model.current_name == ""
    model.close()
