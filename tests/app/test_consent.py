"""The note on real people's footage: asked once, with a box to be ticked."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox

from agora_app.dialogs.consent import ConsentDialog, confirm_leaving, require_consent


def answer(qtbot, *clicks, keys=()):
    """When a modal dialog opens, click its widgets by attribute and press keys."""
    def act():
        dialog = QApplication.activeModalWidget()
        for name in clicks:
            widget = getattr(dialog, name)
            place = QPoint(12, widget.height() // 2) if name == "box" else widget.rect().center()
            qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=place)
        for key in keys:
            qtbot.keyClick(dialog, key)

    QTimer.singleShot(0, act)


def test_agreeing_is_remembered_and_not_asked_again(qtbot, store):
    answer(qtbot, "box", "accept_button")
    assert require_consent(store)
    assert store.settings.application.consent
    assert require_consent(store)  # would wait for ever if it asked
    assert QApplication.activeModalWidget() is None


@pytest.mark.parametrize(("clicks", "keys"), [(("decline_button",), ()), (("box", "decline_button"), ()),
                                              ((), (Qt.Key.Key_Escape,))])
def test_declining_keeps_nothing_and_may_be_asked_again(qtbot, store, clicks, keys):
    answer(qtbot, *clicks, keys=keys)
    assert not require_consent(store)
    assert not store.settings.application.consent
    answer(qtbot, "box", "accept_button")
    assert require_consent(store)


def test_without_the_box_there_is_no_agreeing(qtbot):
    dialog = ConsentDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.accept_button.isEnabled()
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.keyClick(dialog, Qt.Key.Key_Return)
    assert dialog.isVisible()
    dialog.accept()
    assert dialog.isVisible()
    qtbot.mouseClick(dialog.box, Qt.MouseButton.LeftButton, pos=QPoint(12, dialog.box.height() // 2))
    assert dialog.accept_button.isEnabled()


@pytest.mark.parametrize(("label", "agreed"), [("Send", True), ("Do not send", False)])
def test_sending_to_another_machine_is_agreed_to_in_words(qtbot, label, agreed):
    seen = []

    def act():
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        seen.append(box.text())
        assert box.defaultButton().text() == "Do not send"
        qtbot.mouseClick(next(button for button in box.buttons() if button.text() == label), Qt.MouseButton.LeftButton)

    QTimer.singleShot(0, act)
    assert confirm_leaving("to 10.0.0.5") is agreed
    assert seen == ["to 10.0.0.5"]
