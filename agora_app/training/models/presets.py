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
        pixels: side of the pictures it learns from at the end; 0 where that is not known.
        needs_factors: only datasets will do in which everything is known about the people.
    """

    name: str
    icon: str
    title: str
    needs: str
    gives: str
    pixels: int = 0
    needs_factors: bool = False

    @property
    def words(self) -> str:
        """What it needs and gives, in the user's language."""
        return "\n".join(QCoreApplication.translate(_CONTEXT, text) for text in (self.needs, self.gives))

    @property
    def shown_title(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.title)


PRESETS = (
    Preset("ci", "mdi6.test-tube", _("Recipes", "Try it out"),
           _("Recipes", "Needs synthetic pictures of 32 pixels, a minute and 1 GB of memory on any machine."),
           _("Recipes", "Gives a tiny, blurred head that shows that every step works: nothing to look at."), 32, True),
    Preset("desktop", "mdi6.laptop", _("Recipes", "Desktop"),
           _("Recipes", "Needs synthetic pictures of 128 pixels, about five hours of processor time and 4 GB of memory."),
           _("Recipes", "Gives clear people with hair and expressions, at 128 pixels, without a graphics card."), 128, True),
    Preset("paper", "mdi6.server", _("Recipes", "Paper"),
           _("Recipes", "Needs tens of thousands of photos of 512 pixels, days, and one or several graphics cards."),
           _("Recipes", "Gives what the AGORA paper describes: the recipe for real photos."), 512),
    Preset("file", "mdi6.file-cog-outline", _("Recipes", "A recipe of your own"),
           _("Recipes", "Needs a file that names data, networks, losses and schedule."),
           _("Recipes", "Gives what you make of it.")),
)


def preset(name: str) -> Preset:
    """A recipe by name. Raises KeyError."""
    return {found.name: found for found in PRESETS}[name]
