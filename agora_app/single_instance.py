"""One running program per user and data folder: a second start hands its files to the first and ends."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from core.assets import data_folder

log = logging.getLogger(__name__)
_ANSWER_MS = 3000  # that the first one has to answer, busy as it may be
_CONNECT_MS = 300
_WRITE_MS = 100
_LARGEST_MESSAGE = 1 << 20
_ACCEPTED = b"ok\n"


class SingleInstance(QObject):
    """Whether this process is the first; if so, it listens for the others.

    A lock file decides, so that two starts at the same moment cannot both win; the lock of a process that died counts for
    nothing, and neither does the socket it left behind.

    Signals:
        files_received: (list of str) another start asked to open these; may be empty: show the window.

    Args:
        key: name of the program.
        folder: the data folder.
    """

    files_received = Signal(list)

    def __init__(self, key: str, folder: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        folder = folder or data_folder()
        self._name = socket_name(key, folder)
        self._lock = self._server = None
        self._callers: list[_Caller] = []
        self.is_first = self._take_lock(folder / "instance.lock")
        if self.is_first:
            self._listen()

    def send(self, files: Sequence[str]) -> bool:
        """Hand files to the first process and have it show its window. Returns whether it has answered."""
        message = json.dumps(list(files)).encode() + b"\n"
        end = time.monotonic() + _ANSWER_MS / 1000
        while time.monotonic() < end:
            socket = QLocalSocket()
            socket.connectToServer(self._name)
            if not socket.waitForConnected(_CONNECT_MS):  # it may hold the lock and not listen yet
                time.sleep(0.05)
                continue
            socket.write(message)
            socket.flush()
            answered = socket.waitForReadyRead(_ANSWER_MS) and bytes(socket.readAll().data()) == _ACCEPTED
            socket.disconnectFromServer()
            return answered
        log.warning("the running program does not answer")
        return False

    def close(self) -> None:
        """Stop listening and let the next start be the first."""
        for caller in self._callers:
            caller.end()
        self._callers.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None

    def _take_lock(self, path: Path) -> bool:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.warning("%s cannot be made: %s", path.parent, error)
            return True
        lock = QLockFile(str(path))
        lock.setStaleLockTime(0)  # only a process that died makes it stale, not age
        if lock.tryLock(0):
            self._lock = lock
            return True
        if lock.error() is QLockFile.LockError.LockFailedError:
            return False
        log.warning("%s cannot be locked; other running programs will not be noticed", path)
        return True

    def _listen(self) -> None:
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)
        if not self._server.listen(self._name):
            QLocalServer.removeServer(self._name)  # left behind by a process that died: we hold the lock
            if not self._server.listen(self._name):
                log.warning("other starts cannot reach this one: %s", self._server.errorString())

    def _on_connection(self) -> None:
        while self._server is not None and (socket := self._server.nextPendingConnection()) is not None:
            self._callers.append(_Caller(socket))
            socket.readyRead.connect(self._on_data)
        self._on_data()  # what came with the connection

    def _on_data(self) -> None:
        for caller in self._callers:
            files = caller.read()
            if files is not None:
                self.files_received.emit(files)
        self._callers = [caller for caller in self._callers if not caller.is_over]


class _Caller:
    """Another start, while it says what it wants."""

    def __init__(self, socket: QLocalSocket) -> None:
        self._socket, self._received = socket, bytearray()
        self.is_over = False

    def read(self) -> list[str] | None:
        """The files it wants to have opened, once it has said them all."""
        if self.is_over:
            return None
        self._received += bytes(self._socket.readAll().data())
        line, newline, _ = self._received.partition(b"\n")
        if not newline and len(self._received) <= _LARGEST_MESSAGE:
            return None
        files = parse_message(bytes(line)) if newline else None
        if files is not None:
            self._socket.write(_ACCEPTED)
            self._socket.waitForBytesWritten(_WRITE_MS)
        self.end()
        return files

    def end(self) -> None:
        """Hang up. Not by the socket's own signal: it is also sent while the socket is being deleted."""
        self.is_over = True
        self._socket.readyRead.disconnect()
        self._socket.disconnectFromServer()
        self._socket.deleteLater()


def socket_name(key: str, folder: Path) -> str:
    """A name that only this user and data folder have; short, because systems cut socket paths at about a hundred characters."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    return f"{key}-{hashlib.sha256(f'{user}|{folder.resolve()}'.encode()).hexdigest()[:16]}"


def parse_message(line: bytes) -> list[str] | None:
    """The files of a message, or None when it is not one."""
    try:
        files = json.loads(line)
    except ValueError:
        return None
    return files if isinstance(files, list) and all(isinstance(file, str) for file in files) else None
