"""The one-element mailbox between live threads: the newest item wins, nothing queues, so latency cannot grow."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class SlotClosed(Exception):
    """The other side has stopped."""


@dataclass(frozen=True)
class Item(Generic[T]):
    """What lies in a slot, with the time (`perf_counter_ns`) at which its picture was captured."""

    value: T
    captured_ns: int


class Slot(Generic[T]):
    """One producer puts, one consumer takes; what was not taken in time is overwritten and counted in `dropped`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: Item[T] | None = None
        self._closed = False
        self._poked = False
        self.dropped = 0

    def put(self, value: T, captured_ns: int | None = None) -> None:
        """Replace what lies in the slot. Never waits. Raises SlotClosed."""
        item = Item(value, time.perf_counter_ns() if captured_ns is None else captured_ns)
        with self._condition:
            if self._closed:
                raise SlotClosed
            self.dropped += self._item is not None
            self._item = item
            self._condition.notify()

    def take(self, timeout: float | None = None) -> Item[T] | None:
        """The newest item, waiting for one; None when `timeout` seconds pass without or somebody pokes.

        Raises SlotClosed once it is empty.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed or self._poked, timeout)
            item, self._item = self._item, None
            self._poked = False
            if item is None and self._closed:
                raise SlotClosed
            return item

    def poke(self) -> None:
        """Wake the consumer although there may be nothing to take: it has other things to look at."""
        with self._condition:
            self._poked = True
            self._condition.notify_all()

    def clear(self) -> None:
        """Throw away what lies in the slot; it does not count as dropped."""
        with self._condition:
            self._item = None

    def close(self) -> None:
        """Wake whoever waits; what still lies in the slot can be taken."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
