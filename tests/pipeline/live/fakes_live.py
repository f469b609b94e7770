"""Stand-ins for the ends of the live chain, simple enough to know what must come out, with a clock that only tests move."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from core.avatar.motion import MotionSettings
from core.pipeline.live.state import Captured, Cast, SourceState, SourceStatus
from core.types import Frame, HeadParams, PsiLayout, TrackState

MS = 1_000_000
SECOND = 1_000_000_000
EXPRESSION = 2


class FakeClock:
    """Nanoseconds that pass when told to."""

    def __init__(self, now: int = 1000 * SECOND) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, milliseconds: float) -> int:
        self.now += round(milliseconds * MS)
        return self.now


def params(level: float, time_ns: int = 0, rotation=(0, 0, 0), scores=0, state=TrackState.TRACKED) -> HeadParams:
    """A head whose first expression coefficient is the level."""
    zero = np.zeros(3, np.float32)
    return HeadParams(np.array([level, 0], np.float32), zero, zero, zero, np.array(rotation, np.float32),
                      np.array([0, 0, -0.6], np.float32), time_ns=time_ns, state=state, scores=np.ones(scores, np.float32))


def frame(level: int, time_ns: int = 0, width: int = 64, height: int = 48) -> Frame:
    return Frame(np.full((height, width, 3), level, np.uint8), time_ns)


def captured(value, time_ns: int, **more) -> Captured:
    return Captured(replace(value, time_ns=time_ns), time_ns, **more)


def pack(head: str = "head", expression: int = EXPRESSION):
    return SimpleNamespace(manifest=SimpleNamespace(driving_sha256=head, driven_by=PsiLayout(expression)))


def person(name: str = "someone"):
    return SimpleNamespace(name=name, neck_joint=np.zeros(3, np.float32), gaussians=())


def cast(*people, of=None) -> Cast:
    return Cast(of or pack(), people or (person(),))


class FakePerformer:
    """Paints the whole picture with 100 × ψ[0], opaque in the left half only."""

    def __init__(self, backend, identity) -> None:
        self.backend, self.identity = backend, identity
        self.avatar = SimpleNamespace(settings=MotionSettings(), respond=self._respond)
        self.asked = 0
        self.closed = False

    def _respond(self, head: HeadParams):
        self.asked += 1
        return head.psi()

    def draw(self, psi, motion, camera):
        backend = self.backend
        assert threading.get_ident() == backend.thread
        if backend.failure is not None:
            raise backend.failure
        backend.drawn.append((self.identity, float(psi[0]), motion, camera))
        if backend.clock is not None:
            backend.clock.advance(backend.cost_ms(camera) if callable(backend.cost_ms) else backend.cost_ms)
        picture = np.zeros((camera.height, camera.width, 4), np.uint8)
        picture[:, : camera.width // 2, :3] = min(round(100 * float(psi[0])), 255)
        picture[:, : camera.width // 2, 3] = 255
        return picture

    def close(self) -> None:
        self.closed = True


class FakeBackend:
    """Makes `FakePerformer`s; every picture takes `cost_ms` of the clock's time."""

    name, description, is_software = "fake", "a fake", True

    def __init__(self, clock: FakeClock | None = None, cost_ms=0.0) -> None:
        self.thread = threading.get_ident()
        self.clock, self.cost_ms = clock, cost_ms
        self.performers: list[FakePerformer] = []
        self.details: list[float] = []
        self.drawn: list = []
        self.failure: Exception | None = None
        self.timer = None
        self.closed = False

    def performer(self, of, identity) -> FakePerformer:
        self.performers.append(FakePerformer(self, identity))
        return self.performers[-1]

    def set_detail(self, alpha_min: float) -> None:
        self.details.append(alpha_min)

    def close(self) -> None:
        self.closed = True


class PlainSteering:
    """No controls, but for freezing and an offset; counts what it is told."""

    rest_translation = None
    is_easing = False

    def __init__(self, of=None) -> None:
        self.zeros = self.resets = 0
        self._held = None

    def rezero(self) -> None:
        self.zeros += 1

    def reset(self) -> None:
        self.resets += 1

    def params(self, tracked, controls, now_ns=None):
        if controls.frozen and self._held is not None:
            return self._held
        self._held = tracked
        return tracked

    def psi(self, psi, controls):
        return psi + controls.psi_offset if controls.psi_offset.any() else psi

    def rotation(self, head, controls):
        offset = controls.rotation_offset
        return replace(head, head_rotation=head.head_rotation + offset) if offset.any() else head


class FakeTracker:
    """Reads the level of a frame / 100 as the first coefficient; sees no face in black frames."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.thread = threading.get_ident()
        self.landmarker = self
        self.gate = gate
        self.calls: list = []
        self.failure: Exception | None = None
        self.closed = False

    def detect(self, seen: Frame):
        assert threading.get_ident() == self.thread
        if self.gate is not None:
            self.calls.append("waiting")
            self.gate.wait(20)
        if self.failure is not None:
            raise self.failure
        level = float(seen.image.mean())
        return SimpleNamespace(level=level) if level > 0 else None

    def update_landmarks(self, landmarks, time_ns: int) -> HeadParams:
        if landmarks is None:
            return params(0, time_ns, state=TrackState.LOST)
        return params(landmarks.level / 100, time_ns)

    def use(self, calibration) -> None:
        self.calls.append(("use", calibration))

    def set_smoothing(self, strength: float) -> None:
        self.calls.append(("smoothing", strength))

    def reset(self) -> None:
        self.calls.append("reset")

    def close(self) -> None:
        assert threading.get_ident() == self.thread
        self.closed = True


class FakeCapture:
    """Puts into the slot what the test tells it to."""

    def __init__(self, out, clock=None, timer=None) -> None:
        self.out = out
        self.played: list = []
        self.options = (False, 0)
        self.stopped = False
        self.retries = 0
        self.fps = 30.0

    @property
    def dropped(self) -> int:
        return self.out.dropped

    def play(self, source) -> None:
        self.played.append(source)

    def retry(self) -> None:
        self.retries += 1

    def set_options(self, mirror, rotation) -> None:
        self.options = (mirror, rotation)

    def status(self) -> SourceStatus:
        return SourceStatus(SourceState.RUNNING, "fake", fps=self.fps)

    def stop(self, timeout: float) -> bool:
        self.stopped = True
        return True

    def deliver(self, value, time_ns: int, **more) -> None:
        self.out.put(captured(value, time_ns, **more), time_ns)
