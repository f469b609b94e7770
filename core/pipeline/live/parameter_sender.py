"""Face and head as numbers for other programs, over UDP: the VMC protocol or plain OSC. The only module that imports pythonosc.

VMC (protocol.vmc.info), once per picture:
    /VMC/Ext/OK        loaded, calibration state, calibration mode, tracking status (1 while a face is tracked)
    /VMC/Ext/T         seconds since the sender was started
    /VMC/Ext/Bone/Pos  Head, Jaw, LeftEye, RightEye: position and quaternion x y z w, local to the parent bone
    /VMC/Ext/Blend/Val the expression under ARKit's names as Unity spells them (BrowDownLeft, JawOpen, …), 0..1; then Blend/Apply
VMC speaks Unity's left-handed space: x to the avatar's right, y up, z out of the face. Ours has x to the left, so vectors
become (-x, y, z) and quaternions (x, -y, -z, w). Bones rest where the open head has its joints. The neck is not sent: the
head's rotation is whole in Head.

Plain OSC, in our own right-handed space, metres and radians:
    /agora/psi               every number of the driving vector, in the head model's order
    /agora/head/rotation     axis-angle x y z
    /agora/head/translation  x y z
    /agora/blend/NAME        one value per expression, in the head model's spelling, plus jawOpen, jawLeft and jawRight

Messages travel in bundles that fit into one network packet each.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import numpy as np
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from core.errors import AgoraError, DeviceError, InputError
from core.geometry import quat_from_axis_angle
from core.pipeline.live.state import LivePicture
from core.pipeline.slots import Slot, SlotClosed
from core.types import FloatArray, HeadParams, TrackState

log = logging.getLogger(__name__)

PROTOCOLS = ("vmc", "osc")
MOST_PER_SECOND = 60
LARGEST_PACKET = 1400  # bytes; what an Ethernet frame takes without being cut
JAW_OPEN_ANGLE, JAW_YAW_ANGLE = math.radians(24.4775), math.radians(8.0)  # of the open head; at these jawOpen and jawLeft are 1
_BUNDLE_HEAD, _MESSAGE_HEAD = 16, 4
_TRACKED = (TrackState.TRACKED, TrackState.HELD)
# Metres in our space, from the joints of the open head: the skull's joint above the neck, jaw and eyes seen from the skull's.
_BONES = {"Head": (0.0, 0.03, 0.0), "Jaw": (0.0, 0.0895, 0.0641), "LeftEye": (0.0286, 0.1394, 0.1177),
          "RightEye": (-0.0286, 0.1394, 0.1177)}


class ParameterSender:
    """Sends what drives the head, in a thread of its own and at most 60 times a second.

    Args:
        protocol: "vmc" or "osc".
        host, port: of the receiver. A name is looked up in the thread.
        expression_names: of the head model's expression columns, or what tells them; it is asked in the thread.
        on_problem: called in the thread when nothing can be sent there; nothing is sent from then on.
        clock: seconds; replaced in tests.

    Raises InputError: no such protocol.
    """

    def __init__(self, protocol: str, host: str, port: int,
                 expression_names: Sequence[str] | Callable[[], Sequence[str]],
                 on_problem: Callable[[AgoraError], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        if protocol not in PROTOCOLS:
            raise InputError(f"'{protocol}' is no protocol that can be sent", f"use one of {', '.join(PROTOCOLS)}")
        self._host, self._port = host, port
        self._protocol, self._expression_names = protocol, expression_names
        self._on_problem, self._clock = on_problem, clock
        self._slot: Slot[HeadParams] = Slot()
        self._stop = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._work, name="parameter-sender", daemon=True)
        self._thread.start()

    def accept(self, picture: LivePicture) -> None:
        """Take a picture; what drove it is sent. Never waits."""
        try:
            self._slot.put(picture.driven)
        except SlotClosed:
            log.debug("a picture came after the end")

    def close(self, timeout: float = 2.0) -> bool:
        """Stop sending. Returns whether the thread has ended in time."""
        self._stop.set()
        self._slot.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        outgoing = self._connect()
        if outgoing is None:
            return
        connection, address = outgoing
        with connection:
            try:
                self._send_all(connection, address)
            except SlotClosed:
                log.debug("%d sent", self.sent)
            except OSError as error:
                self._report(DeviceError(f"nothing can be sent to {self._host}:{self._port}: {error.strerror or error}",
                                         "check the address and whether the network is there"))
            except Exception as error:
                log.exception("parameter sender")
                self._report(DeviceError(f"the parameters cannot be sent: {error}"))

    def _send_all(self, connection: socket.socket, address: tuple) -> None:
        names = self._expression_names
        messages = _MESSAGES[self._protocol](names() if callable(names) else names)
        started = due = self._clock()
        while not self._stop.wait(max(0.0, due - self._clock())):
            item = self._slot.take()
            due = max(due + 1 / MOST_PER_SECOND, self._clock())
            if item is not None and not self._stop.is_set():
                for packet in bundles(messages.of(item.value, self._clock() - started)):
                    with suppress(BlockingIOError):  # the system's buffer is full: the next moment is as good
                        connection.sendto(packet, address)
                self.sent += 1

    def _connect(self) -> tuple[socket.socket, tuple] | None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            connection = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError) as error:
            self._report(DeviceError(f"the address {self._host} is not known: {getattr(error, 'strerror', '') or error}",
                                     "use 127.0.0.1 for a program on this machine"))
            return None
        connection.setblocking(False)
        return connection, address

    def _report(self, error: AgoraError) -> None:
        log.warning("parameter sender: %s", error)
        if self._on_problem is not None and not self._stop.is_set():
            self._on_problem(error)


class VmcMessages:
    """Head parameters as messages of the VMC protocol."""

    def __init__(self, expression_names: Sequence[str]) -> None:
        self._names = [name[:1].upper() + name[1:] for name in expression_names]
        self._positions = {bone: unity_position(np.array(position)) for bone, position in _BONES.items()}

    def of(self, params: HeadParams, seconds: float) -> Iterable[OscMessage]:
        """The messages of one moment."""
        yield message("/VMC/Ext/OK", 1, 3, 0, int(params.state in _TRACKED))
        yield message("/VMC/Ext/T", float(seconds))
        turns = {"Head": params.head_rotation, "Jaw": params.jaw_pose, "LeftEye": params.left_eye_pose,
                 "RightEye": params.right_eye_pose}
        for bone, turn in turns.items():
            yield message("/VMC/Ext/Bone/Pos", bone, *self._positions[bone], *unity_quaternion(turn))
        for name, value in zip(self._names, params.expression, strict=False):
            yield message("/VMC/Ext/Blend/Val", name, float(np.clip(value, 0, 1)))
        for name, value in jaw_scores(params.jaw_pose):
            yield message("/VMC/Ext/Blend/Val", name[:1].upper() + name[1:], value)
        yield message("/VMC/Ext/Blend/Apply")


class OscMessages:
    """Head parameters as plain OSC messages."""

    def __init__(self, expression_names: Sequence[str]) -> None:
        self._names = tuple(expression_names)

    def of(self, params: HeadParams, seconds: float) -> Iterable[OscMessage]:
        """The messages of one moment."""
        yield message("/agora/psi", *(float(value) for value in params.psi()))
        yield message("/agora/head/rotation", *(float(value) for value in params.head_rotation))
        yield message("/agora/head/translation", *(float(value) for value in params.head_translation))
        for name, value in zip(self._names, params.expression, strict=False):
            yield message(f"/agora/blend/{name}", float(value))
        for name, value in jaw_scores(params.jaw_pose):
            yield message(f"/agora/blend/{name}", value)


_MESSAGES = {"vmc": VmcMessages, "osc": OscMessages}


def jaw_scores(jaw_pose: FloatArray) -> list[tuple[str, float]]:
    """The jaw's rotation [3] as the three ARKit scores that the head model has a joint for instead, 0..1."""
    opened, aside = float(jaw_pose[0]) / JAW_OPEN_ANGLE, float(jaw_pose[1]) / JAW_YAW_ANGLE
    return [(name, min(max(value, 0.0), 1.0)) for name, value in
            (("jawOpen", opened), ("jawLeft", aside), ("jawRight", -aside))]


def unity_position(position: FloatArray) -> tuple[float, float, float]:
    """Metres in our right-handed space [3] -> Unity's left-handed one."""
    return -float(position[0]), float(position[1]), float(position[2])


def unity_quaternion(axis_angle: FloatArray) -> tuple[float, float, float, float]:
    """A rotation in our right-handed space, axis-angle [3] -> quaternion x y z w in Unity's left-handed one.

    Mirroring x keeps the x part of a rotation's axis and turns the others around.
    """
    w, x, y, z = (float(value) for value in quat_from_axis_angle(np.asarray(axis_angle, np.float64)))
    return x, -y, -z, w


def message(address: str, *values: str | int | float) -> OscMessage:
    """An OSC message: text, 32-bit integers and 32-bit floats."""
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value, {str: "s", int: "i", float: "f"}[type(value)])
    return builder.build()


def bundles(messages: Iterable[OscMessage]) -> Iterable[bytes]:
    """The messages in order, in as few bundles as fit into a packet each."""
    builder, size = OscBundleBuilder(IMMEDIATELY), _BUNDLE_HEAD
    for content in messages:
        needed = _MESSAGE_HEAD + content.size
        if size + needed > LARGEST_PACKET and size > _BUNDLE_HEAD:
            yield builder.build().dgram
            builder, size = OscBundleBuilder(IMMEDIATELY), _BUNDLE_HEAD
        builder.add_content(content)
        size += needed
    if size > _BUNDLE_HEAD:
        yield builder.build().dgram
