"""The folder of a training run: what the trainer tells about itself there, and how others ask it to pause or stop.

The trainer and its onlookers (the window, a second terminal) share nothing but these files, so either may come, go or crash.
Everything is written whole or not at all, and a reader takes a damaged file for one that is not there.

    recipe.json   status.json   control.json   log.jsonl   report.json   pack.agora
    checkpoints/  snapshots/    samples/       tensorboard/
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TypeVar

DEAD_AFTER_SECONDS = 30.0  # silence after which a process that cannot be looked up counts as gone
_BEAT_SECONDS = 5.0
_LARGEST_READ = 8 << 20  # bytes of the log handed out at once
_LARGEST_FILE = 1 << 20  # a status or a request has a few hundred bytes
_Result = TypeVar("_Result")


class RunState(Enum):
    """What a run is doing."""

    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the process that wrote it has nothing more to do."""
        return self in (RunState.STOPPED, RunState.FINISHED, RunState.FAILED)


class Request(Enum):
    """What can be asked of a running trainer. STOP saves first, ABORT stops at once."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    ABORT = "abort"


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands. `RunFolder.write_status` fills in `updated` and who writes (pid, host, birth) where they are empty.

    Attributes:
        state: what it is doing.
        phase, phases: the phase it is in, and all phases in their order.
        images, total_images: training pictures shown, and to be shown; `images` is the clock of everything in the folder.
        images_per_second: of late.
        eta_seconds: until the end, None while unknown.
        cpu_seconds: spent by all of the run's processes so far, over all resumptions.
        started, updated: ISO 8601 with time zone.
        message: one line for the user: why it failed, what it waits for.
        numbers: (name, value) of the latest losses and measures.
        pid, host, birth: the process that wrote it; `birth` tells it from a later process with the same number.
    """

    state: RunState
    phase: str = ""
    phases: tuple[str, ...] = ()
    images: int = 0
    total_images: int = 0
    images_per_second: float = 0.0
    eta_seconds: float | None = None
    cpu_seconds: float = 0.0
    started: str = ""
    updated: str = ""
    message: str = ""
    numbers: tuple[tuple[str, float], ...] = ()
    pid: int = 0
    host: str = ""
    birth: str = ""


@dataclass(frozen=True)
class LogRecord:
    """One line of a run's log.

    Attributes:
        kind: "numbers" for measured values; "resume" where a run goes on from a checkpoint; other words name events
            ("phase", "checkpoint", "warning", "evaluation", …).
        images: training pictures shown.
        phase: of the training.
        values: (name, value) pairs.
        text: of an event, for people.
        time: ISO 8601; filled in when empty.
    """

    kind: str
    images: int
    phase: str = ""
    values: tuple[tuple[str, float], ...] = ()
    text: str = ""
    time: str = ""


class RunFolder:
    """One training run on disk. Methods that write raise OSError when they cannot; those that read say that nothing is there.

    Attributes:
        path: the folder; the others are the files and folders in it, which need not exist yet.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.json"
        self.status_file = self.path / "status.json"
        self.control = self.path / "control.json"
        self.log = self.path / "log.jsonl"
        self.report = self.path / "report.json"
        self.pack = self.path / "pack.agora"
        self.checkpoints = self.path / "checkpoints"
        self.snapshots = self.path / "snapshots"
        self.samples_folder = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self._seen: tuple[int, int, int] | None = None

    def sample_file(self, images: int) -> Path:
        """Where the sample grid belongs that was drawn after `images` training pictures."""
        return self.samples_folder / f"{images:09d}.png"

    def samples(self) -> list[Path]:
        """The sample grids, in the order of training."""
        try:
            paths = [path for path in self.samples_folder.iterdir() if path.suffix == ".png" and path.stem.isdecimal()]
        except OSError:
            return []
        return sorted(paths, key=lambda path: int(path.stem))

    # --- status

    def write_status(self, status: RunStatus) -> None:
        """Tell onlookers where the run stands; takes about a millisecond."""
        if not status.pid:
            status = replace(status, pid=os.getpid(), host=socket.gethostname(), birth=birth_of(os.getpid()))
        if not status.updated:
            status = replace(status, updated=_now())
        _write(self.status_file, json.dumps({**asdict(status), "state": status.state.value,
                                             "numbers": _plain(status.numbers)}).encode())

    def status(self) -> RunStatus | None:
        """What the trainer last said, None when nothing (readable) is there."""
        content = _read(self.status_file)
        try:
            return _status(json.loads(content)) if content else None
        except (ValueError, TypeError, KeyError, OverflowError):
            return None

    def is_alive(self) -> bool:
        """Whether the process that wrote the status still runs; False after a final status.

        On this Linux machine the process is looked up with its start time, so that a later process with the same number is not
        taken for it. Elsewhere a process is alive while its heart has beaten in the last DEAD_AFTER_SECONDS (`heartbeat`).
        """
        status = self.status()
        if status is None or status.state.is_final or status.pid <= 0:
            return False
        if status.host == socket.gethostname():
            if status.birth and _can_look_up():
                return birth_of(status.pid) == status.birth
            if os.name == "posix" and not _pid_exists(status.pid):
                return False
        return self._silence(status) <= DEAD_AFTER_SECONDS

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """While inside, the status file is touched every few seconds, however long a step takes."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(_BEAT_SECONDS):
                self.beat()

        thread = threading.Thread(target=beat, name="run-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def beat(self) -> None:
        """Show that the process is alive without saying anything new. Never raises."""
        with suppress(OSError):  # no status yet, or the disk is away: then nobody hears it
            os.utime(self.status_file)

    def _silence(self, status: RunStatus) -> float:
        """Seconds since the last sign of life, by the clock of this machine."""
        signs = []
        with suppress(OSError):
            signs.append(self.status_file.stat().st_mtime)
        with suppress(ValueError):
            signs.append(datetime.fromisoformat(status.updated).timestamp())
        return abs(time.time() - max(signs)) if signs else math.inf

    # --- requests

    def request(self, request: Request) -> None:
        """Ask the trainer for something. A request that it has not yet taken is replaced."""
        _write(self.control, json.dumps({"request": request.value, "written": _now()}).encode())

    def take_request(self) -> Request | None:
        """The request made since the last call, once. Costs one look at the file's date, so it can be asked at every step."""
        try:
            stat = self.control.stat()
        except OSError:
            return None
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen == self._seen:
            return None  # it could not be taken away, and it has been answered already
        taken = self.path / f".control.json.taken-{secrets.token_hex(6)}"
        try:
            os.replace(self.control, taken)  # first away, then read: a request that comes now is not lost
        except FileNotFoundError:
            return None
        except OSError:
            taken, self._seen = self.control, seen
        content = _read(taken)
        if taken != self.control:
            taken.unlink(missing_ok=True)
        try:
            return Request(json.loads(content)["request"]) if content else None
        except (ValueError, TypeError, KeyError):
            return None

    def clear_requests(self) -> None:
        """Forget what was asked of an earlier process. To be called before anybody can know of the new one."""
        try:
            self.control.unlink(missing_ok=True)
        except OSError:
            self.take_request()

    # --- log

    def append_log(self, record: LogRecord) -> None:
        """Add one line. A line that a crash has torn is closed first, so that it spoils no other."""
        line = json.dumps({**asdict(record), "values": _plain(record.values), "time": record.time or _now()}) + "\n"
        self.path.mkdir(parents=True, exist_ok=True)
        with self.log.open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode())

    def read_log(self, offset: int = 0) -> tuple[list[LogRecord], int]:
        """Records from a byte offset on, and the offset where to go on reading.

        A line that is still being written is left for the next call; damaged lines are passed over. When the log is shorter
        than `offset` it is another one and is read from its start.
        """
        try:
            with self.log.open("rb") as file:
                if offset > file.seek(0, os.SEEK_END):
                    offset = 0
                file.seek(offset)
                content = file.read(_LARGEST_READ)
        except OSError:
            return [], offset
        whole = content.rfind(b"\n") + 1 or (len(content) if len(content) == _LARGEST_READ else 0)  # never stuck on rubbish
        records = [record for line in content[:whole].split(b"\n") if (record := _record(line)) is not None]
        return records, offset + whole


def without_overtaken(records: list[LogRecord]) -> list[LogRecord]:
    """The log as the training went on: what came after a checkpoint from which it was resumed later is left out."""
    kept: list[LogRecord] = []
    for record in records:
        if record.kind == "resume":
            kept = [earlier for earlier in kept if earlier.images <= record.images]
        kept.append(record)
    return kept


def birth_of(pid: int) -> str:
    """What tells a live process from every other that has or had its number; empty where the system does not say.

    Linux: the boot's id and the clock tick of the start (field 22 of /proc/PID/stat, proc(5)). Zombies count as ended.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, ValueError):
        return ""
    fields = stat[stat.rfind(")") + 1:].split()  # the name before it may contain anything
    return "" if len(fields) < 20 or fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _can_look_up() -> bool:
    return bool(birth_of(os.getpid()))


def _pid_exists(pid: int) -> bool:
    """Whether a process has this number. POSIX only: on Windows signal 0 is Ctrl-C."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _plain(pairs: tuple[tuple[str, float], ...]) -> list[list]:
    """JSON knows no NaN and no infinity: they are written as words that `float` reads."""
    return [[name, float(value) if math.isfinite(value) else str(float(value))] for name, value in pairs]


def _pairs(values: object) -> tuple[tuple[str, float], ...]:
    return tuple((str(name), float(value)) for name, value in values)  # type: ignore[attr-defined]


def _status(content: dict) -> RunStatus:
    eta = content["eta_seconds"]
    return RunStatus(
        state=RunState(content["state"]), phase=str(content["phase"]), phases=tuple(str(phase) for phase in content["phases"]),
        images=int(content["images"]), total_images=int(content["total_images"]),
        images_per_second=float(content["images_per_second"]), eta_seconds=None if eta is None else float(eta),
        cpu_seconds=float(content["cpu_seconds"]), started=str(content["started"]), updated=str(content["updated"]),
        message=str(content["message"]), numbers=_pairs(content["numbers"]), pid=int(content["pid"]), host=str(content["host"]),
        birth=str(content["birth"]))


def _record(line: bytes) -> LogRecord | None:
    try:
        content = json.loads(line)
        return LogRecord(str(content["kind"]), int(content["images"]), str(content["phase"]), _pairs(content["values"]),
                         str(content["text"]), str(content["time"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _patiently(action: Callable[[], _Result]) -> _Result:
    """Windows refuses a file that another program holds open for a moment; nowhere else is anything tried twice."""
    for _ in range(20 if os.name == "nt" else 0):
        try:
            return action()
        except PermissionError:
            time.sleep(0.01)
    return action()


def _write(target: Path, content: bytes) -> None:
    """Write a small file whole. It is not forced to the disk: it tells of a process, and after a power cut there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(6)}"
    try:
        temporary.write_bytes(content)
        _patiently(lambda: os.replace(temporary, target))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    """Content of a small file, empty when there is none."""
    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(_LARGEST_FILE)

    try:
        return _patiently(read)
    except OSError:
        return b""
