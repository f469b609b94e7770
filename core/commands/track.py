"""`track`: a face video to a motion clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(kw_only=True)
class Options:
    """Track the face in a video and keep its motion: expression, jaw, gaze and head pose of every frame."""

    clip: tyro.conf.Positional[Path]
    """Video (or picture) of a face."""
    out: Path
    """The motion clip to write, .npz."""


def run(options: Options) -> int:
    """Track the clip and write the motion. Ctrl-C keeps the frames up to there."""
    from core.commands.progress import ProgressBars
    from core.head.library import load_open_head
    from core.media.video_reader import open_video
    from core.pipeline.track import observe_faces, solve_motion
    from core.tracking.motion_clip import MotionClip, check_motion_output, write_motion

    clip = open_video(options.clip)
    check_motion_output(options.out)
    head = load_open_head()
    with ProgressBars() as progress:
        seen = observe_faces(clip, progress)
    if not seen.frames:
        raise KeyboardInterrupt
    tracked = solve_motion(clip, seen, head)
    write_motion(options.out, MotionClip.of(tracked.params, head, (clip.width, clip.height)))
    if not seen.complete:
        print(f"stopped: the first {len(tracked.params)} frames are in {options.out}")
        return 130
    residual = sum(p.residual for p in tracked.params) / len(tracked.params)
    damaged = f", {clip.damaged} damaged frames" if clip.damaged else ""
    print(f"{options.out}: {len(tracked.params)} frames, a face in {tracked.found}, "
          f"fit error {100 * residual:.2f} % of the distance between the eyes{damaged}")
    return 0
