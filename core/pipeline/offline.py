"""The whole chain over files, in two passes: a clip becomes a motion, a motion becomes a video. Nothing is dropped.

Pass one finds the landmarks of every frame; two landmarkers work on the two halves of a long clip. The person's calibration and
the smoothing need the whole clip, so the fit follows when all landmarks are known. Pass two drives, renders and composes
frames on several threads, in order, while another thread encodes. Long clips are never held in memory.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from core.media.video_reader import VideoReader
from core.media.video_writer import Recording, VideoWriter
from core.pipeline.background import Picture
from core.pipeline.compose import Composer
from core.pipeline.timing import StageTimer
from core.pipeline.views import camera_path
from core.pipeline.workers import WorkerPool
from core.render.renderer import Renderer
from core.types import Camera, FloatArray, Frame, Gaussians, HeadParams, Landmarks, TrackState

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much

SHORTEST_HALF = 60  # frames; below that a second landmarker costs more than it saves
OVERLAP = 12  # frames that the second landmarker sees before its half, to settle


class Landmarker(Protocol):
    """What finds landmarks (`core.tracking.mediapipe_landmarker.FaceLandmarker`)."""

    def detect(self, frame: Frame) -> Landmarks | None: ...


class Actor(Protocol):
    """Someone who can be driven (`core.avatar.model.Avatar`)."""

    def drive(self, params: HeadParams, rest_translation: FloatArray | None = None,
              out: Gaussians | None = None) -> Gaussians: ...

    def seen_from(self, camera: Camera, cloud: Gaussians) -> Gaussians: ...


@dataclass(frozen=True)
class Observation:
    """What was seen in one frame of a clip."""

    time_ns: int
    landmarks: Landmarks | None


@dataclass(frozen=True)
class Observations:
    """What was seen in a clip from its beginning on, and whether that is all of it or Ctrl-C came first."""

    frames: list[Observation]
    complete: bool


@dataclass(frozen=True)
class Film:
    """A finished video, and whether it stopped early."""

    recording: Recording
    wanted_frames: int
    interrupted: bool


def no_progress(doing: str, done: int, total: int) -> None:
    """Tell nobody."""


def core_count() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------------------------------------------------- pass one


def observe(clip: VideoReader, open_landmarker: Callable[[], AbstractContextManager[Landmarker]],
            progress: Progress = no_progress) -> Observations:
    """Landmarks of every frame of a clip, in order. Ctrl-C stops the work and keeps the frames up to there.

    Args:
        open_landmarker: makes a landmarker in the thread that will use it.
        progress: called in this thread; an exception it raises stops the work.
    """
    total = clip.frame_count
    split = total // 2 if core_count() > 1 and total >= 2 * SHORTEST_HALF else None
    counter = _Counter()
    with ThreadPoolExecutor(2, thread_name_prefix="landmarks") as pool:
        parts = [pool.submit(_observe_part, clip, open_landmarker, 0, split, counter)]
        if split is not None:
            parts.append(pool.submit(_observe_part, VideoReader(clip.path), open_landmarker, split, None, counter))
        try:
            while not all(part.done() for part in parts):
                progress("tracking", min(counter.value, total), total)
                _wait(parts)
            progress("tracking", total, total)
        except KeyboardInterrupt:
            counter.stopped = True
        except BaseException:
            counter.stopped = True
            raise
    seen = parts[0].result()
    if split is not None and len(seen) == split:
        seen = seen + parts[1].result()
    return Observations(seen, not counter.stopped)


class _Counter:
    """What the threads share: frames done (without a lock: it only feeds a progress bar) and whether to stop.

    Landmarkers are opened one at a time, because the native library's start-up is not made for two threads.
    """

    def __init__(self) -> None:
        self.value = 0
        self.stopped = False
        self.opening = threading.Lock()


def _observe_part(clip: VideoReader, open_landmarker: Callable[[], AbstractContextManager[Landmarker]], first: int,
                  end: int | None, counter: _Counter) -> list[Observation]:
    seen = []
    with counter.opening:
        opened = open_landmarker()
    with opened as landmarker:
        for frame in clip.frames(max(0, first - OVERLAP)):
            if frame.index == end or counter.stopped:
                break
            landmarks = landmarker.detect(frame)
            if frame.index >= first:
                seen.append(Observation(frame.time_ns, landmarks))
                counter.value += 1
    return seen


def _wait(parts: Sequence[Future], seconds: float = 0.1) -> None:
    for part in parts:
        if not part.done():
            try:
                part.exception(timeout=seconds)
            except TimeoutError:
                return


# ---------------------------------------------------------------------------------------------------------- pass two


@dataclass(frozen=True)
class Shot:
    """All that one picture needs."""

    params: HeadParams
    camera: Camera
    driver: Picture | None = None


class Painter:
    """Drives, renders and composes, for one thread.

    Args:
        renderer: used by this painter alone; it closes it.
        actors: who is in the picture; they keep scratch memory and are used by this painter alone.
        rest_translation: [3] where the driver's head rests in viewer space.
        timer: collects what the stages take.
    """

    def __init__(self, renderer: Renderer, actors: Sequence[Actor], composer: Composer, rest_translation: FloatArray,
                 timer: StageTimer | None = None) -> None:
        self._renderer = renderer
        self._actors = actors
        self._composer = composer
        self._rest_translation = rest_translation
        self._timer = timer or StageTimer()
        self._scratch: list[Gaussians | None] = [None] * len(actors)

    def __call__(self, shot: Shot) -> Picture:
        """The finished picture of a shot."""
        heads = []
        for index, actor in enumerate(self._actors):
            with self._timer.stage("drive"):
                gaussians = actor.drive(shot.params, self._rest_translation, self._scratch[index])
            self._scratch[index] = gaussians
            with self._timer.stage("render"):
                heads.append(self._renderer.render(actor.seen_from(shot.camera, gaussians), shot.camera, None))
        with self._timer.stage("compose"):
            return self._composer.compose(heads, shot.driver)

    def close(self) -> None:
        """Release the renderer."""
        self._renderer.close()


def film(motion: Sequence[HeadParams], make_painter: Callable[[], Painter], composer: Composer, view: str, writer: VideoWriter,
         driver: Iterable[Frame] | None = None, progress: Progress = no_progress, workers: int | None = None) -> Film:
    """Write a video with one frame for every element of `motion`.

    Args:
        motion: parameters with their times.
        make_painter: called once in every worker thread.
        composer: only asked for the size of the cells and whether it needs the driver's frames.
        view: one of `core.pipeline.views.VIEW_NAMES`.
        writer: closed at the end, discarded on an error. Ctrl-C keeps what is done.
        driver: frames of the driver, one for each element of `motion`; read only when the composer needs them.
        workers: threads that paint; as many as there are cores, at most four, when left out.
    """
    size = composer.layout.head_size
    cameras = camera_path(view, motion, size, size)
    pictures = (frame.image for frame in driver) if driver is not None and composer.needs_driver else _nothing()
    shots = (Shot(params, camera, picture) for params, camera, picture in zip(motion, cameras, pictures, strict=False))
    interrupted, done = False, 0
    try:
        with WorkerPool(make_painter, workers or min(core_count(), 4)) as pool:
            for picture in _in_order(pool, shots):
                writer.write(picture, motion[done].time_ns)
                done += 1
                progress("rendering", done, len(motion))
    except KeyboardInterrupt:
        if done == 0:
            writer.discard()
            raise
        interrupted = True
    except BaseException:
        writer.discard()
        raise
    return Film(writer.close(), len(motion), interrupted)


def resting_translation(motion: Sequence[HeadParams]) -> FloatArray:
    """Where the head rests [3]: the median over the frames that were really tracked."""
    tracked = [p.head_translation for p in motion if p.state is TrackState.TRACKED] or [p.head_translation for p in motion]
    return np.median(np.stack(tracked), axis=0).astype(np.float32)


def _in_order(pool: WorkerPool, shots: Iterator[Shot]) -> Iterator[Picture]:
    """Pictures in the order of the shots, with a few under way at a time."""
    under_way: deque[Future[Picture]] = deque()
    for shot in shots:
        under_way.append(pool.submit(shot))
        if len(under_way) > 2 * pool.count:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _nothing() -> Iterator[None]:
    while True:
        yield None
