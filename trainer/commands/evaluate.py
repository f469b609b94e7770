"""The command ``evaluate``: what a trained generator or a pack is worth, as a table and as JSON."""

from __future__ import annotations

from core.errors import InputError
from trainer.evaluate import EvaluateOptions, check_options

__all__ = ["EvaluateOptions", "evaluate"]


def evaluate(options: EvaluateOptions) -> int:
    """Measures and tells."""
    from dataclasses import replace

    from core.commands.progress import ProgressBars
    from core.run_folder import RunFolder
    from trainer.data.dataset import Dataset
    from trainer.evaluate import EvaluationPlan, write_evaluation
    from trainer.evaluate import evaluate as measure

    check_options(options)
    portraitist, data = _portraitist(options)
    with ProgressBars("‰", lines=True) as bars:
        plan = replace(EvaluationPlan(), pictures=options.n)
        found = measure(portraitist, Dataset.open(data), plan, options.inception,
                        lambda stage, share: bars(stage, round(1000 * share), 1000))
    print(found.text())
    if options.run is not None:
        write_evaluation(RunFolder(options.run).report, found)
    if options.json is not None:
        write_evaluation(options.json, found)
    return 0


def _portraitist(options: EvaluateOptions):
    """What is judged, and the dataset it is judged by."""
    from trainer.portraitist import GeneratorPortraitist

    if options.run is not None:
        from trainer.run import load_generator

        generator, record = load_generator(options.run)
        return GeneratorPortraitist(generator), options.data or record.data
    if options.data is None:
        raise InputError("a pack is judged by a dataset", "add --data FOLDER")
    from core.avatar.pack import read_pack
    from trainer.pack_portraitist import PackPortraitist

    return PackPortraitist(read_pack(options.pack)), options.data
