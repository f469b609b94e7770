"""Kills trainings at random moments, also while they save, and measures what each kill costs and what comes out in the end.

`python -m tools.training_kills --kills 20` runs `train --recipe ci` in a process of its own, ends it with the strongest signal
there is, resumes it, and so on; every run that comes to its end is compared, to the last bit, with one that nobody has disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from core.errors import InputError
from core.run_folder import RunFolder
from trainer import cli
from trainer.checkpoint import CheckpointStore
from trainer.recipe import Recipe, ci_recipe

ROOT = Path(__file__).resolve().parents[1]
_SAVING_SECONDS = 0.04  # about as long as a small checkpoint takes
_PATIENCE_SECONDS = 600.0  # for the next word of a process
_EVERY_THIRD = 3
_WORD = re.compile(r"(shown|saving|saved) \d+\n")


@dataclass(frozen=True)
class Kill:
    """What one kill found and cost.

    Attributes:
        shown: training pictures shown until then;  saved: those of the newest whole checkpoint.
        while_saving: a checkpoint was being written.
        damaged: checkpoints that had to be passed over.
    """

    shown: int
    saved: int
    while_saving: bool
    damaged: int


@dataclass(frozen=True)
class Result:
    """All kills, the runs that came to their end in between, and what went wrong."""

    kills: tuple[Kill, ...]
    finished: int
    problems: tuple[str, ...]


class Trainer:
    """A training in a process of its own, which tells what it does. A context manager: nothing stays behind."""

    def __init__(self, arguments: list[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tools.training_kills", "--train", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE)
        self._said: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.shown, self.saving = 0, False

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self._process.stdout.close()
        self._process.stderr.close()

    def hear(self, seconds: float = _PATIENCE_SECONDS) -> str | None:
        """The next word: "shown", "saving" or "saved"; None at its end. Raises queue.Empty when nothing comes in time."""
        word = self._said.get(timeout=seconds)
        if word is None:
            self._said.put(None)
            return None
        name, number = word.split()
        if name == "shown":
            self.shown = int(number)
        else:
            self.saving = name == "saving"
        return name

    def hear_for(self, seconds: float) -> bool:
        """All words until so many seconds have passed; returns whether its end came before."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                if self.hear(left) is None:
                    return True
            except queue.Empty:
                break
        return False

    def kill(self) -> None:
        """End it at once, and hear what it has still said."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        while self.hear() is not None:
            pass

    def wait(self) -> str:
        """Let it come to its end; what it complains about, empty when all is well."""
        while self.hear() is not None:
            pass
        return "" if self._process.wait() == 0 else self._process.stderr.read().strip()

    def _read(self) -> None:
        for line in self._process.stdout:
            if _WORD.fullmatch(line):  # not what else the command says, nor a line that a kill has torn
                self._said.put(line)
        self._said.put(None)


def kill_again_and_again(data: Path, folder: Path, recipe: Recipe, kills: int, seconds: float, seed: int,
                         tell=lambda number, kill: None) -> Result:
    """Train, kill, resume, until so many kills are done; then once more to the end.

    Args:
        data: folder of a dataset;  folder: where runs may be made.
        seconds: the longest time that a process may train before it is killed.
        tell: is told the number of each kill and what it cost.
    """
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(recipe.to_json()))
    common = ["--data", str(data), "--recipe", str(folder / "recipe.json"), "--accelerator", "cpu", "--threads", "1",
              "--no-judge"]
    if cli.main(["train", *common, "--out", str(folder / "undisturbed")]) != 0:
        raise InputError("the training fails even when nobody disturbs it")
    wanted = _end_of(folder / "undisturbed")
    done, problems, finished = [], [], 0
    while True:
        run = RunFolder(folder / f"run-{finished:02d}")
        arguments = [*common, "--out", str(run.path), *(["--resume"] if run.recipe.is_file() else [])]
        with Trainer(arguments) as trainer:
            if len(done) == kills:
                complaint, ended = trainer.wait(), True
            else:
                ended = _let_train(trainer, rng, seconds, while_saving=len(done) % _EVERY_THIRD == 1)
                complaint = trainer.wait() if ended else ""
        if complaint:
            problems.append(complaint)
            break
        if ended:
            finished += 1
            problems += _differences(wanted, _end_of(run.path), run.path.name)
            if len(done) == kills:
                break
            continue
        done.append(_cost(run, trainer))
        problems += _broken_promises(done[-1], run, recipe)
        tell(len(done), done[-1])
    return Result(tuple(done), finished, tuple(problems))


def _let_train(trainer: Trainer, rng: random.Random, seconds: float, while_saving: bool) -> bool:
    """Until the moment for a kill has come; returns whether the training has ended before."""
    saves = rng.randint(2, 4) if while_saving else 1  # the first one opens a run
    while saves:  # words to wait for
        word = trainer.hear()
        if word is None:
            return True
        saves -= word == "saving" or (not while_saving and word == "shown")
    return trainer.hear_for(rng.uniform(0, _SAVING_SECONDS if while_saving else seconds))


def _cost(run: RunFolder, trainer: Trainer) -> Kill:
    store = CheckpointStore(run.checkpoints)
    newest = store.newest()
    return Kill(trainer.shown, -1 if newest is None else newest.step, trainer.saving, len(store.skipped))


def _broken_promises(kill: Kill, run: RunFolder, recipe: Recipe) -> list[str]:
    largest = recipe.checkpoint_images + max(phase.batch for phase in recipe.phases)
    found = []
    if kill.shown - kill.saved > largest and kill.shown:
        found.append(f"{kill.shown - kill.saved} pictures lost, at most {largest} may be")
    if kill.damaged:
        found.append(f"{kill.damaged} damaged checkpoints have their names")
    if run.is_alive():
        found.append("the run counts as alive")
    return found


def _end_of(folder: Path) -> Mapping[str, torch.Tensor]:
    return CheckpointStore(RunFolder(folder).checkpoints).newest().tensors


def _differences(wanted: Mapping[str, torch.Tensor], got: Mapping[str, torch.Tensor], name: str) -> list[str]:
    wrong = [key for key in wanted.keys() | got.keys() if key not in wanted or key not in got
             or not torch.equal(wanted[key], got[key])]
    return [f"{name} ends with {len(wrong)} other tensors than an undisturbed run: {min(wrong)} …"] if wrong else []


def train_aloud(arguments: list[str]) -> int:
    """The command, which says on its output what it does."""
    from trainer.loop import Loop

    def say(word: str, number: int) -> None:
        sys.stdout.write(f"{word} {number}\n")
        sys.stdout.flush()

    count, save = Loop._count, CheckpointStore.save

    def counted(self, images):
        count(self, images)
        say("shown", self.training.position.images)

    def saved(self, checkpoint):
        say("saving", checkpoint.step)
        path = save(self, checkpoint)
        say("saved", checkpoint.step)
        return path

    Loop._count, CheckpointStore.save = counted, saved
    return cli.main(["train", *arguments])


def main(arguments: list[str] | None = None) -> int:
    """Run the measurement. Returns 0 when every promise was kept."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--train"]:
        return train_aloud(arguments[1:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0, help="longest time between the first step and the kill")
    parser.add_argument("--data", type=Path, help="a dataset with pictures of 32 pixels or more; a small one is made without")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)

    def tell(number: int, kill: Kill) -> None:
        saving = "yes" if kill.while_saving else ""
        print(f"{number:4d}  {kill.shown:6d}  {kill.saved:6d}  {kill.shown - kill.saved:6d}  {saving}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        data = options.data or _small_dataset(Path(folder) / "data")
        print("kill   shown   saved    lost  while saving   (pictures)", flush=True)
        result = kill_again_and_again(data, Path(folder) / "runs", ci_recipe(), options.kills, options.seconds, options.seed,
                                      tell)
    lost = max((kill.shown - kill.saved for kill in result.kills), default=0)
    print(f"at most {lost} pictures lost in {len(result.kills)} kills, {sum(k.while_saving for k in result.kills)} of them while "
          f"saving; {result.finished} runs came to their end")
    print("\n".join(result.problems) or "every end equals that of an undisturbed run, to the last bit")
    return 1 if result.problems else 0


def _small_dataset(folder: Path) -> Path:
    from trainer.data.synth import SplitPlan, SynthPlan, synthesize

    synthesize(folder, SynthPlan(32, 3, (SplitPlan("train", 4, 4),)))
    return folder


if __name__ == "__main__":
    sys.exit(main())
