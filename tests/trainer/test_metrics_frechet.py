"""Fréchet distance against closed forms, and that it grows with what is wrong with pictures."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.nn import functional

from trainer.metrics.frechet import GaussianStatistics, StatisticsStream, frechet_distance, random_features


def gaussian(mean, covariance) -> GaussianStatistics:
    return GaussianStatistics(np.asarray(mean, float), np.asarray(covariance, float), 1000)


def test_diagonal_gaussians_have_the_closed_form(generator):
    a, b = generator.uniform(0.1, 4, 12), generator.uniform(0.1, 4, 12)
    m, n = generator.standard_normal(12), generator.standard_normal(12)
    expected = ((m - n) ** 2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(gaussian(m, np.diag(a)), gaussian(n, np.diag(b))) == pytest.approx(expected, rel=1e-12)


def test_covariances_that_do_not_commute_match_the_general_matrix_root(generator):
    a, b = (x @ x.T + 0.1 * np.eye(9) for x in generator.standard_normal((2, 9, 9)))
    root = scipy.linalg.sqrtm(a @ b)
    expected = np.trace(a) + np.trace(b) - 2 * np.trace(root).real
    zero = np.zeros(9)
    # the oracle takes the root of a matrix that is not symmetric: some 1e-8 of it is lost
    assert frechet_distance(gaussian(zero, a), gaussian(zero, b)) == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(gaussian(zero, b), gaussian(zero, a)) == pytest.approx(expected, rel=1e-7)


def test_fewer_pictures_than_features_are_no_trouble(generator):
    few = GaussianStatistics.of(generator.standard_normal((7, 40)))
    assert frechet_distance(few, few) < 1e-6 * np.trace(few.covariance)
    assert frechet_distance(few, gaussian(few.mean + 1, few.covariance)) == pytest.approx(40, rel=1e-6)
    constant = gaussian(np.zeros(40), np.zeros((40, 40)))
    expected = (few.mean**2).sum() + np.trace(few.covariance)
    assert frechet_distance(few, constant) == pytest.approx(expected, rel=1e-9)


def test_streamed_statistics_equal_those_of_everything_at_once(generator):
    values = generator.standard_normal((500, 6)) * [1, 2, 3, 0.1, 5, 1] + 1e6  # a large offset: sums of squares would cancel
    stream = StatisticsStream(6)
    for batch in np.split(values, [1, 100, 101, 350]):
        stream.add(batch)
    stream.add(values[:0])
    found = stream.result()
    assert found.count == 500
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(values, rowvar=False), rtol=1e-6, atol=1e-8)


def test_one_picture_has_no_covariance():
    with pytest.raises(ValueError, match="two features"):
        GaussianStatistics.of(np.zeros((1, 3), np.float32))


def pictures(count: int, seed: int) -> torch.Tensor:
    """Random blobs, every picture different."""
    rng = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 8, 8, generator=rng)
    smooth = functional.interpolate(small, size=64, mode="bicubic", align_corners=False)
    fine = torch.rand(count, 3, 64, 64, generator=rng)
    return (255 * (0.8 * smooth + 0.2 * fine)).clamp(0, 255).byte()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(GaussianStatistics.of(random_features(a)), GaussianStatistics.of(random_features(b)))


def test_distance_on_fixed_features_grows_with_noise_blur_and_collapse():
    torch.set_num_threads(1)
    real, other = pictures(400, 0), pictures(400, 1)
    floor = distance(other, real)

    def blurred(factor):
        return functional.interpolate(functional.avg_pool2d(other.float(), factor), scale_factor=factor).byte()

    def noisy(sigma):
        noise = sigma * torch.randn(other.shape, generator=torch.Generator().manual_seed(2))
        return (other.float() + noise).clamp(0, 255).byte()

    for worse in ([noisy(8), noisy(16), noisy(32)], [blurred(2), blurred(4), blurred(8)],
                  [other[torch.arange(400) % 20], other[torch.arange(400) % 3]]):
        found = [floor] + [distance(x, real) for x in worse]
        assert found == sorted(found), found
        assert found[-1] > 3 * floor, found


def test_fixed_features_are_the_same_for_ever():
    first = random_features(pictures(3, 5))
    torch.manual_seed(99)
    np.testing.assert_array_equal(random_features(pictures(3, 5)), first)
    assert first.shape == (3, 128)
