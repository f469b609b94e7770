"""`soak`: a long live session in the real window, measured: frame rate, latency, dropped frames, memory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

WARM_UP_SECONDS = 120.0


@dataclass(kw_only=True)
class Options:
    """Play a video as the camera in the real window and measure what a user would see."""

    driver: Path | None = None
    """Video of a face that plays as the camera, over and over; the demo motion when left out."""
    seed: str = "7"
    """Who is on stage."""
    seconds: float = 600.0
    """How long."""
    every: float = 30.0
    """Seconds between two lines."""
    slow_tracker: float = 0.0
    """Seconds by which every tracked frame is slowed down: 0.2 makes the tracker a stage of 5 frames/s."""
    record: bool = False
    """Record all the while."""
    json: Path | None = None
    """Also write the figures to this file, machine-readable."""


@dataclass(frozen=True)
class Sample:
    """What was measured over one interval.

    Attributes:
        seconds: since the start.
        shown_fps, tracked_fps, drawn_fps: frames per second.
        latency_p50_ms, latency_p95_ms, latency_max_ms: capture to paint of every picture of the interval.
        dropped: frames overwritten before they were taken, since the start.
        gui_gap_ms: the longest time in which the GUI's thread answered nothing.
        memory_mb: resident memory.
        cpu_percent: of one core, over the interval.
        quality: what the governor had chosen.
    """

    seconds: float
    shown_fps: float
    tracked_fps: float
    drawn_fps: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_max_ms: float
    dropped: int
    gui_gap_ms: float
    memory_mb: float
    cpu_percent: float
    quality: str


class Meter:
    """Counts what reaches the screen, from the widget's own signal, and how long the GUI's thread was deaf."""

    def __init__(self, running) -> None:
        from PySide6.QtCore import QTimer

        self._services = running.services
        self._ages: list[float] = []
        self._faces: set[bytes] = set()
        self.first_moving: float | None = None
        self._gap = 0.0
        self._last_beat = time.perf_counter()
        self._started = self._last_mark = time.perf_counter()
        self._last_cpu = time.process_time()
        running.window.view.painted.connect(self._on_painted)
        self._beat = QTimer(running.window, interval=10)
        self._beat.timeout.connect(self._on_beat)
        self._beat.start()

    def sample(self) -> Sample:
        """The figures since the last sample."""
        import psutil

        now, cpu = time.perf_counter(), time.process_time()
        span = now - self._last_mark
        ages, self._ages = np.array(self._ages or [0.0]), []
        stats = self._services.session.stats()
        sample = Sample(now - self._started, (len(ages) if ages.any() else 0) / span, stats.tracked_fps, stats.drawn_fps,
                        *(float(v) for v in np.percentile(ages, [50, 95, 100])), stats.dropped, 1e3 * self._gap,
                        psutil.Process().memory_info().rss / 2**20, 100 * (cpu - self._last_cpu) / span, stats.quality.name)
        self._gap, self._last_mark, self._last_cpu = 0.0, now, cpu
        return sample

    def _on_painted(self, picture) -> None:
        if self.first_moving is None:
            self._notice_movement(picture)
        if picture.fresh:
            self._ages.append((time.perf_counter_ns() - picture.captured_ns) / 1e6)

    def _notice_movement(self, picture) -> None:
        """Two pictures with different faces: the avatar moves."""
        import psutil

        self._faces.add(picture.psi.tobytes())
        if len(self._faces) > 1:
            self.first_moving = time.time() - psutil.Process().create_time()
            print(f"the avatar moves {self.first_moving:.1f} s after the program was started", flush=True)

    def _on_beat(self) -> None:
        now = time.perf_counter()
        self._gap, self._last_beat = max(self._gap, now - self._last_beat - 0.01), now


def run(options: Options) -> int:
    """Open the window, measure, print."""
    from agora_app.cli import require_screen
    from core.commands.report import check_json_output, write_json
    from core.media.ffmpeg import require_file

    require_screen()
    check_json_output(options.json)
    if options.driver is not None:
        require_file(options.driver)
    samples = _measure(options)
    slope = memory_slope(samples)
    _print_summary(samples, slope)
    write_json(options.json, {"samples": [asdict(sample) for sample in samples], "memory_mb_per_minute": slope})
    return 0


def memory_slope(samples: list[Sample]) -> float:
    """Megabytes per minute after the warm-up, by least squares; 0 when there is too little to tell."""
    settled = [sample for sample in samples if sample.seconds >= WARM_UP_SECONDS]
    if len(settled) < 3:
        return 0.0
    minutes = np.array([sample.seconds for sample in settled]) / 60
    return float(np.polyfit(minutes, [sample.memory_mb for sample in settled], 1)[0])


def _measure(options: Options) -> list[Sample]:
    from PySide6.QtCore import QTimer

    from agora_app.app import Start, build

    running = build(Start(files=(str(options.driver),) if options.driver else (), person=options.seed, questions=False,
                          tracker_delay=options.slow_tracker))
    samples: list[Sample] = []
    meter = Meter(running)
    _print_head()

    def take() -> None:
        samples.append(meter.sample())
        _print_line(samples[-1])

    ticker = QTimer(running.window, interval=round(1000 * options.every))
    ticker.timeout.connect(take)
    ticker.start()
    def begin_recording() -> None:
        """Once the video plays: a busy machine may still show the demo."""
        if options.driver is None or running.services.source.kind == "video":
            running.services.recording.start()
        else:
            QTimer.singleShot(200, running.window, begin_recording)

    if options.record:
        QTimer.singleShot(3000, running.window, begin_recording)

    def end() -> None:
        ticker.stop()
        if options.record:
            running.services.recording.stop()
        running.window.close()
        running.app.quit()

    QTimer.singleShot(round(1000 * options.seconds) + 200, running.window, end)
    running.app.exec()
    return samples


def _print_head() -> None:
    print("   time  shown  tracked  drawn   p50    p95    max ms  dropped  GUI gap  memory  CPU  quality", flush=True)


def _print_line(s: Sample) -> None:
    rates = f"{s.shown_fps:6.1f} {s.tracked_fps:8.1f} {s.drawn_fps:6.1f}"
    ages = f"{s.latency_p50_ms:6.1f} {s.latency_p95_ms:6.1f} {s.latency_max_ms:7.1f}"
    print(f"{s.seconds:6.0f}s {rates} {ages} {s.dropped:8d} {s.gui_gap_ms:5.0f} ms {s.memory_mb:5.0f} MB {s.cpu_percent:4.0f} % "
          f"{s.quality}", flush=True)


def _print_summary(samples: list[Sample], slope: float) -> None:
    if not samples:
        return
    settled = samples[1:] or samples
    print(f"shown {np.mean([s.shown_fps for s in settled]):.1f} frames/s, latency p50 "
          f"{np.median([s.latency_p50_ms for s in settled]):.1f} ms, p95 {np.median([s.latency_p95_ms for s in settled]):.1f} ms "
          f"(first {settled[0].latency_p95_ms:.1f}, last {settled[-1].latency_p95_ms:.1f}), dropped {samples[-1].dropped}, "
          f"memory {slope:+.2f} MB/min after two minutes", flush=True)
