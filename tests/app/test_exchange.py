"""Export and import by real clicks, with a fake program as a real process: command lines, progress, cancel, failures."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import shiboken6
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QAbstractButton, QComboBox, QFileDialog, QLineEdit

from agora_app.exchange.export_dialog import ExportDialog
from agora_app.exchange.import_dialog import ImportDialog
from agora_app.exchange.models.commands import ExchangeCommands
from agora_app.exchange.models.export import ExportModel
from agora_app.exchange.models.formats import FORMATS, format_of
from agora_app.exchange.models.official import OfficialModel
from agora_app.exchange.models.official_files import look_into
from agora_app.findings import FindingCard
from core.assets import data_folder, resource
from core.cli import DEMO_MOTION
from core.commands.arguments import parse_arguments
from tests.app.photo_tools import photo_bench as photo_bench


def click(bench, widget):
    assert widget.isVisible()
    assert widget.isEnabled(), widget.toolTip()
    bench.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(14, widget.height() // 2))


def put_away(dialog) -> None:
    """Close a dialog that may be gone already."""
    if shiboken6.isValid(dialog):
        dialog.end()
        dialog.deleteLater()


def cards(dialog) -> list[tuple[str, str]]:
    return [(card.level, card.what) for card in dialog.findChildren(FindingCard) if card.isVisible()]


# ------------------------------------------------------------------------------------------------------------- export


@pytest.fixture
def export(photo_bench, tmp_path):
    """Opens an export of the person on stage into a folder of the test's."""
    dialogs = []

    def open_dialog(kind: str = "web", **settings):
        photo_bench.store.change("exchange", format=kind, folder=str(photo_bench.folder), **settings)
        dialog = ExportDialog(ExportModel(photo_bench.store, photo_bench.cast, commands=photo_bench.exchange))
        dialogs.append(dialog)
        dialog.show()
        return dialog

    yield open_dialog
    for dialog in dialogs:
        put_away(dialog)


def test_command_lines():
    commands = ExchangeCommands(("main.py",))
    assert commands.export("web", "", ("7", "20"), Path("a.html"), "m.npz") == [
        "main.py", "export", "web", "--seed", "7", "20", "--out", "a.html", "--motion", "m.npz"]
    assert commands.export("ply", "P.agora", ("0",), Path("a.ply")) == [
        "main.py", "export", "ply", "--pack", "P.agora", "--seed", "0", "--out", "a.ply"]
    assert commands.export("spz", "", ("7",), Path("a.spz"), face="smile")[-2:] == ["--expression", "smile"]
    assert commands.import_official(Path("D"), Path("P.agora"), "Mine", "0-7", False) == [
        "main.py", "import-official", "D", "--out", "P.agora", "--name", "Mine", "--seeds", "0-7", "--without-generator"]


def test_the_commands_know_every_word_they_are_given(tmp_path):
    """The real options, parsed as the commands do."""
    from core.commands import export
    from trainer.cli import _TABLE

    commands = ExchangeCommands(("main.py",))
    line = commands.export("web", "P.agora", ("7", "7+42@0.5"), tmp_path / "a.html", "m.npz", "smile")
    assert parse_arguments(export.Options, "export", line[2:]).seed == ("7", "7+42@0.5")
    options, _ = _TABLE["import-official"].load()
    line = commands.import_official(tmp_path, tmp_path / "P.agora", "Mine", "0-7", False)
    assert parse_arguments(options, "import-official", line[2:]).without_generator


@pytest.mark.parametrize("kind", [found.kind for found in FORMATS])
def test_each_format_writes_its_file(photo_bench, export, kind):
    dialog = export("splat", with_motion=False)
    click(photo_bench, dialog.choices[kind])
    found = format_of(kind)
    assert dialog.name_edit.text() == "Studio 7"
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.written)
    written = photo_bench.folder / f"Studio 7{found.suffix}"
    assert written.read_text() == f"export {kind} --seed 7 --out {written}"
    photo_bench.wait(lambda: cards(dialog))
    assert cards(dialog)[0][0] == "ok"
    assert written.name in cards(dialog)[0][1]
    assert dialog.folder_button.isVisible()
    assert dialog.open_button.isVisible() == (kind == "web")
    assert photo_bench.store.settings.exchange.format == kind
    assert dialog.name_edit.text() == "Studio 7 (2)"  # the next one does not overwrite it


def test_several_people_and_a_motion_on_a_page(photo_bench, export, monkeypatch):
    dialog = export()
    assert dialog.motion.isChecked()
    dialog.people_edit.clear()
    photo_bench.qtbot.keyClicks(dialog.people_edit, "7, 20-22")
    motion = photo_bench.folder / "mine.npz"
    shutil.copyfile(resource(DEMO_MOTION), motion)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(motion), ""))
    dialog._on_motion(dialog.motion_box.count() - 1)
    assert dialog.motion_box.currentText() == "mine"
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.written)
    words = dialog.model.written.read_text()
    assert "--seed 7 20 21 22 --out" in words
    assert words.endswith(f"--motion {motion}")
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    click(photo_bench, dialog.open_button)
    click(photo_bench, dialog.folder_button)
    assert opened == [str(dialog.model.written), str(photo_bench.folder)]


def test_a_motion_makes_a_folder_of_files(photo_bench, export):
    dialog = export("ply")
    assert dialog.suffix.isVisible()  # so many files are not written unasked
    click(photo_bench, dialog.motion)
    assert not dialog.suffix.isVisible()
    assert "one file for each of its 192 frames" in dialog.motion_note.text()
    assert not dialog.face_row.isVisible()
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.written)
    assert sorted(path.name for path in (photo_bench.folder / "Studio 7").iterdir())[0] == "000000.ply"
    assert dialog.model.motion == resource(DEMO_MOTION)
    click(photo_bench, dialog.motion)
    assert dialog.suffix.text() == ".ply"


@pytest.mark.parametrize(("kind", "people", "words"), [
    ("ply", "7, 8", "One person"), ("web", "1-9", "8 people at most"), ("web", "hello", "hello"), ("web", "", "nobody is named")])
def test_people_who_cannot_be_exported(photo_bench, export, kind, people, words):
    dialog = export(kind)
    dialog.model.set_people(people)
    assert words in dialog.model.reason()
    assert not dialog.start_button.isEnabled()
    assert words.casefold() in dialog.words.text().casefold()
    assert not dialog.model.start()


def test_names_and_clips_that_cannot_be_used(photo_bench, export):
    dialog = export("web", motion="/no/such/clip.npz")
    assert "clip.npz cannot be used" in dialog.model.reason()
    dialog.model.set_with_motion(False)
    dialog.model.set_name("a/b")
    assert "letters" in dialog.model.reason()
    (photo_bench.folder / "there.html").write_text("")
    dialog.model.set_name("there")
    assert "there already" in dialog.model.reason()


def test_a_face_is_chosen_for_one_moment(photo_bench, export):
    dialog = export("spz")
    dialog.face_box.setCurrentIndex(dialog.face_box.findData("smile"))
    dialog.face_box.activated.emit(dialog.face_box.currentIndex())
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.written)
    assert dialog.model.written.read_text().endswith("--expression smile")
    photo_bench.wait(lambda: cards(dialog))
    assert "65536 Gaussians" in cards(dialog)[0][1]
    click(photo_bench, dialog.choices["glb"])
    assert not dialog.face_row.isVisible()


def test_meshes_of_other_head_models_stay(photo_bench, export):
    pack = photo_bench._workshop(Path("AGORA.agora"))
    pack.pack.manifest.kind, pack.pack.manifest.head_sha256 = "official", "another"
    photo_bench.cast.open_pack("/x/AGORA.agora")
    photo_bench.wait(lambda: photo_bench.cast.stage.shelf)
    dialog = export("web")
    assert "may not be passed on" in dialog.choices["glb"].toolTip()
    assert dialog.start_button.isEnabled()


def test_people_of_a_pack_come_with_it(photo_bench, export):
    photo_bench.cast.open_pack("/x/Mine.agora")
    photo_bench.wait(lambda: photo_bench.cast.stage.shelf)
    dialog = export("splat")
    assert dialog.name_edit.text() == "Mine 0"
    dialog.model.set_people("5")
    assert "nobody called 5" in dialog.model.reason()
    dialog.model.set_people("0")
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.written)
    assert "--pack /x/Mine.agora --seed 0" in dialog.model.written.read_text().replace("\\", "/")


def test_formats_that_cannot_be_had_say_why(photo_bench, export):
    splats = photo_bench._workshop(Path("head.ply"))
    splats.pack.manifest.kind = "static"
    photo_bench.cast.open_pack("/x/head.ply")
    photo_bench.wait(lambda: photo_bench.cast.stage.shelf)
    dialog = export("web")
    for kind in ("web", "glb"):
        assert not dialog.choices[kind].isEnabled()
        assert "no expressions" in dialog.choices[kind].toolTip()
    assert "no expressions" in dialog.words.text()
    click(photo_bench, dialog.choices["splat"])
    assert dialog.start_button.isEnabled()


def test_before_anybody_is_on_stage(photo_bench):
    cast = SimpleNamespace(shelf=photo_bench.cast.shelf, people_on_stage=(), stage=SimpleNamespace(shelf=""))
    model = ExportModel(photo_bench.store, cast, commands=photo_bench.exchange)
    assert model.reason() == "Nobody is on stage yet"


def test_an_export_is_cancelled(photo_bench, export):
    photo_bench.behave(export="slow")
    dialog = export()
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.bar.value() == 250)
    assert dialog.words.text() == "Frames: 5/20"
    assert not dialog.form.isEnabled()
    assert dialog.close_button.text() == "Cancel"
    click(photo_bench, dialog.close_button)
    assert dialog.words.text() == "Cancelling…"
    photo_bench.wait(lambda: not dialog.model.task.is_running)
    assert photo_bench.processes() == []
    assert dialog.start_button.isEnabled()
    assert cards(dialog) == []


def test_closing_cancels_first(photo_bench, export):
    photo_bench.behave(export="slow")
    dialog = export()
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.bar.value() == 250)
    finished = []
    dialog.finished.connect(finished.append)
    dialog.close()
    photo_bench.wait(lambda: finished)
    assert photo_bench.processes() == []


def test_a_failure_is_told_with_its_mending_step(photo_bench, export):
    photo_bench.behave(export="full")
    dialog = export()
    click(photo_bench, dialog.start_button)
    photo_bench.wait(lambda: dialog.model.failure)
    photo_bench.wait(lambda: cards(dialog))
    assert "no space left on device" in cards(dialog)[0][1]
    assert dialog.model.failure.mend == "make room, then try again"
    dialog.model.set_people("8")
    assert cards(dialog) == []  # it was about the other one


def test_a_folder_that_cannot_be_made(photo_bench, export):
    (photo_bench.folder / "file").write_text("")
    dialog = export()
    dialog.model.set_folder(str(photo_bench.folder / "file" / "below"))
    assert not dialog.model.start()
    photo_bench.wait(lambda: cards(dialog))
    assert "the folder cannot be made" in cards(dialog)[0][1]


# ------------------------------------------------------------------------------------------------------------- import


@pytest.fixture
def official(photo_bench, tmp_path):
    """A folder with everything that is published, by name."""
    folder = tmp_path / "official"
    (folder / "run" / "checkpoints").mkdir(parents=True)
    for name in ("run/checkpoints/checkpoint-20500.pkl", "run/model_config.json", "svd_basis.pt", "mlp_regressor.pt"):
        (folder / name).write_bytes(b"x" * 2000)
    return folder


@pytest.fixture
def importing(photo_bench):
    dialog = ImportDialog(OfficialModel(photo_bench.store, photo_bench.cast, commands=photo_bench.exchange))
    dialog.show()
    yield dialog
    put_away(dialog)


def test_what_lies_in_a_folder_is_told_from_names(official, tmp_path):
    found = {part.part.title: part.file for part in look_into(official)}
    assert found["Checkpoint of the generator"].name == "checkpoint-20500.pkl"
    assert found["Head shapes and cameras"] is None
    far = tmp_path.joinpath("deep", *"abcdefghi")
    far.mkdir(parents=True)
    (far / "svd_basis.pt").write_bytes(b"")
    assert not any(part.file for part in look_into(tmp_path / "deep"))  # too far below to be meant


def test_an_import_from_the_folder_to_the_stage(photo_bench, importing, official, monkeypatch, qtbot):
    dialog = importing
    assert not dialog.start_button.isEnabled()
    assert dialog.empty.isVisible()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(official))
    click(photo_bench, dialog.choose_button)
    lines = dialog.parts.texts()
    assert lines[0] == "✓ Checkpoint of the generator checkpoint-20500.pkl, 2.0 kB"
    assert lines[4].startswith("! Head shapes and cameras missing: ")
    dialog.seeds_edit.clear()
    qtbot.keyClicks(dialog.seeds_edit, "10, 42")
    click(photo_bench, dialog.generator)
    with qtbot.waitSignal(dialog.model.added, timeout=20_000) as added:
        click(photo_bench, dialog.start_button)
    assert added.args == ["AGORA"]
    photo_bench.wait(lambda: len(cards(dialog)) == 2)
    assert cards(dialog) == [("ok", "AGORA is in the gallery; its first person is on stage"),
                             ("warning", "no fused_params_dataset.npy: head shapes are made up")]
    assert (data_folder() / "packs" / "AGORA.agora").is_file()
    assert photo_bench.cast.stage.shelf == str(data_folder() / "packs" / "AGORA.agora")
    assert photo_bench.store.settings.exchange.import_seeds == "10, 42"


def test_what_is_needed_and_missing_stops_one(photo_bench, importing, official):
    (official / "run" / "checkpoints" / "checkpoint-20500.pkl").unlink()
    importing.model.set_folder(str(official))
    assert importing.parts.texts()[0].startswith("✗ Checkpoint of the generator missing")
    assert importing.words.text() == "Checkpoint of the generator is missing."
    assert not importing.model.start()


@pytest.mark.parametrize(("seeds", "words"), [("x", "x"), ("0-99", "At most 64 people"), ("", "")])
def test_seeds_that_cannot_be_used(importing, official, seeds, words):
    importing.model.set_folder(str(official))
    importing.model.set_seeds(seeds)
    assert importing.model.reason()
    assert words in importing.model.reason()


def test_a_refused_checkpoint_is_told(photo_bench, importing, official):
    (official / "behave.json").write_text('{"import": "refuse"}')
    importing.model.set_folder(str(official))
    click(photo_bench, importing.start_button)
    photo_bench.wait(lambda: importing.model.failure)
    photo_bench.wait(lambda: cards(importing))
    assert "holds a program" in cards(importing)[0][1]
    assert importing.isVisible()
    assert not any((data_folder() / "packs").iterdir())


def test_an_import_is_cancelled(photo_bench, importing, official):
    (official / "behave.json").write_text('{"import": "slow"}')
    importing.model.set_folder(str(official))
    click(photo_bench, importing.start_button)
    photo_bench.wait(lambda: importing.bar.value() == 125)
    click(photo_bench, importing.close_button)
    photo_bench.wait(lambda: not importing.model.is_busy)
    assert photo_bench.processes() == []
    assert not any((data_folder() / "packs").iterdir())


def test_a_pack_that_cannot_be_opened(photo_bench, importing, official):
    photo_bench._workshop(Path("AGORA.agora")).error = RuntimeError("damaged")
    importing.model.set_folder(str(official))
    click(photo_bench, importing.start_button)
    photo_bench.wait(lambda: importing.model.failure)
    photo_bench.wait(lambda: cards(importing))
    assert "cannot be opened" in cards(importing)[0][1]


def test_the_folder_is_remembered(photo_bench, importing, official):
    importing.model.set_folder(str(official))
    again = OfficialModel(photo_bench.store, photo_bench.cast, commands=photo_bench.exchange)
    assert again.folder == str(official)
    assert len(again.parts) == 5
    again.close()


def test_every_control_can_be_told_apart_and_reached(photo_bench, export, importing):
    for dialog in (export(), importing):
        for widget in dialog.findChildren(QAbstractButton):
            assert widget.accessibleName() or widget.text(), widget
            assert widget.toolTip(), widget.text()
            assert widget.autoExclusive() or widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget.text()  # those: arrows
        for kind in (QLineEdit, QComboBox):
            for widget in dialog.findChildren(kind):
                assert widget.accessibleName(), widget
                assert widget.toolTip(), widget
