"""The live session: its threads on fakes, and the age of what it shows over ten minutes of fake time."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import pytest

from core.errors import AssetError
from core.pipeline.background import Plain
from core.pipeline.live.drawing import DrawingStage
from core.pipeline.live.session import LiveSession
from core.pipeline.live.state import Look, SourceState
from core.pipeline.live.tracking_stage import TrackingStage
from core.pipeline.slots import Item, Slot
from core.types import TrackState
from tests.pipeline.live.fakes_live import (
    MS,
    SECOND,
    FakeBackend,
    FakeCapture,
    FakeClock,
    FakeTracker,
    PlainSteering,
    captured,
    cast,
    frame,
    params,
)

LOOK = Look(32, 32, background=Plain((0, 0, 0)))
PATIENCE = 20  # seconds that a busy machine may take


class Stage:
    """A session on fakes, with what came out of it."""

    def __init__(self, make_tracker=None, open_backend=FakeBackend):
        self.trackers = []
        self.captures = []
        self.backends = []
        self.problems = []
        self.pictures = []
        self.news = threading.Condition()
        self.clock = FakeClock()
        self.make_tracker = make_tracker or FakeTracker
        self.session = LiveSession(self._tracker, lambda: self._kept(self.backends, open_backend()), clock=self.clock,
                                   make_capture=lambda *a, **k: self._kept(self.captures, FakeCapture(*a, **k)),
                                   make_steering=PlainSteering)
        self.session.on_picture = self._on_picture
        self.session.on_problem = lambda error, stage: self._tell(self.problems, (error, stage))

    def __enter__(self):
        self.session.set_look(LOOK)
        self.session.set_cast(cast())
        self.session.start()
        return self

    def __exit__(self, *_):
        assert self.session.stop()

    @property
    def capture(self):
        return self.captures[-1]

    def deliver(self, value):
        """Let the source deliver, now."""
        self.capture.deliver(value, self.clock.advance(33))

    def until(self, condition):
        with self.news:
            assert self.news.wait_for(condition, PATIENCE)

    def deliver_until_shown(self, value, level):
        """Returns the first picture of that level."""
        self.deliver(value)
        found = []
        self.until(lambda: found.extend(p for p in self.pictures if p.fresh and round(100 * float(p.psi[0])) == level) or found)
        return found[0]

    def deliver_until_seen(self, level):
        """Deliver a frame; returns its picture, in which a face may still be blended in."""
        self.deliver(frame(level))
        self.until(lambda: self.pictures and self.pictures[-1].frame is not None
                   and self.pictures[-1].frame.image[0, 0, 0] == level)
        return self.pictures[-1]

    def _tracker(self):
        return self._kept(self.trackers, self.make_tracker())

    def _kept(self, kept, thing):
        kept.append(thing)
        return thing

    def _on_picture(self):
        self._tell(self.pictures, self.session.latest_picture())

    def _tell(self, where, what):
        with self.news:
            where.append(what)
            self.news.notify_all()


def live_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("live ")]


# ------------------------------------------------------------------------------------------------------- the way through


def test_a_frame_comes_out_as_a_picture():
    with Stage() as stage:
        picture = stage.deliver_until_shown(frame(50), 50)
        assert picture.fresh
        assert picture.frame.image[0, 0, 0] == 50
        assert picture.landmarks.level == 50
        assert picture.captured_ns == picture.params.time_ns == stage.clock.now
        assert stage.session.latest_picture() is stage.pictures[-1]


def test_parameters_pass_the_tracker_by_and_it_is_not_even_made():
    with Stage() as stage:
        stage.deliver_until_shown(params(0.5), 50)
        assert stage.trackers == []
        stage.deliver_until_shown(frame(70), 70)
        assert len(stage.trackers) == 1


def test_the_drawing_does_not_wait_for_the_tracker_to_load():
    gate = threading.Event()

    def slow():
        gate.wait(PATIENCE)
        return FakeTracker()

    with Stage(slow) as stage:
        stage.deliver(frame(50))
        stage.session.set_look(Look(64, 32, background=Plain((0, 0, 0))))
        stage.until(lambda: stage.pictures and stage.pictures[-1].image.shape == (32, 64, 3))
        assert stage.pictures[-1].params.state is TrackState.LOST
        gate.set()
        stage.until(lambda: round(100 * float(stage.pictures[-1].psi[0])) == 50)


def test_a_missing_landmark_model_is_told_once_and_the_view_works_on():
    def missing():
        raise AssetError("the face landmark model is missing", "run the doctor")

    with Stage(missing) as stage:
        for level in (50, 60, 70):
            stage.deliver_until_seen(level)
        assert [(str(error), name) for error, name in stage.problems] == [
            ("the face landmark model is missing (run the doctor)", "tracking")]
        assert stage.pictures[-1].params.state is TrackState.LOST
        stage.deliver_until_shown(params(0.5), 50)
        stage.session.set_source("again")
        stage.deliver(frame(80))
        stage.until(lambda: len(stage.problems) == 2)


def test_a_tracker_that_raises_is_told_once_and_tracking_goes_on():
    with Stage() as stage:
        stage.deliver_until_shown(frame(50), 50)
        stage.trackers[0].failure = RuntimeError("a graph fell over")
        for level in (60, 61, 62):
            stage.deliver_until_seen(level)
        assert [str(error) for error, _ in stage.problems] == ["a graph fell over"]
        stage.trackers[0].failure = None
        stage.deliver_until_shown(frame(70), 70)


# ------------------------------------------------------------------------------------------------------------- controls


def test_what_is_set_before_the_start_holds():
    stage = Stage()
    calibration = object()
    stage.session.set_source("a source")
    stage.session.set_picture_options(True, 90)
    stage.session.set_calibration(calibration)
    stage.session.set_smoothing(2.0)
    with stage:
        assert stage.capture.played[-1] == "a source"
        assert stage.capture.options == (True, 90)
        stage.deliver_until_shown(frame(50), 50)
        assert stage.trackers[0].calls == [("use", calibration), ("smoothing", 2.0)]


def test_calibration_and_smoothing_change_while_it_runs():
    with Stage() as stage:
        stage.deliver_until_shown(frame(50), 50)
        calls = stage.trackers[0].calls
        assert calls == []  # automatic calibration is what a tracker does by itself
        calibration = object()
        stage.session.set_calibration(calibration)
        stage.session.set_smoothing(0.5)
        stage.deliver_until_shown(frame(60), 60)
        assert calls == [("use", calibration), ("smoothing", 0.5)]
        stage.session.set_source("another")
        stage.deliver_until_seen(70)
        assert calls[2:] == ["reset"]  # the person stays the chosen one
        stage.session.set_calibration(None)
        stage.deliver_until_seen(80)
        stage.session.set_source("one more")
        stage.deliver_until_seen(90)
        assert calls[3:] == [("use", None), "reset", ("use", None)]  # another source may show another person


def test_a_source_is_replaced_and_retried():
    with Stage() as stage:
        stage.session.set_source("one")
        stage.session.set_source("two")
        stage.session.retry_source()
        assert [source for source in stage.capture.played if source] == ["one", "two"]
        assert stage.capture.retries == 1
        assert stage.session.source_status().state is SourceState.RUNNING


def test_observers_hear_of_tracked_frames_and_a_bad_one_is_let_go():
    heard, heard_in = [], set()

    def listen(observation):
        heard.append((observation.frame.image[0, 0, 0], observation.landmarks.level, float(observation.params.expression[0])))
        heard_in.add(threading.current_thread().name)

    def stumble(observation):
        raise ValueError("an observer stumbled")

    with Stage() as stage:
        stage.session.add_observer(stumble)
        stage.session.add_observer(listen)
        stage.deliver_until_shown(frame(50), 50)
        stage.deliver_until_shown(params(0.2), 20)
        stage.deliver_until_shown(frame(60), 60)
        assert heard == [(50, 50, 0.5), (60, 60, np.float32(0.6))]
        assert heard_in == {"live tracking"}
        assert [(str(error), name) for error, name in stage.problems] == [("an observer stumbled", "tracking")]
        stage.session.remove_observer(listen)
        stage.deliver_until_shown(frame(70), 70)
        assert len(heard) == 2


def test_sinks_get_every_picture_and_a_bad_one_is_let_go():
    class Sink:
        def __init__(self, limit):
            self.got, self.limit = [], limit

        def accept(self, picture):
            if len(self.got) == self.limit:
                raise OSError("the disk is full")
            self.got.append(picture)

    good, bad = Sink(10**6), Sink(2)
    with Stage() as stage:
        stage.until(lambda: stage.pictures)
        seen = len(stage.pictures)
        stage.session.add_sink(bad)
        stage.session.add_sink(good)
        for level in range(10, 60, 10):
            stage.deliver_until_shown(frame(level), level)
        assert good.got == stage.pictures[seen:]
        assert len(bad.got) == 2
        assert [(str(error), name) for error, name in stage.problems] == [("the disk is full", "output")]
        stage.session.remove_sink(good)
        stage.session.remove_sink(good)
        stage.deliver_until_shown(frame(90), 90)
        assert len(good.got) < len(stage.pictures[seen:])


# ------------------------------------------------------------------------------------------------------ start and stop


def test_it_starts_and_stops_again_and_again_and_leaves_no_thread():
    stage = Stage()
    for _ in range(5):
        with stage:
            stage.session.start()  # harmless
            stage.deliver_until_shown(frame(50), 50)
            stage.pictures.clear()
        assert live_threads() == []
    assert all(tracker.closed for tracker in stage.trackers)
    assert all(backend.closed for backend in stage.backends)
    assert all(one.stopped for one in stage.captures)
    assert len(stage.captures) == len(stage.backends) == 5
    assert stage.session.stop()  # harmless


def test_stop_does_not_wait_for_a_stuck_tracker_which_ends_by_itself():
    gate = threading.Event()
    stage = Stage(lambda: FakeTracker(gate)).__enter__()
    stage.deliver(frame(50))
    watch = threading.Event()
    while not (stage.trackers and stage.trackers[0].calls):
        watch.wait(0.005)
    stuck = next(thread for thread in threading.enumerate() if thread.name == "live tracking")
    assert stuck.daemon
    assert stage.session.stop(timeout=0.1) is False
    stage.session.start()  # a new run is not disturbed by the old one
    stage.deliver_until_shown(params(0.3), 30)
    gate.set()
    stuck.join(PATIENCE)
    assert stage.trackers[0].closed
    assert stage.session.stop()
    assert live_threads() == []
    assert stage.problems == []


def test_controls_before_start_and_after_stop_are_harmless():
    stage = Stage()
    session = stage.session
    for _ in range(2):
        session.set_paused(False)
        session.set_quality(True, 30)
        session.rezero()
        session.retry_source()
        session.set_source(None)
        assert session.stats().drawn_fps == 0
        assert session.source_status().state is SourceState.NONE
        with stage:
            pass


# ---------------------------------------------------------------------------------------------------------------- stats


def test_stats_count_what_was_tracked_drawn_and_shown():
    with Stage() as stage:
        for i in range(20):
            picture = stage.deliver_until_shown(frame(10 + i), 10 + i)
            stage.clock.advance(7)
            stage.session.shown(picture)
            stage.session.shown(picture)  # the screen may paint it again
        stats = stage.session.stats()
        assert stats.source_fps == 30
        assert stats.tracked_fps == pytest.approx(25, rel=0.1)  # one in 40 ms
        assert stats.drawn_fps == pytest.approx(25, rel=0.2)
        assert stats.shown_fps == pytest.approx(25, rel=0.1)
        assert (stats.latency_p50_ms, stats.latency_p95_ms) == (7, 7)
        assert stats.renderer == "a fake"
        assert stats.quality.name == "full quality"
        assert [times.stage for times in stats.stages] == ["track", "drive", "compose"]


def test_the_age_of_a_picture_drawn_anew_is_no_latency():
    with Stage() as stage:
        stage.deliver_until_shown(frame(50), 50)
        stage.clock.advance(5000)
        stage.session.set_look(Look(64, 32, background=Plain((0, 0, 0))))
        stage.until(lambda: stage.pictures[-1].image.shape == (32, 64, 3))
        redrawn = next(p for p in stage.pictures if p.image.shape == (32, 64, 3))
        assert redrawn.captured_ns <= stage.clock.now
        if not redrawn.fresh:
            stage.session.shown(redrawn)
            assert stage.session.stats().latency_p95_ms == 0


# ------------------------------------------------------------------------------------ ten minutes, without threads


class Queue:
    """What must not stand between two stages: a slot that forgets nothing."""

    def __init__(self):
        self.items, self.dropped = deque(), 0

    def put(self, value, captured_ns):
        self.items.append(Item(value, captured_ns))

    def take(self, timeout=None):
        return self.items.popleft() if self.items else None


@dataclass
class Chain:
    """The two stages joined by slots, driven event by event in fake time: the source every 1/fps seconds, each stage as soon as
    it is free and something lies in its slot."""

    fps: float
    tracker_ms: float
    drawing_ms: float
    slot: type = Slot

    def run(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Seconds and ages, in milliseconds, of all pictures."""
        clock = FakeClock()
        begin = clock.now
        tracking = TrackingStage(FakeTracker, pytest.fail, clock)
        drawing = DrawingStage(lambda: FakeBackend(clock), FakeBackend, pytest.fail, clock, make_steering=PlainSteering,
                               source_fps=lambda: self.fps)
        drawing.wish(cast=cast(), look=LOOK, governor=False)
        drawing.open()
        inbox, outbox = self.slot(), self.slot()
        events, order, busy = [], 0, {"track": False, "draw": False}
        pictures = []

        def at(time_ns, what, load=None):
            nonlocal order
            order += 1
            heapq.heappush(events, (time_ns, order, what, load))

        at(begin, "source", 0)
        while events and events[0][0] <= begin + seconds * SECOND:
            clock.now, _, what, load = heapq.heappop(events)
            if what == "source":
                inbox.put(captured(frame(1 + load % 200, width=2, height=2), clock.now), clock.now)
                at(begin + round((load + 1) * SECOND / self.fps), "source", load + 1)
            elif what == "tracked":
                outbox.put(tracking.step(load.value), load.captured_ns)
                busy["track"] = False
            else:
                pictures.append(drawing.step(load.value))
                busy["draw"] = False
            for name, slot, done, cost in (("track", inbox, "tracked", self.tracker_ms),
                                           ("draw", outbox, "drawn", self.drawing_ms)):
                if not busy[name] and (item := slot.take(0)) is not None:
                    busy[name] = True
                    at(clock.now + round(cost * MS), done, item)
        self.dropped = inbox.dropped + outbox.dropped
        finished = np.array([p.finished_ns for p in pictures])
        return (finished - begin) / 1e9, np.array([p.finished_ns - p.captured_ns for p in pictures]) / MS


@pytest.mark.parametrize(("tracker_ms", "drawing_ms"), [(200, 12), (15, 200), (200, 190)])
def test_over_ten_minutes_with_a_stage_slowed_to_5_fps_the_age_of_what_is_shown_never_grows(tracker_ms, drawing_ms):
    chain = Chain(60, tracker_ms, drawing_ms)
    seconds, ages = chain.run(600)
    slow_stages = (tracker_ms >= 150) + (drawing_ms >= 150)
    assert len(ages) >= 600 * 5 * 0.98
    assert ages.max() <= (1.5 if slow_stages == 1 else 2.5) * 200
    assert ages[seconds > 540].max() <= ages[(seconds > 1) & (seconds < 61)].max() + 1
    assert abs(len(ages) + chain.dropped - 600 * 60) <= 4


def test_that_rule_would_notice_a_queue():
    _, ages = Chain(60, 15, 200, Queue).run(60)
    assert ages.max() > 10_000


def test_at_the_speed_of_an_ordinary_machine_nothing_is_dropped():
    chain = Chain(30, 16, 13)
    _, ages = chain.run(60)
    assert chain.dropped == 0
    assert ages.max() == pytest.approx(29, abs=0.1)
