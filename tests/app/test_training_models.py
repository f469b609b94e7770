"""The models of trainings, with the fake trainer as a real process: followed, steered, found again, failed in every way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from agora_app.children.answers import Problem, read_answer
from agora_app.children.followed import Condition
from agora_app.children.launcher import end_process
from agora_app.children.program import MAIN
from agora_app.children.task import ChildTask, problem_of, share_of
from agora_app.training.models.answers import CheckAnswer, DistillAnswer, EvaluationAnswer, ProbeAnswer
from agora_app.training.models.commands import TrainerCommands
from agora_app.training.models.machine import Machine
from agora_app.training.models.registry import KnownRun, TrainingRegistry
from agora_app.training.models.run_model import RunModel
from agora_app.training.models.series import MOST_POINTS, Measurements
from core.commands.arguments import parse_arguments
from core.errors import InputError
from core.run_folder import LogRecord, Request, RunFolder, RunState, RunStatus
from tests.app.training_tools import PLENTY, make_dataset
from tests.app.training_tools import bench as bench
from trainer.cli import _TABLE as COMMAND_TABLE
from trainer.data.findings import CheckReport, blocking, warning
from trainer.data.findings import Problem as Kind
from trainer.metrics.report import Evaluation, Row
from trainer.probe import Estimate
from trainer.probe import Problem as TrainingProblem

# ---------------------------------------------------------------------------------------------------- command lines


def test_the_command_lines_are_those_that_were_agreed(store):
    commands = TrainerCommands(("python", "main.py"))
    form = store.settings.training
    assert MAIN.is_file()
    assert commands.synth(form, Path("D"), 2) == ["python", "main.py", "data", "synth", "--out", "D", "--count", "20000",
                                                  "--size", "128", "--workers", "2", "--seed", "0"]
    assert commands.portraits(Path("P"), Path("D"))[2:] == ["data", "portraits", "P", "--out", "D"]
    assert commands.check(Path("D"), Path("A"))[2:] == ["data", "check", "D", "--json", "A"]
    assert commands.train(form, Path("D"), Path("R"))[2:] == ["train", "--recipe", "desktop", "--data", "D", "--out", "R",
                                                              "--seed", "0"]
    store.change("training", hours=1.5, batch=8, size="64", seed=3, threads=2, recipe="file", recipe_file="mine.json")
    assert commands.probe(store.settings.training, Path("D"), Path("A"))[2:] == [
        "train", "--recipe", "mine.json", "--data", "D", "--hours", "1.5", "--batch", "8", "--threads", "2", "--size", "64",
        "--seed", "3", "--probe", "--json", "A"]
    assert commands.resume(["train"]) == ["train", "--resume"]
    assert commands.resume(["train", "--resume"]) == ["train", "--resume"]
    assert commands.evaluate(Path("R"), Path("A"))[2:] == ["evaluate", "--run", "R", "--json", "A"]
    hasty = TrainerCommands(("main.py",), ("--epochs", "2"))
    assert hasty.distill(form, Path("R"), Path("P"), Path("A"))[1:] == [
        "distill", "--run", "R", "--out", "P", "--components", "64", "--identities", "50", "--expressions", "100", "--json", "A",
        "--epochs", "2"]


def test_the_commands_know_every_word_they_are_given(store, tmp_path):
    """The real options, parsed as the commands do."""
    store.change("training", hours=1.5, batch=8, size="64", seed=3, threads=2, recipe="ci")
    form, commands, answer, data = store.settings.training, TrainerCommands(("main.py",)), tmp_path / "a.json", tmp_path / "d"
    for line in (commands.synth(form, data, 1), commands.portraits(tmp_path, data), commands.check(data, answer),
                 commands.probe(form, data, answer), commands.resume(commands.train(form, data, tmp_path / "r")),
                 commands.evaluate(tmp_path, answer), commands.distill(form, tmp_path, tmp_path / "p.agora", answer)):
        count = 2 if line[1] == "data" else 1
        name = " ".join(line[1:1 + count])
        options, _ = COMMAND_TABLE[name].load()
        assert parse_arguments(options, name, line[1 + count:])


# ---------------------------------------------------------------------------------------------------------- answers


def test_answers_are_read(tmp_path):
    path = tmp_path / "answer.json"
    found = warning(Kind.TOO_FEW, "a", hint="h"), blocking(Kind.DAMAGED_FILE, "b", ["x"], hint="m")
    path.write_bytes(CheckReport(tmp_path, "synthetic", {"train": 7, "test": 2}, found, 3, 64).to_json())
    answer = read_answer(path, CheckAnswer)
    assert [(found.message, found.places, found.hint) for found in answer.sorted_findings] == [("b", ("x",), "m"), ("a", (), "h")]
    assert (answer.blocked, answer.images, answer.people, answer.size) == (True, {"train": 7, "test": 2}, 3, 64)
    path.write_text(json.dumps(Evaluation((Row("n", float("nan"), None, float("inf"), "one", "m"),)).to_json()))
    (row,) = read_answer(path, EvaluationAnswer).rows
    assert (row.value, row.floor, row.ceiling, row.better) == (None, None, None, "one")
    estimate = Estimate(2.0, 3, 4, 5.0, (("uv", 6.0),), (TrainingProblem("w", "m"),))
    path.write_text(json.dumps(estimate.to_json()))
    assert read_answer(path, ProbeAnswer).problems[0].mend == "m"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pack": 3}', '{"pack": "p", "curve": [{"components": "x"}]}'])
def test_answers_that_are_none_are_refused(tmp_path, text):
    path = tmp_path / "answer.json"
    path.write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        read_answer(path, DistillAnswer)


def test_a_missing_answer_is_refused(tmp_path):
    with pytest.raises(InputError):
        read_answer(tmp_path / "none.json", ProbeAnswer)


# ------------------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize(("line", "share"), [("rendering 5/20", 0.25), ("5 of 20", 0.25), ("1,000/2,000 pictures", 0.5),
                                             ("basis 12.5%", 0.125), ("hello", None), ("3/0", None), ("300 %", 1.0)])
def test_progress_is_read_from_what_is_printed(line, share):
    assert share_of(line) == share


def test_why_a_command_failed():
    assert problem_of(["x", "error: the disk is full", "hint: make room"]) == Problem("the disk is full", "make room")
    assert "memory" in problem_of([], crashed=True).mend
    assert problem_of(["something odd"]).what == "it failed: something odd"


def test_a_program_that_is_not_there(qtbot):
    task = ChildTask()
    with qtbot.waitSignal(task.failed) as failed:
        task.start(["/no/such/program"])
    assert "cannot be started" in failed.args[0].what
    assert not task.is_running


def test_a_task_is_cancelled_and_may_begin_again(qtbot, bench, tmp_path):
    (tmp_path / "behave.json").write_text('{"synth": "slow"}')
    task = ChildTask()
    command = bench.model().commands.synth(bench.store.settings.training, tmp_path / "d", 1)
    told = []
    task.progressed.connect(lambda share, words: told.append((share, words)))
    assert task.start(command)
    assert not task.start(command)
    bench.wait(lambda: told)
    assert told == [(0.5, "rendering 10000/20000")]
    with qtbot.waitSignal(task.cancelled):
        task.cancel()
    (tmp_path / "behave.json").write_text("{}")
    with qtbot.waitSignal(task.done):
        task.start(command)


# ----------------------------------------------------------------------------------------------------------- numbers


def test_numbers_thin_out_and_forget_what_was_overtaken():
    measured = Measurements()
    measured.add(LogRecord("numbers", n, "uv" if n < 5000 else "image", (("loss", 1 / (n + 1)),)) for n in range(3 * MOST_POINTS))
    series = measured.series["loss"]
    assert len(series.images) <= MOST_POINTS + 1
    assert series.images == sorted(series.images)
    assert measured.phases == [(0, "uv"), (5000, "image")]
    measured.add([LogRecord("resume", 4000, "uv")])
    assert max(series.images) <= 4000
    assert [phase for _, phase in measured.phases] == ["uv"]
    measured.add([LogRecord("numbers", 5000, "uv", (("loss", float("nan")),))])
    assert max(series.images) <= 4000


def test_of_an_evaluation_only_the_leading_numbers_are_drawn():
    measured = Measurements()
    measured.add([LogRecord("evaluation", 100, "image", (("FD-synth", 3.0), ("SWD 32", 1.0), ("skin leak", 0.5)))])
    assert set(measured.series) == {"FD-synth", "skin leak"}


# ---------------------------------------------------------------------------------------------------- following a run


def test_a_training_runs_to_its_end(bench, tmp_path, qtbot):
    model, run = bench.run_model(make_dataset(tmp_path / "data"))
    conditions = [run.condition]
    run.changed.connect(lambda: conditions.append(run.condition))
    with qtbot.waitSignal(model.ended, timeout=20_000):
        pass
    assert conditions[0] is Condition.STARTING
    assert run.condition is Condition.FINISHED
    assert run.share == 1.0
    assert run.has_result
    assert not run.can_resume
    assert run.problem is None
    assert [path.name for path in run.samples] == ["000001000.png", "000002000.png", "000003000.png", "000004000.png"]
    assert set(run.measurements.series) == {"generator", "discriminator", "colour"}
    assert run.measurements.series["generator"].images == list(range(200, 4001, 200))
    assert [line for line in run.lines if "checkpoint written" in line]
    assert [line.split("phase: ")[1] for line in run.lines if "phase: " in line] == ["uv", "image"]
    assert not model.is_active


def test_it_pauses_goes_on_and_stops_with_everything_saved(bench, tmp_path):
    model, run = bench.run_model(make_dataset(tmp_path / "data", train="wait"))
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    run.resume()  # it is not paused: nothing is asked
    assert run.asked is None
    run.pause()
    assert run.asked is Request.PAUSE
    bench.wait(lambda: run.condition is Condition.PAUSED)
    assert run.asked is None
    run.resume()
    bench.wait(lambda: run.condition is Condition.RUNNING)
    run.stop()
    bench.wait(lambda: run.condition is Condition.STOPPED)
    assert run.can_resume
    images = run.status.images
    assert model.resume()
    bench.wait(lambda: model.run.condition is Condition.FINISHED)
    assert f"  {images:,}  resume" in "\n".join(model.run.lines)
    assert len(bench.model().registry.runs()) == 1


def test_stop_now(bench, tmp_path):
    _, run = bench.run_model(make_dataset(tmp_path / "data", train="wait"))
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    run.abort()
    assert run.asked is Request.ABORT
    bench.wait(lambda: run.condition is Condition.STOPPED)


def test_a_training_that_does_not_listen_is_ended(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("agora_app.children.followed.ABORT_SECONDS", 0.1)
    monkeypatch.setattr(RunFolder, "request", lambda *_: None)  # nothing reaches it
    _, run = bench.run_model(make_dataset(tmp_path / "data", train="wait"))
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    run.abort()
    bench.wait(lambda: run.condition is Condition.DIED)
    assert run.can_resume


def test_only_a_process_of_the_run_is_ended(tmp_path):
    assert not end_process(os.getpid(), tmp_path)
    assert not end_process(2**22 + 1, tmp_path)


def test_a_training_that_dies_is_seen_and_goes_on(bench, tmp_path):
    model, run = bench.run_model(make_dataset(tmp_path / "data", train="die"))
    bench.wait(lambda: run.condition is Condition.DIED)
    assert "ended from outside" in run.problem.what
    assert "continue from its last checkpoint" in run.problem.mend
    assert model.resume()
    assert model.run is not run
    bench.wait(lambda: model.run.condition is Condition.FINISHED)


def test_a_full_disk_is_told_with_its_mending_step(bench, tmp_path):
    _, run = bench.run_model(make_dataset(tmp_path / "data", train="full"))
    bench.wait(lambda: run.condition is Condition.FAILED)
    assert run.problem == Problem("the disk is full: checkpoints/000001000 cannot be written", "make room, then continue")
    assert run.can_resume


def test_a_training_that_refuses_says_why_before_it_has_said_anything(bench, tmp_path):
    model, run = bench.run_model(make_dataset(tmp_path / "data", train="refuse"))
    bench.wait(lambda: run.condition is Condition.FAILED)
    assert run.problem == Problem("the recipe cannot be used", "choose another recipe")
    assert not run.can_resume
    assert not model.resume()


def test_a_resumption_that_fails_is_not_taken_for_the_stop_before(bench, tmp_path):
    data = make_dataset(tmp_path / "data", train="wait")
    model, run = bench.run_model(data)
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    run.stop()
    bench.wait(lambda: run.condition is Condition.STOPPED)
    make_dataset(data, train="refuse")
    assert model.resume()
    bench.wait(lambda: model.run.condition is Condition.FAILED)
    assert model.run.problem.what == "the recipe cannot be used"


def test_it_outlives_the_window_and_is_found_again(bench, tmp_path):
    model, run = bench.run_model(make_dataset(tmp_path / "data", train="wait"))
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    process = psutil.Process(run.status.pid)
    assert os.name == "nt" or os.getsid(process.pid) == process.pid  # Ctrl-C and the end of the terminal do not reach it
    model.close()
    assert process.is_running()
    again = bench.model()
    assert again.is_active
    assert again.run.path == run.path
    assert again.run.condition is Condition.RUNNING
    assert again.run.measurements.series["generator"].images == run.measurements.series["generator"].images
    again.run.stop()
    bench.wait(lambda: again.run.condition is Condition.STOPPED)
    assert not bench.model().is_active


def test_one_that_died_while_nobody_looked(bench, tmp_path):
    model, run = bench.run_model(make_dataset(tmp_path / "data", train="wait"))
    bench.wait(lambda: run.status is not None and run.status.images >= 1000)
    model.close()
    os.kill(run.status.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    psutil.Process(run.status.pid).wait(5)
    again = bench.model()
    assert again.run.condition is Condition.DIED
    assert again.resume()
    bench.wait(lambda: again.run.condition is Condition.FINISHED)


def test_a_program_that_cannot_be_started_is_told(bench, tmp_path):
    bench.use(make_dataset(tmp_path / "data"))
    model = bench.model(commands=TrainerCommands(("/no/such/program",)))
    assert not model.start(tmp_path / "data")
    assert "cannot be started" in bench.told[-1][0]
    assert model.run is None


def test_a_last_word_between_two_looks(tmp_path, qtbot):
    folder = RunFolder(tmp_path)
    folder.write_status(RunStatus(RunState.RUNNING, pid=2**22 + 1, host="elsewhere", images=5))
    run = RunModel(tmp_path)  # another machine's: alive as long as its heart beats
    assert run.condition is Condition.RUNNING
    folder.write_status(RunStatus(RunState.FINISHED, images=9))
    with qtbot.waitSignal(run.ended):
        pass
    assert run.condition is Condition.FINISHED


def test_a_folder_that_cannot_be_written_is_told(tmp_path, qtbot, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.write_status(RunStatus(RunState.RUNNING))
    run = RunModel(tmp_path)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "request", refuse)
    with qtbot.waitSignal(run.failed) as failed:
        run.stop()
    assert "No space left" in failed.args[0]
    assert run.asked is None
    run.close()


# ---------------------------------------------------------------------------------------------------------- registry


def test_the_list_of_trainings(tmp_path):
    path = tmp_path / "trainings.json"
    registry = TrainingRegistry(path)
    for name in ("a", "b", "a"):
        (tmp_path / name).mkdir(exist_ok=True)
        registry.add(KnownRun(folder=str(tmp_path / name), recipe=name))
    assert [Path(run.folder).name for run in TrainingRegistry(path).runs()] == ["a", "b"]
    (tmp_path / "a").rmdir()
    assert [Path(run.folder).name for run in TrainingRegistry(path).runs()] == ["b"]


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 99, "runs": []}', '{"runs": 3}'])
def test_a_damaged_list_is_set_aside(tmp_path, text):
    path = tmp_path / "trainings.json"
    path.write_text(text)
    assert TrainingRegistry(path).runs() == ()
    assert path.with_name("trainings.json.bad").read_text() == text


# ----------------------------------------------------------------------------------------------------------- machine


def test_what_a_machine_has_to_spare(tmp_path):
    machine = Machine()
    assert machine.free_memory() > 0
    assert machine.folder_problem(tmp_path / "new" / "deeper", 1) is None
    full = Machine(lambda _folder: 10, PLENTY.free_memory, 1).folder_problem(tmp_path, 2_000_000)
    assert "2.0 MB are needed" in full.what
    assert "make room" in full.mend
    (tmp_path / "file").write_text("")
    assert "is a file" in machine.folder_problem(tmp_path / "file" / "below", 1).what


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "may not be written" in Machine().folder_problem(tmp_path, 1).what


def test_the_form_is_kept_in_the_settings(store):
    with pytest.raises(ValueError, match="synthetic_count"):
        store.change("training", synthetic_count=1)
    store.change("training", hours=2.5)
    store.flush()
    assert json.loads(store.path.read_text())["training"]["hours"] == 2.5
