"""`render`: a motion clip with any person, view and background."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from core.commands.filming import FilmOptions


@dataclass(kw_only=True)
class Options(FilmOptions):
    """Play a tracked motion with another person, size, view or background."""

    motion: Path
    """Motion clip (.npz) that `track` or `reenact --motion-out` wrote."""


def run(options: Options) -> int:
    """Film the motion. Ctrl-C keeps the frames that are done."""
    from core.commands.filming import Production, say_what_was_made
    from core.commands.progress import ProgressBars
    from core.tracking.motion_clip import read_motion

    started = time.monotonic()
    motion = read_motion(options.motion)
    with Production(options) as production, ProgressBars() as progress:
        made = production.film(motion.params, audio=False, progress=progress)
    return say_what_was_made(made, started)
