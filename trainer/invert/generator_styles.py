"""From photographs to a style: the people a generator knows, the one among them who looks most like it, and W and W+ from there.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 5, with the style in coordinates in which
the generator's people are normally distributed: a step is as long in every direction as people differ in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.avatar.generator_network import normal_draw, style_of
from core.avatar.generator_source import studio_z
from core.avatar.pack import AvatarPack
from core.networks.head_generator import HeadGenerator, HeadPlanes
from core.studio import sample_traits
from trainer.invert.generator_likeness import Likeness
from trainer.invert.generator_target import Targets, draw_style
from trainer.rasterize import Rendering

PEOPLE = 256  # whose styles the prior is made of
CANDIDATES = 64  # of them are compared with the photographs
SEARCH_SIZE = 64  # pixels
_FIRST_SEED = 1 << 29  # nobody that data or distillation draw
_SMALLEST_DEVIATION = 0.02  # of the largest: flatter directions are noise of the sample
_WARM_UP = 0.05  # share of the steps
Step = Callable[[int, int, Rendering], None]  # steps done, of how many, the pictures


@dataclass(frozen=True, eq=False)
class StylePrior:
    """The styles of a generator's people as a normal distribution.

    Attributes:
        mean: [W].
        axes: [W, D] principal directions, as long as people vary.
        people: [n, W] the styles it was made of.
    """

    mean: Tensor
    axes: Tensor
    people: Tensor

    @staticmethod
    def of(people: Tensor) -> StylePrior:
        """Of styles [n, W]."""
        mean = people.mean(0)
        _, deviation, directions = torch.linalg.svd(people - mean, full_matrices=False)
        kept = deviation > _SMALLEST_DEVIATION * deviation[0]
        return StylePrior(mean, (directions[kept] * deviation[kept, None]).T / max(1, len(people) - 1) ** 0.5, people)

    def style(self, place: Tensor) -> Tensor:
        """Places [..., D] in standard deviations -> styles [..., W]."""
        return self.mean + place @ self.axes.T

    def place(self, style: Tensor) -> Tensor:
        """Styles [..., W] -> nearest places [..., D]."""
        return (style - self.mean) @ torch.linalg.pinv(self.axes).T


def style_prior(pack: AvatarPack, generator: HeadGenerator, count: int = PEOPLE) -> StylePrior:
    """The prior of a pack with a generator."""
    if pack.manifest.generator.prior == "studio":
        latents = [studio_z(sample_traits(_FIRST_SEED + i, generator.head)) for i in range(count)]
    else:
        latents = [normal_draw(_FIRST_SEED + i, generator.config.latent_input, pack.generator.shapes)[0] for i in range(count)]
    return StylePrior.of(torch.stack([style_of(generator, z).clone() for z in latents]))


@torch.no_grad()
def most_alike(generator: HeadGenerator, styles: Sequence[Tensor], targets: Targets, likeness: Likeness) -> Tensor:
    """The style [W] whose person looks most like the targets."""
    grey = torch.full((len(targets), 3, 1, 1), 0.5)
    losses = [float(likeness(draw_style(generator, style[None], targets)[2], grey)) for style in styles]
    return styles[int(np.argmin(losses))]


@dataclass(frozen=True)
class StyleSearch:
    """How a style is searched.

    Attributes:
        steps: of Adam.
        rate: largest step, standard deviations.
        noise: of the place at first, standard deviations; it has gone after three quarters.
        prior: weight of the mean square of the place.
        spread: weight of the mean square distance of W+'s places from their mean.
        seed: of noise and backgrounds.
    """

    steps: int = 150
    rate: float = 0.08
    noise: float = 0.1
    prior: float = 2e-3
    spread: float = 2e-3
    seed: int = 0


def search_style(generator: HeadGenerator, prior: StylePrior, start: Tensor, targets: Targets, likeness: Likeness,
                 search: StyleSearch, step: Step = lambda done, total, drawn: None) -> Tensor:
    """The style [W] (from a start [W]), or the styles of the blocks [L, W] (from [L, W]), that look like the targets."""
    random = torch.Generator().manual_seed(search.seed)
    place = prior.place(start).clone().requires_grad_()
    optimizer = torch.optim.Adam([place], search.rate, betas=(0.9, 0.99))
    for i in range(search.steps):
        done = i / search.steps
        optimizer.param_groups[0]["lr"] = search.rate * ramp(done)
        noise = search.noise * max(0.0, 1 - done / 0.75) ** 2 * torch.randn(place.shape, generator=random)
        _, _, drawn = draw_style(generator, prior.style(place + noise)[None], targets)
        loss = likeness(drawn, torch.rand(len(targets), 3, 1, 1, generator=random)) + search.prior * place.square().mean()
        if place.ndim == 2:
            loss = loss + search.spread * (place - place.mean(0)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step(i + 1, search.steps, drawn)
    return prior.style(place.detach())


def ramp(done: float) -> float:
    """Share of the learning rate after a share of the steps: up at once, down by a cosine in the second half."""
    return min(1.0, (done + 1e-3) / _WARM_UP) * (1.0 if done < 0.5 else 0.5 + 0.5 * float(np.cos(2 * np.pi * (done - 0.5))))


@torch.no_grad()
def person_of(generator: HeadGenerator, style: Tensor, targets: Targets) -> tuple[HeadPlanes, Tensor]:
    """The person of a style [W] or of styles [L, W], and residual planes [n, C, R, R] for the targets' ψ."""
    person, residual, _ = draw_style(generator, style[None], targets)
    return person, residual
