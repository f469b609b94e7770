"""Work in several processes: everything is done once, and nobody outlives a parent that was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from threadpoolctl import threadpool_info

from trainer.data.workers import finished

ROOT = Path(__file__).resolve().parents[2]
ENDLESS = """
import time
from trainer.data.workers import finished

if __name__ == "__main__":
    list(finished(time.sleep, [(600,), (600,)], 2))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(tmp_path, workers):
    jobs = [(tmp_path / str(number), 0o700) for number in range(5)]
    assert sorted(finished(Path.mkdir, jobs, workers)) == jobs
    assert sorted(path for path, _ in jobs) == sorted(tmp_path.iterdir())


def test_a_failure_ends_the_work(tmp_path):
    with pytest.raises(FileExistsError):
        list(finished(Path.mkdir, [(tmp_path,), (tmp_path,)], 2))


def note_threads(path: Path) -> None:
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    path.write_text(json.dumps(pools))


def test_workers_do_not_crowd_each_other_out(tmp_path):
    """A matrix product in a worker keeps to its thread, however wide the machine."""
    jobs = [(tmp_path / str(number),) for number in range(2)]
    list(finished(note_threads, jobs, 2))
    assert all(set(json.loads(path.read_text())) == {1} for path, in jobs)


def test_workers_leave_with_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    with subprocess.Popen([sys.executable, str(script)], env={"PYTHONPATH": str(ROOT), "PATH": ""}) as parent:
        process, workers = psutil.Process(parent.pid), []
        while len(workers) < 2 and parent.poll() is None:
            workers = [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2
    assert not alive
