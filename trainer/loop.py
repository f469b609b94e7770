"""The training loop: phase by phase, step by step; it saves, shows and judges on the way, and can be stopped at any moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from core.errors import AgoraError
from core.head.model import HeadModel
from core.run_folder import Request, RunFolder, RunState, RunStatus
from trainer.batches import Batch, TrainingData, Wanted
from trainer.checkpoint import CheckpointStore
from trainer.data.dataset import Dataset
from trainer.engine import Engine
from trainer.guard import Decision, Verdict
from trainer.journal import Journal
from trainer.recipe import Recipe
from trainer.samples import SampleSheet
from trainer.state import Training
from trainer.steps import Numbers, adversarial_step, generator_step, make_fake, warm_up_step

log = logging.getLogger(__name__)

Judge = Callable[[Training, str], Numbers]
_PAUSE_SECONDS = 0.5
_STATUS_SECONDS = 1.0


class Unstable(AgoraError):
    """The guard has given up."""


class _Stop(Exception):
    """Somebody asked for the end. `save` says whether what was learned since the last checkpoint counts."""

    def __init__(self, save: bool) -> None:
        super().__init__()
        self.save = save


class _GoBack(Exception):
    """The guard wants the newest checkpoint."""


@dataclass(frozen=True)
class RunSettings:
    """What a run needs beside its recipe.

    Attributes:
        folder: of the run.
        data: folder of the dataset.
        keep: checkpoints that are kept.
        judge: measures a snapshot and keeps it; called in the main process, at the recipe's snapshots. None: nobody does.
    """

    folder: Path
    data: Path
    keep: int = 3
    judge: Judge | None = None


def train(recipe: Recipe, settings: RunSettings, engine: Engine, head: HeadModel) -> RunState:
    """Trains until the recipe is done or somebody stops it; goes on from the newest checkpoint where there is one.

    Raises:
        InputError: dataset, checkpoint and recipe do not fit one another.
        Unstable: the losses explode again and again.
    """
    return Loop(recipe, settings, engine, head).run()


class Loop:
    """One process of a run."""

    def __init__(self, recipe: Recipe, settings: RunSettings, engine: Engine, head: HeadModel) -> None:
        self.engine, self.head, self.settings = engine, head, settings
        self.run_folder = RunFolder(settings.folder)
        self.data = TrainingData(Dataset.open(settings.data), recipe.seed)
        self.store = CheckpointStore(self.run_folder.checkpoints, settings.keep)
        newest = self.store.newest()
        self.training = Training.start(recipe, engine, head, self.data.latent_size) if newest is None \
            else Training.resumed(newest, engine, head)
        self._resumed_at = None if newest is None else newest.step
        self.sheet = SampleSheet(self.data, head)
        self._cpu, self._started = time.process_time(), datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._shown, self._since, self._rate, self._told = 0, time.monotonic(), 0.0, 0.0
        self._fakes: torch.Tensor | None = None

    # ------------------------------------------------------------------ top down

    def run(self) -> RunState:
        """Trains to the end of the recipe, or as far as it is let."""
        training = self.training
        if self.engine.is_main:
            self.run_folder.clear_requests()
        with Journal(self.run_folder, start=training.position.images) as self.journal, self._heartbeat():
            self._say(RunState.PREPARING, "")
            if self._resumed_at is None:
                self._save()
            elif self.engine.is_main:
                self.journal.event("resume", self._resumed_at, f"goes on at {self._resumed_at} pictures", training.phase.name)
            try:
                while True:
                    try:
                        self._phases()
                        break
                    except _GoBack:
                        self._go_back()
            except (_Stop, KeyboardInterrupt) as stop:
                if getattr(stop, "save", True):
                    self._save()
                self._say(RunState.STOPPED, "stopped")
                return RunState.STOPPED
            self._say(RunState.FINISHED, "finished")
            return RunState.FINISHED

    def _phases(self) -> None:
        while True:
            self._phase()
            if self.training.is_finished:
                return
            self.training.advance()
            self._save()

    def _phase(self) -> None:
        """What is left of the current phase."""
        training, phase = self.training, self.training.phase
        adversarial = phase.kind in ("warm-up", "adversarial")
        wanted = Wanted(phase.size, phase.batch, self.engine.share(phase.batch), adversarial,
                        bool(phase.losses.uv_color or phase.losses.uv_offset), training.recipe.random_background)
        if phase.kind == "warm-up":
            self._fakes = self._pictures_to_warm_up(wanted)
        first, last = training.position.phase_images // phase.batch, phase.images // phase.batch
        choose = self._warm_up_indices if phase.kind == "warm-up" else None
        for step, batch in self.data.batches(training.generator, wanted, training.position.phase, first, last, choose):
            numbers = self._step(batch, step)
            self._count(phase.batch)
            self._after(numbers, step + 1 == last)
        self._fakes = None

    def _step(self, batch: Batch, step: int) -> Numbers:
        training, phase = self.training, self.training.phase
        rng = self.data.generator(training.position.phase, step, 1)
        if phase.kind == "warm-up":
            chosen = self._warm_up_rows(step)[self.engine.share(phase.batch)]
            return warm_up_step(training, batch, step, self._fakes[chosen], rng, self._approve)
        if phase.kind == "adversarial":
            noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)) + self.engine.rank)
            numbers = adversarial_step(training, batch, step, rng, noise, self._approve)
        else:
            numbers = generator_step(training, batch, step, rng, self._approve)
        training.update_average()
        return numbers

    def _after(self, numbers: Numbers, phase_ends: bool) -> None:
        """Write down, show, judge, save, obey."""
        training, recipe = self.training, self.training.recipe
        position, phase = training.position, training.phase
        if self.engine.is_main:
            self.journal.numbers(position.images, numbers, phase.name)
            self._tell()
            if phase.kind != "warm-up" and (phase_ends or _passed(position.images, phase.batch, recipe.sample_images)):
                self.journal.samples(position.images, self.sheet.draw(training.average, phase.size), self.sheet.columns)
        every = phase.images / phase.snapshots if phase.snapshots else phase.images
        if phase.kind in ("image", "adversarial") and (phase_ends or _passed(position.phase_images, phase.batch, every)):
            self._judge()
        if phase_ends or _passed(position.images, phase.batch, recipe.checkpoint_images):
            self._save()
        self._obey()

    # ------------------------------------------------------------------ the parts

    def _approve(self, numbers: Numbers) -> bool:
        """Asks the guard, which sees the same numbers in every process."""
        decision: Decision = self.training.guard.judge(numbers)
        if decision.verdict is Verdict.TAKE:
            return True
        if self.engine.is_main:
            self.journal.event("warning", self.training.position.images, f"{decision.verdict.value}: {decision.reason}")
        if decision.verdict is Verdict.ROLL_BACK:
            raise _GoBack
        if decision.verdict is Verdict.FAIL:
            self._say(RunState.FAILED, decision.reason)
            raise Unstable(decision.reason, "lower the learning rates of the recipe")
        return False

    def _go_back(self) -> None:
        checkpoint, guard = self.store.newest(), self.training.guard
        self.training = Training.start(self.training.recipe, self.engine, self.head, self.data.latent_size) \
            if checkpoint is None else Training.resumed(checkpoint, self.engine, self.head, keep_guard=False)
        self.training.guard = guard
        guard.rolled_back()
        if self.engine.is_main:
            self.journal.event("resume", self.training.position.images, "went back to the newest checkpoint")

    def _pictures_to_warm_up(self, wanted: Wanted) -> torch.Tensor:
        """What the frozen generator makes of the first pictures [K, 4, S, S]."""
        training, size = self.training, wanted.batch
        count = min(training.recipe.adversary.warm_up_pairs, len(self.data))
        made = []
        with torch.no_grad():
            for start in range(0, count, size):
                rows = np.arange(start, min(start + size, count))
                whole = Wanted(wanted.size, len(rows), slice(None), False, False, False)
                batch = self.data.batch(training.generator, whole, training.position.phase, start, self._bank()[rows])
                drawn = make_fake(training, batch, "none", None).rendering
                made.append(torch.cat([drawn.color, drawn.alpha], 1))
                self._obey()
        return torch.cat(made)

    def _bank(self) -> np.ndarray:
        count = min(self.training.recipe.adversary.warm_up_pairs, len(self.data))
        return self.data.generator(self.training.position.phase, 0, 2).permutation(len(self.data))[:count]

    def _warm_up_rows(self, step: int) -> np.ndarray:
        """Rows of the bank for a step."""
        phase = self.training.phase
        return self.data.generator(self.training.position.phase, step, 3).integers(0, len(self._bank()), phase.batch)

    def _warm_up_indices(self, step: int) -> np.ndarray:
        return self._bank()[self._warm_up_rows(step)]

    def _count(self, images: int) -> None:
        position = self.training.position
        position.images += images
        position.phase_images += images
        self._shown += images

    def _judge(self) -> None:
        if self.engine.is_main and self.settings.judge is not None:
            numbers = self.settings.judge(self.training, self.training.phase.name)
            self.journal.event("evaluation", self.training.position.images, "snapshot judged", self.training.phase.name, numbers)
            self._since, self._shown = time.monotonic(), 0
        self.engine.barrier()

    def _save(self) -> None:
        now = time.process_time()
        self.training.position.cpu_seconds += now - self._cpu
        self._cpu = now
        if self.engine.is_main:
            self.store.save(self.training.checkpoint())

    def _obey(self) -> None:
        """Does what the run folder asks for."""
        request = self._request()
        if request is Request.PAUSE:
            self._say(RunState.PAUSED, "paused")
            while request not in (Request.RESUME, Request.STOP, Request.ABORT):
                time.sleep(_PAUSE_SECONDS)
                if self.engine.is_main:
                    self.run_folder.beat()
                request = self._request()
            self._since, self._shown = time.monotonic(), 0
        if request in (Request.STOP, Request.ABORT):
            self._say(RunState.STOPPING, "stopping")
            raise _Stop(request is Request.STOP)

    def _request(self) -> Request | None:
        asked = self.run_folder.take_request() if self.engine.is_main else None
        name = self.engine.from_main(None if asked is None else asked.value)
        return None if name is None else Request(name)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _STATUS_SECONDS:
            self._told = now
            self._say(RunState.RUNNING, "")

    def _heartbeat(self) -> AbstractContextManager:
        return self.run_folder.heartbeat() if self.engine.is_main else nullcontext()

    def _say(self, state: RunState, message: str) -> None:
        if not self.engine.is_main:
            return
        training = self.training
        position, elapsed = training.position, time.monotonic() - self._since
        if elapsed > 5 * _STATUS_SECONDS and self._shown:
            rate = self._shown / elapsed
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
            self._since, self._shown = time.monotonic(), 0
        left = training.recipe.images - position.images
        status = RunStatus(
            state, training.phase.name, tuple(phase.name for phase in training.recipe.phases), position.images,
            training.recipe.images, self._rate, left / self._rate if self._rate else None,
            position.cpu_seconds + time.process_time() - self._cpu, started=self._started, message=message,
            numbers=self.journal.latest)
        try:
            self.run_folder.write_status(status)
        except OSError as error:  # onlookers see an old status; the training is worth more
            log.warning("the status of %s cannot be written: %s", self.run_folder.path, error)


def _passed(images: int, batch: int, every: float) -> bool:
    """Whether a multiple of `every` lies in the last batch."""
    return int(images / every) > int((images - batch) / every)
