"""The mailbox between live threads: being woken without an item, and being emptied."""

from __future__ import annotations

import threading

from core.pipeline.slots import Slot


def test_a_poke_wakes_a_consumer_that_waits_for_nothing():
    slot, got = Slot(), []
    consumer = threading.Thread(target=lambda: got.append(slot.take(timeout=20)))
    consumer.start()
    slot.poke()
    consumer.join(10)
    assert got == [None]


def test_a_poke_before_the_wait_counts_once():
    slot = Slot()
    slot.poke()
    assert slot.take(timeout=20) is None
    slot.put("a", 1)
    slot.poke()
    assert slot.take(timeout=20).value == "a"  # the poke is spent: whoever takes looks at everything
    assert slot.take(timeout=0) is None


def test_a_cleared_slot_is_empty_and_nothing_was_dropped():
    slot = Slot()
    slot.put("old", 1)
    slot.clear()
    assert slot.take(timeout=0) is None
    slot.put("new", 2)
    assert slot.take(timeout=0).value == "new"
    assert slot.dropped == 0
