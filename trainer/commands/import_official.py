"""The command ``import-official``: the published AGORA files to an avatar pack. Nothing in them is executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from core.errors import InputError, OutputError

_MOST_PEOPLE = 64
_MEGABYTE = 1e6


@dataclass(kw_only=True)
class ImportOptions:
    """Make an avatar pack of the published AGORA release: its people, its motion, and its generator for new seeds."""

    release: Annotated[Path, tyro.conf.Positional]
    """Folder with the release, or with a part of it (checkpoint-….pkl, svd_basis.pt, mlp_regressor.pt,
    fused_params_dataset.npy), or a checkpoint."""
    out: Path
    """The pack to write (.agora)."""
    seeds: str = "0-7"
    """People who are stored in the pack: numbers and ranges such as 0-7,42."""
    without_generator: bool = False
    """Leave the generator out: a much smaller pack, in which there is nobody but the people stored."""
    components: int | None = None
    """Use at most so many components of each attribute of AGORA-M; all 64 when left out."""
    name: str = "AGORA"
    """Of the pack, shown to the user."""
    seeding: Literal["cuda", "cpu"] = "cuda"
    """cuda: seed 10 is the published seed 10; cpu: torch's generator on the processor."""
    distill: bool = True
    """Where AGORA-M is missing, make a small one of the generator; otherwise the people do not move then."""
    people: int = 6
    """Of whom such a basis is made."""
    faces: int = 40
    """Of each of them; 240 faces in all take some minutes."""


def import_official(options: ImportOptions) -> int:
    """Makes the pack and says what was found, what is missing and what does not work for that."""
    from core.avatar.identity import parse_seeds

    seeds = tuple(dict.fromkeys(parse_seeds(options.seeds)))
    _check(options, len(seeds))

    from core.avatar.pack import write_pack
    from core.commands.progress import SHARES, ProgressBars
    from core.head.library import load_open_head
    from trainer.official import ImportSettings
    from trainer.official import import_official as make
    from trainer.official_files import find_official

    files = find_official(options.release)
    settings = ImportSettings(seeds, not options.without_generator, options.components, options.name, options.seeding,
                              options.distill, options.people, options.faces)
    with ProgressBars(SHARES, lines=True) as bars:
        made = make(files, load_open_head(), settings, lambda stage, share: bars(stage, round(1000 * share), 1000),
                    options.out.parent)
        write_pack(options.out, made.pack)
    for line in made.found:
        print(f"found {line}")
    for line in made.lacking:
        print(f"note: {line}")
    manifest = made.pack.manifest
    print(f"{options.out}: {len(seeds)} people, {manifest.rows} moving rows, K = {'/'.join(map(str, manifest.components))}, "
          f"{options.out.stat().st_size / _MEGABYTE:.1f} MB")
    return 0


def _check(options: ImportOptions, people: int) -> None:
    """Refuses early what would fail after minutes of work."""
    from core.avatar.pack import PACK_SUFFIX

    if options.out.suffix != PACK_SUFFIX:
        raise OutputError(f"{options.out}: a pack's name ends in {PACK_SUFFIX}")
    if not options.out.parent.is_dir():
        raise OutputError(f"{options.out} cannot be written: the folder {options.out.parent} does not exist",
                          "make the folder first")
    if people > _MOST_PEOPLE:
        raise InputError(f"--seeds: {people} people would make a huge pack", f"store up to {_MOST_PEOPLE}, make others later")
    components = 1 if options.components is None else options.components
    for name, value, smallest, largest in (("components", components, 1, 512), ("people", options.people, 2, 10_000),
                                           ("faces", options.faces, 2, 10_000)):
        if not smallest <= value <= largest:
            raise InputError(f"--{name} must be a whole number from {smallest} to {largest}")
