"""Everything of a training that changes: networks, averaged weights, optimizers, and where in the recipe it stands."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from core.errors import InputError
from core.head.model import HeadModel
from core.networks.head_generator import HeadGenerator, HeadGeneratorConfig, grown
from trainer.adversary import Adversary
from trainer.checkpoint import (
    Checkpoint,
    load_module,
    load_optimizer,
    module_tensors,
    optimizer_about,
    optimizer_tensors,
)
from trainer.engine import Engine
from trainer.guard import Guard
from trainer.recipe import Phase, Recipe, recipe_from_json

_SECOND_BETA = 0.99
_RAMP_UP = 0.05  # the averaged weights' half-life is at most this share of the pictures shown so far


@dataclass
class Position:
    """Where a training stands.

    Attributes:
        phase: index into the recipe's phases.
        images: pictures shown in all phases;  phase_images: in this one.
        cpu_seconds: spent so far by all processes, over all resumptions.
        judged: `images` of the last snapshot that was judged.
    """

    phase: int = 0
    images: int = 0
    phase_images: int = 0
    cpu_seconds: float = 0.0
    judged: int = 0


@dataclass
class Training:
    """The state of a run.

    Attributes:
        generator: that learns;  average: its averaged weights, which are what is shown and shipped.
        adversary: the discriminator, None in phases without one.
        reference: the generator a phase started with, None unless a loss holds on to it.
    """

    recipe: Recipe
    engine: Engine
    head: HeadModel
    latent_size: int
    generator: HeadGenerator
    average: HeadGenerator
    optimizer: torch.optim.Adam
    adversary: Adversary | None = None
    adversary_optimizer: torch.optim.Adam | None = None
    reference: HeadGenerator | None = None
    position: Position = field(default_factory=Position)
    guard: Guard = field(default_factory=Guard)

    @property
    def phase(self) -> Phase:
        return self.recipe.phases[self.position.phase]

    @property
    def is_finished(self) -> bool:
        return self.position.phase == len(self.recipe.phases) - 1 and self.phase_is_over

    @property
    def phase_is_over(self) -> bool:
        return self.position.phase_images >= self.phase.steps * self.phase.batch

    @staticmethod
    def start(recipe: Recipe, engine: Engine, head: HeadModel, latent_size: int) -> Training:
        """A fresh training at the start of its first phase."""
        torch.manual_seed(recipe.seed)
        first = recipe.phases[0]
        generator = HeadGenerator(generator_config(recipe, first, latent_size), head)
        training = Training(recipe, engine, head, latent_size, engine.setup(generator), _frozen_copy(generator),
                            _adam(generator, first))
        training._enter()
        return training

    def advance(self) -> None:
        """Enter the next phase: it starts with the averaged weights, grown where it asks for more."""
        self.position.phase += 1
        self.position.phase_images = 0
        phase = self.phase
        config = generator_config(self.recipe, phase, self.latent_size)
        start = self.average
        if config != start.config:
            torch.manual_seed(self.recipe.seed + self.position.phase)  # new layers come from nowhere else
            start = grown(start, config.networks.plane_resolution, config.seat_resolution)
        self.generator = self.engine.setup(copy.deepcopy(start).requires_grad_(True).train())
        self.average = _frozen_copy(self.generator)
        self.guard.start_phase()
        self._enter()

    def _enter(self) -> None:
        """What a phase needs beside the generator."""
        phase = self.phase
        self.generator.deformation.requires_grad_(not phase.freeze_deformation)
        self.optimizer = _adam(self.generator, phase)
        self.reference = _frozen_copy(self.generator) if phase.losses.anchor or phase.losses.tint else None
        if phase.kind in ("warm-up", "adversarial"):
            self._raise_adversary(phase)
        else:
            self.adversary = self.adversary_optimizer = None

    def _raise_adversary(self, phase: Phase) -> None:
        """A discriminator for the phase's pictures: kept where it fits, else grown (dual) or fresh."""
        former = self.adversary
        if former is not None and former.size == phase.size:
            return
        torch.manual_seed(self.recipe.seed + self.position.phase)
        pretrained = former.size if former is not None and self.recipe.adversary.kind == "dual" else 0
        adversary = Adversary(self.recipe, phase.size, pretrained)
        if pretrained:
            own = dict(adversary.named_parameters())
            with torch.no_grad():
                for name, value in former.named_parameters():
                    own[name].copy_(value)
        self.adversary = self.engine.setup(adversary)
        every = self.recipe.adversary.r1_every
        lazy = every / (every + 1)  # the penalty takes its own share of steps (Karras et al. 2020, appendix B)
        self.adversary_optimizer = torch.optim.Adam(adversary.parameters(), lr=phase.discriminator_rate * lazy,
                                                    betas=(0.0, _SECOND_BETA**lazy))

    # ------------------------------------------------------------------ rates and averages

    def learning_rate(self) -> float:
        """The generator's rate now: a short ramp, then level, then a linear fall."""
        phase, share = self.phase, self.position.phase_images / self.phase.images
        rate = phase.learning_rate
        if phase.ramp:
            rate *= min(1.0, (self.position.phase_images / phase.batch + 1) / phase.ramp)
        if phase.decay and share > 1 - phase.decay:
            rate *= 1 - 0.95 * (share - 1 + phase.decay) / phase.decay
        return rate * self.guard.learning_rate_scale

    def update_average(self) -> None:
        """One step of the exponential moving average; buffers are copied."""
        phase = self.phase
        half_life = min(phase.ema_images, max(_RAMP_UP * self.position.images, phase.batch))
        keep = 0.5 ** (phase.batch / half_life)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), [p.detach() for p in self.generator.parameters()], 1 - keep)
            for mine, its in zip(self.average.buffers(), self.generator.buffers(), strict=True):
                mine.copy_(its)

    # ------------------------------------------------------------------ checkpoints

    def checkpoint(self) -> Checkpoint:
        """All of it."""
        tensors = module_tensors("generator", self.generator) | module_tensors("average", self.average)
        tensors |= optimizer_tensors("optimizer", self.optimizer)
        about: dict[str, Any] = {"recipe": self.recipe.to_json(), "position": vars(self.position), "guard": self.guard.state(),
                                 "latent_size": self.latent_size, "head": self.head.sha256,
                                 **optimizer_about("optimizer", self.optimizer)}
        if self.reference is not None:
            tensors |= module_tensors("reference", self.reference)
        if self.adversary is not None:
            tensors |= module_tensors("adversary", self.adversary) | optimizer_tensors("adversary_optimizer",
                                                                                       self.adversary_optimizer)
            about |= optimizer_about("adversary_optimizer", self.adversary_optimizer)
            about["adversary_grown_from"] = self.adversary.grown_from
        return Checkpoint(self.position.images, tensors, about)

    @staticmethod
    def resumed(checkpoint: Checkpoint, engine: Engine, head: HeadModel, keep_guard: bool = True) -> Training:
        """The training of a checkpoint.

        Args:
            keep_guard: also what the guard remembers; off when going back within a process.

        Raises:
            InputError: the checkpoint is of another head model, or does not fit its own recipe.
        """
        about = checkpoint.about
        if about["head"] != head.sha256:
            raise InputError("the run was trained on another head model", "resume it with the head model it was started with")
        recipe = recipe_from_json(about["recipe"])
        training = Training.start(recipe, engine, head, int(about["latent_size"]))
        training.position = Position(**about["position"])
        config = generator_config(recipe, training.phase, training.latent_size)
        training.generator = engine.setup(HeadGenerator(config, head))
        training.average = _frozen_copy(training.generator)
        training.adversary = None
        training._enter()
        grown_from = about.get("adversary_grown_from", 0)
        if training.adversary is not None and grown_from:
            training.adversary = engine.setup(Adversary(recipe, training.phase.size, grown_from))
            training.adversary_optimizer = torch.optim.Adam(training.adversary.parameters())
        training._load(checkpoint, keep_guard)
        return training

    def _load(self, checkpoint: Checkpoint, keep_guard: bool) -> None:
        tensors, about = checkpoint.tensors, checkpoint.about
        load_module("generator", self.generator, tensors)
        load_module("average", self.average, tensors)
        load_optimizer("optimizer", self.optimizer, tensors, about)
        if self.reference is not None:
            load_module("reference", self.reference, tensors)
        if self.adversary is not None:
            load_module("adversary", self.adversary, tensors)
            load_optimizer("adversary_optimizer", self.adversary_optimizer, tensors, about)
        if keep_guard:
            self.guard.load_state(about["guard"])


def generator_config(recipe: Recipe, phase: Phase, latent_size: int) -> HeadGeneratorConfig:
    """The generator of a phase."""
    networks = replace(recipe.networks, plane_resolution=phase.planes)
    return HeadGeneratorConfig(networks, latent_size or networks.latent_size, recipe.parametrization, phase.seats,
                               recipe.shape_map, recipe.deformation)


def _frozen_copy(generator: HeadGenerator) -> HeadGenerator:
    return copy.deepcopy(generator).eval().requires_grad_(False)


def _adam(module: nn.Module, phase: Phase) -> torch.optim.Adam:
    trained = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.Adam(trained, lr=phase.learning_rate, betas=(phase.beta, _SECOND_BETA))
