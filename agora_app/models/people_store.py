"""What the user keeps about people: favourites, notes, who was on stage lately. One file, never half-written."""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from core.assets import data_folder, write_atomically

log = logging.getLogger(__name__)
VERSION = 1
MOST_RECENT = 60
LONGEST_NOTE = 2000


class Shelf(BaseModel):
    """People of one pack, by name.

    Attributes:
        favourites: in the order in which they were chosen.
        recent: who was on stage, newest first.
        notes: what the user wrote, never empty texts.
    """

    favourites: list[str] = Field(default_factory=list)
    recent: list[str] = Field(default_factory=list)
    notes: dict[str, str] = Field(default_factory=dict)


class _File(BaseModel):
    version: int = Field(VERSION, le=VERSION)
    shelves: dict[str, Shelf] = Field(default_factory=dict)


class PeopleStore:
    """Favourites and notes by pack ("" for the studio) and person. Changes are kept in memory until `save`.

    Args:
        path: the file; by default in the user's data folder.

    Attributes:
        problem: what was wrong with the file, in words for the user; empty when nothing was. A damaged file is kept as `.bad`.
        unsaved: something has changed since the last `save`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "people.json"
        self.problem = ""
        self.unsaved = False
        self._shelves = self._read().shelves

    def favourites(self, shelf: str) -> tuple[str, ...]:
        return tuple(self._shelf(shelf).favourites)

    def recent(self, shelf: str) -> tuple[str, ...]:
        """Newest first."""
        return tuple(self._shelf(shelf).recent)

    def noted(self, shelf: str) -> tuple[str, ...]:
        """Everybody who has a note."""
        return tuple(self._shelf(shelf).notes)

    def note(self, shelf: str, person: str) -> str:
        return self._shelf(shelf).notes.get(person, "")

    def toggle_favourite(self, shelf: str, person: str) -> bool:
        """Make somebody a favourite, or no longer. Returns whether they are one now."""
        favourites = self._own(shelf).favourites
        if person in favourites:
            favourites.remove(person)
        else:
            favourites.append(person)
        return person in favourites

    def set_note(self, shelf: str, person: str, text: str) -> None:
        """Write a note; an empty text removes it."""
        notes = self._own(shelf).notes
        notes.pop(person, None)
        if text.strip():
            notes[person] = text.strip()[:LONGEST_NOTE]

    def used(self, shelf: str, person: str) -> None:
        """Somebody is on stage."""
        own = self._own(shelf)
        if own.recent[:1] != [person]:
            own.recent = [person, *(other for other in own.recent if other != person)][:MOST_RECENT]

    def save(self) -> None:
        """Write what has changed. Raises OSError when that cannot be done."""
        if self.unsaved:
            write_atomically(self.path, _File(shelves=self._shelves).model_dump_json(indent=1).encode())
            self.unsaved = False

    def _shelf(self, shelf: str) -> Shelf:
        return self._shelves.get(shelf) or Shelf()

    def _own(self, shelf: str) -> Shelf:
        self.unsaved = True
        return self._shelves.setdefault(shelf, Shelf())

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return _File()
        except OSError as error:
            self.problem = f"Favourites and notes cannot be read: {error.strerror or error}."
        except ValidationError as error:
            log.warning("%s: %s", self.path, error)
            self.problem = "The file of favourites and notes is damaged or from a newer version of the program."
        bad = self.path.with_name(self.path.name + ".bad")
        try:
            self.path.replace(bad)
            self.problem += f" It was put aside as {bad.name}."
        except OSError as error:
            log.warning("%s cannot be put aside: %s", self.path, error)
        return _File()
