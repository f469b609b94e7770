"""Fitting the driving response, on readings that are made up by formula."""

from __future__ import annotations

import numpy as np
import pytest

from core.avatar.response import logit
from core.head.library import load_open_head
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from trainer.response import CORRECTED_SCORES, Readings, ResponseSettings, learn_response

JAW = SCORE_NAMES.index("jawOpen")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def readings() -> Readings:
    """Six people whose jawOpen logit rises by 8 per radian of jaw from a level of their own; other scores rest."""
    rng = np.random.default_rng(3)
    head = load_open_head()
    person = np.repeat(np.arange(6), 120)
    psi = (0.3 * rng.uniform(size=(len(person), head.psi_layout.size))).astype(np.float32)
    level = rng.uniform(-4, -2, 6)[person]
    rest = np.full((len(person), 52), 0.05, np.float32)
    rest[:, JAW] = sigmoid(level)
    scores = rest.copy()
    scores[:, JAW] = sigmoid(level + 8 * psi[:, head.expression_count])
    return Readings(psi, np.zeros((len(person), 3), np.float32), scores, rest, person)


@pytest.fixture(scope="module")
def response(readings):
    return learn_response(readings, load_open_head(), ResponseSettings(epochs=30))


def test_it_predicts_what_was_read(readings, response):
    column = CORRECTED_SCORES.index("jawOpen")
    rest = readings.rest_scores[:, response.score]
    predicted = np.array([response.predict(readings.psi[i], readings.rotation[i], rest[i])[column] for i in range(0, 720, 9)])
    error = logit(predicted) - logit(readings.scores[::9, JAW])
    assert np.sqrt((error**2).mean()) < 0.25  # of a range of 2.4; weight decay keeps the fit from being exact


def test_it_asks_for_the_jaw_that_gives_the_score(readings, response):
    head = load_open_head()
    scores = np.zeros(52, np.float32)
    scores[JAW] = 0.4
    psi = response.correct(np.zeros(head.psi_layout.size, np.float32), scores, np.zeros(3), readings.rest_scores[0])
    resting = readings.rest_scores[0, JAW]
    wanted = (logit(resting + 0.4) - logit(resting)) / 8
    assert 0.4 * wanted < psi[head.expression_count] < 1.2 * wanted


def test_it_trusts_scores_by_how_well_they_are_predicted(response):
    assert (response.uncertainty > 0).all()
    assert response.uncertainty[CORRECTED_SCORES.index("jawOpen")] < 0.5
