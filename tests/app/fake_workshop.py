"""A workshop that builds nobody, for tests of models and docks."""

from __future__ import annotations

import io
import json
from concurrent.futures import Future
from dataclasses import dataclass
from types import SimpleNamespace

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.avatar.person import parse_person
from core.avatar.portraits import ABOUT, KnownPerson

LOOKS = {"7": ("bun", "dyed hair"), "42": ("braids", "black hair"), "100": ("bald", "glasses")}


@dataclass
class FakeIdentity:
    name: str
    tags: tuple[str, ...]


class FakeWorkshop:
    """Builds when told to: `ready` people are at hand, others wait in `wishes` for `finish`."""

    def __init__(self, ready=(), names=(), title="studio", error=None) -> None:
        self.ready, self.names, self.error = set(ready), tuple(names), error
        self.pack = SimpleNamespace(manifest=SimpleNamespace(name=title, kind="photo", head_sha256=""))
        self.wishes: dict[str, Future] = {}
        self.pictures: dict[str, Future] = {}
        self.preloaded: list[str] = []
        self.known_people: tuple[KnownPerson, ...] = ()
        self.closed = False

    def identity(self, person):
        if person in self.ready:
            return self._done(FakeIdentity(f"seed {person}", LOOKS.get(person, ())))
        return self.wishes.setdefault(person, Future())

    def finish(self, person, error=None):
        future = self.wishes.pop(person)
        if error is not None:
            future.set_exception(error)
        else:
            self.ready.add(person)
            future.set_result(FakeIdentity(f"seed {person}", LOOKS.get(person, ())))

    def thumbnail(self, person):
        return self.pictures.setdefault(person, Future())

    def draw(self, person):
        self.pictures[person].set_result(png(person))

    def cancel_identities(self, keep=()):
        for person in set(self.wishes) - set(keep):
            self.wishes.pop(person).cancel()

    def cancel_thumbnails(self, keep=()):
        for person in set(self.pictures) - set(keep):
            self.pictures.pop(person).cancel()

    def preload(self, people):
        self.preloaded = list(people)

    def people(self):
        return self._done(self.names) if self.error is None else self._failed(self.error)

    def known(self):
        return self._done(self.known_people)

    def close(self):
        self.closed = True

    @staticmethod
    def _done(result):
        future = Future()
        future.set_result(result)
        return future

    @staticmethod
    def _failed(error):
        future = Future()
        future.set_exception(error)
        return future


def png(person: str) -> bytes:
    info = PngInfo()
    info.add_text(ABOUT, json.dumps({"name": f"seed {person}", "tags": LOOKS.get(person, ())}))
    content = io.BytesIO()
    shade = parse_person(person).seed % 200
    Image.new("RGB", (32, 32), (shade, 80, 255 - shade)).save(content, "PNG", pnginfo=info)
    return content.getvalue()
