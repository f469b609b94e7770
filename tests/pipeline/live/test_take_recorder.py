"""Recording: right times, sound in step, nothing waits, and whatever goes wrong, what was recorded stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from core.errors import OutputError
from core.media.clip_sound import ClipSound
from core.media.live_sound import RATE, samples_to_ns
from core.media.microphone import Microphone
from core.media.video_reader import open_video
from core.media.video_writer import VideoWriter
from core.pipeline.live import take_recorder, take_recovery
from core.pipeline.live.take import TakeAbout, check_take, list_takes, read_sidecar
from core.pipeline.live.take_folder import free_bytes
from core.pipeline.live.take_recorder import Ending, TakeRecorder, TakeSettings
from tests.media.clips import stamps
from tests.media.sounds import ClickSource, FakeSounddevice, click_times, clicks, flash_times, make_clap_clip, sound_of
from tests.pipeline.live.pictures import FakeClock, live_picture
from tools.recording_kills import kill_once

SECOND = 1_000_000_000
FRAME = SECOND // 30
ABOUT = TakeAbout(person="7", pack="Studio", pack_sha256="ab" * 32, program="0.2.0")
PLENTY = 10**12


class Recording:
    """A recorder on a fake clock, fed as fast as it can take pictures."""

    def __init__(self, folder, sound=None, clock=None, **options):
        self.folder, self.clock = folder, clock or FakeClock()
        self.ends = []
        settings = options.pop("settings", TakeSettings())
        self.recorder = TakeRecorder(folder, settings, ABOUT, sound, clock=self.clock, on_end=self.ends.append, **options)
        self.start = self.clock.now

    def feed(self, time_ns, *arguments, **named):
        """A picture captured `time_ns` after the start."""
        self.clock.now = max(self.clock.now, self.start + time_ns)
        self.recorder.accept(live_picture(self.start + time_ns, *arguments, **named))
        wait_for(lambda: self.recorder.backlog < 15 or self.recorder.result)

    def drained(self):
        wait_for(lambda: self.recorder.backlog == 0)

    def stop(self):
        end = self.recorder.stop(20)
        assert self.ends == [end]
        return end


def wait_for(condition, seconds=20.0):
    """Without a sleep of its own: the recorder's thread gets the processor."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.002)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "takes – übung"
    path.mkdir()
    return path


# ----------------------------------------------------------------------------------------------------------------- time


def test_pictures_keep_their_capture_times(folder):
    recording = Recording(folder)
    times = [0, 33_000_000, 80_000_000, 81_000_000, 400_000_000, 433_000_000]
    for index, at in enumerate(times):
        recording.feed(at, 40 + 30 * index, value=index / 10)
    take = recording.stop().take
    assert stamps(take.video) == [Fraction(t, SECOND) for t in times]
    for index, frame in enumerate(open_video(take.video)):
        assert frame.image.mean() == pytest.approx(40 + 30 * index, abs=3)
    motion = take.read_motion()
    assert [p.time_ns for p in motion.params] == times
    assert [round(float(p.expression[0]), 2) for p in motion.params] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert len(motion.expression_names) == 49
    assert check_take(take) == []


def test_a_redraw_lies_where_its_capture_would(folder):
    """Redrawn at 300 ms with 60 ms from camera to picture: at 240 ms, before the picture that was captured at 266 ms."""
    recording = Recording(folder)
    recording.feed(0, 40)
    recording.feed(200_000_000, 80)
    recording.feed(0, 120, fresh=False, finished_ns=recording.start + 300_000_000)
    recording.feed(266_000_000, 160)
    recording.feed(0, 200, fresh=False, finished_ns=recording.start + 310_000_000)  # too late to be shown
    take = recording.stop().take
    assert stamps(take.video) == [0, Fraction(200, 1000), Fraction(240, 1000), Fraction(266, 1000)]
    assert len(take.read_motion()) == 3
    assert take.info.dropped == 0


def test_times_never_run_backwards(folder):
    recording = Recording(folder)
    for at in (0, 100_000_000, 90_000_000, 100_000_000, 133_000_000):
        recording.feed(at)
    found = stamps(recording.stop().take.video)
    assert found == sorted(set(found))
    assert len(found) == 5


def test_a_picture_that_stands_still_is_held_in_the_file(folder):
    """Nothing new for three seconds, as with a paused view: the file grows on."""
    recording = Recording(folder)
    recording.feed(0, 50)
    for tenth in range(1, 31):
        recording.drained()
        recording.clock.now = recording.start + tenth * 100_000_000
        wait_for(lambda: recording.recorder.status.seconds * 1e9 >= recording.clock.now - recording.start - 650_000_000)
    take = recording.stop().take
    found = [float(t) for t in stamps(take.video)]
    assert found[-1] > 2.3
    assert np.diff(found).max() < 0.7
    assert len(take.read_motion()) == 1


# ---------------------------------------------------------------------------------------------------------------- sound


def test_clap_of_a_file_source_for_a_minute(folder, tmp_path):
    """A clip of ten seconds, played six times: flashes and clicks stay together, the length is right."""
    clip = make_clap_clip(tmp_path / "clap.mp4", 10)
    levels = [frame.image.mean() for frame in open_video(clip)]
    recording = Recording(folder, ClipSound(clip))
    for index in range(60 * 30):
        lap, place = divmod(index, 300)
        recording.feed(index * SECOND // 30, round(levels[place]), position_ns=place * SECOND // 30, lap=lap)
    take = recording.stop().take
    assert take.seconds == pytest.approx(60, abs=0.05)
    assert take.info.frames == 1800
    assert sound_of(take.video)[0][-1] == pytest.approx(60, abs=0.05)
    flashes, heard = np.array(flash_times(take.video)), np.array(click_times(take.video))
    assert len(flashes) == 60
    np.testing.assert_allclose(heard, flashes[-len(heard):], atol=0.01)  # 40 ms are promised
    assert len(heard) >= 59


@pytest.mark.parametrize(("layout", "suffix"), [("avatar", ".mp4"), ("alpha", ".webm")])
def test_clap_of_a_microphone_with_a_known_latency(folder, layout, suffix):
    """Sound reaches the callback 180 ms after it was in the air, pictures the recorder 60 ms after their capture."""
    library, clock = FakeSounddevice(0.18), FakeClock(50 * SECOND)
    microphone = Microphone("", clock, library)
    recording = Recording(folder, microphone, clock, settings=TakeSettings(layout))
    heard_until = recording.start - SECOND
    for index in range(6 * 30):
        captured = recording.start + index * FRAME
        while heard_until + round(0.18e9) < captured + 60_000_000:
            length = samples_to_ns(480)
            clock.now = heard_until + length + round(0.18e9)
            library.deliver(clicks(heard_until, heard_until + length), clock.now)
            heard_until += length
        level = 235 if index % 30 < 2 else 30
        recording.feed(index * FRAME, level, alpha=255)
        recording.drained()
    take = recording.stop().take
    assert take.video.suffix == suffix
    flashes, heard = np.array(flash_times(take.video)), np.array(click_times(take.video))
    assert len(flashes) == 6
    nearest = heard[np.abs(heard[:, None] - flashes).argmin(0)]
    assert np.abs(nearest - flashes)[1:-1].max() < 0.005  # 40 ms are promised
    assert library.stream.closed


def test_a_microphone_that_goes_away_leaves_silence_and_words(folder):
    source = ClickSource()
    recording = Recording(folder, source)
    for index in range(150):
        source.now = min(recording.start + index * FRAME, recording.start + 2 * SECOND)
        recording.feed(index * FRAME)
    source.problem = "Headset no longer delivers sound"
    assert "Headset" in recording.recorder.status.sound_problem
    take = recording.stop().take
    assert sound_of(take.video)[0][-1] == pytest.approx(5, abs=0.05)
    assert source.closed


# --------------------------------------------------------------------------------------------------------------- layouts


def test_side_by_side_shows_the_camera_on_the_left(folder):
    recording = Recording(folder, settings=TakeSettings("side-by-side"))
    for index in range(4):
        recording.feed(index * FRAME, 200, frame_level=60)
    recording.feed(4 * FRAME, 200)  # a picture without a frame: the last one stays
    *_, last = open_video(recording.stop().take.video)
    assert last.image.shape == (64, 114 + 64, 3)
    assert last.image[:, 4:110].mean() == pytest.approx(60, abs=3)
    assert last.image[:, 118:].mean() == pytest.approx(200, abs=3)


def test_side_by_side_without_a_camera_is_the_avatar_alone(folder):
    recording = Recording(folder, settings=TakeSettings("side-by-side"))
    recording.feed(0)
    recording.feed(FRAME)
    assert open_video(recording.stop().take.video).width == 64


def test_transparency_is_straight_in_the_file(folder):
    recording = Recording(folder, settings=TakeSettings("alpha"))
    for index in range(3):
        recording.feed(index * FRAME, 200, alpha=128)
    take = recording.stop().take
    with av.open(str(take.video)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create("libvpx-vp9", "r")
        context.extradata = stream.codec_context.extradata
        rgba = next(f for p in container.demux(stream) for f in context.decode(p)).reformat(format="rgba").to_ndarray()
    assert rgba[..., 3].mean() == pytest.approx(128, abs=3)
    assert rgba[..., :3].mean() == pytest.approx(199, abs=4)


def test_another_size_in_the_middle_is_fitted_in(folder):
    recording = Recording(folder)
    recording.feed(0, 100)
    recording.feed(FRAME, 200, size=(128, 64))
    frames = [frame.image for frame in open_video(recording.stop().take.video)]
    assert frames[1].shape == (64, 64, 3)
    assert frames[1][28:36].mean() == pytest.approx(200, abs=4)
    assert frames[1][:12].mean() < 10


# ------------------------------------------------------------------------------------------------------------- overload


def test_an_encoder_that_is_too_slow_costs_pictures_not_memory_and_no_motion(folder, monkeypatch):
    """Five times too slow: at most two seconds of pictures wait, the oldest go, and `accept` returns at once."""
    gate = threading.Semaphore(0)
    encode = VideoWriter._encode
    monkeypatch.setattr(VideoWriter, "_encode", lambda self, *job: (gate.acquire(), encode(self, *job)))
    recording = Recording(folder)
    slowest = 0.0
    for index in range(300):
        recording.clock.now = recording.start + index * FRAME
        before = time.perf_counter()
        recording.recorder.accept(live_picture(recording.clock.now, value=index / 300))
        slowest = max(slowest, time.perf_counter() - before)
        assert recording.recorder.backlog <= 61
        if index % 5 == 0:
            gate.release()
    assert slowest < 0.2
    assert recording.recorder.status.dropped > 150
    assert "too busy" in recording.recorder.status.warning
    for _ in range(300):
        gate.release()
    take = recording.stop().take
    assert take.info.dropped == 300 - take.info.frames
    assert len(take.read_motion()) == 300
    found = [float(t) for t in stamps(take.video)]
    assert found == sorted(found)


def test_memory_is_bounded_by_bytes_too(folder, monkeypatch):
    monkeypatch.setattr(take_recorder, "LARGEST_QUEUE", 10 * 64 * 64 * 3)
    gate = threading.Event()
    encode = VideoWriter._encode
    monkeypatch.setattr(VideoWriter, "_encode", lambda self, *job: (gate.wait(), encode(self, *job)))
    recording = Recording(folder)
    for index in range(40):
        recording.recorder.accept(live_picture(recording.start + index * FRAME))
    assert recording.recorder.backlog <= 10
    gate.set()
    recording.stop()


def test_stopping_with_a_hopeless_encoder_does_not_take_long(folder, monkeypatch):
    monkeypatch.setattr(take_recorder, "DRAIN_SECONDS", 0.2)
    pause = threading.Event()
    encode = VideoWriter._encode
    monkeypatch.setattr(VideoWriter, "_encode", lambda self, *job: (pause.wait(0.1), encode(self, *job)))
    recording = Recording(folder)
    for index in range(60):
        recording.recorder.accept(live_picture(recording.start + index * FRAME))
    before = time.monotonic()
    take = recording.stop().take
    assert time.monotonic() - before < 2.5
    assert take.info.frames + take.info.dropped == 60


# ----------------------------------------------------------------------------------------------------------------- disk


def test_no_room_is_said_before_the_recording(folder):
    with pytest.raises(OutputError, match="no room") as caught:
        TakeRecorder(folder, TakeSettings(), ABOUT, free_bytes=lambda _: 400_000_000)
    assert "400 MB" in str(caught.value)
    assert not list(folder.iterdir())


def test_the_disk_is_watched_warned_of_and_the_take_kept(folder, monkeypatch):
    """At 400 kB/s: 800 MB are enough for 12 minutes, 600 MB for 4 (warning), 499 MB for nothing."""
    monkeypatch.setattr(take_recorder, "GUARD_SECONDS", 0.0)
    room = [800_000_000]
    recording = Recording(folder, free_bytes=lambda _: room[0])
    recording.feed(0)
    recording.feed(FRAME)
    recording.drained()
    assert recording.recorder.status.warning == ""
    room[0] = 600_000_000
    recording.feed(2 * FRAME)
    wait_for(lambda: "nearly full" in recording.recorder.status.warning)
    assert "4 min" in recording.recorder.status.warning
    room[0] = 499_000_000
    recording.feed(3 * FRAME)
    wait_for(lambda: recording.ends)
    end = recording.ends[0]
    assert end.ending is Ending.DISK_FULL
    assert end.take.info.frames == 4
    assert str(end.take.video) in end.message
    recording.recorder.accept(live_picture(recording.start + SECOND))  # the live view goes on


def test_a_disk_that_is_full_all_at_once_keeps_what_is_there(folder, monkeypatch):
    """Imitated where no file system can be mounted: the encoder fails after 100 pictures."""
    encode = VideoWriter._encode

    def full(self, *job):
        if self.frames == 100:
            raise OSError(28, "No space left on device")
        encode(self, *job)

    monkeypatch.setattr(VideoWriter, "_encode", full)
    monkeypatch.setattr(take_recovery, "free_bytes", lambda _: 0)
    recording = Recording(folder, ClickSource())
    for index in range(150):
        recording.feed(index * FRAME)
        if recording.ends:
            break
    wait_for(lambda: recording.ends)
    end = recording.ends[0]
    assert end.ending is Ending.DISK_FULL
    assert end.take.info.frames >= 85
    assert "the disk is full" in end.message
    assert str(end.take.video) in end.message
    assert len(list(open_video(end.take.video))) == end.take.info.frames
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".mp4", ".npz"]


@pytest.fixture
def small_disk(tmp_path):
    """A 2 MB file system; needs the right to mount."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def test_a_disk_that_really_is_full_keeps_a_take_that_plays(small_disk):
    noise = np.random.default_rng(3)
    recording = Recording(small_disk, ClickSource(), free_bytes=lambda _: PLENTY)
    for index in range(600):
        picture = live_picture(recording.start + index * FRAME, size=(192, 192))
        picture.image[:] = noise.integers(0, 255, picture.image.shape, np.uint8)
        recording.clock.now = picture.captured_ns
        recording.recorder.accept(picture)
        wait_for(lambda: recording.recorder.backlog < 5 or recording.ends)
        if recording.ends:
            break
    wait_for(lambda: recording.ends)
    end = recording.ends[0]
    assert end.ending is Ending.DISK_FULL
    assert end.take.info.frames > 20
    assert len(list(open_video(end.take.video))) == end.take.info.frames
    assert sound_of(end.take.video)[0][-1] > end.take.seconds - 0.5
    assert len(end.take.read_motion()) > 20
    assert [take.name for take in list_takes(small_disk)] == [end.take.name]


def test_a_folder_that_goes_away_loses_nothing(folder, tmp_path, monkeypatch):
    """Deleted in the middle: the open file still holds everything and is brought to the spare folder."""
    if os.name != "posix":
        pytest.skip("an open file keeps its folder here")
    monkeypatch.setattr(take_recorder, "GUARD_SECONDS", 0.0)
    spare = tmp_path / "spare"
    recording = Recording(folder, ClickSource(), spare_folder=spare, free_bytes=lambda _: PLENTY)
    for index in range(60):
        recording.feed(index * FRAME, value=index / 100)
    recording.drained()
    shutil.rmtree(folder)
    for index in range(60, 90):
        recording.feed(index * FRAME)
    wait_for(lambda: recording.ends)
    end = recording.ends[0]
    assert end.ending is Ending.FOLDER_GONE
    assert end.take.video.parent == spare
    assert end.take.info.frames >= 60
    assert len(list(open_video(end.take.video))) == end.take.info.frames
    assert len(end.take.read_motion()) >= 60
    assert str(spare) in end.message


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path):
    recording = Recording(tmp_path, free_bytes=lambda _: PLENTY)
    recording.recorder._files.folder = tmp_path / "not there"
    recording.recorder.accept(live_picture(recording.start))
    wait_for(lambda: recording.ends)
    assert recording.ends[0].ending is Ending.FAILED
    assert "not there" in recording.ends[0].message


# ------------------------------------------------------------------------------------------------------- the rest of it


def test_without_a_picture_nothing_is_written(folder):
    end = Recording(folder).stop()
    assert end.take is None
    assert "no picture" in end.message
    assert not list(folder.iterdir())


def test_sidecar_metadata_and_markers(folder):
    recording = Recording(folder)
    for index in range(31):
        recording.feed(index * FRAME)
    recording.recorder.mark("laugh")
    recording.feed(31 * FRAME)
    running = read_sidecar(next(folder.glob("*.json")))
    assert not running.finished
    assert running.owner.pid == os.getpid()
    take = recording.stop().take
    assert take.about == ABOUT
    assert take.info.owner is None
    assert [(round(m.seconds, 1), m.text) for m in take.info.markers] == [(1.0, "laugh")]
    assert (take.info.width, take.info.height, take.info.frames) == (64, 64, 32)
    with av.open(str(take.video)) as container:
        assert container.metadata["title"] == take.name
        assert "person 7" in container.metadata["comment"]
        assert "ab" * 32 in container.metadata["comment"]


def test_a_second_take_overwrites_nothing(folder, monkeypatch):
    monkeypatch.setattr("core.pipeline.live.take_files.take_name", lambda *_: "take")
    for _ in range(3):
        recording = Recording(folder)
        recording.feed(0)
        recording.stop()
    assert sorted(p.name for p in folder.glob("*.mp4")) == ["take (2).mp4", "take (3).mp4", "take.mp4"]
    assert len(list_takes(folder)) == 3


def test_sleep_of_the_computer_ends_the_take(folder):
    alive = [0.0]
    recording = Recording(folder, alive_clock=lambda: alive[0])
    recording.feed(0)
    recording.feed(FRAME)
    recording.drained()
    alive[0] = 3600.0
    wait_for(lambda: recording.ends)
    assert recording.ends[0].ending is Ending.SLEPT
    assert recording.ends[0].take.info.frames >= 2


def test_the_free_room_of_a_disk_is_read():
    assert free_bytes(Path.cwd()) > 0


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
@pytest.mark.parametrize(("moment", "layout"), [(1.3, "avatar"), (2.4, "alpha")])
def test_a_killed_recording_loses_less_than_a_second(tmp_path, moment, layout):
    kill = kill_once(tmp_path, moment, layout)
    assert -0.1 < kill.worst < 1.0, kill


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_ten_kills_lose_less_than_a_second_each(tmp_path):
    moments = np.random.default_rng(9).uniform(1, 22, 10)
    for number, moment in enumerate(moments):
        place = tmp_path / str(number)
        place.mkdir()
        kill = kill_once(place, float(moment))
        assert -0.1 < kill.worst < 1.0, kill


def test_rate_constant_is_the_one_of_the_sound():
    assert RATE == 48_000
