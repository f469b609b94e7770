"""What the user asks for: photographs of one person, a name, and how the avatar is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.children.answers import Problem
from agora_app.models.shelves import shipped_packs
from agora_app.photo.models.job import PhotoJob
from agora_app.settings.store import SettingsStore
from core.media.image import is_image
from core.pipeline.live.take import safe_name

ROUTES = ("auto", "studio", "generator")
MOST_PHOTOS = 8
LONGEST_NAME = 60  # characters
_NOT_NAMES = ("img", "dsc", "image", "photo", "pic", "picture", "screenshot", "p", "dscn", "pxl", "mvimg")


class PhotoForm(QObject):
    """The form. Route and generator are remembered in the settings; photographs and name are nobody's business.

    Signals:
        changed: anything is different.
        photos_changed: photographs have come or gone, or what is wrong with one is different.

    Attributes:
        photos: paths, in the order in which they were added.
        name: of the person.
        keep_photo: whether the photographs are kept in the avatar.
        problem: what went wrong last and is nobody's fault among the photographs; None when nothing did.
        notes: files that were not taken lately, in words.
    """

    changed = Signal()
    photos_changed = Signal()

    def __init__(self, store: SettingsStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self.photos: tuple[Path, ...] = ()
        self.name = ""
        self.keep_photo = False
        self.problem: Problem | None = None
        self.notes: tuple[str, ...] = ()
        self._name_is_mine = True  # nobody has typed one
        self._blamed: dict[Path, Problem] = {}

    # ------------------------------------------------------------------------------------------------------- what is so

    @property
    def route(self) -> str:
        return self._store.settings.photo.route

    @property
    def generator(self) -> str:
        """Path of the pack whose generator is used; empty for the one that ships."""
        return self._store.settings.photo.generator

    @property
    def folder(self) -> str:
        """Where photographs were chosen last; empty at first."""
        return self._store.settings.photo.folder

    def problem_of(self, photo: Path) -> Problem | None:
        """What is wrong with one of the photographs."""
        return self._blamed.get(photo)

    def reason(self, agreed: bool) -> str:
        """What is missing before it can begin, in words; empty when nothing is."""
        if not self.photos:
            return self.tr("Add a photo first")
        if not self.name.strip():
            return self.tr("Give the person a name")
        if self._blamed:
            return self.tr("Remove the photo that cannot be used")
        if self.route == "generator" and not self.generator and not shipped_packs():
            return self.tr("Choose the pack whose generator is used")
        if not agreed:
            return self.tr("Say that you may use the photos")
        return ""

    def job(self) -> PhotoJob:
        """What is asked for."""
        return PhotoJob(photos=tuple(str(photo) for photo in self.photos), name=safe_name(self.name, LONGEST_NAME) or "person",
                        route=self.route, generator=self.generator if self.route != "studio" else "", keep_photo=self.keep_photo)

    # --------------------------------------------------------------------------------------------------------- changing

    def add(self, paths: Iterable[str | Path]) -> None:
        """Add pictures; what is none, is there already, or is one too many is told in `notes`."""
        notes, photos = [], list(self.photos)
        for path in (Path(path).absolute() for path in paths):
            if not _is_picture(path):
                notes.append(self.tr("{0} is no picture").format(path.name))
            elif path in photos:
                notes.append(self.tr("{0} is there already").format(path.name))
            elif len(photos) >= MOST_PHOTOS:
                notes.append(self.tr("{0} photos are enough; {1} was left out").format(MOST_PHOTOS, path.name))
            else:
                photos.append(path)
        self.notes = tuple(notes)
        if photos != list(self.photos):
            self._store.change("photo", folder=str(photos[-1].parent))
        self._take(photos)

    def remove(self, photo: Path) -> None:
        """Take a photograph out again."""
        self._blamed.pop(photo, None)
        self.notes = ()
        self._take([other for other in self.photos if other != photo])

    def set_name(self, name: str) -> None:
        """What the user has typed; an emptied field gets a suggestion again with the next photograph."""
        if name != self.name:
            self.name, self._name_is_mine = name, not name.strip()
            self.changed.emit()

    def set_keep_photo(self, keep: bool) -> None:
        if keep != self.keep_photo:
            self.keep_photo = keep
            self.changed.emit()

    def set_route(self, route: str) -> None:
        self._store.change("photo", route=route)
        self.changed.emit()

    def set_generator(self, pack: str) -> None:
        self._store.change("photo", generator=pack)
        self.changed.emit()

    def blame(self, problem: Problem) -> None:
        """Keep what went wrong, beside the photographs it names; none named and only one there, beside that one."""
        named = [photo for photo in self.photos if str(photo) in problem.what] or \
            [photo for photo in self.photos if photo.name in problem.what]
        for photo in named:
            what = problem.what.replace(str(photo), photo.name).removeprefix(f"{photo.name}:").strip()
            self._blamed[photo] = Problem(what, problem.mend)
        self.problem = None if named else problem
        self.photos_changed.emit()
        self.changed.emit()

    def forgive(self) -> None:
        """Forget what went wrong."""
        self.problem, self._blamed, self.notes = None, {}, ()
        self.photos_changed.emit()
        self.changed.emit()

    def show_job(self, job: PhotoJob) -> None:
        """Fill in what an earlier window asked for."""
        self.name, self._name_is_mine, self.keep_photo = job.name, False, job.keep_photo
        self._take([Path(photo) for photo in job.photos])

    def clear(self) -> None:
        """An empty form, for the next person."""
        self.name, self._name_is_mine, self.keep_photo = "", True, False
        self.problem, self._blamed, self.notes = None, {}, ()
        self._take([])

    def _take(self, photos: Sequence[Path]) -> None:
        self.photos = tuple(photos)
        if self._name_is_mine:
            self.name = next(filter(None, map(suggested_name, self.photos)), "")
        if not self._blamed:
            self.problem = None
        self.photos_changed.emit()
        self.changed.emit()


def suggested_name(photo: Path) -> str:
    """A person's name in the name of a file, empty where cameras have named it."""
    words = [word for word in photo.stem.replace("_", " ").replace("-", " ").split() if word.isalpha()]
    if not words or words[0].casefold() in _NOT_NAMES:
        return ""
    return safe_name(" ".join(word.capitalize() if word.islower() else word for word in words), LONGEST_NAME)


def _is_picture(path: Path) -> bool:
    try:
        return path.is_file() and is_image(path)
    except OSError:
        return False
