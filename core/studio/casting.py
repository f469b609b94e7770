"""The shape of a person: neighbours in the head model's bank, then a few facial measures moved where they look pleasant.

Distances on a linear head model are linear in the shape coefficients. So a measure ("jaw width") has a gradient, and the
smallest change of the coefficients that gives the measures chosen values is a regularised least-squares problem with one row
per measure. That lets every person have features of their own, and keeps built-in frowns and sleepy eyes away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.head.model import HeadModel
from core.studio.anatomy import INNER_MARGIN, Anatomy, anatomy_of
from core.studio.numerics import Array
from core.types import FloatArray

FREE_COMPONENTS = slice(5, 60)  # components that get individual noise; the first five decide gender, age and build
COEFFICIENT_LIMIT = 2.6
DIAL_RIDGE = 0.02  # how reluctantly coefficients follow the dialled measures


@dataclass(frozen=True)
class Dial:
    """How one measure is distributed, in standard deviations of the bank: mean per gender, spread, limits."""

    feminine: float
    masculine: float
    spread: float
    low: float
    high: float


# Wide where people differ harmlessly (noses, chins, lips), narrow where a deviation reads as a bad mood.
DIALS = {
    "eye opening": Dial(0.85, 0.55, 0.40, 0.1, 1.6),
    "eye width": Dial(0.90, 0.55, 0.55, -0.3, 2.0),
    "eye spacing": Dial(0.0, 0.0, 0.8, -1.4, 1.4),
    "mouth corner lift": Dial(0.70, 0.55, 0.45, -0.1, 1.6),
    "mouth width": Dial(0.15, 0.20, 0.8, -0.9, 1.6),
    "lip height": Dial(0.35, 0.0, 0.8, -1.2, 1.5),
    "jaw width": Dial(-1.25, -0.35, 0.75, -2.2, 1.0),
    "cheek width": Dial(-0.35, -0.25, 0.7, -1.6, 1.1),
    "nose width": Dial(-1.05, -0.45, 0.9, -2.2, 1.3),
    "nose tip width": Dial(-0.70, -0.30, 1.0, -2.0, 1.4),
    "nose bridge": Dial(0.1, 0.3, 0.9, -1.4, 1.7),
    "nose length": Dial(0.0, 0.0, 1.0, -1.7, 1.7),
    "nose projection": Dial(0.0, 0.35, 0.9, -1.5, 1.8),
    "chin width": Dial(-0.50, 0.10, 0.8, -1.8, 1.5),
    "chin height": Dial(-0.15, 0.15, 0.9, -1.5, 1.5),
}


@dataclass(frozen=True)
class FaceMeasures:
    """Linear facial measures in units of the bank's standard deviation.

    Attributes:
        names: [M].
        gradient: [M, S] change per unit of a shape coefficient.
        offset: [M] value of the mean head.
    """

    names: tuple[str, ...]
    gradient: Array
    offset: Array

    def of(self, shape: Array) -> Array:
        """Measures [M] of shape coefficients [S]."""
        return self.offset + self.gradient @ shape

    def dial(self, shape: Array, wanted: Array) -> Array:
        """The shape nearest to `shape` whose measures are (nearly) `wanted` [M]."""
        gram = self.gradient @ self.gradient.T + DIAL_RIDGE * np.eye(len(self.offset))
        return shape + self.gradient.T @ np.linalg.solve(gram, wanted - self.of(shape))


@lru_cache(maxsize=2)
def face_measures(head: HeadModel) -> FaceMeasures:
    """The measures of `DIALS` on a head model, standardised over its shape bank."""
    anatomy = anatomy_of(head)
    rows = _measure_rows(anatomy)
    names = tuple(DIALS)
    gradient = np.stack([np.einsum("v,vs->s", weight, head.shape_dirs[:, axis, :].astype(np.float64))
                         for weight, axis in (rows[n] for n in names)])
    base = np.array([weight @ head.v_template[:, axis] for weight, axis in (rows[n] for n in names)])
    bank = base + head.shape_bank.astype(np.float64) @ gradient.T
    mean, deviation = bank.mean(0), bank.std(0)
    return FaceMeasures(names, gradient / deviation[:, None], (base - mean) / deviation)


def _measure_rows(anatomy: Anatomy) -> dict[str, tuple[Array, int]]:
    """Each measure as weights over the vertices [V] and the coordinate they act on."""
    head = anatomy.head
    rest = head.v_template.astype(np.float64)
    x, y, z = rest.T
    width = np.abs(x)
    side = np.sign(x)
    skin = np.zeros(len(rest), bool)
    skin[anatomy.skin_vertices] = True
    skin &= head.masks.ears < 0.3
    lips = skin & (head.masks.lips > 0.5) & (width < 0.012)
    corner = _indicator(anatomy.mouth_loop, rest, width[anatomy.mouth_loop] > 0.8 * width[anatomy.mouth_loop].max())
    middle = _indicator(anatomy.mouth_loop, rest, width[anatomy.mouth_loop] < 0.005)
    mouth_line = y[anatomy.mouth_loop].mean()
    lids = np.concatenate([eye.rings[INNER_MARGIN] for eye in anatomy.eyes])
    lid_middle = np.abs(width[lids] - 0.031) < 0.006
    ring_side = np.concatenate([np.full(len(eye.rings[INNER_MARGIN]), eye.side) for eye in anatomy.eyes])
    lid_x = width[lids]
    outer, inner = lid_x > np.quantile(lid_x, 0.92), lid_x < np.quantile(lid_x, 0.08)

    def lid_row(chosen: Array, signed: bool = False) -> Array:
        row = np.zeros(len(rest))
        row[lids[chosen]] = ring_side[chosen] if signed else 1.0
        return row / chosen.sum()

    def mean_width(chosen: Array) -> Array:
        return np.where(chosen, side, 0.0) / max(chosen.sum(), 1)

    def mean(chosen: Array) -> Array:
        return chosen / max(chosen.sum(), 1)

    return {
        "eye opening": (lid_row(lid_middle & (y[lids] > -0.001)) - lid_row(lid_middle & (y[lids] <= -0.001)), 1),
        "eye width": (lid_row(outer, True) - lid_row(inner, True), 0),
        "eye spacing": (lid_row(inner, True), 0),
        "mouth corner lift": (corner - middle, 1),
        "mouth width": (corner * side, 0),
        "lip height": (mean(lips & (y > mouth_line)) - mean(lips & (y < mouth_line)), 1),
        "jaw width": (mean_width(skin & (y > -0.086) & (y < -0.064) & (z > -0.08) & (z < -0.03) & (width > 0.04)), 0),
        "cheek width": (mean_width(skin & (y > -0.038) & (y < -0.012) & (z > -0.05) & (z < -0.015) & (width > 0.05)), 0),
        "nose width": (mean_width(skin & (y > -0.052) & (y < -0.038) & (z > 0.012) & (width > 0.012) & (width < 0.022)), 0),
        "nose tip width": (mean_width(skin & (y > -0.046) & (y < -0.033) & (z > 0.025) & (width > 0.004) & (width < 0.012)), 0),
        "nose bridge": (mean(skin & (y > -0.016) & (y < 0.002) & (width < 0.004))
                        - mean(skin & (y > -0.016) & (y < 0.004) & (width > 0.040) & (width < 0.052)), 2),
        "nose length": (-mean(skin & (y > -0.054) & (y < -0.044) & (z > 0.02) & (width < 0.006)), 1),
        "nose projection": (mean(skin & (y > -0.044) & (y < -0.030) & (width < 0.005))
                            - mean(skin & (y > -0.052) & (y < -0.030) & (width > 0.03) & (width < 0.04)), 2),
        "chin width": (mean_width(skin & (y > -0.112) & (y < -0.094) & (z > -0.03) & (width > 0.014) & (width < 0.032)), 0),
        "chin height": (-mean(skin & (y > -0.118) & (y < -0.100) & (z > -0.01) & (width < 0.012)) + middle, 1),
    }


def _indicator(ids: Array, rest: Array, chosen: Array) -> Array:
    row = np.zeros(len(rest))
    row[ids[chosen]] = 1.0 / chosen.sum()
    return row


@dataclass(frozen=True)
class CastShape:
    """Shape coefficients [S] and the traits of the bank heads they were blended from."""

    shape: FloatArray
    age: float
    ancestry: Array


def age_in_years(bank_age: Array) -> Array:
    """The bank's age coordinate (0.5 = 25 years, 1 = 80 years) in years."""
    return np.where(bank_age < 0.5, 12 + 26 * bank_age, 25 + 110 * (bank_age - 0.5))


def cast_shape(head: HeadModel, masculine: bool, age: float, ancestry: Array, rng: np.random.Generator) -> CastShape:
    """Two bank heads near the wanted age and ancestry, blended, varied and dialled."""
    traits = head.shape_bank_traits.astype(np.float64)
    ages = age_in_years(traits[:, 1])
    right_gender = np.flatnonzero(traits[:, 0] > 0.72 if masculine else traits[:, 0] < 0.28)
    distance = np.abs(ages[right_gender] - age) / 18 + np.linalg.norm(traits[right_gender, 2:5] - ancestry, axis=1)
    nearest = right_gender[np.argsort(distance, kind="stable")[:10]]
    first, second = rng.choice(nearest, 2, replace=False)
    bank = head.shape_bank.astype(np.float64)
    shape = 0.68 * bank[first] + 0.32 * bank[second]
    shape[FREE_COMPONENTS] += 0.42 * rng.normal(size=FREE_COMPONENTS.stop - FREE_COMPONENTS.start)
    shape = _dialled(face_measures(head), np.clip(shape, -COEFFICIENT_LIMIT, COEFFICIENT_LIMIT), masculine, rng)
    mix = 0.68 * traits[first] + 0.32 * traits[second]
    return CastShape(np.clip(shape, -COEFFICIENT_LIMIT, COEFFICIENT_LIMIT).astype(np.float32),
                     float(0.68 * ages[first] + 0.32 * ages[second]), mix[2:5])


def _dialled(measures: FaceMeasures, shape: Array, masculine: bool, rng: np.random.Generator) -> Array:
    own = measures.of(shape)
    wanted = np.empty_like(own)
    for i, name in enumerate(measures.names):
        dial = DIALS[name]
        mean = dial.masculine if masculine else dial.feminine
        wanted[i] = np.clip(0.35 * own[i] + 0.65 * mean + dial.spread * rng.normal(), dial.low, dial.high)
    return measures.dial(shape, wanted)
