"""The log: ring, file, model and view; from many threads, past its size, with a full disk."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QFileDialog

from agora_app import log as log_module
from agora_app.docks.log import LogDock
from agora_app.log import LEVEL, MESSAGE, WHERE, LogModel, RingLog, shorten_home, start_logging, stop_logging

logger = logging.getLogger("core.media.camera")


@pytest.fixture
def ring():
    """Installed for real, without a file."""
    ring, root = RingLog(100), logging.getLogger()
    level = root.level
    root.addHandler(ring)
    root.setLevel(logging.DEBUG)
    yield ring
    root.removeHandler(ring)
    root.setLevel(level)


@pytest.fixture
def model(ring, qapp):
    model = LogModel(ring)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning, model)
    yield model
    model.close()
    model.deleteLater()


@pytest.fixture
def dock(model, qtbot):
    dock = LogDock(model)
    qtbot.addWidget(dock)
    dock.resize(320, 300)
    dock.show()
    return dock


def messages(dock):
    return [dock.filter.index(row, MESSAGE).data() for row in range(dock.filter.rowCount())]


# --------------------------------------------------------------------------------------------------------------------- the ring


def test_notes_are_kept_in_order_with_their_traceback(ring):
    logger.info("opened %s", "it")
    try:
        raise KeyError("gone")
    except KeyError:
        logger.exception("failed")
    first, second = ring.after(0)
    assert (first.text, first.level, first.where) == ("opened it", logging.INFO, "core.media.camera")
    assert second.text.startswith("failed\nTraceback")
    assert "KeyError: 'gone'" in second.text
    assert ring.after(first.number) == (second,)
    assert ring.after(second.number) == ()


def test_only_the_newest_are_kept(ring):
    for number in range(250):
        logger.info("%d", number)
    kept = ring.after(0)
    assert [line.text for line in kept] == [str(number) for number in range(150, 250)]
    assert [line.text for line in ring.after(kept[-3].number)] == ["248", "249"]


def test_many_threads_lose_nothing():
    ring = RingLog(10_000)
    own = logging.Logger("own")
    own.addHandler(ring)
    threads = [threading.Thread(target=lambda n=n: [own.info("%d %d", n, i) for i in range(500)]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = ring.after(0)
    assert [line.number for line in lines] == list(range(1, 4001))
    assert len({line.text for line in lines}) == 4000


def test_a_note_that_cannot_be_made_stops_nobody(capsys):
    ring, own = RingLog(), logging.Logger("own")
    own.addHandler(ring)
    own.info("%d", "no number")
    own.info("fine")
    assert [line.text for line in ring.after(0)] == ["fine"]


# --------------------------------------------------------------------------------------------------------------------- the file


@pytest.fixture
def root_as_it_was():
    root = logging.getLogger()
    level = root.level
    yield root
    stop_logging()
    root.setLevel(level)


def test_everything_from_info_up_is_in_the_file(root_as_it_was, tmp_path):
    ring = start_logging(tmp_path / "logs")
    logger.debug("too fine")
    logger.info("kept")
    text = (tmp_path / "logs" / "app.log").read_text()
    assert "kept" in text
    assert "core.media.camera" in text
    assert "too fine" not in text
    assert [line.text for line in ring.after(0)] == ["kept"]


def test_the_file_does_not_grow_without_end(root_as_it_was, tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "FILE_BYTES", 2000)
    start_logging(tmp_path)
    for number in range(200):
        logger.info("line %d of many", number)
    files = sorted(path.name for path in tmp_path.glob("app.log*"))
    assert files == ["app.log", "app.log.1", "app.log.2"]
    assert all(path.stat().st_size <= 2000 for path in tmp_path.glob("app.log*"))
    assert "line 199 of many" in (tmp_path / "app.log").read_text()


def test_the_usual_folder(root_as_it_was, tmp_path):
    start_logging()
    logger.info("here")
    assert (tmp_path / "data" / "logs" / "app.log").is_file()


def test_without_a_folder_the_view_still_works(root_as_it_was, tmp_path):
    (tmp_path / "taken").write_text("")
    ring = start_logging(tmp_path / "taken" / "logs")
    logger.info("still")
    assert [line.text for line in ring.after(1)] == ["still"]
    assert "no log file can be written" in ring.after(0)[0].text


def test_a_full_disk_is_silent(root_as_it_was, tmp_path, monkeypatch, capsys):
    ring = start_logging(tmp_path)
    (file,) = [handler for handler in root_as_it_was.handlers if isinstance(handler, log_module._FileLog)]

    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(stream, name)

    stream = file.stream
    monkeypatch.setattr(file, "stream", Full())
    logger.info("lost on disk")
    monkeypatch.undo()
    assert capsys.readouterr().err == ""
    assert ring.after(0)[-1].text == "lost on disk"


def test_started_twice_notes_once(root_as_it_was, tmp_path):
    start_logging(tmp_path)
    start_logging(tmp_path)
    logger.info("once")
    assert (tmp_path / "app.log").read_text().count("once") == 1


def test_the_home_folder_is_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "anna")
    assert shorten_home(f"read {tmp_path}/anna/clip.mp4") == "read ~/clip.mp4"
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert shorten_home("/usr/lib") == "/usr/lib"


# --------------------------------------------------------------------------------------------------------------------- the model


def test_lines_of_other_threads_come_in_the_guis_thread(model, qtbot):
    where = []
    model.rowsInserted.connect(lambda *_: where.append(threading.current_thread()))
    thread = threading.Thread(target=lambda: [logger.info("%d", i) for i in range(50)])
    thread.start()
    thread.join()
    assert model.rowCount() == 0
    qtbot.waitUntil(lambda: model.rowCount() == 50)
    assert set(where) == {threading.main_thread()}
    assert len(where) < 10  # in pieces, not line by line


def test_the_model_forgets_with_the_ring(model):
    for number in range(80):
        logger.info("%d", number)
    model.take()
    for number in range(80, 250):
        logger.info("%d", number)
    model.take()
    assert model.rowCount() == 100
    assert model.index(0, MESSAGE).data() == "150"
    assert model.index(99, MESSAGE).data() == "249"


def test_lines_from_before_the_model_are_shown(ring, qapp):
    logger.info("early")
    model = LogModel(ring)
    assert model.index(0, MESSAGE).data() == "early"
    model.close()
    logger.info("late")
    assert model.rowCount() == 1


# --------------------------------------------------------------------------------------------------------------------- the view


@pytest.fixture
def filled(dock, model):
    logger.debug("detail")
    logger.info("camera opened")
    logger.warning("camera slow")
    logging.getLogger("agora_app.app").error("it broke\nbadly")
    model.take()
    return dock


def test_levels(filled):
    assert messages(filled) == ["camera opened", "camera slow", "it broke …"]
    filled.level.setCurrentIndex(filled.level.findData(logging.WARNING))
    assert messages(filled) == ["camera slow", "it broke …"]
    filled.level.setCurrentIndex(filled.level.findData(logging.DEBUG))
    assert len(messages(filled)) == 4


def test_text_filter_looks_into_messages_and_loggers(filled, qtbot):
    qtbot.keyClicks(filled.search, "CAMERA s")
    assert messages(filled) == ["camera slow"]
    filled.search.setText("badly")
    assert messages(filled) == ["it broke …"]
    filled.search.setText("agora_app")
    assert messages(filled) == ["it broke …"]


def test_copy_takes_what_is_shown_or_selected_without_the_home_folder(filled, qtbot, model):
    logger.info("saved %s", Path.home() / "secret" / "x.mp4")
    model.take()
    qtbot.mouseClick(filled.copy_button, Qt.MouseButton.LeftButton)
    text = QGuiApplication.clipboard().text()
    assert text.count("\n") == 4  # one line has two
    assert str(Path.home()) not in text
    assert "saved ~" in text
    filled.table.selectRow(1)
    qtbot.keyClick(filled.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text().endswith("core.media.camera: camera slow")


def test_save(filled, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *arguments: (str(tmp_path / "out.txt"), ""))
    qtbot.mouseClick(filled.save_button, Qt.MouseButton.LeftButton)
    assert "camera slow" in (tmp_path / "out.txt").read_text()
    (tmp_path / "taken").write_text("")
    assert not filled.save(tmp_path / "taken" / "out.txt")
    qtbot.waitUntil(lambda: any("cannot be saved" in message for message in messages(filled)))


def test_clear_empties_the_view(filled, qtbot, model):
    qtbot.mouseClick(filled.clear_button, Qt.MouseButton.LeftButton)
    assert messages(filled) == []
    logger.info("after")
    model.take()
    assert messages(filled) == ["after"]


def test_the_folder_is_opened(filled, qtbot, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    qtbot.mouseClick(filled.folder_button, Qt.MouseButton.LeftButton)
    assert [Path(path) for path in opened] == [tmp_path / "data" / "logs"]


def test_new_lines_scroll_into_view_only_at_the_end(dock, model):
    bar = dock.table.verticalScrollBar()
    for number in range(60):
        logger.info("%d", number)
    model.take()
    assert bar.value() == bar.maximum() > 0
    bar.setValue(0)
    logger.info("one more")
    model.take()
    assert bar.value() == 0


def test_columns_make_room(filled):
    assert filled.minimumSizeHint().width() <= 320
    assert filled.table.isColumnHidden(WHERE)
    filled.resize(900, 300)
    assert not filled.table.isColumnHidden(WHERE)
    assert not filled.table.isColumnHidden(LEVEL)
