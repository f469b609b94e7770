"""The training wizard by real clicks, from the first page to a head on stage, and everything that may go wrong on the way."""

from __future__ import annotations

import json

import pytest
import shiboken6
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMessageBox, QWizard

from agora_app.children.followed import Condition
from agora_app.findings import problem_words
from agora_app.training.models.machine import Machine
from agora_app.training.models.presets import PRESETS
from agora_app.training.models.results import InstallStep
from agora_app.training.run_page import count_words
from tests.app.training_tools import PLENTY, make_dataset
from tests.app.training_tools import bench as bench
from trainer.recipe import PRESETS as trainer_presets

DATA, CHECK, RECIPE, BUDGET, RUN, QUALITY, BLENDSHAPES, STAGE = range(8)


def button(wizard, name):
    return wizard.button(getattr(QWizard.WizardButton, name))


def press(bench, wizard, name="NextButton"):
    found = button(wizard, name)
    bench.wait(lambda: found.isVisible() and found.isEnabled())
    bench.qtbot.mouseClick(found, Qt.MouseButton.LeftButton)


def click(bench, widget):
    assert widget.isEnabled()
    bench.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(14, widget.height() // 2))


def go_to(bench, wizard, page):
    """Press Next until a page is there."""
    while wizard.currentId() < page:
        before = wizard.currentId()
        press(bench, wizard, "CommitButton" if before == BUDGET else "NextButton")
        bench.wait(lambda before=before: wizard.currentId() > before)


def texts(findings):
    return [card.what for card in findings.cards]


@pytest.fixture
def begun(bench, tmp_path):
    """A wizard over a dataset that is already there."""

    def begin(machine=PLENTY, form=None, **behaviour):
        bench.use(make_dataset(tmp_path / "data", **behaviour), **(form or {}))
        return bench.wizard(bench.model(machine))

    return begin


# --------------------------------------------------------------------------------------------------------- all the way


def test_from_the_first_page_to_a_head_on_stage(bench, qtbot):
    wizard = bench.wizard(bench.model())
    data, _, recipe, budget, monitor, quality, blendshapes, stage = wizard.pages
    assert not button(wizard, "NextButton").isEnabled()
    data.forms["synthetic"].rows["synthetic_count"].control.setValue(200)
    click(bench, data.make.button)
    press(bench, wizard)
    assert (wizard.data.dataset.name, wizard.data.is_there) == ("synthetic-128-200-seed-0", True)
    assert wizard.currentId() == CHECK
    press(bench, wizard)
    click(bench, recipe.choices["ci"])
    assert bench.store.settings.training.recipe == "ci"
    press(bench, wizard)
    bench.wait(lambda: wizard.budget.answer)
    assert "2 h" in budget.time.value.text()
    assert budget.isCommitPage()
    press(bench, wizard, "CommitButton")
    assert wizard.currentId() == RUN
    bench.wait(lambda: monitor.isComplete())
    assert wizard.model.run.condition is Condition.FINISHED
    assert set(monitor.plots) == {"generator", "discriminator", "colour"}
    assert monitor.samples.shown.name == "000004000.png"
    assert "checkpoint written" in monitor.log.toPlainText()
    assert not button(wizard, "BackButton").isEnabled()
    press(bench, wizard)
    bench.wait(lambda: quality.table.rowCount() == 4)
    assert quality.table.item(0, 0).text() == "Fréchet distance ↓"
    assert quality.table.item(3, 1).text() == "–"
    press(bench, wizard)
    assert not button(wizard, "NextButton").isEnabled()  # there is no pack yet
    blendshapes.form.rows["components"].control.setValue(32)
    click(bench, blendshapes.extract.button)
    bench.wait(lambda: wizard.blendshapes.pack)
    assert blendshapes.curve.isVisible()
    assert list(blendshapes.curve.curves[0].getData()[0]) == [8, 16, 32]
    press(bench, wizard)
    assert wizard.currentId() == STAGE
    assert stage.demo.isChecked()
    with qtbot.waitSignal(wizard.finished):
        press(bench, wizard, "FinishButton")
    assert bench.cast.stage.first == "0"
    assert bench.store.settings.identity.packs
    assert bench.session.last("set_cast")[0].identities[0].name == "seed 0"
    assert bench.source.kind == "demo"


# -------------------------------------------------------------------------------------------------------------- data


def test_a_folder_that_is_no_dataset_says_what_to_do(bench, tmp_path):
    bench.store.change("training", data_kind="folder")
    wizard = bench.wizard(bench.model())
    page = wizard.pages[DATA]
    assert texts(page.findings) == ["no dataset is chosen"]
    bench.store.change("training", dataset=str(tmp_path / "none"))
    assert "is not there" in texts(page.findings)[0]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.JPG").write_bytes(b"x")
    bench.store.change("training", dataset=str(tmp_path / "photos"))
    assert "is no dataset" in texts(page.findings)[0]
    assert "A folder of photos" in wizard.data.problem().mend
    assert not button(wizard, "NextButton").isEnabled()
    make_dataset(tmp_path / "data")
    bench.store.change("training", dataset=str(tmp_path / "data"))
    assert button(wizard, "NextButton").isEnabled()


def test_photos_become_a_dataset(bench, tmp_path):
    wizard = bench.wizard(bench.model())
    page = wizard.pages[DATA]
    click(bench, page.choices["photos"])
    assert texts(page.findings) == ["no folder of photos is chosen"]
    assert not page.make.button.isEnabled()
    photos = tmp_path / "family"
    photos.mkdir()
    bench.store.change("training", photos=str(photos))
    assert "there is no picture" in texts(page.findings)[0]
    (photos / "a.png").write_bytes(b"x")
    bench.store.change("training", photos=str(photos), data_folder=str(tmp_path / "sets"))
    click(bench, page.make.button)
    bench.wait(lambda: wizard.data.is_ready)
    assert wizard.data.dataset == tmp_path / "sets" / "photos-family"


def test_making_is_stopped_and_goes_on(bench, tmp_path):
    (tmp_path / "behave.json").write_text('{"synth": "slow"}')
    bench.store.change("training", data_folder=str(tmp_path))
    wizard = bench.wizard(bench.model())
    page = wizard.pages[DATA]
    click(bench, page.make.button)
    bench.wait(lambda: page.make.bar.value() == 500)
    assert page.make.words.text() == "rendering 10000/20000"
    assert not page.details.isEnabled()
    click(bench, page.make.button)
    bench.wait(lambda: not wizard.data.task.is_running)
    assert page.make.button.text() == "Go on making it"
    (tmp_path / "behave.json").write_text("{}")
    click(bench, page.make.button)
    bench.wait(lambda: wizard.data.is_ready)


def test_a_disk_that_fills_up_while_the_data_is_made(bench, tmp_path):
    (tmp_path / "behave.json").write_text('{"synth": "full"}')
    bench.store.change("training", data_folder=str(tmp_path), synthetic_count=5000)
    wizard = bench.wizard(bench.model())
    page = wizard.pages[DATA]
    click(bench, page.make.button)
    bench.wait(lambda: wizard.data.failure)
    assert "no space left on device" in texts(page.findings)[0]
    assert "make room" in wizard.data.failure.mend
    assert page.forms["synthetic"].rows["synthetic_count"].control.value() == 5000  # the form is as it was
    assert page.make.button.isEnabled()


def test_a_disk_that_is_too_small_is_seen_before(bench):
    wizard = bench.wizard(bench.model(Machine(lambda _folder: 10**6, PLENTY.free_memory, 2)))
    page = wizard.pages[DATA]
    assert "the disk is too full" in texts(page.findings)[0]
    assert not page.make.button.isEnabled()
    assert not wizard.data.make()


# ------------------------------------------------------------------------------------------------------------- check


BAD = [{"severity": "warning", "message": "few people", "count": 0, "places": [], "hint": "make more"},
       {"severity": "blocking", "message": "shards cannot be read", "count": 12,
        "places": [f"{n}.safetensors" for n in range(12)], "hint": "make them again"}]


def test_blocking_findings_stop_one_until_they_are_mended(bench, begun, tmp_path):
    wizard = begun(findings=BAD)
    go_to(bench, wizard, CHECK)
    page = wizard.pages[CHECK]
    bench.wait(lambda: page.findings.cards)
    assert [card.level for card in page.findings.cards] == ["blocking", "warning"]
    assert "2,000 pictures" in page.summary.text()
    assert not button(wizard, "NextButton").isEnabled()
    make_dataset(tmp_path / "data", findings=BAD[:1])
    click(bench, page.check.button)
    bench.wait(lambda: [card.level for card in page.findings.cards] == ["warning"])
    assert button(wizard, "NextButton").isEnabled()


def test_a_check_that_crashes_is_told(bench, begun):
    wizard = begun(check="crash")
    go_to(bench, wizard, CHECK)
    bench.wait(lambda: wizard.check.failure)
    assert "crashed" in texts(wizard.pages[CHECK].findings)[0]
    assert not button(wizard, "NextButton").isEnabled()


def test_a_dataset_is_checked_once(bench, begun):
    wizard = begun()
    go_to(bench, wizard, RECIPE)
    answer = wizard.check.answer
    press(bench, wizard, "BackButton")
    assert wizard.check.answer is answer
    assert texts(wizard.pages[CHECK].findings) == ["Nothing is wrong with it."]


# ------------------------------------------------------------------------------------------------------------ recipe


def test_recipes_that_do_not_fit_the_data_are_refused(bench, begun, tmp_path):
    wizard = begun(form={"recipe": "desktop"})
    go_to(bench, wizard, RECIPE)
    page = wizard.pages[RECIPE]
    assert page.choices["desktop"].isChecked()
    assert texts(page.findings) == ["the pictures have 64 pixels, 128 are needed"]
    bench.store.change("training", size="64")
    assert wizard.recipe.is_ready
    bench.store.change("training", size="recipe")
    click(bench, page.choices["paper"])
    assert texts(page.findings) == ["the pictures have 64 pixels, 512 are needed"]
    assert not button(wizard, "NextButton").isEnabled()
    click(bench, page.choices["file"])
    assert page.file_form.isVisible()
    assert "no recipe file is chosen" in texts(page.findings)
    (tmp_path / "mine.json").write_text("{}")
    bench.store.change("training", recipe_file=str(tmp_path / "mine.json"))
    assert button(wizard, "NextButton").isEnabled()
    bench.store.change("training", recipe_file=str(tmp_path / "data"))
    assert not button(wizard, "NextButton").isEnabled()


def test_photos_know_too_little_for_some_recipes(bench, begun):
    wizard = begun(info={"kind": "portraits", "size": 512})
    go_to(bench, wizard, RECIPE)
    assert "more about the pictures" in texts(wizard.pages[RECIPE].findings)[0]
    assert not button(wizard, "NextButton").isEnabled()
    click(bench, wizard.pages[RECIPE].choices["paper"])
    assert button(wizard, "NextButton").isEnabled()


def test_the_offered_recipes_are_the_trainers():
    recipes = {found.name: found for found in PRESETS if found.name != "file"}
    assert set(recipes) == set(trainer_presets)
    for name, found in recipes.items():
        phases = trainer_presets[name]().phases
        assert found.pixels == max(phase.size for phase in phases)
        assert found.needs_factors == any(phase.paired for phase in phases)


def test_the_advanced_form_folds_out_and_refuses_wrong_values(bench, begun):
    wizard = begun()
    go_to(bench, wizard, RECIPE)
    page = wizard.pages[RECIPE]
    assert not page.advanced.isVisible()
    click(bench, page.fold)
    assert page.advanced.isVisible()
    hours = page.advanced.rows["hours"]
    hours.control.setValue(2.5)
    assert bench.store.settings.training.hours == 2.5
    hours.change(-1.0)
    assert hours.problem.isVisible()
    assert bench.store.settings.training.hours == 2.5
    hours.control.setValue(99_999)
    assert bench.store.settings.training.hours == 10_000  # as far as the field goes


def test_every_recipe_says_what_it_needs_and_gives():
    for preset in PRESETS:
        assert "Needs" in preset.words
        assert "Gives" in preset.words


# ------------------------------------------------------------------------------------------------------------ budget


def test_what_cannot_work_here_cannot_be_started(bench, begun):
    small = Machine(lambda _folder: 5_000_000, lambda: 50_000_000, 2)
    wizard = begun(small, probe={"problems": [{"what": "there is no graphics card", "mend": "choose the desktop recipe"}]})
    go_to(bench, wizard, BUDGET)
    bench.wait(lambda: wizard.budget.answer)
    found = texts(wizard.pages[BUDGET].findings)
    assert found[0] == "there is no graphics card"
    assert found[1].startswith("too little memory")
    assert found[2].startswith("the disk is too full")
    assert all(problem.mend for problem in wizard.budget.problems)
    assert "50 MB of memory" in wizard.pages[BUDGET].free.text()
    assert not button(wizard, "CommitButton").isEnabled()


def test_a_probe_that_fails_can_be_tried_again(bench, begun, tmp_path):
    wizard = begun(probe="garbage")
    go_to(bench, wizard, BUDGET)
    bench.wait(lambda: wizard.budget.failure)
    assert "cannot be read" in texts(wizard.pages[BUDGET].findings)[0]
    make_dataset(tmp_path / "data")
    click(bench, wizard.pages[BUDGET].probe.button)
    bench.wait(lambda: wizard.budget.is_ready)
    assert button(wizard, "CommitButton").isEnabled()


def test_other_settings_are_probed_anew(bench, begun):
    wizard = begun()
    go_to(bench, wizard, BUDGET)
    bench.wait(lambda: wizard.budget.is_ready)
    first = wizard.budget.answer
    press(bench, wizard, "BackButton")
    bench.store.change("training", batch=4)
    press(bench, wizard)
    bench.wait(lambda: wizard.budget.is_ready)
    assert wizard.budget.answer is not first


def test_a_folder_that_cannot_be_written_stops_the_start(bench, begun, tmp_path):
    wizard = begun()
    go_to(bench, wizard, BUDGET)
    bench.wait(lambda: wizard.budget.is_ready)
    (tmp_path / "file").write_text("")
    bench.store.change("training", runs_folder=str(tmp_path / "file"))
    assert "is a file" in texts(wizard.pages[BUDGET].findings)[0]
    assert not button(wizard, "CommitButton").isEnabled()


# --------------------------------------------------------------------------------------------------------------- run


def test_pause_stop_and_continue_by_their_buttons(bench, begun):
    wizard = begun(train="wait")
    go_to(bench, wizard, RUN)
    page, model = wizard.pages[RUN], wizard.model
    bench.wait(lambda: page.pause.isEnabled() and model.run.status.images >= 1000)
    assert not button(wizard, "NextButton").isEnabled()
    click(bench, page.pause)
    assert page.state.text() == "pausing…"
    bench.wait(lambda: page.pause.text() == "Go on" and page.pause.isEnabled())
    assert "paused" in page.heading.text()
    click(bench, page.pause)
    bench.wait(lambda: page.pause.text() == "Pause" and page.pause.isEnabled())
    click(bench, page.stop)
    bench.wait(lambda: page.go_on.isVisible())
    assert "stopped" in page.heading.text()
    assert not page.pause.isVisible()
    assert button(wizard, "NextButton").isEnabled()
    click(bench, page.go_on)
    bench.wait(lambda: model.run.condition is Condition.FINISHED)
    assert not page.go_on.isVisible()


def test_stop_now_asks_first(bench, begun, monkeypatch):
    wizard = begun(train="wait")
    go_to(bench, wizard, RUN)
    page, run = wizard.pages[RUN], wizard.model.run
    bench.wait(lambda: page.pause.isEnabled())
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Cancel)
    click(bench, page.abort)
    assert run.asked is None
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    click(bench, page.abort)
    bench.wait(lambda: run.condition is Condition.STOPPED)


@pytest.mark.parametrize(("plan", "words"), [("die", "ended from outside"), ("full", "the disk is full")])
def test_a_training_that_ends_badly_can_go_on(bench, begun, plan, words):
    wizard = begun(train=plan)
    go_to(bench, wizard, RUN)
    page = wizard.pages[RUN]
    bench.wait(lambda: page.go_on.isVisible())
    assert words in texts(page.findings)[0]
    assert page.findings.isVisible()
    click(bench, page.go_on)
    bench.wait(lambda: wizard.model.run.condition is Condition.FINISHED)
    assert not page.findings.isVisible()


def test_a_training_that_refuses_leads_back_to_a_form_that_is_still_filled_in(bench, begun, tmp_path):
    wizard = begun(train="refuse", form={"batch": 6, "components": 48})
    go_to(bench, wizard, RUN)
    page = wizard.pages[RUN]
    bench.wait(lambda: page.again.isVisible())
    assert texts(page.findings) == ["the recipe cannot be used"]
    assert not page.go_on.isVisible()
    assert not button(wizard, "NextButton").isEnabled()
    click(bench, page.again)
    assert wizard.currentId() == DATA
    form = bench.store.settings.training
    assert (form.dataset, form.batch, form.components) == (str(tmp_path / "data"), 6, 48)
    make_dataset(tmp_path / "data")
    go_to(bench, wizard, RUN)
    bench.wait(lambda: wizard.model.run.condition is Condition.FINISHED)


def test_closed_while_training_and_found_again(bench, begun):
    wizard = begun(train="wait")
    go_to(bench, wizard, RUN)
    model, run = wizard.model, wizard.model.run
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    told = []
    wizard.closed_while_training.connect(lambda: told.append("goes on"))
    press(bench, wizard, "CustomButton1")
    assert told == ["goes on"]
    bench.wait(lambda: not shiboken6.isValid(wizard))
    model.close()
    again = bench.wizard(bench.model(), monitor=True)
    page = again.pages[RUN]
    assert again.currentId() == RUN
    assert again.model.run.is_active
    assert "running" in page.heading.text()
    assert set(page.plots) == {"generator", "discriminator", "colour"}
    assert page.samples.shown.name == "000001000.png"
    assert "checkpoint written" in page.log.toPlainText()
    click(bench, page.stop)
    bench.wait(lambda: page.isComplete())


def test_older_samples_stay_on_show(bench, begun):
    wizard = begun()
    go_to(bench, wizard, RUN)
    view = wizard.pages[RUN].samples
    bench.wait(lambda: wizard.pages[RUN].isComplete())
    assert not view.newer.isEnabled()
    click(bench, view.older)
    assert view.shown.name == "000003000.png"
    assert "1 back" in view.caption.text()
    view.show_samples([*wizard.model.run.samples, wizard.model.run.folder.sample_file(5000)])
    assert view.shown.name == "000003000.png"
    view.go(-9)
    assert view.shown.name == "000003000.png"  # the newest cannot be read: the one before stays


# ------------------------------------------------------------------------------------------------------------- stage


def at_the_end(bench, begun):
    wizard = begun()
    go_to(bench, wizard, BLENDSHAPES)
    click(bench, wizard.pages[BLENDSHAPES].extract.button)
    bench.wait(lambda: wizard.blendshapes.pack)
    go_to(bench, wizard, STAGE)
    return wizard


def test_a_pack_that_cannot_be_opened_leaves_the_wizard_open(bench, begun):
    wizard = at_the_end(bench, begun)
    bench.pack.error = RuntimeError("damaged")
    press(bench, wizard, "FinishButton")
    bench.wait(lambda: wizard.install.failure)
    assert wizard.isVisible()
    assert "cannot be opened" in texts(wizard.pages[STAGE].findings)[0]
    assert "extract the blendshapes again" in wizard.install.failure.mend
    assert bench.cast.person == "7"
    assert button(wizard, "FinishButton").isEnabled()


def test_the_camera_needs_consent(bench, begun, qtbot):
    wizard = at_the_end(bench, begun)
    click(bench, wizard.pages[STAGE].camera)
    bench.consent = False
    press(bench, wizard, "FinishButton")
    assert not wizard.install.is_busy
    bench.consent = True
    with qtbot.waitSignal(wizard.finished):
        press(bench, wizard, "FinishButton")
    assert bench.source.kind == "camera"


def test_without_a_camera_the_demo_plays(bench, begun):
    bench.wait(lambda: bench.source.cameras)
    bench.cameras.clear()
    bench.source.refresh_cameras()
    bench.wait(lambda: not bench.source.cameras)
    wizard = at_the_end(bench, begun)
    page = wizard.pages[STAGE]
    assert not page.camera.isEnabled()
    assert "No camera was found" in page.camera.toolTip()
    assert page.demo.isChecked()


def test_a_full_disk_while_installing(bench, begun, monkeypatch):
    wizard = at_the_end(bench, begun)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agora_app.models.user_packs.shutil.copyfile", refuse)
    press(bench, wizard, "FinishButton")
    bench.wait(lambda: wizard.install.failure)
    assert "No space left" in texts(wizard.pages[STAGE].findings)[0]


def test_the_same_pack_is_kept_once_and_another_beside_it(bench, qtbot, tmp_path):
    model = bench.model()
    pack = tmp_path / "mine.agora"
    for content, names in ((b"one", ["mine.agora"]), (b"one", ["mine.agora"]), (b"two", ["mine-2.agora", "mine.agora"])):
        pack.write_bytes(content)
        step = InstallStep(model, bench.cast, bench.source)
        with qtbot.waitSignal(step.installed):
            step.begin(pack, False)
        assert sorted(path.name for path in (tmp_path / "data" / "packs").iterdir()) == names


def test_a_report_that_lies_there_is_taken(bench, begun):
    wizard = begun()
    go_to(bench, wizard, RUN)
    run = wizard.model.run
    bench.wait(lambda: run.condition is Condition.FINISHED)
    rows = [{"name": "Mine", "value": 1.0, "floor": None, "ceiling": None, "better": "lower", "meaning": ""}]
    run.folder.report.write_text(json.dumps({"rows": rows}))
    go_to(bench, wizard, QUALITY)
    page = wizard.pages[QUALITY]
    assert page.table.rowCount() == 1
    click(bench, page.measure.button)
    bench.wait(lambda: page.table.rowCount() == 4)


def test_after_the_monitor_was_called_up_everything_still_works(bench, begun):
    wizard = begun()
    go_to(bench, wizard, RUN)
    bench.wait(lambda: wizard.pages[RUN].isComplete())
    wizard.begin_again()
    wizard.show_monitor()
    go_to(bench, wizard, BLENDSHAPES)
    assert wizard.pages[QUALITY].table.rowCount() == 4
    click(bench, wizard.pages[BLENDSHAPES].extract.button)
    bench.wait(lambda: wizard.blendshapes.pack)
    assert wizard.blendshapes.failure is None


# ------------------------------------------------------------------------------------------------------------- words


def test_words(bench):
    from agora_app.children.answers import Problem

    assert problem_words(Problem("the disk is full", "make room")) == "The disk is full. To mend it: make room."
    assert count_words(999) == "999"
    assert count_words(120_000) == "120 k"


def test_every_control_can_be_told_apart(bench):
    wizard = bench.wizard(bench.model())
    data = wizard.pages[DATA]
    for widget in (*data.choices.values(), data.make.button, *(row.control for row in data.forms["synthetic"].rows.values()),
                   wizard.pages[RUN].samples.older, wizard.pages[RUN].pause):
        assert widget.accessibleName() or widget.text()
        assert widget.toolTip()


def test_closing_while_a_command_runs_ends_it(bench, tmp_path):
    (tmp_path / "behave.json").write_text('{"synth": "slow"}')
    bench.store.change("training", data_folder=str(tmp_path))
    wizard = bench.wizard(bench.model())
    click(bench, wizard.pages[DATA].make.button)
    bench.wait(lambda: wizard.pages[DATA].make.bar.value() == 500)
    press(bench, wizard, "CustomButton1")
    bench.wait(lambda: not shiboken6.isValid(wizard))
