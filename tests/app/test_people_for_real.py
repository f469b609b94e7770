"""People in and out with the real commands, by real clicks: from a photograph to the stage, to other formats, and back."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agora_app.exchange.export_dialog import ExportDialog
from agora_app.exchange.import_dialog import ImportDialog
from agora_app.photo.dialog import PhotoDialog
from agora_app.photo.models.model import PhotoStage
from core.avatar.pack import read_pack
from core.avatar.portraits import Portraitist
from core.avatar.sources import open_source
from core.media.image import write_image
from tests.app.test_main_window import stage as stage

LONGEST_MS = 900_000  # for any step on a machine that has other things to do
GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


def dialog_of(stage, kind):
    return next(found for found in stage.window.findChildren(kind) if found.isVisible())


def wait(stage, condition) -> None:
    stage.qtbot.waitUntil(lambda: bool(condition()), timeout=LONGEST_MS)


def moves(stage) -> bool:
    """Whether whoever is on stage moves."""
    before = len(stage.painted)
    wait(stage, lambda: len({picture.psi.tobytes() for picture in stage.painted[before:]}) > 2)
    return bool(stage.painted[-1].image.any())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_from_a_photo_to_the_stage_and_into_other_programs(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    services = stage.services
    photo = tmp_path / "anna.png"
    write_image(photo, Portraitist(open_source(), 640).picture("1005", math.radians(4)))
    stage.wait_for_pictures(1)
    services.session.set_paused(True)  # all processors for the work
    stage.window.commands.take_dropped([str(photo)])
    dialog, model = dialog_of(stage, PhotoDialog), services.photo
    dialog.form_page.consent.click()
    dialog.start_button.click()
    shares = []
    model.progressed.connect(lambda: shares.append(model.run.share if model.run else 1.0))
    wait(stage, lambda: not model.is_active and not model.is_drawing)
    assert model.stage is PhotoStage.DONE, model.form.problem or model.form.problem_of(photo)
    assert shares == sorted(shares)
    assert len(set(shares)) > 3
    assert {view.name for view in model.views} == {"front", "left", "right", "smile"}
    assert model.report.scores.ssim > 0.5
    assert dialog.result_page.verdict.text()
    dialog.add_button.click()
    wait(stage, lambda: model.stage is PhotoStage.FORM)
    pack = Path(services.cast.stage.shelf)
    assert read_pack(pack).manifest.kind == "photo"
    assert read_pack(pack).manifest.name == "Anna"
    services.session.set_paused(False)
    assert moves(stage)

    stage.store.change("exchange", folder=str(tmp_path / "out"))
    stage.trigger("file.export")
    export = dialog_of(stage, ExportDialog)
    for kind in ("web", "glb", "ply"):
        export.model.set_format(kind)
        assert export.start_button.isEnabled(), export.model.reason()
        export.start_button.click()
        wait(stage, lambda: not export.model.task.is_running)
        assert export.model.failure is None
        assert export.model.written.stat().st_size > 100_000
    services.cast.open_pack(export.model.written)
    wait(stage, lambda: services.cast.stage.shelf.endswith(".ply"))
    stage.wait_for_pictures(3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_official_files_come_on_stage(stage, monkeypatch):
    if not GOLDEN.is_dir():
        pytest.skip("the golden files are not beside the project")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stage.trigger("file.import_official")
    dialog = dialog_of(stage, ImportDialog)
    dialog.model.set_folder(str(GOLDEN))
    dialog.model.set_seeds("0-1")
    assert [line[0] for line in dialog.parts.texts()] == ["✓", "✓", "✓", "✓", "!"]
    dialog.start_button.click()
    wait(stage, lambda: dialog.model.failure or dialog.model.is_done)
    assert dialog.model.failure is None
    assert any("fused_params_dataset" in note for note in dialog.model.notes)
    assert stage.services.cast.shelf.workshop.pack.manifest.kind == "official"
    stage.wait_for_pictures(3)
