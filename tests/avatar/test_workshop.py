from __future__ import annotations

import io
import json
import pickle
import queue
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from core.avatar import portraits, workshop
from core.avatar.pack import write_pack
from core.avatar.person import parse_person
from core.avatar.portraits import IDENTITY, THUMBNAIL, Job, KnownPerson, Reply, ThumbnailShelf
from core.avatar.workshop import Workshop
from core.errors import AgoraError, InputError, PackError

PATIENCE = 10.0


class FakeSource:
    """A disk: `stored` people can be had at once."""

    fingerprint = "fake"
    names = ()

    def __init__(self, sample) -> None:
        self.pack, self._identity, self.stored = sample.pack, sample.identity, set()

    def at_hand(self, person):
        return self.make(person.text) if person.text in self.stored else None

    def make(self, text):
        return replace(self._identity, name=text)


class FakeChild:
    """A child that does a job when it is let; `jobs` holds what it was given."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._replies: queue.Queue = queue.Queue()
        self.stopped = threading.Event()

    def send(self, job: Job) -> None:
        self.stage.jobs.append(job)
        self._replies.put(job)

    def receive(self) -> Reply:
        job = self._replies.get(timeout=PATIENCE)
        while not self.stage.gate.acquire(timeout=0.01):
            if self.stopped.is_set():
                raise EOFError
        if self.stage.deaths:
            self.stage.deaths -= 1
            raise EOFError("killed")
        return self.stage.reply(job)

    def stop(self) -> None:
        self.stopped.set()

    def dispose(self) -> None:
        self.stage.gone += 1


class Stage:
    """Everything around a workshop whose child and source are fakes."""

    def __init__(self, monkeypatch, sample, idle=60.0) -> None:
        self.source = FakeSource(sample)
        self.jobs: list[Job] = []
        self.gate = threading.Semaphore(0)
        self.deaths, self.hired, self.gone = 0, 0, 0
        self.keeps = True  # the child can write to the disk
        monkeypatch.setattr(workshop, "open_source", lambda path: self.source)
        self.workshop = Workshop(None, 64, self.hire, idle)

    def hire(self, path, size):
        self.hired += 1
        return FakeChild(self)

    def reply(self, job: Job) -> Reply:
        if job.person == "13":
            return Reply(error=InputError("nobody is 13", "choose 14"))
        if job.kind == THUMBNAIL:
            return Reply(png=f"png of {job.person}".encode())
        if not self.keeps:
            return Reply(identity=self.source.make(job.person))
        self.source.stored.add(job.person)
        return Reply()

    def let(self, number: int = 1) -> None:
        for _ in range(number):
            self.gate.release()

    def wait_for_jobs(self, number: int) -> None:
        end = time.monotonic() + PATIENCE
        while len(self.jobs) < number and time.monotonic() < end:
            threading.Event().wait(0.002)
        assert len(self.jobs) >= number

    def wait_until_queued(self, number: int) -> None:
        end = time.monotonic() + PATIENCE
        while len(self.workshop._for_child) < number and time.monotonic() < end:
            threading.Event().wait(0.002)
        assert len(self.workshop._for_child) == number


@pytest.fixture
def stage(monkeypatch, relative, tmp_path):
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    made = Stage(monkeypatch, relative)
    yield made
    made.let(1000)
    made.workshop.close()


def test_people_on_disk_need_no_child(stage):
    stage.source.stored.add("5")
    assert stage.workshop.identity("5").result(PATIENCE).name == "5"
    assert stage.hired == 0


def test_people_are_built_once_and_then_come_from_memory(stage):
    stage.let()
    first = stage.workshop.identity("5").result(PATIENCE)
    again = stage.workshop.identity(" 05 ")
    assert again.done()
    assert again.result() is first
    assert [job.person for job in stage.jobs] == ["5"]


def test_the_same_wish_twice_is_one_job(stage):
    assert stage.workshop.identity("5") is stage.workshop.identity("5")


def test_memory_is_limited(stage):
    stage.source.stored |= {str(seed) for seed in range(40)}
    for seed in range(40):
        stage.workshop.identity(str(seed)).result(PATIENCE)
    assert len(stage.workshop._memory) == workshop.REMEMBERED
    assert not stage.workshop.identity("0").done() or "0" not in stage.workshop._memory


def test_a_full_disk_does_not_lose_people(stage):
    stage.keeps = False
    stage.let()
    assert stage.workshop.identity("5").result(PATIENCE).name == "5"


def test_errors_come_back_with_their_words(stage):
    stage.let(2)
    for wish in (stage.workshop.identity, stage.workshop.thumbnail):
        with pytest.raises(InputError, match="nobody is 13") as caught:
            wish("13").result(PATIENCE)
        assert caught.value.hint == "choose 14"
    with pytest.raises(InputError, match="not a whole number"):
        stage.workshop.identity("anna")


def test_errors_survive_the_way_between_processes():
    error = pickle.loads(pickle.dumps(Reply(error=PackError("damaged", "fetch it again")))).error
    assert (type(error), error.message, error.hint) == (PackError, "damaged", "fetch it again")


def test_people_go_before_pictures_and_new_wishes_before_old_ones(stage):
    first = stage.workshop.thumbnail("1")
    stage.wait_for_jobs(1)
    wishes = [stage.workshop.thumbnail("2"), stage.workshop.thumbnail("3")]
    stage.workshop.preload(["6"])
    wishes += [stage.workshop.identity("4"), stage.workshop.identity("5")]
    stage.wait_until_queued(5)
    stage.let(6)
    for wish in (first, *wishes):
        wish.result(PATIENCE)
    assert [job.person for job in stage.jobs] == ["1", "5", "4", "6", "3", "2"]
    assert stage.jobs[0] == Job(THUMBNAIL, "1")
    assert stage.jobs[1] == Job(IDENTITY, "5")


def test_pictures_that_nobody_sees_any_more_are_given_up(stage):
    under_way = stage.workshop.thumbnail("1")
    stage.wait_for_jobs(1)
    kept, given_up = stage.workshop.thumbnail("2"), stage.workshop.thumbnail("3")
    stage.wait_until_queued(2)
    stage.workshop.cancel_thumbnails({"2"})
    stage.let(2)
    assert under_way.result(PATIENCE) == b"png of 1"
    assert kept.result(PATIENCE) == b"png of 2"
    with pytest.raises(CancelledError):
        given_up.result(PATIENCE)
    assert [job.person for job in stage.jobs] == ["1", "2"]
    again = stage.workshop.thumbnail("3")
    stage.let()
    assert again.result(PATIENCE) == b"png of 3"


def test_superseded_people_and_forgotten_preloads_are_not_built(stage):
    stage.workshop.thumbnail("1")
    stage.wait_for_jobs(1)
    old = stage.workshop.identity("2")
    stage.workshop.preload(["8", "9"])
    stage.wait_until_queued(3)
    stage.workshop.cancel_identities({"3"})
    new = stage.workshop.identity("3")
    stage.workshop.preload(["9"])
    assert old.cancelled()
    stage.wait_until_queued(2)
    stage.let(3)
    assert new.result(PATIENCE).name == "3"
    stage.workshop.identity("9").result(PATIENCE)
    assert [job.person for job in stage.jobs] == ["1", "3", "9"]


def test_a_child_that_dies_is_replaced_once(stage, caplog):
    stage.deaths = 1
    stage.let(2)
    assert stage.workshop.identity("5").result(PATIENCE).name == "5"
    assert stage.hired == 2
    stage.deaths = 2
    stage.let(2)
    with pytest.raises(AgoraError, match="background process ended while building person 6"):
        stage.workshop.identity("6").result(PATIENCE)
    stage.let()
    assert stage.workshop.identity("7").result(PATIENCE).name == "7"


def test_an_idle_child_goes_home_and_comes_back(monkeypatch, relative, tmp_path):
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    stage = Stage(monkeypatch, relative, idle=0.05)
    stage.let(2)
    stage.workshop.identity("5").result(PATIENCE)
    end = time.monotonic() + PATIENCE
    while stage.gone < 1 and time.monotonic() < end:
        threading.Event().wait(0.005)
    stage.workshop.identity("6").result(PATIENCE)
    assert (stage.hired, stage.gone) in ((2, 1), (2, 2))
    stage.workshop.close()


def test_closing_gives_everything_up_in_time(stage):
    running, waiting = stage.workshop.identity("5"), stage.workshop.thumbnail("6")
    stage.wait_for_jobs(1)
    started = time.monotonic()
    stage.workshop.close()
    assert time.monotonic() - started < 2
    assert running.cancelled()
    assert waiting.cancelled()
    assert stage.workshop.identity("7").cancelled()
    assert not any(thread.is_alive() for thread in stage.workshop._threads)


def test_a_bad_pack_is_told_by_every_wish(tmp_path):
    made = Workshop(tmp_path / "missing.agora", 64)
    for wish in (made.open(), made.people(), made.known(), made.identity("1"), made.thumbnail("1")):
        with pytest.raises(PackError, match=r"missing\.agora"):
            wish.result(PATIENCE)
    made.close()


def test_people_of_a_pack(tmp_path, additive):
    path = tmp_path / "p.agora"
    write_pack(path, replace(additive.pack, identities=(additive.identity, replace(additive.identity, seed=None))))
    made = Workshop(path, 64)
    assert made.people().result(PATIENCE) == (str(additive.identity.seed), "1")
    assert made.identity("1").result(PATIENCE).seed is None
    assert made.pack.manifest.name == additive.pack.manifest.name
    with pytest.raises(InputError, match="cannot be mixed"):
        made.identity("1+2@0.5").result(PATIENCE)
    made.close()


# ---------------------------------------------------------------------------------------------------------- thumbnails on disk


def picture(name: str, tags: list[str]) -> bytes:
    info = portraits.PngInfo()
    info.add_text(portraits.ABOUT, json.dumps({"name": name, "tags": tags}))
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "PNG", pnginfo=info)
    return content.getvalue()


def test_the_shelf_knows_who_is_on_it(monkeypatch, tmp_path):
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    shelf = ThumbnailShelf("f", 64)
    mix = parse_person("7+42@0.5")
    shelf.write(mix, picture("mix", ["bun", "glasses"]))
    shelf.path(parse_person("8")).write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(shelf.path(parse_person("9")))
    assert list(shelf.known()) == [KnownPerson("7+42@0.5", "mix", ("bun", "glasses"))]
    assert shelf.read(mix) == picture("mix", ["bun", "glasses"])
    assert shelf.read(parse_person("1")) is None
    shelf.make_room(0)
    assert list(shelf.known()) == []


def test_one_bad_person_does_not_stop_the_child(monkeypatch, tmp_path):
    class Bench:
        def __init__(self, *arguments) -> None:
            pass

        def do(self, job):
            if job.person == "1":
                raise ZeroDivisionError("division")
            raise InputError("no", "hint")

    class Pipe:
        def __init__(self) -> None:
            self.jobs, self.replies = [Job(IDENTITY, "1"), Job(IDENTITY, "2"), None], []

        def recv(self):
            return self.jobs.pop(0)

        def send(self, reply):
            self.replies.append(reply)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(portraits, "_Bench", Bench)
    monkeypatch.setattr(portraits, "_keep_out_of_the_way", lambda: None)
    pipe = Pipe()
    portraits.serve(pipe, None, 64)
    assert "person 1 cannot be built: ZeroDivisionError: division" in pipe.replies[0].error.message
    assert pipe.replies[1].error.hint == "hint"


def test_a_real_child_builds_a_real_person(monkeypatch, tmp_path):
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path))
    made = Workshop(None, 96)
    try:
        png = made.thumbnail("7+42@0.5").result(120)
        with Image.open(io.BytesIO(png)) as image:
            pixels = np.asarray(image).astype(int)
            about = json.loads(image.info[portraits.ABOUT])
        assert pixels.shape == (96, 96, 3)
        assert about["name"].startswith("mix 7+42@0.5: ")
        corner, face = pixels[4:12, 4:12].reshape(-1, 3), pixels[44:56, 44:52].reshape(-1, 3)
        assert corner.std(0).max() < 8  # a plain wall
        assert (face[:, 0] - face[:, 2]).mean() > 20  # skin is redder than blue
        child = made._child.process
        assert not Path(f"/proc/{child.pid}/maps").is_file() or "libtorch" not in Path(f"/proc/{child.pid}/maps").read_text()
        if hasattr(portraits.os, "nice"):
            assert psutil.Process(child.pid).nice() >= portraits.NICENESS
        identity = made.identity("7+42@0.5").result(PATIENCE)
        assert identity.seed is None
        assert [person.text for person in made.known().result(PATIENCE)] == ["7+42@0.5"]
        pid = child.pid
    finally:
        made.close()
    assert not psutil.pid_exists(pid)
    assert not list(tmp_path.rglob(".*"))  # no half-written files
