"""The losses of the trainer, each a function of tensors; weights and schedule are the recipe's.

Sections and numbers are those of the AGORA specification where a loss is the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from core.networks.config import POSITION, ROTATION, SCALE, GeneratorConfig
from core.networks.head_generator import RawSeats
from trainer.networks.patch_discriminator import Votes

SCALES = 3
BRIGHTNESS_ROOM = 0.12  # about the deviation within rendered hair
OFFSET_UNIT = 0.01  # metres: an error of this size counts as much as a wrong colour
_OPACITY_SHIFT = 2.20727
_SMALL = 1e-3
_LUMA = (0.299, 0.587, 0.114)


def picture_loss(fake: Tensor, real: Tensor, focus: Tensor) -> Tensor:
    """L1 of pictures [B, 3, S, S] and of their gradients at three scales.

    Args:
        focus: [B, 1, S, S] weights of the pixels.
    """
    total = fake.new_zeros(())
    for scale in range(SCALES):
        if scale:
            fake, real, focus = (functional.avg_pool2d(x, 2) for x in (fake, real, focus))
        error = fake - real
        total = total + (error.abs() * focus).mean() + (error.diff(dim=3).abs() * focus[..., 1:]).mean() \
            + (error.diff(dim=2).abs() * focus[..., 1:, :]).mean()
    return total / SCALES


def uv_color_loss(raw: RawSeats, networks: GeneratorConfig, color: Tensor, known: Tensor) -> Tensor:
    """L1 of the colours at the seats against the truth [B, G, 3], where it is `known` [B, G]."""
    shown = torch.sigmoid(raw.main[..., networks.color][..., :3])
    return ((shown - color).abs().mean(-1) * known).mean()


def uv_offset_loss(raw: RawSeats, reach: Tensor, offset: Tensor, known: Tensor) -> Tensor:
    """L1 of the distances from the seats [B, G] against the truth, in `OFFSET_UNIT`; sideways they shall not move."""
    local = reach[:, None] * torch.tanh(raw.main[..., POSITION])
    wanted = torch.stack([torch.zeros_like(offset), torch.zeros_like(offset), offset], -1)
    return ((local - wanted).abs().sum(-1) * known).mean() / OFFSET_UNIT


def rest_loss(raw: RawSeats) -> Tensor:
    """Mean square of position, scale and rotation planes: what nothing asks for stays where it was."""
    return raw.main[..., POSITION.start:ROTATION.stop].square().mean() \
        + raw.residual[..., POSITION.start:ROTATION.stop].square().mean()


def smoothness_loss(planes: Tensor, residual: Tensor) -> Tensor:
    """Mean squared difference of neighbouring position and scale planes [B, C, R, R]."""
    both = torch.cat([planes[:, POSITION.start:SCALE.stop], residual[:, POSITION.start:SCALE.stop]], 1)
    return both.diff(dim=3).square().mean() + both.diff(dim=2).square().mean()


def anchor_loss(planes: Tensor, reference: Tensor, networks: GeneratorConfig) -> Tensor:
    """Mean squared distance of the geometry planes (all but colour) from those of a reference."""
    geometry = [*range(ROTATION.stop), networks.opacity.start]
    return (planes[:, geometry] - reference[:, geometry]).square().mean()


def tint_loss(planes: Tensor, reference: Tensor, networks: GeneratorConfig) -> Tensor:
    """Mean squared change of the colours [B, C, R, R] against a reference: of their hue, and of their brightness where it is more
    than `BRIGHTNESS_ROOM`. An adversary asks for strands of hair and takes a few glaring or motley ones; all may become a
    little lighter or darker instead."""
    moved = torch.sigmoid(planes[:, networks.color][:, :3]) - torch.sigmoid(reference[:, networks.color][:, :3])
    brightness = (moved * moved.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    glaring = (brightness.abs() - BRIGHTNESS_ROOM).relu()
    return (moved - brightness).square().sum(1).mean() + glaring.square().mean()


# ---------------------------------------------------------------------- the paper's regularisers (7.1)


def mean_norm(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over Gaussians of weight [G] times the norm of values [B, G, 3]."""
    return ((values.square().sum(-1) + 1e-12).sqrt() * weight).mean()


def opacity_beta_loss(opacity: Tensor) -> Tensor:
    """log(0.1 + α) + log(1.1 - α), shifted: smallest where opacities are 0 or 1."""
    return (torch.log(0.1 + opacity) + torch.log(1.1 - opacity) + _OPACITY_SHIFT).mean()


def texture_variation_loss(color: Tensor, alpha: Tensor, *, as_executed: bool = False) -> Tensor:
    """Total variation of the rendered texture coordinates.

    Args:
        color: [B, 3, H, W] rendering of (u, v, -1), premultiplied;  alpha: [B, 1, H, W] its coverage.
        as_executed: the formula as the published program executes it, silhouettes included; the intended one without.
    """
    if as_executed:
        rendered = 2 * color - 1
        return _variation((rendered + alpha) / (1 + alpha), torch.ones_like(alpha))
    inside = (alpha > _SMALL).to(color.dtype)
    return _variation(color / alpha.clamp(min=_SMALL) * inside, inside)


def _variation(picture: Tensor, inside: Tensor) -> Tensor:
    across = picture.diff(dim=3).abs() * inside[..., 1:] * inside[..., :-1]
    down = picture.diff(dim=2).abs() * inside[..., 1:, :] * inside[..., :-1, :]
    return across.mean() + down.mean()


# ---------------------------------------------------------------------- adversarial


def generator_loss(fake: Votes) -> Tensor:
    """Non-saturating loss: softplus(-D(fake))."""
    return (functional.softplus(-fake.logits) * fake.weights).sum(1).mean()


def discriminator_loss(fake: Votes, real: Votes) -> Tensor:
    """softplus(D(fake)) + softplus(-D(real))."""
    return ((functional.softplus(fake.logits) * fake.weights).sum(1)
            + (functional.softplus(-real.logits) * real.weights).sum(1)).mean()


def feature_sizes(votes: Votes) -> Tensor:
    """Mean size of the features of every layer [L]."""
    return torch.stack([f.detach().abs().mean() for f in votes.features]) if votes.features else votes.logits.new_zeros(0)


def feature_matching_loss(fake: Votes, real: Votes, sizes: Tensor) -> Tensor:
    """L1 between the discriminator's features of paired pictures, every layer in units of its size [L] in the whole batch."""
    parts = [(f - r.detach()).abs().mean() / (size + _SMALL)
             for f, r, size in zip(fake.features, real.features, sizes, strict=True)]
    return sum(parts) / len(parts) if parts else fake.logits.new_zeros(())


def gradient_penalty(votes: Votes, picture: Tensor) -> Tensor:
    """R1 without its weight: mean squared gradient of the scores with respect to the pictures."""
    gradient, = torch.autograd.grad(votes.score().sum(), picture, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()
