"""The driving response: what it predicts, and the ψ it asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.avatar.response import DrivingResponse, logit
from tests.avatar.conftest import random_response

PSI = 8


@pytest.fixture
def response() -> DrivingResponse:
    return random_response(PSI)


def linear_response(gain: float, freedom: float) -> DrivingResponse:
    """One score whose logit is the resting one plus gain · ψ[0]."""
    inputs = PSI + 3 + 1
    linear = np.zeros((1, inputs), np.float32)
    linear[0, 0] = gain
    zero, one = np.zeros, np.ones
    return DrivingResponse(
        score=np.array([25], np.int32), variable=np.array([0], np.int32), weight_0=zero((2, inputs), np.float32),
        bias_0=zero(2, np.float32), weight_1=zero((2, 2), np.float32), bias_1=zero(2, np.float32),
        weight_2=zero((1, 2), np.float32), bias_2=zero(1, np.float32), linear=linear, input_mean=zero(inputs, np.float32),
        input_scale=one(inputs, np.float32), uncertainty=one(1, np.float32), freedom=np.array([freedom], np.float32),
        low=np.array([-1], np.float32), high=np.array([2], np.float32), rest_scores=np.array([0.2], np.float32))


def scores_with(value: float) -> np.ndarray:
    scores = np.zeros(52, np.float32)
    scores[25] = value
    return scores


def test_derivatives_equal_finite_differences(response, generator):
    psi = generator.uniform(0, 1, PSI).astype(np.float64)
    rotation, rest = np.zeros(3), logit(response.rest_scores.astype(np.float64))
    _, jacobian = response._predict(psi, rotation, rest)
    step = 1e-5
    for column, entry in enumerate(response.variable):
        ahead, behind = psi.copy(), psi.copy()
        ahead[entry] += step
        behind[entry] -= step
        slope = (response._predict(ahead, rotation, rest)[0] - response._predict(behind, rotation, rest)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, column], slope, rtol=1e-4, atol=1e-6)  # second-order differences


def test_a_free_variable_reaches_the_score_it_is_asked_for():
    response = linear_response(gain=4.0, freedom=100.0)
    psi = response.correct(np.zeros(PSI, np.float32), scores_with(0.5), np.zeros(3))
    assert psi[0] == pytest.approx((logit(0.7) - logit(0.2)) / 4, abs=1e-3)
    assert response.predict(psi, np.zeros(3), response.rest_scores) == pytest.approx(0.7, abs=1e-3)


def test_a_bound_variable_stays_where_it_was_tracked():
    psi = linear_response(gain=4.0, freedom=1e-4).correct(np.full(PSI, 0.3, np.float32), scores_with(0.5), np.zeros(3))
    np.testing.assert_allclose(psi, 0.3, atol=1e-4)


def test_a_face_at_rest_stays_at_rest():
    """Driver and avatar both read their own resting scores: nothing is to be done."""
    psi = linear_response(4.0, 1.0).correct(np.zeros(PSI, np.float32), scores_with(0.0), np.zeros(3))
    np.testing.assert_allclose(psi, 0, atol=1e-6)


def test_a_persons_own_resting_scores_count():
    response, tracked = linear_response(4.0, 100.0), np.zeros(PSI, np.float32)
    average = response.correct(tracked, scores_with(0.3), np.zeros(3))
    smiling = response.correct(tracked, scores_with(0.3), np.zeros(3), scores_with(0.6))
    assert smiling[0] == pytest.approx((logit(0.9) - logit(0.6)) / 4, abs=1e-3)
    assert average[0] != pytest.approx(smiling[0], abs=1e-2)
    np.testing.assert_array_equal(response.correct(tracked, scores_with(0.3), np.zeros(3), np.zeros(0)), average)


def test_without_scores_nothing_changes(response, generator):
    psi = generator.uniform(0, 1, PSI).astype(np.float32)
    np.testing.assert_array_equal(response.correct(psi, np.zeros(0, np.float32), np.zeros(3)), psi)


def test_only_its_variables_change_and_within_their_limits(response, generator):
    response = replace(response, freedom=np.full(4, 50.0, np.float32))
    for _ in range(20):
        psi = generator.uniform(0, 1, PSI).astype(np.float32)
        corrected = response.correct(psi, generator.uniform(-1, 1, 52).astype(np.float32), generator.normal(size=3))
        others = np.setdiff1d(np.arange(PSI), response.variable)
        np.testing.assert_array_equal(corrected[others], psi[others])
        assert (corrected[response.variable] >= response.low).all()
        assert (corrected[response.variable] <= response.high).all()
