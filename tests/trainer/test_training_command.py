"""The command ``train``: what it refuses, what it estimates, how it goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.head.library import load_open_head
from core.run_folder import Request, RunFolder, RunState
from tests.trainer.conftest import tiny_recipe
from tools import training_kills
from trainer import cli
from trainer.data.dataset import read_info, write_info
from trainer.loop import Loop
from trainer.recipe import ci_recipe, paper_recipe
from trainer.run import GENERATOR_NAME, load_generator, read_record

pytestmark = pytest.mark.usefixtures("one_thread")
IN_HAND = ("--accelerator", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> Path:
    """A recipe of one phase of kind "image" with four steps."""
    recipe = tiny_recipe()
    path = tmp_path_factory.mktemp("recipe") / "tiny.json"
    path.write_text(json.dumps(replace(recipe, name="mine", phases=recipe.phases[1:2], checkpoint_images=4).to_json()))
    return path


def train(*arguments: object) -> int:
    return cli.main(["train", *map(str, arguments), *IN_HAND])


def complaint(capsys) -> str:
    """The one line of an error; a hint may follow."""
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] in (["error"], ["error", "hint"]), lines
    return lines[0]


# ---------------------------------------------------------------------- refusals

@pytest.mark.parametrize(("arguments", "words"), [
    ("--out {out}", "--data is missing"),
    ("--data {data}", "--out is missing"),
    ("--data {data} --out {out} --batch -1", "--batch must be"),
    ("--data {data} --out {out} --hours -1", "--hours must be"),
    ("--data {data} --out {out} --seed -2", "--seed must be"),
    ("--data {data} --out {out} --keep 0", "--keep must be"),
    ("--data {data} --out {out} --batch many", "--batch"),
    ("--data {data} --out {out} --precision 16", "--precision"),
    ("--data {data} --out {out} --devices -1", "cannot be negative"),
    ("--data {data} --out {out} --colour red", "--colour"),
    ("--data {data} --out {out} --recipe cake", "there is no recipe 'cake'"),
    ("--data {data} --out {out} --recipe {broken}", "is not a recipe"),
    ("--data {data} --out {out} --recipe {wrong}", "is not a recipe"),
    ("--data {out} --out {out}", "is not a dataset"),
    ("--data {broken} --out {out}", "is a file"),
    ("--data {data} --out {broken}", "is a file"),
    ("--data {data} --out {broken}/run --recipe ci", "cannot be written"),
    ("--data {data} --out {out}", "needs pictures of 128 pixels, the dataset's have 32"),
    ("--data {data} --out {out} --recipe ci --size 24", "cannot be brought to the sizes"),
    ("--data {photos} --out {out}", "pairs pictures with known factors"),
    ("--data {other} --out {out} --recipe ci", "is of the head model 'somebody'"),
    ("--data {data} --out {out} --resume", "is not a training run"),
    ("--data {data} --probe --json {out}/x.json", "its folder does not exist"),
    ("--resume --probe --out {out}", "--data is missing"),
])
def test_refusals_are_one_line_and_leave_nothing(arguments, words, tiny_data, tiny_photos, tmp_path, capsys):
    files = {name: tmp_path / name for name in ("out", "broken", "wrong", "other")}
    files["broken"].write_text("{")
    files["wrong"].write_text(json.dumps({**ci_recipe().to_json(), "phases": [{**ci_recipe().to_json()["phases"][0],
                                                                               "images": "many"}]}))
    shutil.copytree(tiny_data, files["other"])
    write_info(files["other"], replace(read_info(tiny_data), head_name="somebody", head_sha256="0" * 64))
    before = sorted(tmp_path.rglob("*"))
    assert train(*arguments.format(data=tiny_data, photos=tiny_photos, **files).split()) == 2
    assert words in complaint(capsys)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_graphics_processor(tiny_data, tmp_path, capsys):
    arguments = ["train", "--data", str(tiny_data), "--out", str(tmp_path / "run"), "--recipe", "ci", "--accelerator", "cuda"]
    assert cli.main(arguments) == 2
    assert "no CUDA device" in complaint(capsys)
    assert not any(tmp_path.iterdir())


# ---------------------------------------------------------------------- estimates

def test_probe(tiny_data, tmp_path, recipe_file, capsys):
    answer = tmp_path / "answer.json"
    assert train("--data", tiny_data, "--out", tmp_path / "run", "--recipe", recipe_file, "--probe", "--json", answer) == 0
    estimate = json.loads(answer.read_text())
    assert estimate["seconds"] > 0
    assert estimate["images_per_second"] == pytest.approx(16 / estimate["seconds"])
    assert [name for name, _ in estimate["phases"]] == ["pictures 64"]
    assert estimate["memory_bytes"] > estimate["disk_bytes"] > 0
    assert estimate["problems"] == []
    assert "pictures/s" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["answer.json"]


def test_probe_of_what_cannot_be_trained(tiny_photos, tmp_path, capsys):
    """The window wants the reasons; nothing is timed, and no folder is needed yet."""
    answer = tmp_path / "answer.json"
    assert train("--data", tiny_photos, "--recipe", "desktop", "--probe", "--json", answer) == 0
    estimate = json.loads(answer.read_text())
    assert [problem["what"].split()[0] for problem in estimate["problems"]] == ["recipe", "recipe"]
    assert all(problem["mend"] for problem in estimate["problems"])
    assert estimate["phases"] == []
    assert "known factors" in capsys.readouterr().out


# ---------------------------------------------------------------------- runs

def test_a_run_and_what_it_ships(tiny_data, tmp_path, recipe_file, capsys):
    out = tmp_path / "run"
    assert train("--data", tiny_data, "--out", out, "--recipe", recipe_file, "--seed", 5) == 0
    assert f"{out / GENERATOR_NAME}: the snapshot of phase 'pictures 64' at 16 pictures" in capsys.readouterr().out
    record = read_record(RunFolder(out))
    assert (record.recipe.name, record.recipe.seed, record.data) == ("mine", 5, tiny_data)
    generator, _ = load_generator(out, load_open_head())
    assert generator.config.networks.plane_resolution == 16
    assert train("--data", tiny_data, "--out", out, "--recipe", recipe_file) == 2
    assert "already holds a run" in complaint(capsys)


def test_resuming_uses_the_recipe_of_the_run(tiny_data, tiny_photos, tmp_path, recipe_file, monkeypatch, capsys):
    """Whatever else the command says, which is how the window goes on with a run."""
    out, count = tmp_path / "run", Loop._count

    def counted(self, images):
        count(self, images)
        if self.training.position.images == 8:
            self.run_folder.request(Request.STOP)

    monkeypatch.setattr(Loop, "_count", counted)
    assert train("--data", tiny_data, "--out", out, "--recipe", recipe_file, "--no-judge") == 0
    assert "stopped; --resume goes on" in capsys.readouterr().out
    assert RunFolder(out).status().state is RunState.STOPPED
    assert train("--data", tiny_photos, "--out", out, "--resume") == 2
    assert "known factors" in complaint(capsys)
    assert train("--out", out, "--recipe", "desktop", "--batch", 3, "--resume", "--no-judge") == 0
    status = RunFolder(out).status()
    assert (status.state, status.images, status.phases) == (RunState.FINISHED, 16, ("pictures 64",))
    assert f"{out / GENERATOR_NAME}: the last state of the run" in capsys.readouterr().out


def test_hours_make_the_recipe_shorter(tiny_data, tmp_path, recipe_file):
    out = tmp_path / "run"
    assert train("--data", tiny_data, "--out", out, "--recipe", recipe_file, "--hours", 1e-9, "--no-judge") == 0
    assert read_record(RunFolder(out)).recipe.images == 4  # no less than one step of every phase


def test_a_batch_of_ones_own_keeps_phases_whole(tiny_data, tmp_path, recipe_file):
    out = tmp_path / "run"
    assert train("--data", tiny_data, "--out", out, "--recipe", recipe_file, "--batch", 5, "--no-judge") == 0
    assert RunFolder(out).status().images == read_record(RunFolder(out)).recipe.images == 15


def test_the_paper_recipe_takes_photographs(tiny_photos, tmp_path, capsys):
    """It is refused for its pictures' size alone."""
    assert train("--data", tiny_photos, "--out", tmp_path / "run", "--recipe", "paper") == 2
    assert f"needs pictures of {paper_recipe().phases[-1].size} pixels" in complaint(capsys)


# ---------------------------------------------------------------------- kills

def test_a_run_survives_kills(tiny_data, tmp_path):
    """At once after a checkpoint, and while one is being written; the end is that of a run that nobody has killed."""
    recipe = replace(tiny_recipe(), checkpoint_images=4)
    result = training_kills.kill_again_and_again(tiny_data, tmp_path, recipe, kills=2, seconds=0.2, seed=1)
    assert len(result.kills) == 2
    assert result.problems == ()


@pytest.mark.slow
def test_a_run_survives_twenty_kills(tiny_data, tmp_path):
    result = training_kills.kill_again_and_again(tiny_data, tmp_path, ci_recipe(), kills=20, seconds=3.0, seed=2)
    assert len(result.kills) == 20
    assert result.problems == ()
    assert any(kill.while_saving for kill in result.kills)
