"""What the discriminator is shown: kernel, moves and schedules by the specification's numbers, and votes that count where the
head is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from core.geometry import orbit_camera, rotation_from_axis_angle
from core.networks.flame_camera import conditioning
from trainer.adversary import (
    Adversary,
    Augmentation,
    blur_sigma,
    blurred,
    conditioning_cameras,
    draw_augmentation,
    foreground_of,
    moved,
    swap_chance,
)
from trainer.networks.patch_discriminator import PatchDiscriminator
from trainer.recipe import AdversaryRecipe, ci_recipe, paper_recipe

STILL = Augmentation(0, 0, 1.0)
PUBLISHED = paper_recipe().adversary


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------- schedules (6.3, 2.2)


@pytest.mark.parametrize(("kimg", "sigma"), [(0, 10.0), (50, 7.5), (100, 5.0), (199, 0.05), (200, 0.0), (5000, 0.0)])
def test_the_blur_fades_over_200_kimg(kimg, sigma):
    assert blur_sigma(PUBLISHED, 1000 * kimg) == pytest.approx(sigma)


def test_without_a_blur_there_is_none():
    assert blur_sigma(AdversaryRecipe(), 0) == 0
    assert blur_sigma(AdversaryRecipe(blur_sigma=10.0), 0) == 0


@pytest.mark.parametrize(("kimg", "chance"), [(0, 1.0), (500, 0.75), (1000, 0.5), (6500, 0.5)])
def test_cameras_are_swapped_less_and_less(kimg, chance):
    assert swap_chance(PUBLISHED, 1000 * kimg) == pytest.approx(chance)


def test_a_recipe_without_a_swap_schedule_has_a_constant_chance():
    assert swap_chance(AdversaryRecipe(swap_to=0.25), 0) == 0.25
    assert swap_chance(AdversaryRecipe(), 10) == 0


def test_the_published_run():
    assert (PUBLISHED.dual_from, PUBLISHED.r1_gamma, PUBLISHED.r1_every) == (3_200_000, 1.0, 16)
    drawn = [draw_augmentation(PUBLISHED, 256, np.random.default_rng(seed)) for seed in range(400)]
    shifts = np.array([[move.right, move.down] for move in drawn])
    zooms = np.array([move.zoom for move in drawn])
    assert shifts.min() == -26  # 10 % of 256, whole pixels
    assert shifts.max() == 26
    assert np.abs(shifts.mean(0)).max() < 3  # 15 / sqrt(400) is 0.75
    assert 0.85 <= zooms.min() < 0.87
    assert 1.13 < zooms.max() <= 1.15
    assert np.abs(np.corrcoef(shifts.T)[0, 1]) < 0.2


def test_moves_follow_from_the_seed():
    moves = [draw_augmentation(AdversaryRecipe(), 128, np.random.default_rng(3)) for _ in range(2)]
    assert moves[0] == moves[1]
    assert moves[0].zoom == 1
    assert abs(moves[0].right) <= round(0.045 * 128)


# ---------------------------------------------------------------------- blur


@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.4])
def test_the_kernel_is_the_specifications(sigma):
    """A point becomes the outer product of 2^-(i/σ)², |i| <= floor(3σ), whose sum is 1."""
    picture = torch.zeros(1, 2, 33, 33)
    picture[:, 0, 16, 16] = 1
    steps = np.arange(-math.floor(3 * sigma), math.floor(3 * sigma) + 1)
    kernel = 2.0 ** -((steps / sigma) ** 2)
    kernel /= kernel.sum()
    expected = np.zeros((33, 33))
    reach = len(steps) // 2
    expected[16 - reach:17 + reach, 16 - reach:17 + reach] = np.outer(kernel, kernel)
    found = blurred(picture, sigma)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-7)
    assert found[0, 0].sum() == pytest.approx(1, abs=1e-5)
    assert found[0, 1].abs().max() == 0


def test_beyond_the_edge_there_is_zero():
    picture = random(1, 3, 12, 12)
    steps = np.arange(-4, 5)
    kernel = 2.0 ** -((steps / 1.5) ** 2)
    kernel /= kernel.sum()
    expected = picture.numpy().astype(np.float64)
    for axis in (2, 3):
        expected = convolve1d(expected, kernel, axis, mode="constant")
    np.testing.assert_allclose(blurred(picture, 1.5), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.3])
def test_a_blur_below_a_pixel_is_none(sigma):
    picture = random(1, 3, 8, 8)
    assert blurred(picture, sigma) is picture


# ---------------------------------------------------------------------- moves


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (-2, 0), (0, 4), (0, -1), (2, -3), (-16, 0)])
def test_a_shift_moves_whole_pixels_and_fills_with_one(right, down):
    picture = random(2, 3, 16, 16)
    expected = np.ones((2, 3, 16, 16), np.float32)
    for y in range(16):
        for x in range(16):
            if 0 <= y - down < 16 and 0 <= x - right < 16:
                expected[:, :, y, x] = picture[:, :, y - down, x - right]
    np.testing.assert_array_equal(moved(picture, Augmentation(right, down, 1.0)), expected)


def test_another_fill():
    assert moved(torch.ones(1, 1, 4, 4), Augmentation(1, 0, 1.0), fill=0.0)[..., 0].max() == 0


@pytest.mark.parametrize("zoom", [0.85, 1.15])
def test_zoom_is_about_the_middle_and_then_shifted(zoom):
    """A linear ramp stays one: at x it shows (x - middle - right) / zoom + middle, inside the picture."""
    size, right, down = 32, 3, -2
    at = torch.arange(size) + 0.5
    ramp = torch.stack([at.expand(size, size), at[:, None].expand(size, size)])[None]
    found = moved(ramp, Augmentation(right, down, zoom))
    x = (at - size / 2 - right) / zoom + size / 2
    y = (at - size / 2 - down) / zoom + size / 2
    inside_x, inside_y = (x > 0.5) & (x < size - 0.5), (y > 0.5) & (y < size - 0.5)
    inside = inside_y[:, None] & inside_x
    torch.testing.assert_close(found[0, 0][inside], x.expand(size, size)[inside], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[0, 1][inside], y[:, None].expand(size, size)[inside], atol=1e-4, rtol=0)
    outside = (x < -0.5) | (x > size + 0.5)
    assert (found[0, 0][:, outside] == 1).all()
    assert bool(outside.any()) == (zoom < 1)


def test_zoomed_and_plain_shifts_meet():
    """Just beyond the zoom that counts as none, the picture is nearly the shifted one."""
    smooth = blurred(random(1, 1, 32, 32), 3.0)
    plain = moved(smooth, Augmentation(2, 1, 1.0))
    zoomed = moved(smooth, Augmentation(2, 1, 1.0101))
    assert (plain - zoomed)[..., 4:-4, 4:-4].abs().max() < 0.05


# ---------------------------------------------------------------------- what is shown


@pytest.fixture(scope="module")
def recipe():
    small = ci_recipe()
    return replace(small, adversary=replace(small.adversary, dual_from=100, blur_sigma=2.0, blur_images=50))


@pytest.fixture(scope="module")
def adversary(recipe):
    torch.manual_seed(0)
    return Adversary(recipe, 32)


def test_picture_and_displacement_make_the_same_move(adversary):
    picture = random(2, 3, 32, 32)
    for move in (Augmentation(3, -2, 1.0), Augmentation(3, -2, 1.12)):
        shown = adversary.shown(picture, picture, move, images=100)
        assert shown.shape == (2, 6, 32, 32)
        torch.testing.assert_close(shown[:, :3], shown[:, 3:], atol=0, rtol=0)
    torch.testing.assert_close(adversary.shown(picture, picture, STILL, 100)[:, :3], 2 * picture - 1)


def test_the_blur_is_for_the_picture_alone(adversary):
    picture = random(1, 3, 32, 32)
    at_start = replace(adversary.recipe, dual_from=0)
    shown = Adversary(replace(ci_recipe(), adversary=at_start), 32).shown(picture, picture, STILL, 0)
    torch.testing.assert_close(shown[:, :3], blurred(2 * picture - 1, 2.0))
    torch.testing.assert_close(shown[:, 3:], 2 * picture - 1)


def test_before_dual_from_the_displacement_is_zero(adversary):
    picture, displacement = random(1, 3, 32, 32), random(1, 3, 32, 32, seed=1)
    assert adversary.shown(picture, displacement, STILL, 99)[:, 3:].abs().max() == 0
    torch.testing.assert_close(adversary.shown(picture, displacement, STILL, 100)[:, 3:], 2 * displacement - 1)


def test_an_ablation_never_sees_the_displacement(recipe):
    blind = Adversary(replace(recipe, dual=False), 32)
    shown = blind.shown(random(1, 3, 32, 32), random(1, 3, 32, 32, seed=1), STILL, 10**9)
    assert shown[:, 3:].abs().max() == 0
    foreground = torch.ones(1, 1, 32, 32)
    other = torch.cat([shown[:, :3], random(1, 3, 32, 32, seed=2)], 1)
    votes = [blind.judge(x, foreground, torch.zeros(1, 12)) for x in (shown, other)]
    torch.testing.assert_close(votes[0].logits, votes[1].logits, atol=0, rtol=0)


def test_the_foreground_moves_along():
    displacement = torch.zeros(1, 3, 8, 8)
    displacement[:, 1, 2:4, 2:5] = 0.5
    found = foreground_of(displacement, Augmentation(-3, 1, 1.0))
    expected = torch.zeros(1, 1, 8, 8)
    expected[..., 3:5, 0:2] = 1  # one column has left the picture
    torch.testing.assert_close(found, expected)


def test_conditioning_cameras_are_rotations_of_the_head():
    """c12: the rotation r of specification 2.1, where world to camera is F R(r), row by row, and three zeros."""
    axis = np.array([0.1, -0.4, 0.05], np.float32)
    flip = np.diag([1.0, -1.0, -1.0])
    world_to_camera = np.eye(4, dtype=np.float32)
    world_to_camera[:3, :3] = flip @ rotation_from_axis_angle(axis)
    found = conditioning_cameras(torch.from_numpy(world_to_camera)[None])
    np.testing.assert_allclose(found[0, :9].reshape(3, 3), rotation_from_axis_angle(axis), atol=1e-6)
    six = torch.tensor([[*axis.tolist(), 8.0, 0.0, 0.0]])
    torch.testing.assert_close(found, conditioning(six), atol=1e-6, rtol=0)
    frontal = conditioning_cameras(torch.from_numpy(orbit_camera(0, 0, 8, 8).world_to_camera)[None])
    torch.testing.assert_close(frontal[0], torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]), atol=1e-6, rtol=0)


# ---------------------------------------------------------------------- votes


def test_votes_count_where_the_head_is(adversary):
    foreground = torch.zeros(2, 1, 32, 32)
    foreground[0, :, :16, :16] = 1
    votes = adversary.judge(random(2, 6, 32, 32), foreground, torch.zeros(2, 12))
    assert votes.logits.shape == votes.weights.shape == (2, 64)
    torch.testing.assert_close(votes.weights.sum(1), torch.ones(2))
    patches = votes.weights.unflatten(1, (8, 8))
    assert patches[0, :4, :4].sum() > 0.99
    torch.testing.assert_close(patches[1], torch.full((8, 8), 1 / 64))  # nothing known: everything counts alike
    assert [tuple(layer.shape[2:]) for layer in votes.features] == [(16, 16), (8, 8)]


def test_a_vote_depends_on_its_neighbourhood_only():
    torch.manual_seed(1)
    network = PatchDiscriminator(64, 256, 16).requires_grad_(False)
    picture, foreground = random(1, 6, 64, 64), torch.ones(1, 1, 64, 64)
    changed = picture.clone()
    changed[..., :2, :2] += 0.5
    difference = (network(picture, foreground).logits - network(changed, foreground).logits).abs().unflatten(1, (8, 8))[0]
    assert difference[0, 0] > 0
    assert difference[5:].max() == 0
    assert difference[:, 5:].max() == 0


def test_missing_detail_shows_in_the_first_layer():
    """The high pass of a flat picture is zero: brightness reaches the network by the picture's own channels alone."""
    torch.manual_seed(2)
    network = PatchDiscriminator(16, 64, 8, dual=False).requires_grad_(False)
    network.stem.weight[:, :12] = 0  # three channels of the picture, four pixels each
    foreground = torch.ones(1, 1, 16, 16)
    flat = [network(torch.full((1, 6, 16, 16), value), foreground).features[0] for value in (-0.5, 0.8)]
    torch.testing.assert_close(flat[0], flat[1], atol=1e-5, rtol=0)
    rough = network(random(1, 6, 16, 16), foreground).features[0]
    assert (rough - flat[0]).abs().max() > 0.1


def test_the_published_kind_votes_once(recipe):
    torch.manual_seed(3)
    dual = Adversary(replace(recipe, adversary=replace(recipe.adversary, kind="dual", channel_base=128)), 32)
    shown, camera = random(4, 6, 32, 32), random(4, 12, seed=1)
    votes = dual.judge(shown, torch.ones(4, 1, 32, 32), camera)
    assert votes.logits.shape == (4, 1)
    assert votes.features == ()
    torch.testing.assert_close(votes.score(), votes.logits[:, 0])
    assert (dual.judge(shown, torch.ones(4, 1, 32, 32), camera.flip(0)).logits - votes.logits).abs().max() > 0


def test_a_grown_discriminator_starts_as_the_small_one(recipe):
    """Its new block counts nothing at weight 0, and adds nothing while its last convolution is zero."""
    torch.manual_seed(4)
    dual = replace(recipe, adversary=replace(recipe.adversary, kind="dual", channel_base=128))
    grown = Adversary(dual, 32, pretrained=16)
    shown, camera, foreground = random(2, 6, 32, 32), random(2, 12, seed=1), torch.ones(2, 1, 32, 32)
    votes = [grown.judge(shown, foreground, camera, weight).logits for weight in (0.0, 1.0)]
    torch.testing.assert_close(votes[0], votes[1])
    assert grown.grown_from == 16
