"""The recipes that ship with the program, as they are offered: what each needs and what it gives."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

_CONTEXT = "Recipes"
_ = QT_TRANSLATE_NOOP


@dataclass(frozen=True)
class Preset:
    """A recipe to choose.

    Attributes:
        name: for `train --recipe`; "file" for one of the user's own.
        icon, title, needs, gives: for the card.
        pixels: pictures smaller than this are of no use to it; 0 where that is not known.
    """

    name: str
    icon: str
    title: str
    needs: str
    gives: str
    pixels: int = 0

    @property
    def words(self) -> str:
        """What it needs and gives, in the user's language."""
        return "\n".join(QCoreApplication.translate(_CONTEXT, text) for text in (self.needs, self.gives))

    @property
    def shown_title(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.title)


PRESETS = (
    Preset("ci", "mdi6.test-tube", _("Recipes", "Try it out"),
           _("Recipes", "Needs a few minutes on any machine and 1 GB of memory."),
           _("Recipes", "Gives a tiny head that shows that every step works: nothing to look at."), 16),
    Preset("desktop", "mdi6.laptop", _("Recipes", "Desktop"),
           _("Recipes", "Needs some hours on two processor cores and 4 GB of memory; no graphics card."),
           _("Recipes", "Gives clear people with hair and expressions, at 128 pixels, from synthetic pictures."), 64),
    Preset("paper", "mdi6.server", _("Recipes", "Paper"),
           _("Recipes", "Needs a graphics card with 24 GB or several, days, and tens of thousands of photos."),
           _("Recipes", "Gives what the AGORA paper describes, at 512 pixels: the recipe for real photos."), 256),
    Preset("file", "mdi6.file-cog-outline", _("Recipes", "A recipe of your own"),
           _("Recipes", "Needs a file that names data, networks, losses and schedule."),
           _("Recipes", "Gives what you make of it.")),
)


def preset(name: str) -> Preset:
    """A recipe by name. Raises KeyError."""
    return {found.name: found for found in PRESETS}[name]
