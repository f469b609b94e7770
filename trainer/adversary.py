"""The discriminator in training: what it is shown, in which order, and what it says (specification 6.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.networks.config import DiscriminatorConfig
from trainer.networks.discriminator import Discriminator
from trainer.networks.patch_discriminator import PatchDiscriminator, Votes
from trainer.recipe import AdversaryRecipe, Recipe

CAMERA_SIZE = 12
_FOREGROUND = 0.01  # a displacement rendering is black where the head is not
_SHARPEST = 1e-2


@dataclass(frozen=True)
class Augmentation:
    """One random move, shared by everything that is compared. Shifts in pixels, zoom 1 for none."""

    right: int
    down: int
    zoom: float


def draw_augmentation(recipe: AdversaryRecipe, size: int, rng: np.random.Generator) -> Augmentation:
    """A move for pictures of a size."""
    most = round(recipe.shift * size)
    right, down = rng.integers(-most, most + 1, 2)
    return Augmentation(int(right), int(down), float(rng.uniform(1 - recipe.zoom, 1 + recipe.zoom)))


def blur_sigma(recipe: AdversaryRecipe, images: int) -> float:
    """Pixels of blur after so many pictures: falls linearly to 0."""
    return recipe.blur_sigma * max(1 - images / recipe.blur_images, 0.0) if recipe.blur_images else 0.0


def swap_chance(recipe: AdversaryRecipe, images: int) -> float:
    """Chance that the generator sees another sample's camera (2.2)."""
    if not recipe.swap_images:
        return recipe.swap_to
    return recipe.swap_from + (recipe.swap_to - recipe.swap_from) * min(images / recipe.swap_images, 1.0)


def conditioning_cameras(world_to_camera: Tensor) -> Tensor:
    """c12 [B, 12] of cameras [B, 4, 4]: the rotation, row-major, without OpenCV's flip, and three zeros (2.2)."""
    flip = world_to_camera.new_tensor([1.0, -1.0, -1.0])
    return functional.pad((flip[:, None] * world_to_camera[:, :3, :3]).flatten(1), (0, 3))


class Adversary(nn.Module):
    """A discriminator for pictures of one size.

    Args:
        recipe: of the run.
        size: side of the pictures.
        pretrained: side of the pictures it has learned on, for growing (dual only).
    """

    def __init__(self, recipe: Recipe, size: int, pretrained: int = 0) -> None:
        super().__init__()
        self.recipe, self.size, self.grown_from = recipe.adversary, size, pretrained
        self._dual = recipe.dual
        if self.recipe.kind == "patch":
            self.network: nn.Module = PatchDiscriminator(size, self.recipe.channel_base, self.recipe.channel_max,
                                                         dual=recipe.dual)
        else:
            self.network = Discriminator(DiscriminatorConfig(
                resolution=size, channel_base=self.recipe.channel_base, channel_max=self.recipe.channel_max,
                camera_size=CAMERA_SIZE, pretrained_resolution=pretrained))

    def shown(self, picture: Tensor, displacement: Tensor, move: Augmentation, images: int) -> Tensor:
        """What the network looks at [B, 6, S, S] in -1..1: blurred (the picture only), then moved.

        Args:
            picture: [B, 3, S, S] 0..1;  displacement: [B, 3, S, S] 0..1.
        """
        picture = blurred(2 * picture - 1, blur_sigma(self.recipe, images))
        see = self._dual and images >= self.recipe.dual_from
        displacement = 2 * displacement - 1 if see else torch.zeros_like(displacement)
        return moved(torch.cat([picture, displacement], 1), move)

    def judge(self, shown: Tensor, foreground: Tensor, camera: Tensor, added_weight: float = 1.0) -> Votes:
        """Votes on what `shown` made. Foreground [B, 1, S, S] and cameras [B, 12] belong to the pictures."""
        if isinstance(self.network, PatchDiscriminator):
            return self.network(shown, foreground)
        logits = self.network(shown, camera, added_weight)
        return Votes(logits, torch.ones_like(logits), ())


def foreground_of(displacement: Tensor, move: Augmentation) -> Tensor:
    """Where a displacement rendering [B, 3, S, S] shows the head, moved like the picture [B, 1, S, S]."""
    inside = (displacement.amax(1, keepdim=True) > _FOREGROUND).to(displacement.dtype)
    return moved(inside, move, fill=0.0)


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """Separable kernel 2^-(i/σ)², |i| <= floor(3σ), normalised; edges are zero-padded (6.3)."""
    radius = math.floor(3 * sigma)
    if radius < 1:
        return picture
    steps = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp2(-((steps / sigma) ** 2))
    kernel = kernel / kernel.sum()
    channels = picture.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    picture = functional.conv2d(picture, across, padding=(0, radius), groups=channels)
    return functional.conv2d(picture, across.transpose(2, 3), padding=(radius, 0), groups=channels)


def moved(picture: Tensor, move: Augmentation, fill: float = 1.0) -> Tensor:
    """A picture [B, C, S, S] shifted by whole pixels and zoomed; what comes into view has the value `fill`."""
    if abs(move.zoom - 1) < _SHARPEST:
        return _shifted(picture, move.right, move.down, fill)
    size = picture.shape[-1]
    matrix = picture.new_tensor([[1 / move.zoom, 0, -2 * move.right / size / move.zoom],
                                 [0, 1 / move.zoom, -2 * move.down / size / move.zoom]])
    grid = functional.affine_grid(matrix[None].expand(len(picture), -1, -1), list(picture.shape), align_corners=False)
    return functional.grid_sample(picture - fill, grid, "bilinear", "zeros", align_corners=False) + fill


def _shifted(picture: Tensor, right: int, down: int, fill: float) -> Tensor:
    if not right and not down:
        return picture
    return functional.pad(picture, (right, -right, down, -down), value=fill)
