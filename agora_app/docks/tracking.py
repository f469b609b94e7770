"""The dock that says how well the face is tracked, and makes it better: calibration, profiles, smoothing."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.docks.calibration_panel import CalibrationPanel
from agora_app.docks.gain_slider import GainSlider
from agora_app.icons import keep_icon
from agora_app.models.calibration import CalibrationModel, FaceState
from agora_app.models.calibration_words import Step
from agora_app.settings.store import SettingsStore
from agora_app.theme import current_colors, set_role
from core.tracking.guided_calibration import Phase

MOST_SMOOTHING = 4.0


class TrackingDock(QWidget):
    """Shows a `CalibrationModel` and changes it."""

    def __init__(self, model: CalibrationModel, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._store = model, store
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addWidget(self._make_state())
        column.addWidget(self._make_drift_card())
        self.panel = CalibrationPanel(model)
        column.addWidget(self.panel)
        column.addWidget(self._make_start())
        column.addSpacing(4)
        column.addLayout(self._make_profiles())
        column.addSpacing(4)
        column.addWidget(self._make_smoothing())
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        model.state_changed.connect(self.show_state)
        model.phase_changed.connect(self._show_step)
        model.profiles_changed.connect(self._show_profiles)
        model.drift.connect(self._show_drift)
        store.changed.connect(self._on_settings)
        self.show_state(FaceState())
        self._show_step(model.step)
        self._show_profiles()
        self._show_drift(model.drift_text)
        self._on_settings("tracking")

    # ------------------------------------------------------------------------------------------------------------ building

    def _make_state(self) -> QLabel:
        self.state = QLabel()
        self.state.setTextFormat(Qt.TextFormat.RichText)
        self.state.setAccessibleName(self.tr("State of the tracking"))
        return self.state

    def _make_drift_card(self) -> QFrame:
        self.drift_card = QFrame()
        set_role(self.drift_card, "card")
        self.drift_text = QLabel()
        self.drift_text.setWordWrap(True)
        self.recalibrate = QPushButton(self.tr("Recalibrate"))
        self.recalibrate.setToolTip(self.tr("Calibrate again and replace the profile in use (Shift+X)"))
        self.recalibrate.clicked.connect(self._start)
        keep_icon(self.recalibrate, "mdi6.face-recognition", "warn")
        card = QVBoxLayout(self.drift_card)
        card.setContentsMargins(12, 8, 12, 8)
        card.addWidget(self.drift_text)
        card.addWidget(self.recalibrate, 0, Qt.AlignmentFlag.AlignLeft)
        return self.drift_card

    def _make_start(self) -> QWidget:
        self.calibrate = QPushButton(self.tr("Calibrate"))
        self.calibrate.setToolTip(self.tr("Show the program your resting face: two seconds (Shift+X)"))
        set_role(self.calibrate, "primary")
        self.calibrate.clicked.connect(self._start)
        self.with_range = QCheckBox(self.tr("Also how far mouth, eyes and brows go"))
        self.with_range.setToolTip(self.tr("Four more steps of about two seconds; each can be skipped"))
        self._starter = QWidget()
        column = QVBoxLayout(self._starter)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.calibrate)
        column.addWidget(self.with_range)
        return self._starter

    def _make_profiles(self) -> QVBoxLayout:
        self.profiles = QComboBox()
        self.profiles.setAccessibleName(self.tr("Calibration profile"))
        self.profiles.setToolTip(self.tr("Whose calibration is used; it is recalled when the camera is opened again"))
        self.profiles.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.profiles.setMinimumContentsLength(8)
        self.profiles.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.profiles.activated.connect(lambda index: self._model.use(self.profiles.itemData(index)))
        self.save_as = _tool(self.tr("Save as…"), self.tr("Keep the new calibration under a name of your own"),
                             "mdi6.content-save-edit-outline", self._save_as)
        self.rename = _tool(self.tr("Rename…"), self.tr("Give this profile another name"), "mdi6.pencil-outline", self._rename)
        self.delete = _tool(self.tr("Delete"), self.tr("Delete this profile"), "mdi6.trash-can-outline", self._delete)
        title = QLabel(self.tr("Profile"))
        title.setBuddy(self.profiles)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(title, 1)
        for button in (self.save_as, self.rename, self.delete):
            row.addWidget(button)
        self.profile_hint = QLabel()
        self.profile_hint.setWordWrap(True)
        set_role(self.profile_hint, "muted")
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.profiles)
        column.addWidget(self.profile_hint)
        return column

    def _make_smoothing(self) -> GainSlider:
        self.smoothing = GainSlider(self.tr("Smoothing"), self.tr("0 % follows every tremble, more is calmer and lags a little."),
                                    highest=MOST_SMOOTHING, title_width=72)
        self.smoothing.changed.connect(lambda value: self._store.change("tracking", smoothing=value))
        return self.smoothing

    # ------------------------------------------------------------------------------------------------------------- showing

    def show_state(self, state: FaceState) -> None:
        """Say whether a face is found and how well it fits."""
        colors = current_colors()
        words = {"good": (self.tr("fits well"), colors.ok), "fair": (self.tr("fits fairly"), colors.warn),
                 "poor": (self.tr("fits poorly"), colors.bad)}
        if state.found:
            fit, color = words.get(state.quality, ("", colors.ok))
            text = self.tr("Face found")
            more = f" · {fit}" if fit else ""
        else:
            text, more, color = self.tr("No face"), "", colors.faint
        self.state.setText(f'<span style="color:{color.name()}">●</span>&nbsp;&nbsp;<b>{text}</b>{more}')
        self.state.setToolTip(self.tr("Fit error {0} % of the distance of the eyes").format(f"{100 * state.residual:.1f}")
                              if state.found else self.tr("Look into the camera; the face should fill a fifth of the picture"))
        self.state.setAccessibleDescription(text + more)

    def _show_step(self, step: Step | None) -> None:
        self._starter.setVisible(step is None)
        self._show_drift(self.drift_text.text())
        if step is None or step.phase in (Phase.DONE, Phase.REST):
            self._show_profiles()

    def _show_profiles(self) -> None:
        model = self._model
        self.profiles.blockSignals(True)
        self.profiles.clear()
        self.profiles.addItem(self.tr("Automatic"), "")
        for name in model.profiles():
            self.profiles.addItem(name, name)
        self.profiles.setCurrentIndex(max(self.profiles.findData(model.current_name), 0))
        self.profiles.blockSignals(False)
        self.save_as.setEnabled(model.can_save)
        self.rename.setEnabled(bool(model.current_name))
        self.delete.setEnabled(bool(model.current_name))
        self.profile_hint.setText("" if model.current_name else self.tr(
            "Gets to know whoever is in front of the camera, anew each time."))
        self.profile_hint.setVisible(not model.current_name)

    def _show_drift(self, text: str) -> None:
        self.drift_text.setText(text)
        self.drift_card.setVisible(bool(text) and self._model.step is None)  # the way to mend it is already being gone

    def _on_settings(self, section: str) -> None:
        if section == "tracking":
            self.smoothing.show_value(self._store.settings.tracking.smoothing)

    # ------------------------------------------------------------------------------------------------------ what is clicked

    def _start(self) -> None:
        self.panel.start(self.with_range.isChecked())

    def _save_as(self) -> None:
        name = self.ask_name(self.tr("Save calibration"), self.tr("Name, such as a person and a camera:"),
                             self._model.current_name)
        if name:
            self._model.save_as(name)

    def _rename(self) -> None:
        name = self.ask_name(self.tr("Rename profile"), self.tr("New name:"), self._model.current_name)
        if name and name != self._model.current_name:
            self._model.rename(self._model.current_name, name)

    def _delete(self) -> None:
        if self.may_delete(self._model.current_name):
            self._model.remove(self._model.current_name)

    def ask_name(self, title: str, text: str, name: str) -> str:
        """Ask for a name; empty when the user changes their mind."""
        answer, agreed = QInputDialog.getText(self, title, text, text=name)
        return answer.strip() if agreed else ""

    def may_delete(self, name: str) -> bool:
        """Ask whether a profile is to go."""
        answer = QMessageBox.question(self, self.tr("Delete profile"), self.tr("Delete the calibration “{0}”?").format(name))
        return answer == QMessageBox.StandardButton.Yes


def _tool(name: str, tip: str, icon: str, clicked) -> QToolButton:
    button = QToolButton()
    button.setAccessibleName(name)
    button.setToolTip(tip)
    keep_icon(button, icon)
    button.clicked.connect(clicked)
    return button
