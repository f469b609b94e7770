"""Finding people by words, and their thumbnails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from agora_app.models.people_store import PeopleStore
from agora_app.models.shelves import Shelves
from core.avatar.portraits import ABOUT


@dataclass(frozen=True)
class Description:
    """What a person is called and looks like, in words."""

    name: str
    tags: tuple[str, ...]


class PeopleFinder(QObject):
    """Knows everybody who was ever drawn on this computer.

    Signals:
        thumbnail_ready: (shelf, person, QImage); a null image when it cannot be drawn.
        known_changed: (shelf) more people can be found than before.
    """

    thumbnail_ready = Signal(str, str, object)
    known_changed = Signal(str)
    _answered = Signal(object)

    def __init__(self, shelves: Shelves, people: PeopleStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._shelves, self._people = shelves, people
        self._descriptions: dict[tuple[str, str], Description] = {}
        self._listed: set[str] = set()  # shelves whose thumbnails on disk have been listed
        self._closed = False
        self._visible: tuple[str, frozenset[str]] = ("", frozenset())
        self._pinned: tuple[str, frozenset[str]] = ("", frozenset())
        self._answered.connect(self._call)

    def describe(self, shelf: str, person: str) -> Description | None:
        """What is known of somebody, None when nobody has looked yet."""
        return self._descriptions.get((shelf, person))

    def learn(self, shelf: str, person: str, name: str, tags: tuple[str, ...]) -> None:
        """Take note of how somebody looks."""
        self._descriptions[shelf, person] = Description(name, tags)

    def search(self, text: str, shelf: str) -> tuple[str, ...]:
        """Known people for whom every word of `text` begins a word of their seed, name, tags or note; seeds first."""
        self._list_known(shelf)
        wanted = text.casefold().split()
        found = self._shelves.get(shelf)
        if not wanted or found is None:
            return ()
        notes = found.notes_key
        known = dict.fromkeys([*found.names, *self._people.favourites(notes), *self._people.recent(notes),
                               *self._people.noted(notes), *(person for key, person in self._descriptions if key == shelf)])
        hits = [person for person in known if self._matches(wanted, shelf, notes, person)]
        return tuple(sorted(hits, key=lambda person: (person != text.strip(), not person.startswith(wanted[0]))))

    def request_thumbnail(self, shelf: str, person: str) -> None:
        """Have somebody's picture made or read; `thumbnail_ready` follows unless it is given up."""
        found = self._shelves.get(shelf)
        if found is not None:
            self._when_done(found.workshop.thumbnail(person), lambda future: self._on_picture(shelf, person, future))

    def keep_thumbnails(self, shelf: str, people: Collection[str]) -> None:
        """These people can be seen: give up all pictures of others that are not begun, except of pinned people."""
        self._visible = (shelf, frozenset(people))
        self._give_up_others()

    def pin_thumbnails(self, shelf: str, people: Collection[str]) -> None:
        """Keep the requests for these people whatever can be seen; replaces earlier pins."""
        self._pinned = (shelf, frozenset(people))
        self._give_up_others()

    def close(self) -> None:
        """No more signals."""
        self._closed = True

    def _give_up_others(self) -> None:
        for shelf in self._shelves.all():
            shelf.workshop.cancel_thumbnails(frozenset().union(*(people for key, people in (self._visible, self._pinned)
                                                                 if key == shelf.key)))

    def _matches(self, wanted: list[str], shelf: str, notes: str, person: str) -> bool:
        described = self._descriptions.get((shelf, person), Description("", ()))
        hay = f"{person} {described.name} {' '.join(described.tags)} {self._people.note(notes, person)}".casefold()
        words = re.findall(r"[\w@.]+", hay.replace("+", " "))
        return all(any(word.startswith(part) for word in words) or part in person for part in wanted)

    def _list_known(self, shelf: str) -> None:
        found = self._shelves.get(shelf)
        if shelf not in self._listed and found is not None:
            self._listed.add(shelf)
            self._when_done(found.workshop.known(), lambda future: self._on_known(shelf, future))

    def _on_known(self, shelf: str, future: Future) -> None:
        if future.exception() is None:
            for person in future.result():
                self._descriptions.setdefault((shelf, person.text), Description(person.name, person.tags))
            self.known_changed.emit(shelf)

    def _on_picture(self, shelf: str, person: str, future: Future) -> None:
        image = QImage() if future.exception() is not None else QImage.fromData(future.result())
        try:
            about = json.loads(image.text(ABOUT))
            self.learn(shelf, person, str(about["name"]), tuple(map(str, about["tags"])))
        except (ValueError, KeyError, TypeError):  # a thumbnail of another origin
            pass
        self.thumbnail_ready.emit(shelf, person, image)

    def _when_done(self, future: Future, answer: Callable[[Future], None]) -> None:
        """Call `answer` in the GUI's thread, at once when the future is done already."""
        future.add_done_callback(lambda done: self._tell(done, answer))

    def _tell(self, future: Future, answer: Callable[[Future], None]) -> None:
        """Called in a thread of the workshop, or in the GUI's."""
        if not self._closed and not future.cancelled():
            self._answered.emit(lambda: answer(future))

    def _call(self, answer: Callable[[], None]) -> None:
        if not self._closed:
            answer()
