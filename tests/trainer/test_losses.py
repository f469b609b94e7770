"""Losses in closed form on tensors small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.networks.config import GeneratorConfig
from core.networks.head_generator import RawSeats
from trainer import losses
from trainer.networks.patch_discriminator import Votes

RGB = GeneratorConfig(color_channels=3)  # 13 channels: position 0..2, scale 3..5, rotation 6..8, colour 9..11, opacity 12


def close(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype), atol=tolerance, rtol=1e-5)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def votes_of(logits, weights=None, features=()) -> Votes:
    logits = torch.tensor(logits) if isinstance(logits, list) else logits
    weights = torch.full_like(logits, 1 / logits.shape[1]) if weights is None else torch.tensor(weights)
    return Votes(logits, weights, tuple(features))


# ---------------------------------------------------------------------- pictures


def test_equal_pictures_cost_nothing():
    picture = random(2, 3, 16, 16)
    assert losses.picture_loss(picture, picture.clone(), torch.ones(2, 1, 16, 16)) == 0


def test_a_constant_error_costs_itself():
    """Gradients of a constant vanish, and averaging keeps it: the same at all three scales."""
    real = random(1, 3, 16, 16)
    close(losses.picture_loss(real + 0.25, real, torch.ones(1, 1, 16, 16)), 0.25)
    close(losses.picture_loss(real + 0.25, real, torch.full((1, 1, 16, 16), 2.0)), 0.5)


def test_a_stripe_costs_its_edges():
    """One column of 16 is wrong by 1: 1/16 by value, 2/15 by gradient across; halved by each averaging."""
    real, fake = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    fake[..., 5] = 1.0
    expected = sum(height * (1 / side + 2 / (side - 1)) for side, height in ((16, 1.0), (8, 0.5), (4, 0.25))) / 3
    close(losses.picture_loss(fake, real, torch.ones(1, 1, 16, 16)), expected)
    close(losses.picture_loss(fake.transpose(2, 3), real, torch.ones(1, 1, 16, 16)), expected)


def test_nobody_looks_where_the_focus_is_zero():
    real, focus = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    focus[..., :8] = 1
    fake = torch.zeros_like(real)
    fake[..., 12:] = 1.0
    assert losses.picture_loss(fake, real, focus) == 0
    fake[..., :4] = 1.0
    assert losses.picture_loss(fake, real, focus) > 0


# ---------------------------------------------------------------------- texture map


def seats_of(values: torch.Tensor) -> RawSeats:
    return RawSeats(values, torch.zeros_like(values))


def test_colours_on_the_map():
    main = torch.zeros(2, 4, 13)
    main[..., 9] = math.log(3)  # sigmoid 0.75
    truth = torch.tensor([0.25, 0.5, 0.5]).expand(2, 4, 3)
    known = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0]])
    close(losses.uv_color_loss(seats_of(main), RGB, truth, known), 0.5 / 3 * 3 / 8)


def test_offsets_on_the_map():
    """Along the normal toward the truth; sideways is wrong as well. In centimetres."""
    reach = torch.tensor([0.004, 0.02])
    main = torch.zeros(1, 2, 13)
    main[0, 1, 2] = math.atanh(0.5)  # 10 mm out of 20
    truth, known = torch.tensor([[0.0, 0.01]]), torch.ones(1, 2)
    close(losses.uv_offset_loss(seats_of(main), reach, truth, known), 0.0)
    main[0, 0, 0] = -math.atanh(0.5)  # 2 mm sideways
    close(losses.uv_offset_loss(seats_of(main), reach, truth + 0.005, known), (2 + 5 + 5) / 2 / 10)
    close(losses.uv_offset_loss(seats_of(main), reach, truth + 0.005, torch.tensor([[0.0, 1.0]])), 5 / 2 / 10)


def test_rest_counts_geometry_alone():
    main, residual = torch.zeros(1, 5, 13), torch.zeros(1, 5, 13)
    main[..., 9:] = 7.0
    residual[..., 9:] = 7.0
    assert losses.rest_loss(RawSeats(main, residual)) == 0
    main[..., 0], residual[..., 8] = 3.0, 2.0
    close(losses.rest_loss(RawSeats(main, residual)), (9 + 4) / 9)


def test_smooth_planes_are_flat():
    planes, residual = torch.zeros(1, 13, 4, 4), torch.zeros(1, 13, 4, 4)
    planes[:, :6] = random(1, 6, 1, 1)
    planes[:, 6:] = random(1, 7, 4, 4)
    assert losses.smoothness_loss(planes, residual) == 0
    residual[0, 0] = torch.arange(4.0)  # a ramp of slope 1 across, in one of twelve planes
    close(losses.smoothness_loss(planes, residual), 1 / 12)


def test_an_anchor_holds_everything_but_colour():
    planes = random(2, 13, 4, 4)
    other = planes.clone()
    other[:, 9:12] += 5
    assert losses.anchor_loss(planes, other, RGB) == 0
    other[:, 12] += 2.0
    close(losses.anchor_loss(planes, other, RGB), 4 / 10)
    twelve = GeneratorConfig()
    wide = random(1, 22, 2, 2)
    moved = wide.clone()
    moved[:, 9:21] += 1
    assert losses.anchor_loss(wide, moved, twelve) == 0


def test_a_tint_counts_hue_and_glare():
    color = torch.full((1, 3, 2, 2), 0.5)

    def planes(shown):
        out = torch.randn(1, RGB.plane_channels, 2, 2)
        out[:, RGB.color] = torch.logit(shown)
        return out

    def tint(moved):
        return losses.tint_loss(planes(color + moved), planes(color), RGB)

    grey = torch.ones(1, 3, 2, 2)
    close(tint(0.9 * losses.BRIGHTNESS_ROOM * grey), 0.0)
    close(tint(-(losses.BRIGHTNESS_ROOM + 0.1) * grey), 0.01)
    red = torch.tensor([0.587, -0.299, 0.0])[:, None, None] * 0.2 * grey  # as bright as before
    close(tint(red), 0.04 * (0.587**2 + 0.299**2))
    one = torch.zeros(1, 3, 2, 2)
    one[..., 0, 0] = losses.BRIGHTNESS_ROOM + 0.2
    close(tint(one), 0.04 / 4)


# ---------------------------------------------------------------------- the paper's regularisers


def test_mean_norm():
    values = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 2.0], [1.0, 1.0, 1.0]]])
    close(losses.mean_norm(values, torch.tensor([1.0, 0.5, 0.0])), (5 + 1) / 3, 1e-5)
    resting = torch.zeros(1, 3, 3, requires_grad=True)
    losses.mean_norm(resting, torch.ones(3)).backward()
    assert resting.grad.isfinite().all()


def test_opacities_are_pushed_to_the_ends():
    """The published shift makes the ends about zero; in between it is log(0.6²) - log(0.11) higher at most."""
    at = torch.linspace(0, 1, 101)
    values = torch.stack([losses.opacity_beta_loss(a[None]) for a in at])
    close(values[0], 0.0, 1e-4)
    close(values[-1], 0.0, 1e-4)
    assert values.min() == pytest.approx(float(min(values[0], values[-1])))
    assert int(values.argmax()) == 50
    close(values[50], 2 * math.log(0.6) + 2.20727)
    torch.testing.assert_close(values, values.flip(0), atol=1e-5, rtol=0)


def half_covered():
    """A rendering (u, v, -1) of a surface over the left half of a picture with a soft rim, and its coverage."""
    size = 8
    u = torch.linspace(-1, 1, size).expand(size, size)
    texels = torch.stack([u, u.T, -torch.ones(size, size)])[None]
    alpha = torch.ones(1, 1, size, size)
    alpha[..., 4], alpha[..., 5:] = 0.5, 0.0
    return texels, alpha


def test_variation_as_intended_ignores_silhouettes():
    """u and v rise by 2/7 from pixel to pixel; only pixels inside the surface count, premultiplied or not."""
    texels, alpha = half_covered()
    across, down = 8 * 4 * (2 / 7), 7 * 5 * (2 / 7)  # five columns inside: four steps across in u, seven down in v
    expected = across / (3 * 8 * 7) + down / (3 * 7 * 8)
    close(losses.texture_variation_loss(texels * alpha, alpha), expected)


def test_variation_as_executed_is_the_published_arithmetic():
    """Black background, output ·2 - 1, "mask" = 1 - (r₂ + 1)/2, un-blended by it: in numpy, from the specification."""
    texels, alpha = half_covered()
    color = texels * alpha
    rendered = (2 * color - 1).numpy().astype(np.float64)
    mask = 1 - (rendered[:, 2:] + 1) / 2
    np.testing.assert_allclose(mask, 1 + alpha.numpy(), atol=1e-6)  # the third channel is -coverage
    unblended = (rendered - (1 - mask)) / mask
    expected = np.abs(np.diff(unblended, axis=3)).mean() + np.abs(np.diff(unblended, axis=2)).mean()
    close(losses.texture_variation_loss(color, alpha, as_executed=True), expected)
    assert losses.texture_variation_loss(color, alpha, as_executed=True) > losses.texture_variation_loss(color, alpha)


def test_variation_has_a_gradient_where_nothing_is_drawn():
    texels, alpha = half_covered()
    color, coverage = (texels * alpha).requires_grad_(), alpha.clone().requires_grad_()
    losses.texture_variation_loss(color, coverage).backward()
    assert color.grad.isfinite().all()
    assert coverage.grad.isfinite().all()


# ---------------------------------------------------------------------- adversarial


def test_undecided_votes():
    """softplus(0) = log 2, whatever the weights."""
    undecided = votes_of(torch.zeros(3, 4), [[0.7, 0.1, 0.1, 0.1]] * 3)
    close(losses.generator_loss(undecided), math.log(2))
    close(losses.discriminator_loss(undecided, undecided), 2 * math.log(2))


def test_votes_count_by_weight_and_sign():
    fake = votes_of([[2.0, -1.0]], [[0.75, 0.25]])
    real = votes_of([[0.5, 3.0]], [[0.75, 0.25]])
    softplus = lambda x: math.log1p(math.exp(x))  # noqa: E731
    close(losses.generator_loss(fake), 0.75 * softplus(-2) + 0.25 * softplus(1))
    expected = 0.75 * softplus(2) + 0.25 * softplus(-1) + 0.75 * softplus(-0.5) + 0.25 * softplus(-3)
    close(losses.discriminator_loss(fake, real), expected)
    close(fake.score(), [0.75 * 2 - 0.25])


def test_feature_matching():
    logits = torch.zeros(2, 1)
    layers = [random(2, 4, 4, 4), random(2, 8, 2, 2, seed=1)]
    real = votes_of(logits, features=layers)
    sizes = losses.feature_sizes(real)
    close(sizes, [float(layer.abs().mean()) for layer in layers])
    assert losses.feature_matching_loss(votes_of(logits, features=[x.clone() for x in layers]), real, sizes) == 0
    doubled = votes_of(logits, features=[2 * x for x in layers])
    close(losses.feature_matching_loss(doubled, real, sizes), 1.0, 3e-3)  # 0.001 keeps the division safe
    assert losses.feature_matching_loss(votes_of(logits), votes_of(logits), losses.feature_sizes(votes_of(logits))) == 0


def test_features_of_real_pictures_get_no_gradient():
    fake, real = random(1, 4, 1, 1), random(1, 4, 1, 1, seed=1)
    fake.requires_grad_()
    real.requires_grad_()
    votes = votes_of(torch.zeros(1, 1), features=[real])
    losses.feature_matching_loss(votes_of(torch.zeros(1, 1), features=[fake]), votes, losses.feature_sizes(votes)).backward()
    assert fake.grad is not None
    assert real.grad is None


def test_the_penalty_of_a_linear_discriminator_is_its_squared_length():
    weight = random(6, 5, 5, seed=2)
    picture = random(3, 6, 5, 5).requires_grad_()
    logits = functional.conv2d(picture, weight[None]).flatten(1)
    close(losses.gradient_penalty(votes_of(logits), picture), weight.square().sum(), 1e-4)


def test_the_penalty_can_be_descended():
    scale = torch.tensor(3.0, requires_grad=True)
    picture = random(2, 6, 4, 4).requires_grad_()
    logits = scale * picture.sum((1, 2, 3))[:, None]
    penalty = losses.gradient_penalty(votes_of(logits), picture)
    close(penalty.detach(), 9 * 96.0, 1e-3)
    penalty.backward()
    close(scale.grad, 2 * 3 * 96.0, 1e-3)
