"""New from photo by real clicks: all the way, refused, cancelled, closed and found again, with dropped files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QAbstractButton, QComboBox, QFileDialog, QLineEdit, QProgressBar

from agora_app.findings import FindingCard
from agora_app.photo.models.model import PhotoStage
from agora_app.photo.models.views import PersonView
from agora_app.photo.pictures import PersonPicture, image_of, photo_size, read_photo
from core.assets import data_folder
from tests.app.photo_tools import left_behind
from tests.app.photo_tools import photo_bench as photo_bench


def click(bench, widget):
    assert widget.isVisible()
    assert widget.isEnabled(), widget.toolTip()
    bench.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(10, widget.height() // 2))


def drop(widget, *paths) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    where, keys = widget.rect().center(), (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
                                           Qt.KeyboardModifier.NoModifier)
    widget.dragEnterEvent(QDragEnterEvent(where, *keys))
    widget.dropEvent(QDropEvent(where.toPointF(), *keys))


@pytest.fixture
def filled(photo_bench):
    """A dialog that lacks nothing but the start."""

    def fill(plan: str = ""):
        photo_bench.behave(invert=plan)
        dialog = photo_bench.dialog(photo_bench.model())
        drop(dialog.form_page.photos, photo_bench.photo("anna.png"))
        click(photo_bench, dialog.form_page.consent)
        return dialog

    return fill


def cards(dialog) -> list[str]:
    return [card.what for card in dialog.findChildren(FindingCard) if card.isVisible()]


# --------------------------------------------------------------------------------------------------------- all the way


def test_from_a_photo_to_a_person_on_stage(photo_bench, qtbot, monkeypatch):
    shade = {name: np.full((8, 8, 3), value, np.uint8) for name, value in (("front", 40), ("left", 90), ("smile", 200))}
    views = tuple(PersonView(*item) for item in shade.items())
    monkeypatch.setattr("agora_app.photo.models.model.draw_views", lambda pack: views)
    dialog = photo_bench.dialog(photo_bench.model())
    form = dialog.form_page
    assert (dialog.reason.text(), dialog.start_button.isEnabled()) == ("Add a photo first", False)
    chosen = [str(photo_bench.photo("anna.png")), str(photo_bench.photo("anna-side.png"))]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (chosen, ""))
    click(photo_bench, form.photos.empty.button)
    assert [row.photo.name for row in form.photos.rows] == ["anna.png", "anna-side.png"]
    assert form.name_edit.text() == "Anna"
    form.name_edit.clear()
    qtbot.keyClicks(form.name_edit, "Anna B")
    assert dialog.reason.text() == "Say that you may use the photos"
    click(photo_bench, form.consent)
    photo_bench.behave(invert="wait")
    click(photo_bench, dialog.start_button)
    model, work = dialog.model, dialog.work_page
    photo_bench.wait(lambda: model.preview is not None and model.run.share == 0.4)
    assert work.title.text() == "Making Anna B"
    assert work.bar.value() == 400
    assert work.words.text() == "Finding the looks\n40 % · about 60 s left"
    assert [label.text() for label in work.steps.labels][1:4] == ["✓  Fitting the head", "›  Finding the looks",
                                                                   "·  Painting the skin"]
    assert not work.preview.image.isNull()
    assert not work.photo.image.isNull()
    photo_bench.go_on(model)
    photo_bench.wait(lambda: model.stage is PhotoStage.DONE and not model.is_drawing)
    result = dialog.result_page
    assert result.title.text() == "Anna B is ready"
    assert "Very like the photo" in result.verdict.text()
    assert result.views["front"].image.pixelColor(2, 2).red() == 40
    assert result.views["right"].image.isNull()
    assert result.figures.count() == 3
    photo_bench.wait(lambda: cards(dialog) == ["the second photo is blurred", "it is dark (anna-side.png)"])
    with qtbot.waitSignal(dialog.accepted, timeout=20_000):
        click(photo_bench, dialog.add_button)
    assert (data_folder() / "packs" / "Anna B.agora").is_file()
    assert photo_bench.cast.person == "0"
    assert left_behind() == []


def test_options_reach_the_command(photo_bench, filled, monkeypatch):
    dialog = filled("wait")
    form = dialog.form_page
    assert not form.keep.isChecked()
    assert not form.route_card.isVisible()
    click(photo_bench, form.fold)
    assert form.routes["auto"].isChecked()
    click(photo_bench, form.routes["generator"])
    assert form.generator_box.currentText() == "The one that ships"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/packs/Mine.agora", ""))
    form._choose_generator()
    assert form.generator_box.currentText() == "Mine"
    click(photo_bench, form.keep)
    click(photo_bench, dialog.start_button)
    assert dialog.model.job.model_dump(include={"route", "generator", "keep_photo"}) == {
        "route": "generator", "generator": "/packs/Mine.agora", "keep_photo": True}
    dialog.model.cancel()
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.FORM)
    dialog.close()
    again = photo_bench.dialog(photo_bench.model())
    assert again.form_page.route_card.isVisible()  # what was chosen is remembered, and can be seen
    assert not again.form_page.consent.isChecked()
    assert not again.form_page.keep.isChecked()


def test_generators_of_the_gallery_are_offered(photo_bench):
    pack = photo_bench._workshop(Path("Faces.agora"))
    pack.pack.generator, pack.pack.manifest.name = object(), "Faces"
    photo_bench.cast.open_pack("/x/Faces.agora")
    photo_bench.cast.open_pack("/x/Plain.agora")
    photo_bench.wait(lambda: all(shelf.ready for shelf in photo_bench.cast.shelves.all()))
    box = photo_bench.dialog(photo_bench.model()).form_page.generator_box
    assert [box.itemText(place) for place in range(box.count())] == ["The one that ships", "Faces"]


# -------------------------------------------------------------------------------------------------------------- photos


def test_files_are_dropped_and_taken_out_again(photo_bench, qtbot):
    dialog = photo_bench.dialog(photo_bench.model())
    photos = dialog.form_page.photos
    text = photo_bench.folder / "notes.txt"
    text.write_text("hello")
    drop(photos, photo_bench.photo("a.png"), text, photo_bench.photo("b.png"))
    assert [row.photo.name for row in photos.rows] == ["a.png", "b.png"]
    assert dialog.form_page.notes.text() == "notes.txt is no picture"
    kept = photos.rows[1]
    click(photo_bench, photos.rows[0].remove)
    assert photos.rows == [kept]
    qtbot.keyClick(kept.remove, Qt.Key.Key_Delete)
    assert photos.rows == []
    assert photos.empty.isVisible()


def test_a_drag_of_nothing_useful_is_left_alone(photo_bench):
    photos = photo_bench.dialog(photo_bench.model()).form_page.photos
    mime = QMimeData()
    mime.setText("hello")
    event = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton,
                            Qt.KeyboardModifier.NoModifier)
    event.ignore()
    photos.dragEnterEvent(event)
    assert not event.isAccepted()
    assert not photos.empty.is_over


def test_photographs_are_read_upright_and_small(tmp_path):
    from PIL import Image

    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6  # EXIF: a quarter clockwise
    Image.new("RGB", (400, 200), (200, 30, 30)).save(path, exif=exif)
    image = read_photo(path, 100)
    assert (image.width(), image.height()) == (50, 100)
    assert (photo_size(path).width(), photo_size(path).height()) == (200, 400)
    assert read_photo(tmp_path / "gone.png").isNull()


def test_a_picture_keeps_its_shape(qtbot, theme_light):
    picture = PersonPicture("Photo", smallest=96)
    qtbot.addWidget(picture)
    picture.resize(200, 224)
    picture.set_image(image_of(np.full((50, 100, 3), (250, 10, 10), np.uint8)))
    picture.show()
    grabbed = picture.grab().toImage()
    assert grabbed.pixelColor(100, 100).red() == 250
    assert grabbed.pixelColor(100, 20).red() != 250  # above it: it is wide


# ------------------------------------------------------------------------------------------------------- what goes wrong


def test_a_refusal_is_told_beside_the_photo(photo_bench, filled):
    dialog = filled("refuse")
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.FORM)
    (row,) = dialog.form_page.photos.rows
    assert row.words.text() == "✗ No face was found."
    assert "one face" in row.accessibleName()
    assert dialog.reason.text() == "Remove the photo that cannot be used"
    assert dialog.form_page.name_edit.text() == "Anna"
    click(photo_bench, row.remove)
    drop(dialog.form_page.photos, photo_bench.photo("better.png"))
    photo_bench.behave(invert="")
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.DONE)


def test_a_crash_is_told_and_the_form_stays(photo_bench, filled):
    dialog = filled("die")
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.FORM)
    photo_bench.wait(lambda: cards(dialog) == ["the process was ended from outside or has crashed"])
    assert dialog.start_button.isEnabled()
    assert dialog.form_page.consent.isChecked()


def test_cancelled_in_the_middle(photo_bench, filled):
    dialog = filled("wait")
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.preview is not None)
    click(photo_bench, dialog.cancel_button)
    assert dialog.work_page.title.text() == "Cancelling…"
    assert not dialog.cancel_button.isEnabled()
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.FORM)
    assert (photo_bench.processes(), left_behind()) == ([], [])
    assert len(dialog.form_page.photos.rows) == 1
    assert cards(dialog) == []


def test_a_result_is_given_up(photo_bench, filled):
    dialog = filled()
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.DONE and not dialog.model.is_drawing)
    click(photo_bench, dialog.discard_button)
    assert dialog.pages.currentIndex() == 0
    assert left_behind() == []


def test_a_person_that_cannot_be_drawn(photo_bench, filled, monkeypatch):
    def fail(pack):
        raise ValueError("no numbers")

    monkeypatch.setattr("agora_app.photo.models.model.draw_views", fail)
    dialog = filled()
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.problem)
    photo_bench.wait(lambda: "the person cannot be drawn: no numbers" in cards(dialog))
    assert dialog.add_button.isEnabled()


# --------------------------------------------------------------------------------------------------- closed and found


def test_closed_while_it_works_and_found_again(photo_bench, filled):
    dialog = filled("wait")
    told = []
    dialog.closed_while_working.connect(lambda: told.append("goes on"))
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.preview is not None)
    model = dialog.model
    click(photo_bench, dialog.close_button)
    assert told == ["goes on"]
    photo_bench.wait(lambda: not shiboken6.isValid(dialog))
    again = photo_bench.dialog(model)
    assert again.work_page.title.text() == "Making Anna"
    assert not again.work_page.preview.image.isNull()
    again.close()
    model.close()  # and with a new window
    later = photo_bench.dialog(photo_bench.model())
    assert later.work_page.title.text() == "Making Anna"
    photo_bench.go_on(later.model)
    photo_bench.wait(lambda: later.result_page.isVisible())
    assert "Anna is ready" in later.result_page.title.text()


def test_closing_the_form_says_nothing(photo_bench, filled):
    dialog = filled()
    dialog.closed_while_working.connect(lambda: pytest.fail("nothing works"))
    dialog.close()
    assert photo_bench.processes() == []


def test_photos_for_the_next_one_do_not_disturb(photo_bench, filled):
    dialog = filled("wait")
    click(photo_bench, dialog.start_button)
    dialog.add_photos([str(photo_bench.photo("other.png"))])
    assert len(dialog.model.form.photos) == 1
    dialog.model.cancel()
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.FORM)


# ------------------------------------------------------------------------------------------------------- accessibility


def test_every_control_can_be_told_apart_and_reached(photo_bench, filled):
    dialog = filled()
    dialog.form_page.fold.setChecked(True)
    for widget in dialog.findChildren(QAbstractButton):
        if widget.window() is dialog:
            assert widget.accessibleName() or widget.text(), widget
            assert widget.toolTip(), widget.text()
            assert widget.autoExclusive() or widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget.text()  # those: arrows
    for kind in (QLineEdit, QComboBox, QProgressBar):
        for widget in dialog.findChildren(kind):
            assert widget.accessibleName() or isinstance(widget.parent(), QComboBox), widget


def test_return_starts_and_escape_closes(photo_bench, filled, qtbot):
    dialog = filled("wait")
    qtbot.keyClick(dialog.form_page.name_edit, Qt.Key.Key_Return)
    assert dialog.model.stage is PhotoStage.WORKING
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    dialog.model.cancel()
    photo_bench.wait(lambda: dialog.model.stage is PhotoStage.FORM)
