"""The outputs model: settings in, sinks out; failures in words; nothing to another machine without a word."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from agora_app.models.outputs import OutputsModel, is_local
from core.errors import DeviceError
from core.media.virtual_camera import VirtualCamera
from core.types import HeadParams


class FakeOutput:
    """A sink that remembers how it was made."""

    def __init__(self, *arguments, **named):
        self.arguments, self.named, self.closed = arguments, named, 0

    def close(self, timeout=0):
        self.closed += 1
        return True


class Maker:
    def __init__(self):
        self.made = []

    def __call__(self, *arguments, **named):
        self.made.append(FakeOutput(*arguments, **named))
        return self.made[-1]


@pytest.fixture
def cameras():
    return Maker()


@pytest.fixture
def senders():
    return Maker()


@pytest.fixture
def make(qapp, session, store, cameras, senders):
    models = []

    def make(**named):
        models.append(OutputsModel(session, store, make_camera=named.get("make_camera", cameras),
                                   make_sender=named.get("make_sender", senders)))
        return models[-1]

    yield make
    for model in models:
        model.close()


def test_all_is_off_at_first(make, session):
    model = make()
    assert not model.virtual_camera_on
    assert not model.osc_on
    assert model.virtual_camera_status == model.osc_status == "Off"
    assert not session.sinks


def test_the_camera_gets_the_size_of_the_picture(make, session, store, cameras, qtbot):
    session.picture = SimpleNamespace(image=np.zeros((360, 640, 3), np.uint8))
    store.change("performance", target_fps=25)
    model = make()
    with qtbot.waitSignal(model.changed):
        model.set_virtual_camera(True)
    assert cameras.made[0].arguments == (640, 360, 25)
    assert session.sinks == [cameras.made[0]]
    assert model.virtual_camera_on
    assert model.virtual_camera_status == "Starting…"
    cameras.made[0].named["on_open"]("/dev/video9")
    assert model.virtual_camera_status == "On: /dev/video9"
    model.set_virtual_camera(False)
    assert not session.sinks
    assert cameras.made[0].closed
    assert model.virtual_camera_status == "Off"


def test_what_the_settings_say_is_opened_at_the_start(make, session, store, cameras):
    store.change("output", virtual_camera=True, osc_enabled=True)
    model = make()
    assert model.virtual_camera_on
    assert model.osc_on
    assert len(session.sinks) == 2


def test_a_failure_comes_in_words_and_switches_off(make, session, store, cameras, qtbot):
    model = make()
    model.set_virtual_camera(True)
    failing = cameras.made[0].named["on_problem"]
    with qtbot.waitSignal(model.problem) as told:  # from another thread, as it happens
        thread = threading.Thread(target=failing, args=(DeviceError("no driver", "load it"),))
        thread.start()
        thread.join()
    assert told.args == ["no driver", "load it"]
    assert not model.virtual_camera_on
    assert not store.settings.output.virtual_camera
    assert model.virtual_camera_status == "Off: no driver"
    model.set_virtual_camera(True)
    failing(DeviceError("stale", ""))  # what an earlier one still reports concerns nobody
    assert model.virtual_camera_on


def test_osc_follows_its_settings(make, session, store, senders):
    model = make()
    model.set_osc(True)
    assert senders.made[0].arguments == ("vmc", "127.0.0.1", 39539)
    assert model.osc_status == "Sending VMC to 127.0.0.1:39539"
    store.change("output", osc_protocol="osc", osc_port=9000)
    assert senders.made[0].closed
    assert session.sinks == [senders.made[1]]
    assert senders.made[1].arguments == ("osc", "127.0.0.1", 9000)
    store.change("view", size=256)
    assert len(senders.made) == 2
    model.set_osc(False)
    assert not session.sinks
    assert model.osc_status == "Off"


def test_nothing_leaves_the_machine_without_a_word(make, store, senders, qtbot):
    store.change("output", osc_host="192.168.1.20")
    model = make()
    assert model.leaves_machine
    with qtbot.waitSignal(model.confirmation_needed) as asked:
        model.set_osc(True)
    assert "192.168.1.20" in asked.args[0]
    assert not senders.made
    assert not model.osc_on
    assert not store.settings.output.osc_enabled
    model.set_osc(True, confirmed=True)
    assert senders.made[0].arguments[1] == "192.168.1.20"
    with qtbot.waitSignal(model.confirmation_needed):  # another address, another question
        store.change("output", osc_host="10.0.0.5")
    assert not model.osc_on


def test_a_foreign_address_in_the_settings_sends_nothing_at_the_start(make, store, senders):
    store.change("output", osc_host="example.org", osc_enabled=True)
    model = make()
    assert not model.osc_on
    assert not senders.made
    assert "agreed" in model.osc_status


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
                                             ("192.168.0.1", False), ("0.0.0.0", False), ("example.org", False), ("", False)])
def test_which_addresses_are_this_machine(host, local):
    assert is_local(host) is local


def test_osc_really_sends(make, session, store, qtbot):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        store.change("output", osc_protocol="osc", osc_port=receiver.getsockname()[1])
        model = make(make_sender=None)
        model.set_osc(True)
        session.sinks[0].accept(SimpleNamespace(driven=HeadParams.neutral(49)))
        addresses = [timed.message.address for timed in OscPacket(receiver.recv(65536)).messages]
    assert "/agora/head/rotation" in addresses
    model.set_osc(False)


def test_the_real_virtual_camera_without_a_driver_is_told(make, qtbot):
    def make_camera(*arguments, **named):
        def refuse(*_):
            raise DeviceError("no driver", "sudo modprobe v4l2loopback")

        return VirtualCamera(*arguments, **named, open_device=refuse)

    model = make(make_camera=make_camera)
    with qtbot.waitSignal(model.problem) as told:
        model.set_virtual_camera(True)
    assert "modprobe" in told.args[1]
    assert not model.virtual_camera_on
