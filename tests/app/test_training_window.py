"""Trainings in the real window: its actions, its banner, and a trained pack that comes on stage and moves."""

from __future__ import annotations

import sys

import pytest

from agora_app.children.followed import Condition
from agora_app.training.models.commands import TrainerCommands
from core.assets import resource
from core.avatar.sources import STUDIO_PACK_NAME
from tests.app.test_main_window import Stage
from tests.app.test_main_window import stage as stage
from tests.app.test_training_wizard import BLENDSHAPES, RUN, STAGE, click, go_to, press
from tests.app.training_tools import FAKE, PLENTY, make_dataset
from tests.app.training_tools import bench as bench


@pytest.fixture
def training(stage, bench, tmp_path):
    """The window of a user who has a dataset, with the fake trainer behind it."""
    make_dataset(tmp_path / "data", train="wait")
    bench.use(tmp_path / "data")
    stage.services.training.commands, stage.services.training.machine = FAKE, PLENTY
    return stage


def test_without_a_training_there_is_nothing_to_show(training):
    training.trigger("train.show")
    assert any("There is no training yet" in text for text in training.window.toasts.texts())


def test_the_wizard_opens_once_and_turns_to_what_is_asked_for(training, bench):
    training.trigger("train.new")
    dialogs = training.window.dialogs
    wizard = dialogs._training
    go_to(bench, wizard, RUN)
    run = training.services.training.run
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    training.trigger("train.new")
    assert dialogs._training is wizard
    assert wizard.currentId() == 0
    training.trigger("train.show")
    assert wizard.currentId() == RUN
    press(bench, wizard, "CustomButton1")
    assert any("The training goes on" in text for text in training.window.toasts.texts())
    assert dialogs._training is None
    run.stop()
    bench.wait(lambda: training.window.banner.isVisible())
    assert training.window.banner.text == "The training is over"
    training.window.banner.action_button.click()
    assert dialogs._training.currentId() == RUN
    assert not training.window.banner.isVisible()


def test_a_training_is_found_again_at_the_next_start(qtbot, store, bench, tmp_path):
    model, run = bench.run_model(make_dataset(tmp_path / "data", train="wait"))
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    model.close()
    stage = Stage(qtbot, store)
    qtbot.addWidget(stage.window, before_close_func=lambda _: stage.close())
    assert stage.window.banner.isVisible()
    assert stage.window.banner.text == "A training is running"
    stage.window.banner.action_button.click()
    wizard = stage.window.dialogs._training
    assert "running" in wizard.pages[RUN].heading.text()
    stage.services.training.run.abort()
    bench.wait(lambda: stage.services.training.run.condition is Condition.STOPPED)
    stage.close()


def test_a_failure_is_told_where_no_monitor_is_open(training, bench, tmp_path):
    make_dataset(tmp_path / "data", train="die")
    assert training.services.training.start(tmp_path / "data")
    bench.wait(lambda: training.window.banner.isVisible())
    assert training.window.banner.kind == "error"
    assert training.window.banner.text == "The training has failed"


def test_what_was_trained_comes_on_stage_and_moves(training, bench, tmp_path, monkeypatch):
    """The fake trainer hands out the studio's own pack: what is opened, built and drawn is real."""
    monkeypatch.setenv("AGORA_FAKE_PACK", str(resource(STUDIO_PACK_NAME)))
    make_dataset(tmp_path / "data")
    training.wait_for_pictures()
    training.trigger("train.new")
    wizard = training.window.dialogs._training
    go_to(bench, wizard, BLENDSHAPES)
    click(bench, wizard.pages[BLENDSHAPES].extract.button)
    bench.wait(lambda: wizard.blendshapes.pack)
    go_to(bench, wizard, STAGE)
    press(bench, wizard, "FinishButton")
    bench.wait(lambda: training.window.dialogs._training is None, 60)
    assert training.services.cast.stage.shelf.endswith(".agora")
    before = len(training.painted)
    bench.wait(lambda: len({picture.psi.tobytes() for picture in training.painted[before:]}) > 2, 60)


def test_a_program_that_is_missing_is_told_in_a_toast(training, tmp_path):
    training.services.training.commands = TrainerCommands((sys.executable + "-missing",))
    assert not training.services.training.start(tmp_path / "data")
    assert any("cannot be started" in text for text in training.window.toasts.texts())
