"""The command ``distill``: blendshapes of the studio's rig, or of a trained generator, into an avatar pack."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InputError, OutputError

if TYPE_CHECKING:
    from core.avatar.pack import AvatarPack
    from core.head.model import HeadModel

STUDIO_RUN = "studio"
FIRST_RESPONSE_SEED = 900_000  # far from the seeds that people try first
JUDGED_SEEDS = range(5000, 5003)
Progress = Callable[[str, float], None]


@dataclass(kw_only=True)
class DistillOptions:
    """Extract AGORA-M: a basis, a coefficient regressor and an avatar pack. About ten minutes on one core."""

    out: Path
    """The pack to write (.agora)."""
    run: str = STUDIO_RUN
    """What to learn from: the folder of a training run, or 'studio', the exact rig of the procedural heads."""
    components: int = 64
    """Basis size K of the positions; with the studio the other attributes get three quarters of it or less."""
    samples: int = 24000
    """Random faces that the studio's regressor learns from; a tenth of them make the basis."""
    identities: int = 50
    """People of a run whose faces make the basis; the regressor learns from four times as many, with half the faces."""
    expressions: int = 100
    """Faces of each of them."""
    epochs: int = 80
    """Passes of the regressor over the faces."""
    seed: int = 0
    """Of everything random."""
    people: int = 24
    """People on whom the driving response is fitted; 0 leaves it out."""
    check: bool = True
    """Measure the finished pack against what it was learned from, on unseen people."""
    name: str = ""
    """Of the pack, shown to the user."""
    sheet: Path | None = None
    """Picture to write: generator, pack and their difference side by side (runs only)."""
    json: Path | None = None
    """Also write the numbers there."""


def distill(options: DistillOptions) -> int:
    """Makes a pack and says how good it is."""
    from core.avatar.generator_source import GeneratorSource
    from core.avatar.pack import PACK_SUFFIX, write_pack
    from core.avatar.sources import StudioSource
    from core.commands.progress import ProgressBars
    from core.head.library import load_open_head
    from trainer.response import fit_response

    _check(options, PACK_SUFFIX)
    head = load_open_head()
    with ProgressBars("‰", lines=True) as bars:
        def progress(stage: str, share: float) -> None:
            bars(stage, round(1000 * share), 1000)

        pack, numbers = _of_studio(options, head, progress) if options.run == STUDIO_RUN else _of_run(options, head, progress)
        if options.people:
            seeds = range(FIRST_RESPONSE_SEED, FIRST_RESPONSE_SEED + options.people)
            source = StudioSource(pack, head) if options.run == STUDIO_RUN else GeneratorSource(pack, head)
            try:
                response = fit_response(source, head, seeds, progress=lambda share: progress("response", share))
                pack = replace(pack, response=response)
            except InputError as error:  # a young generator's people need not look like people yet
                print(f"no driving response: {error.message}")
        write_pack(options.out, pack)
        manifest = pack.manifest
        print(f"{options.out}: {manifest.rows} rows, K = {'/'.join(map(str, manifest.components))}, "
              f"{options.out.stat().st_size / 1e6:.1f} MB")
        if options.check:
            numbers |= _judge_studio(pack, head, progress) if options.run == STUDIO_RUN else _judge_run(options, pack, head)
    if options.json is not None:
        from core.assets import write_atomically

        write_atomically(options.json, json.dumps({**numbers, "pack": str(options.out)}, indent=1).encode())
    return 0


def _of_studio(options: DistillOptions, head: HeadModel, progress: Progress) -> tuple[AvatarPack, dict[str, Any]]:
    from trainer.distill import DistillSettings
    from trainer.distill import distill as extract
    from trainer.regression import RegressionSettings
    from trainer.studio_teacher import StudioTeacher

    three_quarters, five_eighths = (max(1, options.components * n // 8) for n in (6, 5))
    settings = DistillSettings(
        components=(options.components, three_quarters, five_eighths, five_eighths),
        basis_samples=max(options.samples // 10, 2 * options.components),
        training_samples=options.samples, regression=RegressionSettings(epochs=options.epochs, seed=options.seed),
        seed=options.seed)
    return extract(StudioTeacher(head), settings, progress), {}


def _of_run(options: DistillOptions, head: HeadModel, progress: Progress) -> tuple[AvatarPack, dict[str, Any]]:
    from trainer.distill_generator import GeneratorDistillSettings, distillation
    from trainer.run import load_generator, prior_of

    generator, record = load_generator(Path(options.run), head)
    people, faces = options.identities, options.expressions
    settings = GeneratorDistillSettings(
        components=(options.components,) * 4, people=people, faces=faces, training_people=4 * people,
        training_faces=max(2, faces // 2), unseen_people=max(2, people // 5), unseen_faces=max(2, faces // 2), seed=options.seed)
    settings = replace(settings, regression=replace(settings.regression, epochs=options.epochs, seed=options.seed))
    made = distillation(generator, prior_of(record, options.name), settings, progress, options.out.parent)
    for k, driven, basis in zip(made.curve.components, made.curve.driven_mm, made.curve.basis_mm, strict=True):
        print(f"K = {k:>3}: {driven:.3f} mm on unseen people, {basis:.3f} mm with the best coefficients")
    numbers = made.as_json()
    numbers["curve"] = [{"components": k, "error": error}
                        for k, error in zip(made.curve.components, made.curve.driven_mm, strict=True)]
    return made.pack, {**numbers, "errors": made.curve.as_json()}


def _judge_studio(pack: AvatarPack, head: HeadModel, progress: Progress) -> dict[str, Any]:
    from trainer.pack_metrics import evaluate_studio_pack

    metrics = evaluate_studio_pack(pack, head, seeds=JUDGED_SEEDS, faces=40, pictures=2,
                                   progress=lambda share: progress("check", share))
    print(f"against the exact rig, unseen people and faces: position error {metrics.mean_mm:.3f} mm mean, "
          f"{metrics.p99_mm:.2f} mm p99, pictures {metrics.psnr_db:.1f} dB")
    return {"mean_mm": metrics.mean_mm, "p99_mm": metrics.p99_mm, "psnr_db": metrics.psnr_db}


def _judge_run(options: DistillOptions, pack: AvatarPack, head: HeadModel) -> dict[str, Any]:
    import numpy as np

    from core.avatar.generator_source import GeneratorSource
    from core.media.image import write_image
    from trainer.agora_m import compare, sheet
    from trainer.psi_sampling import PsiSampler

    psi = PsiSampler(head).sample(np.random.default_rng(options.seed), 4)
    compared = compare(GeneratorSource(pack, head), list(JUDGED_SEEDS), psi)
    print(f"against the generator, unseen people and faces: position error {compared.mean_mm:.3f} mm mean, "
          f"{compared.p99_mm:.2f} mm p99, pictures {compared.psnr_db:.1f} dB mean, {compared.worst_psnr_db:.1f} dB worst")
    if options.sheet is not None:
        write_image(options.sheet, sheet(compared))
    return {"comparison": compared.as_json()}


def _check(options: DistillOptions, suffix: str) -> None:
    """Refuses early what would fail after minutes of work."""
    if options.run != STUDIO_RUN and not (Path(options.run) / "recipe.json").is_file():
        raise InputError(f"there is no run '{options.run}' to learn from",
                         f"give the folder of a training run, or '{STUDIO_RUN}'")
    for name, smallest, largest in (("components", 1, 256), ("samples", 200, 10_000_000), ("identities", 2, 100_000),
                                    ("expressions", 2, 100_000), ("epochs", 0, 100_000), ("people", 0, 10_000)):
        if not smallest <= getattr(options, name) <= largest:
            raise InputError(f"--{name} must be a whole number from {smallest} to {largest}")
    if options.out.suffix != suffix:
        raise OutputError(f"{options.out}: a pack's name ends in {suffix}")
    for path in (options.out, options.json, options.sheet):
        if path is not None and not path.parent.is_dir():
            raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist", "make the folder first")
