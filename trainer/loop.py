"""The training loop: phase by phase, step by step; it saves, shows and judges on the way, and can be stopped at any moment."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from core.errors import AgoraError, InputError
from core.head.model import HeadModel
from core.networks.layers import SharedNoise
from core.run_folder import Request, RunFolder, RunState, RunStatus
from trainer.batches import Batch, TrainingData, Wanted
from trainer.checkpoint import Checkpoint, CheckpointStore, read_checkpoint
from trainer.data.dataset import Dataset
from trainer.engine import Engine
from trainer.guard import Decision, Verdict
from trainer.journal import Journal
from trainer.recipe import Recipe
from trainer.samples import SampleSheet
from trainer.state import Training
from trainer.steps import Numbers, adversarial_step, generator_step, make_fake, warm_up_step

log = logging.getLogger(__name__)

Judge = Callable[[Training, str, Callable[[], None]], Numbers]
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


class _BrokenOff(Exception):
    """Somebody asked for the end while a snapshot was being judged."""


@dataclass(frozen=True)
class RunSettings:
    """What a run needs beside its recipe.

    Attributes:
        folder: of the run.
        data: folder of the dataset.
        keep: checkpoints that are kept.
        judge: measures a snapshot and keeps it; called in the main process, at the recipe's snapshots, with the training, the
            phase and a function that it calls now and then, which ends it by an exception when somebody wants the end. None:
            nobody does.
    """

    folder: Path
    data: Path
    keep: int = 3
    judge: Judge | None = None


def train(recipe: Recipe, settings: RunSettings, engine: Engine, head: HeadModel, data: TrainingData | None = None) -> RunState:
    """Trains until the recipe is done or somebody stops it; goes on from the newest checkpoint where there is one.

    Args:
        data: the pictures of the dataset, where they have been read already.

    Raises:
        InputError: dataset, checkpoint and recipe do not fit one another.
        Unstable: the losses explode again and again.
    """
    return Loop(recipe, settings, engine, head, data).run()


class Loop:
    """One process of a run."""

    def __init__(self, recipe: Recipe, settings: RunSettings, engine: Engine, head: HeadModel,
                 data: TrainingData | None = None) -> None:
        self.engine, self.head, self.settings = engine, head, settings
        self.run_folder = RunFolder(settings.folder)
        self.data = TrainingData(Dataset.open(settings.data), recipe.seed) if data is None else data
        self.store = CheckpointStore(self.run_folder.checkpoints, settings.keep)
        newest = self._newest()
        if newest is not None and newest.about["latent_size"] != self.data.latent_size:
            raise InputError(f"{settings.data} knows {self.data.latent_size} numbers of each person, the run was trained with "
                             f"{newest.about['latent_size']}", "resume it with the dataset it was started with")
        self.training = Training.start(recipe, engine, head, self.data.latent_size) if newest is None \
            else Training.resumed(newest, engine, head)
        self._resumed_at = None if newest is None else newest.step
        self._pending: Request | None = None
        self._all_taken, self._owes_checkpoint = True, False
        self._interrupted = False
        self.sheet = SampleSheet(self.data, head)
        self._cpu, self._started = time.process_time(), datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._shown, self._since, self._rate, self._told = 0, time.monotonic(), 0.0, 0.0
        self._fakes: torch.Tensor | None = None

    # ------------------------------------------------------------------ top down

    def run(self) -> RunState:
        """Trains to the end of the recipe, or as far as it is let."""
        main = self.engine.is_main
        if main:
            self.run_folder.clear_requests()
        with Journal(self.run_folder, start=self._resumed_at, tensorboard=main) as self.journal, self._heartbeat(), \
                self._listening():
            self._say(RunState.PREPARING, "")
            try:
                state = self._to_the_end()
            except Exception as error:
                self._say(RunState.FAILED, error.message if isinstance(error, AgoraError) else f"{type(error).__name__}: {error}")
                raise
            finally:
                if main:
                    self.journal.flush(self.training.position.images, self.training.phase.name)
            self._say(state, state.value)
            return state

    def _to_the_end(self) -> RunState:
        """Of the recipe, or until somebody wants it to stop."""
        try:
            self._begin()
            while True:
                try:
                    self._phases()
                    return RunState.FINISHED
                except _GoBack:
                    pass
                self._go_back()
        except _Stop as stop:
            if stop.save:
                self._save()
        except KeyboardInterrupt:  # anywhere in a step: what has changed since the last checkpoint is not whole
            pass
        return RunState.STOPPED

    def _begin(self) -> None:
        if self._resumed_at is None:
            self._save()
        elif self.engine.is_main:
            self.journal.event("resume", self._resumed_at, f"goes on at {self._resumed_at} pictures", self.training.phase.name)

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
        self._judge_if_due()  # what a stop has broken off
        wanted = Wanted.of_phase(training.recipe, phase, self.engine.share(phase.batch))
        if phase.kind == "warm-up":
            self._fakes = self._pictures_to_warm_up(wanted)
        first = training.position.phase_images // phase.batch
        choose = self._warm_up_indices if phase.kind == "warm-up" else None
        drawn = self.data.batches(training.generator, wanted, training.position.phase, first, phase.steps, choose,
                                  self.engine.helpers)
        with closing(drawn) as batches:
            for step, batch in batches:
                numbers = self._step(batch.to(self.engine.device, self.engine.dtype), step)
                self._count(phase.batch)
                self._after(numbers)
        self._fakes = None

    def _step(self, batch: Batch, step: int) -> Numbers:
        training, phase = self.training, self.training.phase
        rng = self.data.generator(training.position.phase, step, 1)
        self._all_taken = True
        if phase.kind == "warm-up":
            chosen = self._warm_up_rows(step)[self.engine.share(phase.batch)]
            return warm_up_step(training, batch, step, self._fakes[chosen], rng, self._approve)
        if phase.kind == "adversarial":
            numbers = adversarial_step(training, batch, step, rng, self._approve)
        else:
            numbers = generator_step(training, batch, step, rng, self._approve)
        training.update_average()
        return numbers

    def _after(self, numbers: Numbers) -> None:
        """Write down, show, judge, save, obey."""
        training, recipe = self.training, self.training.recipe
        position, phase, phase_ends = training.position, training.phase, training.phase_is_over
        if self.engine.is_main:
            self.journal.numbers(position.images, numbers, phase.name)
            if phase_ends:
                self.journal.flush(position.images, phase.name)
            self._tell()
            if phase.kind != "warm-up" and (phase_ends or _passed(position.images, phase.batch, recipe.sample_images)):
                self.journal.samples(position.images, self.sheet.draw(training.average, phase.size), self.sheet.columns)
        self._judge_if_due()
        self._owes_checkpoint |= _passed(position.images, phase.batch, recipe.checkpoint_images)
        if phase_ends or (self._owes_checkpoint and self._all_taken):  # one among bad steps would be no place to go back to
            self._save()
            self._owes_checkpoint = False
        self._obey()

    # ------------------------------------------------------------------ the parts

    def _approve(self, numbers: Numbers) -> bool:
        """Asks the guard, which sees the same numbers in every process."""
        decision: Decision = self.training.guard.judge(numbers)
        if decision.verdict is Verdict.TAKE:
            return True
        self._all_taken = False
        if self.engine.is_main:
            self.journal.event("warning", self.training.position.images, f"{decision.verdict.value}: {decision.reason}")
        if decision.verdict is Verdict.ROLL_BACK:
            raise _GoBack
        if decision.verdict is Verdict.FAIL:
            self._say(RunState.FAILED, decision.reason)
            raise Unstable(decision.reason, "lower the learning rates of the recipe")
        return False

    def _newest(self) -> Checkpoint | None:
        """The newest checkpoint, by the word of the main process; all of them see the same folder."""
        checkpoint = self.store.newest() if self.engine.is_main else None
        step = self.engine.from_main(None if checkpoint is None else checkpoint.step)
        return checkpoint if self.engine.is_main or step is None else read_checkpoint(self.store.path(step))

    def _go_back(self) -> None:
        checkpoint, guard, spent = self._newest(), self.training.guard, self.training.position.cpu_seconds
        self.training = Training.start(self.training.recipe, self.engine, self.head, self.data.latent_size) \
            if checkpoint is None else Training.resumed(checkpoint, self.engine, self.head, keep_guard=False)
        self.training.guard = guard
        self.training.position.cpu_seconds = spent
        guard.rolled_back()
        if self.engine.is_main:
            self.journal.went_back(self.training.position.images, "went back to the newest checkpoint", self.training.phase.name)

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
                source = SharedNoise(torch.Generator(self.engine.device).manual_seed(start), len(rows), slice(None))
                drawn = make_fake(training, batch.to(self.engine.device, self.engine.dtype), "none", source).rendering
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

    def _judge_if_due(self) -> None:
        position, phase = self.training.position, self.training.phase
        every = phase.images / max(phase.snapshots, 1)
        due = self.training.phase_is_over or _passed(position.phase_images, phase.batch, every)
        judged = position.judged == position.images or not position.phase_images
        if phase.kind not in ("image", "adversarial") or not due or judged:
            return
        done = self._judge() if self.engine.is_main and self.settings.judge is not None else True
        if self.engine.from_main(done):
            position.judged = position.images

    def _judge(self) -> bool:
        """Whether the judge has come to an end."""
        position, phase = self.training.position, self.training.phase
        self._say(RunState.RUNNING, "a snapshot is being measured")
        try:
            numbers = self.settings.judge(self.training, phase.name, self._look_up)
        except _BrokenOff:
            return False
        self.journal.event("evaluation", position.images, "snapshot judged", phase.name, numbers)
        self._since, self._shown = time.monotonic(), 0
        return True

    def _look_up(self) -> None:
        """What the main process does while the others wait for it: ends that cannot wait end its work, the rest is kept."""
        asked = self._asked()
        if asked is not None:
            self._pending = asked
        if self._pending in (Request.STOP, Request.ABORT):
            raise _BrokenOff

    def _save(self) -> None:
        now, engine = time.process_time(), self.engine
        own = torch.tensor(now - self._cpu, dtype=torch.float32, device=engine.device)
        self.training.position.cpu_seconds += engine.world_size * float(engine.mean(own))
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

    def _asked(self) -> Request | None:
        """Of the main process: by a signal or in the run folder."""
        return Request.STOP if self._interrupted else self.run_folder.take_request()

    def _request(self) -> Request | None:
        asked = None
        if self.engine.is_main:
            asked, self._pending = self._asked() or self._pending, None
        name = self.engine.from_main(None if asked is None else asked.value)
        return None if name is None else Request(name)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= _STATUS_SECONDS:
            self._told = now
            self._say(RunState.RUNNING, "")

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """While inside, Ctrl-C and a polite kill ask for a stop after the step in hand. A second Ctrl-C does not wait for it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def hear(number: int, frame: object) -> None:
            if number == signal.SIGINT and self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True

        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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
            position.cpu_seconds + self.engine.world_size * (time.process_time() - self._cpu), started=self._started,
            message=message, numbers=self.journal.latest)
        try:
            self.run_folder.write_status(status)
        except OSError as error:  # onlookers see an old status; the training is worth more
            log.warning("the status of %s cannot be written: %s", self.run_folder.path, error)


def _passed(images: int, batch: int, every: float) -> bool:
    """Whether a multiple of `every` lies in the last batch."""
    return int(images / every) > int((images - batch) / every)
