"""A trained generator as a teacher of AGORA-M: its Gaussians for any ψ against its resting ones, on its seats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from core.avatar.generator_binding import SHAPE_SIZE, Sitter, is_closed, seat_residuals, surface_of_seats
from core.avatar.generator_network import build_generator, declaration_of, normal_draw, style_of, weights_of
from core.avatar.generator_source import studio_z
from core.avatar.generator_weights import GeneratorWeights
from core.avatar.manifest import PRIORS, PackManifest
from core.avatar.pack import RowTable
from core.errors import InputError
from core.networks.head_generator import HeadGenerator
from core.studio import sample_traits
from core.types import FloatArray
from trainer.psi_sampling import PsiSampler

TRAINING_SEEDS = (1 << 31, (1 << 31) + (1 << 29))  # nobody who is learned from is ever shown or judged
UNSEEN_SEEDS = ((1 << 31) + (1 << 29), 1 << 32)
BATCH = 8  # faces that go through the deformation branch together


@dataclass(frozen=True)
class GeneratorPrior:
    """Where a generator's people come from.

    Attributes:
        kind: one of `core.avatar.manifest.PRIORS`.
        shapes: [T, s] shape coefficients of plausible people, for ``normal``; None for ``studio``.
        name: of the pack.
        creator, licence: of the pack.
    """

    kind: str
    shapes: FloatArray | None = None
    name: str = "Generator"
    creator: str = ""
    licence: str = ""


class GeneratorTeacher:
    """A `trainer.distill.Teacher` whose carriers are the seats themselves.

    The network is used with its weights rounded to half precision, as the pack will hold them.

    Args:
        generator: trained, on a processor.
        prior: where people come from.

    Raises:
        InputError: the prior is unknown or lacks shapes, or the weights are not usable.
        PackError: generator, prior and head do not fit each other.
    """

    def __init__(self, generator: HeadGenerator, prior: GeneratorPrior) -> None:
        if prior.kind not in PRIORS:
            raise InputError(f"there is no prior '{prior.kind}'", f"choose one of {', '.join(PRIORS)}")
        if prior.kind == "normal" and (prior.shapes is None or len(prior.shapes) == 0):
            raise InputError("the prior 'normal' needs a table of shapes")
        head, closed, seats = generator.head, is_closed(generator), len(generator.surface)
        self.head = head
        self.weights: GeneratorWeights = weights_of(generator, prior.shapes if prior.kind == "normal" else None)
        self.conventions = PackManifest(
            name=prior.name, kind="generator", creator=prior.creator, licence=prior.licence, head_name=head.name,
            head_sha256=head.sha256, surface=surface_of_seats(generator.surface), psi=head.psi_layout,
            latent_size=min(SHAPE_SIZE, head.shape_count) + generator.config.networks.latent_size,
            rows=seats, components=(0, 0, 0, 0), anchors="rows", neck="weights", rotation="relative" if closed else "additive",
            scale="strain" if closed else "additive", features=("pose_matrices", "pose_by_latent", "jaw_by_expression"),
            facing="soft" if closed else "none", generator=declaration_of(generator.config, prior.kind))
        self.generator = build_generator(self.conventions, self.weights, head)
        self.rows = RowTable(np.arange(seats, dtype=np.int32), np.full(seats, -1, np.int32))
        self.row_weight = np.ones(seats, np.float32)
        self.carriers = (sparse.eye_array(seats, dtype=np.float32, format="csr"),) * 4
        self._prior, self._sampler = prior, PsiSampler(head)

    @property
    def shape_size(self) -> int:
        """How many leading numbers of a latent are shape coefficients."""
        return self.conventions.latent_size - self.generator.config.networks.latent_size

    def sample_identity(self, rng: np.random.Generator) -> Sitter:
        """A random person to learn from."""
        return self.person(int(rng.integers(*TRAINING_SEEDS)))

    def unseen_identity(self, rng: np.random.Generator) -> Sitter:
        """A random person to judge by; never one to learn from."""
        return self.person(int(rng.integers(*UNSEEN_SEEDS)))

    def person(self, seed: int) -> Sitter:
        """The person of a seed, as the pack will make them."""
        if self._prior.kind == "studio":
            traits = sample_traits(seed, self.head)
            return Sitter(self.generator, style_of(self.generator, studio_z(traits)), traits.shape)
        z, shape = normal_draw(seed, self.generator.config.latent_input, self.weights.shapes)
        return Sitter(self.generator, style_of(self.generator, z), shape)

    def latent(self, identity: Sitter) -> FloatArray:
        """Leading shape coefficients and w [W]."""
        return identity.latent(self.conventions.latent_size)

    def sample_psi(self, rng: np.random.Generator, count: int) -> FloatArray:
        return self._sampler.sample(rng, count)

    def residuals(self, identity: Sitter, psi: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """xyz [n, G, 3], rotation [n, G, 3 or 4], scale [n, G, 3], opacity [n, G, 1]."""
        parts = list(self.batches(identity, psi))
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def batches(self, identity: Sitter, psi: FloatArray) -> Iterator[tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
        """The residuals a few faces at a time."""
        closed = is_closed(self.generator)
        for start in range(0, len(psi), BATCH):
            yield seat_residuals(identity.rest, identity.posed(psi[start:start + BATCH]), closed)
