"""Sliced distance of patches, sharpness, PSNR and SSIM against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.trainer.test_metrics_frechet import pictures
from trainer.metrics.pictures import BACKGROUND, composited, network_input
from trainer.metrics.similarity import psnr, ssim
from trainer.metrics.sliced import gradient_energy, laplacian_pyramid, patch_statistics, sliced_distances


def blurred(images: torch.Tensor, factor: int) -> torch.Tensor:
    return functional.interpolate(functional.avg_pool2d(images.float(), factor), scale_factor=factor, mode="bilinear").byte()


def test_a_pyramid_adds_up_to_its_picture():
    image = torch.rand(2, 3, 64, 64)
    levels = laplacian_pyramid(image)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    total = levels[-1]
    for level in levels[-2::-1]:
        total = level + functional.interpolate(total, scale_factor=2, mode="bilinear", align_corners=False)
    assert (total - image).abs().max() < 1e-6  # float32


def test_sliced_distance_is_small_between_real_pictures_and_grows_with_blur():
    torch.set_num_threads(1)
    real, other = pictures(300, 0), pictures(300, 1)
    reference = patch_statistics(real)
    assert sliced_distances(patch_statistics(real, reference), reference) == (0, 0, 0)
    floor = sliced_distances(patch_statistics(other, reference), reference)
    two, four = (sliced_distances(patch_statistics(blurred(other, k), reference), reference) for k in (2, 4))
    assert floor[0] < two[0] < four[0]
    assert two[0] > 5 * floor[0]
    assert four[1] > 2 * floor[1]


def test_sliced_distance_of_a_shift_is_its_size():
    """Patches of one constant picture and of another: every projection moves by the shift along its direction."""
    grey = torch.randint(0, 120, (200, 3, 1, 1), generator=torch.Generator().manual_seed(0)).expand(-1, -1, 16, 16).byte()
    reference = patch_statistics(grey)
    moved = sliced_distances(patch_statistics(grey + 51, reference), reference)  # 51 / 127.5 = 0.4
    rng = torch.Generator().manual_seed(2)
    directions = torch.randn(147, 128, generator=rng)
    directions /= directions.norm(dim=0)
    shift = (0.4 / torch.from_numpy(reference[0].deviation)) @ directions
    assert moved == (pytest.approx(1000 * float(shift.abs().mean()), rel=1e-4),)


def test_sharpness_of_a_checkerboard():
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 * 200).byte().expand(1, 3, 16, 16)
    assert gradient_energy(board) == pytest.approx(400)
    assert gradient_energy(torch.full((1, 3, 16, 16), 9, dtype=torch.uint8)) == 0


def test_psnr_has_the_closed_form():
    a = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    b = a.clone()
    b[1] += 51  # a fifth of the range
    np.testing.assert_allclose(psnr(a, b), [100, 20 * np.log10(5)], rtol=1e-5)


def test_ssim_matches_its_definition_written_out():
    a, b = pictures(2, 3)[:, :, :16, :16], pictures(2, 4)[:, :, :16, :16]
    at = np.arange(11) - 5
    kernel = np.exp(-0.5 * (at / 1.5) ** 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    expected = []
    for x, y in zip(a.numpy() / 255.0, b.numpy() / 255.0, strict=True):
        values = []
        for channel in range(3):
            for i in range(6):
                for j in range(6):
                    p, q = x[channel, i:i + 11, j:j + 11], y[channel, i:i + 11, j:j + 11]
                    mp, mq = (kernel * p).sum(), (kernel * q).sum()
                    vp, vq = (kernel * (p - mp) ** 2).sum(), (kernel * (q - mq) ** 2).sum()
                    c = (kernel * (p - mp) * (q - mq)).sum()
                    values.append((2 * mp * mq + 1e-4) * (2 * c + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
        expected.append(np.mean(values))
    np.testing.assert_allclose(ssim(a, b), expected, atol=2e-5)  # float32: variances are differences of squares
    np.testing.assert_allclose(ssim(a, a), 1, atol=1e-6)


def test_pictures_are_laid_on_grey():
    rgba = np.zeros((1, 4, 4, 4), np.uint8)
    rgba[0, 0, 0] = [10, 20, 30, 255]
    rgba[0, 0, 1] = [10, 20, 30, 127]
    laid = composited(rgba)
    assert laid[0, :, 0, 0].tolist() == [10, 20, 30]
    half = 255 * BACKGROUND * 128 / 255
    assert laid[0, :, 0, 1].tolist() == pytest.approx([10 + half, 20 + half, 30 + half], abs=1)
    assert laid[0, :, 3, 3].tolist() == pytest.approx([255 * BACKGROUND] * 3, abs=1)
    assert composited(rgba, 1.0)[0, :, 3, 3].tolist() == [255] * 3


def test_the_network_sees_the_whole_and_the_face():
    picture = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    picture[:, :, 72, 64] = 240  # the middle of the face window
    views = network_input(picture, 64)
    assert views.shape == (1, 6, 64, 64)
    assert views[0, 0, 36, 32] == 60  # a quarter of it in each channel
    assert views[0, 3, 32, 32] == 240
    assert [int(views[0, :3].sum()), int(views[0, 3:].sum())] == [180, 720]
    assert network_input(picture[:, :, ::4, ::4], 64).shape == (1, 6, 64, 64)
