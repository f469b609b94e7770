"""Whether people stay themselves: identity over views and expressions, and what each input changes that it must not change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from core.types import FloatArray
from trainer.metrics.features import Looks


@dataclass(frozen=True)
class Grid:
    """The same shots of several people: p people, s shots.

    Attributes:
        identity: [p, s, E] unit vectors.
        expression: [p, s, E'] estimated expression and jaw.
        frontal: how many of the first shots differ by expression alone.
    """

    identity: FloatArray
    expression: FloatArray
    frontal: int

    @staticmethod
    def of(looks: Looks, shots: int, frontal: int) -> Grid:
        """From looks in the order person by person."""
        expression = np.concatenate([looks.factors.expression, looks.factors.jaw], 1)
        people = len(expression) // shots
        return Grid(looks.identity.reshape(people, shots, -1), expression.reshape(people, shots, -1), frontal)


@dataclass(frozen=True)
class Consistency:
    """How far the pictures of a person belong together.

    Attributes:
        auc: chance that two pictures of one person look more alike than pictures of two people; 0.5 is guessing.
        same, different: mean cosine of pictures of one person, and of two people.
    """

    auc: float
    same: float
    different: float


@dataclass(frozen=True)
class Changes:
    """What follows from changing one input: root mean square over all pairs.

    Attributes:
        expression_by_expression, expression_by_identity: of estimated coefficients.
        identity_by_expression, identity_by_identity: of the identity embedding, 1 − cosine (mean).
    """

    expression_by_expression: float
    expression_by_identity: float
    identity_by_expression: float
    identity_by_identity: float


def consistency(grid: Grid) -> Consistency:
    """Of all pairs of pictures of a grid with two people at least."""
    people, shots, _ = grid.identity.shape
    vectors = grid.identity.reshape(people * shots, -1)
    person = np.repeat(np.arange(people), shots)
    return _compared(vectors @ vectors.T, person[:, None] == person, np.triu(np.ones((len(person), len(person)), bool), 1))


def likeness(drawn: Grid, real: Grid) -> Consistency:
    """The same between drawn pictures and real ones of the people they should show."""
    people, shots, _ = drawn.identity.shape
    person = np.repeat(np.arange(people), shots)
    similar = drawn.identity.reshape(people * shots, -1) @ real.identity.reshape(people * shots, -1).T
    return _compared(similar, person[:, None] == person, np.ones_like(similar, bool))


def changes(grid: Grid) -> Changes:
    """The two-by-two table: identity or expression is swapped, identity or expression is looked at."""
    frontal = grid.expression[:, :grid.frontal]
    vectors = grid.identity[:, :grid.frontal]
    return Changes(_spread(frontal, 1), _spread(frontal, 0), _turn(vectors, 1), _turn(vectors, 0))


def rms_change(a: FloatArray, b: FloatArray) -> float:
    """Root mean square difference of estimates [..., E]."""
    return float(np.sqrt(((a - b).astype(np.float64) ** 2).mean()))


def _compared(similar: FloatArray, same: np.ndarray, counted: np.ndarray) -> Consistency:
    alike, unlike = similar[same & counted].astype(np.float64), similar[~same & counted].astype(np.float64)
    ranks = rankdata(np.concatenate([alike, unlike]))[:len(alike)]
    auc = (ranks.sum() - len(alike) * (len(alike) + 1) / 2) / (len(alike) * len(unlike))
    return Consistency(float(auc), float(alike.mean()), float(unlike.mean()))


def _spread(values: FloatArray, axis: int) -> float:
    """Root mean square difference of all pairs along an axis: the root of twice the unbiased variance."""
    return float(np.sqrt(2 * values.astype(np.float64).var(axis, ddof=1).mean()))


def _turn(vectors: FloatArray, axis: int) -> float:
    """Mean 1 − cosine of all pairs of unit vectors along an axis."""
    n = vectors.shape[axis]
    total = vectors.astype(np.float64).sum(axis)
    return float(1 - (((total**2).sum(-1) - n) / (n * (n - 1))).mean())
