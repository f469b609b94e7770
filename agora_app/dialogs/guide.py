"""One page of help: three steps, the keys, and what to do when something is not right."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from agora_app.theme import set_role

# Actions worth knowing, with the keys they have when nothing else is known.
_KEYS = (("live.toggle", "Space"), ("live.calibrate", "Shift+X"), ("live.rezero", "X"), ("identity.roll", "Q"),
         ("identity.next", "D"), ("identity.favourite", "Ctrl+D"), ("view.frame", "F"), ("view.background", "B"),
         ("record.toggle", "R"), ("record.snapshot", "P"), ("file.new_from_photo", "Ctrl+N"), ("file.export", "Ctrl+E"),
         ("tools.palette", "Ctrl+Shift+P"), ("help.shortcuts", "Ctrl+/"))


class GuideDialog(QDialog):
    """Stays open beside the window while one tries things out.

    Args:
        registry: has `action(id)`, whose keys are shown as the user has set them; None shows the usual ones.
    """

    def __init__(self, registry=None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._registry = registry
        self.setWindowTitle(self.tr("Guide"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 720)
        page = QWidget()
        set_role(page, "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(4, 4, 12, 4)
        column.setSpacing(12)
        for heading, content in ((self.tr("Three steps"), self._steps()), (self.tr("Keys"), self._keys()),
                                 (self.tr("When something is not right"), self._troubles())):
            label = QLabel(heading)
            set_role(label, "heading")
            column.addWidget(label)
            column.addWidget(content)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAccessibleName(self.tr("Guide"))
        scroll.setWidget(page)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(16, 16, 16, 12)
        outer.setSpacing(12)
        outer.addWidget(scroll)
        outer.addWidget(buttons)

    def _steps(self) -> QWidget:
        steps = (
            (self.tr("Choose what drives the head"),
             self.tr("A camera or a video file in the Source dock, or the demo. A file can also be dropped on the picture.")),
            (self.tr("Relax your face for two seconds"),
             self.tr("Press Calibrate in the Tracking dock and look straight ahead. The head then rests when you do.")),
            (self.tr("Choose a person and record"),
             self.tr("Roll a new person, click one in People, or make one from a photo. The red button records picture and sound "
                     "into one file.")))
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for number, (title, words) in enumerate(steps, 1):
            card = QFrame()
            set_role(card, "card")
            row = QHBoxLayout(card)
            row.setContentsMargins(16, 12, 16, 12)
            row.setSpacing(16)
            digit = QLabel(str(number))
            set_role(digit, "heading")
            row.addWidget(digit, 0, Qt.AlignmentFlag.AlignTop)
            row.addWidget(_rich(f"<b>{escape(title)}</b><br>{escape(words)}"), 1)
            column.addWidget(card)
        return box

    def _keys(self) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        self.keys: dict[str, str] = {}
        rows = (len(_KEYS) + 1) // 2
        for place, (name, usual) in enumerate(_KEYS):
            text, key = self._described(name, usual)
            self.keys[name] = key
            cap = QLabel(key or "–")
            set_role(cap, "key")
            cap.setAlignment(Qt.AlignmentFlag.AlignCenter)
            row, column = place % rows, 2 * (place // rows)
            grid.addWidget(cap, row, column)
            grid.addWidget(QLabel(text), row, column + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        return box

    def _described(self, name: str, usual: str) -> tuple[str, str]:
        """What an action is called and its key now."""
        titles = {
            "live.toggle": self.tr("Pause and go on"), "live.calibrate": self.tr("Calibrate"), "live.rezero": self.tr("Re-zero"),
            "identity.roll": self.tr("Roll a new person"), "identity.next": self.tr("Next person"),
            "identity.favourite": self.tr("Keep this person"), "view.frame": self.tr("Frame the head"),
            "view.background": self.tr("Next background"), "record.toggle": self.tr("Record and stop"),
            "record.snapshot": self.tr("Save a picture"), "file.new_from_photo": self.tr("A person from a photo"),
            "file.export": self.tr("Export a person"), "tools.palette": self.tr("Find any command"),
            "help.shortcuts": self.tr("All keys")}
        native = QKeySequence.SequenceFormat.NativeText
        if self._registry is None:
            return titles[name], QKeySequence(usual).toString(native)
        return titles[name], self._registry.action(name).shortcut().toString(native)

    def _troubles(self) -> QWidget:
        troubles = (
            (self.tr("The camera stays dark"),
             self.tr("Close other programs that use it, such as a video call. The banner over the picture says what the system "
                     "answers and offers another try.")),
            (self.tr("The face is not found"),
             self.tr("Turn toward the light and let the whole face be in the picture, ears included.")),
            (self.tr("Mouth or eyes do not close"),
             self.tr("Calibrate again; with “range” it also learns how far you open and close them.")),
            (self.tr("It is slow"),
             self.tr("The Performance dock shows which stage takes the time. A smaller picture (below it) helps most.")),
            (self.tr("It was closed while recording"),
             self.tr("Start it again: what was recorded is offered for repair. At most the last second is missing.")),
            (self.tr("Something else"),
             self.tr("Tools › Doctor looks at this machine and says how to mend what it finds.")))
        return _rich("".join(f"<p style='margin-top:0; margin-bottom:8px'><b>{escape(what)}</b><br>{escape(advice)}</p>"
                             for what, advice in troubles))


def _rich(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setWordWrap(True)
    return label
