"""The training commands by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from core.cli import guarded
from core.errors import InputError

COMMANDS = {
    "data": "make, ingest or check a dataset",
    "train": "train a generator, or go on with a run",
    "evaluate": "measure a generator or a pack against a dataset",
    "ablate": "what shape map, dual discrimination and deformation branch bring",
    "distill": "extract the shared Gaussian blendshapes into an avatar pack",
    "invert": "photographs of one person to an avatar",
    "import-official": "the published AGORA files to an avatar pack",
}


@dataclass(frozen=True)
class Command:
    """Where a command is: module, its options' class, its function."""

    module: str
    options: str
    function: str

    def load(self) -> tuple[type, Callable[..., int]]:
        module = importlib.import_module(self.module)
        return getattr(module, self.options), getattr(module, self.function)


_TABLE = {
    "data synth": Command("trainer.data.cli", "SynthOptions", "synth"),
    "data portraits": Command("trainer.data.cli_portraits", "PortraitsOptions", "portraits"),
    "data check": Command("trainer.data.cli_portraits", "CheckOptions", "check"),
    "train": Command("trainer.commands.train", "TrainOptions", "train"),
    "evaluate": Command("trainer.commands.evaluate", "EvaluateOptions", "evaluate"),
    "ablate": Command("trainer.commands.ablate", "AblateOptions", "ablate"),
    "distill": Command("trainer.commands.distill", "DistillOptions", "distill"),
    "invert": Command("trainer.commands.invert", "InvertOptions", "invert"),
    "import-official": Command("trainer.commands.import_official", "ImportOptions", "import_official"),
}


def main(argv: list[str]) -> int:
    """Runs a training command; returns the exit code."""
    return guarded(lambda: _run(argv))


def _run(argv: list[str]) -> int:
    from core.commands.arguments import parse_arguments

    name, *arguments = argv
    if name not in COMMANDS:
        raise InputError(f"there is no command '{name}'", f"commands: {', '.join(COMMANDS)}")
    if name not in _TABLE:
        name, arguments = _second_word(name, arguments)
    options, function = _TABLE[name].load()
    return function(parse_arguments(options, name, arguments))


def _second_word(name: str, arguments: list[str]) -> tuple[str, list[str]]:
    choices = [full.split()[1] for full in _TABLE if full.startswith(f"{name} ")]
    if not arguments or arguments[0] not in choices:
        raise InputError(f"'{name}' needs to know what to do", f"{name} {'|'.join(choices)}")
    return f"{name} {arguments[0]}", arguments[1:]
