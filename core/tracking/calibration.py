"""What is particular to a person: the shape of the resting face and the ranges in which lids, lips and eyes move.

The resting face is found from a few dozen frames by alternation: every frame is fitted with the current face, then the face
is improved given all the fits, first by the head model's shape coefficients, then by a smooth free offset per landmark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from core.errors import InputError
from core.tracking.blink import LidRange, measure_lid_range
from core.tracking.gaze import GazeRange, measure_gaze_range
from core.tracking.landmark_rig import INNER_LIP_PAIRS, LandmarkRig
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.tracking.mouth import lip_gap
from core.tracking.score_prior import ScorePrior
from core.tracking.solver import Fit, HeadSolver, Prior, viewer_points
from core.types import Landmarks

LEAST_PERCENTILE = 10.0
OPEN_MOUTH = [SCORE_NAMES.index(name) for name in ("jawOpen", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight")]
SHUT_PERCENTILE = 15.0
QUIET_SHARE = 0.15
CLOSED_LIPS_PERCENTILE, WIDEST_CLOSED_LIPS = 2.0, 0.02
SHAPE_COUNT = 40
SHAPE_ROUNDS, OFFSET_ROUNDS, FITS_PER_ROUND = 3, 3, 3
SHAPE_RIDGE = 2e-6  # squared IODs of mean landmark error that one standard deviation of shape is worth
OFFSET_SMOOTHNESS, OFFSET_RIDGE = 0.005, 0.003
LIP_SEAL = 1.0
NEIGHBOURS = 6
MINIMUM_FRAMES = 5
RESTING_FRAMES = 8  # of the frames known to rest, how many the shape is fitted to
RESTING_STRENGTH = 5.0  # factor on the prior that holds their expression at zero


@dataclass(frozen=True)
class Calibration:
    """A person in front of the camera.

    Attributes:
        shape: [S] coefficients of the head model's identity.
        offset: [468, 3] metres, what the landmarks of the resting face differ from that identity by.
        neutral_scores: [52] the landmarker's scores of the resting face.
        lids: open and closed apertures and scores of both eyes.
        gaze: directions of both eyes that count as straight ahead.
        lip_gap: gap of the closed lips as a fraction of the mouth's width.
        head_sha256: the head model the numbers belong to.
        residual: mean fit error over the frames it was made from, a fraction of the inter-ocular distance; 0 when not known.
    """

    shape: NDArray
    offset: NDArray
    neutral_scores: NDArray
    lids: LidRange
    gaze: GazeRange
    lip_gap: float
    head_sha256: str = ""
    residual: float = 0.0

    @staticmethod
    def nobody(head_sha256: str = "") -> Calibration:
        """The average person, before anything is known."""
        return Calibration(np.zeros(0), np.zeros((468, 3)), np.zeros(52), LidRange.average(), GazeRange.average(),
                           0.02, head_sha256)

    def neutral(self, rig: LandmarkRig) -> NDArray:
        """Landmarks of the resting face [468, 3]."""
        return rig.neutral(self.shape) + self.offset

    def joints(self, rig: LandmarkRig) -> NDArray:
        """Joints of the head [5, 3]; the eyes follow the corners of the lids that the person really has."""
        joints = rig.joints_of(self.shape).copy()
        for joint, corners in ((3, (263, 362)), (4, (33, 133))):
            joints[joint] += self.offset[list(corners)].mean(0)
        return joints

    def apply(self, solver: HeadSolver) -> None:
        """Make `solver` fit this person."""
        solver.set_neutral(self.neutral(solver.rig), self.joints(solver.rig)[2])


def calibrate(rig: LandmarkRig, clip: Sequence[Landmarks], frames: int = 32, head_sha256: str = "",
              resting: Sequence[int] = ()) -> Calibration:
    """Learn a person from the frames of a clip in which a face was found.

    Args:
        rig: the head model at the landmarks.
        clip: landmarks in order of time.
        frames: how many of them the shape is fitted to; the ranges use all.
        head_sha256: hash of the head model, kept with the result.
        resting: frames in which the face is known to be at rest. They define what neutral is, in shape and scores; without
            any it is found by itself.

    Raises:
        InputError: fewer than five frames.
    """
    if len(clip) < MINIMUM_FRAMES:
        raise InputError(f"calibration needs {MINIMUM_FRAMES} frames with a face, there are {len(clip)}")
    scores = np.stack([landmarks.scores for landmarks in clip])
    neutral_scores = np.median(scores[list(resting)], axis=0) if len(resting) else resting_scores(scores)
    known = _most_typical(scores, resting)
    chosen = sorted(known.union(_diverse(clip, scores, frames)))
    shape, offset = _fit_resting_face(rig, [clip[i] for i in chosen], neutral_scores, [i in known for i in chosen])
    lids = measure_lid_range(clip)
    gaps = np.array([lip_gap(landmarks) for landmarks in clip])
    person = Calibration(shape, offset, neutral_scores, lids, GazeRange.average(),
                         float(min(np.percentile(gaps, CLOSED_LIPS_PERCENTILE), WIDEST_CLOSED_LIPS)), head_sha256)
    return _with_gaze(person, rig, clip)


def resting_scores(scores: NDArray) -> NDArray:
    """The scores [52] of the resting face among those of a clip [T, 52].

    They are the medians over the clip's quietest frames, those whose scores lie least above the low percentiles. A low percentile
    of each score alone would be wrong for a face whose resting lips read as a slight smile: other expressions lower that score.
    Nothing but shutting the mouth lowers the scores of an open one, though, so for those a low percentile is right, also for a
    person who talks all the time.
    """
    face = [i for i, name in enumerate(SCORE_NAMES) if not name.startswith(("_", "eyeLook"))]
    least = np.percentile(scores, LEAST_PERCENTILE, axis=0)
    activity = np.maximum(scores - least, 0)[:, face].sum(1)
    quiet = np.argsort(activity)[:max(MINIMUM_FRAMES, round(QUIET_SHARE * len(scores)))]
    resting = np.median(scores[quiet], axis=0)
    resting[OPEN_MOUTH] = np.minimum(resting[OPEN_MOUTH], np.percentile(scores[:, OPEN_MOUTH], SHUT_PERCENTILE, axis=0))
    return resting


def _fit_resting_face(rig: LandmarkRig, clip: Sequence[Landmarks], neutral_scores: NDArray,
                      rests: Sequence[bool]) -> tuple[NDArray, NDArray]:
    """Shape coefficients and landmark offsets from a few frames, some of which may be known to rest."""
    solver = HeadSolver(rig, subset=np.arange(len(rig.template)))
    prior_of = ScorePrior(rig)
    columns = len(rig.expression_names)
    at_rest = Prior(np.zeros(columns), np.zeros(2), np.full(columns + 2, RESTING_STRENGTH))
    priors = [at_rest if rest else prior_of(landmarks.scores, neutral_scores)
              for landmarks, rest in zip(clip, rests, strict=True)]
    observed = [viewer_points(landmarks) for landmarks in clip]
    fits = [solver.start(landmarks) for landmarks in clip]
    shape = np.zeros(min(SHAPE_COUNT, rig.shape_dirs.shape[2]))
    offset = np.zeros_like(rig.template)
    regular = _offset_energy(rig.template)
    for round_index in range(SHAPE_ROUNDS + OFFSET_ROUNDS):
        for i, fit in enumerate(fits):
            for _ in range(FITS_PER_ROUND):
                fit = solver.refine(fit, observed[i], priors[i])
            fits[i] = fit
        if round_index < SHAPE_ROUNDS:
            shape = shape + _shape_step(solver, fits, observed, shape)
        else:
            offset = offset + _offset_step(solver, fits, observed, offset, regular)
        solver.set_neutral(rig.neutral(shape) + offset, rig.joints_of(shape)[2])
    return shape, offset


def _shape_step(solver: HeadSolver, fits: Sequence[Fit], observed: Sequence[NDArray], shape: NDArray) -> NDArray:
    """Gauss-Newton step of the shape coefficients with the frames' poses and expressions held."""
    dirs = solver.rig.shape_dirs[:, :, :len(shape)]
    hessian = SHAPE_RIDGE * np.eye(len(shape))
    gradient = SHAPE_RIDGE * shape
    for fit, points in zip(fits, observed, strict=True):
        view = solver.look(fit, points)
        jacobian = np.matmul(view.by_rest, dirs)
        weighted = jacobian * (view.weights / len(fits))[:, None, None]
        hessian += np.tensordot(weighted, jacobian, ((0, 1), (0, 1)))
        gradient += np.tensordot(weighted, view.residual, ((0, 1), (0, 1)))
    return np.linalg.solve(hessian, -gradient)


def _offset_step(solver: HeadSolver, fits: Sequence[Fit], observed: Sequence[NDArray], offset: NDArray,
                 energy: sparse.csc_matrix) -> NDArray:
    """Step of the free offsets: least squares on the pictures plus the quadratic `energy` of `_offset_energy`."""
    count = len(offset)
    blocks = np.zeros((count, 3, 3))
    pull = np.zeros((count, 3))
    for fit, points in zip(fits, observed, strict=True):
        view = solver.look(fit, points)
        robust = view.weights / solver.static_weights
        blocks += np.einsum("n,nai,naj->nij", robust, view.by_rest, view.by_rest) / len(fits)
        pull -= np.einsum("n,nai,na->ni", robust, view.by_rest, view.residual) / len(fits)
    stiffness = np.median(np.trace(blocks, axis1=1, axis2=2)) / 2
    data = sparse.block_diag(list(blocks)).tocsc()
    regular = stiffness * energy
    return spsolve((data + regular).tocsc(), pull.ravel() - regular @ offset.ravel()).reshape(count, 3)


def _offset_energy(points: NDArray) -> sparse.csc_matrix:
    """What offsets of the landmarks cost [3L, 3L]: unlike neighbours, size, and lips that do not touch.

    A person who talks or smiles through the whole calibration never shows closed lips. The resting face of the head model has
    them closed, and so has every person's: opening the mouth is left to the expression.
    """
    count = len(points)
    neighbours = cKDTree(points).query(points, k=NEIGHBOURS + 1)[1][:, 1:]
    rows = np.repeat(np.arange(count), NEIGHBOURS)
    graph = sparse.coo_matrix((np.ones(rows.size), (rows, neighbours.ravel())), shape=(count, count)).tocsr()
    graph = graph.maximum(graph.T)
    degree = np.asarray(graph.sum(1)).ravel()
    laplacian = sparse.diags(1 / degree) @ (sparse.diags(degree) - graph)
    pairs = np.arange(len(INNER_LIP_PAIRS))
    signs = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
    columns = np.array(INNER_LIP_PAIRS).T.ravel()
    parting = sparse.coo_matrix((signs, (np.tile(pairs, 2), columns)), shape=(len(pairs), count)).tocsr()
    energy = (OFFSET_SMOOTHNESS * laplacian.T @ laplacian + OFFSET_RIDGE * sparse.identity(count)
              + LIP_SEAL * parting.T @ parting)
    return sparse.kron(energy, sparse.identity(3)).tocsc()


def _with_gaze(person: Calibration, rig: LandmarkRig, clip: Sequence[Landmarks]) -> Calibration:
    """The person with the gaze range and the fit error measured over the clip's frames."""
    solver = HeadSolver(rig)
    person.apply(solver)
    joints = person.joints(rig)
    fits, errors, fit = [], [], None
    prior_of = ScorePrior(rig)
    for landmarks in clip:
        fit = fit or solver.start(landmarks)
        observed = viewer_points(landmarks)
        fit = solver.refine(fit, observed, prior_of(landmarks.scores, person.neutral_scores), fit)
        fits.append(fit)
        errors.append(solver.errors(fit, observed).mean())
    gaze = measure_gaze_range(clip, fits, joints, rig.eyeball_radius, person.lids)
    return replace(person, gaze=gaze, residual=float(np.mean(errors)))


def _diverse(clip: Sequence[Landmarks], scores: NDArray, count: int) -> list[int]:
    """Frames for the shape: half evenly spread in time, half as different from each other as can be."""
    if len(clip) <= count:
        return list(range(len(clip)))
    chosen = list(np.linspace(0, len(clip) - 1, count // 2).astype(int))
    rotations = np.stack([landmarks.transform[:3, :3].ravel() for landmarks in clip])
    features = np.hstack([scores, 2 * rotations])
    distance = np.min([np.linalg.norm(features - features[i], axis=1) for i in chosen], axis=0)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return sorted(chosen)


def _most_typical(scores: NDArray, resting: Sequence[int]) -> set[int]:
    """The few of the resting frames that are most like all of them; even a face at rest twitches."""
    indices = np.asarray(resting, int)
    if not len(indices):
        return set()
    away = np.abs(scores[indices] - np.median(scores[indices], axis=0)).sum(1)
    return set(indices[np.argsort(away)[:RESTING_FRAMES]].tolist())
