from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.tracking.loss import LossPolicy, Plausibility
from core.tracking.solver import Fit
from core.types import HeadParams, TrackState

COUNT = 5
MS = 1_000_000


def seen(time_ms: float, value: float = 1.0) -> HeadParams:
    blank = HeadParams.neutral(COUNT)
    return replace(blank, expression=np.full(COUNT, value, np.float32), jaw_pose=np.array([0.2, 0, 0], np.float32),
                   head_rotation=np.array([0, 0.5, 0], np.float32), head_translation=np.array([0.1, 0, -0.7], np.float32),
                   residual=0.01, time_ns=round(time_ms * MS))


def lose(policy: LossPolicy, at_ms: float) -> HeadParams:
    return policy.update(None, round(at_ms * MS))


def test_before_any_face_the_head_is_neutral_and_lost():
    out = lose(LossPolicy(COUNT), 0)
    assert out.state is TrackState.LOST
    assert not out.expression.any()


def test_tracked_frames_pass_unchanged():
    policy = LossPolicy(COUNT)
    for t in (0, 33, 66):
        params = seen(t, 0.4)
        assert policy.update(params, params.time_ns) is params


@pytest.mark.parametrize(("after_ms", "state"), [(33, TrackState.HELD), (150, TrackState.HELD), (151, TrackState.EASING),
                                                (649, TrackState.EASING), (650, TrackState.LOST), (5000, TrackState.LOST)])
def test_hold_150_ms_then_ease_over_500_ms(after_ms, state):
    policy = LossPolicy(COUNT)
    policy.update(seen(1000), 1000 * MS)
    assert lose(policy, 1000 + after_ms).state is state


def test_values_during_a_loss():
    policy = LossPolicy(COUNT)
    policy.update(seen(0), 0)
    held = lose(policy, 100)
    np.testing.assert_array_equal(held.expression, 1)
    halfway = lose(policy, 150 + 250)
    np.testing.assert_allclose(halfway.expression, 0.5, atol=1e-6)
    np.testing.assert_allclose(halfway.head_rotation, [0, 0.25, 0], atol=1e-6)
    gone = lose(policy, 700)
    assert not gone.expression.any()
    assert not gone.head_rotation.any()
    np.testing.assert_allclose(gone.head_translation, [0.1, 0, -0.7], atol=1e-6)


def test_easing_is_monotone_and_has_no_jump():
    policy = LossPolicy(COUNT)
    policy.update(seen(0), 0)
    values = [lose(policy, t).expression[0] for t in range(5, 800, 5)]
    assert (np.diff(values) <= 1e-6).all()
    assert np.abs(np.diff(values)).max() < 0.02


def test_return_blends_over_100_ms():
    policy = LossPolicy(COUNT)
    policy.update(seen(0), 0)
    lose(policy, 33)
    lose(policy, 2000)
    first = policy.update(seen(2033), 2033 * MS)
    middle = policy.update(seen(2083), 2083 * MS)
    last = policy.update(seen(2133), 2133 * MS)
    assert first.expression[0] == pytest.approx(0)
    assert middle.expression[0] == pytest.approx(0.5, abs=1e-5)
    assert last.expression[0] == pytest.approx(1)
    assert {p.state for p in (first, middle, last)} == {TrackState.TRACKED}


def test_a_second_loss_holds_what_was_shown_last():
    policy = LossPolicy(COUNT)
    policy.update(seen(0), 0)
    lose(policy, 1000)
    policy.update(seen(1033), 1033 * MS)
    shown = policy.update(seen(1083), 1083 * MS)
    np.testing.assert_allclose(lose(policy, 1100).expression, shown.expression)


def fit(rotation=None, residual: float = 0.02, z: float = -0.6) -> Fit:
    return Fit(np.eye(3) if rotation is None else rotation, np.array([0, 0, z]), np.zeros(COUNT), np.zeros(2), residual)


def test_an_upright_face_is_believed():
    assert Plausibility().reason_against(fit()) == ""


@pytest.mark.parametrize(("bad", "word"), [
    (fit(np.diag([-1.0, -1.0, 1.0])), "upside down"), (fit(np.diag([-1.0, 1.0, -1.0])), "turned away"),
    (fit(residual=0.3), "no human face"), (fit(z=0.4), "behind"),
])
def test_implausible_fits_are_named(bad, word):
    assert word in Plausibility().reason_against(bad)
