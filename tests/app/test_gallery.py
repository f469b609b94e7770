from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QSlider, QTabBar

from agora_app.gallery.delegate import PersonDelegate
from agora_app.gallery.dock import IdentityDock
from agora_app.gallery.model import BATCH, FIRST_SEEDS, GalleryModel, Role, short_name
from agora_app.models.cast import CastModel
from core.avatar.portraits import KnownPerson
from core.errors import InputError
from tests.app.fake_workshop import FakeWorkshop

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def workshop():
    return FakeWorkshop(ready=[str(seed) for seed in range(60)] + ["100", "1000", "2024"])


@pytest.fixture
def pack():
    return FakeWorkshop(ready=("0", "1", "2"), names=("0", "1", "2"), title="Three people")


@pytest.fixture
def cast(qtbot, session, store, workshop, pack):
    cast = CastModel(session, store, workshop, make_workshop=lambda path: pack)
    cast.choose("7")
    yield cast
    cast.close()


@pytest.fixture
def dock(qtbot, cast):
    dock = IdentityDock(cast)
    qtbot.addWidget(dock)
    dock.resize(320, 760)
    dock.show()
    qtbot.waitExposed(dock)
    return dock


def place_of(dock, person) -> QPoint:
    return dock.view.visualRect(dock.model.index(dock.model.row_of(person))).center()


def click(qtbot, dock, person, where=None) -> None:
    qtbot.mouseClick(dock.view.viewport(), LEFT, pos=where or place_of(dock, person))


def listed(dock) -> list[str]:
    return [dock.model.index(row).data(Role.PERSON) for row in range(dock.model.rowCount())]


def drop(dock, dragged: str, on: str) -> bool:
    """Drop a tile on another one, with the view's own data and events."""
    model, viewport = dock.model, dock.view.viewport()
    data = model.mimeData([model.index(model.row_of(dragged))])
    entering = QDragEnterEvent(place_of(dock, on), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    dock.view.dragEnterEvent(entering)
    event = QDropEvent(QPointF(place_of(dock, on)), Qt.DropAction.CopyAction, data, LEFT, Qt.KeyboardModifier.NoModifier)
    dock.view.dropEvent(event)
    assert viewport is not None
    return event.isAccepted()


# ------------------------------------------------------------------------------------------------------------------- model


def test_the_model_keeps_qts_rules(qtbot, cast):
    model = GalleryModel(cast)
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    tester.setUseFetchMore(False)  # it would fetch from within a reset
    for name in ("favourites", "recent", "all"):
        model.show_filter(name)
    model.fetchMore(model.index(-1))
    model.show_search("7")
    cast.toggle_favourite("12")
    assert tester.model() is model


def test_the_list_of_seeds_never_ends_and_names_nobody_twice(cast):
    model = GalleryModel(cast)
    for _ in range(5):
        assert model.canFetchMore(model.index(-1))
        model.fetchMore(model.index(-1))
    people = [model.index(row).data(Role.PERSON) for row in range(model.rowCount())]
    assert people[:12] == [str(seed) for seed in FIRST_SEEDS]
    assert len(people) == len(set(people)) == 6 * BATCH
    assert {str(seed) for seed in range(300)} <= set(people)


def test_names_under_pictures():
    assert (short_name("42"), short_name("7+42@0.07")) == ("42", "7+42 · 7 %")


def test_words_for_screen_readers(cast):
    model = GalleryModel(cast)
    cast.toggle_favourite("7")
    cast.set_note("7", "mine")
    assert model.index(0).data(Qt.ItemDataRole.AccessibleTextRole) == "seed 7, on stage, favourite\nmine"


# -------------------------------------------------------------------------------------------------------------------- dock


def test_only_visible_people_are_drawn_and_the_rest_after_scrolling(qtbot, dock, workshop):
    qtbot.waitUntil(lambda: "2024" in workshop.pictures)
    first, last = dock.view.visible_rows()
    visible = set(listed(dock)[first:last + 1])
    assert set(workshop.pictures) == visible
    assert len(visible) < 30
    qtbot.mouseClick(dock.view.viewport(), LEFT)
    dock.view.verticalScrollBar().setValue(dock.view.verticalScrollBar().maximum())
    qtbot.waitUntil(lambda: not visible & set(workshop.pictures))  # the old ones are given up
    first, last = dock.view.visible_rows()
    qtbot.waitUntil(lambda: set(listed(dock)[first:last + 1]) <= set(workshop.pictures))
    dock.hide()
    assert not workshop.pictures


def test_scrolling_to_the_end_brings_more(qtbot, dock):
    before = dock.model.rowCount()
    bar = dock.view.verticalScrollBar()
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: dock.model.rowCount() > before)


def test_the_upper_people_are_wished_last_so_that_they_come_first(qtbot, dock, workshop):
    qtbot.waitUntil(lambda: "7" in workshop.pictures)
    order = list(workshop.pictures)
    assert order.index("7") > order.index("42") > order.index("1000")


def test_pictures_appear_and_failures_are_marked(qtbot, dock, workshop):
    qtbot.waitUntil(lambda: "7" in workshop.pictures)
    workshop.draw("7")
    workshop.pictures["42"].set_exception(InputError("no"))
    qtbot.waitUntil(lambda: dock.model.picture("7") is not None)
    assert dock.model.index(0).data(Qt.ItemDataRole.DecorationRole).width() == 32
    assert dock.model.index(1).data(Role.FAILED)
    painted = dock.view.viewport().grab().toImage().pixelColor(place_of(dock, "7") - QPoint(0, 10))
    assert abs(painted.red() - 7) < 3  # the fake picture of 7
    assert abs(painted.blue() - 248) < 3


@pytest.mark.parametrize("width", [300, 340, 420])
def test_tiles_fill_the_width(qtbot, dock, width):
    dock.resize(width, 700)
    rows = [dock.view.visualRect(dock.model.index(row)) for row in range(8)]
    columns = sum(area.top() == rows[0].top() for area in rows)
    assert columns == (4 if width == 420 else 3)
    assert 0 <= dock.view.viewport().width() - rows[columns - 1].right() < 12


def test_a_click_puts_somebody_on_stage(qtbot, dock, cast):
    click(qtbot, dock, "42")
    assert cast.person == "42"
    assert dock.model.index(1).data(Role.PLACE) == "first"
    assert dock.seed_edit.text() == "42"


def test_a_click_on_the_star_makes_a_favourite_and_nothing_else(qtbot, dock, cast):
    tile = dock.view.visualRect(dock.model.index(dock.model.row_of("42")))
    click(qtbot, dock, "42", PersonDelegate.star_area(tile).center())
    assert (cast.person, cast.favourites) == ("7", ("42",))
    click(qtbot, dock, "42", PersonDelegate.star_area(tile).center())
    assert (cast.person, cast.favourites) == ("7", ())


def test_arrows_move_and_enter_uses(qtbot, dock, cast):
    dock.view.setFocus()
    dock.view.setCurrentIndex(dock.model.index(0))
    qtbot.keyClick(dock.view, Qt.Key.Key_Right)
    qtbot.keyClick(dock.view, Qt.Key.Key_Down)
    columns = dock.view.visible_rows()[1] and sum(
        dock.view.visualRect(dock.model.index(row)).top() == dock.view.visualRect(dock.model.index(0)).top() for row in range(9))
    assert dock.view.currentIndex().row() == 1 + columns
    person = listed(dock)[1 + columns]
    qtbot.keyClick(dock.view, Qt.Key.Key_Return)
    assert cast.wanted.first == person


def test_typing_a_seed(qtbot, dock, cast):
    dock.focus_seed()
    qtbot.keyClicks(dock.seed_edit, "12")
    qtbot.keyClick(dock.seed_edit, Qt.Key.Key_Return)
    assert (cast.person, dock.hint.isVisible()) == ("12", False)


def test_typing_a_word_shows_its_seed_and_nonsense_the_rule(qtbot, dock, cast, workshop):
    dock.focus_seed()
    qtbot.keyClicks(dock.seed_edit, "anna")
    qtbot.keyClick(dock.seed_edit, Qt.Key.Key_Return)
    seed = cast.building_person
    assert dock.hint.text() == f"anna → seed {seed}"
    with qtbot.waitSignal(cast.cast_changed):
        workshop.finish(seed)
    assert dock.hint.isVisible()
    assert dock.seed_edit.text() == seed
    click(qtbot, dock, "42")
    assert not dock.hint.isVisible()
    dock.focus_seed()
    qtbot.keyClicks(dock.seed_edit, "-5")
    qtbot.keyClick(dock.seed_edit, Qt.Key.Key_Return)
    assert "0 to 4294967295" in dock.hint.text()
    assert cast.person == "42"


def test_dice_star_undo_and_redo_buttons(qtbot, dock, cast, workshop):
    assert not dock.undo_button.isEnabled()
    qtbot.mouseClick(dock.dice_button, LEFT)
    rolled = cast.wanted.first
    if rolled in workshop.wishes:
        with qtbot.waitSignal(cast.cast_changed):
            workshop.finish(rolled)
    assert cast.person == rolled
    qtbot.mouseClick(dock.star_button, LEFT)
    assert cast.favourites == (rolled,)
    assert dock.star_button.isChecked()
    assert f"seed {rolled}" in dock.undo_button.toolTip()
    qtbot.mouseClick(dock.undo_button, LEFT)
    assert (cast.person, dock.star_button.isChecked(), dock.undo_button.isEnabled()) == ("7", False, False)
    qtbot.mouseClick(dock.redo_button, LEFT)
    assert cast.person == rolled


def test_favourites_and_recent_people(qtbot, dock, cast):
    qtbot.mouseClick(dock.chips.button(1), LEFT)
    assert (listed(dock), "No favourites" in dock.view.empty_text) == ([], True)
    cast.toggle_favourite("42")
    cast.toggle_favourite("12")
    assert listed(dock) == ["42", "12"]
    cast.choose("12")
    cast.next()
    assert cast.person == "42"  # next goes through the favourites
    qtbot.mouseClick(dock.chips.button(2), LEFT)
    assert listed(dock) == ["42", "12", "7"]
    qtbot.mouseClick(dock.chips.button(0), LEFT)
    cast.next()
    assert cast.person == "43"


def test_searching(qtbot, dock, cast, workshop):
    workshop.known_people = (KnownPerson("1000", "seed 1000: ginger curly hair", ("curly", "glasses")),)
    qtbot.keyClicks(dock.search_edit, "glasses")
    qtbot.waitUntil(lambda: listed(dock) == ["1000"])
    dock.search_edit.setText("345")
    assert listed(dock) == ["345"]  # a seed that nobody has seen yet
    dock.search_edit.setText("nobody like that")
    assert listed(dock) == []
    assert "Nobody is found" in dock.view.empty_text
    dock.search_edit.clear()
    assert len(listed(dock)) >= BATCH


def test_notes(qtbot, dock, cast):
    dock.view.setFocus()
    dock.view.setCurrentIndex(dock.model.index(dock.model.row_of("42")))
    qtbot.keyClick(dock.view, Qt.Key.Key_F2)
    assert dock._note.isVisible()
    qtbot.keyClicks(dock._note.edit, "friendly")
    qtbot.keyClick(dock._note.edit, Qt.Key.Key_Return)
    assert not dock._note.isVisible()
    assert cast.note("42") == "friendly"
    assert dock.model.index(1).data(Role.NOTE) == "friendly"
    dock._edit_note("42")
    qtbot.keyClicks(dock._note.edit, "never mind")
    qtbot.keyClick(dock._note.edit, Qt.Key.Key_Escape)
    assert cast.note("42") == "friendly"


def test_the_menu_of_a_person(qtbot, dock, cast):
    menu = dock.menu_for("42")
    entries = {action.text(): action for action in menu.actions()}
    assert list(entries) == ["Use", "Compare beside", "Favourite", "Edit note…", "Mix with the person on stage", "Copy seed"]
    entries["Compare beside"].trigger()
    assert cast.people_on_stage == ("7", "42")
    entries["Favourite"].trigger()
    entries["Copy seed"].trigger()
    assert (cast.favourites, QGuiApplication.clipboard().text()) == (("42",), "42")
    entries["Mix with the person on stage"].trigger()
    assert (dock.mixer.isVisible(), dock.mixer.person) == (True, "7+42@0.5")
    entries["Use"].trigger()
    assert cast.person == "42"
    menu.deleteLater()


def test_the_row_of_the_second_person(qtbot, dock, cast):
    assert not dock.beside.isVisible()
    cast.choose_second("12")
    assert dock.beside.isVisible()
    assert dock.compare_button.isChecked()
    qtbot.mouseClick(dock.swap_button, LEFT)
    assert cast.people_on_stage == ("12", "7")
    qtbot.mouseClick(dock.compare_button, LEFT)
    assert cast.people_on_stage == ("12",)
    qtbot.mouseClick(dock.clear_button, LEFT)
    assert cast.second == ""
    assert not dock.beside.isVisible()


# ------------------------------------------------------------------------------------------------------------------- mixing


def test_dropping_one_person_on_another_opens_the_mixer(qtbot, dock, cast, workshop):
    assert drop(dock, "42", "1000")
    assert dock.mixer.isVisible()
    assert dock.mixer.person == "42+1000@0.5"
    qtbot.waitUntil(lambda: "42+1000@0.5" in workshop.pictures)
    assert dock.mixer.state.text() == "Building…"
    workshop.draw("42+1000@0.5")
    qtbot.waitUntil(lambda: dock.mixer.state.text() != "Building…")
    dock.mixer.slider.setFocus()
    qtbot.keyClick(dock.mixer.slider, Qt.Key.Key_Right)
    assert dock.mixer.person == "42+1000@0.51"
    workshop.ready.add("42+1000@0.51")
    qtbot.mouseClick(dock.mixer.use_button, LEFT)
    assert cast.person == "42+1000@0.51"
    qtbot.keyClick(dock.mixer.slider, Qt.Key.Key_Escape)
    assert not dock.mixer.isVisible()
    cast.undo_stack.undo()
    assert cast.person == "7"


def test_only_the_share_at_which_the_slider_rests_is_built(qtbot, dock, workshop):
    dock._mix("7", "42")
    qtbot.waitUntil(lambda: "7+42@0.5" in workshop.pictures)
    for share in (60, 70, 80):
        dock.mixer.slider.setValue(share)
    qtbot.waitUntil(lambda: "7+42@0.8" in workshop.pictures)
    assert not {"7+42@0.5", "7+42@0.6", "7+42@0.7"} & set(workshop.pictures)
    qtbot.wait(100)  # the list asks for its own pictures again, which must not give the mix up
    assert "7+42@0.8" in workshop.pictures


def test_a_double_click_on_the_preview_uses_it(qtbot, dock, cast, workshop):
    workshop.ready.add("7+42@0.5")
    dock._mix("7", "42")
    qtbot.mouseDClick(dock.mixer.preview, LEFT)
    assert cast.person == "7+42@0.5"


@pytest.mark.parametrize("other", ["7", "7+42@0.5"])
def test_what_cannot_be_mixed_cannot_be_dropped(qtbot, dock, cast, workshop, other):
    workshop.ready.add(other)
    cast.choose(other)
    qtbot.mouseClick(dock.chips.button(2), LEFT)
    assert not drop(dock, other, "7")
    assert not dock.mixer.isVisible()
    data = QMimeData()
    data.setText("7")
    assert not dock.model.canDropMimeData(data, Qt.DropAction.CopyAction, -1, -1, dock.model.index(0))


# ------------------------------------------------------------------------------------------------------------------- packs


def test_packs_are_tabs(qtbot, dock, cast, tmp_path, monkeypatch):
    path = str(tmp_path / "people.agora")
    monkeypatch.setattr("agora_app.gallery.dock.QFileDialog.getOpenFileName", lambda *_: (path, ""))
    qtbot.mouseClick(dock.open_button, LEFT)
    qtbot.waitUntil(lambda: cast.person == "0")
    assert [dock.tabs.tabText(i) for i in range(2)] == ["Studio", "Three people"]
    assert (dock.tabs.currentIndex(), listed(dock)) == (1, ["0", "1", "2"])
    assert not drop(dock, "0", "1")
    dock.tabs.setCurrentIndex(0)
    assert listed(dock)[0] == "7"
    assert dock.model.index(dock.model.row_of("0")).data(Role.PLACE) == ""  # the other 0 is on stage
    click(qtbot, dock, "7")
    assert (cast.person, cast.shelf.key) == ("7", "")
    dock.tabs.setCurrentIndex(1)
    close = dock.tabs.tabButton(1, QTabBar.ButtonPosition.RightSide) or dock.tabs.tabButton(1, QTabBar.ButtonPosition.LeftSide)
    close.click()
    assert dock.tabs.count() == 1
    assert listed(dock)[0] == "7"
    assert Path(path).name == "people.agora"


def test_packs_that_ship_have_tabs_without_a_cross(qtbot, session, store, workshop, tmp_path):
    shelves = {"trained.agora": FakeWorkshop(ready=("7",), title="Trained"),
               "people.agora": FakeWorkshop(names=("0",), title="Mine")}
    cast = CastModel(session, store, workshop, make_workshop=lambda path: shelves[path.name],
                     shipped=(tmp_path / "trained.agora",))
    cast.choose("7")
    dock = IdentityDock(cast)
    qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: [dock.tabs.tabText(i) for i in range(dock.tabs.count())] == ["Studio", "Trained"])
    assert not dock.tabs.tabsClosable()
    cast.open_pack(tmp_path / "people.agora")
    qtbot.waitUntil(lambda: dock.tabs.count() == 3)
    sides = (QTabBar.ButtonPosition.LeftSide, QTabBar.ButtonPosition.RightSide)
    assert [any(dock.tabs.tabButton(i, side) for side in sides) for i in range(3)] == [False, False, True]
    cast.close()


# ----------------------------------------------------------------------------------------------------------------- manners


@pytest.mark.parametrize("theme", ["theme_dark", "theme_light"])
def test_nothing_is_cut_off_and_everything_has_a_name(qtbot, dock, cast, request, theme):
    request.getfixturevalue(theme)
    cast.choose_second("12")
    dock._mix("7", "42")
    dock.resize(300, 800)
    assert dock.minimumSizeHint().width() <= 300
    for button in dock.findChildren(QAbstractButton):
        if button.isVisible():
            assert button.toolTip() or button.parent() is dock.tabs
            assert button.accessibleName() or button.text() or button.parent() is dock.tabs
            assert button.width() >= button.minimumSizeHint().width()
            assert button.focusPolicy() != Qt.FocusPolicy.NoFocus or button.parent() in (dock.tabs, dock.search_edit)
    for field in (*dock.findChildren(QLineEdit), *dock.findChildren(QSlider)):
        assert field.accessibleName()
    assert not dock.grab().isNull()
