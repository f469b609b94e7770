"""Microphones: sound is found by the time it was in the air, whatever the driver's latency, jitter and clock."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest

from core.errors import DeviceError
from core.media import microphone
from core.media.live_sound import RATE, samples_to_ns
from core.media.microphone import Microphone, SoundMemory, list_microphones
from tests.media.sounds import FakeSounddevice, clicks, onsets

BLOCK = 480
SECOND = 1_000_000_000


class Clock:
    def __init__(self):
        self.now = 100 * SECOND

    def __call__(self):
        return self.now


def play(library, clock, seconds, start=None, rate=1.0, jitter=0.0, seed=1):
    """Deliver clicks that are in the air at every full second of the clock; `rate` > 1: the device's clock runs fast."""
    generator = np.random.default_rng(seed)
    at = clock.now if start is None else start
    for _ in range(round(seconds * RATE / BLOCK)):
        length = samples_to_ns(BLOCK) / rate
        times = at + np.arange(BLOCK) * length / BLOCK
        phase = (times % SECOND) / 1e9
        block = np.where(phase < 0.01, 0.8 * np.sin(2 * np.pi * 2000 * phase), 0).astype(np.float32)
        at += length
        clock.now = round(at + library.latency * 1e9 + jitter * 1e9 * generator.random())
        library.deliver(block, clock.now)
    return round(at)


def click_errors(memory, begin, end):
    """How far each click that is read lies from the full second, seconds."""
    samples = np.concatenate([memory.read(t, t + 21_333_333) for t in range(begin, end, 21_333_333)])
    times = begin + np.arange(len(samples)) / RATE * 1e9
    found = np.array(onsets(times / 1e9, np.abs(samples), 0.1))
    assert len(found) >= (end - begin) // SECOND - 1
    return found - np.round(found)


@pytest.mark.parametrize("latency", [0.0, 0.037, 0.25])
def test_sound_is_found_at_its_time_in_the_air(latency):
    library, clock = FakeSounddevice(latency), Clock()
    device = Microphone("Headset", clock, library)
    begin = clock.now
    end = play(library, clock, 4)
    assert abs(device.known_until() - end) < 1_000_000
    assert np.abs(click_errors(device, begin, end)).max() < 0.001
    device.close()
    assert library.stream.closed


def test_a_driver_without_times_is_helped_out_by_its_latency():
    library, clock = FakeSounddevice(0.08, reports_times=False), Clock()
    device = Microphone("", clock, library)
    begin = clock.now
    end = play(library, clock, 3)
    assert np.abs(click_errors(device, begin, end)).max() < 0.002
    assert library.stream.device is None


def test_jitter_of_the_stamps_is_not_heard():
    library, clock = FakeSounddevice(0.02), Clock()
    library_times = []
    device = Microphone("", clock, library)
    begin = clock.now
    generator = np.random.default_rng(0)
    for start in range(begin, begin + 4 * SECOND, samples_to_ns(BLOCK)):
        stamp = start + round(4e6 * generator.standard_normal())
        device._memory.add(clicks(start, start + samples_to_ns(BLOCK)), stamp)
        library_times.append(stamp)
    errors = click_errors(device, begin, begin + 4 * SECOND - 100_000_000)
    assert np.abs(errors).max() < 0.006


@pytest.mark.parametrize("rate", [1.0005, 0.9995])
def test_a_drifting_clock_stays_in_step(rate):
    """Half a per mille is ten times what devices do: 60 ms in two minutes."""
    library, clock = FakeSounddevice(0.02), Clock()
    device = Microphone("", clock, library)
    begin, read, times = clock.now, [], []
    at = begin
    for _ in range(60):
        end = play(library, clock, 2, at, rate)
        for start in range(at, end, 21_333_333):
            stop = min(start + 21_333_333, end)
            read.append(device.read(start, stop))
            times.append(start / 1e9 + np.arange(len(read[-1])) / RATE)
        at = end
    found = np.array(onsets(np.concatenate(times), np.abs(np.concatenate(read)), 0.1))
    assert len(found) > 110
    assert np.abs(found - np.round(found)).max() < 0.008


def test_lost_sound_leaves_a_gap_and_what_follows_is_in_place():
    library, clock = FakeSounddevice(0.01), Clock()
    device = Microphone("", clock, library)
    begin = clock.now
    middle = play(library, clock, 2)
    clock.now = middle
    end = play(library, clock, 3, middle + 700_000_000)
    assert np.abs(click_errors(device, middle + 800_000_000, end)).max() < 0.002
    assert not device.read(middle + 100_000_000, middle + 600_000_000).any()
    assert begin < middle


def test_only_the_last_ten_seconds_are_remembered():
    memory = SoundMemory(2.0)
    for start in range(0, 5 * SECOND, samples_to_ns(BLOCK)):
        memory.add(np.ones(BLOCK, np.float32), start)
    assert not memory.read(0, SECOND).any()
    assert memory.read(4 * SECOND, 4 * SECOND + SECOND // 2).all()


def test_a_microphone_that_goes_away_is_silent_and_says_so():
    library, clock = FakeSounddevice(), Clock()
    device = Microphone("Headset", clock, library)
    end = play(library, clock, 1)
    assert device.problem == ""
    clock.now += 2 * SECOND
    assert "Headset" in device.problem
    assert not device.read(end + SECOND // 2, end + SECOND).any()
    assert device.level == 0


def test_a_stream_that_ends_is_noticed_at_once():
    library, clock = FakeSounddevice(), Clock()
    device = Microphone("", clock, library)
    play(library, clock, 0.1)
    library.stream.finished_callback()
    assert device.problem


def test_the_level_follows_the_loudness():
    library, clock = FakeSounddevice(), Clock()
    device = Microphone("", clock, library)
    library.deliver(np.full(BLOCK, 0.5, np.float32), clock.now)
    assert device.level == pytest.approx(0.5, abs=0.01)
    for _ in range(60):
        clock.now += samples_to_ns(BLOCK)
        library.deliver(np.zeros(BLOCK, np.float32), clock.now)
    assert device.level < 0.01


def test_a_device_that_refuses_is_explained():
    library = FakeSounddevice()
    library.refuse = ValueError("No input device matching 'Old'\nmore")
    with pytest.raises(DeviceError, match="Old cannot be opened: No input device") as caught:
        Microphone("Old", library=library)
    assert "\n" not in str(caught.value)


def test_microphones_are_listed_by_name_the_default_first(monkeypatch):
    monkeypatch.setattr(microphone, "_sounddevice", FakeSounddevice)
    assert list_microphones() == ["Built-in", "Headset"]


@pytest.mark.parametrize(("error", "hint"), [(OSError("PortAudio library not found"), "libportaudio2"),
                                             (ImportError("no"), "pip install sounddevice")])
def test_without_portaudio_the_hint_says_what_to_install(monkeypatch, error, hint):
    real = builtins.__import__

    def refuse(name, *arguments):
        if name == "sounddevice":
            raise error
        return real(name, *arguments)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DeviceError, match="sound cannot be recorded") as caught:
        list_microphones()
    assert hint in caught.value.hint
