"""A face video to head parameters, whole clip at once."""

from __future__ import annotations

from core.assets import landmarker_model_path
from core.errors import InputError
from core.head.model import HeadModel
from core.media.video_reader import VideoReader
from core.pipeline.offline import Observations, Progress, no_progress, observe
from core.tracking.mediapipe_landmarker import FaceLandmarker
from core.tracking.tracker import ClipTrack, Tracker


def observe_faces(clip: VideoReader, progress: Progress = no_progress) -> Observations:
    """Landmarks of every frame of a clip.

    Raises:
        InputError: no frame shows a face.
        AssetError: the landmark model is missing.
    """
    model_path = landmarker_model_path()
    seen = observe(clip, lambda: FaceLandmarker(model_path), progress)
    if seen.complete and all(observation.landmarks is None for observation in seen.frames):
        raise _no_face(clip)
    return seen


def solve_motion(clip: VideoReader, seen: Observations, head: HeadModel) -> ClipTrack:
    """The person from all landmarks, then the fit, smoothed without delay. Raises InputError when no face is believable."""
    with Tracker(head, landmarker_model_path()) as tracker:
        tracked = tracker.track_landmarks([o.landmarks for o in seen.frames], [o.time_ns for o in seen.frames])
    if tracked.found == 0:
        raise _no_face(clip)
    return tracked


def _no_face(clip: VideoReader) -> InputError:
    return InputError(f"no face was found in {clip.path}", "it must be upright, in view and at least 1/10 of the picture")
