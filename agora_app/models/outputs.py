"""Where the picture and the motion go besides the window: a virtual camera, and other programs over OSC."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QObject, Signal

from agora_app.settings.store import SettingsStore
from core.errors import AgoraError
from core.media.virtual_camera import VirtualCamera

_BEFORE_FIRST_PICTURE = (512, 512)
_SOON = 0.02  # seconds that switching off may hold up the window; the device is let go of in its own thread
_AT_THE_END = 2.0


class OutputsModel(QObject):
    """Follows the output section of the settings: what is switched on there is opened, what is switched off is let go of.

    Signals:
        changed: something was switched on or off, or its status changed.
        problem: (what happened, what to do); the output concerned is off then.
        confirmation_needed: words to be agreed to before numbers leave the machine; `set_osc(True, confirmed=True)` agrees.

    Args:
        session: gets the sinks.
        make_camera, make_sender: replaced in tests.
    """

    changed = Signal()
    problem = Signal(str, str)
    confirmation_needed = Signal(str)
    _camera_opened = Signal(int, str)
    _camera_failed = Signal(int, str, str)
    _sender_failed = Signal(int, str, str)

    def __init__(self, session, store: SettingsStore, parent: QObject | None = None, *,
                 make_camera: Callable = VirtualCamera, make_sender: Callable | None = None) -> None:
        super().__init__(parent)
        self._session, self._store = session, store
        self._make_camera, self._make_sender = make_camera, make_sender or _make_sender
        self._camera = self._sender = None
        self._leaving: list = []
        self._serial = 0  # of what was opened last; what an older one still reports is stale
        self._camera_serial = self._sender_serial = 0
        self._sender_address: tuple | None = None
        self._agreed_host = ""
        self._camera_words = self._osc_words = self.tr("Off")
        self._camera_opened.connect(self._on_camera_opened)
        self._camera_failed.connect(self._on_camera_failed)
        self._sender_failed.connect(self._on_sender_failed)
        store.changed.connect(self._on_settings)
        self._on_settings("output")

    # ----------------------------------------------------------------------------------------------------------- reading

    @property
    def virtual_camera_on(self) -> bool:
        """Whether the virtual camera is open, or being opened."""
        return self._camera is not None

    @property
    def osc_on(self) -> bool:
        """Whether parameters are sent."""
        return self._sender is not None

    @property
    def virtual_camera_status(self) -> str:
        """How the virtual camera is doing, one line."""
        return self._camera_words

    @property
    def osc_status(self) -> str:
        """How the sending of parameters is doing, one line."""
        return self._osc_words

    @property
    def leaves_machine(self) -> bool:
        """Whether the address in the settings belongs to another machine, as far as it tells by itself."""
        return not is_local(self._store.settings.output.osc_host)

    @property
    def leaving_words(self) -> str:
        """What has to be agreed to before numbers are sent to another machine."""
        output = self._store.settings.output
        return self.tr("Numbers that describe your face's movement would be sent, unencrypted, to {0} (port {1}). "
                       "Pictures and sound are not sent. Send them?").format(output.osc_host, output.osc_port)

    # ---------------------------------------------------------------------------------------------------------- changing

    def set_virtual_camera(self, on: bool) -> None:
        """Switch the virtual camera on or off."""
        self._store.change("output", virtual_camera=on)

    def set_osc(self, on: bool, confirmed: bool = False) -> None:
        """Switch the sending of parameters on or off. To another machine nothing is sent before that is confirmed."""
        if on and confirmed:
            self._agreed_host = self._store.settings.output.osc_host
        self._store.change("output", osc_enabled=on)

    def close(self) -> None:
        """Let go of everything and wait for the threads. The settings stay, for the next start."""
        self._store.changed.disconnect(self._on_settings)
        self._drop_camera()
        self._drop_sender()
        for output in self._leaving:
            output.close(_AT_THE_END)
        self._leaving.clear()

    # ------------------------------------------------------------------------------------------------------------ inside

    def _on_settings(self, section: str) -> None:
        if section != "output":
            return
        if self._store.settings.output.virtual_camera != self.virtual_camera_on:
            self._follow_camera()
        self._follow_osc()

    def _follow_camera(self) -> None:
        if not self._store.settings.output.virtual_camera:
            self._drop_camera()
            self._camera_words = self.tr("Off")
            self.changed.emit()
            return
        picture = self._session.latest_picture()
        width, height = _BEFORE_FIRST_PICTURE if picture is None else picture.image.shape[1::-1]
        serial = self._camera_serial = self._next_serial()
        self._camera_words = self.tr("Starting…")
        self._camera = self._make_camera(width, height, self._store.settings.performance.target_fps,
                                         on_open=partial(self._camera_opened.emit, serial),
                                         on_problem=partial(_tell, self._camera_failed, serial))
        self._session.add_sink(self._camera)
        self.changed.emit()

    def _follow_osc(self) -> None:
        output = self._store.settings.output
        wanted = (output.osc_protocol, output.osc_host, output.osc_port) if output.osc_enabled else None
        if wanted is not None and self.leaves_machine and self._agreed_host != output.osc_host:
            self._drop_sender()
            self._osc_words = self.tr("Off: sending to another machine has to be agreed to")
            self._store.change("output", osc_enabled=False)
            self.changed.emit()
            self.confirmation_needed.emit(self.leaving_words)
            return
        if wanted == self._sender_address:
            return
        self._drop_sender()
        if wanted is None:
            self._osc_words = self.tr("Off")
        else:
            serial = self._sender_serial = self._next_serial()
            self._sender = self._make_sender(*wanted, on_problem=partial(_tell, self._sender_failed, serial))
            self._sender_address = wanted
            self._session.add_sink(self._sender)
            self._osc_words = self.tr("Sending {0} to {1}:{2}").format(wanted[0].upper(), *wanted[1:])
        self.changed.emit()

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _drop_camera(self) -> None:
        camera, self._camera = self._camera, None
        self._let_go(camera)

    def _drop_sender(self) -> None:
        sender, self._sender, self._sender_address = self._sender, None, None
        self._let_go(sender)

    def _let_go(self, output) -> None:
        self._leaving = [old for old in self._leaving if not old.close(0)]
        if output is not None:
            self._session.remove_sink(output)
            if not output.close(_SOON):
                self._leaving.append(output)

    def _on_camera_opened(self, serial: int, device: str) -> None:
        if serial == self._camera_serial and self._camera is not None:
            self._camera_words = self.tr("On: {0}").format(device)
            self.changed.emit()

    def _on_camera_failed(self, serial: int, what: str, hint: str) -> None:
        if serial != self._camera_serial or self._camera is None:
            return
        self._drop_camera()
        self._camera_words = self.tr("Off: {0}").format(what)
        self._store.change("output", virtual_camera=False)
        self.changed.emit()
        self.problem.emit(what, hint)

    def _on_sender_failed(self, serial: int, what: str, hint: str) -> None:
        if serial != self._sender_serial or self._sender is None:
            return
        self._drop_sender()
        self._osc_words = self.tr("Off: {0}").format(what)
        self._store.change("output", osc_enabled=False)
        self.changed.emit()
        self.problem.emit(what, hint)


def is_local(host: str) -> bool:
    """Whether an address is this machine's own; a name other than localhost counts as another machine's."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.strip().lower() == "localhost"


def _tell(signal, serial: int, error: AgoraError) -> None:
    """Called in the output's own thread; the signal is queued to the model's."""
    signal.emit(serial, error.message, error.hint)


def _make_sender(protocol: str, host: str, port: int, on_problem: Callable[[AgoraError], None]):
    from core.pipeline.live.parameter_sender import ParameterSender

    return ParameterSender(protocol, host, port, _expression_names, on_problem)


def _expression_names() -> Sequence[str]:
    from core.head.library import load_open_head

    return load_open_head().expression_names
