"""What the program notes: kept in memory for the log view, and in a file that does not grow without end."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt, QTimer, Signal

from agora_app.settings.paths import log_folder
from agora_app.theme import current_colors

log = logging.getLogger(__name__)
KEPT_LINES = 5000
FILE_BYTES, OLDER_FILES = 1_000_000, 2
BATCH_MS = 50  # a burst of lines reaches the view in one piece
LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
COLUMNS = TIME, LEVEL, MESSAGE, WHERE = range(4)
_FORMAT = "%(asctime)s %(levelname)-8s %(threadName)s %(name)s: %(message)s"


@dataclass(frozen=True)
class LogLine:
    """One note.

    Attributes:
        number: counts all notes since the start.
        seconds: since the epoch.
        level: as in `logging`.
        where: name of the logger.
        text: with the traceback, if there is one.
    """

    number: int
    seconds: float
    level: int
    where: str
    text: str

    def __str__(self) -> str:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.seconds))
        return f"{clock} {logging.getLevelName(self.level):<8} {self.where}: {self.text}"


class RingLog(logging.Handler):
    """Keeps the newest notes. Any thread may write and read.

    Attributes:
        on_line: called after each note, in the thread that made it; must return at once.
    """

    def __init__(self, size: int = KEPT_LINES) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=size)
        self._lines_lock = threading.Lock()
        self._count = 0
        self.size = size
        self.on_line: Callable[[], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
            with self._lines_lock:
                self._count += 1
                self._lines.append(LogLine(self._count, record.created, record.levelno, record.name, text))
            listener = self.on_line
            if listener is not None:
                listener()
        except Exception:  # a note that cannot be made must not stop what it is about
            self.handleError(record)

    def after(self, number: int) -> tuple[LogLine, ...]:
        """The notes that came after the one with that number, as far as they are still kept."""
        with self._lines_lock:
            newer = min(self._count - number, len(self._lines))
            return tuple(self._lines[i] for i in range(len(self._lines) - newer, len(self._lines)))


def start_logging(folder: Path | None = None) -> RingLog:
    """Note everything from `logging.INFO` up in memory and in `app.log` of a folder. A folder that cannot be written is noted."""
    stop_logging()
    root = logging.getLogger()
    ring = RingLog()
    root.addHandler(ring)
    root.setLevel(logging.INFO)
    folder = folder or log_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _FileLog(folder / "app.log", maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8")
    except OSError as error:
        log.warning("no log file can be written in %s: %s", folder, error.strerror or error)
    else:
        file.setFormatter(logging.Formatter(_FORMAT))
        root.addHandler(file)
    return ring


def stop_logging() -> None:
    """Undo `start_logging`."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, (RingLog, _FileLog))]:
        root.removeHandler(handler)
        handler.close()


class _FileLog(RotatingFileHandler):
    """The log file; a disk that is full is no reason to write to the terminal for every note."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def shorten_home(text: str) -> str:
    """Replace the user's home folder, which often holds their name, with a tilde."""
    home = str(Path.home())
    if len(home) < 3:  # of accounts without a home
        return text
    return text.replace(home, "~").replace(home.replace("\\", "/"), "~")


class LogModel(QAbstractTableModel):
    """The notes of a `RingLog` as a table; lives in the GUI's thread."""

    _arrived = Signal()

    def __init__(self, ring: RingLog, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._ring = ring
        self._lines: list[LogLine] = []
        self._last = 0
        self._told = False
        self._batch = QTimer(self)
        self._batch.setSingleShot(True)
        self._batch.setInterval(BATCH_MS)
        self._batch.timeout.connect(self.take)
        self._arrived.connect(self._batch.start, Qt.ConnectionType.QueuedConnection)
        ring.on_line = self._tell
        self.take()

    def _tell(self) -> None:
        """Called in any thread: one signal until the lines have been taken."""
        if not self._told:
            self._told = True
            self._arrived.emit()

    def take(self) -> None:
        """Take over what has come since the last time."""
        self._told = False
        lines = list(self._ring.after(self._last))
        if not lines:
            return
        self._last = lines[-1].number
        surplus = len(self._lines) + len(lines) - self._ring.size
        if surplus > 0 and self._lines:
            surplus = min(surplus, len(self._lines))
            self.beginRemoveRows(QModelIndex(), 0, surplus - 1)
            del self._lines[:surplus]
            self.endRemoveRows()
        self.beginInsertRows(QModelIndex(), len(self._lines), len(self._lines) + len(lines) - 1)
        self._lines += lines
        self.endInsertRows()

    def clear(self) -> None:
        """Empty the table; the file keeps everything."""
        self.take()
        self.beginResetModel()
        self._lines.clear()
        self.endResetModel()

    def close(self) -> None:
        """Listen no more."""
        self._ring.on_line = None
        self._batch.stop()

    def line(self, row: int) -> LogLine:
        return self._lines[row]

    def text(self, rows: list[int] | None = None) -> str:
        """Lines as text without the name of the home folder; all of them when no rows are given."""
        lines = self._lines if rows is None else [self._lines[row] for row in rows]
        return shorten_home("\n".join(str(line) for line in lines))

    # ----------------------------------------------------------------------------------------------------------- for Qt

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._lines)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return (self.tr("Time"), self.tr("Level"), self.tr("Message"), self.tr("Where"))[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if not index.isValid():
            return None
        line = self._lines[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._cell(line, index.column())
        if role == Qt.ItemDataRole.ToolTipRole and index.column() == MESSAGE:
            return line.text
        if role == Qt.ItemDataRole.ForegroundRole:
            return _level_color(line.level) if index.column() != MESSAGE or line.level >= logging.WARNING else None
        return None

    def _cell(self, line: LogLine, column: int) -> str:
        if column == TIME:
            return time.strftime("%H:%M:%S", time.localtime(line.seconds))
        if column == LEVEL:
            return self.level_name(line.level)
        if column == WHERE:
            return ".".join(line.where.split(".")[-2:])
        first, _, rest = line.text.partition("\n")
        return f"{first} …" if rest else first

    def level_name(self, level: int) -> str:
        """A level in words."""
        names = {logging.DEBUG: self.tr("Detail"), logging.INFO: self.tr("Info"), logging.WARNING: self.tr("Warning"),
                 logging.ERROR: self.tr("Error")}
        return names[max((known for known in LEVELS if known <= level), default=logging.DEBUG)]


class LogFilter(QSortFilterProxyModel):
    """The lines of a `LogModel` from a level up that contain a text, whatever its case."""

    def __init__(self, model: LogModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._level, self._text = logging.DEBUG, ""
        self.setSourceModel(model)

    def set_level(self, level: int) -> None:
        self._level = level
        self.invalidate()

    def set_text(self, text: str) -> None:
        self._text = text.casefold().strip()
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        line = self.sourceModel().line(row)
        return line.level >= self._level and (not self._text or self._text in line.text.casefold()
                                              or self._text in line.where.casefold())


def _level_color(level: int):
    colors = current_colors()
    if level >= logging.ERROR:
        return colors.bad
    return colors.warn if level >= logging.WARNING else colors.muted
