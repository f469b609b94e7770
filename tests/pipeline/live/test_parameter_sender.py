"""Parameters over UDP: real packets on the loopback, read by the package's own parser; turns by closed form."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pythonosc.osc_packet import OscPacket

from core.errors import InputError
from core.geometry import rotation_from_axis_angle
from core.head.library import load_open_head
from core.pipeline.live import parameter_sender
from core.pipeline.live.parameter_sender import LARGEST_PACKET, ParameterSender, bundles, message, unity_quaternion
from core.types import HeadParams, TrackState

NAMES = load_open_head().expression_names


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


@pytest.fixture
def start(receiver):
    senders = []

    def start(protocol="vmc", **named):
        senders.append(ParameterSender(protocol, "127.0.0.1", receiver.getsockname()[1], named.pop("names", NAMES), **named))
        return senders[-1]

    yield start
    for sender in senders:
        assert sender.close()


def params(**values):
    return replace(HeadParams.neutral(len(NAMES)), **{name: np.array(value, np.float32) if isinstance(value, tuple) else value
                                                      for name, value in values.items()})


def live(params):
    return SimpleNamespace(driven=params)


def packets(receiver, last):
    """Packets up to the one that holds the address `last`, and their messages."""
    received, messages = [], []
    while not any(found.address == last for found in messages):
        received.append(receiver.recv(65536))
        assert received[-1].startswith(b"#bundle\0")
        messages += [timed.message for timed in OscPacket(received[-1]).messages]
    return received, messages


def test_vmc_says_it_all_in_order(receiver, start):
    expression = np.zeros(len(NAMES), np.float32)
    expression[NAMES.index("mouthSmileLeft")] = 0.75
    expression[NAMES.index("eyeBlinkRight")] = 1.5
    head = load_open_head()
    start().accept(live(params(expression=expression, head_rotation=(0.0, 0.4, 0.0), jaw_pose=(head.jaw_open_angle / 2, 0.0, 0.0),
                               left_eye_pose=(0.1, 0.0, 0.0), right_eye_pose=(0.0, 0.0, 0.2))))
    received, messages = packets(receiver, "/VMC/Ext/Blend/Apply")
    assert all(len(packet) <= LARGEST_PACKET for packet in received)
    assert messages[0].address == "/VMC/Ext/OK"
    assert messages[0].params == [1, 3, 0, 1]
    assert messages[1].address == "/VMC/Ext/T"
    assert messages[-1].address == "/VMC/Ext/Blend/Apply"
    bones = {found.params[0]: found.params[1:] for found in messages if found.address == "/VMC/Ext/Bone/Pos"}
    assert set(bones) == {"Head", "Jaw", "LeftEye", "RightEye"}
    assert all(len(values) == 7 for values in bones.values())
    assert bones["Head"][3:] == pytest.approx([0, -math.sin(0.2), 0, math.cos(0.2)], abs=1e-6)
    assert bones["LeftEye"][3:] == pytest.approx([math.sin(0.05), 0, 0, math.cos(0.05)], abs=1e-6)
    assert bones["RightEye"][3:] == pytest.approx([0, 0, -math.sin(0.1), math.cos(0.1)], abs=1e-6)
    assert bones["LeftEye"][0] == -bones["RightEye"][0] < 0  # Unity's x points to the right: the left eye lies at negative x
    blends = {found.params[0]: found.params[1] for found in messages if found.address == "/VMC/Ext/Blend/Val"}
    assert len(blends) == 52
    assert blends["MouthSmileLeft"] == pytest.approx(0.75)
    assert blends["EyeBlinkRight"] == 1
    assert blends["JawOpen"] == pytest.approx(0.5, abs=1e-4)
    assert blends["JawLeft"] == blends["JawRight"] == 0


def test_bones_lie_where_the_head_model_has_its_joints():
    head = load_open_head()
    joints = head.joint_regressor @ head.v_template
    for bone, joint in (("Jaw", 2), ("LeftEye", 3), ("RightEye", 4)):
        assert parameter_sender._BONES[bone] == pytest.approx(joints[joint] - joints[1], abs=1e-3)
    assert head.jaw_open_angle == pytest.approx(parameter_sender.JAW_OPEN_ANGLE, abs=1e-4)
    assert head.jaw_yaw_angle == pytest.approx(parameter_sender.JAW_YAW_ANGLE, abs=1e-4)


def test_unity_turns_are_ours_seen_in_a_mirror(generator):
    mirror = np.diag([-1.0, 1.0, 1.0])
    for _ in range(50):
        turn = generator.normal(size=3)
        x, y, z, w = unity_quaternion(turn)
        assert x * x + y * y + z * z + w * w == pytest.approx(1)
        rotation = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                             [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                             [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
        np.testing.assert_allclose(rotation, mirror @ rotation_from_axis_angle(turn) @ mirror, atol=1e-6)


def test_a_lost_face_is_marked(receiver, start):
    start().accept(live(params(state=TrackState.LOST)))
    _, messages = packets(receiver, "/VMC/Ext/Blend/Apply")
    assert messages[0].params[3] == 0


def test_plain_osc(receiver, start):
    moved = params(head_rotation=(0.1, 0.2, 0.3), head_translation=(0.01, -0.02, -0.7), jaw_pose=(0.0, -0.07, 0.0))
    start("osc").accept(live(moved))
    _, messages = packets(receiver, "/agora/blend/jawRight")
    found = {said.address: said.params for said in messages}
    assert found["/agora/psi"] == pytest.approx(moved.psi(), abs=1e-6)
    assert len(found["/agora/psi"]) == len(NAMES) + 9
    assert found["/agora/head/rotation"] == pytest.approx([0.1, 0.2, 0.3])
    assert found["/agora/head/translation"] == pytest.approx([0.01, -0.02, -0.7])
    assert found["/agora/blend/jawRight"] == pytest.approx([0.07 / math.radians(8)])
    assert {f"/agora/blend/{name}" for name in NAMES} <= set(found)


def test_at_most_sixty_a_second_and_nothing_queues(receiver, start):
    sender = start("osc", names=())
    began = time.monotonic()
    for number in range(200):
        sender.accept(live(params(head_rotation=(float(number), 0.0, 0.0))))
        time.sleep(0.002)
    seconds = time.monotonic() - began
    turns = []
    while not turns or turns[-1] != 199:
        turns += [round(said.params[0]) for said in packets(receiver, "/agora/head/rotation")[1]
                  if said.address == "/agora/head/rotation"]
    assert 5 < len(turns) <= 60 * seconds + 2
    assert turns == sorted(turns)


def test_names_may_be_asked_for_in_the_thread(receiver, start):
    start("osc", names=lambda: ["one"]).accept(live(params()))
    _, messages = packets(receiver, "/agora/blend/jawRight")
    assert "/agora/blend/one" in [said.address for said in messages]


@pytest.mark.parametrize("host", ["no such host.invalid", "999.1.1.1", "a" * 300])
def test_an_unknown_address_is_told(host):
    problems = []
    sender = ParameterSender("vmc", host, 39539, NAMES, problems.append)
    sender._thread.join(10)
    sender.accept(live(params()))
    assert sender.close()
    assert len(problems) == 1
    assert "127.0.0.1" in problems[0].hint


def test_an_unknown_protocol_is_refused():
    with pytest.raises(InputError, match="vmc, osc"):
        ParameterSender("midi", "127.0.0.1", 1, NAMES)


def test_bundles_keep_order_and_size():
    said = [message(f"/{number}", float(number)) for number in range(300)]
    packed = list(bundles(said))
    assert len(packed) > 1
    assert max(len(packet) for packet in packed) <= LARGEST_PACKET
    unpacked = [timed.message.address for packet in packed for timed in OscPacket(packet).messages]
    assert unpacked == [f"/{number}" for number in range(300)]
