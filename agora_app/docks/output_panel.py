"""Where the picture and the motion go besides the window: virtual camera, OSC and VMC."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QSignalBlocker, SignalInstance
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role

PROTOCOLS = (("VMC", "vmc"), ("OSC", "osc"))


class Outputs(Protocol):
    """What the panel needs of `agora_app.models.outputs.OutputsModel`."""

    changed: SignalInstance
    virtual_camera_on: bool
    osc_on: bool
    virtual_camera_status: str
    osc_status: str

    def set_virtual_camera(self, on: bool) -> None: ...

    def set_osc(self, on: bool) -> None: ...


class OutputPanel(QWidget):
    """Two switches, each with a line on how it is doing."""

    def __init__(self, model: Outputs, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._store = model, store
        self.camera_box = QCheckBox(self.tr("Virtual camera"))
        self.camera_box.setToolTip(self.tr("Other programs, such as video calls, can choose the avatar as their camera"))
        self.camera_box.clicked.connect(self._switch_camera)
        self.camera_status = _status(self.tr("State of the virtual camera"))
        self.osc_box = QCheckBox(self.tr("Send motion to other programs"))
        self.osc_box.setToolTip(self.tr("Send the tracked parameters over the network; pictures and sound are not sent"))
        self.osc_box.clicked.connect(self._switch_osc)
        self.osc_status = _status(self.tr("State of the sending of motion"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.camera_box)
        column.addWidget(self.camera_status)
        column.addSpacing(4)
        column.addWidget(self.osc_box)
        column.addLayout(self._address())
        column.addWidget(self.osc_status)
        model.changed.connect(self.show_state)
        store.changed.connect(self._on_settings)
        self.show_state()

    def _address(self) -> QHBoxLayout:
        self.protocol_box = QComboBox(toolTip=self.tr("How the numbers are sent: VMC for avatar programs, OSC for all others"))
        self.protocol_box.setAccessibleName(self.tr("Protocol"))
        for text, value in PROTOCOLS:
            self.protocol_box.addItem(text, value)
        self.protocol_box.activated.connect(
            lambda index: self._store.change("output", osc_protocol=self.protocol_box.itemData(index)))
        self.host_edit = QLineEdit(toolTip=self.tr("Address of the computer that receives; 127.0.0.1 is this one"))
        self.host_edit.setAccessibleName(self.tr("Address"))
        self.host_edit.editingFinished.connect(self._take_host)
        self.port_box = QSpinBox(minimum=1, maximum=65535, toolTip=self.tr("Port on which the other program listens"))
        self.port_box.setAccessibleName(self.tr("Port"))
        self.port_box.setFixedWidth(self.port_box.fontMetrics().horizontalAdvance("65535") + 38)
        self.port_box.editingFinished.connect(lambda: self._store.change("output", osc_port=self.port_box.value()))
        row = QHBoxLayout()
        row.setContentsMargins(24, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.protocol_box)
        row.addWidget(self.host_edit, 1)
        row.addWidget(self.port_box)
        return row

    def show_state(self) -> None:
        """Show what is on and how it is doing."""
        output = self._store.settings.output
        self.camera_box.setChecked(self._model.virtual_camera_on)
        self.camera_status.setText(self._model.virtual_camera_status)
        self.osc_box.setChecked(self._model.osc_on)
        self.osc_status.setText(self._model.osc_status)
        with QSignalBlocker(self.port_box), QSignalBlocker(self.host_edit):
            self.protocol_box.setCurrentIndex(self.protocol_box.findData(output.osc_protocol))
            if not self.host_edit.hasFocus():
                self.host_edit.setText(output.osc_host)
            if not self.port_box.hasFocus():
                self.port_box.setValue(output.osc_port)
        for label in (self.camera_status, self.osc_status):
            label.setVisible(bool(label.text()))

    def _switch_camera(self, on: bool) -> None:
        self._model.set_virtual_camera(on)
        self.show_state()

    def _switch_osc(self, on: bool) -> None:
        self._model.set_osc(on)
        self.show_state()

    def _take_host(self) -> None:
        host = self.host_edit.text().strip()
        if host:
            self._store.change("output", osc_host=host)
        self.host_edit.setText(self._store.settings.output.osc_host)

    def _on_settings(self, section: str) -> None:
        if section == "output":
            self.show_state()


def _status(name: str) -> QLabel:
    label = QLabel(wordWrap=True)
    label.setAccessibleName(name)
    label.setContentsMargins(24, 0, 0, 0)
    set_role(label, "muted")
    return label
