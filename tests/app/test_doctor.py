"""The doctor's window: findings in words, one run at a time, reports, and closing it early."""

from __future__ import annotations

import json
import threading

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QLabel, QPushButton

from agora_app.check_panel import CheckPanel
from agora_app.dialogs.doctor import DoctorDialog
from core.commands import doctor as command
from core.doctor import PROBES, Check, Health

CHECKS = [Check("python", Health.OK, "3.11"), Check("display", Health.LIMITED, "none"),
          Check("opencv", Health.BROKEN, "two side by side", "pip uninstall -y the-other")]


class Gate:
    """Checks that come back when they are let."""

    def __init__(self, result=CHECKS):
        self.open, self.runs, self.result = threading.Event(), 0, result

    def __call__(self):
        self.runs += 1
        assert self.open.wait(10)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def dialog(qtbot):
    dialog = DoctorDialog(run=lambda: CHECKS)
    dialog.show()
    qtbot.waitUntil(lambda: bool(dialog.panel.rows))
    yield dialog
    dialog.close()


def texts(widget):
    return [label.text() for label in widget.findChildren(QLabel)]


def test_every_finding_has_name_state_and_what_to_do(dialog):
    rows = {row.check.name: row for row in dialog.panel.rows}
    assert list(rows) == ["opencv", "display", "python"]  # what needs attention comes first
    assert [rows[name].state.text() for name in ("python", "display", "opencv")] == ["works", "limited", "broken"]
    assert [rows[name].mark.text() for name in ("python", "display", "opencv")] == ["✓", "!", "✗"]
    assert "pip uninstall -y the-other" in texts(rows["opencv"])
    assert rows["python"].copy is None
    assert "opencv" in dialog.panel.summary.text()


def test_copying_a_step_and_the_report(dialog, qtbot):
    qtbot.mouseClick(dialog.panel.rows[0].copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "pip uninstall -y the-other"
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    report = QGuiApplication.clipboard().text()
    assert all(word in report for word in ("python", "limited", "broken", "to mend: pip uninstall"))


def test_saved_as_the_command_saves_it(dialog, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("core.doctor.run_checks", lambda: CHECKS)
    command.run(command.Options(json=tmp_path / "command.json"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "window.json"), ""))
    qtbot.mouseClick(dialog.save, Qt.MouseButton.LeftButton)
    assert json.loads((tmp_path / "window.json").read_text()) == json.loads((tmp_path / "command.json").read_text())
    assert "window.json" in dialog.note.text()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "window.json"), ""))
    qtbot.mouseClick(dialog.save, Qt.MouseButton.LeftButton)
    assert "does not exist" in dialog.note.text()


def test_checks_never_run_twice_at_once(qtbot):
    gate = Gate()
    dialog = DoctorDialog(run=gate)
    dialog.show()
    assert dialog.panel.is_running
    assert not dialog.refresh.isEnabled()
    assert not dialog.save.isEnabled()
    assert not dialog.panel.refresh()
    gate.open.set()
    qtbot.waitUntil(lambda: dialog.refresh.isEnabled())
    assert gate.runs == 1
    qtbot.mouseClick(dialog.refresh, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: gate.runs == 2 and not dialog.panel.is_running)
    assert len(dialog.panel.rows) == len(CHECKS)
    dialog.close()


def test_closing_while_checks_run_is_safe(qtbot):
    gate = Gate()
    dialog = DoctorDialog(run=gate)
    dialog.show()
    panel = dialog.panel
    with qtbot.waitSignal(dialog.destroyed):
        qtbot.mouseClick(dialog.buttons.button(dialog.buttons.StandardButton.Close), Qt.MouseButton.LeftButton)
    gate.open.set()
    del dialog, panel


def test_checks_that_fail_themselves_are_told(qtbot):
    gate = Gate(RuntimeError("no idea"))
    gate.open.set()
    panel = CheckPanel(gate)
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel.finished):
        panel.refresh()
    assert "no idea" in panel.summary.text()


def test_colours_stand_out_in_both_themes(qtbot, qapp):
    from agora_app.theme import apply_theme, current_colors

    panel = CheckPanel(lambda: CHECKS)
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel.finished):
        panel.refresh()
    for theme in ("dark", "light"):
        apply_theme(qapp, theme)
        for row, role in zip(panel.rows, ("bad", "warn", "ok"), strict=True):
            colour = getattr(current_colors(), role)
            assert colour.name() in row.state.styleSheet()
            assert contrast(colour, current_colors().card) >= 4.5
    qapp.setStyleSheet("")


def contrast(a, b):
    """WCAG 2 contrast."""
    def luminance(colour):
        channels = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in colour.getRgbF()[:3]]
        return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_real_checks(qtbot):
    panel = CheckPanel()
    qtbot.addWidget(panel)
    with qtbot.waitSignal(panel.finished, timeout=60_000):
        panel.refresh()
    assert {check.name for check in panel.checks} == set(PROBES)
    assert all(isinstance(button.text(), str) for button in panel.findChildren(QPushButton))
