"""The studio, the packs that ship with the program, and the opened ones: whose people can be had."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal

from core.assets import resource
from core.avatar.cloud_file import CLOUD_SUFFIXES
from core.avatar.pack import PACK_SUFFIX
from core.errors import AgoraError

if TYPE_CHECKING:
    from core.avatar.workshop import Workshop

log = logging.getLogger(__name__)
STUDIO = ""
AVATAR_SUFFIXES = (PACK_SUFFIX, *CLOUD_SUFFIXES)  # of files whose people can be shown
SHIPPED_PACKS = "packs"  # folder among the resources


@dataclass(eq=False)
class PeopleShelf:
    """A pack whose people can be chosen.

    Attributes:
        key: its path, "" for the studio.
        title: for the user.
        workshop: builds its people.
        names: everybody in it; empty where any seed is somebody.
        ready: it has been read and found good.
        shipped: it came with the program and stays.
    """

    key: str
    title: str
    workshop: Workshop
    names: tuple[str, ...] = ()
    ready: bool = False
    shipped: bool = False

    @property
    def notes_key(self) -> str:
        """The name under which favourites and notes are kept: a pack that is moved keeps them."""
        pack = self.workshop.pack if self.key else None
        return pack.manifest.name if pack else STUDIO


class Shelves(QObject):
    """Opens packs in the background.

    Signals:
        changed: packs have come or gone.
        opened: (key) a pack has been read.
        failed: (key, what, hint) a pack cannot be used; it is gone from the list.

    Args:
        workshop: of the studio; not closed here.
        make_workshop: makes the workshop of a pack.
    """

    changed = Signal()
    opened = Signal(str)
    failed = Signal(str, str, str)
    _answered = Signal(str, object)

    def __init__(self, workshop: Workshop, make_workshop: Callable[[Path], Workshop], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._make_workshop = make_workshop
        self._shelves = {STUDIO: PeopleShelf(STUDIO, "Studio", workshop, ready=True, shipped=True)}
        self._closed = False
        self._answered.connect(self._on_answer, Qt.ConnectionType.QueuedConnection)  # never before `open` returns

    def all(self) -> tuple[PeopleShelf, ...]:
        """The studio first, then packs in the order of opening, shipped ones before others."""
        return tuple(self._shelves.values())

    def get(self, key: str) -> PeopleShelf | None:
        return self._shelves.get(key)

    def open(self, path: str | Path, shipped: bool = False) -> str:
        """Read a pack in the background; returns its key. `opened` or `failed` follows unless it is open already."""
        key = str(Path(path).expanduser().absolute())
        if key not in self._shelves:
            self._shelves[key] = PeopleShelf(key, Path(key).stem, self._make_workshop(Path(key)), shipped=shipped)
            self.changed.emit()
            self._shelves[key].workshop.people().add_done_callback(lambda future: self._tell(key, future))
        return key

    def open_all(self, shipped: Iterable[Path], others: Iterable[str]) -> None:
        """Open the packs that came with the program, and those of the user."""
        for path in shipped:
            self.open(path, shipped=True)
        for path in others:
            self.open(path)

    def remove(self, key: str) -> None:
        """Close a pack; the studio and shipped packs stay."""
        if key in self._shelves and not self._shelves[key].shipped:
            self._drop(key)

    def close(self) -> None:
        """Close all packs."""
        self._closed = True
        for shelf in self.all()[1:]:
            shelf.workshop.close()

    def _drop(self, key: str) -> None:
        self._shelves.pop(key).workshop.close()
        self.changed.emit()

    def _tell(self, key: str, future: Future) -> None:
        """Called in the workshop's thread."""
        if not self._closed and not future.cancelled():
            self._answered.emit(key, future)

    def _on_answer(self, key: str, future: Future) -> None:
        shelf = self._shelves.get(key)
        if shelf is None:
            return
        error = future.exception()
        if error is None:
            shelf.names, shelf.title, shelf.ready = future.result(), shelf.workshop.pack.manifest.name, True
            self.changed.emit()
            self.opened.emit(key)
            return
        log.warning("%s: %s", key, error)
        self._drop(key)
        if isinstance(error, AgoraError):
            self.failed.emit(key, error.message, error.hint)
        else:
            self.failed.emit(key, f"{key} cannot be opened: {error}", "")


def shipped_packs() -> tuple[Path, ...]:
    """The packs that came with the program, by name."""
    return tuple(sorted(resource(SHIPPED_PACKS).glob(f"*{PACK_SUFFIX}")))
