"""Writing: exact time stamps, sound, transparency, and what is left after a crash or on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from core.errors import InputError, OutputError
from core.media.recovery import find_unfinished, recover_recording
from core.media.video_reader import open_video
from core.media.video_writer import VideoWriter
from tests.media.clips import level_of, make_clip, picture, sound_seconds, stamps

VARIABLE = [0, 40, 55, 120, 121, 400, 433]


def write_clip(path, count=10, **options):
    with VideoWriter(path, 96, 64, **options) as writer:
        for index in range(count):
            writer.write(picture(index), index * 40_000_000)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_frames_come_back_with_their_times(tmp_path, suffix):
    driver = open_video(make_clip(tmp_path / "driver.mp4", VARIABLE))
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, driver.width, driver.height, fps=driver.fps, time_base=driver.time_base) as writer:
        for frame in driver:
            writer.write(frame.image, frame.time_ns)
    assert stamps(path) == [Fraction(t, 1000) for t in VARIABLE]
    for index, frame in enumerate(open_video(path)):
        assert level_of(frame.image) == pytest.approx(40 + 9 * index, abs=6)
    assert not find_unfinished(tmp_path)


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_usual_rates_are_exact_without_a_driver(tmp_path, rate):
    with VideoWriter(tmp_path / "o.mp4", 96, 64, fps=float(rate)) as writer:
        for index in range(5):
            writer.write(picture(index), round(index / rate * 1_000_000_000))
    assert stamps(tmp_path / "o.mp4") == [index / rate for index in range(5)]


def test_duration_includes_the_last_frame(tmp_path):
    path = write_clip(tmp_path / "o.mp4", 10, fps=25)
    with av.open(str(path)) as container:
        assert container.duration / av.time_base == pytest.approx(0.4, abs=1e-3)


def test_a_closed_file_is_an_ordinary_mp4(tmp_path):
    """Top-level boxes after closing: one index, no fragments."""
    content, boxes, at = write_clip(tmp_path / "o.mp4").read_bytes(), [], 0
    while at < len(content):
        size = int.from_bytes(content[at:at + 4], "big")
        boxes.append(content[at + 4:at + 8])
        at += size or len(content)
    assert boxes.count(b"moov") == 1
    assert b"moof" not in boxes


def test_odd_sizes_are_extended(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4", 95, 63) as writer:
        writer.write(picture(0, 95, 63), 0)
    assert next(iter(open_video(tmp_path / "odd.mp4"))).image.shape == (64, 96, 3)


@pytest.mark.parametrize(("source", "target", "codec"), [
    ("aac", ".mp4", "aac"), ("libopus", ".webm", "opus"), ("pcm_s16le", ".mp4", "aac"), ("libmp3lame", ".mp4", "mp3"),
    ("aac", ".webm", "opus"),
])
def test_sound_is_kept_and_cut_to_the_pictures(tmp_path, source, target, codec):
    driver = open_video(make_clip(tmp_path / "d.mkv", list(range(0, 1000, 40)), audio=source, audio_seconds=3))
    path = write_clip(tmp_path / f"o{target}", 25, fps=25, audio=driver)
    assert sound_seconds(path) == pytest.approx(1.0, abs=0.1)  # a packet of sound lasts up to 24 ms, and encoders add one
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
        loudness = np.abs(np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])).max()
    assert loudness > 0.05


def test_copied_sound_is_the_same_bytes(tmp_path):
    driver = make_clip(tmp_path / "d.mp4", list(range(0, 1000, 40)), audio="aac", audio_seconds=1)
    path = write_clip(tmp_path / "o.mp4", 25, fps=25, audio=open_video(driver))

    def packets(file):
        with av.open(str(file)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size and p.pts >= 0]

    kept = packets(path)
    assert len(kept) > 40
    assert kept == packets(driver)[:len(kept)]


@pytest.mark.parametrize(("suffix", "decoder", "tolerance"), [(".webm", "libvpx-vp9", 4), (".mov", "prores", 2)])
def test_transparency_comes_back(tmp_path, suffix, decoder, tolerance):
    """A disc of alpha ramps; the native VP9 decoder ignores alpha, libvpx's reads it."""
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    image = np.dstack([picture(5), alpha])
    path = tmp_path / f"clear{suffix}"
    with VideoWriter(path, 96, 64, alpha=True) as writer:
        for index in range(3):
            writer.write(image, index * 33_333_333)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create(decoder, "r")
        context.extradata = stream.codec_context.extradata
        if decoder == "prores":
            frame = next(container.decode(video=0))
        else:
            frame = next(f for p in container.demux(stream) for f in context.decode(p))
        stored = frame.reformat(format="rgba").to_ndarray()[..., 3]
    assert np.abs(stored.astype(int) - alpha).mean() < tolerance


def test_mp4_refuses_transparency(tmp_path):
    with pytest.raises(OutputError, match=r"webm"):
        VideoWriter(tmp_path / "o.mp4", 96, 64, alpha=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["o.avi", "o", "o.gif", "missing/o.mp4", "file/o.mp4"])
def test_impossible_outputs_are_refused_at_once(tmp_path, name):
    (tmp_path / "file").write_text("a file where a folder is needed")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match="o"):
        VideoWriter(tmp_path / name, 96, 64)
    assert set(tmp_path.rglob("*")) == before


def test_an_error_in_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "o.mp4"
    path.write_text("precious")

    def fail_midway():
        with VideoWriter(path, 96, 64) as writer:
            writer.write(picture(0), 0)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_without_frames_nothing_is_written(tmp_path):
    with pytest.raises(OutputError, match="no frame"):
        VideoWriter(tmp_path / "o.mp4", 96, 64).close()
    assert not list(tmp_path.iterdir())


def test_a_frame_of_another_size_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="96 x 64"), VideoWriter(tmp_path / "o.mp4", 96, 64) as writer:
        writer.write(picture(0, 64, 64), 0)


@pytest.fixture
def small_disk(tmp_path):
    """A 1 MB file system; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk):
    noise = np.random.default_rng(3)

    def fill():
        with VideoWriter(small_disk / "o.mp4", 256, 256) as writer:
            for index in range(400):
                writer.write(noise.integers(0, 255, (256, 256, 3), np.uint8), index * 33_333_333)

    with pytest.raises(OutputError, match=r"o\.mp4.*[Nn]o space") as caught:
        fill()
    assert "\n" not in str(caught.value)
    assert not list(small_disk.iterdir())


def test_a_failing_encoder_does_not_block_the_producer(tmp_path, monkeypatch):
    """A disk that fills is imitated where no file system can be mounted."""
    writer = VideoWriter(tmp_path / "o.mp4", 96, 64, queue_size=1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_encode", full)

    def write_much():
        for index in range(50):
            writer.write(picture(index), index * 33_333_333)
        writer.close()

    with pytest.raises(OutputError, match="No space left"):
        write_much()
    assert not list(tmp_path.iterdir())


RECORD_FOR_EVER = """
import itertools, sys
from core.media.video_writer import VideoWriter
from tests.media.clips import picture
writer = VideoWriter(sys.argv[1], 96, 64, fps=25)
for index in itertools.count():
    writer.write(picture(index), index * 40_000_000)
    if index == 149:
        print("recorded", flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_killed_recording_is_recovered(tmp_path, suffix):
    """Killed after 150 frames at 25 frames/s: all but the last second (the open fragment) and the queue must come back."""
    path = tmp_path / f"take{suffix}"
    process = subprocess.Popen([sys.executable, "-c", RECORD_FOR_EVER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    assert process.stdout.readline() == "recorded\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()

    assert not path.exists()
    (part,) = find_unfinished(tmp_path)
    recovered = recover_recording(part)
    assert recovered.path.name == f"take-recovered{suffix}"
    assert recovered.frames >= 150 - 25 - 25 - 8
    assert not find_unfinished(tmp_path)
    frames = list(open_video(recovered.path))
    assert len(frames) == recovered.frames
    assert [f.time_ns for f in frames] == [i * 40_000_000 for i in range(len(frames))]
    assert level_of(frames[30].image) == pytest.approx(level_of(picture(30)), abs=4)


def test_a_second_recording_keeps_the_first_unfinished_one(tmp_path):
    (tmp_path / "o.mp4.part").write_text("an earlier take")
    write_clip(tmp_path / "o.mp4")
    assert (tmp_path / "o.mp4.part").read_text() == "an earlier take"


def test_recovering_rubbish_keeps_it(tmp_path):
    part = tmp_path / "o.mp4.part"
    part.write_text("not a recording")
    with pytest.raises(InputError, match=r"o\.mp4\.part"):
        recover_recording(part)
    assert list(tmp_path.iterdir()) == [part]
