"""The training wizard with the real commands, by real clicks: from an empty folder to a live avatar. Takes some minutes."""

from __future__ import annotations

import json

import pytest

from agora_app.children.followed import Condition
from agora_app.training.models.commands import TrainerCommands
from core.avatar.pack import read_pack
from tests.app.test_main_window import stage as stage
from tests.app.test_training_wizard import BLENDSHAPES, BUDGET, CHECK, QUALITY, RUN, STAGE, click, press, texts

LONGEST = 900.0  # seconds for any step on a machine that has other things to do
HASTE = ("--epochs", "5", "--people", "2")


class Steps:
    """What the helpers of the wizard's tests take for their bench."""

    def __init__(self, qtbot) -> None:
        self.qtbot = qtbot

    def wait(self, condition, seconds: float = LONGEST) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=round(1000 * seconds))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_from_nothing_to_a_live_avatar(qtbot, stage, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    steps, services, store = Steps(qtbot), stage.services, stage.store
    store.change("training", data_folder=str(tmp_path / "sets"), runs_folder=str(tmp_path / "runs"), threads=1, components=8,
                 identities=4, expressions=8)
    services.training.commands = TrainerCommands(distill_words=HASTE)
    services.session.set_paused(True)  # all processors for the training
    stage.trigger("train.new")
    wizard = stage.window.dialogs._training
    data, check, recipe, budget, monitor, quality, blendshapes, last = wizard.pages

    data.forms["synthetic"].rows["synthetic_count"].control.setValue(24)
    store.change("training", synthetic_size="32")
    told = []
    wizard.data.task.progressed.connect(lambda share, words: told.append((share, words)))
    click(steps, data.make.button)
    steps.wait(lambda: wizard.data.is_ready or wizard.data.failure)
    assert wizard.data.failure is None
    assert any(0 < share < 1 and words.startswith("pictures: ") for share, words in told)
    press(steps, wizard)

    assert wizard.currentId() == CHECK
    steps.wait(lambda: wizard.check.answer or wizard.check.failure)
    assert check.summary.text() == "Synthetic · 94 pictures · 9 people · 32 × 32 pixels"
    assert [card.level for card in check.findings.cards] == ["warning"]  # so few pictures
    press(steps, wizard)

    assert not wizard.recipe.is_ready  # the desktop recipe needs larger pictures
    click(steps, recipe.choices["ci"])
    press(steps, wizard)

    assert wizard.currentId() == BUDGET
    steps.wait(lambda: wizard.budget.answer or wizard.budget.failure)
    assert texts(budget.findings) == ["It can run here."]
    assert wizard.budget.answer.memory_bytes > 10**8
    press(steps, wizard, "CommitButton")

    assert wizard.currentId() == RUN
    run = wizard.model.run
    steps.wait(lambda: run.condition.is_over)
    assert (run.condition, run.problem) == (Condition.FINISHED, None)
    assert run.share == 1.0
    assert {"picture", "loss", "discriminator", "FD-synth", "skin leak"} <= set(monitor.plots)
    assert monitor.samples.shown is not None
    assert (run.path / "generator.safetensors").is_file()
    press(steps, wizard)

    assert wizard.currentId() == QUALITY
    steps.wait(lambda: wizard.evaluation.answer or wizard.evaluation.failure)
    assert wizard.evaluation.failure is None
    assert quality.table.item(0, 0).text() == "FD-synth ↓"
    assert len(json.loads(run.folder.report.read_text())["rows"]) == quality.table.rowCount() > 10
    press(steps, wizard)

    assert wizard.currentId() == BLENDSHAPES
    click(steps, blendshapes.extract.button)
    steps.wait(lambda: wizard.blendshapes.pack or wizard.blendshapes.failure)
    assert wizard.blendshapes.failure is None
    assert list(blendshapes.curve.curves[0].getData()[0]) == [1, 2, 4, 8]
    assert read_pack(wizard.blendshapes.pack).manifest.kind == "generator"
    press(steps, wizard)

    assert wizard.currentId() == STAGE
    assert last.demo.isChecked()
    press(steps, wizard, "FinishButton")
    steps.wait(lambda: stage.window.dialogs._training is None or wizard.install.failure)
    assert stage.window.dialogs._training is None, wizard.install.failure
    assert services.cast.stage.shelf == store.settings.identity.packs[0]
    assert services.cast.shelf.workshop.pack.manifest.components == (8, 8, 8, 8)
    services.session.set_paused(False)
    before = len(stage.painted)
    steps.wait(lambda: len({picture.psi.tobytes() for picture in stage.painted[before:]}) > 2)
    assert stage.painted[-1].image.any()
