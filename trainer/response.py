"""Fitting a pack's driving response: render known expressions of its people, track them, learn what the landmarker reads.

See `core.avatar.response` for what the result is used for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.avatar.model import Avatar
from core.avatar.response import DrivingResponse, logit
from core.avatar.resting import ScoreReader
from core.avatar.sources import IdentitySource
from core.errors import InputError
from core.head.model import HeadModel
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.types import FloatArray, HeadParams
from trainer.psi_sampling import PsiSampler

CORRECTED_SCORES = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp",
                    "browDownLeft", "browDownRight", "mouthPucker", "mouthFunnel", "mouthUpperUpLeft", "mouthUpperUpRight",
                    "mouthLowerDownLeft", "mouthLowerDownRight")
CORRECTED_COLUMNS = ("mouth", "brow", "eyeBlink", "noseSneer", "cheekSquint", "jawForward")
LEFT_ALONE = ("mouthClose",)  # means nothing by itself: it follows the jaw
COLUMN_LIMITS = (-0.1, 1.3)
# Factors on the freedom: smiles are read well on any face, so other scores must not bend them; lids may follow fully.
COLUMN_FREEDOM = {"mouthSmile": 0.25, "eyeBlink": 2.0}
ROTATION_SPREAD = (0.10, 0.12, 0.05)  # pitch, yaw, roll of the sampled heads, radians
HIDDEN = (128, 64)


@dataclass(frozen=True)
class ResponseSettings:
    """How much to look at, and how hard to learn.

    Attributes:
        people: number of people that are rendered.
        samples: expressions of each.
        epochs, learning_rate, weight_decay, input_noise: of the fit.
        freedom: standard deviation of a correction, in expression units (1 is a full expression).
        seed: of every random choice.
    """

    people: int = 24
    samples: int = 250
    epochs: int = 60
    learning_rate: float = 2e-3
    weight_decay: float = 1.0
    input_noise: float = 0.05
    freedom: float = 0.35
    seed: int = 0


@dataclass(frozen=True)
class Readings:
    """What was shown and what was read.

    Attributes:
        psi: [M, P] driving vectors.
        rotation: [M, 3] head rotations, axis-angle.
        scores: [M, 52].
        rest_scores: [M, 52] the same person at rest.
        person: [M] number of the person.
    """

    psi: FloatArray
    rotation: FloatArray
    scores: FloatArray
    rest_scores: FloatArray
    person: np.ndarray


def fit_response(source: IdentitySource, head: HeadModel, seeds: Sequence[int], settings: ResponseSettings | None = None,
                 progress: Callable[[float], None] = lambda _: None) -> DrivingResponse:
    """Render, read and learn. Takes minutes.

    Args:
        source: makes the people. A response that its pack has already does not act: sampled faces have no scores.
        seeds: who is looked at.
        progress: called with the share that is done.
    """
    settings = settings or ResponseSettings()
    return learn_response(collect(source, head, seeds, settings, progress), head, settings)


def collect(source: IdentitySource, head: HeadModel, seeds: Sequence[int], settings: ResponseSettings,
            progress: Callable[[float], None] = lambda _: None) -> Readings:
    """Render sampled expressions of people and read their scores. Pictures without a found face are left out.

    Raises:
        InputError: nobody's face was found.
    """
    rng = np.random.default_rng(settings.seed)
    sampler = PsiSampler(head)
    rows: list[tuple] = []
    with ScoreReader() as reader:
        for person, seed in enumerate(seeds):
            avatar = Avatar(source.pack, source.build(seed))
            rest = reader.rest_scores(avatar)
            if rest is None:
                continue
            for _ in range(settings.samples):
                psi, rotation = _sample(sampler, rng)
                params = replace(HeadParams.neutral(head.expression_count).with_psi(psi), head_rotation=rotation)
                scores = reader.scores(avatar, params)
                if scores is not None:
                    rows.append((psi, rotation, scores, rest, person))
            progress((person + 1) / len(seeds))
    if not rows:
        raise InputError(f"the landmarker found no face on any of {len(seeds)} people", "a driving response cannot be fitted")
    return Readings(*(np.stack(column) for column in zip(*rows, strict=True)))


def _sample(sampler: PsiSampler, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Expressions of every strength, half of them mixed from two, on slightly turned heads."""
    psi = sampler.sample(rng, 1)[0] * rng.uniform(0.3, 1.3)
    if rng.uniform() < 0.5:
        psi = 0.8 * psi + rng.uniform(0.2, 0.7) * sampler.sample(rng, 1)[0]
    return psi.astype(np.float32), rng.normal(0, ROTATION_SPREAD).astype(np.float32)


def learn_response(readings: Readings, head: HeadModel, settings: ResponseSettings) -> DrivingResponse:
    """Fit the network; its uncertainty is measured on every sixth person, who is left out of a first fit."""
    everyone = np.ones(len(readings.person), bool)
    left_out = readings.person % 6 == 0
    if left_out.all() or not left_out.any():  # too few people to leave one out
        learned = tested = everyone
    else:
        learned, tested = ~left_out, left_out
    trial = _response(readings, head, settings, _train(readings, learned, settings))
    response = _response(readings, head, settings, _train(readings, everyone, settings))
    return replace(response, uncertainty=_errors(trial, readings, tested))


def _response(readings: Readings, head: HeadModel, settings: ResponseSettings,
              network: dict[str, FloatArray]) -> DrivingResponse:
    """A response around a trained network, of unit uncertainty."""
    score = np.array([SCORE_NAMES.index(name) for name in CORRECTED_SCORES], np.int32)
    columns = [i for i, name in enumerate(head.expression_names) if name.startswith(CORRECTED_COLUMNS) and name not in LEFT_ALONE]
    freedom = [settings.freedom * _factor(head.expression_names[i]) for i in columns]
    freedom.append(settings.freedom * abs(head.jaw_open_angle))
    low, high = (np.array([limit] * len(columns), np.float32) for limit in COLUMN_LIMITS)
    return DrivingResponse(
        score=score, variable=np.array([*columns, head.expression_count], np.int32), **network,
        uncertainty=np.ones(len(score), np.float32), freedom=np.array(freedom, np.float32),
        low=np.append(low, np.float32(0)), high=np.append(high, np.float32(1.15 * head.jaw_open_angle)),
        rest_scores=np.median(readings.rest_scores[:, score], axis=0).astype(np.float32))


def _factor(column: str) -> float:
    return next((factor for start, factor in COLUMN_FREEDOM.items() if column.startswith(start)), 1.0)


def _data(readings: Readings) -> tuple[FloatArray, FloatArray]:
    """Inputs [M, P + 3 + C] and targets [M, C] (logits above the resting ones)."""
    score = [SCORE_NAMES.index(name) for name in CORRECTED_SCORES]
    rest = logit(readings.rest_scores[:, score])
    inputs = np.concatenate([readings.psi, readings.rotation, rest], 1).astype(np.float32)
    return inputs, (logit(readings.scores[:, score]) - rest).astype(np.float32)


def _train(readings: Readings, use: np.ndarray, settings: ResponseSettings) -> dict[str, FloatArray]:
    """Weights of the network, by the names `DrivingResponse` gives them."""
    import torch
    from torch import nn

    torch.manual_seed(settings.seed)
    inputs, targets = (torch.from_numpy(array[use]) for array in _data(readings))
    mean, scale = inputs.mean(0), inputs.std(0) + 0.05
    inputs = (inputs - mean) / scale
    network = nn.Sequential(nn.Linear(inputs.shape[1], HIDDEN[0]), nn.SiLU(), nn.Linear(*HIDDEN), nn.SiLU(),
                            nn.Linear(HIDDEN[1], targets.shape[1]))
    linear = nn.Linear(inputs.shape[1], targets.shape[1], bias=False)
    optimizer = torch.optim.AdamW([*network.parameters(), *linear.parameters()], settings.learning_rate,
                                  weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            x = inputs[batch] + settings.input_noise * torch.randn_like(inputs[batch])
            target = targets[batch]
            # Far logits are all "not at all" or "fully": being off by one there matters less.
            loss = ((network(x) + linear(x) - target) ** 2 / (1 + 0.1 * target.abs())).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    layers = [network[0], network[2], network[4]]
    weights = {f"weight_{i}": layer.weight for i, layer in enumerate(layers)}
    weights |= {f"bias_{i}": layer.bias for i, layer in enumerate(layers)}
    weights |= {"linear": linear.weight, "input_mean": mean, "input_scale": scale}
    return {name: value.detach().numpy().copy() for name, value in weights.items()}


def _errors(response: DrivingResponse, readings: Readings, use: np.ndarray) -> FloatArray:
    """Standard deviation [C] of the predicted logits' error within a person.

    What is left of a person's own constant offset is no reason to distrust how the scores move.
    """
    rest, read = logit(readings.rest_scores[:, response.score]), logit(readings.scores[:, response.score])
    rows = np.flatnonzero(use)
    error = np.stack([response.logits(readings.psi[i], readings.rotation[i], rest[i]) - read[i] for i in rows])
    person = readings.person[rows]
    within = np.stack([error[person == one].var(0) for one in np.unique(person)])
    return np.sqrt(within.mean(0)).astype(np.float32)
