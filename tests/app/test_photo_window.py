"""Photographs, export and import in the real window: actions, drops, the banner, and what comes on stage."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog

from agora_app.exchange.export_dialog import ExportDialog
from agora_app.exchange.import_dialog import ImportDialog
from agora_app.photo.dialog import PhotoDialog
from agora_app.photo.models.job import PhotoCommands
from agora_app.photo.models.model import PhotoStage
from agora_app.window_actions import AVATAR_FILES
from core.assets import resource
from core.avatar.sources import STUDIO_PACK_NAME
from tests.app.photo_tools import PROGRAM
from tests.app.test_main_window import Stage
from tests.app.test_main_window import stage as stage


@pytest.fixture
def photos(tmp_path) -> list[str]:
    """Two pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / "anna.png", folder / "anna side.png"]
    for path in paths:
        Image.new("RGB", (60, 80), (150, 110, 90)).save(path)
    return [str(path) for path in paths]


@pytest.fixture
def studio(stage, monkeypatch):
    """The window with the fake program behind it; it hands out the studio's own pack: what is opened and drawn is real."""
    monkeypatch.setattr("agora_app.children.followed.POLL_MS", 20)
    monkeypatch.setattr("agora_app.photo.models.model.draw_views", lambda pack: ())
    monkeypatch.setenv("AGORA_FAKE_PACK", str(resource(STUDIO_PACK_NAME)))
    stage.services.photo.commands = PhotoCommands(PROGRAM)
    return stage


def dialogs(stage, kind) -> list:
    return [found for found in stage.window.findChildren(kind) if found.isVisible()]


def drop(stage, paths) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    stage.window.dropEvent(QDropEvent(QPoint(50, 50).toPointF(), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
                                      Qt.KeyboardModifier.NoModifier))


def behave(photos, plan: str) -> None:
    Path(photos[0]).with_name("behave.json").write_text(f'{{"invert": "{plan}"}}')


def begin(stage, photos, plan: str):
    """Drop photographs on the window and have a person made."""
    behave(photos, plan)
    drop(stage, photos)
    stage.qtbot.waitUntil(lambda: bool(dialogs(stage, PhotoDialog)))
    dialog = dialogs(stage, PhotoDialog)[0]
    stage.qtbot.waitUntil(lambda: bool(dialog.model.form.photos))
    dialog.form_page.consent.click()
    dialog.start_button.click()
    return dialog


def test_photos_that_are_dropped_become_a_person_on_stage(studio, photos):
    dialog = begin(studio, photos, "")
    model = studio.services.photo
    assert [path.name for path in map(Path, model.job.photos)] == ["anna.png", "anna side.png"]
    studio.qtbot.waitUntil(lambda: model.stage is PhotoStage.DONE and not model.is_drawing, timeout=30_000)
    assert not studio.window.banner.isVisible()  # the dialog says so itself
    dialog.add_button.click()
    studio.qtbot.waitUntil(lambda: not dialogs(studio, PhotoDialog), timeout=120_000)
    assert studio.services.cast.stage.shelf.endswith("Anna.agora")
    assert "Anna is in the gallery" in studio.window.toasts.texts()
    studio.wait_for_pictures(3)


def test_closed_while_it_works_the_window_tells_of_the_end(studio, photos):
    dialog = begin(studio, photos, "wait")
    model = studio.services.photo
    studio.qtbot.waitUntil(lambda: model.preview is not None, timeout=20_000)
    dialog.close()
    assert any("still being made" in text for text in studio.window.toasts.texts())
    studio.trigger("file.new_from_photo")
    assert dialogs(studio, PhotoDialog)[0].work_page.isVisible()
    dialogs(studio, PhotoDialog)[0].close()
    (model.run.path / "go on").touch()
    studio.qtbot.waitUntil(studio.window.banner.isVisible, timeout=20_000)
    assert (studio.window.banner.kind, studio.window.banner.text) == ("info", "Anna is ready")
    studio.window.banner.action_button.click()
    assert dialogs(studio, PhotoDialog)[0].result_page.isVisible()
    model.discard()


def test_a_failure_is_told_where_no_dialog_is_open(studio, photos):
    dialog = begin(studio, photos, "wait")
    model = studio.services.photo
    studio.qtbot.waitUntil(lambda: model.preview is not None, timeout=20_000)
    dialog.close()
    model.run.abort()  # somebody else has ended it
    studio.qtbot.waitUntil(lambda: model.stage is PhotoStage.FORM, timeout=20_000)
    assert not studio.window.banner.isVisible()
    behave(photos, "full")
    model.start()
    studio.qtbot.waitUntil(studio.window.banner.isVisible, timeout=20_000)
    assert (studio.window.banner.kind, studio.window.banner.text) == ("error", "Anna could not be made from the photo")


def test_found_again_at_the_next_start(studio, photos, store, qtbot):
    begin(studio, photos, "wait")
    model = studio.services.photo
    studio.qtbot.waitUntil(lambda: model.preview is not None, timeout=20_000)
    studio.close()
    later = Stage(qtbot, store)
    qtbot.addWidget(later.window, before_close_func=lambda _: later.close())
    assert later.window.banner.text == "Anna is being made from a photo"
    later.window.banner.action_button.click()
    (dialog,) = dialogs(later, PhotoDialog)
    assert dialog.work_page.isVisible()
    dialog.cancel_button.click()
    qtbot.waitUntil(lambda: later.services.photo.stage is PhotoStage.FORM, timeout=20_000)
    later.close()


def test_a_picture_given_to_the_program_still_drives(studio, photos, monkeypatch):
    opened = []
    monkeypatch.setattr(studio.services.source, "open_video", opened.append)
    studio.window.commands.open_files(photos[:1])
    assert opened == photos[:1]
    assert dialogs(studio, PhotoDialog) == []


def test_the_gallery_and_the_menu_lead_to_it(studio, qtbot):
    qtbot.mouseClick(studio.window.identity_dock.photo_button, Qt.MouseButton.LeftButton)
    assert len(dialogs(studio, PhotoDialog)) == 1
    studio.trigger("file.new_from_photo")
    assert len(dialogs(studio, PhotoDialog)) == 1


def test_export_and_import_open_from_the_menu(studio):
    studio.wait_for_pictures(1)
    studio.trigger("file.export")
    (export,) = dialogs(studio, ExportDialog)
    assert export.people_edit.text() == "7"
    assert export.start_button.isEnabled()
    studio.trigger("file.import_official")
    assert len(dialogs(studio, ImportDialog)) == 1


def test_avatar_files_of_all_kinds_can_be_opened(studio, monkeypatch):
    asked, opened = [], []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *words: (asked.append(words[-1]), ("/x/head.splat", ""))[1])
    monkeypatch.setattr(studio.services.cast, "open_pack", opened.append)
    studio.trigger("file.open_pack")
    assert AVATAR_FILES in asked[0]
    for suffix in ("*.agora", "*.ply", "*.splat"):
        assert suffix in AVATAR_FILES
    assert opened == ["/x/head.splat"]


def test_a_program_that_is_missing_is_told_in_the_form(studio, photos):
    studio.services.photo.commands = PhotoCommands((sys.executable + "-missing",))
    dialog = begin(studio, photos, "")
    assert "cannot be started" in dialog.model.form.problem.what
    assert dialog.form_page.isVisible()
