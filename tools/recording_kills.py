"""Kills recordings at random moments and measures what recovery brings back.

`python -m tools.recording_kills --kills 10 --seconds 22` records 512 x 512 pictures at 30 frames/s with sound in a process of its
own, ends it with the strongest signal there is, recovers what it left, and prints what was lost each time.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import AgoraError
from core.geometry import portrait_camera
from core.media.ffmpeg import av
from core.media.live_sound import RATE, sample_count
from core.pipeline.live.state import LivePicture
from core.pipeline.live.take import TakeAbout
from core.pipeline.live.take_recorder import TakeRecorder, TakeSettings
from core.pipeline.live.take_recovery import find_unfinished_takes, recover_take
from core.types import HeadParams

SIZE, FPS = 512, 30


@dataclass(frozen=True)
class Kill:
    """What one kill cost: seconds recorded until then, and seconds of video, sound and motion that are missing."""

    recorded: float
    video_lost: float
    sound_lost: float
    motion_lost: float

    @property
    def worst(self) -> float:
        return max(self.video_lost, self.sound_lost, self.motion_lost)


class Tone:
    """A tone that a microphone might have heard, with 30 ms of latency."""

    name, problem = "tone", ""

    def known_until(self) -> int | None:
        return time.perf_counter_ns() - 30_000_000

    def follow(self, captured_ns: int, position_ns: int | None, lap: int) -> None:
        """A microphone follows no file."""

    def read(self, from_ns: int, to_ns: int) -> np.ndarray:
        phase = (from_ns % 1_000_000_000) / 1e9 + np.arange(sample_count(from_ns, to_ns)) / RATE
        return (0.3 * np.sin(2 * np.pi * 440 * phase)).astype(np.float32)

    def close(self) -> None:
        """Nothing to let go of."""


def pictures(size: int = SIZE) -> list[np.ndarray]:
    """Two seconds of something that moves, which repeat."""
    generator = np.random.default_rng(1)
    coarse = generator.integers(0, 255, (9, 9, 3)).astype(np.float32)
    wall = np.stack([np.interp(np.linspace(0, 8, 2 * size), range(9), row) for row in coarse.transpose(2, 0, 1).reshape(27, 9)])
    wall = wall.reshape(3, 9, 2 * size).transpose(1, 2, 0)
    rows = np.linspace(0, 7.999, 2 * size)
    low, share = rows.astype(int), (rows % 1)[:, None, None]
    wall = (wall[low] * (1 - share) + wall[low + 1] * share).astype(np.uint8)
    turns = np.linspace(0, 2 * np.pi, 2 * FPS, endpoint=False)
    left, top = ((size / 2 * (1 + wave(turns))).astype(int) for wave in (np.sin, np.cos))
    return [np.ascontiguousarray(wall[y:y + size, x:x + size]) for x, y in zip(left, top, strict=True)]


def record_for_ever(folder: Path, layout: str, quality: str) -> None:
    """Record until somebody ends the process. Prints the clock at time 0."""
    moving = pictures()
    covered = [np.dstack([image, np.full((SIZE, SIZE), 255, np.uint8)]) for image in moving] if layout == "alpha" else []
    recorder = TakeRecorder(folder, TakeSettings(layout, quality), TakeAbout(person="7", pack="Studio"), Tone())
    head, camera = HeadParams.neutral(49), portrait_camera(SIZE, SIZE)
    start = time.perf_counter_ns()
    print(start, flush=True)
    index = 0
    while recorder.result is None:
        due = start + index * 1_000_000_000 // FPS
        time.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
        image = moving[index % len(moving)]
        heads = (covered[index % len(covered)],) if covered else ()
        recorder.accept(LivePicture(image, heads, head, head, head.psi(), None, None, camera, due, time.perf_counter_ns(),
                                    index=index))
        index += 1


def kill_once(folder: Path, seconds: float, layout: str = "avatar", quality: str = "balanced") -> Kill:
    """Record, kill after `seconds`, recover and measure. Raises AgoraError when nothing can be recovered."""
    command = [sys.executable, "-m", "tools.recording_kills", "--record", str(folder), "--layout", layout, "--quality", quality]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parent.parent)
    try:
        start = int(process.stdout.readline())
        if find_unfinished_takes(folder):
            raise AssertionError("a recording that is being made is offered for recovery")
        time.sleep(max(0.0, seconds - (time.perf_counter_ns() - start) / 1e9))
        recorded = (time.perf_counter_ns() - start) / 1e9
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    (unfinished,) = find_unfinished_takes(folder)
    take = recover_take(unfinished)
    motion = take.read_motion()
    return Kill(recorded, recorded - take.seconds, recorded - _sound_end(take.video), recorded - motion.params[-1].time_ns / 1e9)


def _sound_end(video: Path) -> float:
    with av.open(str(video)) as container:
        return max((float(frame.time) + frame.samples / frame.sample_rate for frame in container.decode(audio=0)), default=0.0)


def main(arguments: list[str] | None = None) -> int:
    """Run the measurement. Returns 0 when no kill lost more than a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=22.0, help="longest recording")
    parser.add_argument("--layout", default="avatar")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.record is not None:
        record_for_ever(options.record, options.layout, options.quality)
        return 0
    moments = [random.Random(options.seed + i).uniform(1.0, options.seconds) for i in range(options.kills)]
    kills = []
    print("recorded  lost: video  sound  motion   (seconds)")
    with tempfile.TemporaryDirectory() as folder:
        for number, moment in enumerate(moments):
            place = Path(folder) / str(number)
            os.mkdir(place)
            try:
                kill = kill_once(place, moment, options.layout, options.quality)
            except AgoraError as error:
                print(f"{moment:8.2f}  nothing recovered: {error}")
                return 1
            kills.append(kill)
            losses = f"{kill.video_lost:5.2f}  {kill.sound_lost:5.2f}  {kill.motion_lost:6.2f}"
            print(f"{kill.recorded:8.2f}        {losses}", flush=True)
    print(f"worst: {max(kill.worst for kill in kills):.2f} s in {len(kills)} kills")
    return 0 if all(kill.worst <= 1.0 for kill in kills) else 1


if __name__ == "__main__":
    sys.exit(main())
