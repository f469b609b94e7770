"""One setting, one widget: made from a field of the settings model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.icons import keep_icon
from agora_app.settings.model import Section
from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role

CONTROL_WIDTH = 210
PATHS = {"recording.folder": "folder", "source.path": "file", "identity.pack": "file", "training.dataset": "folder",
         "training.photos": "folder", "training.data_folder": "folder", "training.runs_folder": "folder",
         "training.recipe_file": "file"}
_WORDS = {"recipe": "As the recipe", "cpu": "CPU", "opengl": "OpenGL", "cuda": "CUDA", "vmc": "VMC", "osc": "OSC"}


@dataclass(frozen=True)
class FieldSpec:
    """A setting that the preferences show.

    Attributes:
        section, name: where it is in the settings.
        title, description: for the user.
        kind: "bool", "int", "float", "text", "choice", "folder" or "file".
        choices: of a choice.
        low, high: of a number.
    """

    section: str
    name: str
    title: str
    description: str
    kind: str
    choices: tuple[Any, ...] = ()
    low: float = -math.inf
    high: float = math.inf

    def matches(self, text: str) -> bool:
        """Whether a search finds this setting."""
        words = f"{translated_field(self.title)} {translated_field(self.description)}".casefold()
        return all(word in words for word in text.casefold().split())


def fields_of(section: str, model: type[Section]) -> list[FieldSpec]:
    """The fields of a section that have a title and a kind that a widget is known for."""
    return [found for name in model.model_fields if (found := _field(section, name, model)) is not None]


def _field(section: str, name: str, model: type[Section]) -> FieldSpec | None:
    info = model.model_fields[name]
    kind, choices = _kind_of(info.annotation)
    if not info.title or not kind:
        return None
    limits = {type(limit).__name__: limit for limit in info.metadata}
    low = getattr(limits.get("Ge"), "ge", -math.inf)
    high = getattr(limits.get("Le"), "le", math.inf)
    return FieldSpec(section, name, info.title, info.description or "", PATHS.get(f"{section}.{name}", kind), choices, low, high)


def _kind_of(annotation: Any) -> tuple[str, tuple[Any, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    return {bool: "bool", int: "int", float: "float", str: "text"}.get(annotation, ""), ()


def choice_words(value: Any) -> str:
    """A choice as it is shown."""
    if isinstance(value, int):
        return f"{value}°"
    return _WORDS.get(value) or str(value).replace("-", " ").capitalize()


class FieldRow(QFrame):
    """Title, description and widget of one setting; changes it at once, and follows when it changes elsewhere.

    Signals:
        refused: (words) the value is not allowed; nothing has changed.
    """

    refused = Signal(str)

    def __init__(self, store: SettingsStore, spec: FieldSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store, self.spec = store, spec
        title = translated_field(spec.title)
        self.title, self.problem = QLabel(title), QLabel()
        self.title.setWordWrap(True)
        self.problem.setWordWrap(True)
        self.problem.setProperty("problem", True)
        self.problem.hide()
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        if spec.description:
            note = QLabel(translated_field(spec.description))
            note.setWordWrap(True)
            set_role(note, "muted")
            words.addWidget(note)
        words.addWidget(self.problem)
        self.control = self._make()
        self.control.setAccessibleName(title)
        self.control.setToolTip(translated_field(spec.description) or title)
        self.title.setBuddy(self.control)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 9, 14, 9)
        row.setSpacing(16)
        row.addLayout(words, 1)
        row.addWidget(self._with_button(), 0, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
        self.show_value()

    @property
    def value(self) -> Any:
        """What the settings say."""
        return getattr(getattr(self._store.settings, self.spec.section), self.spec.name)

    def show_value(self) -> None:
        """Show what the settings say."""
        control, value = self.control, self.value
        self.problem.hide()
        control.blockSignals(True)
        if isinstance(control, QCheckBox):
            control.setChecked(value)
        elif isinstance(control, QComboBox):
            control.setCurrentIndex(self.spec.choices.index(value))
        elif isinstance(control, QAbstractSpinBox):
            control.setValue(value)
        elif control.text() != value:
            control.setText(value)
        control.blockSignals(False)

    def change(self, value: Any) -> None:
        """Set the value; what is wrong with it is said below the title."""
        try:
            self._store.change(self.spec.section, **{self.spec.name: value})
        except ValueError as error:
            words = self.tr("This value cannot be used: {0}").format(_reason(error))
            self.problem.setText(words)
            self.problem.show()
            self.refused.emit(words)
        else:
            self.problem.hide()

    def ask_path(self) -> None:
        """Let the user point at a folder or file."""
        start = self.value or str(Path.home())
        if self.spec.kind == "folder":
            path = QFileDialog.getExistingDirectory(self, self.title.text(), start)
        else:
            path = QFileDialog.getOpenFileName(self, self.title.text(), start)[0]
        if path:
            self.change(path)
            self.show_value()

    def _make(self) -> QWidget:
        spec = self.spec
        if spec.kind == "bool":
            control = QCheckBox()
            control.toggled.connect(self.change)
        elif spec.kind == "choice":
            control = QComboBox()
            for choice in spec.choices:
                control.addItem(translated_field(choice_words(choice)), choice)
            control.currentIndexChanged.connect(lambda index: self.change(spec.choices[index]))
        elif spec.kind in ("int", "float"):
            control = self._spin_box()
            control.valueChanged.connect(self.change)
        else:
            control = QLineEdit()
            control.editingFinished.connect(lambda: self.change(control.text().strip()))
        if spec.kind != "bool":
            control.setFixedWidth(CONTROL_WIDTH if spec.kind not in ("folder", "file") else CONTROL_WIDTH - 40)
        control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        control.installEventFilter(_WheelGuard(control))
        return control

    def _spin_box(self) -> QAbstractSpinBox:
        spec = self.spec
        box = QSpinBox() if spec.kind == "int" else QDoubleSpinBox()
        box.setKeyboardTracking(False)
        if spec.kind == "int":
            box.setRange(int(max(spec.low, -(2**31))), int(min(spec.high, 2**31 - 1)))
            box.setStepType(QSpinBox.StepType.DefaultStepType)
        else:
            box.setRange(max(spec.low, -1e9), min(spec.high, 1e9))
            box.setDecimals(2)
            box.setSingleStep(0.05)
        return box

    def _with_button(self) -> QWidget:
        if self.spec.kind not in ("folder", "file"):
            return self.control
        button = QToolButton()
        keep_icon(button, "mdi6.folder-open-outline")
        words = self.tr("Choose…")
        button.setToolTip(words)
        button.setAccessibleName(f"{self.title.text()}: {words}")
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.clicked.connect(self.ask_path)
        both = QWidget()
        both.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.control)
        row.addWidget(button)
        return both


class _WheelGuard(QObject):
    """A wheel that scrolls the page does not change a value on its way."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def translated_field(text: str) -> str:
    """A text of the settings model in the user's language."""
    return QCoreApplication.translate("Settings", text) if text else ""


def _reason(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    return errors()[0]["msg"] if callable(errors) else str(error)
