"""What a training leaves behind to look at."""

from __future__ import annotations

import logging
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from core.run_folder import RunFolder
from trainer.journal import Journal, sample_grid


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(run, clock) -> Journal:
    return Journal(run, seconds=2.0, tensorboard=False, clock=clock)


def test_numbers_are_means_over_the_time_between(run, clock, journal):
    written = []
    for step in range(7):
        clock.now = step * 0.5
        written.append(journal.numbers(step * 8, [("loss", float(step)), *([("rare", 5.0)] if step == 2 else [])], "uv"))
    journal.flush(56)
    assert written == [True, False, False, False, True, False, False]
    records, _ = run.read_log()
    assert [(record.kind, record.images, record.phase, record.values) for record in records] == [
        ("numbers", 0, "uv", (("loss", 0.0),)),
        ("numbers", 32, "uv", (("loss", 2.5), ("rare", 5.0))),
        ("numbers", 56, "", (("loss", 5.5),))]
    assert journal.latest == (("loss", 5.5),)


def test_a_loss_that_is_no_number_is_shown(run, journal):
    journal.numbers(8, [("loss", math.nan)])
    assert math.isnan(run.read_log()[0][0].values[0][1])


def test_events(run, journal):
    journal.event("phase", 100, "image regression begins", "image")
    journal.event("evaluation", 100, "", values=[("fd", 12)])
    first, second = run.read_log()[0]
    assert (first.kind, first.images, first.text, first.phase) == ("phase", 100, "image regression begins", "image")
    assert second.values == (("fd", 12.0),)


def test_a_grid_of_samples():
    pictures = torch.zeros(5, 3, 2, 4)
    for number in range(5):
        pictures[number] = number / 10
    grid = sample_grid(pictures, columns=2)
    assert grid.shape == (6, 8, 3)
    assert grid.dtype == np.uint8
    expected = [[0, 26], [51, 77], [102, 0]]  # round(25.5 n), the last place is empty
    assert grid[::2, ::4, 1].tolist() == expected
    assert (grid == np.repeat(np.repeat(np.array(expected)[..., None], 2, 0), 4, 1)).all()
    assert sample_grid(pictures).shape == (4, 12, 3)


def test_values_outside_and_single_channels():
    pictures = torch.tensor([-1.0, 2.0, math.nan, 0.5, math.inf]).reshape(5, 1, 1, 1)
    assert sample_grid(pictures, 5)[0].tolist() == [[0] * 3, [255] * 3, [0] * 3, [128] * 3, [255] * 3]


def test_samples_are_png_files_without_leftovers(run, journal):
    pictures = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    journal.samples(1234, pictures)
    (path,) = run.samples()
    assert path.name == "000001234.png"
    assert [file.name for file in run.samples_folder.iterdir()] == [path.name]
    with Image.open(path) as image:
        assert (np.asarray(image) == sample_grid(pictures)).all()


def test_it_never_stops_a_training(run, journal, caplog, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "append_log", full)
    monkeypatch.setattr("trainer.journal.write_atomically", full)
    with caplog.at_level(logging.WARNING):
        journal.numbers(1, [("loss", 1.0)])
        journal.event("phase", 1, "x")
        journal.samples(1, torch.zeros(1, 3, 4, 4))
    assert "No space left" in journal.problem
    assert len(caplog.records) == 1


def test_tensorboard(run, clock):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Journal(run, seconds=0.0, clock=clock) as journal:
        for step in range(4):
            journal.numbers(step * 8, [("loss", step / 4)])
        journal.samples(24, torch.full((1, 3, 4, 4), 0.5))
        journal.event("phase", 24, "the second")
    with Journal(run, start=16, seconds=0.0, clock=clock) as journal:  # goes on from 16: what came later counts no more
        journal.numbers(20, [("loss", 9.0)])
    events = accumulator.EventAccumulator(str(run.tensorboard))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(0, 0.0), (8, 0.25), (20, 9.0)]


def test_without_the_package_of_tensorboard(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with Journal(run) as journal:
        journal.numbers(8, [("loss", 1.0)])
        journal.samples(8, torch.zeros(1, 3, 4, 4))
    assert len(run.read_log()[0]) == 1
    assert not run.tensorboard.exists()
