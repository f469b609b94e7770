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
from core.networks.layers import SharedNoise
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
        person = _people(training, batch.latent, batch, None, "none", None)
        residual = torch.zeros_like(person.planes)
        _planes_losses(training, batch, person, residual, training.generator.raw(person.planes, residual), parts)
    else:
        fake = make_fake(training, batch, "none", shared_noise(training, rng))
        person = fake.person
        _picture_losses(training, batch, fake, parts)
        _planes_losses(training, batch, person, fake.residual, fake.raw, parts)
    return _descend(training, person, parts, approve)


def warm_up_step(training: Training, batch: Batch, step: int, fakes: Tensor, rng: np.random.Generator,
                 approve: Approve) -> Numbers:
    """The discriminator alone, on fakes [B, 4, S, S] that were made before."""
    picture = fakes[:, :3] + (1 - fakes[:, 3:]) * batch.background
    move = draw_augmentation(training.recipe.adversary, training.phase.size, rng)
    return _discriminator_step(training, batch, picture, batch.over_background(), move, step, approve)


def adversarial_step(training: Training, batch: Batch, step: int, rng: np.random.Generator, approve: Approve) -> Numbers:
    """Generator and discriminator; the discriminator judges the very fakes of the generator's step."""
    phase, weights, adversary = training.phase, training.phase.losses, training.adversary
    training.optimizer.zero_grad(set_to_none=True)
    fake = make_fake(training, batch, "random", shared_noise(training, rng), rng)
    move = draw_augmentation(training.recipe.adversary, phase.size, rng)
    picture, real = fake.rendering.over(batch.background), batch.over_background()
    parts = Sum()
    adversary.requires_grad_(False)
    votes = _judge(training, batch, picture, move)
    parts.add("adversarial", weights.adversarial, losses.generator_loss(votes))
    if weights.feature_matching:
        with torch.no_grad():
            paired = _judge(training, batch, real, move)
        sizes = training.engine.mean(losses.feature_sizes(paired))
        parts.add("features", weights.feature_matching, losses.feature_matching_loss(votes, paired, sizes))
    fade = 1 - (1 - phase.picture_fade) * training.position.phase_images / phase.images
    _picture_losses(training, batch, fake, parts, fade)
    _planes_losses(training, batch, fake.person, fake.residual, fake.raw, parts)
    _paper_losses(training, fake, batch, parts)
    numbers = _descend(training, fake.person, parts, approve)
    adversary.requires_grad_(True)
    return numbers + _discriminator_step(training, batch, picture.detach(), real, move, step, approve)


def shared_noise(training: Training, rng: np.random.Generator) -> SharedNoise:
    """This process's part of the noise of a step."""
    batch = training.phase.batch
    generator = torch.Generator(training.engine.device).manual_seed(int(rng.integers(1 << 62)))
    return SharedNoise(generator, batch, training.engine.share(batch))


def make_fake(training: Training, batch: Batch, noise: str, source: SharedNoise, rng: np.random.Generator | None = None) -> Fake:
    """The generator's answer to a batch: paired with it, or free people under its labels.

    Args:
        noise: "random" or "none", of the generator's layers;  source: of it, and of free people.
        rng: shows the generator wrong cameras now and then; never without it.
    """
    network = training.generator
    z, camera = batch.latent, None
    if not training.phase.paired or not z.shape[1]:
        z = source.normal(network.config.latent_input, dtype=batch.rgba.dtype)
    if network.config.networks.camera_size:
        camera = conditioning_cameras(batch.cameras.world_to_camera)
        if rng is not None:
            chance = swap_chance(training.recipe.adversary, training.position.images)
            swapped = torch.from_numpy(rng.uniform(size=source.batch)[source.share] < chance).to(camera.device)
            camera = torch.where(swapped[:, None], conditioning_cameras(batch.other_view), camera)
    person = _people(training, z, batch, camera, noise, source)
    with training.engine.autocast():
        residual = network.residual_planes(person, batch.psi)
    residual = residual.to(training.engine.dtype)
    raw = network.raw(person.planes, residual)
    gaussians = network.assemble(raw, batch.seats)
    color, opacity = gaussians.seen_from(batch.centres())
    rendering = rasterize(gaussians.xyz, gaussians.scale, gaussians.quat, color, opacity, batch.cameras)
    return Fake(person, residual, raw, gaussians, rendering, color, opacity)


def _people(training: Training, z: Tensor, batch: Batch, camera: Tensor | None, noise: str,
            source: SharedNoise | None) -> HeadPlanes:
    with training.engine.autocast():
        person = training.generator.people(z, batch.shape_map, camera, noise=noise, generator=source)
    dtype = training.engine.dtype
    return HeadPlanes(person.w.to(dtype), person.planes.to(dtype), person.tap)


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
    if weights.anchor or weights.tint:
        with torch.no_grad():
            former = training.reference.people_of(training.reference.mapping(batch.latent, None), batch.shape_map, "none")
        if weights.anchor:
            parts.add("anchor", weights.anchor, losses.anchor_loss(person.planes, former.planes, networks))
        if weights.tint:
            parts.add("tint", weights.tint, losses.tint_loss(person.planes, former.planes, networks))


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
    return _votes(training, shown, foreground_of(batch.displacement, move), conditioning_cameras(batch.cameras.world_to_camera))


def _votes(training: Training, shown: Tensor, foreground: Tensor, camera: Tensor) -> Votes:
    with training.engine.autocast():
        votes = training.adversary.judge(shown, foreground, camera, _added_weight(training))
    dtype = training.engine.dtype
    return Votes(votes.logits.to(dtype), votes.weights.to(dtype), tuple(layer.to(dtype) for layer in votes.features))


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
    votes = [_votes(training, x, foreground, camera) for x in shown]
    loss = losses.discriminator_loss(*votes)
    training.engine.backward(loss)
    numbers = [("discriminator", loss.detach()), ("score gap", (votes[1].score() - votes[0].score()).mean().detach())]
    if recipe.r1_gamma and step % recipe.r1_every == 0:
        picture = shown[1].detach().requires_grad_(True)
        penalty = losses.gradient_penalty(_votes(training, picture, foreground, camera), picture)
        training.engine.backward(penalty * (recipe.r1_gamma / 2 * recipe.r1_every))
        numbers.append(("gradient penalty", penalty.detach()))
    return _finish(training, list(adversary.parameters()), optimizer, numbers, "discriminator gradient", approve)[0]


def _descend(training: Training, person: HeadPlanes, parts: Sum, approve: Approve) -> Numbers:
    training.engine.backward(parts.total)
    for group in training.optimizer.param_groups:
        group["lr"] = training.learning_rate()
    numbers, taken = _finish(training, list(training.generator.parameters()), training.optimizer,
                             [*parts.parts, ("loss", parts.total.detach())], "gradient", approve)
    styles = training.engine.mean(person.w.mean(0))
    if taken:
        training.generator.mapping.follow(styles)
    return numbers


def _finish(training: Training, parameters: list, optimizer: torch.optim.Optimizer, numbers: list[tuple[str, Tensor]],
            norm_name: str, approve: Approve) -> tuple[Numbers, bool]:
    """Average over processes, ask the guard, take the step; returns also whether it was taken."""
    engine = training.engine
    engine.average_gradients(parameters)
    means = engine.mean(torch.stack([value.reshape(()) for _, value in numbers]))
    shown = tuple((name, float(value)) for (name, _), value in zip(numbers, means, strict=True))
    shown += ((norm_name, float(gradient_norm(parameters))),)
    taken = approve(shown)
    if taken:
        optimizer.step()
    return shown, taken
