"""Takes for tests: finished ones, and such as a kill leaves them."""

from __future__ import annotations

import subprocess
import sys

from core.pipeline.live.take import Owner, Sidecar, TakeAbout, read_sidecar, write_sidecar
from core.pipeline.live.take_recorder import TakeRecorder, TakeSettings
from tests.pipeline.live.pictures import FakeClock, live_picture

FRAME = 33_333_333


def record(folder, frames=20, person="7"):
    clock = FakeClock()
    recorder = TakeRecorder(folder, TakeSettings(), TakeAbout(person=person, pack="Studio"), clock=clock)
    for index in range(frames):
        clock.now += FRAME
        recorder.accept(live_picture(clock.now, 60 + index))
    return recorder


def finished(folder, **options):
    return record(folder, **options).stop(20).take


def abandoned(folder, owner=None, frames=20):
    """A take as a kill leaves it, made from a finished one: the video under its temporary name, motion as a journal."""
    recorder = record(folder, frames)
    held = []
    recorder._files.close = lambda *_: (held.append(1), (None, None))[1]
    recorder.stop(20)
    files = recorder._files
    files._writer._join()
    files._journal.close()
    files._syncer.stop(False)
    sidecar = folder / f"{recorder.name}.json"
    info = read_sidecar(sidecar)
    write_sidecar(sidecar, Sidecar(info.video, info.started, info.about, owner=owner or dead_owner()))
    return recorder.name


def dead_owner():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return Owner(Owner.this_process().host, child.pid, 1.0)
