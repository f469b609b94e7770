"""The formats in which people leave the program, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

_CONTEXT = "ExportFormats"
_ = QT_TRANSLATE_NOOP
_SEQUENCE = _("ExportFormats", "A folder with one file for each of its {0} frames")


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        kind: the word of the command.
        title, words: what it is called, and what it is for.
        suffix: of its file.
        icon: name for `agora_app.icons.icon`.
        most_people: how many go into one file.
        motion: what a motion clip makes of it; empty where it takes none.
        sequence: it holds Gaussians of one moment: a face can be chosen, and a motion makes it a folder of files, one a frame.
    """

    kind: str
    title: str
    words: str
    suffix: str
    icon: str
    most_people: int = 1
    motion: str = ""
    sequence: bool = False

    @property
    def shown_title(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.title)

    @property
    def shown_words(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.words)

    @property
    def shown_motion(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.motion)


FORMATS = (
    ExportFormat("web", _("ExportFormats", "Web page"),
                 _("ExportFormats", "One file that opens in any browser: turn the head, move the face, choose between people."),
                 ".html", "mdi6.web", 8, _("ExportFormats", "The page plays it")),
    ExportFormat("ply", _("ExportFormats", "PLY"),
                 _("ExportFormats", "Gaussian splats with full precision, for SuperSplat, Blender add-ons and research code."),
                 ".ply", "mdi6.dots-hexagon", 1, _SEQUENCE, True),
    ExportFormat("splat", _("ExportFormats", "Splat"),
                 _("ExportFormats", "Small splats for viewers on web pages; half of a PLY."), ".splat", "mdi6.blur", 1,
                 _SEQUENCE, True),
    ExportFormat("spz", _("ExportFormats", "SPZ"),
                 _("ExportFormats", "The smallest splats, a sixth of a PLY, for Scaniverse, PlayCanvas and Niantic's tools."),
                 ".spz", "mdi6.zip-box-outline", 1, _SEQUENCE, True),
    ExportFormat("glb", _("ExportFormats", "glTF"),
                 _("ExportFormats", "The face as a mesh with blendshapes, for Blender, Unity and Unreal; hair painted on."),
                 ".glb", "mdi6.cube-outline", 1, _("ExportFormats", "The file holds it as an animation")),
)


def format_of(kind: str) -> ExportFormat:
    """The format of a word. Raises KeyError."""
    return {found.kind: found for found in FORMATS}[kind]
