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
    """Track the clip and write the motion."""
    from core.commands.progress import ProgressBars
    from core.head.library import load_open_head
    from core.media.video_reader import open_video
    from core.pipeline.track import track_clip
    from core.tracking.motion_clip import check_motion_output, write_motion

    clip = open_video(options.clip)
    check_motion_output(options.out)
    head = load_open_head()
    with ProgressBars() as progress:
        tracked = track_clip(clip, head, progress)
    write_motion(options.out, tracked, head)
    residual = sum(p.residual for p in tracked.params) / len(tracked.params)
    damaged = f", {clip.damaged} damaged frames" if clip.damaged else ""
    print(f"{options.out}: {len(tracked.params)} frames, a face in {tracked.found}, "
          f"fit error {100 * residual:.2f} % of the distance between the eyes{damaged}")
    return 0
