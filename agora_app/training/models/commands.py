"""The training commands as the lists of words that start them. They run as processes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agora_app.children.program import PROGRAM
from agora_app.settings.model import Training


@dataclass(frozen=True)
class TrainerCommands:
    """Makes command lines.

    Attributes:
        program: what is started; replaced in tests.
        distill_words: more words for `distill`; tests have it hurry.
    """

    program: tuple[str, ...] = PROGRAM
    distill_words: tuple[str, ...] = ()

    def synth(self, form: Training, out: Path, workers: int) -> list[str]:
        """Make a synthetic dataset; goes on where an earlier run was stopped."""
        return self._line("data", "synth", "--out", out, "--count", form.synthetic_count, "--size", form.synthetic_size,
                          "--workers", workers, "--seed", form.synthetic_seed)

    def portraits(self, photos: Path, out: Path) -> list[str]:
        """Make a dataset of photos."""
        return self._line("data", "portraits", photos, "--out", out)

    def check(self, dataset: Path, answer: Path) -> list[str]:
        return self._line("data", "check", dataset, "--json", answer)

    def probe(self, form: Training, dataset: Path, answer: Path) -> list[str]:
        """Try a few steps and estimate."""
        return self._line("train", *self._recipe(form), "--data", dataset, *self._options(form), "--probe", "--json", answer)

    def train(self, form: Training, dataset: Path, run: Path) -> list[str]:
        return self._line("train", *self._recipe(form), "--data", dataset, "--out", run, *self._options(form))

    def resume(self, command: list[str]) -> list[str]:
        """The same training, from its last checkpoint."""
        return command if "--resume" in command else [*command, "--resume"]

    def evaluate(self, run: Path, answer: Path) -> list[str]:
        return self._line("evaluate", "--run", run, "--json", answer)

    def distill(self, form: Training, run: Path, pack: Path, answer: Path) -> list[str]:
        return self._line("distill", "--run", run, "--out", pack, "--components", form.components, "--identities",
                          form.identities, "--expressions", form.expressions, "--json", answer, *self.distill_words)

    def _recipe(self, form: Training) -> tuple[str, str]:
        return "--recipe", form.recipe_file if form.recipe == "file" else form.recipe

    def _options(self, form: Training) -> list[object]:
        """Only what differs from the recipe."""
        options: list[object] = []
        for name in ("hours", "batch", "threads"):
            if getattr(form, name):
                options += [f"--{name}", f"{getattr(form, name):g}"]
        if form.size != "recipe":
            options += ["--size", form.size]
        return [*options, "--seed", form.seed]

    def _line(self, *words: object) -> list[str]:
        return [*self.program, *map(str, words)]
