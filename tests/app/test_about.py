"""About, licences and the guide: what they claim is looked up elsewhere."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt, qVersion
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QLabel

from agora_app import licences
from agora_app.dialogs.about import AboutDialog
from agora_app.dialogs.guide import GuideDialog
from core.assets import resource
from core.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def about(qtbot):
    dialog = AboutDialog(renderer="CPU rasteriser")
    dialog.show()
    yield dialog
    dialog.close()


def test_the_version_is_that_of_the_project():
    assert re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE).group(1) == VERSION


def test_versions(about, qtbot):
    rows = dict(about.rows)
    assert rows["AGORA live"] == VERSION
    assert qVersion() in rows["Qt"]
    assert importlib.metadata.version("av") in rows["FFmpeg"]
    assert rows["Renderer"] == "CPU rasteriser"
    shown = [label.text() for label in about.findChildren(QLabel)]
    assert all(value in shown for value in rows.values())
    qtbot.mouseClick(about.copy, Qt.MouseButton.LeftButton)
    assert f"AGORA live: {VERSION}" in QGuiApplication.clipboard().text()


def test_x264_is_named_where_it_is_bundled(about):
    import av

    words = " ".join(label.text() for label in about.findChildren(QLabel))
    assert ("x264" in words and "GPL" in words) is ("libx264" in av.codecs_available)
    assert "agreed" in words


def test_licences_open_with_the_list_of_third_parties(about, qtbot):
    about.show_licences()
    assert about.tabs.currentWidget() is about.licences
    assert "Third-party material" in about.licences.text()
    assert "MakeHuman" in about.licences.text()


def test_every_text_can_be_read(about, qtbot):
    about.show_licences()
    reader = about.licences
    expected = {"AGORA live (Apache-2.0)": "Apache License", "GPL-2.0": "GNU GENERAL PUBLIC LICENSE", "numpy": "NumPy Developers",
                "CC0-1.0": "CC0 1.0 Universal", "LGPL-3.0": "GNU LESSER GENERAL PUBLIC LICENSE", "PySide6": "LGPL"}
    for row in range(reader.list.count()):
        reader.list.setCurrentRow(row)
        assert len(reader.text()) > 20
        assert "cannot be read" not in reader.text()
        assert expected.get(reader.list.item(row).text(), "") in reader.text()
    titles = [reader.list.item(row).text() for row in range(reader.list.count())]
    assert set(expected) <= set(titles)


def test_the_full_texts_ship():
    names = {path.stem for path in resource("licences").glob("*.txt")}
    assert {"Apache-2.0", "GPL-2.0", "GPL-3.0", "LGPL-3.0", "MPL-2.0", "CC0-1.0"} <= names


def test_a_library_that_is_missing_is_not_listed(monkeypatch):
    monkeypatch.setattr(licences, "LIBRARIES", ("numpy", "no-such-library"))
    titles = [text.title for text in licences.texts()]
    assert "numpy" in titles
    assert "no-such-library" not in titles


def test_the_guide_shows_the_keys_as_they_are_now(qtbot):
    action = QAction()
    action.setShortcut(QKeySequence("Ctrl+F9"))
    dialog = GuideDialog(SimpleNamespace(action=lambda name: action))
    dialog.show()
    assert set(dialog.keys.values()) == {QKeySequence("Ctrl+F9").toString(QKeySequence.SequenceFormat.NativeText)}
    dialog.close()


def test_the_guide_stands_alone(qtbot):
    dialog = GuideDialog()
    dialog.show()
    words = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert all(word in words for word in ("Three steps", "Calibrate", "Doctor", "Space"))
    dialog.close()


def test_the_guide_names_actions_that_exist():
    from agora_app.action_table import ACTIONS
    from agora_app.dialogs.guide import _KEYS

    known = {spec.id: spec.key for spec in ACTIONS}
    assert {name: known.get(name) for name, _ in _KEYS} == dict(_KEYS)
