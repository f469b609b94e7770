"""The command ``distill``: blendshapes of the studio's rig, or of a trained generator, into an avatar pack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import InputError, OutputError

STUDIO_RUN = "studio"
FIRST_RESPONSE_SEED = 900_000  # far from the seeds that people try first


@dataclass(kw_only=True)
class DistillOptions:
    """Extract AGORA-M: a basis, a coefficient regressor and an avatar pack. About ten minutes on one core."""

    out: Path
    """The pack to write (.agora)."""
    run: str = STUDIO_RUN
    """What to learn from: 'studio', the exact rig of the procedural heads."""
    components: int = 64
    """Basis size K of the positions; the other attributes get three quarters of it or less."""
    samples: int = 24000
    """Random faces that the regressor learns from; a tenth of them make the basis."""
    epochs: int = 80
    """Passes of the regressor over the faces."""
    seed: int = 0
    """Of everything random."""
    people: int = 24
    """People on whom the driving response is fitted; 0 leaves it out."""
    check: bool = True
    """Measure the finished pack against the rig on unseen people."""


def distill(options: DistillOptions) -> int:
    """Makes a pack and says how good it is."""
    from core.avatar.pack import PACK_SUFFIX, write_pack
    from core.avatar.sources import StudioSource
    from core.commands.progress import ProgressBars
    from core.head.library import load_open_head
    from trainer.distill import distill as extract
    from trainer.pack_metrics import evaluate_studio_pack
    from trainer.response import fit_response
    from trainer.studio_teacher import StudioTeacher

    _check(options, PACK_SUFFIX)
    head = load_open_head()
    with ProgressBars() as bars:
        pack = extract(StudioTeacher(head), _settings(options), lambda stage, share: bars(stage, round(1000 * share), 1000))
        if options.people:
            source = StudioSource(pack, head)
            seeds = range(FIRST_RESPONSE_SEED, FIRST_RESPONSE_SEED + options.people)
            response = fit_response(source, head, seeds, progress=lambda share: bars("response", round(1000 * share), 1000))
            pack = replace(pack, response=response)
        write_pack(options.out, pack)
        manifest = pack.manifest
        print(f"{options.out}: {manifest.rows} rows, K = {'/'.join(map(str, manifest.components))}, "
              f"{options.out.stat().st_size / 1e6:.1f} MB")
        if options.check:
            metrics = evaluate_studio_pack(pack, head, seeds=range(5000, 5003), faces=40, pictures=2,
                                           progress=lambda share: bars("check", round(1000 * share), 1000))
            print(f"against the exact rig, unseen people and faces: position error {metrics.mean_mm:.3f} mm mean, "
                  f"{metrics.p99_mm:.2f} mm p99, pictures {metrics.psnr_db:.1f} dB")
    return 0


def _settings(options: DistillOptions):
    from trainer.distill import DistillSettings
    from trainer.regression import RegressionSettings

    three_quarters, five_eighths = (max(1, options.components * n // 8) for n in (6, 5))
    return DistillSettings(
        components=(options.components, three_quarters, five_eighths, five_eighths),
        basis_samples=max(options.samples // 10, 2 * options.components),
        training_samples=options.samples, regression=RegressionSettings(epochs=options.epochs, seed=options.seed),
        seed=options.seed)


def _check(options: DistillOptions, suffix: str) -> None:
    """Refuses early what would fail after minutes of work."""
    if options.run != STUDIO_RUN:
        raise InputError(f"there is no run '{options.run}' to learn from", f"the run is '{STUDIO_RUN}'")
    for name, smallest, largest in (("components", 1, 256), ("samples", 200, 10_000_000), ("epochs", 0, 100_000),
                                    ("people", 0, 10_000)):
        if not smallest <= getattr(options, name) <= largest:
            raise InputError(f"--{name} must be a whole number from {smallest} to {largest}")
    if options.out.suffix != suffix:
        raise OutputError(f"{options.out}: a pack's name ends in {suffix}")
    if not options.out.parent.is_dir():
        raise OutputError(f"{options.out} cannot be written: the folder {options.out.parent} does not exist",
                          "make the folder first")
