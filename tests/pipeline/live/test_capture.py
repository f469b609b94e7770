"""The capture stage under a clock of the test's own, with a camera that fails in every way it can."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from core.errors import InputError
from core.pipeline.live.capture import LOST_DETAIL, Capture
from core.pipeline.live.state import Captured, SourceState
from core.pipeline.live.watchdog import Trouble, Watchdog, back_off, picture_mark
from core.pipeline.slots import Slot
from core.types import Frame, HeadParams
from tests.pipeline.live.fake_camera import FakeCamera, FakeClock, Plug

SECOND = 1_000_000_000


def until(true, seconds: float = 5.0) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        pause.wait(0.002)


class Bench:
    """A capture stage with a fake camera on a fake clock."""

    def __init__(self) -> None:
        self.clock, self.plug, self.slot = FakeClock(), Plug(), Slot()
        self.capture = Capture(self.slot, self.clock, release_seconds=0.3)

    def camera(self, **named) -> FakeCamera:
        return FakeCamera(self.plug, self.clock, **named)

    @property
    def state(self) -> SourceState:
        return self.capture.status().state

    def run(self, seconds: float, fps: int = 30) -> None:
        """Let the camera deliver for a while."""
        for _ in range(round(seconds * fps)):
            self.clock.advance(1 / fps)
            before = self.plug.delivered
            self.plug.give()
            until(lambda before=before: self.plug.delivered > before)
            until(lambda: self.slot.take(2.0) is not None)

    def start(self) -> None:
        self.capture.play(self.camera())
        self.run(0.5)
        assert self.state is SourceState.RUNNING

    def wait(self, seconds: float) -> None:
        """Let time pass without pictures."""
        self.clock.advance(seconds)
        self.capture.check()


@pytest.fixture
def bench():
    before = set(threading.enumerate())
    bench = Bench()
    yield bench
    bench.plug.unblock()
    bench.capture.stop(5.0)
    until(lambda: not {t for t in threading.enumerate() if t.name.startswith("capture")} - before)
    assert bench.plug.holders == 0


# ------------------------------------------------------------------------------------------------------------ the watchdog


def test_watchdog_bites_within_a_second_of_silence_but_waits_longer_for_the_first_picture():
    watchdog = Watchdog(0)
    assert watchdog.trouble(2 * SECOND) is None
    assert watchdog.trouble(3 * SECOND) is Trouble.SILENT
    watchdog.received(3 * SECOND, 1)
    assert watchdog.trouble(3 * SECOND + SECOND // 2) is None
    assert watchdog.trouble(4 * SECOND) is Trouble.SILENT


def feed(watchdog: Watchdog, start: float, seconds: float, mark, fps: int = 30) -> float:
    for index in range(round(seconds * fps)):
        start += 1 / fps
        watchdog.received(round(start * 1e9), mark(index) if callable(mark) else mark)
    return start


def test_watchdog_tells_a_frozen_picture_from_noise_darkness_and_a_picture_known_to_stand_still():
    for mark, still, expected in ((5, None, Trouble.FROZEN), (None, None, None), (5, 5, None), (lambda i: i, None, None)):
        watchdog = Watchdog(0, still)
        now = feed(watchdog, 0, 1.0, mark)
        assert watchdog.trouble(round(now * 1e9)) is expected, (mark, still)
        assert watchdog.is_still(round(now * 1e9)) is (mark == 5)


def test_watchdog_does_not_take_a_slow_camera_for_a_frozen_one():
    watchdog = Watchdog(0)
    now = feed(watchdog, 0, 1.5, lambda index: index // 2, fps=2)
    assert watchdog.trouble(round(now * 1e9)) is None


def test_watchdog_forgets_a_still_picture_once_it_has_moved():
    watchdog = Watchdog(0, still=5)
    now = feed(watchdog, 0, 0.5, 5)
    now = feed(watchdog, now, 0.5, lambda index: 100 + index)
    now = feed(watchdog, now, 1.1, 5)
    assert watchdog.trouble(round(now * 1e9)) is Trouble.FROZEN


def test_mark_sees_noise_and_size_and_skips_darkness(generator):
    image = generator.integers(50, 200, (480, 640, 3), np.uint8)
    other = image.copy()
    other[::13, ::10] ^= 1
    assert picture_mark(image) == picture_mark(image.copy()) != picture_mark(other)
    assert picture_mark(np.full((48, 64, 3), 90, np.uint8)) != picture_mark(np.full((64, 48, 3), 90, np.uint8))
    assert picture_mark(np.full((48, 64, 3), 3, np.uint8)) is None


def test_waits_between_attempts_grow_and_stop_growing():
    assert [back_off(attempt) / 1e9 for attempt in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


# --------------------------------------------------------------------------------------------------------------- all well


def test_pictures_pass_with_their_time_and_the_rate_is_measured(bench):
    bench.capture.play(bench.camera())
    assert bench.state is SourceState.OPENING
    bench.run(3.0, fps=24)
    status = bench.capture.status()
    assert (status.state, status.name, status.width, status.height) == (SourceState.RUNNING, "Fake camera", 64, 48)
    assert status.fps == pytest.approx(24, rel=0.02)
    bench.plug.give()
    item = bench.slot.take(2.0)
    assert item.captured_ns == item.value.captured_ns == item.value.value.time_ns == bench.clock()


def test_pictures_nobody_takes_are_counted_for_each_source_alone(bench):
    bench.capture.play(bench.camera())
    bench.plug.give(5)
    until(lambda: bench.plug.delivered == 5 and bench.capture.dropped == 4)
    bench.capture.play(None)
    assert (bench.capture.dropped, bench.state) == (0, SourceState.NONE)


def test_turning_and_mirroring_give_contiguous_pictures(bench, generator):
    image = generator.integers(60, 200, (48, 64, 3), np.uint8)
    bench.plug.pictures = [image]
    bench.capture.play(bench.camera())
    for mirror, rotation, expected in ((True, 0, image[:, ::-1]), (False, 90, np.rot90(image, -1)),
                                       (False, 180, image[::-1, ::-1]), (True, 270, np.rot90(image, 1)[:, ::-1])):
        bench.capture.set_options(mirror, rotation)
        bench.run(0.1)  # those under way still have the options of before
        bench.plug.give()
        got = bench.slot.take(2.0).value.value.image
        np.testing.assert_array_equal(got, expected)
        assert got.flags.c_contiguous
    assert (bench.capture.status().width, bench.capture.status().height) == (48, 64)


def test_size_may_change_while_running(bench):
    bench.start()
    bench.plug.size = (128, 96)
    bench.run(0.1)
    status = bench.capture.status()
    assert (status.state, status.width, status.height) == (SourceState.RUNNING, 128, 96)
    assert bench.plug.opened == 1


# ------------------------------------------------------------------------------------------------------------------- lost


def lost_and_found(bench) -> None:
    """The camera of a running bench is lost within a second and comes back by itself."""
    until(lambda: bench.state is SourceState.LOST)
    status = bench.capture.status()
    assert status.detail == LOST_DETAIL
    assert status.hint
    assert status.fps == 0
    bench.plug.mode = "run"
    bench.wait(0.6)
    until(lambda: bench.plug.opened == 2)
    bench.run(0.2)
    assert bench.state is SourceState.RUNNING
    assert bench.capture.status().detail == ""


def test_unplugged_camera_is_reported_at_once_and_comes_back(bench):
    bench.start()
    bench.plug.mode = "error"
    lost_and_found(bench)


def test_camera_that_delivers_nothing_is_lost_within_a_second_and_comes_back(bench):
    bench.start()
    bench.plug.mode = "silent"
    bench.wait(0.5)
    assert bench.state is SourceState.RUNNING
    bench.wait(0.45)
    lost_and_found(bench)


def test_frozen_camera_is_lost_within_a_second_and_comes_back(bench):
    bench.start()
    bench.plug.mode = "freeze"
    bench.run(0.88)
    assert bench.state is SourceState.RUNNING
    bench.wait(0.1)
    assert "stands still" in bench.capture.status().hint
    lost_and_found(bench)


def test_blocked_read_is_abandoned_and_the_camera_comes_back(bench):
    bench.start()
    bench.plug.mode = "block"
    bench.plug.give()  # one read may still be under way
    until(lambda: bench.slot.take(0.01) is None)
    bench.wait(0.95)
    lost_and_found(bench)
    assert bench.plug.holders == 2  # the thread that hangs still holds its own
    bench.plug.unblock()
    until(lambda: bench.plug.holders == 1)
    bench.run(0.1)
    assert bench.state is SourceState.RUNNING


def test_ten_seconds_in_a_blocked_read_do_not_pile_up_threads(bench):
    bench.start()
    bench.plug.mode = "block"
    until(lambda: bench.slot.take(0.1) is None)
    for _ in range(100):
        bench.wait(0.95)
        until(lambda: not bench.capture._run or bench.capture._run.watchdog)
    assert bench.state is SourceState.LOST
    assert len([t for t in threading.enumerate() if t.name == "capture Fake camera"]) <= 3
    started = time.monotonic()
    assert not bench.capture.stop(5.0)
    assert time.monotonic() - started < 1.0  # what hangs is not waited for


def test_waiting_between_attempts_grows_while_the_camera_stays_away(bench):
    bench.start()
    bench.plug.mode = "absent"
    until(lambda: bench.state is SourceState.LOST and bench.capture._run is None)
    opened = []
    for _ in range(160):
        before = bench.plug.opened
        bench.wait(0.1)
        until(lambda: bench.capture._run is None)
        opened.append(bench.plug.opened - before)
    attempts = np.flatnonzero(opened)
    assert len(attempts) == 6
    np.testing.assert_allclose(np.diff(attempts) / 10, [1, 2, 4, 4, 4][: len(attempts) - 1], atol=0.11)


def test_camera_comes_back_after_several_attempts(bench):
    bench.start()
    bench.plug.return_after = 3
    bench.plug.mode = "error"
    until(lambda: bench.state is SourceState.LOST and bench.capture._run is None)
    for _ in range(80):
        bench.wait(0.1)
        until(lambda: bench.capture._run is None or bench.plug.mode == "run")
    bench.run(0.2)
    assert bench.state is SourceState.RUNNING
    assert bench.plug.opened == 5


def test_covered_camera_does_not_flap(bench):
    bench.plug.pictures = [np.zeros((48, 64, 3), np.uint8)]
    bench.start()
    bench.run(3.0)
    assert (bench.state, bench.plug.opened) == (SourceState.RUNNING, 1)


def test_picture_that_stands_still_for_good_is_reopened_once_only(bench):
    bench.plug.pictures = [np.full((48, 64, 3), 130, np.uint8)]
    bench.capture.play(bench.camera())
    bench.run(0.9)
    bench.wait(0.1)
    assert bench.state is SourceState.LOST
    bench.wait(0.6)
    until(lambda: bench.plug.opened == 2)
    bench.run(3.0)
    bench.capture.check()
    assert (bench.state, bench.plug.opened) == (SourceState.RUNNING, 2)
    assert bench.capture.status().detail == "The picture stands still"


def test_retry_does_not_wait_for_the_next_attempt(bench):
    bench.start()
    bench.plug.mode = "error"
    until(lambda: bench.state is SourceState.LOST)
    bench.plug.mode = "run"
    bench.capture.retry()
    bench.capture.check()
    bench.run(0.1)
    assert bench.state is SourceState.RUNNING


# ----------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(("mode", "words"), [("busy", "used by another program"), ("denied", "permission denied"),
                                             ("absent", "not connected")])
def test_first_opening_that_fails_says_why_and_is_tried_again_only_when_asked(bench, mode, words):
    bench.plug.mode = mode
    bench.capture.play(bench.camera())
    until(lambda: bench.state is SourceState.FAILED)
    status = bench.capture.status()
    assert words in status.detail
    assert status.hint
    for _ in range(10):
        bench.wait(5)
    assert bench.plug.opened == 1
    bench.plug.mode = "run"
    bench.capture.retry()
    bench.run(0.1)
    assert bench.state is SourceState.RUNNING


def test_opening_that_hangs_blocks_nobody_and_fails_in_the_end(bench):
    bench.plug.mode = "slow"
    started = time.monotonic()
    bench.capture.play(bench.camera())
    assert time.monotonic() - started < 0.2
    until(lambda: bench.plug.opened == 1)
    bench.wait(4)
    assert (bench.state, bench.capture.status().detail) == (SourceState.OPENING, "Fake camera takes long to answer")
    bench.wait(12)
    assert bench.state is SourceState.FAILED
    other = Plug()
    bench.capture.play(FakeCamera(other, bench.clock, "Other", "other"))
    other.give()
    assert bench.slot.take(2.0) is not None
    assert bench.capture.status().name == "Other"


def test_slow_opening_is_closed_again_when_it_is_no_longer_wanted(bench):
    bench.plug.mode = "slow"
    bench.capture.play(bench.camera())
    until(lambda: bench.plug.opened == 1)
    bench.capture.play(None)
    bench.plug.unblock()
    until(lambda: bench.plug.closed == 1 and bench.plug.holders == 0)
    assert bench.state is SourceState.NONE


def test_the_same_camera_can_be_opened_fifty_times(bench):
    for _ in range(50):
        bench.capture.play(bench.camera())
        bench.plug.give(2)  # the camera of before may still take one
        until(lambda: bench.state is SourceState.RUNNING and bench.slot.take(1.0) is not None)
    assert bench.plug.opened == 50
    assert bench.plug.most_holders == 1  # each waited for the one before to let go
    assert bench.state is SourceState.RUNNING


# ------------------------------------------------------------------------------------------------------------------- files


class Items:
    """A file source that ends as told."""

    name, is_live = "clip.mp4", False

    def __init__(self, count: int, end: Exception) -> None:
        self.left, self.end, self.closed = count, end, 0

    def open(self) -> None:
        pass

    def read(self):
        if not self.left:
            raise self.end
        self.left -= 1
        return Captured(HeadParams.neutral(3), 1)

    def close(self) -> None:
        self.closed += 1


def test_end_and_failure_of_a_file(bench):
    for end, state, detail in ((EOFError(), SourceState.ENDED, ""), (InputError("clip.mp4 is damaged"), SourceState.FAILED,
                                                                     "clip.mp4 is damaged"),
                               (RuntimeError("odd"), SourceState.FAILED, "clip.mp4 failed: odd")):
        source = Items(3, end)
        bench.capture.play(source)
        until(lambda state=state: bench.state is state)
        until(lambda source=source: source.closed == 1)
        assert bench.capture.status().detail == detail
        assert (bench.capture.status().width, bench.capture.status().height) == (0, 0)


def test_file_that_is_over_plays_again_when_asked(bench):
    source = Items(1, EOFError())
    bench.capture.play(source)
    until(lambda: bench.state is SourceState.ENDED)
    source.left = 1
    bench.capture.retry()
    until(lambda: source.closed == 2)
    assert bench.state is SourceState.ENDED


def test_files_are_not_taken_for_frozen_cameras(bench):
    image = np.full((48, 64, 3), 130, np.uint8)

    class Still(Items):
        def read(self):
            threading.Event().wait(0.001)
            return Captured(Frame(image, bench.clock()), bench.clock())

    bench.capture.play(Still(1, EOFError()))
    until(lambda: bench.state is SourceState.RUNNING)
    bench.clock.advance(10)
    bench.capture.check()
    assert bench.state is SourceState.RUNNING


def test_closed_slot_ends_the_source(bench):
    bench.start()
    bench.slot.close()
    bench.plug.give()
    until(lambda: bench.plug.closed == 1)
    assert bench.state is SourceState.NONE


def test_nothing_plays_after_stop(bench):
    bench.start()
    assert bench.capture.stop(2.0)
    bench.capture.play(bench.camera())
    assert (bench.state, bench.plug.opened) == (SourceState.NONE, 1)
