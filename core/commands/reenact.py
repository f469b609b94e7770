"""`reenact`: a face video drives one or more people, into a video."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from core.commands.filming import FilmOptions


@dataclass(kw_only=True)
class Options(FilmOptions):
    """A face video drives one or more people; the result is a video with the driver's timing and sound."""

    driver: Path
    """Video (or picture) of a face."""
    motion_out: Path | None = None
    """Also keep the tracked motion in this .npz file; `render` plays it again."""
    audio: bool = True
    """Keep the driver's sound."""


def run(options: Options) -> int:
    """Track the driver, then film. Ctrl-C keeps the frames that are done."""
    from core.commands.filming import Production, require_other_file, say_what_was_made
    from core.commands.progress import ProgressBars
    from core.head.library import load_open_head
    from core.media.video_reader import open_video
    from core.pipeline.track import observe_faces, solve_motion
    from core.tracking.motion_clip import MotionClip, check_motion_output, write_motion

    started = time.monotonic()
    driver = open_video(options.driver)
    require_other_file(options.driver, options.out)
    if options.motion_out is not None:
        check_motion_output(options.motion_out)
    head = load_open_head()
    with Production(options, driver) as production, ProgressBars() as progress:
        production.start_building()
        seen = observe_faces(driver, progress)
        if not seen.complete:
            raise KeyboardInterrupt
        damaged = driver.damaged
        tracked = solve_motion(driver, seen, head)
        if options.motion_out is not None:
            write_motion(options.motion_out, MotionClip.of(tracked.params, head, (driver.width, driver.height)))
        made = production.film(tracked.params, options.audio, progress)
    return say_what_was_made(made, started, damaged)
