"""Everything a training run is made of, as one typed object: networks, phases, losses, schedule; and the presets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from core.errors import InputError
from core.networks.config import DESKTOP, OFFICIAL, TOY, GeneratorConfig
from core.networks.head_generator import PARAMETRIZATIONS

PHASE_KINDS = ("uv", "image", "warm-up", "adversarial")
ADVERSARIES = ("patch", "dual")


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's losses; 0 leaves a term out. Those from `raw_position` on are the paper's (7.1).

    Attributes:
        picture: L1 and gradients at three scales against the paired picture.
        coverage: L1 of the alpha against the paired one.
        focus: how much more the pictures' eyes and mouths count than the rest.
        uv_color, uv_offset: L1 of the planes against the known truth on the texture map.
        adversarial: non-saturating loss.
        feature_matching: L1 of the discriminator's features against the paired picture's.
        smoothness: squared differences of neighbouring position and scale planes.
        anchor: squared distance of the geometry planes from the generator that the phase started with.
        tint: change of hue, and much change of brightness, since the phase started.
        rest: squared plane values of position, scale and rotation: what no picture asks for stays at rest.
        raw_position, raw_scale: norms of the main planes on the face.
        deform_position, deform_scale, deform_opacity: norms of the residual planes.
        opacity_beta: pushes opacities toward 0 and 1.
        texture_variation: total variation of the rendered texture coordinates.
    """

    picture: float = 0.0
    coverage: float = 0.0
    focus: float = 0.0
    uv_color: float = 0.0
    uv_offset: float = 0.0
    adversarial: float = 0.0
    feature_matching: float = 0.0
    smoothness: float = 0.0
    anchor: float = 0.0
    tint: float = 0.0
    rest: float = 0.0
    raw_position: float = 0.0
    raw_scale: float = 0.0
    deform_position: float = 0.0
    deform_scale: float = 0.0
    deform_opacity: float = 0.0
    opacity_beta: float = 0.0
    texture_variation: float = 0.0


@dataclass(frozen=True)
class Phase:
    """One stretch of training.

    Attributes:
        name: shown to people.
        kind: ``uv``: planes against the truth on the texture map. ``image``: pictures against their pair. ``warm-up``: the
            discriminator alone. ``adversarial``: both.
        images: pictures to show.
        size: side of the pictures, pixels.
        planes: side of the UV planes; larger than before grows the generator.
        seats: side of the map whose texels carry a Gaussian each, 0 for that of the planes.
        batch: pictures per step, over all processes.
        learning_rate: of the generator;  discriminator_rate: of the discriminator.
        beta: Adam's first beta of the generator.
        decay: share of the phase, at its end, over which the rate falls linearly to a twentieth.
        ramp: steps over which the rate rises at the start.
        ema_images: half-life of the averaged weights, in pictures.
        paired: fakes have the factors of the real pictures beside them.
        freeze_deformation: the expression branch does not learn.
        picture_fade: the weight of the picture loss falls to this share over the phase.
        snapshots: how often in the phase a snapshot is judged (0: at its end only).
        losses: weights.
    """

    name: str
    kind: str
    images: int
    size: int
    planes: int
    seats: int = 0
    batch: int = 16
    learning_rate: float = 2e-3
    discriminator_rate: float = 2e-3
    beta: float = 0.5
    decay: float = 0.0
    ramp: int = 20
    ema_images: float = 500.0
    paired: bool = True
    freeze_deformation: bool = False
    picture_fade: float = 1.0
    snapshots: int = 0
    losses: LossWeights = field(default_factory=LossWeights)

    @property
    def steps(self) -> int:
        """Whole batches in the phase."""
        return self.images // self.batch


@dataclass(frozen=True)
class AdversaryRecipe:
    """The discriminator and what is done to its pictures.

    Attributes:
        kind: ``patch``: small, dense votes, sees a high-pass of the picture; ``dual``: AGORA's (specification 6).
        channel_base, channel_max: channels by resolution.
        dual_from: pictures after which the displacement rendering is shown (zeros before).
        r1_gamma: weight of the gradient penalty;  r1_every: steps between penalties.
        shift: largest shift of the augmentation, share of the picture's side;  zoom: largest change of scale.
        blur_sigma: pixels of the blur at the start;  blur_images: pictures after which it is gone.
        swap_from, swap_to, swap_images: chance that the generator is conditioned on another sample's camera, from the start
            to after so many pictures.
        warm_up_pairs: pictures of the frozen generator that the warm-up learns from.
    """

    kind: str = "patch"
    channel_base: int = 1024
    channel_max: int = 128
    dual_from: int = 0
    r1_gamma: float = 0.3
    r1_every: int = 16
    shift: float = 0.045
    zoom: float = 0.0
    blur_sigma: float = 0.0
    blur_images: int = 0
    swap_from: float = 0.0
    swap_to: float = 0.0
    swap_images: int = 0
    warm_up_pairs: int = 800


@dataclass(frozen=True)
class Recipe:
    """A whole training run.

    Attributes:
        name: of the preset it came from.
        networks: sizes of the generator at its largest; phases may start smaller.
        parametrization: of the Gaussians, see `core.networks.head_generator`.
        shape_map, deformation, dual: parts that an ablation switches off.
        adversary: the discriminator.
        phases: in their order.
        seed: of everything random.
        checkpoint_images: pictures between checkpoints.
        sample_images: pictures between sample grids.
        random_background: pictures are laid over random colours; white without.
    """

    name: str
    networks: GeneratorConfig
    phases: tuple[Phase, ...]
    parametrization: str = "closed"
    shape_map: bool = True
    deformation: bool = True
    dual: bool = True
    adversary: AdversaryRecipe = field(default_factory=AdversaryRecipe)
    seed: int = 0
    checkpoint_images: int = 4000
    sample_images: int = 4000
    random_background: bool = True

    @property
    def images(self) -> int:
        """Pictures in all phases."""
        return sum(phase.images for phase in self.phases)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def scaled(self, factor: float) -> Recipe:
        """The same recipe with shorter or longer phases."""
        return replace(self, phases=tuple(replace(p, images=max(p.batch, round(p.images * factor / p.batch) * p.batch))
                                          for p in self.phases))

    def check(self) -> None:
        """Refuses what cannot be trained. Raises InputError with the field."""
        for what, value, known in (("parametrization", self.parametrization, PARAMETRIZATIONS),
                                   ("adversary", self.adversary.kind, ADVERSARIES)):
            if value not in known:
                raise InputError(f"recipe '{self.name}': {what} '{value}' is not one of {', '.join(known)}")
        previous = 0
        for phase in self.phases:
            where = f"recipe '{self.name}', phase '{phase.name}'"
            if phase.kind not in PHASE_KINDS:
                raise InputError(f"{where}: kind '{phase.kind}' is not one of {', '.join(PHASE_KINDS)}")
            if phase.planes < max(previous, 2 * self.networks.tap_resolution) or phase.planes > self.networks.plane_resolution \
                    or phase.planes & (phase.planes - 1):
                raise InputError(f"{where}: planes of {phase.planes} do not fit between {2 * self.networks.tap_resolution} and "
                                 f"{self.networks.plane_resolution}, or shrink, or are no power of two")
            if phase.images < phase.batch or phase.batch < 1 or phase.size < 16:
                raise InputError(f"{where}: {phase.images} pictures in batches of {phase.batch} at {phase.size} pixels")
            previous = phase.planes
        if not self.phases:
            raise InputError(f"recipe '{self.name}' has no phases")
        if self.checkpoint_images < 1 or self.sample_images < 1:
            raise InputError(f"recipe '{self.name}': pictures between checkpoints or samples must be at least 1")


def desktop_recipe() -> Recipe:
    """Supervised on the known factors of synthetic people, then a short adversarial finish (about five CPU-hours)."""
    regress = LossWeights(picture=1.0, coverage=0.5, focus=3.0, rest=0.002, smoothness=0.003)
    finish = replace(regress, picture=10.0, coverage=5.0, adversarial=1.0, feature_matching=5.0, anchor=10.0, tint=300.0,
                     smoothness=0.0)
    uv = LossWeights(uv_color=1.0, uv_offset=1.0, rest=0.01)
    return Recipe("desktop", DESKTOP, (
        Phase("texture", "uv", 12_000, 64, 64, learning_rate=3e-3, beta=0.9, losses=uv),
        Phase("pictures 64", "image", 90_000, 64, 64, losses=replace(regress, uv_color=0.1, uv_offset=0.1)),
        Phase("pictures 128", "image", 130_000, 128, 128, decay=0.5, snapshots=4, losses=regress),
        Phase("discriminator", "warm-up", 3_200, 128, 128),
        Phase("finish", "adversarial", 12_000, 128, 128, decay=0.5, ema_images=400, freeze_deformation=True, picture_fade=0.5,
              snapshots=3, losses=finish),
    ))


def paper_recipe() -> Recipe:
    """AGORA's two stages (specification 7), for photographs and graphics processors."""
    first = LossWeights(adversarial=1.0, raw_position=0.25, raw_scale=0.5, deform_position=0.5, deform_scale=1.0,
                        deform_opacity=0.5)
    second = replace(first, deform_position=1.5, deform_scale=1.5, opacity_beta=1.0, texture_variation=1.0)
    networks = replace(OFFICIAL, psi_size=58, unused_style_size=0)
    return Recipe("paper", networks, (
        Phase("stage 1", "adversarial", 6_500_000, 256, 256, batch=32, learning_rate=2.5e-3, beta=0.0, ramp=0, ema_images=1e4,
              paired=False, snapshots=30, losses=first),
        Phase("stage 2", "adversarial", 18_500_000, 512, 256, seats=512, batch=32, learning_rate=2.5e-3, beta=0.0, ramp=0,
              ema_images=1e4, paired=False, snapshots=90, losses=second),
    ), parametrization="paper", checkpoint_images=200_000, sample_images=50_000, random_background=False,
        adversary=AdversaryRecipe("dual", 32768, 512, dual_from=3_200_000, r1_gamma=1.0, r1_every=16, shift=0.1, zoom=0.15,
                                  blur_sigma=10.0, blur_images=200_000, swap_from=1.0, swap_to=0.5, swap_images=1_000_000))


def ci_recipe() -> Recipe:
    """The desktop recipe in miniature: seconds, for tests and for a first look at the wizard."""
    big = desktop_recipe()
    sizes = replace(TOY, plane_resolution=32, tap_resolution=8, camera_size=0, psi_size=58, color_channels=3, mapping_rate=1.0,
                    normalize_latent=False, residual_from_planes=False)
    short = ((160, 16), (160, 16), (96, 32), (64, 32), (96, 32))
    phases = tuple(replace(phase, images=images, planes=side, size=side, batch=8, snapshots=min(phase.snapshots, 1))
                   for phase, (images, side) in zip(big.phases, short, strict=True))
    return replace(big, name="ci", networks=sizes, phases=phases, checkpoint_images=64, sample_images=96,
                   adversary=replace(big.adversary, channel_base=256, channel_max=16, warm_up_pairs=32))


PRESETS = {"ci": ci_recipe, "desktop": desktop_recipe, "paper": paper_recipe}


def read_recipe(name_or_path: str) -> Recipe:
    """A preset by name, or a recipe file.

    Raises:
        InputError: neither, or the file is not a recipe.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]()
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(f"there is no recipe '{name_or_path}'", f"presets: {', '.join(PRESETS)}; or the path of a .json file")
    try:
        recipe = recipe_from_json(json.loads(path.read_text("utf-8")))
        recipe.check()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is not a recipe: {error}") from error
    return recipe


def recipe_from_json(raw: Mapping[str, Any]) -> Recipe:
    """Reads what `Recipe.to_json` wrote. Raises TypeError or KeyError for unknown and missing fields."""
    unknown = set(raw) - {f.name for f in fields(Recipe)}
    if unknown:
        raise TypeError(f"unknown field '{sorted(unknown)[0]}'")
    phases = tuple(Phase(**{**phase, "losses": LossWeights(**phase["losses"])}) for phase in raw["phases"])
    return Recipe(**{**raw, "networks": GeneratorConfig(**raw["networks"]), "adversary": AdversaryRecipe(**raw["adversary"]),
                     "phases": phases})
