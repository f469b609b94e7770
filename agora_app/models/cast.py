"""Who is on stage: choosing, mixing, comparing and undoing, without ever waiting for a person to be built."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack

from agora_app.models.people_finder import PeopleFinder
from agora_app.models.people_store import PeopleStore
from agora_app.models.shelves import STUDIO, PeopleShelf, Shelves
from agora_app.models.stage import Stage, StageChange
from agora_app.settings.store import SettingsStore
from core.avatar.identity import MAX_SEED, Identity
from core.avatar.person import mix_of, parse_person
from core.avatar.workshop import Workshop
from core.errors import AgoraError, InputError
from core.pipeline.live.state import Cast

log = logging.getLogger(__name__)
DEFAULT_PERSON = "7"
ROLLED_BELOW = 1_000_000  # seeds short enough to be told to somebody
_UNDO_LIMIT = 200
_SAVE_DELAY_MS = 1000
_PRELOADED_FAVOURITES = 9


@dataclass(frozen=True, eq=False)
class _Wish:
    """A stage that is being prepared."""

    stage: Stage
    futures: tuple[Future[Identity], ...]
    record: bool
    step: bool
    at: float


class CastModel(QObject):
    """The first and the second person, packs, favourites and notes.

    A person is named by a text: a seed ("7") or a mix ("7+42@0.5"). Nothing here waits: while somebody is being built the
    others stay on stage, and a newer choice replaces one that is not ready yet.

    Signals:
        cast_changed: other people are on stage.
        building: (person) the person has to be built first, which takes about two seconds.
        build_failed: (person, why).
        failed: (what, hint) for the user.
        shelves_changed: packs have come or gone.
        people_changed: favourites, notes or recent people are different.

    Args:
        workshop: of the studio; the caller closes it.
        make_workshop: makes the workshop of a pack.
        people: favourites and notes; by default the user's.
        shipped: packs that are always there and in no settings.
    """

    cast_changed = Signal()
    building = Signal(str)
    build_failed = Signal(str, str)
    failed = Signal(str, str)
    shelves_changed = Signal()
    people_changed = Signal()
    _arrived = Signal(object)

    def __init__(self, session, store: SettingsStore, workshop: Workshop, parent: QObject | None = None, *,
                 make_workshop: Callable[[Path], Workshop] = Workshop, people: PeopleStore | None = None,
                 shipped: Sequence[Path] = (), clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._session, self._store, self._clock = session, store, clock
        self._people = people or PeopleStore()
        self._stage = Stage()
        self._wish: _Wish | None = None
        self._order: tuple[str, ...] = ()
        self._closed = False
        self._saying_hello: set[str] = set()  # packs that the user is waiting for
        self.undo_stack = QUndoStack(self)
        self.undo_stack.setUndoLimit(_UNDO_LIMIT)
        self.shelves = Shelves(workshop, make_workshop, self)
        self.finder = PeopleFinder(self.shelves, self._people, self)
        self._save_timer = QTimer(self)
        self._save_timer.setSingleShot(True)
        self._save_timer.setInterval(_SAVE_DELAY_MS)
        self._save_timer.timeout.connect(self._save)
        self._arrived.connect(self._on_arrival)
        self.shelves.changed.connect(self.shelves_changed)
        self.shelves.opened.connect(self._on_opened)
        self.shelves.failed.connect(self._on_open_failed)
        self.shelves.open_all(shipped, store.settings.identity.packs)
        if self._people.problem:
            QTimer.singleShot(0, self, lambda: self.failed.emit(self._people.problem, ""))

    # --------------------------------------------------------------------------------------------------------- what is so

    @property
    def stage(self) -> Stage:
        """What is on stage now."""
        return self._stage

    @property
    def wanted(self) -> Stage:
        """What is being prepared, else what is on stage."""
        return self._wish.stage if self._wish else self._stage

    @property
    def person(self) -> str:
        """The first person; empty before the first one is ready."""
        return self._stage.first

    @property
    def second(self) -> str:
        """The person to compare with, shown or not; may be empty."""
        return self._stage.second

    @property
    def people_on_stage(self) -> tuple[str, ...]:
        return self._stage.people if self._stage.first else ()

    @property
    def building_person(self) -> str:
        """Who is being built for the stage, empty for nobody."""
        return next((name for name, future in zip(self._wish.stage.people, self._wish.futures, strict=True)
                     if not future.done()), "") if self._wish else ""

    @property
    def shelf(self) -> PeopleShelf:
        """The pack of the people who are wanted on stage."""
        key = self.wanted.shelf if self.wanted.first else self._store.settings.identity.pack
        return self.shelves.get(key) or self.shelves.get(STUDIO)

    # ---------------------------------------------------------------------------------------------------------- choosing

    def choose(self, person: str, shelf: str | None = None) -> None:
        """Put somebody on stage as soon as they are ready.

        Args:
            person: by name.
            shelf: key of the pack; the present one when left out.
        """
        key = self.shelf.key if shelf is None else shelf
        with self._words():
            name = self._known(parse_person(person).text, key)
            self._want(self._with_first(name, key))

    def choose_typed(self, text: str, shelf: str | None = None) -> tuple[bool, str]:
        """Choose whom the user has typed: a seed, a mix, or any word, which becomes a seed.

        Returns:
            Whether that is somebody, and what to tell: the seed of a word, or what is wrong.
        """
        key = self.shelf.key if shelf is None else shelf
        try:
            person = parse_person(text, hash_words=not self.shelves.get(key).names)
            name = self._known(person.text, key)
        except AgoraError as error:
            return False, str(error)
        self._want(self._with_first(name, key))
        word = text.strip()
        is_word = not word[:1].isdigit()
        return True, f"{word} → seed {name}" if is_word else ""

    def roll(self) -> str:
        """Somebody at random. Returns who."""
        names = self.shelf.names
        person = secrets.choice(names) if names else str(secrets.randbelow(ROLLED_BELOW))
        self.choose(person)
        return person

    def next(self) -> None:
        """The next one of the list in the gallery, else the next seed."""
        self._step(1)

    def previous(self) -> None:
        """The previous one of the list in the gallery, else the previous seed."""
        self._step(-1)

    def set_order(self, order: tuple[str, ...]) -> None:
        """What `next` and `previous` go through, beside packs; empty for all seeds."""
        self._order = tuple(order)

    def choose_second(self, person: str) -> None:
        """Put somebody beside the first person."""
        with self._words():
            name = self._known(parse_person(person).text, self.shelf.key)
            self._want(replace(self.wanted, second=name, side_by_side=True))

    def clear_second(self) -> None:
        """Only one person, and nobody to compare with."""
        if self.wanted.second:
            self._want(replace(self.wanted, second="", side_by_side=False))

    def swap(self) -> None:
        """Let the two people change places."""
        wanted = self.wanted
        if wanted.second:
            self._want(replace(wanted, first=wanted.second, second=wanted.first))

    def set_compare(self, mode: str) -> None:
        """Show one person ("single") or both ("side-by-side"), if there is a second one."""
        if mode not in ("single", "side-by-side"):
            raise ValueError(f"there is no way to compare called {mode!r}")
        if self.wanted.second:
            self._want(replace(self.wanted, side_by_side=mode == "side-by-side"))

    # ------------------------------------------------------------------------------------------------------------- mixing

    def mix(self, a: str, b: str, t: float) -> None:
        """Put the person between two people on stage; `t` 0..1 is the share of `b`."""
        with self._words():
            self.choose(self.mix_name(a, b, t))

    def mix_name(self, a: str, b: str, t: float) -> str:
        """Name of the person between two people. Raises InputError when they cannot be mixed."""
        reason = self.why_not_mix(a, b)
        if reason:
            raise InputError(reason, "mix two people of the studio")
        return mix_of(int(a), int(b), round(100 * min(1.0, max(0.0, t)))).text

    def why_not_mix(self, a: str, b: str, shelf: str | None = None) -> str:
        """Why two people cannot be mixed, in words; empty when they can."""
        present = self.shelf if shelf is None else self.shelves.get(shelf)
        if present is not None and present.names:
            return "People of a pack are finished and cannot be mixed"
        if "+" in a or "+" in b:
            return "A mix cannot be mixed again"
        return "A person cannot be mixed with themselves" if a == b else ""

    # -------------------------------------------------------------------------------------------------------------- packs

    def open_pack(self, path: str | Path) -> None:
        """Read a pack in the background and put its first person on stage."""
        key = self.shelves.open(path)
        shelf = self.shelves.get(key)
        if shelf.ready:
            self._greet(shelf)
        else:
            self._saying_hello.add(key)

    def close_pack(self, key: str) -> None:
        """Put a pack away; if its people are on stage, a studio person takes over. The studio and shipped packs stay."""
        shelf = self.shelves.get(key)
        if shelf is None or shelf.shipped:
            return
        self.undo_stack.clear()  # it may name people who can no longer be had
        if self.wanted.shelf == key:
            self._want(Stage(STUDIO, DEFAULT_PERSON), record=False)
        self.shelves.remove(key)
        self._remember_packs()

    # ---------------------------------------------------------------------------------------------- favourites and notes

    @property
    def favourites(self) -> tuple[str, ...]:
        """Of the present pack."""
        return self.favourites_of(None)

    def favourites_of(self, shelf: str | None) -> tuple[str, ...]:
        return self._people.favourites(self._notes_key(shelf))

    def recent_of(self, shelf: str | None) -> tuple[str, ...]:
        """Who was on stage, newest first."""
        return self._people.recent(self._notes_key(shelf))

    def is_favourite(self, person: str, shelf: str | None = None) -> bool:
        return person in self.favourites_of(shelf)

    def toggle_favourite(self, person: str = "", shelf: str | None = None) -> None:
        """Make somebody a favourite, or no longer; by default the first person on stage."""
        person = person or self.wanted.first
        if person:
            self._people.toggle_favourite(self._notes_key(shelf), person)
            self._people_have_changed()

    def note(self, person: str, shelf: str | None = None) -> str:
        return self._people.note(self._notes_key(shelf), person)

    def set_note(self, person: str, text: str, shelf: str | None = None) -> None:
        """Write a note about somebody; an empty text removes it."""
        self._people.set_note(self._notes_key(shelf), person, text)
        self._people_have_changed()

    def search(self, text: str, shelf: str | None = None) -> tuple[str, ...]:
        """Everybody known whose seed, name, tags or note holds all words of a text."""
        return self.finder.search(text, self.shelf.key if shelf is None else shelf)

    def close(self) -> None:
        """Write what is unwritten and close the packs."""
        if not self._closed:
            self._closed = True
            self._wish = None
            self._save_timer.stop()
            self._save()
            self.undo_stack.blockSignals(True)  # it tells of its own end, to widgets that may be gone by then
            self.finder.close()
            self.shelves.close()

    # ------------------------------------------------------------------------------------------------------------- inside

    @contextlib.contextmanager
    def _words(self):
        """Tell what is wrong with a choice instead of raising it."""
        try:
            yield
        except AgoraError as error:
            self.failed.emit(error.message, error.hint)

    def _notes_key(self, shelf: str | None) -> str:
        found = self.shelf if shelf is None else self.shelves.get(shelf)
        return found.notes_key if found else STUDIO

    def _known(self, name: str, key: str) -> str:
        """Raises InputError when a pack has nobody of that name; packs that are still being read answer later."""
        shelf = self.shelves.get(key)
        if shelf is None:
            raise InputError("The pack of this person is no longer open", "open it again")
        if shelf.names and name not in shelf.names:
            raise InputError(f"'{shelf.title}' has nobody called {name}", f"it holds {len(shelf.names)} people")
        return name

    def _with_first(self, name: str, key: str) -> Stage:
        if not self.wanted.first and key == self._store.settings.identity.pack:  # the start of the program
            kept = self._store.settings.identity
            return Stage(key, name, kept.second, kept.compare == "side-by-side")
        return replace(self.wanted, first=name) if key == self.wanted.shelf and self.wanted.first else Stage(key, name)

    def _step(self, by: int) -> None:
        if self.wanted.first:
            self._want(replace(self.wanted, first=self._neighbour(self.wanted.first, by)), step=True)

    def _neighbour(self, person: str, by: int) -> str:
        order = self._order or self.shelf.names
        if person in order:
            return order[(order.index(person) + by) % len(order)]
        if order:
            return order[0 if by > 0 else -1]
        return str((parse_person(person).seed + by) % (MAX_SEED + 1))

    def _want(self, stage: Stage, record: bool = True, step: bool = False) -> None:
        """Prepare a stage; it is taken as soon as everybody is ready."""
        if self._closed:
            return
        workshop = self.shelves.get(stage.shelf).workshop
        for shelf in self.shelves.all():
            shelf.workshop.cancel_identities(stage.people if shelf.workshop is workshop else ())
        wish = _Wish(stage, tuple(workshop.identity(person) for person in stage.people), record, step, self._clock())
        self._wish = wish
        if all(future.done() for future in wish.futures):
            self._on_arrival(wish)
            return
        self.building.emit(self.building_person or stage.first)
        for future in wish.futures:
            future.add_done_callback(lambda _: self._tell(wish))

    def _tell(self, wish: _Wish) -> None:
        """Called in a thread of the workshop."""
        if not self._closed and wish is self._wish and all(future.done() for future in wish.futures):
            self._arrived.emit(wish)

    def _on_arrival(self, wish: _Wish) -> None:
        if wish is not self._wish or any(future.cancelled() for future in wish.futures):
            return  # superseded
        self._wish = None
        for person, future in zip(wish.stage.people, wish.futures, strict=True):
            if future.exception() is not None:
                self._on_build_failed(wish.stage, person, future.exception())
                return
        self._take(wish, tuple(future.result() for future in wish.futures))

    def _take(self, wish: _Wish, identities: tuple[Identity, ...]) -> None:
        before, self._stage = self._stage, wish.stage
        shelf = self.shelves.get(wish.stage.shelf)
        self._session.set_cast(Cast(shelf.workshop.pack, identities))
        for person, identity in zip(wish.stage.people, identities, strict=True):
            self.finder.learn(shelf.key, person, identity.name, identity.tags)
        self._people.used(shelf.notes_key, wish.stage.first)
        self._store.change("identity", pack=wish.stage.shelf, person=wish.stage.first, second=wish.stage.second,
                           compare="side-by-side" if wish.stage.side_by_side else "single")
        if wish.record and before.first and before != wish.stage:
            self.undo_stack.push(StageChange(before, wish.stage, self._go_back_to, wish.step, wish.at))
        self._people_have_changed()
        self.cast_changed.emit()
        self._preload()

    def _go_back_to(self, stage: Stage) -> None:
        if self.shelves.get(stage.shelf) is not None:
            self._want(stage, record=False)

    def _on_build_failed(self, stage: Stage, person: str, error: BaseException) -> None:
        log.warning("person %s: %s", person, error)
        shelf = self.shelves.get(stage.shelf)
        self.build_failed.emit(person, getattr(error, "message", str(error)))
        if shelf is not None and (shelf.ready or shelf.key not in self._store.settings.identity.packs):
            self.failed.emit(getattr(error, "message", f"Person {person} cannot be built: {error}"), getattr(error, "hint", ""))
        if not self._stage.first and stage != Stage(STUDIO, DEFAULT_PERSON):  # nobody is on stage yet
            self._want(Stage(STUDIO, DEFAULT_PERSON), record=False)

    def _preload(self) -> None:
        """Have those in memory who are likely to come next."""
        first = self._stage.first
        likely = [self._neighbour(first, 1), self._neighbour(first, -1), self._stage.second,
                  *self.favourites[:_PRELOADED_FAVOURITES]]
        names = self.shelf.names
        self.shelf.workshop.preload(list(dict.fromkeys(p for p in likely if p and p != first and (not names or p in names))))

    def _on_opened(self, key: str) -> None:
        self._remember_packs()
        if key in self._saying_hello:
            self._saying_hello.discard(key)
            self._greet(self.shelves.get(key))

    def _greet(self, shelf: PeopleShelf) -> None:
        person = shelf.names[0] if shelf.names else self.wanted.first or DEFAULT_PERSON
        self.choose(person, shelf.key)

    def _on_open_failed(self, key: str, what: str, hint: str) -> None:
        self._saying_hello.discard(key)
        self._remember_packs()  # told once, not at every start
        if self._store.settings.identity.pack == key:
            self._store.change("identity", pack=STUDIO)
        self.failed.emit(what, hint)
        if self.wanted.shelf == key or not self.wanted.first:
            self._want(Stage(STUDIO, DEFAULT_PERSON), record=False)

    def _remember_packs(self) -> None:
        self._store.change("identity", packs=tuple(shelf.key for shelf in self.shelves.all() if not shelf.shipped))

    def _people_have_changed(self) -> None:
        self._save_timer.start()
        self.people_changed.emit()

    def _save(self) -> None:
        try:
            self._people.save()
        except OSError as error:
            log.warning("%s cannot be written: %s", self._people.path, error)
            if not self._closed:
                self.failed.emit(f"Favourites and notes cannot be saved: {error.strerror or error}",
                                 f"make room for {self._people.path}")
