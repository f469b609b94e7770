"""When a training is stopped from ruining itself."""

from __future__ import annotations

import json
import math

import pytest

from trainer.guard import Guard, GuardPolicy, Verdict

POLICY = GuardPolicy(window=20, warm_up=10, factor=10, floor=1.0, bad_steps=3, span=10, roll_backs=2, recovery=30,
                     learning_rate_factor=0.5)


def settle(guard: Guard, steps: int = 15, value: float = 2.0) -> None:
    for _ in range(steps):
        assert guard.judge([("loss", value)]).verdict is Verdict.TAKE


@pytest.fixture
def guard() -> Guard:
    guard = Guard(POLICY)
    settle(guard)
    return guard


@pytest.mark.parametrize(("value", "words"), [(math.nan, "loss is not a number"), (math.inf, "loss is infinite"),
                                              (-math.inf, "loss is infinite"), (21.0, "loss is 21, usual is 2"),
                                              (-21.0, "loss is -21, usual is 2")])
def test_one_bad_step_is_skipped(guard, value, words):
    decision = guard.judge([("fine", 0.0), ("loss", value)])
    assert decision.verdict is Verdict.SKIP
    assert decision.reason == words
    settle(guard, 5)


def test_the_bound_is_exact(guard):
    assert guard.judge([("loss", 20.0)]).verdict is Verdict.TAKE
    assert guard.judge([("loss", 20.001)]).verdict is Verdict.SKIP


def test_small_values_never_explode():
    guard = Guard(POLICY)
    settle(guard, value=1e-6)
    assert guard.judge([("loss", 0.9)]).verdict is Verdict.TAKE
    assert guard.judge([("loss", 1.1)]).verdict is Verdict.SKIP


def test_nothing_is_usual_at_the_start_but_numbers():
    guard = Guard(POLICY)
    for step in range(9):
        assert guard.judge([("loss", 100.0 ** (step % 3))]).verdict is Verdict.TAKE
    assert guard.judge([("loss", math.nan)]).verdict is Verdict.SKIP


def test_slow_growth_is_no_explosion():
    guard = Guard(POLICY)
    for step in range(300):
        assert guard.judge([("loss", 2 * 1.05 ** step)]).verdict is Verdict.TAKE  # 1.05^10 = 1.6 times the median of 20


def test_names_that_come_rarely_have_a_median_of_their_own(guard):
    for step in range(40):
        assert guard.judge([("loss", 2.0), *([("penalty", 500.0)] if step % 4 == 0 else [])]).verdict is Verdict.TAKE
    assert guard.judge([("loss", 2.0), ("penalty", 5001.0)]).verdict is Verdict.SKIP


def test_it_goes_back_again_and_again_then_gives_up(guard):
    for times in range(3):
        assert guard.learning_rate_scale == 0.5 ** times
        assert guard.judge([("loss", math.nan)]).verdict is Verdict.SKIP
        assert guard.judge([("loss", 2.0)]).verdict is Verdict.TAKE
        assert guard.judge([("loss", math.nan)]).verdict is Verdict.SKIP
        decision = guard.judge([("loss", math.nan)])
        if times < 2:
            assert decision.verdict is Verdict.ROLL_BACK
            assert "3 bad steps among the last" in decision.reason
            guard.rolled_back()
    assert decision.verdict is Verdict.FAIL
    assert decision.reason.startswith("the training is unstable: loss is not a number")
    assert "after going back 2 times" in decision.reason
    assert "\n" not in decision.reason


def test_rare_bad_steps_are_only_skipped(guard):
    for step in range(200):
        expected = Verdict.SKIP if step % 5 == 4 else Verdict.TAKE  # two in ten
        assert guard.judge([("loss", math.nan if step % 5 == 4 else 2.0)]).verdict is expected


def test_going_back_is_forgiven_one_by_one(guard):
    guard.rolled_back()
    guard.rolled_back()
    scales = []
    for _ in range(70):
        settle(guard, 1)
        scales.append(guard.learning_rate_scale)
    assert scales == [0.25] * 29 + [0.5] * 30 + [1.0] * 11


def test_another_phase_is_measured_anew(guard):
    guard.start_phase()
    assert guard.judge([("loss", 1000.0)]).verdict is Verdict.TAKE
    assert guard.roll_backs == 0


def test_its_state_survives_json(guard):
    guard.rolled_back()
    settle(guard, 12, 1 / 3)
    guard.judge([("loss", math.nan)])
    twin = Guard(POLICY)
    twin.load_state(json.loads(json.dumps(guard.state(), allow_nan=False)))
    assert twin.state() == guard.state()
    for value in (0.3, 1.01 * 10 / 3, 3.0, math.nan, 9.0):
        assert twin.judge([("loss", value)]) == guard.judge([("loss", value)])


@pytest.mark.parametrize("wrong", [{"warm_up": 300}, {"warm_up": 0}, {"bad_steps": 60}, {"factor": 1.0}, {"roll_backs": -1},
                                   {"learning_rate_factor": 0.0}, {"recovery": 0}])
def test_impossible_policies(wrong):
    with pytest.raises(ValueError, match="not a policy"):
        GuardPolicy(**wrong)
