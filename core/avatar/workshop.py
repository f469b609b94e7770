"""Builds people and their thumbnails in one calm process of its own, so that live threads are not disturbed."""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

from core.avatar.identity import Identity
from core.avatar.pack import AvatarPack
from core.avatar.person import Person, parse_person
from core.avatar.portraits import IDENTITY, THUMBNAIL, Job, KnownPerson, Reply, ThumbnailShelf, serve
from core.avatar.sources import IdentitySource, open_source
from core.errors import AgoraError

log = logging.getLogger(__name__)

REMEMBERED = 24  # people kept in memory, about 9 MB each
IDLE_SECONDS = 90.0  # after which the child goes home
_ENDING_SECONDS = 1.0
_READ_PEOPLE, _READ_PICTURES, _READ_LISTS = range(3)  # what the reading thread does first
_WANTED, _FORESEEN, _PICTURE = range(3)  # what the child does first


class Child(Protocol):
    """The process that does the work, seen from the workshop's own thread."""

    def send(self, job: Job) -> None:
        """Raises OSError when the process is gone."""

    def receive(self) -> Reply:
        """Wait for the reply. Raises EOFError when the process is gone."""

    def stop(self) -> None:
        """End the process; may be called from any thread, and makes `receive` raise."""

    def dispose(self) -> None:
        """Release what is left."""


@dataclass(eq=False)
class _Order:
    """Something that somebody waits for."""

    kind: str
    person: Person
    rank: int
    number: int
    future: Future = field(default_factory=Future)
    attempts: int = 0


class Workshop:
    """People of one source by name, from memory, disk or a child process. All methods return at once, from any thread.

    What goes wrong comes out of the futures as AgoraError; futures that are given up are cancelled.

    Args:
        pack_path: the pack whose people are wanted; None for the studio people that ship.
        size: pixels along one side of a thumbnail.
        start_child: starts the process, for tests.
        idle_seconds: time without work after which the process ends; the next job starts it again.
    """

    def __init__(self, pack_path: Path | None = None, size: int = 192,
                 start_child: Callable[[Path | None, int], Child] | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        self.pack_path, self.size = pack_path, size
        self._start_child, self._idle_seconds = start_child or ChildProcess, idle_seconds
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._numbers = itertools.count()
        self._orders: dict[tuple[str, str], _Order] = {}  # everything under way
        self._for_child: list[_Order] = []
        self._memory: OrderedDict[str, Identity] = OrderedDict()
        self._reading: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._source: IdentitySource | None = None
        self._shelf: ThumbnailShelf | None = None
        self._child: Child | None = None
        self._closing = False
        self._threads = [threading.Thread(target=work, name=f"workshop-{name}", daemon=True)
                         for name, work in (("reader", self._read), ("foreman", self._supervise))]
        for thread in self._threads:
            thread.start()

    # ------------------------------------------------------------------------------------------------------- for anybody

    def open(self) -> Future[AvatarPack]:
        """The pack itself. PackError when it cannot be used."""
        return self._ask(lambda: self._opened().pack, _READ_PEOPLE)

    def people(self) -> Future[tuple[str, ...]]:
        """Names of the stored people; empty where any seed is somebody."""
        return self._ask(lambda: getattr(self._opened(), "names", ()), _READ_PEOPLE)

    def known(self) -> Future[tuple[KnownPerson, ...]]:
        """Everybody who has a thumbnail on disk."""
        return self._ask(lambda: tuple(self._opened_shelf().known()), _READ_LISTS)

    def identity(self, person: Person | str) -> Future[Identity]:
        """A person: at once when in memory, some 20 ms when on disk, else built. The newest request is built first."""
        return self._request(IDENTITY, _as_person(person), _WANTED)

    def thumbnail(self, person: Person | str) -> Future[bytes]:
        """A PNG of a person at rest, `size` pixels wide. Text chunk "About" holds name and tags."""
        return self._request(THUMBNAIL, _as_person(person), _PICTURE)

    def preload(self, people: Sequence[Person | str]) -> None:
        """Have these people in memory soon; people of an earlier call who are not begun yet are forgotten."""
        wanted = [_as_person(person) for person in people][:REMEMBERED - 4]
        self._give_up(_FORESEEN, {person.text for person in wanted})
        for person in wanted:
            self._request(IDENTITY, person, _FORESEEN)

    def cancel_identities(self, keep: Collection[str] = ()) -> None:
        """Give up all requests for people, except these, that are not begun yet."""
        self._give_up(_WANTED, keep)

    def cancel_thumbnails(self, keep: Collection[str] = ()) -> None:
        """Give up all requests for thumbnails, except of these people, that are not begun yet."""
        self._give_up(_PICTURE, keep)

    @property
    def pack(self) -> AvatarPack | None:
        """The pack, once it has been read."""
        return self._source.pack if self._source else None

    def close(self) -> None:
        """End the child and the threads, within two seconds; what is under way is cancelled."""
        with self._changed:
            self._closing = True
            child, orders = self._child, list(self._orders.values())
            self._changed.notify_all()
        for order in orders:
            order.future.cancel()
        self._reading.put((-1, 0, None))
        if child is not None:
            child.stop()
        deadline = time.monotonic() + 2 * _ENDING_SECONDS
        for thread in self._threads:
            thread.join(max(0.05, deadline - time.monotonic()))

    # ---------------------------------------------------------------------------------------------------------- requests

    def _request(self, kind: str, person: Person, rank: int) -> Future:
        with self._changed:
            if self._closing:
                return _cancelled()
            if kind == IDENTITY and person.text in self._memory:
                self._memory.move_to_end(person.text)
                return _done(self._memory[person.text])
            order = self._orders.get((kind, person.text))
            if order is not None and not order.future.cancelled():
                order.rank = min(order.rank, rank)
                order.number = next(self._numbers)
                return order.future
            order = _Order(kind, person, rank, next(self._numbers))
            self._orders[kind, person.text] = order
        reading = _READ_PEOPLE if rank == _WANTED else _READ_PICTURES
        self._reading.put((reading, order.number, lambda: self._look_up(order)))
        return order.future

    def _give_up(self, rank: int, keep: Collection[str]) -> None:
        with self._changed:
            gone = [order for order in self._orders.values() if order.rank == rank and order.person.text not in keep
                    and not (order.attempts and order not in self._for_child)]
            for order in gone:
                self._orders.pop((order.kind, order.person.text))
                if order in self._for_child:
                    self._for_child.remove(order)
        for order in gone:
            order.future.cancel()

    def _finish(self, order: _Order, result: object = None, error: BaseException | None = None) -> None:
        with self._changed:
            if self._orders.get((order.kind, order.person.text)) is order:
                self._orders.pop((order.kind, order.person.text))
            if order.kind == IDENTITY and error is None:
                self._memory[order.person.text] = result
                self._memory.move_to_end(order.person.text)
                while len(self._memory) > REMEMBERED:
                    self._memory.popitem(last=False)
        _settle(order.future, result, error)

    # ------------------------------------------------------------------------------------------------ the reading thread

    def _read(self) -> None:
        while not self._closing:
            task = self._reading.get()[2]
            if task is None:
                return
            task()

    def _ask(self, question: Callable[[], object], rank: int) -> Future:
        future: Future = Future()

        def answer() -> None:
            try:
                _settle(future, question())
            except Exception as error:
                _settle(future, error=error)

        self._reading.put((rank, next(self._numbers), answer))
        return _cancelled() if self._closing else future

    def _opened(self) -> IdentitySource:
        if self._source is None:
            self._source = open_source(self.pack_path)
        return self._source

    def _opened_shelf(self) -> ThumbnailShelf:
        if self._shelf is None:
            self._shelf = ThumbnailShelf(self._opened().fingerprint, self.size)
        return self._shelf

    def _look_up(self, order: _Order) -> None:
        """Disk first; what is not there is put before the child."""
        if order.future.cancelled():
            return
        try:
            found = self._opened().at_hand(order.person) if order.kind == IDENTITY else self._opened_shelf().read(order.person)
        except Exception as error:
            self._finish(order, error=error)
            return
        if found is not None:
            self._finish(order, found)
            return
        with self._changed:
            self._for_child.append(order)
            self._changed.notify_all()

    def _collect(self, order: _Order) -> None:
        """A person the child has finished, from the disk."""
        try:
            found = self._opened().at_hand(order.person)
        except Exception as error:
            self._finish(order, error=error)
            return
        if found is None:
            self._finish(order, error=AgoraError(f"person {order.person.text} was built but is gone from the disk",
                                                 "there may be too little room in the cache folder"))
            return
        self._finish(order, found)

    # ----------------------------------------------------------------------------------------------- the foreman's thread

    def _supervise(self) -> None:
        while True:
            with self._changed:
                waited = True
                while waited and not self._closing and not self._for_child:
                    waited = self._changed.wait(self._idle_seconds if self._child else None)
                order = self._next_order() if self._for_child and not self._closing else None
            if order is not None:
                self._have_made(order)
            else:  # closing, or nothing to do for long
                self._send_home()
            if self._closing:
                return

    def _next_order(self) -> _Order:
        """People before pictures, the newest request before older ones."""
        best = min(self._for_child, key=lambda order: (order.rank, -order.number))
        self._for_child.remove(best)
        return best

    def _have_made(self, order: _Order) -> None:
        """Let the child do one job; a child that dies over it is replaced once."""
        order.attempts += 1
        try:
            child = self._hire()
            child.send(Job(order.kind, order.person.text))
            reply = child.receive()
        except (EOFError, OSError) as error:
            self._send_home()
            if self._closing:
                order.future.cancel()
            elif order.attempts < 2:
                log.warning("the workshop's process ended (%s) while making %s; starting it again", error, order.person.text)
                with self._changed:
                    self._for_child.append(order)
            else:
                self._finish(order, error=AgoraError(f"the background process ended while building person {order.person.text}",
                                                     "there may be too little memory; close other programs and try again"))
            return
        if reply.error is not None:
            self._finish(order, error=reply.error)
        elif order.kind == THUMBNAIL:
            self._finish(order, reply.png)
        elif reply.identity is not None:
            self._finish(order, reply.identity)
        else:
            self._reading.put((_READ_PEOPLE, order.number, lambda: self._collect(order)))

    def _hire(self) -> Child:
        if self._child is None:
            child = self._start_child(self.pack_path, self.size)
            with self._changed:
                self._child = child
            if self._closing:
                raise EOFError("closing")
        return self._child

    def _send_home(self) -> None:
        with self._changed:
            child, self._child = self._child, None
        if child is not None:
            child.stop()
            child.dispose()


class ChildProcess:
    """The real process, started afresh (not forked), so that it inherits no threads, no graphics and no Qt."""

    def __init__(self, pack_path: Path | None, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, pack_path, size), name="agora-workshop", daemon=True)
        self.process.start()
        theirs.close()

    def send(self, job: Job) -> None:
        self._connection.send(job)

    def receive(self) -> Reply:
        if self._connection in wait([self._connection, self.process.sentinel]):
            return self._connection.recv()
        raise EOFError(f"exit code {self.process.exitcode}")

    def stop(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # already disposed of
            self.process.terminate()

    def dispose(self) -> None:
        self.process.join(_ENDING_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(_ENDING_SECONDS)
        self._connection.close()
        with contextlib.suppress(ValueError):  # killed, and on a crowded machine still not gone
            self.process.close()


def _as_person(person: Person | str) -> Person:
    return parse_person(person) if isinstance(person, str) else person


def _settle(future: Future, result: object = None, error: BaseException | None = None) -> None:
    with contextlib.suppress(InvalidStateError):  # given up in the meantime
        future.set_exception(error) if error is not None else future.set_result(result)


def _done(result: object) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future


def _cancelled() -> Future:
    future: Future = Future()
    future.cancel()
    return future
