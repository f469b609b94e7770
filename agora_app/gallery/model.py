"""The people in the gallery: an endless list of seeds, favourites, recent people, a search, or the people of a pack."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import IntEnum
from itertools import count, islice

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QImage, QPixmap

from agora_app.models.cast import CastModel
from agora_app.models.shelves import STUDIO
from core.avatar.person import parse_person
from core.errors import InputError

MIME_PERSON = "application/x-agora-person"
FIRST_SEEDS = (7, 42, 2024, 1000, 12, 100, 1010, 77, 1001, 5, 33, 21)  # a varied dozen to begin with
BATCH = 60
MOST_PICTURES = 300
FILTERS = ("all", "favourites", "recent")


class Role(IntEnum):
    """What the delegate asks for, beside Qt's own roles."""

    PERSON = Qt.ItemDataRole.UserRole + 1
    FAVOURITE = Qt.ItemDataRole.UserRole + 2
    NOTE = Qt.ItemDataRole.UserRole + 3
    PLACE = Qt.ItemDataRole.UserRole + 4  # "first" or "second" on stage, "building", or ""
    FAILED = Qt.ItemDataRole.UserRole + 5


class GalleryModel(QAbstractListModel):
    """What is listed, and its pictures, which are asked for only where somebody can see them.

    Signals:
        pairing: (a, b) person a was dropped on person b.
    """

    pairing = Signal(str, str)

    def __init__(self, cast: CastModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cast = cast
        self._shelf, self._filter, self._search = STUDIO, "all", ""
        self._people: list[str] = []
        self._endless = False  # more people come as one scrolls
        self._pictures: OrderedDict[tuple[str, str], QPixmap] = OrderedDict()
        self._asked: set[tuple[str, str]] = set()
        self._failed: set[tuple[str, str]] = set()
        cast.finder.thumbnail_ready.connect(self._on_picture)
        cast.finder.known_changed.connect(self._on_known)
        cast.people_changed.connect(self._on_people_changed)
        cast.cast_changed.connect(self._repaint)
        cast.building.connect(self._repaint)
        cast.build_failed.connect(self._repaint)
        cast.shelves_changed.connect(self.rebuild)
        self.rebuild()

    # -------------------------------------------------------------------------------------------------- what is listed

    @property
    def shelf(self) -> str:
        return self._shelf

    @property
    def filter(self) -> str:
        return self._filter

    def show_shelf(self, key: str) -> None:
        """List the people of a pack."""
        if key != self._shelf:
            self._shelf = key
            self.rebuild()

    def show_filter(self, name: str) -> None:
        """List "all", "favourites" or "recent"."""
        if name != self._filter:
            self._filter = name
            self.rebuild()

    def show_search(self, text: str) -> None:
        """List who is found; nothing to search for lists by the filter again."""
        if text.strip() != self._search:
            self._search = text.strip()
            self.rebuild()

    def rebuild(self) -> None:
        """List anew."""
        people, endless = self._listed(), self._lists_all_seeds()
        grown = endless and self._endless and people == self._people[:len(people)]  # what has been fetched stays
        if not grown and (people, endless) != (self._people, self._endless):
            self._endless = False  # nobody may fetch in between
            self.beginResetModel()
            self._people, self._endless = people, endless
            self.endResetModel()
        self._tell_order()

    def row_of(self, person: str) -> int:
        """-1 for nobody."""
        return self._people.index(person) if person in self._people else -1

    def person(self, index: QModelIndex | QPersistentModelIndex) -> str:
        return self._people[index.row()] if index.isValid() else ""

    # ---------------------------------------------------------------------------------------------------------- pictures

    def show_rows(self, first: int, last: int) -> None:
        """These rows can be seen: ask for their pictures, the upper ones first, and for no others."""
        seen = self._people[max(0, first):last + 1]
        self._cast.finder.keep_thumbnails(self._shelf, seen)
        self._asked &= {(self._shelf, person) for person in seen}
        for person in reversed(seen):  # the newest request is served first
            key = (self._shelf, person)
            if key not in self._pictures and key not in self._asked and key not in self._failed:
                self._asked.add(key)
                self._cast.finder.request_thumbnail(self._shelf, person)

    @property
    def is_waiting(self) -> bool:
        """Pictures of visible people are under way."""
        return bool(self._asked) or bool(self._cast.building_person)

    def picture(self, person: str) -> QPixmap | None:
        return self._pictures.get((self._shelf, person))

    # ------------------------------------------------------------------------------------------------------- Qt's questions

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._people)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if not index.isValid():
            return None
        person = self._people[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return short_name(person)
            case Qt.ItemDataRole.DecorationRole:
                return self.picture(person)
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                return self._in_words(person)
            case Role.PERSON:
                return person
            case Role.FAVOURITE:
                return self._cast.is_favourite(person, self._shelf)
            case Role.NOTE:
                return self._cast.note(person, self._shelf)
            case Role.PLACE:
                return self._place(person)
            case Role.FAILED:
                return (self._shelf, person) in self._failed
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        both = Qt.ItemFlag.ItemIsDragEnabled | Qt.ItemFlag.ItemIsDropEnabled
        return super().flags(index) | both if index.isValid() else super().flags(index)

    def canFetchMore(self, parent: QModelIndex) -> bool:
        return not parent.isValid() and self._endless

    def fetchMore(self, parent: QModelIndex) -> None:
        if self.canFetchMore(parent):
            more = _seeds(len(self._people), BATCH)
            self.beginInsertRows(QModelIndex(), len(self._people), len(self._people) + len(more) - 1)
            self._people += more
            self.endInsertRows()

    def mimeTypes(self) -> list[str]:
        return [MIME_PERSON]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        data = QMimeData()
        if indexes:
            data.setData(MIME_PERSON, self.person(indexes[0]).encode())
            data.setText(self.person(indexes[0]))
        return data

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction

    def canDropMimeData(self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: QModelIndex) -> bool:
        a, b = dragged_person(data), self.person(parent)
        return bool(a and b) and not self._cast.why_not_mix(a, b, self._shelf)

    def dropMimeData(self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: QModelIndex) -> bool:
        if not self.canDropMimeData(data, action, row, column, parent):
            return False
        self.pairing.emit(dragged_person(data), self.person(parent))
        return True

    # ------------------------------------------------------------------------------------------------------------- inside

    def _listed(self) -> list[str]:
        shelf = self._cast.shelves.get(self._shelf)
        if shelf is None:
            self._shelf = STUDIO
            return self._listed()
        if self._search:
            return self._found(shelf.names)
        if self._filter == "favourites":
            return list(self._cast.favourites_of(self._shelf))
        if self._filter == "recent":
            return list(self._cast.recent_of(self._shelf))
        return list(shelf.names) if shelf.names or not shelf.ready else _seeds(0, BATCH)

    def _lists_all_seeds(self) -> bool:
        shelf = self._cast.shelves.get(self._shelf)
        return self._filter == "all" and not self._search and shelf.ready and not shelf.names

    def _found(self, names: tuple[str, ...]) -> list[str]:
        hits = list(self._cast.search(self._search, self._shelf))
        if self._filter != "all":
            listed = self._cast.favourites_of(self._shelf) if self._filter == "favourites" else self._cast.recent_of(self._shelf)
            return [person for person in hits if person in listed]
        typed = _person_of(self._search)  # a seed that nobody has seen yet can be found, too
        return [typed, *hits] if typed and not names and typed not in hits else hits

    def _tell_order(self) -> None:
        """Next and previous go through what is listed, unless that is every seed."""
        if self._shelf == self._cast.shelf.key:
            self._cast.set_order(() if self._filter == "all" and not self._search else tuple(self._people))

    def _on_people_changed(self) -> None:
        if self._filter == "all" or self._search:
            self._repaint()
        else:
            self.rebuild()
            self._repaint()

    def _on_picture(self, shelf: str, person: str, image: QImage) -> None:
        key = (shelf, person)
        self._asked.discard(key)
        if image.isNull():
            self._failed.add(key)
        else:
            self._pictures[key] = QPixmap.fromImage(image)
            if len(self._pictures) > MOST_PICTURES:
                self._pictures.popitem(last=False)
        row = self.row_of(person) if shelf == self._shelf else -1
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row))

    def _on_known(self) -> None:
        if self._search:
            self.rebuild()

    def _repaint(self, *_) -> None:
        if self._people:
            self.dataChanged.emit(self.index(0), self.index(len(self._people) - 1))
        self._tell_order()

    def _place(self, person: str) -> str:
        cast = self._cast
        if self._shelf != cast.wanted.shelf:
            return ""
        if person == cast.building_person:
            return "building"
        on_stage = cast.people_on_stage if self._shelf == cast.stage.shelf else ()
        return ("first", "second")[on_stage.index(person)] if person in on_stage else ""

    def _in_words(self, person: str) -> str:
        described = self._cast.finder.describe(self._shelf, person)
        parts = [described.name if described else short_name(person)]
        places = {"first": self.tr("on stage"), "second": self.tr("beside"), "building": self.tr("being built")}
        parts += [places[self._place(person)]] if self._place(person) else []
        parts += [self.tr("favourite")] if self._cast.is_favourite(person, self._shelf) else []
        note = self._cast.note(person, self._shelf)
        return ", ".join(parts) + (f"\n{note}" if note else "")


def _person_of(text: str) -> str:
    """Normal form of a seed or mix, empty for anything else."""
    try:
        return parse_person(text).text
    except InputError:
        return ""


def short_name(person: str) -> str:
    """A person as written under a picture."""
    pair, at, share = person.partition("@")
    return f"{pair} · {round(100 * float(share))} %" if at else person


def dragged_person(data: QMimeData) -> str:
    """Who is being dragged, empty for something else."""
    return bytes(data.data(MIME_PERSON).data()).decode("ascii", "ignore") if data.hasFormat(MIME_PERSON) else ""


def _seeds(start: int, number: int) -> list[str]:
    """Part of the list of all seeds: the first dozen, then every other from 0 on."""
    others = (seed for seed in count() if seed not in FIRST_SEEDS)
    before = len(FIRST_SEEDS)
    head = [str(seed) for seed in FIRST_SEEDS[start:start + number]]
    skipped = max(0, start - before)
    return head + [str(seed) for seed in islice(others, skipped, skipped + number - len(head))]
