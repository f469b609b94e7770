"""The dialogs that work on takes: recovering what was left unfinished, and making a take once more."""

from __future__ import annotations

import threading

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit, QMessageBox

from agora_app.dialogs import rerender as rerender_module
from agora_app.dialogs.recover import RecoverDialog
from agora_app.dialogs.rerender import RerenderDialog
from core.errors import OutputError
from core.media.video_writer import Recording
from core.pipeline.live.take import check_take, list_takes
from core.pipeline.live.take_recovery import find_unfinished_takes
from tests.app.recordings import make_model
from tests.pipeline.live.takes import abandoned, finished


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "takes"
    path.mkdir()
    return path


@pytest.fixture
def model(qtbot, session, store, folder):
    made = make_model(session, store, folder)
    yield made
    made.close()


def open_dialog(qtbot, model, folder):
    dialog = RecoverDialog(model, find_unfinished_takes(folder))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # to be looked at after it is closed
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


# --------------------------------------------------------------------------------------------------------------- recovery


def test_an_unfinished_take_is_shown_and_recovered(qtbot, model, folder):
    name = abandoned(folder, frames=60)
    assert [one.name for one in model.unfinished()] == [name]
    dialog = open_dialog(qtbot, model, folder)
    (row,) = dialog.rows
    qtbot.waitUntil(lambda: row.details.text().startswith("0:0"))
    assert not row.picture.pixmap().isNull()
    assert "kB" in row.details.text()
    with qtbot.waitSignal(dialog.recovered) as recovered:
        click(qtbot, row.recover_button)
        assert not row.recover_button.isEnabled()
    assert check_take(recovered.args[0]) == []
    assert row.details.text().startswith("Recovered")
    assert not row.recover_button.isVisible()
    assert not dialog.all_button.isVisible()
    assert dialog.close_button.text() == "Close"
    click(qtbot, dialog.close_button)
    assert not dialog.isVisible()
    qtbot.waitUntil(lambda: [take.name for take in model.takes()] == [name])


def test_several_are_decided_one_by_one(qtbot, model, folder, monkeypatch):
    for _ in range(3):
        abandoned(folder)
    dialog = open_dialog(qtbot, model, folder)
    assert len(dialog.rows) == 3
    answers = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Discard]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    click(qtbot, dialog.rows[0].discard_button)
    assert dialog.rows[0].is_open
    click(qtbot, dialog.rows[0].discard_button)
    qtbot.waitUntil(lambda: dialog.rows[0].details.text() == "Deleted.")
    click(qtbot, dialog.rows[1].later_button)
    assert "next start" in dialog.rows[1].details.text()
    click(qtbot, dialog.all_button)
    qtbot.waitUntil(lambda: not dialog.rows[2].is_open)
    dialog.close()
    assert [one.name for one in find_unfinished_takes(folder)] == [dialog.rows[1].unfinished.name]
    assert len(list_takes(folder)) == 1


def test_what_cannot_be_recovered_is_said_and_stays(qtbot, model, folder):
    abandoned(folder)
    next(folder.glob("*.part")).write_bytes(b"nothing")
    dialog = open_dialog(qtbot, model, folder)
    (row,) = dialog.rows
    qtbot.waitUntil(lambda: "no video can be read" in row.details.text())
    click(qtbot, row.recover_button)
    qtbot.waitUntil(lambda: "recovered" in row.details.text() and row.recover_button.isEnabled())
    assert row.is_open
    assert list(folder.glob("*.part"))
    dialog.reject()


def test_closing_waits_for_what_is_under_way(qtbot, folder):
    abandoned(folder)
    gate, done = threading.Event(), []

    class Slow:
        def recover(self, unfinished):
            gate.wait(10)
            done.append(unfinished.name)
            raise OutputError("the disk is gone")

    dialog = open_dialog(qtbot, Slow(), folder)
    click(qtbot, dialog.rows[0].recover_button)
    dialog.close()
    assert dialog.isVisible()
    gate.set()
    qtbot.waitUntil(lambda: not dialog.isVisible())
    assert len(done) == 1


# --------------------------------------------------------------------------------------------------------------- re-render


@pytest.fixture
def take(folder):
    return finished(folder, frames=40)


@pytest.fixture
def dialog(qtbot, take):
    made = RerenderDialog(take, "42", open_people=lambda: None)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(made)
    made.show()
    return made


class Work:
    """Stands in for the rendering; goes on when it is told to."""

    def __init__(self, monkeypatch):
        self.gate, self.seen, self.problem = threading.Event(), [], None
        monkeypatch.setattr(rerender_module, "rerender", self)

    def __call__(self, take, options, source, progress):
        self.seen.append(options)
        if self.problem:
            raise self.problem
        for done in range(1, 10_000):
            progress("rendering", done, 10_000)
            if self.gate.wait(0.005):
                break
        return [Recording(path, 40, 1.3) for path, _ in options.outputs()]


def choose(box, text):
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


def test_options_are_chosen_and_the_result_is_told(qtbot, dialog, folder, take, monkeypatch):
    work = Work(monkeypatch)
    assert dialog.name_edit.text() == f"{take.name} as 42"
    dialog.people_edit.selectAll()
    qtbot.keyClicks(dialog.people_edit, "42, 7+42@0.5")
    choose(dialog.layout_box, "All in one video")
    choose(dialog.view_box, "Turning with the head")
    choose(dialog.size_box, "256 × 256")
    dialog.background_box.setCurrentText("#203040")
    dialog.name_edit.selectAll()
    qtbot.keyClicks(dialog.name_edit, "both")
    click(qtbot, dialog.start_button)
    assert not dialog.options.isEnabled()
    qtbot.waitUntil(lambda: "of 10000 frames" in dialog.words.text())
    assert dialog.progress.value() > 0
    work.gate.set()
    with qtbot.waitSignal(dialog.made) as made:
        pass
    assert made.args[0] == [folder / "both.mp4"]
    (options,) = work.seen
    assert (options.people, options.layout, options.view, options.size, options.background, options.name) == (
        ("42", "7+42@0.5"), "grid", "follow", 256, "#203040", "both")
    assert "both.mp4" in dialog.words.text()
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    click(qtbot, dialog.folder_button)
    assert opened == [str(folder)]
    click(qtbot, dialog.close_button)
    assert not dialog.isVisible()


@pytest.mark.parametrize(("people", "background", "words"), [("anna", "gradient", "anna"), ("", "gradient", "Nobody"),
                                                             ("7", "blur", "blurred camera"), ("7", "nonsense", "no background")])
def test_wrong_options_are_said_at_once(qtbot, dialog, people, background, words):
    dialog.people_edit.setText(people)
    dialog.background_box.setCurrentText(background)
    click(qtbot, dialog.start_button)
    assert words in dialog.words.text()
    assert not dialog.is_working
    assert dialog.options.isEnabled()


def test_it_can_be_cancelled(qtbot, dialog, monkeypatch):
    Work(monkeypatch)
    click(qtbot, dialog.start_button)
    qtbot.waitUntil(lambda: "frames" in dialog.words.text())
    assert dialog.close_button.text() == "Cancel"
    click(qtbot, dialog.close_button)
    qtbot.waitUntil(lambda: not dialog.is_working)
    assert "Cancelled" in dialog.words.text()
    assert dialog.isVisible()


def test_closing_cancels(qtbot, dialog, monkeypatch):
    Work(monkeypatch)
    click(qtbot, dialog.start_button)
    qtbot.waitUntil(lambda: "frames" in dialog.words.text())
    dialog.close()
    qtbot.waitUntil(lambda: not dialog.isVisible())
    assert not dialog.is_working


def test_failures_are_words(qtbot, dialog, monkeypatch):
    work = Work(monkeypatch)
    work.problem = OutputError("the disk is full", "free some space")
    click(qtbot, dialog.start_button)
    qtbot.waitUntil(lambda: not dialog.is_working)
    assert "The disk is full (free some space)" in dialog.words.text()


def test_the_name_follows_the_person_until_it_is_changed(qtbot, dialog, take):
    dialog.people_edit.setText("9")
    assert dialog.name_edit.text() == f"{take.name} as 9"
    dialog.name_edit.selectAll()
    qtbot.keyClicks(dialog.name_edit, "mine")
    dialog.people_edit.setText("10")
    assert dialog.name_edit.text() == "mine"


@pytest.mark.parametrize("theme", ["theme_dark", "theme_light"])
def test_nothing_is_cut_off(qtbot, dialog, model, folder, request, theme):
    request.getfixturevalue(theme)
    abandoned(folder)
    recover = open_dialog(qtbot, model, folder)
    for window in (dialog, recover):
        window.adjustSize()
        for label in window.findChildren(QLabel):
            if label.isVisible() and label is not dialog.folder_label and not label.wordWrap() and label.text():
                assert label.width() >= label.sizeHint().width() - 1, label.text()
        for kind in (QAbstractButton, QComboBox, QLineEdit):
            for widget in window.findChildren(kind):
                inner = widget.objectName().startswith("qt_") or isinstance(widget.parent(), QComboBox)
                if widget.isVisible() and not inner:
                    assert widget.accessibleName() or widget.text(), widget
    recover.close()
