"""People from photographs without widgets, with a fake program as a real process: made, cancelled, found again, failed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from agora_app.children.answers import Problem, read_answer
from agora_app.children.launcher import Launcher
from agora_app.photo.models.form import MOST_PHOTOS, PhotoForm, suggested_name
from agora_app.photo.models.job import JobFolder, PhotoCommands, PhotoJob, job_folders, jobs_folder
from agora_app.photo.models.model import PhotoStage
from agora_app.photo.models.report import PhotoReport, Scores, route_words, score_words, verdict
from agora_app.photo.models.views import draw_views
from core.assets import data_folder, resource
from core.avatar.sources import STUDIO_PACK_NAME
from core.commands.arguments import parse_arguments
from tests.app.photo_tools import left_behind
from tests.app.photo_tools import photo_bench as photo_bench
from trainer.cli import _TABLE as COMMAND_TABLE
from trainer.commands import invert as invert_command

# -------------------------------------------------------------------------------------------------------------- form


@pytest.fixture
def form(photo_bench):
    return PhotoForm(photo_bench.store)


def test_only_pictures_are_taken_each_once(form, photo_bench):
    photo, notes = photo_bench.photo("Anna Lena.jpg"), photo_bench.folder / "notes.txt"
    notes.write_text("hello")
    form.add([photo, str(notes), photo, photo_bench.folder / "gone.png"])
    assert form.photos == (photo,)
    assert form.notes == ("notes.txt is no picture", "Anna Lena.jpg is there already", "gone.png is no picture")
    form.add([photo_bench.photo(f"{n}.png") for n in range(MOST_PHOTOS)])
    assert len(form.photos) == MOST_PHOTOS
    assert f"{MOST_PHOTOS} photos are enough" in form.notes[0]


def test_a_name_is_suggested_until_one_is_typed(form, photo_bench):
    form.add([photo_bench.photo("IMG_2041.png")])
    assert form.name == ""
    form.add([photo_bench.photo("uncle_bob.png")])
    assert form.name == "Uncle Bob"
    form.set_name("Bob")
    form.remove(form.photos[1])
    assert form.name == "Bob"
    form.set_name("")
    form.add([photo_bench.photo("eve.png")])
    assert form.name == "Eve"


@pytest.mark.parametrize(("file", "name"), [("anna.jpg", "Anna"), ("DSC_0001.jpg", ""), ("2024-05-01.png", ""),
                                            ("Photo 3.png", ""), ("Jean-Luc.webp", "Jean Luc")])
def test_names_in_file_names(file, name):
    assert suggested_name(Path(file)) == name


def test_what_is_missing_is_said_in_turn(form, photo_bench, monkeypatch):
    assert form.reason(True) == "Add a photo first"
    form.add([photo_bench.photo("1.png")])
    assert form.reason(True) == "Give the person a name"
    form.set_name("Anna")
    form.set_route("generator")
    with monkeypatch.context() as nothing_ships:
        nothing_ships.setattr("agora_app.photo.models.form.shipped_packs", lambda: ())
        assert "generator" in form.reason(True)
        form.set_generator("G.agora")
        assert form.reason(True) == ""
    assert form.reason(False) == "Say that you may use the photos"
    assert form.reason(True) == ""


def test_a_problem_stands_beside_the_photo_it_names(form, photo_bench):
    one, two = photo_bench.photo("one.png"), photo_bench.photo("two.png")
    form.add([one, two])
    form.blame(Problem(f"{two}: no face was found", "choose another"))
    assert form.problem_of(two) == Problem("no face was found", "choose another")
    assert form.problem_of(one) is None
    assert form.problem is None
    assert "cannot be used" in form.reason(True)
    form.remove(two)
    assert form.reason(True) == ""
    form.blame(Problem("the disk is full", "make room"))
    assert form.problem == Problem("the disk is full", "make room")
    form.forgive()
    assert form.problem is None


def test_route_and_folder_are_remembered_but_no_photo_and_no_name(form, photo_bench):
    form.add([photo_bench.photo("anna.png")])
    form.set_keep_photo(True)
    form.set_route("studio")
    kept = photo_bench.store.settings.photo.model_dump()
    assert kept == {"route": "studio", "generator": "", "folder": str(photo_bench.folder)}
    assert PhotoForm(photo_bench.store).keep_photo is False


# ----------------------------------------------------------------------------------------------------------- command


def test_the_command_line(tmp_path):
    folder, commands = JobFolder(tmp_path / "j"), PhotoCommands(("main.py",))
    job = PhotoJob(photos=("a.png", "b.png"), name="Anna")
    assert commands.invert(job, folder) == ["main.py", "invert", "a.png", "b.png", "--out", str(tmp_path / "j" / "Anna.agora"),
                                            "--name", "Anna", "--progress", str(tmp_path / "j")]
    job = PhotoJob(photos=("a.png",), name="Anna", route="generator", generator="G.agora", keep_photo=True)
    assert commands.invert(job, folder)[7:12] == ["--route", "generator", "--generator", "G.agora", "--keep-photo"]
    job = job.model_copy(update={"route": "studio"})
    assert "--generator" not in commands.invert(job, folder)


def test_the_command_knows_every_word_it_is_given(tmp_path):
    """The real options, parsed as the command does."""
    options, _ = COMMAND_TABLE["invert"].load()
    job = PhotoJob(photos=("a.png", "b.png"), name="Anna B", route="generator", generator="G.agora", keep_photo=True)
    line = PhotoCommands(("main.py",)).invert(job, JobFolder(tmp_path))
    read = parse_arguments(options, "invert", line[2:])
    assert (read.photos, read.name, read.route, read.keep_photo) == ((Path("a.png"), Path("b.png")), "Anna B", "generator", True)
    assert MOST_PHOTOS == invert_command.MOST_PHOTOS


def test_the_form_becomes_a_job(form, photo_bench):
    photo = photo_bench.photo("a.png")
    form.add([photo])
    form.set_name("A/B: C?")
    assert form.job() == PhotoJob(photos=(str(photo),), name="A_B_ C_")
    form.set_name("…")
    assert form.job().name == "_"


# ------------------------------------------------------------------------------------------------------------ report


def test_reports_are_read_as_far_as_they_go(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"route": "studio", "scores": {"ssim": 0.9, "landmark_error": float("nan")}, "more": 1,
                                "warnings": ["dark", {"message": "blurred", "photo": "/x/b.png", "hint": "take another"}]}))
    report = read_answer(path, PhotoReport)
    assert (report.scores.ssim, report.scores.landmark_error) == (0.9, None)
    assert [(found.message, found.hint) for found in report.warnings] == [("dark", ""), ("blurred", "take another")]
    assert "studio person" in route_words(report.route)


@pytest.mark.parametrize(("ssim", "error", "words"), [
    (0.9, 0.02, "Very like the photo; eyes, nose and mouth sit where they do in it."),
    (0.75, 0.05, "Clearly like the photo; eyes, nose and mouth sit close to where they do in it."),
    (0.6, 0.2, "Somewhat like the photo; the features sit a little elsewhere."),
    (0.3, None, "Only roughly like the photo."), (None, 0.1, "")])
def test_scores_in_words(ssim, error, words):
    assert verdict(Scores(ssim=ssim, landmark_error=error)) == words


def test_scores_as_figures():
    figures = score_words(Scores(ssim=0.876, landmark_error=0.0213, held_out=-0.1))
    assert [(figure.value, figure.unit) for figure in figures] == [("88", "%"), ("2.1", "%"), ("0", "%")]
    assert score_words(Scores()) == ()


# --------------------------------------------------------------------------------------------------------------- work


def test_a_person_is_made_and_added(photo_bench, qtbot):
    model = photo_bench.begun("")
    photo_bench.wait(lambda: model.stage is PhotoStage.DONE)
    assert photo_bench.told == ["ended"]
    assert model.report.scores.ssim == 0.88
    with qtbot.waitSignal(model.added, timeout=20_000) as added:
        model.add()
    assert added.args == ["Anna"]
    assert (data_folder() / "packs" / "Anna.agora").is_file()
    assert photo_bench.cast.stage.shelf == str(data_folder() / "packs" / "Anna.agora")
    assert (model.stage, model.form.photos, model.form.name) == (PhotoStage.FORM, (), "")
    assert left_behind() == []


def test_progress_and_previews_are_followed(photo_bench):
    model = photo_bench.begun()
    assert model.stage is PhotoStage.WORKING
    assert model.run.share == 0.4
    assert model.run.status.phase == "finding the looks"
    assert model.preview.name == "000000040.png"
    photo_bench.go_on(model)
    photo_bench.wait(lambda: model.stage is PhotoStage.DONE)


@pytest.mark.parametrize("plan", ["wait", "deaf"])
def test_cancelling_ends_the_process_and_leaves_nothing(photo_bench, monkeypatch, plan):
    monkeypatch.setattr("agora_app.photo.models.model.CANCEL_SECONDS", 0.1)
    model = photo_bench.begun(plan)
    assert photo_bench.processes()
    model.cancel()
    assert model.stage is PhotoStage.CANCELLING
    photo_bench.wait(lambda: model.stage is PhotoStage.FORM)
    assert photo_bench.processes() == []
    assert left_behind() == []
    assert (model.form.name, len(model.form.photos), model.form.problem) == ("Anna", 1, None)
    assert photo_bench.told == []  # who cancels need not be told


def test_cancelling_before_the_first_word(photo_bench, monkeypatch):
    monkeypatch.setattr("agora_app.photo.models.model.CANCEL_SECONDS", 0.1)
    photo_bench.behave(invert="mute")
    model = photo_bench.model()
    model.form.add([photo_bench.photo("a.png")])
    assert model.start()
    assert not model.start()
    model.cancel()
    photo_bench.wait(lambda: model.stage is PhotoStage.FORM)
    assert (photo_bench.processes(), left_behind()) == ([], [])


def test_a_refusal_stands_beside_its_photo_and_the_form_stays(photo_bench):
    model = photo_bench.begun("refuse")
    photo_bench.wait(lambda: model.stage is PhotoStage.FORM)
    (photo,) = model.form.photos
    assert model.form.problem_of(photo) == Problem("no face was found", "choose a photograph with one face, seen from the front")
    assert (model.form.name, left_behind(), photo_bench.told) == ("Anna", [], ["ended"])
    photo_bench.behave(invert="")
    assert model.start()
    assert model.form.problem_of(photo) is None
    photo_bench.wait(lambda: model.stage is PhotoStage.DONE)


@pytest.mark.parametrize(("plan", "what", "mend"), [("full", "the disk is full", "make room, then try again"),
                                                    ("die", "crashed", "too little memory"), ("nothing", "no avatar", "log")])
def test_other_failures_are_told(photo_bench, plan, what, mend):
    model = photo_bench.begun(plan)
    photo_bench.wait(lambda: model.stage is PhotoStage.FORM)
    assert what in model.form.problem.what
    assert mend in model.form.problem.mend
    assert left_behind() == []


def test_a_program_that_is_not_there(photo_bench):
    model = photo_bench.model(("/no/such/program",))
    model.form.add([photo_bench.photo("a.png")])
    assert not model.start()
    assert "cannot be started" in model.form.problem.what
    assert left_behind() == []


def test_a_report_that_cannot_be_read_is_done_without(photo_bench):
    model = photo_bench.finished(plan="damaged report")
    assert (model.report, verdict(model.report.scores)) == (PhotoReport(), "")


def test_a_result_is_given_up(photo_bench):
    model = photo_bench.finished()
    model.discard()
    assert (model.stage, model.form.name, left_behind()) == (PhotoStage.FORM, "Anna", [])
    model.add()  # there is nothing to add
    assert not model.installer.is_busy


def test_a_pack_that_cannot_be_opened_stays_and_may_be_tried_again(photo_bench):
    model = photo_bench.finished()
    photo_bench._workshop(Path("Anna.agora")).error = RuntimeError("damaged")
    model.add()
    photo_bench.wait(lambda: model.problem)
    assert "cannot be opened" in model.problem.what
    assert model.stage is PhotoStage.DONE
    photo_bench.packs["Anna.agora"].error = None
    model.add()
    photo_bench.wait(lambda: model.stage is PhotoStage.FORM)


# ---------------------------------------------------------------------------------------------------------- found again


def test_it_outlives_the_window_and_is_found_again(photo_bench):
    model = photo_bench.begun()
    process = psutil.Process(model.run.status.pid)
    assert os.name == "nt" or os.getsid(process.pid) == process.pid
    model.close()
    again = photo_bench.model()
    assert again.stage is PhotoStage.WORKING
    assert again.job == model.job
    assert again.form.photos == model.form.photos
    photo_bench.go_on(again)
    photo_bench.wait(lambda: again.stage is PhotoStage.DONE)


def test_what_was_finished_while_no_window_was_open(photo_bench):
    model = photo_bench.begun()
    process = psutil.Process(model.run.status.pid)
    model.close()
    photo_bench.go_on(model)
    process.wait(20)
    again = photo_bench.model()
    assert (again.stage, again.job.name) == (PhotoStage.DONE, "Anna")
    photo_bench.wait(lambda: not again.is_drawing)


def test_what_died_while_no_window_was_open(photo_bench):
    model = photo_bench.begun()
    model.close()
    os.kill(model.run.status.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    psutil.Process(model.run.status.pid).wait(5)
    again = photo_bench.model()
    assert (again.stage, again.form.name) == (PhotoStage.FORM, "Anna")
    assert "crashed" in again.form.problem.what
    assert left_behind() == []


def test_one_that_has_not_said_a_word_is_found_by_its_process(photo_bench, monkeypatch):
    monkeypatch.setattr("agora_app.photo.models.model.CANCEL_SECONDS", 0.1)
    photo_bench.behave(invert="mute")
    model = photo_bench.model()
    model.form.add([photo_bench.photo("a.png")])
    assert model.start()
    model.close()
    again = photo_bench.model()
    assert again.stage is PhotoStage.WORKING
    again.cancel()
    photo_bench.wait(lambda: again.stage is PhotoStage.FORM)
    assert photo_bench.processes() == []


def test_rubbish_is_cleared_away(photo_bench):
    for name, content in (("2020-01-01-000000", "{damaged"), ("2020-01-02-000000", '{"photos": ["x"], "name": "Old"}'),
                          ("2020-01-03-000000", '{"photos": 3}')):
        (jobs_folder() / name).mkdir(parents=True)
        (jobs_folder() / name / "job.json").write_text(content)
    model = photo_bench.model()
    assert (model.stage, list(job_folders())) == (PhotoStage.FORM, [])


def test_nobody_else_is_taken_for_the_process(tmp_path):
    launcher = Launcher()
    assert not launcher.find(tmp_path)
    assert (launcher.pid, launcher.is_running()) == (0, False)


# -------------------------------------------------------------------------------------------------------------- views


def test_a_person_is_drawn_from_all_sides():
    views = {view.name: view.picture.astype(int) for view in draw_views(resource(STUDIO_PACK_NAME), 96)}
    assert list(views) == ["front", "left", "right", "smile"]
    assert all(picture.shape == (96, 96, 3) for picture in views.values())
    # The wall is the same everywhere, the person is not.
    assert np.array_equal(views["front"][:4, :4], views["smile"][:4, :4])
    others = [np.abs(views["front"] - views[name]).max() for name in ("left", "right", "smile")]
    assert min(others) > 30
    mirrored = np.abs(views["left"][:, ::-1] - views["right"]).mean()  # a head is nearly symmetrical
    assert mirrored < np.abs(views["left"] - views["right"]).mean()
