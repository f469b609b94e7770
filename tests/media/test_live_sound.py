"""Sound in step with the pictures: in every format, in files that were killed, and along a file that loops, pauses and jumps."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

from core.errors import InputError
from core.media.clip_sound import ClipSound, SoundDecoder
from core.media.formats import LIVE_QUALITIES, live_codec
from core.media.live_sound import RATE, LiveSound, Silence, sample_count
from core.media.recovery import make_playable, recover_recording
from core.media.video_writer import VideoWriter
from tests.media.clips import make_clip
from tests.media.sounds import ClickSource, click_times, flash_times, make_clap_clip, onsets, sound_of

SECOND = 1_000_000_000
FPS = 30


def picture(index, channels=3):
    image = np.full((64, 64, channels), 235 if index % FPS < 2 else 30, np.uint8)
    image[..., 3:] = 255
    return image


def record(path, source, seconds=4.5, start_ns=70 * SECOND, delay_ms=0, quality="balanced", before_close=lambda writer: None):
    alpha = path.suffix == ".webm"
    writer = VideoWriter(path, 64, 64, alpha=alpha, keep=True, codec=live_codec(path, alpha, quality),
                         sound=LiveSound(source, start_ns, delay_ms), metadata={"title": "Täke", "comment": "seed 7"})
    for index in range(round(seconds * FPS)):
        writer.write(picture(index, 4 if alpha else 3), index * SECOND // FPS)
    before_close(writer)
    writer.close()
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_clicks_lie_on_the_flashes(tmp_path, suffix):
    path = record(tmp_path / f"take{suffix}", ClickSource())
    np.testing.assert_allclose(flash_times(path), [0, 1, 2, 3, 4], atol=0.001)
    heard = click_times(path)
    np.testing.assert_allclose(heard[-4:], [1, 2, 3, 4], atol=0.003)
    times, _ = sound_of(path)
    assert times[-1] == pytest.approx(4.5, abs=0.03)


@pytest.mark.parametrize("quality", LIVE_QUALITIES)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_an_unfinished_file_keeps_all_but_the_last_half_second_in_step(tmp_path, suffix, quality):
    copies = [tmp_path / f"{name}{suffix}.part" for name in ("copied", "in place")]

    def kill(writer):
        while writer.frames < 4.5 * FPS:
            time.sleep(0.005)
        for copy in copies:
            shutil.copy(writer.part, copy)
        with copies[1].open("ab") as file:
            file.write(b"\0\0\1\0moof torn in the middle")

    record(tmp_path / f"take{suffix}", ClickSource(), quality=quality, before_close=kill)
    for made in (recover_recording(copies[0]), make_playable(copies[1], tmp_path / f"in place{suffix}")):
        assert made.seconds >= 4.0
        np.testing.assert_allclose(flash_times(made.path), np.arange(len(flash_times(made.path))), atol=0.001)
        np.testing.assert_allclose(click_times(made.path)[-3:], flash_times(made.path)[-3:], atol=0.003)
        assert sound_of(made.path)[0][-1] >= 3.9


@pytest.mark.parametrize("delay", [-120, 250])
def test_the_sound_can_be_delayed(tmp_path, delay):
    heard = click_times(record(tmp_path / "take.mp4", ClickSource(), delay_ms=delay))
    np.testing.assert_allclose(heard, np.round(np.array(heard) - delay / 1000) + delay / 1000, atol=0.003)
    assert len(heard) >= 4


def test_metadata_are_kept_in_recording_and_recovery(tmp_path):
    import av

    part = tmp_path / "killed.mp4.part"
    path = record(tmp_path / "take.mp4", Silence(), 2, before_close=lambda w: (time.sleep(0.3), shutil.copy(w.part, part)))
    for file in (path, recover_recording(part).path):
        with av.open(str(file)) as container:
            assert (container.metadata["title"], container.metadata["comment"]) == ("Täke", "seed 7")


def test_sound_that_comes_late_is_waited_for_and_sound_that_never_comes_is_not(tmp_path):
    """The source knows nothing after two seconds, as a microphone that was pulled out."""
    source = ClickSource()
    source.now = 72 * SECOND
    asked = []
    read = source.read
    source.read = lambda a, b: (asked.append(b), read(a, b) if b <= source.now else np.zeros(sample_count(a, b), np.float32))[1]
    path = record(tmp_path / "take.mp4", source, 5)
    times, samples = sound_of(path)
    assert times[-1] == pytest.approx(5, abs=0.03)
    np.testing.assert_allclose(onsets(times, np.abs(samples), 0.15), [1], atol=0.003)
    assert np.diff(asked).max() < 25_000_000


# ------------------------------------------------------------------------------------------------------------ clip sound


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    return make_clap_clip(tmp_path_factory.mktemp("clap") / "clap.mp4", 8)


def heard(sound, begin, end, step=20_000_000):
    """Clicks that a source has in a stretch of the clock, seconds after `begin`."""
    samples = np.concatenate([sound.read(t, t + step) for t in range(begin, end, step)])
    return onsets(np.arange(len(samples)) / RATE, np.abs(samples), 0.15)


@pytest.mark.parametrize(("audio", "suffix", "first_pts"), [("aac", "mp4", 0), ("aac", "mkv", 0), ("libopus", "mkv", 0),
                                                            ("pcm_s16le", "mkv", 0), ("libmp3lame", "mp4", 0),
                                                            ("aac", "mp4", 45_000)])
def test_the_decoder_finds_any_place(tmp_path, audio, suffix, first_pts):
    decoder = SoundDecoder(make_clap_clip(tmp_path / f"c.{suffix}", 7, audio=audio, first_pts=first_pts))
    for second in (0.9, 4.9, 4.95, 0.95, 5.9, 2.9):  # forwards, backwards and again
        samples = decoder.read(round(second * SECOND), RATE // 5)
        (at,) = onsets(np.arange(len(samples)) / RATE, np.abs(samples), 0.15)
        assert second + at == pytest.approx(round(second + 0.1), abs=0.004)
    assert not decoder.read(60 * SECOND, 100).any()
    assert not decoder.read(-2 * SECOND, 100).any()
    decoder.close()


def test_a_file_that_plays_is_heard_at_the_time_of_its_pictures(clap):
    sound, begin = ClipSound(clap), 1000 * SECOND + 123_456_789
    for index in range(5 * FPS):
        sound.follow(begin + index * SECOND // FPS, index * SECOND // FPS, 0)
    np.testing.assert_allclose(heard(sound, begin, begin + 5 * SECOND - 100_000_000), [0, 1, 2, 3, 4], atol=0.004)
    assert sound.known_until() == begin + (5 * FPS - 1) * SECOND // FPS


def test_left_out_pictures_leave_no_hole(clap):
    """A slow tracker shows three pictures a second."""
    sound, begin = ClipSound(clap), 1000 * SECOND
    for index in range(0, 150, 10):
        sound.follow(begin + index * SECOND // FPS + (index % 3) * 2_000_000, index * SECOND // FPS, 0)
    np.testing.assert_allclose(heard(sound, begin, begin + 4 * SECOND + 500_000_000), [0, 1, 2, 3, 4], atol=0.02)


def test_a_loop_begins_anew_with_the_file(clap):
    """Six seconds of an eight-second file, then from the beginning; the first pictures of the second lap are left out."""
    sound, begin = ClipSound(clap), 1000 * SECOND
    for index in range(6 * FPS):
        sound.follow(begin + index * SECOND // FPS, index * SECOND // FPS, 0)
    for index in range(3, 3 * FPS):
        sound.follow(begin + 6 * SECOND + 500_000_000 + index * SECOND // FPS, index * SECOND // FPS, 1)
    np.testing.assert_allclose(heard(sound, begin, begin + 9 * SECOND), [0, 1, 2, 3, 4, 5, 6, 6.5, 7.5, 8.5], atol=0.004)


def test_a_pause_is_silent_and_goes_on_where_it_was(clap):
    sound, begin = ClipSound(clap), 1000 * SECOND
    for index in range(75):  # 2.5 s
        sound.follow(begin + index * SECOND // FPS, index * SECOND // FPS, 0)
    for index in range(75, 150):  # after three seconds of pause
        sound.follow(begin + 3 * SECOND + index * SECOND // FPS, index * SECOND // FPS, 0)
    np.testing.assert_allclose(heard(sound, begin, begin + 7 * SECOND + 900_000_000), [0, 1, 2, 6, 7], atol=0.004)


def test_a_seek_is_followed_both_ways(clap):
    sound, begin = ClipSound(clap), 1000 * SECOND
    for start, position in ((0, 0.5), (2, 6.3), (3.5, 0.7)):
        for index in range(round((1.5 if position > 6 else 2) * FPS)):
            step = index * SECOND // FPS
            sound.follow(begin + round(start * SECOND) + step, round(position * SECOND) + step, 0)
    found = heard(sound, begin, begin + 5 * SECOND + 400_000_000)
    np.testing.assert_allclose(found, [0.5, 1.5, 2.7, 3.8, 4.8], atol=0.004)


def test_pictures_without_a_place_in_a_file_leave_it_silent(clap):
    sound = ClipSound(clap)
    sound.follow(5, None, 0)
    assert not sound.read(0, SECOND).any()


def test_a_clip_without_sound_is_refused(tmp_path):
    with pytest.raises(InputError, match="no sound"):
        ClipSound(make_clip(tmp_path / "silent.mp4", [0, 40, 80]))
