"""The identity space: principal components over a drawn population, and a bank of people in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.bake_open_head.morphs import Morphs
from tools.bake_open_head.population import draw_person
from tools.bake_open_head.topology import Topology

DECIMETRE = 0.1  # metres
COMPONENTS = 100
BANK_SIZE = 640
BUST_HEIGHT, BUST_WEIGHT = -0.13, 0.25  # below this height (metres from the eyes) a vertex counts less for the components


@dataclass(frozen=True)
class ShapeSpace:
    """Principal components of a population.

    Attributes:
        mean: [V, 3] metres, the origin midway between the eyes.
        dirs: [V, 3, K] metres per standard deviation.
        bank: [B, K] coefficients of drawn people.
        traits: [B, 7] their traits.
        traits_to_shape: [8, K] least-squares map of traits and 1 to coefficients.
        reconstruction: metres, mean vertex error of bank people above the bust.
    """

    mean: NDArray[np.float64]
    dirs: NDArray[np.float64]
    bank: NDArray[np.float64]
    traits: NDArray[np.float64]
    traits_to_shape: NDArray[np.float64]
    reconstruction: float


def build_shape_space(topology: Topology, morphs: Morphs, people: int, seed: int) -> ShapeSpace:
    """Draw `people`, align them at the eyes, and find their principal components by the Gram matrix."""
    rng = np.random.default_rng(seed)
    drawn = [draw_person(morphs, rng) for _ in range(people)]
    weights = np.stack([morphs.weights(person.traits, person.local) for person in drawn]).astype(np.float32)
    heads = (weights @ morphs.offsets()).reshape(people, -1, 3) + topology.rest.astype(np.float32)
    left, right = topology.eye_slices
    heads -= 0.5 * (heads[:, left].mean(1) + heads[:, right].mean(1))[:, None]
    heads *= DECIMETRE
    traits = np.stack([person.traits.row() for person in drawn])

    mean = heads.mean(0, dtype=np.float64)
    importance = np.where(mean[:, 1] > BUST_HEIGHT, 1.0, BUST_WEIGHT)
    centred = ((heads - mean) * importance[:, None]).reshape(people, -1)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(COMPONENTS)])  # eigenvectors come with any sign
    dirs = (centred.T @ vectors).reshape(-1, 3, COMPONENTS) / np.sqrt(people) / importance[:, None, None]
    coefficients = vectors * np.sqrt(people)
    features = np.concatenate([traits, np.ones((people, 1))], 1)
    head = importance == 1
    rebuilt = mean[head] + np.einsum("pk,vak->pva", coefficients[:60], dirs[head])
    error = np.linalg.norm(rebuilt - heads[:60, head], axis=2).mean()
    return ShapeSpace(mean, dirs, coefficients[:BANK_SIZE], traits[:BANK_SIZE],
                      np.linalg.lstsq(features, coefficients, rcond=None)[0], float(error))
