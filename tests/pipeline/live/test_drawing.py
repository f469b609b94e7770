"""The drawing stage step by step, without threads and in fake time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from core.errors import DeviceError, InputError
from core.geometry import portrait_camera
from core.pipeline.background import BlurredDriver, Gradient, Photo, Plain, Transparent
from core.pipeline.live.canvas import CHECK_DARK, CHECK_LIGHT, Canvas, label_plate
from core.pipeline.live.drawing import DrawingStage
from core.pipeline.live.silence import SilenceBridge
from core.pipeline.live.state import DriveControls, Look, ViewPose
from core.pipeline.live.tracking_stage import Tracked
from core.pipeline.live.viewpose import camera_of, scaled_camera
from core.pipeline.timing import StageTimer
from core.pipeline.views import FOLLOWED_SHARE, Follower
from core.types import TrackState
from tests.pipeline.live.fakes_live import FakeBackend, FakeClock, PlainSteering, cast, frame, pack, params, person

LOOK = Look(64, 64, background=Plain((10, 20, 30)))


class Desk:
    """A drawing stage on fakes."""

    def __init__(self, look=LOOK, people=None, cost_ms=0.0, fps=30.0, **wishes):
        self.clock = FakeClock()
        self.backend = FakeBackend(self.clock, cost_ms)
        self.problems = []
        self.steering = PlainSteering()
        self.timer = StageTimer()
        self.stage = DrawingStage(lambda: self.backend, lambda: FakeBackend(self.clock),
                                  lambda error, stage: self.problems.append((error, stage)), self.clock, self.timer,
                                  lambda of: self.steering, lambda: fps)
        self.stage.wish(cast=people or cast(), look=look, **wishes)
        self.stage.open()

    def give(self, level, later_ms=33.0, **more):
        """Parameters captured now; returns the picture."""
        self.clock.advance(later_ms)
        head = more.pop("head", None) or params(level, self.clock.now)
        return self.stage.step(Tracked(head, self.clock.now, **more))

    def idle(self, later_ms=25.0):
        self.clock.advance(later_ms)
        return self.stage.step(None)


# ------------------------------------------------------------------------------------------------------------ pictures


def test_before_anything_is_tracked_the_face_rests():
    desk = Desk()
    picture = desk.stage.step(None)
    assert not picture.fresh
    assert picture.params.state is TrackState.LOST
    assert picture.params.expression.tolist() == [0, 0]
    assert desk.idle() is None  # and is not drawn again


def test_a_picture_holds_all_that_belongs_to_it():
    desk = Desk(cost_ms=12)
    seen = frame(50)
    picture = desk.give(0.5, frame=seen, landmarks="landmarks", position_ns=70, lap=2)
    assert picture.image.shape == (64, 64, 3)
    assert picture.image[0, 0].tolist() == [50, 50, 50]
    assert picture.image[0, 63].tolist() == [10, 20, 30]
    assert [head.shape for head in picture.heads] == [(64, 64, 4)]
    assert (picture.frame, picture.landmarks, picture.position_ns, picture.lap) == (seen, "landmarks", 70, 2)
    assert (picture.fresh, picture.index) == (True, 0)
    assert picture.captured_ns == picture.params.time_ns == desk.clock.now - 12_000_000
    assert picture.finished_ns == desk.clock.now
    np.testing.assert_allclose(picture.camera.world_to_camera, portrait_camera(64, 64).world_to_camera)
    assert picture.driven is picture.params
    assert desk.give(0.6).index == 1


def test_nothing_new_is_not_drawn_and_a_new_look_is_drawn_at_once():
    desk = Desk()
    desk.give(0.5)
    assert desk.idle() is None
    desk.stage.wish(look=replace(LOOK, view=ViewPose(yaw=0.3)))
    picture = desk.idle()
    assert not picture.fresh
    assert picture.params.expression[0] == 0.5
    assert picture.image[0, 0, 0] == 50
    assert picture.camera.position[0] > 0.2
    assert desk.idle() is None


def test_the_answer_of_the_driving_response_is_not_computed_again_for_a_new_view():
    desk = Desk()
    desk.give(0.5)
    desk.stage.wish(look=replace(LOOK, view=ViewPose(yaw=0.3)))
    desk.idle()
    assert desk.backend.performers[0].asked == 1


def test_times_of_two_people_count_as_one_run():
    desk = Desk(people=cast(person("a"), person("b")))
    for _ in range(5):
        desk.give(0.5)
    assert {times.stage: times.count for times in desk.timer.report()} == {"drive": 5, "compose": 5}


def test_two_people_stand_side_by_side():
    one, two = person("one"), person("two")
    desk = Desk(Look(128, 64, background=Plain((0, 0, 0))), cast(one, two))
    picture = desk.give(0.5)
    assert picture.image.shape == (64, 128, 3)
    assert [head.shape for head in picture.heads] == [(64, 64, 4)] * 2
    assert [identity for identity, *_ in desk.backend.drawn] == [one, two]
    assert picture.image[5, [0, 40, 70, 100], 0].tolist() == [50, 0, 50, 0]
    assert (picture.camera.width, picture.camera.height) == (64, 64)


# ------------------------------------------------------------------------------------------------------------ controls


def test_manual_controls_are_baked_into_what_replays_the_picture():
    desk = Desk()
    offset = np.zeros(11, np.float32)
    offset[1] = 0.25
    desk.stage.wish(drive=DriveControls(psi_offset=offset, rotation_offset=np.array([0, 0.1, 0], np.float32)))
    picture = desk.give(0, head=params(0.5, desk.clock.now, scores=52))
    assert picture.params.expression.tolist() == [0.5, 0]
    assert picture.driven.expression.tolist() == [0.5, 0.25]
    np.testing.assert_array_equal(picture.psi[:2], [0.5, 0.25])
    np.testing.assert_allclose(picture.driven.head_rotation, [0, 0.1, 0])
    assert len(picture.driven.scores) == 0
    # Replayed without controls it shows the same.
    desk.stage.wish(drive=DriveControls())
    again = desk.give(0, head=picture.driven)
    np.testing.assert_array_equal(again.psi, picture.psi)
    np.testing.assert_allclose(desk.backend.drawn[-1][2].rotation, desk.backend.drawn[-2][2].rotation)


def test_frozen_the_face_stays_and_the_view_moves():
    desk = Desk()
    desk.give(0.5)
    desk.stage.wish(drive=DriveControls(frozen=True))
    assert desk.give(0.9).psi[0] == 0.5


def test_paused_the_picture_holds_but_the_camera_can_be_moved():
    desk = Desk()
    desk.give(0.5)
    desk.stage.wish(paused=True)
    assert not desk.give(0.8).fresh  # pausing is a wish like any other
    for _ in range(100):
        assert desk.give(0.8) is None
    desk.stage.wish(look=replace(LOOK, view=ViewPose(yaw=0.3)))
    assert desk.idle().params.expression[0] == 0.5
    desk.stage.wish(paused=False)
    picture = desk.give(0.9)
    assert picture.params.expression[0] == pytest.approx(0.9)
    assert picture.params.state is TrackState.TRACKED


def test_rezero_and_a_new_source_reach_the_steering():
    desk = Desk()
    desk.give(0.5)
    desk.stage.rezero()
    desk.idle()
    desk.stage.new_source()
    desk.idle()
    assert (desk.steering.zeros, desk.steering.resets) == (1, 1)


def test_what_was_captured_before_the_source_changed_is_not_shown():
    desk = Desk()
    desk.give(0.5)
    old = desk.clock.now + 1
    desk.clock.advance(10)
    desk.stage.new_source()
    assert desk.stage.step(Tracked(params(0.9, old), old)).params.expression[0] == 0.5  # it begins to ease to rest
    levels = [desk.give(0.9, later_ms=20).params.expression[0] for _ in range(8)]
    assert 0.3 < levels[0] < 0.6  # blended in
    assert levels[-1] == pytest.approx(0.9)


def test_motion_of_another_head_model_is_refused_once_in_words():
    desk = Desk()
    desk.give(0.5)
    wrong = replace(params(0.5), expression=np.zeros(5, np.float32))
    for _ in range(3):
        desk.give(0, head=wrong)
    assert [type(error) for error, _ in desk.problems] == [InputError]
    assert desk.give(0.6).fresh


# ----------------------------------------------------------------------------------------------------------- silence


def test_a_silent_source_lets_the_face_hold_then_ease_then_rest():
    desk = Desk()
    for _ in range(10):
        desk.give(1.0)
    levels = []
    for _ in range(100):  # 2.5 s
        picture = desk.idle()
        levels.append((picture.params.expression[0], picture.params.state) if picture else None)
    held = levels[:27]  # 675 ms
    assert held == [None] * 27
    moving = [level for level in levels if level is not None]
    assert 15 <= len(moving) <= 25  # half a second of easing
    values = [value for value, _ in moving]
    assert all(a >= b for a, b in pairwise(values))
    assert values[-1] == 0
    assert moving[-1][1] is TrackState.LOST
    assert levels[-20:] == [None] * 20  # then it rests and nothing is drawn
    assert desk.stage.wait_seconds() >= 0.1


def test_easing_is_drawn_at_a_pace():
    desk = Desk()
    desk.give(1.0)
    desk.idle(720)
    assert desk.stage.wait_seconds() <= 0.025


def test_when_the_source_comes_back_the_face_is_blended_in():
    desk = Desk()
    for _ in range(5):
        desk.give(1.0)
    for _ in range(100):
        desk.idle()
    levels = [desk.give(1.0, later_ms=20).params.expression[0] for _ in range(8)]
    assert levels[0] < 0.05
    assert all(a <= b for a, b in pairwise(levels))
    assert levels[6:] == [1, 1]


@pytest.mark.parametrize("period_ms", [200, 500, 1000])
def test_a_slow_chain_is_not_a_silent_one(period_ms):
    desk = Desk()
    for _ in range(3):
        desk.give(1.0, later_ms=period_ms)
    for _ in range(20):
        for _ in range(period_ms // 50 - 1):
            assert desk.idle(50) is None
        assert desk.give(1.0, later_ms=50).params.expression[0] == 1.0


def test_what_the_tracker_itself_bridges_passes_unchanged():
    bridge = SilenceBridge(2)
    for state in (TrackState.TRACKED, TrackState.HELD, TrackState.EASING, TrackState.LOST, TrackState.TRACKED):
        given = params(0.5, state=state)
        assert bridge.follow(given, 0) is given


def test_a_face_that_is_lost_already_does_not_ease_again():
    bridge = SilenceBridge(2)
    bridge.follow(params(0, 0, state=TrackState.LOST), 0)
    assert bridge.wait(10**10) is None
    assert not bridge.is_easing


def test_frames_that_cannot_be_tracked_still_show_a_picture():
    desk = Desk(replace(LOOK, background=BlurredDriver()))
    desk.clock.advance(33)
    picture = desk.stage.step(Tracked(None, desk.clock.now, frame(200)))
    assert picture.params.state is TrackState.LOST
    assert picture.image[0, 63].tolist() == [200, 200, 200]


# ------------------------------------------------------------------------------------------------------------- people


def test_a_known_person_is_not_built_again_and_few_are_kept():
    people = [person(str(i)) for i in range(8)]
    of = pack()
    desk = Desk(people=cast(people[0], of=of))
    for someone in [*people, people[7], people[2]]:
        desk.stage.wish(cast=cast(someone, of=of))
        assert desk.idle() is not None
        assert desk.backend.drawn[-1][0] is someone
    assert [performer.identity for performer in desk.backend.performers] == people
    assert [performer.identity.name for performer in desk.backend.performers if performer.closed] == ["0", "1"]
    desk.stage.wish(cast=cast(people[0], of=of))
    desk.idle()
    assert len(desk.backend.performers) == 9
    desk.stage.close()
    assert all(performer.closed for performer in desk.backend.performers)
    assert desk.backend.closed


def test_a_person_that_cannot_be_built_leaves_the_old_one_on_stage():
    desk = Desk()
    desk.give(0.5)
    before = desk.backend.performers[0].identity
    desk.backend.performer = lambda of, identity: (_ for _ in ()).throw(DeviceError("no room on the graphics card"))
    desk.stage.wish(cast=cast())
    desk.give(0.6)
    desk.give(0.7)
    assert [str(error) for error, _ in desk.problems] == ["no room on the graphics card"]
    assert desk.backend.drawn[-1][0] is before


def test_nobody_on_stage_draws_nothing():
    desk = Desk()
    desk.give(0.5)
    desk.stage.wish(cast=None)
    assert desk.idle() is None
    assert desk.give(0.5) is None


def test_a_failure_of_drawing_is_told_once_and_drawing_goes_on():
    desk = Desk()
    desk.backend.failure = DeviceError("it is gone")
    assert [desk.give(0.5) for _ in range(3)] == [None] * 3
    assert [(str(error), stage) for error, stage in desk.problems] == [("it is gone", "drawing")]
    desk.backend.failure = None
    assert desk.give(0.5) is not None


def test_when_the_renderer_cannot_be_opened_another_one_draws():
    desk = Desk()

    def refuse():
        raise DeviceError("no such renderer")

    desk.stage._open_backend = refuse
    desk.stage.open()
    assert [str(error) for error, _ in desk.problems] == ["no such renderer"]
    assert desk.give(0.5) is not None


# ------------------------------------------------------------------------------------------------------------- quality


def test_a_lower_quality_draws_smaller_heads_on_the_same_canvas():
    look = Look(512, 512, background=Plain((0, 0, 0)))
    desk = Desk(look, cost_ms=60)
    pictures = [desk.give(0.5, later_ms=1) for _ in range(100)]
    assert desk.stage.quality.rung == 3
    assert {camera.width for *_, camera in desk.backend.drawn} == {512, 384, 256}
    assert 1 / 64 in desk.backend.details
    assert {picture.image.shape for picture in pictures} == {(512, 512, 3)}
    assert {picture.heads[0].shape for picture in pictures} == {(512, 512, 4)}
    assert {picture.camera.width for picture in pictures} == {512}
    small = desk.backend.drawn[-1][3]
    np.testing.assert_allclose([small.fx, small.cx], [pictures[0].camera.fx / 2, 128])


def test_turned_off_the_governor_draws_everything():
    desk = Desk(Look(512, 512), cost_ms=60, governor=False)
    for _ in range(60):
        desk.give(0.5, later_ms=1)
    assert {camera.width for *_, camera in desk.backend.drawn} == {512}
    assert desk.backend.details == []


# ------------------------------------------------------------------------------------------------------------- camera


def test_free_view_is_the_pose_as_set():
    camera = camera_of(ViewPose(yaw=np.pi / 2, distance=1.0), params(0), 0, 64, 64)
    assert camera.position[0] > 0.95
    assert abs(camera.position[2] + 0.05) < 1e-3


@pytest.mark.parametrize(("pan", "moved"), [((0.05, 0.0), (1, 0)), ((0.0, 0.05), (0, -1))])
def test_panning_moves_the_head_right_and_up_in_the_picture(pan, moved):
    def target_in_picture(camera):
        x, y, z = camera.world_to_camera[:3, :3] @ np.array([0, -0.018, -0.05]) + camera.world_to_camera[:3, 3]
        return np.array([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])

    camera = camera_of(ViewPose(yaw=0.4, pitch=0.2, pan_x=pan[0], pan_y=pan[1]), params(0), 0, 100, 100)
    shift = target_in_picture(camera) - [50, 50]
    pixels = camera.fx * 0.05 / 1.3
    np.testing.assert_allclose(shift, np.array(moved) * pixels, atol=0.05)


def test_following_turns_with_the_head_on_top_of_the_pose():
    turned = params(0, rotation=(0, 0.5, 0))
    camera = camera_of(ViewPose(yaw=0.2, mode="follow"), turned, 0, 64, 64)
    expected = camera_of(ViewPose(yaw=0.2 + FOLLOWED_SHARE * 0.5), turned, 0, 64, 64)
    np.testing.assert_allclose(camera.world_to_camera, expected.world_to_camera, atol=1e-5)
    follower = Follower()
    camera_of(ViewPose(mode="follow"), params(0, 0), 0, 64, 64, follower)
    late = camera_of(ViewPose(mode="follow"), params(0, 33_000_000, (0, 0.5, 0)), 0, 64, 64, follower)
    assert 0 < late.position[0] < 0.25 * expected.position[0]


def test_orbit_swings_about_the_pose_and_goes_on_without_a_source():
    desk = Desk(replace(LOOK, view=ViewPose(mode="orbit")))
    desk.stage.step(None)
    pictures = [picture for _ in range(120) if (picture := desk.idle()) is not None]
    assert 50 <= len(pictures) <= 100  # three seconds at 30 frames/s, asked for every 25 ms
    sideways = np.array([picture.camera.position[0] for picture in pictures])
    assert sideways.max() > 0.5
    assert np.abs(np.diff(sideways)).max() < 0.08


def test_orbit_leaves_the_pace_to_a_source_that_delivers():
    desk = Desk(replace(LOOK, view=ViewPose(mode="orbit")))
    for _ in range(30):
        assert desk.give(0.5, later_ms=23).fresh
        assert desk.idle(10) is None


def test_pitch_stops_short_of_straight_above():
    camera = camera_of(ViewPose(pitch=np.pi / 2, mode="orbit"), params(0), 1.0, 64, 64)
    assert np.isfinite(camera.world_to_camera).all()
    assert camera.position[1] > 1.2


def test_a_scaled_camera_sees_the_same():
    camera = camera_of(ViewPose(yaw=0.3), params(0), 0, 512, 256)
    small = scaled_camera(camera, 256, 128)
    point = camera.world_to_camera[:3, :3] @ np.array([0.03, 0.02, 0.0]) + camera.world_to_camera[:3, 3]
    for big, little in ((camera.fx * point[0] / point[2] + camera.cx, small.fx * point[0] / point[2] + small.cx),
                        (camera.fy * point[1] / point[2] + camera.cy, small.fy * point[1] / point[2] + small.cy)):
        assert big == pytest.approx(2 * little)


# ------------------------------------------------------------------------------------------------------------- canvas


def nothing(width=64, height=64):
    return np.zeros((height, width, 4), np.uint8)


def test_a_transparent_background_is_shown_as_a_checkerboard():
    picture = Canvas().compose(Look(64, 64, background=Transparent()), [nothing()], None)
    assert {int(value) for value in np.unique(picture)} == {CHECK_DARK, CHECK_LIGHT}
    assert (picture[0, 0] != picture[0, 16]).all()
    assert (picture[0, 0] == picture[16, 16]).all()


def test_the_blurred_camera_needs_a_camera():
    look = Look(64, 64, background=BlurredDriver())
    canvas = Canvas()
    np.testing.assert_array_equal(canvas.compose(look, [nothing()], None), Gradient().picture(64, 64, None))
    assert (canvas.compose(look, [nothing()], frame(77).image) == 77).all()


def test_an_equal_background_is_not_painted_again(monkeypatch):
    painted = []

    def paint(self, width, height):
        painted.append((width, height))
        return np.zeros((height, width, 3), np.uint8)

    monkeypatch.setattr(Gradient, "paint", paint)
    canvas = Canvas()
    for _ in range(3):
        canvas.compose(Look(64, 64), [nothing()], None)
    assert len(painted) == 1
    canvas.compose(Look(128, 64), [nothing(128)], None)
    assert len(painted) == 2


def test_backgrounds_are_told_apart():
    canvas = Canvas()
    for background in (Plain((1, 1, 1)), Plain((2, 2, 2)), Photo(np.full((8, 8, 3), 3, np.uint8)),
                       Photo(np.full((8, 8, 3), 4, np.uint8)), Transparent(), Gradient()):
        picture = canvas.compose(Look(64, 64, background=background), [nothing()], None)
        if not background.transparent:
            np.testing.assert_array_equal(picture, background.picture(64, 64, None))


def test_the_label_is_legible_in_the_lower_corner_and_nowhere_else():
    canvas = Canvas()
    for colour in ((255, 255, 255), (0, 0, 0)):
        look = Look(256, 256, background=Plain(colour), label="Synthetic person 7")
        picture = canvas.compose(look, [nothing(256, 256)], None)
        assert (picture[:220] == colour[0]).all()
        corner = picture[230:, :120].astype(int)
        assert corner.max() - corner.min() > 80


def test_a_long_label_is_made_to_fit():
    plate = label_plate("Synthetic person 1234567890 | 987654321 · AGORA live 0.1.0 and more words than fit", 128, 128)
    assert plate.shape[1] <= 128
    assert plate.shape[0] < 40
