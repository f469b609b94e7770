"""The rows of an evaluation: each number beside what real pictures and useless ones get."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from trainer.metrics.identity import Grid, changes, consistency, likeness, rms_change
from trainer.metrics.leak import LEAK_THRESHOLD, LeakMaps
from trainer.metrics.reference import Reference
from trainer.metrics.report import Row
from trainer.metrics.scores import BLUR, COLLAPSED, Scores
from trainer.metrics.similarity import psnr, ssim

_BLIND = 0.9  # an estimator whose error on real pictures is that share of what chance gets judges nothing


def distribution_rows(found: Scores, reference: Reference, size: int) -> tuple[Row, ...]:
    """Random people against the real ones, and what is re-estimated from their pictures."""
    real, useless = reference.floors, reference.ceilings
    n = reference.count
    rows = [Row("FD-synth", found.frechet, real.frechet, useless.frechet, "lower",
                f"Fréchet distance on features trained on this dataset, n = {n}, 100 = variance of real pictures; useless: "
                f"{COLLAPSED} pictures repeated. Not FID"),
            Row("FD-random", found.frechet_random, real.frechet_random, useless.frechet_random, "lower",
                "Fréchet distance on untrained convolutions x 100; sees blur")]
    if found.frechet_inception is not None:
        rows.append(Row("FID", found.frechet_inception, real.frechet_inception, useless.frechet_inception, "lower",
                        f"Fréchet Inception distance with the given network, n = {n}, before white"))
    rows += [Row(f"SWD {size >> level}", value, real.sliced[level], useless.sliced[level], "lower",
                 f"sliced Wasserstein distance of local patches at {size >> level} pixels x 1000; useless: {BLUR}-fold blur")
             for level, value in enumerate(found.sliced)]
    rows += [
        Row("sharpness", found.sharpness, real.sharpness, useless.sharpness, "one", "gradient energy over that of real pictures"),
        _estimated("AED", found.expression, real.expression, useless.expression,
                   "re-estimated expression, RMSE of coefficients; real: the estimator's own error, useless: another picture's"),
        _estimated("AED-jaw", found.jaw, real.jaw, useless.jaw, "re-estimated jaw, RMSE in radians"),
        _estimated("APD", found.pose, real.pose, useless.pose, "re-estimated head pose against the camera, RMSE in radians"),
        _estimated("camera", found.camera, real.camera, useless.camera,
                   "re-estimated yaw and pitch of the camera, RMSE in degrees")]
    return tuple(rows)


def _estimated(name: str, value: float, real: float, useless: float, meaning: str) -> Row:
    """A row that is worth as much as its estimator, which says so itself."""
    blind = real > _BLIND * useless
    return Row(name, value, real, useless, "lower", meaning + ("; the estimator hardly sees it: no gate" if blind else ""))


def leak_rows(maps: LeakMaps) -> tuple[Row, ...]:
    """Holes in the skin."""
    return (Row("skin leak", 100 * maps.share, 0.0, 100.0, "lower",
                f"share of face pixels through which more than {LEAK_THRESHOLD:.0%} of the light passes, percent"),
            Row("light passed", 100 * maps.mean, 0.0, 100.0, "lower", "mean light that passes the face, percent"))


def truth_rows(drawn: Tensor, truth: Tensor) -> tuple[Row, ...]:
    """Pictures [n, 3, S, S] uint8 of known people against their true pictures; chance: the picture of somebody else."""
    order = np.roll(np.arange(len(truth)), len(truth) // 2)
    return (Row("PSNR", float(psnr(drawn, truth).mean()), None, float(psnr(truth[order], truth).mean()), "higher",
                "unseen people from their known factors against their true pictures, dB; useless: somebody else"),
            Row("SSIM", float(ssim(drawn, truth).mean()), None, float(ssim(truth[order], truth).mean()), "higher",
                "the same, structural similarity"))


def people_rows(drawn: Grid, real: Grid, reshaped: Grid, known: bool) -> tuple[Row, ...]:
    """Identity over views and expressions, and the test of what leaks into what.

    Args:
        drawn, real: the same shots of the same number of people.
        reshaped: the frontal shots of `drawn`, each person with the head shape of the next.
        known: whether the drawn people should look like the real ones.
    """
    own, true = consistency(drawn), consistency(real)
    table, truth = changes(drawn), changes(real)
    moved = rms_change(reshaped.expression, drawn.expression[:, :drawn.frontal])
    rows = [Row("identity AUC", own.auc, true.auc, 0.5, "higher",
                "chance that two pictures of one person look more alike than pictures of two people"),
            Row("identity same", own.same, true.same, true.different, "higher", "mean cosine of two pictures of one person"),
            Row("identity different", own.different, true.different, true.same, "real", "mean cosine of pictures of two people")]
    if known:
        rows.append(Row("identity match", likeness(drawn, real).auc, true.auc, 0.5, "higher",
                        "the same AUC between drawn pictures and real ones of the people with these known factors"))
    rows += [
        Row("swap ψ: expression", table.expression_by_expression, truth.expression_by_expression, None, "real",
            "change of re-estimated expression when the expression is swapped: must be large"),
        Row("swap ψ: identity", table.identity_by_expression, truth.identity_by_expression, truth.identity_by_identity, "lower",
            "change of identity (1 - cosine) when the expression is swapped: must be small"),
        Row("swap person: expression", table.expression_by_identity, truth.expression_by_identity,
            truth.expression_by_expression, "lower",
            "change of re-estimated expression when the person is swapped: must be small"),
        Row("swap person: identity", table.identity_by_identity, truth.identity_by_identity, None, "real",
            "change of identity (1 - cosine) when the person is swapped: must be large"),
        Row("swap shape: expression", moved, truth.expression_by_identity, truth.expression_by_expression, "lower",
            "change of re-estimated expression when the head shape alone is swapped: must be small")]
    return tuple(rows)


def speed_row(rate: float, size: int) -> tuple[Row, ...]:
    """Drawing a clip."""
    return (Row("pictures per second", rate, None, None, "higher",
                f"one person's clip at {size} x {size}, batches of 8, what depends on the person alone done before"),)
