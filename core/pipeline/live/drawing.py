"""The drawing stage: head parameters, the user's controls and the look become a finished picture."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.avatar.identity import Identity
from core.avatar.motion import head_motion
from core.avatar.pack import AvatarPack
from core.avatar.thinning import thinned
from core.errors import InputError
from core.head.library import load_open_head
from core.pipeline.background import Picture
from core.pipeline.live.canvas import Canvas, enlarge
from core.pipeline.live.governor import Governor
from core.pipeline.live.silence import SilenceBridge
from core.pipeline.live.state import Cast, DriveControls, LivePicture, Look, Quality
from core.pipeline.live.steering import Steering
from core.pipeline.live.tracking_stage import Report, Tracked
from core.pipeline.live.viewpose import camera_of, scaled_camera
from core.pipeline.timing import StageTimer
from core.pipeline.views import Follower
from core.render.reference import ALPHA_MIN
from core.types import Camera, FloatArray, HeadParams

if TYPE_CHECKING:
    from core.avatar.backend import Backend, Performer

STAGE = "drawing"
KEPT_PERFORMERS = 6
IDLE_SECONDS, MOVING_SECONDS = 0.1, 0.02
_RECENT_NS = 250_000_000
_SMALLEST_SIDE = 32


@dataclass(frozen=True, eq=False)
class Wishes:
    """What the user wants to see; replaced as a whole."""

    cast: Cast | None = None
    look: Look = field(default_factory=Look)
    drive: DriveControls = field(default_factory=DriveControls)
    paused: bool = False
    governor: bool = True
    target_fps: int = 30


class Steers(Protocol):
    """What applies the user's controls (`core.pipeline.live.steering.Steering`)."""

    rest_translation: FloatArray | None
    is_easing: bool

    def rezero(self) -> None: ...

    def reset(self) -> None: ...

    def params(self, tracked: HeadParams, controls: DriveControls, now_ns: int | None = None) -> HeadParams: ...

    def psi(self, psi: FloatArray, controls: DriveControls) -> FloatArray: ...

    def rotation(self, params: HeadParams, controls: DriveControls) -> HeadParams: ...


def steering_for(pack: AvatarPack) -> Steering:
    """Controls for the head model that a pack was made for; without knowledge of its columns when it is not the open head."""
    head = load_open_head()
    if pack.manifest.driving_sha256 == head.sha256:
        return Steering(head.expression_names)
    return Steering([f"expression {i}" for i in range(pack.manifest.driven_by.expression)])


class DrawingStage:
    """Draws one picture after another. `open`, `step` and `close` belong to its thread, the rest to anybody.

    Args:
        open_backend: called by `open`.
        open_fallback: called when `open_backend` raises.
        report: told what goes wrong, each thing once.
        clock: nanoseconds.
        timer: told the stages "drive", "render" and "compose" of every picture.
        make_steering: controls for a pack.
        source_fps: how often the source gives something new; 0 when not known.
    """

    def __init__(self, open_backend: Callable[[], Backend], open_fallback: Callable[[], Backend], report: Report,
                 clock: Callable[[], int] = time.perf_counter_ns, timer: StageTimer | None = None,
                 make_steering: Callable[[AvatarPack], Steers] = steering_for,
                 source_fps: Callable[[], float] = lambda: 0.0) -> None:
        self._open_backend, self._open_fallback = open_backend, open_fallback
        self._clock, self._make_steering, self._source_fps = clock, make_steering, source_fps
        self._timer = _PictureTimer(timer or StageTimer())
        self._complaints = _Complaints(report)
        self._lock = threading.Lock()
        self._wishes = Wishes()
        self._drawn: Wishes | None = None
        self._since_ns: int | None = None
        self._new_source = self._rezero = False
        self._backend: Backend | None = None
        self._troupe: _Troupe | None = None
        self._cast: Cast | None = None
        self._actors: tuple[_Actor, ...] = ()
        self._motion: _Motion | None = None
        self._governor, self._canvas = Governor(), Canvas()
        self._alpha_min, self._share = ALPHA_MIN, 1
        self._follower: Follower | None = None
        self._swing_seconds = 0.0
        self._started_ns = 0
        self._count = 0

    # ----------------------------------------------------------------------------------------------- from any thread

    def wish(self, **changes) -> None:
        """Change fields of `Wishes`."""
        with self._lock:
            self._wishes = replace(self._wishes, **changes)

    def rezero(self) -> None:
        """As `core.pipeline.live.steering.Steering.rezero`."""
        with self._lock:
            self._rezero = True

    def new_source(self) -> None:
        """What was captured before now counts no more."""
        with self._lock:
            self._since_ns, self._new_source = self._clock(), True

    @property
    def quality(self) -> Quality:
        """What the governor has chosen."""
        return self._governor.quality

    @property
    def renderer(self) -> str:
        """What draws, in words; empty before it is there."""
        backend = self._backend
        return "" if backend is None else backend.description

    # --------------------------------------------------------------------------------------------- in the stage's thread

    def open(self) -> None:
        """Open what draws."""
        try:
            self._backend = self._open_backend()
        except Exception as error:
            self._complaints.tell(error)
            self._backend = self._open_fallback()
        self._backend.timer = self._timer
        self._troupe = _Troupe(self._backend)

    def close(self) -> None:
        """Close what draws, and all performers."""
        if self._backend is not None:
            self._troupe.close()
            self._backend.close()
            self._backend = None

    def wait_seconds(self) -> float:
        """How long `step` may wait for something new before it should be called without."""
        wishes, motion = self._wishes, self._motion
        moving = motion is not None and not wishes.paused and (motion.is_easing or wishes.look.view.mode == "orbit")
        return MOVING_SECONDS if moving else IDLE_SECONDS

    def step(self, tracked: Tracked | None) -> LivePicture | None:
        """Take what was tracked (None: nothing new) and draw, if the picture would be another one than before."""
        now = self._clock()
        wishes, is_new_source, rezero = self._take_wishes()
        if wishes.cast is not self._cast:
            self._change_cast(wishes.cast)
        motion = self._motion
        if motion is None:
            return None
        if is_new_source:
            motion.cut(now)
            self._complaints.forget()
        if rezero:
            motion.steering.rezero()
        if tracked is not None and self._since_ns is not None and tracked.captured_ns < self._since_ns:
            tracked = None
        fresh = self._advance(motion, tracked, wishes.paused, now)
        if not (fresh or wishes is not self._drawn or self._is_animated(motion, wishes, now)):
            return None
        self._drawn = wishes
        try:
            return self._paint(motion, wishes, fresh, now)
        except Exception as error:
            self._complaints.tell(error)
            return None

    # ------------------------------------------------------------------------------------------------------------ inside

    def _take_wishes(self) -> tuple[Wishes, bool, bool]:
        with self._lock:
            taken = (self._wishes, self._new_source, self._rezero)
            self._new_source = False
            if self._motion is not None:
                self._rezero = False
        return taken

    def _change_cast(self, cast: Cast | None) -> None:
        """Get the performers; those on stage stay when that fails."""
        self._cast = cast
        if cast is None or not cast.identities:
            self._actors, self._motion = (), None
            return
        try:
            actors = self._troupe.actors(cast, self._share)
            if self._motion is None or self._motion.head_sha256 != cast.pack.manifest.driving_sha256:
                self._motion = _Motion(cast.pack, self._make_steering(cast.pack), self._clock())
        except Exception as error:
            self._complaints.tell(error)
        else:
            self._actors = actors

    def _advance(self, motion: _Motion, tracked: Tracked | None, paused: bool, now: int) -> bool:
        try:
            return motion.advance(tracked, paused, now)
        except InputError as error:
            self._complaints.tell(error)
            return False

    def _is_animated(self, motion: _Motion, wishes: Wishes, now: int) -> bool:
        """Whether the picture moves by itself, and it is time for the next one.

        While the source delivers, its pictures set the pace: one drawn in between would delay the next fresh one.
        """
        if wishes.paused or not (wishes.look.view.mode == "orbit" or motion.steering.is_easing):
            return False
        period_ns = 1e9 / wishes.target_fps * (1.5 if now - motion.arrived_ns < _RECENT_NS else 1.0)
        return now - self._started_ns >= period_ns

    def _paint(self, motion: _Motion, wishes: Wishes, fresh: bool, now: int) -> LivePicture:
        look, actors = wishes.look, self._actors
        self._governor.configure(wishes.governor, wishes.target_fps)
        self._governor.set_picture(min(look.width, look.height), sum(actor.splats for actor in actors))
        params = motion.steering.params(motion.params, wishes.drive, now)
        turned = motion.steering.rotation(params, wishes.drive)
        camera = self._camera(wishes, turned, now, look.width // len(actors), look.height)
        self._started_ns = now
        heads, psi = self._draw_heads(motion, wishes.drive, params, turned, camera, look)
        item = motion.item
        frame = item.frame if item is not None else None
        with self._timer.stage("compose"):
            image = self._canvas.compose(look, heads, frame.image if frame is not None else None)
        finished = self._clock()
        self._timer.flush()
        self._governor.add((finished - now) / 1e6, finished, self._source_fps())
        self._count += 1
        return LivePicture(
            image=image, heads=tuple(heads), params=params, driven=_replayable(params, turned, psi), psi=psi[1], frame=frame,
            landmarks=item.landmarks if item is not None else None, camera=camera, captured_ns=motion.captured_ns,
            finished_ns=finished, position_ns=item.position_ns if item is not None else None,
            lap=item.lap if item is not None else 0, index=self._count - 1, fresh=fresh)

    def _camera(self, wishes: Wishes, params: HeadParams, now: int, width: int, height: int) -> Camera:
        view = wishes.look.view
        if view.mode == "orbit" and not wishes.paused:
            self._swing_seconds += min(now - self._started_ns, _RECENT_NS) / 1e9
        elif view.mode != "orbit":
            self._swing_seconds = 0.0
        self._follower = (self._follower or Follower()) if view.mode == "follow" else None
        return camera_of(view, params, self._swing_seconds, width, height, self._follower)

    def _draw_heads(self, motion: _Motion, drive: DriveControls, params: HeadParams, turned: HeadParams, camera: Camera,
                    look: Look) -> tuple[list[Picture], tuple[FloatArray, FloatArray]]:
        """Heads of the size of `camera`'s picture, and ψ of the first person before and after the user's controls."""
        small = self._render_camera(camera, look)
        heads, first = [], None
        for actor in self._actors:
            with self._timer.stage("drive"):
                answer = actor.answer(params)
                psi = motion.steering.psi(answer, drive)
                moved = head_motion(turned, actor.identity.neck_joint, motion.steering.rest_translation,
                                    actor.performer.avatar.settings)
            head = actor.performer.draw(psi, moved, small)
            with self._timer.stage("compose"):
                heads.append(enlarge(head, camera.width, camera.height))
            first = first or (answer, psi)
        return heads, first

    def _render_camera(self, camera: Camera, look: Look) -> Camera:
        """The camera at the resolution that the governor grants."""
        rung = self._governor.rung
        if rung.alpha_min != self._alpha_min:
            self._alpha_min = rung.alpha_min
            self._backend.set_detail(rung.alpha_min)
        if rung.share != self._share:
            self._share = rung.share
            self._actors = self._troupe.actors(self._cast, rung.share)
        scale = rung.short_side / min(look.width, look.height)
        if not 0 < scale < 1:
            return camera
        return scaled_camera(camera, *(max(_SMALLEST_SIDE, round(side * scale)) for side in (camera.width, camera.height)))


def _replayable(params: HeadParams, turned: HeadParams, psi: tuple[FloatArray, FloatArray]) -> HeadParams:
    """Parameters that show the same again without the user's controls: `params` themselves where those changed nothing."""
    answer, shown = psi
    if turned is params and shown is answer:
        return params
    return replace(turned.with_psi(shown), scores=np.zeros(0, np.float32))


class _Motion:
    """What moves the people of a head model: the newest parameters, bridged over silence, and the user's controls."""

    def __init__(self, pack: AvatarPack, steering: Steers, now: int) -> None:
        self.head_sha256 = pack.manifest.driving_sha256
        self.steering = steering
        self._count = pack.manifest.driven_by.expression
        self._bridge = SilenceBridge(self._count)
        self.params = replace(self._bridge.shown, time_ns=now)
        self.captured_ns = now
        self.arrived_ns = now - _RECENT_NS
        self.item: Tracked | None = None

    @property
    def is_easing(self) -> bool:
        return self._bridge.is_easing or self.steering.is_easing

    def cut(self, now: int) -> None:
        """What comes next is of another source."""
        self._bridge.cut(now)
        self.steering.reset()
        self.item = None

    def advance(self, tracked: Tracked | None, paused: bool, now: int) -> bool:
        """Go on to `now`; returns whether there is something new to be seen. Raises InputError for another model's motion."""
        if tracked is not None:
            self.arrived_ns = now
        if paused:
            if tracked is not None:
                self._bridge.stay(now)
            return False
        if tracked is not None:
            self.item = tracked
            if tracked.params is not None:
                if len(tracked.params.expression) != self._count:
                    raise InputError("this motion was made for another head model", "choose another source or another avatar")
                self.params, self.captured_ns = self._bridge.follow(tracked.params, now), tracked.captured_ns
                return True
        eased = self._bridge.wait(now)
        if eased is not None:
            self.params = eased
        if eased is not None or tracked is not None:
            self.captured_ns = now if tracked is None else tracked.captured_ns
            return True
        return False


@dataclass(eq=False)
class _Actor:
    """A performer, with what keeps it known."""

    pack: AvatarPack
    identity: Identity
    performer: Performer
    splats: int
    _asked: HeadParams | None = None
    _answer: FloatArray | None = None

    def answer(self, params: HeadParams) -> FloatArray:
        """ψ [P] corrected by the pack's driving response; not computed again for the same parameters."""
        if params is not self._asked:
            self._asked, self._answer = params, self.performer.avatar.respond(params)
        return self._answer


class _Troupe:
    """The performers of a backend; the last few that were on stage are kept."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: OrderedDict[tuple[int, int, int], _Actor] = OrderedDict()  # the actors keep what the ids belong to alive

    def actors(self, cast: Cast, share: int = 1) -> tuple[_Actor, ...]:
        """Those of a cast, drawn with one of every `share` splats."""
        chosen = tuple(self._actor(cast.pack, identity, share) for identity in cast.identities)
        while len(self._kept) > max(KEPT_PERFORMERS, len(chosen)):
            _, actor = self._kept.popitem(last=False)
            actor.performer.close()
        return chosen

    def close(self) -> None:
        for actor in self._kept.values():
            actor.performer.close()
        self._kept.clear()

    def _actor(self, pack: AvatarPack, identity: Identity, share: int) -> _Actor:
        key = (id(pack), id(identity), share)
        if key not in self._kept:
            performer = self._backend.performer(pack, thinned(identity, share))
            self._kept[key] = _Actor(pack, identity, performer, len(identity.gaussians))
        self._kept.move_to_end(key)
        return self._kept[key]


class _PictureTimer:
    """Adds up what the stages of one picture take, so that two people count as one run."""

    def __init__(self, timer: StageTimer, clock: Callable[[], float] = time.thread_time) -> None:
        self._timer, self._clock = timer, clock
        self._sums: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = self._clock()
        yield
        self._sums[name] = self._sums.get(name, 0.0) + 1e3 * (self._clock() - start)

    def flush(self) -> None:
        """The picture is finished."""
        for name, milliseconds in self._sums.items():
            self._timer.add(name, milliseconds)
        self._sums.clear()


class _Complaints:
    """Reports each thing that goes wrong once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: set[str] = set()

    def tell(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"
        if words not in self._told:
            self._told.add(words)
            self._report(error, STAGE)

    def forget(self) -> None:
        self._told.clear()
