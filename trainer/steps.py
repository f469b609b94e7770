"""One training step of each kind of phase: batch in, networks changed, numbers out.

Gradients are made here and judged by the caller's guard before an optimizer may use them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.networks.config import POSITION, SCALE
from core.networks.head_generator import HeadPlanes, RawSeats, SeatedGaussians
from trainer import losses
from trainer.adversary import Augmentation, conditioning_cameras, draw_augmentation, foreground_of, swap_chance
from trainer.batches import Batch
from trainer.engine import gradient_norm
from trainer.networks.patch_discriminator import Votes
from trainer.rasterize import Rendering, rasterize
from trainer.state import Training

Numbers = tuple[tuple[str, float], ...]
Approve = Callable[[Numbers], bool]
_GROWTH_IMAGES = 1_000_000  # pictures over which a grown discriminator's new block fades in (6.1)


@dataclass(frozen=True)
class Fake:
    """What the generator made for a batch."""

    person: HeadPlanes
    residual: Tensor
    raw: RawSeats
    gaussians: SeatedGaussians
    rendering: Rendering
    color: Tensor
    opacity: Tensor


def generator_step(training: Training, batch: Batch, step: int, rng: np.random.Generator, approve: Approve) -> Numbers:
    """The step of an ``uv`` or ``image`` phase."""
    training.optimizer.zero_grad(set_to_none=True)
    parts = Sum()
    if training.phase.kind == "uv":
        person = training.generator.people(batch.latent, batch.shape_map, noise="none", update_average=True)
        residual = torch.zeros_like(person.planes)
        _planes_losses(training, batch, person, residual, training.generator.raw(person.planes, residual), parts)
    else:
        fake = make_fake(training, batch, "none", None)
        _picture_losses(training, batch, fake, parts)
        _planes_losses(training, batch, fake.person, fake.residual, fake.raw, parts)
    return _descend(training, parts, approve)


def warm_up_step(training: Training, batch: Batch, step: int, fakes: Tensor, rng: np.random.Generator,
                 approve: Approve) -> Numbers:
    """The discriminator alone, on fakes [B, 4, S, S] that were made before."""
    picture = fakes[:, :3] + (1 - fakes[:, 3:]) * batch.background
    move = draw_augmentation(training.recipe.adversary, training.phase.size, rng)
    return _discriminator_step(training, batch, picture, batch.over_background(), move, step, approve)


def adversarial_step(training: Training, batch: Batch, step: int, rng: np.random.Generator, noise: torch.Generator,
                     approve: Approve) -> Numbers:
    """Generator and discriminator; the discriminator judges the very fakes of the generator's step."""
    phase, weights, adversary = training.phase, training.phase.losses, training.adversary
    training.optimizer.zero_grad(set_to_none=True)
    fake = make_fake(training, batch, "random", noise, rng)
    move = draw_augmentation(training.recipe.adversary, phase.size, rng)
    picture, real = fake.rendering.over(batch.background), batch.over_background()
    parts = Sum()
    adversary.requires_grad_(False)
    votes = _judge(training, batch, picture, move)
    parts.add("adversarial", weights.adversarial, losses.generator_loss(votes))
    if weights.feature_matching:
        with torch.no_grad():
            paired = _judge(training, batch, real, move)
        parts.add("features", weights.feature_matching, losses.feature_matching_loss(votes, paired))
    fade = 1 - (1 - phase.picture_fade) * training.position.phase_images / phase.images
    _picture_losses(training, batch, fake, parts, fade)
    _planes_losses(training, batch, fake.person, fake.residual, fake.raw, parts)
    _paper_losses(training, fake, batch, parts)
    numbers = _descend(training, parts, approve)
    adversary.requires_grad_(True)
    return numbers + _discriminator_step(training, batch, picture.detach(), real, move, step, approve)


def make_fake(training: Training, batch: Batch, noise: str, generator: torch.Generator | None,
              rng: np.random.Generator | None = None) -> Fake:
    """The generator's answer to a batch: paired with it, or free people under its labels."""
    network = training.generator
    z, camera = batch.latent, None
    if not training.phase.paired or not z.shape[1]:
        z = torch.randn(len(batch), network.config.latent_input, generator=generator)
    if network.config.networks.camera_size:
        camera = conditioning_cameras(batch.cameras.world_to_camera)
        if rng is not None:
            swapped = torch.from_numpy(rng.uniform(size=len(camera)) < swap_chance(training.recipe.adversary,
                                                                                   training.position.images))
            camera = torch.where(swapped[:, None], camera.roll(1, 0), camera)
    person = network.people(z, batch.shape_map, camera, noise=noise, update_average=True, generator=generator)
    residual = network.residual_planes(person, batch.psi)
    raw = network.raw(person.planes, residual)
    gaussians = network.assemble(raw, batch.seats)
    color, opacity = gaussians.seen_from(batch.centres())
    rendering = rasterize(gaussians.xyz, gaussians.scale, gaussians.quat, color, opacity, batch.cameras)
    return Fake(person, residual, raw, gaussians, rendering, color, opacity)


class Sum:
    """A weighted sum that remembers its parts."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.parts: list[tuple[str, Tensor]] = []

    def add(self, name: str, weight: float, value: Tensor) -> None:
        if weight:
            self.parts.append((name, value.detach()))
            self.total = weight * value if self.total is None else self.total + weight * value


def _picture_losses(training: Training, batch: Batch, fake: Fake, parts: Sum, fade: float = 1.0) -> None:
    weights = training.phase.losses
    if weights.picture:
        focus = 1 + weights.focus * batch.focus
        parts.add("picture", weights.picture * fade,
                  losses.picture_loss(fake.rendering.over(batch.background), batch.over_background(), focus))
    if weights.coverage:
        parts.add("coverage", weights.coverage * fade, (fake.rendering.alpha - batch.rgba[:, 3:]).abs().mean())


def _planes_losses(training: Training, batch: Batch, person: HeadPlanes, residual: Tensor, raw: RawSeats, parts: Sum) -> None:
    weights, network = training.phase.losses, training.generator
    networks = network.config.networks
    if batch.uv_color is not None:
        if weights.uv_color:
            parts.add("uv colour", weights.uv_color, losses.uv_color_loss(raw, networks, batch.uv_color, batch.uv_known))
        if weights.uv_offset:
            parts.add("uv offset", weights.uv_offset,
                      losses.uv_offset_loss(raw, network.reach, batch.uv_offset, batch.uv_known))
    if weights.rest:
        parts.add("rest", weights.rest, losses.rest_loss(raw))
    if weights.smoothness:
        parts.add("smoothness", weights.smoothness, losses.smoothness_loss(person.planes, residual))
    if weights.anchor:
        with torch.no_grad():
            reference = training.reference.people_of(training.reference.mapping(batch.latent, None), batch.shape_map, "none")
        parts.add("anchor", weights.anchor, losses.anchor_loss(person.planes, reference.planes, networks))


def _paper_losses(training: Training, fake: Fake, batch: Batch, parts: Sum) -> None:
    weights, network = training.phase.losses, training.generator
    main, more = fake.raw.main, fake.raw.residual
    face, opacity = network.moves, network.config.networks.opacity
    for name, weight, values, share in (
            ("raw position", weights.raw_position, main[..., POSITION], face),
            ("raw scale", weights.raw_scale, main[..., SCALE], face),
            ("deform position", weights.deform_position, more[..., POSITION], torch.ones_like(face)),
            ("deform scale", weights.deform_scale, more[..., SCALE], torch.ones_like(face))):
        if weight:
            parts.add(name, weight, losses.mean_norm(values, share))
    if weights.deform_opacity:
        parts.add("deform opacity", weights.deform_opacity, more[..., opacity].abs().mean())
    if weights.opacity_beta:
        parts.add("opacity beta", weights.opacity_beta, losses.opacity_beta_loss(fake.gaussians.opacity))
    if weights.texture_variation:
        g, texels = fake.gaussians, network.seat_coordinates()
        drawn = rasterize(g.xyz, g.scale, g.quat, texels.expand(len(batch), -1, -1).contiguous(), fake.opacity, batch.cameras)
        parts.add("texture variation", weights.texture_variation, losses.texture_variation_loss(drawn.color, drawn.alpha))


def _judge(training: Training, batch: Batch, picture: Tensor, move: Augmentation) -> Votes:
    adversary = training.adversary
    shown = adversary.shown(picture, batch.displacement, move, training.position.images)
    return adversary.judge(shown, foreground_of(batch.displacement, move), conditioning_cameras(batch.cameras.world_to_camera),
                           _added_weight(training))


def _added_weight(training: Training) -> float:
    """How much a grown discriminator's new block counts: 0 to 1 over the first million pictures."""
    return min(training.position.phase_images / _GROWTH_IMAGES, 1.0) if training.adversary.grown_from else 1.0


def _discriminator_step(training: Training, batch: Batch, fake: Tensor, real: Tensor, move: Augmentation, step: int,
                        approve: Approve) -> Numbers:
    recipe, adversary, optimizer = training.recipe.adversary, training.adversary, training.adversary_optimizer
    optimizer.zero_grad(set_to_none=True)
    camera = conditioning_cameras(batch.cameras.world_to_camera)
    foreground = foreground_of(batch.displacement, move)
    shown = [adversary.shown(x, batch.displacement, move, training.position.images) for x in (fake, real)]
    weight = _added_weight(training)
    votes = [adversary.judge(x, foreground, camera, weight) for x in shown]
    loss = losses.discriminator_loss(*votes)
    training.engine.backward(loss)
    numbers = [("discriminator", loss.detach()), ("score gap", (votes[1].score() - votes[0].score()).mean().detach())]
    if recipe.r1_gamma and step % recipe.r1_every == 0:
        picture = shown[1].detach().requires_grad_(True)
        penalty = losses.gradient_penalty(adversary.judge(picture, foreground, camera, weight), picture)
        training.engine.backward(penalty * (recipe.r1_gamma / 2 * recipe.r1_every))
        numbers.append(("gradient penalty", penalty.detach()))
    return _finish(training, list(adversary.parameters()), optimizer, numbers, "discriminator gradient", approve)


def _descend(training: Training, parts: Sum, approve: Approve) -> Numbers:
    training.engine.backward(parts.total)
    for group in training.optimizer.param_groups:
        group["lr"] = training.learning_rate()
    return _finish(training, list(training.generator.parameters()), training.optimizer,
                   [*parts.parts, ("loss", parts.total.detach())], "gradient", approve)


def _finish(training: Training, parameters: list, optimizer: torch.optim.Optimizer, numbers: list[tuple[str, Tensor]],
            norm_name: str, approve: Approve) -> Numbers:
    """Average over processes, ask the guard, take the step."""
    engine = training.engine
    engine.average_gradients(parameters)
    means = engine.mean(torch.stack([value.reshape(()) for _, value in numbers]))
    shown = tuple((name, float(value)) for (name, _), value in zip(numbers, means, strict=True))
    shown += ((norm_name, float(gradient_norm(parameters))),)
    if approve(shown):
        optimizer.step()
    return shown
