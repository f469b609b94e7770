"""The training loop: it learns, leaves behind what it promises, obeys, survives, and goes on to the last bit."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import InputError, OutputError
from core.head.library import load_open_head
from core.networks.head_generator import HeadGenerator
from core.networks.layers import SharedNoise
from core.run_folder import Request, RunFolder, RunState, without_overtaken
from tests.trainer.conftest import differing, tiny_recipe
from trainer import loop, losses, steps
from trainer.batches import TrainingData, Wanted
from trainer.checkpoint import Checkpoint, CheckpointStore
from trainer.data.dataset import Dataset
from trainer.engine import Engine, EngineSettings
from trainer.guard import GuardPolicy
from trainer.judging import SnapshotJudge
from trainer.loop import Loop, RunSettings, Unstable
from trainer.recipe import LossWeights, Recipe
from trainer.snapshots import SnapshotStore, read_generator
from trainer.state import Training, generator_config

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures_only(images: int = 32, **changes: object) -> Recipe:
    """The recipe's phase of kind "image" alone."""
    recipe = tiny_recipe()
    return replace(recipe, phases=(replace(recipe.phases[1], images=images, **changes),), checkpoint_images=8)


def go(recipe: Recipe, folder: Path, data: Path, judge: loop.Judge | None = None, precision: str = "32-true",
       change=lambda loop: None) -> tuple[RunState, Loop]:
    """Start or resume a run as a process of its own would."""
    with Engine(EngineSettings("cpu", precision=precision)) as engine:
        running = Loop(recipe, RunSettings(folder, data, 3, judge), engine, load_open_head())
        change(running)
        return running.run(), running


def end_of(folder: Path) -> Checkpoint:
    """The newest checkpoint of a run."""
    newest = CheckpointStore(RunFolder(folder).checkpoints).newest()
    assert newest is not None
    return newest


def events(folder: Path, kind: str) -> list:
    return [record for record in RunFolder(folder).read_log()[0] if record.kind == kind]


@pytest.fixture(scope="module")
def straight(tiny_data, tmp_path_factory) -> Path:
    """A run from the first to the last phase that nobody disturbs."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("straight")
    recipe = replace(tiny_recipe(), sample_images=20)
    seen = []
    judge = SnapshotJudge(tiny_data, SnapshotStore(RunFolder(folder).snapshots))
    state, _ = go(recipe, folder, tiny_data, judge, change=lambda running: noting(running, seen))
    assert state is RunState.FINISHED
    (folder / "seen.json").write_text(json.dumps(seen))
    return folder


def noting(running: Loop, seen: list) -> None:
    """Note phase and numbers of every step."""
    step = running._step

    def noted(batch, number):
        numbers = step(batch, number)
        seen.append((running.training.phase.name, dict(numbers)))
        return numbers

    running._step = noted


# ---------------------------------------------------------------------- a whole run

def test_losses_fall(straight):
    """The supervised losses fall within four steps, each on other pictures (measured: to 0.78 and 0.88)."""
    seen = json.loads((straight / "seen.json").read_text())
    for phase in ("texture", "pictures 64"):
        course = [numbers["loss"] for name, numbers in seen if name == phase]
        assert len(course) == 4
        assert sum(course[-2:]) / 2 < 0.92 * course[0], (phase, course)


def test_a_whole_run_leaves_everything_behind(straight):
    run, recipe = RunFolder(straight), tiny_recipe()
    status = run.status()
    assert (status.state, status.images, status.total_images) == (RunState.FINISHED, recipe.images, recipe.images)
    assert status.phases == tuple(phase.name for phase in recipe.phases)
    assert status.phase == "finish"
    assert status.cpu_seconds > 0
    assert dict(status.numbers)["loss"] > 0
    assert not run.is_alive()
    assert CheckpointStore(run.checkpoints).steps() == [56, 60, 68]
    assert [path.stem for path in run.samples()] == ["000000016", "000000020", "000000032", "000000040", "000000044",
                                                     "000000060", "000000068"]
    assert [(s.images, s.kind) for s in SnapshotStore(run.snapshots).all()] == [(32, "image"), (44, "image"),
                                                                               (68, "adversarial")]
    assert len(list(run.tensorboard.iterdir())) == 1
    records = run.read_log()[0]
    assert {record.phase for record in records if record.kind == "numbers"} == set(status.phases)
    assert [record.images for record in records if record.kind == "evaluation"] == [32, 44, 68]


def test_the_last_numbers_are_written(straight):
    """However short the time since the last writing."""
    for phase, images in zip(tiny_recipe().phases, (16, 32, 44, 56, 68), strict=True):
        assert [r.images for r in events(straight, "numbers") if r.phase == phase.name][-1] == images


def test_the_last_snapshot_is_the_averaged_generator(straight):
    snapshot = read_generator(RunFolder(straight).snapshots / "000000068.safetensors", load_open_head()).state_dict()
    tensors = end_of(straight).tensors
    assert differing(snapshot, {name.removeprefix("average."): t for name, t in tensors.items() if name.startswith("average.")}) \
        == []


def test_a_finished_run_that_is_resumed_does_nothing(straight, tiny_data, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(straight, folder)
    state, running = go(tiny_recipe(), folder, tiny_data)
    assert state is RunState.FINISHED
    assert running.training.position.images == tiny_recipe().images
    assert differing(end_of(folder).tensors, end_of(straight).tensors) == []


def test_a_batch_that_does_not_divide_the_phase(tiny_data, tmp_path):
    recipe = pictures_only(18)
    recipe = replace(recipe, phases=(*recipe.phases, replace(recipe.phases[0], name="more", images=10)))
    state, running = go(recipe, tmp_path, tiny_data)
    assert state is RunState.FINISHED
    assert running.training.position.images == 16 + 8


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions(tiny_data, tmp_path, precision):
    recipe = tiny_recipe()
    short = tuple(replace(p, images=4, planes=16, batch=2) for p in recipe.phases)
    state, running = go(replace(recipe, phases=short, sample_images=8), tmp_path, tiny_data, precision=precision)
    assert state is RunState.FINISHED
    assert not events(tmp_path, "warning")
    wanted = torch.float64 if precision == "64-true" else torch.float32
    floats = {t.dtype for name, t in end_of(tmp_path).tensors.items() if t.is_floating_point() and not name.endswith("step")}
    assert floats == {wanted}
    assert dict(running.journal.latest)["loss"] > 0


# ---------------------------------------------------------------------- stopping and going on

def asking(monkeypatch, asked: dict[int, list]) -> None:
    """When so many pictures have been shown, ask for something (a request, a signal); once each."""
    count = Loop._count

    def counted(self, images):
        count(self, images)
        for what in asked.pop(self.training.position.images, ()):
            if isinstance(what, Request):
                self.run_folder.request(what)
            else:
                signal.raise_signal(what)

    monkeypatch.setattr(Loop, "_count", counted)


def test_resume_is_exact_to_the_last_bit(straight, tiny_data, tmp_path, monkeypatch):
    """One run, stopped in every kind of phase: with a save, without (which goes back to the last checkpoint), by Ctrl-C, by two
    of them in one step, by a polite kill, at the end of a phase, and before the first picture counts."""
    asked = {4: [Request.ABORT], 8: [Request.STOP], 16: [Request.ABORT], 20: [signal.SIGINT, signal.SIGINT], 24: [signal.SIGINT],
             36: [signal.SIGTERM], 44: [Request.STOP], 48: [Request.STOP], 52: [Request.ABORT], 60: [Request.STOP],
             64: [signal.SIGINT, signal.SIGINT]}
    moments = sorted(asked)
    asking(monkeypatch, asked)
    for moment in moments:
        state, running = go(tiny_recipe(), tmp_path, tiny_data)
        assert (state, running.training.position.images) == (RunState.STOPPED, moment)
        assert RunFolder(tmp_path).status().state is RunState.STOPPED
    state, _ = go(tiny_recipe(), tmp_path, tiny_data)
    assert state is RunState.FINISHED
    one, other = end_of(straight), end_of(tmp_path)
    assert differing(one.tensors, other.tensors) == []
    assert {**one.about["position"], "cpu_seconds": 0, "judged": 0} == {**other.about["position"], "cpu_seconds": 0, "judged": 0}
    assert one.about["guard"] == other.about["guard"]
    resumed = [record.images for record in events(tmp_path, "resume")]
    assert resumed == [0, 8, 16, 16, 24, 36, 44, 48, 48, 60, 60]
    shown = [r.images for r in without_overtaken(RunFolder(tmp_path).read_log()[0]) if r.kind == "numbers"]
    assert shown == sorted(shown)


def test_signals_are_given_back(tiny_data, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    go(pictures_only(4), tmp_path, tiny_data)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_request_of_before_is_forgotten(tiny_data, tmp_path):
    RunFolder(tmp_path).request(Request.STOP)
    assert go(pictures_only(4), tmp_path, tiny_data)[0] is RunState.FINISHED


def test_it_stops_after_the_step_in_hand(tiny_data, tmp_path, monkeypatch):
    """That is what 3 s rest on: nothing but one step, and the saving, comes between the request and the end."""
    asking(monkeypatch, {8: [Request.STOP]})
    seen = []
    state, _ = go(pictures_only(), tmp_path, tiny_data, change=lambda running: noting(running, seen))
    assert state is RunState.STOPPED
    assert len(seen) == 2
    assert end_of(tmp_path).step == 8
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


class Clock:
    """The clock of a loop whose pauses are used for something."""

    monotonic, process_time = staticmethod(time.monotonic), staticmethod(time.process_time)

    def __init__(self, *moments) -> None:
        self.moments = list(moments)

    def sleep(self, seconds: float) -> None:
        assert seconds < 3
        self.moments.pop(0)()


@pytest.mark.parametrize("last", [Request.RESUME, Request.STOP, Request.ABORT])
def test_pause(tiny_data, tmp_path, monkeypatch, last):
    run, paused_at = RunFolder(tmp_path), []

    def look() -> None:
        status = run.status()
        assert (status.state, run.is_alive()) == (RunState.PAUSED, True)
        paused_at.append(status.images)

    def then(request: Request) -> None:
        look()
        run.request(request)

    monkeypatch.setattr(loop, "time", Clock(look, lambda: then(Request.PAUSE), lambda: then(last)))
    asking(monkeypatch, {12: [Request.PAUSE]})
    state, _ = go(pictures_only(20), tmp_path, tiny_data)
    assert paused_at == [12, 12, 12]
    assert state is (RunState.FINISHED if last is Request.RESUME else RunState.STOPPED)
    assert end_of(tmp_path).step == {Request.RESUME: 20, Request.STOP: 12, Request.ABORT: 8}[last]


def test_status_follows_the_run(tiny_data, tmp_path, monkeypatch):
    states = []
    say = Loop._say

    def said(self, state, message):
        say(self, state, message)
        states.append(RunFolder(tmp_path).status().state)

    monkeypatch.setattr(Loop, "_say", said)
    asking(monkeypatch, {8: [Request.STOP]})
    go(pictures_only(), tmp_path, tiny_data)
    assert [state for i, state in enumerate(states) if state not in states[:i]] == [
        RunState.PREPARING, RunState.RUNNING, RunState.STOPPING, RunState.STOPPED]


# ---------------------------------------------------------------------- judging

def test_a_stop_does_not_wait_for_the_judge(tiny_data, tmp_path):
    """The judge looks up; what he has left is done first when the run goes on, and once."""
    run, calls = RunFolder(tmp_path), []

    def judge(training: Training, phase: str, look_up) -> tuple:
        calls.append(training.position.images)
        if len(calls) == 1:
            run.request(Request.STOP)
        look_up()
        return (("quality", 1.0),)

    recipe = pictures_only(16, snapshots=2)
    state, running = go(recipe, tmp_path, tiny_data, judge)
    assert (state, running.training.position.images, end_of(tmp_path).step) == (RunState.STOPPED, 8, 8)
    assert go(recipe, tmp_path, tiny_data, judge)[0] is RunState.FINISHED
    assert calls == [8, 8, 16]
    assert [record.images for record in events(tmp_path, "evaluation")] == [8, 16]


def test_a_pause_waits_for_the_judge(tiny_data, tmp_path, monkeypatch):
    run = RunFolder(tmp_path)

    def judge(training: Training, phase: str, look_up) -> tuple:
        run.request(Request.PAUSE)
        look_up()
        look_up()
        return ()

    monkeypatch.setattr(loop, "time", Clock(lambda: run.request(Request.RESUME)))
    assert go(pictures_only(8), tmp_path, tiny_data, judge)[0] is RunState.FINISHED
    assert not loop.time.moments


def test_what_breaks_the_run_is_in_the_status(tiny_data, tmp_path):
    def judge(training: Training, phase: str, look_up) -> tuple:
        raise OutputError("the disk is full")

    with pytest.raises(OutputError):
        go(pictures_only(8), tmp_path, tiny_data, judge)
    status = RunFolder(tmp_path).status()
    assert (status.state, status.message) == (RunState.FAILED, "the disk is full")


# ---------------------------------------------------------------------- the guard

def poisoned(monkeypatch, bad) -> None:
    """Let the picture loss be NaN in the calls whose numbers (from 0) are `bad`."""
    good, calls = losses.picture_loss, iter(range(10**6))

    def loss(fake, real, focus):
        value = good(fake, real, focus)
        return value * float("nan") if bad(next(calls)) else value

    monkeypatch.setattr(steps.losses, "picture_loss", loss)


def test_one_nan_is_skipped(tiny_data, tmp_path, monkeypatch):
    poisoned(monkeypatch, lambda call: call == 3)
    state, running = go(pictures_only(), tmp_path, tiny_data)
    assert state is RunState.FINISHED
    assert running.training.position.images == 32  # the pictures count as shown
    (warning,) = events(tmp_path, "warning")
    assert "skip" in warning.text
    assert "picture is not a number" in warning.text
    assert all(value.isfinite().all() for value in end_of(tmp_path).tensors.values())


def test_a_step_that_is_not_approved_changes_nothing(tiny_data):
    head = load_open_head()
    data = TrainingData(Dataset.open(tiny_data), 0)
    with Engine(EngineSettings("cpu")) as engine:
        training = Training.start(pictures_only(), engine, head, data.latent_size)
        batch = data.batch(training.generator, Wanted(16, 4, slice(None), False, False, True), 0, 0)
        before = {name: value.clone() for name, value in training.generator.state_dict().items()}
        for answer in (False, True):
            steps.generator_step(training, batch, 0, data.generator(0, 0, 1), lambda numbers, answer=answer: answer)
            changed = differing(before, training.generator.state_dict())
            assert bool(changed) is answer
    assert "mapping.w_avg" in changed


def test_many_nans_go_back_with_lower_rates(tiny_data, tmp_path, monkeypatch):
    poisoned(monkeypatch, lambda call: 3 <= call < 3 + GuardPolicy().bad_steps)
    rates = []
    descend = steps._descend

    def noted(training, *rest):
        numbers = descend(training, *rest)
        rates.append((training.position.images, training.optimizer.param_groups[0]["lr"]))
        return numbers

    monkeypatch.setattr(steps, "_descend", noted)
    state, running = go(replace(pictures_only(48), checkpoint_images=12), tmp_path, tiny_data)
    assert state is RunState.FINISHED
    assert [record.images for record in events(tmp_path, "resume")] == [12]  # bad from 12 on; nothing is saved at 24
    base = running.training.phase.learning_rate
    assert [rate for images, rate in rates if images < 12][-1] == base
    assert {rate for images, rate in rates[-5:]} == {base / 2}
    assert running.training.position.images == 48
    assert running.training.position.cpu_seconds > 0
    assert len(list(RunFolder(tmp_path).tensorboard.iterdir())) == 2  # the second hides what the first has beyond


def test_endless_nans_end_the_run(tiny_data, tmp_path, monkeypatch):
    poisoned(monkeypatch, lambda call: call >= 3)
    with pytest.raises(Unstable) as caught:
        go(pictures_only(), tmp_path, tiny_data)
    assert "\n" not in str(caught.value)
    status = RunFolder(tmp_path).status()
    assert status.state is RunState.FAILED
    assert status.message.startswith("the training is unstable: picture is not a number")
    assert "\n" not in status.message
    assert len(events(tmp_path, "resume")) == GuardPolicy().roll_backs
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    monkeypatch.undo()
    assert go(pictures_only(), tmp_path, tiny_data)[0] is RunState.FINISHED  # the checkpoints are good


# ---------------------------------------------------------------------- shares of several processes

def test_shares_together_are_the_batch(tiny_data):
    head = load_open_head()
    data = TrainingData(Dataset.open(tiny_data), 0)
    generator = HeadGenerator(generator_config(tiny_recipe(), tiny_recipe().phases[0], data.latent_size), head)
    whole, *parts = (data.batch(generator, Wanted(16, 4, share, True, True, True), 1, 2)
                     for share in (slice(0, 4), slice(0, 2), slice(2, 4)))
    for name in ("rgba", "latent", "psi", "shape_map", "other_view", "focus", "displacement", "background", "uv_color",
                 "uv_offset", "uv_known"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts])), name
    assert torch.equal(whole.cameras.world_to_camera.roll(1, 0), whole.other_view)
    assert torch.equal(whole.seats.xyz, torch.cat([part.seats.xyz for part in parts]))
    noise, *pieces = (SharedNoise(torch.Generator().manual_seed(3), 4, share).normal(5, dtype=torch.float32)
                      for share in (slice(0, 4), slice(0, 2), slice(2, 4)))
    assert torch.equal(noise, torch.cat(pieces))


@pytest.mark.parametrize("ahead", [1, 3, 9])
def test_helpers_change_nothing(tiny_data, ahead):
    """Batches come whole and in order, however many are prepared at a time; leaving early ends the preparation."""
    data = TrainingData(Dataset.open(tiny_data), 0)
    generator = HeadGenerator(generator_config(tiny_recipe(), tiny_recipe().phases[0], data.latent_size), load_open_head())
    wanted = Wanted(16, 4, slice(0, 4), True, True, True)
    drawn = list(data.batches(generator, wanted, 1, 2, 8, ahead=ahead))
    assert [step for step, _ in drawn] == [2, 3, 4, 5, 6, 7]
    for step, batch in drawn:
        alone = data.batch(generator, wanted, 1, step)
        for name in ("rgba", "psi", "shape_map", "displacement", "background", "uv_color"):
            assert torch.equal(getattr(batch, name), getattr(alone, name)), (step, name)
    assert list(data.batches(generator, wanted, 1, 3, 3, ahead=ahead)) == []
    with closing(data.batches(generator, wanted, 1, 0, 1000, ahead=ahead)) as batches:
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


# ---------------------------------------------------------------------- what does not fit

def test_another_dataset(tiny_data, tiny_photos, tmp_path):
    go(pictures_only(4), tmp_path, tiny_data)
    with pytest.raises(InputError, match="knows 0 numbers of each person"):
        go(pictures_only(4), tmp_path, tiny_photos)


def test_photographs_have_an_adversarial_phase_without_pairs(tiny_photos, tmp_path):
    """Free people under the labels of the pictures, the dual discriminator, cameras swapped now and then."""
    recipe = tiny_recipe()
    phase = replace(recipe.phases[-1], images=8, planes=16, paired=False, freeze_deformation=False,
                    losses=LossWeights(adversarial=1.0, raw_position=0.25, deform_scale=1.0, opacity_beta=1.0,
                                       texture_variation=1.0))
    recipe = replace(recipe, networks=replace(recipe.networks, camera_size=12), phases=(phase,),
                     adversary=replace(recipe.adversary, kind="dual", swap_to=0.5, zoom=0.1))
    state, running = go(recipe, tmp_path, tiny_photos)
    assert state is RunState.FINISHED
    assert {"raw position", "deform scale", "opacity beta", "texture variation"} <= dict(running.journal.latest).keys()
