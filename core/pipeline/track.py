"""A face video to head parameters, whole clip at once."""

from __future__ import annotations

from core.assets import landmarker_model_path
from core.errors import InputError
from core.head.model import HeadModel
from core.media.video_reader import VideoReader
from core.pipeline.offline import Progress, no_progress, observe
from core.tracking.mediapipe_landmarker import FaceLandmarker
from core.tracking.tracker import ClipTrack, Tracker


def track_clip(clip: VideoReader, head: HeadModel, progress: Progress = no_progress) -> ClipTrack:
    """Track every frame of a clip: landmarks, then the person, then the fit, smoothed without delay.

    Raises:
        InputError: no frame of the clip shows a face.
        AssetError: the landmark model is missing.
    """
    model_path = landmarker_model_path()
    seen = observe(clip, lambda: FaceLandmarker(model_path), progress)
    no_face = InputError(f"no face was found in {clip.path}", "it must be upright, in view and at least 1/10 of the picture")
    if all(observation.landmarks is None for observation in seen):
        raise no_face
    with Tracker(head, model_path) as tracker:
        tracked = tracker.track_landmarks([o.landmarks for o in seen], [o.time_ns for o in seen])
    if tracked.found == 0:
        raise no_face
    return tracked
