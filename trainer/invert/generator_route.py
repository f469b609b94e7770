"""Photographs to an avatar through a pack's generator: a style, a style for each block, then the planes of that person alone.

The head's shape, pose and expression are those that the landmarks gave (`trainer.invert.view`). The result hangs on the rows of
the generator's pack and is driven by its basis and regressor; the generator itself is not part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from core.avatar.generator_binding import Sitter, bind_sitter
from core.avatar.generator_network import style_of
from core.avatar.generator_source import GeneratorSource, studio_z, tags_of
from core.avatar.pack import AvatarPack
from core.errors import InputError
from core.head.model import HeadModel
from core.networks.head_generator import HeadGenerator
from core.studio import Traits
from trainer.invert.generator_likeness import Likeness
from trainer.invert.generator_planes import PlaneTuning, tune_planes
from trainer.invert.generator_styles import (
    CANDIDATES,
    SEARCH_SIZE,
    Step,
    StyleSearch,
    most_alike,
    person_of,
    search_style,
    style_prior,
)
from trainer.invert.generator_target import targets_of
from trainer.invert.geometry import fit_head
from trainer.invert.pack import person_name, photo_pack, with_rest
from trainer.invert.person import InvertedPerson, InvertProgress, ProgressReport
from trainer.invert.score import photo_score
from trainer.invert.view import PhotoView
from trainer.metrics.features import FeatureNetwork
from trainer.metrics.pictures import BACKGROUND, resized
from trainer.rasterize import Rendering

ROUTE = "generator"
SIZE = 128  # pixels of the pictures that are compared
PREVIEW_STEPS = 25


@dataclass(frozen=True)
class GeneratorInversion:
    """How much is done.

    Attributes:
        style: the search for one style, at `SEARCH_SIZE`.
        blocks: the search for a style of each block, from there.
        planes: the last step.
    """

    style: StyleSearch = field(default_factory=StyleSearch)
    blocks: StyleSearch = field(default_factory=lambda: StyleSearch(steps=100, rate=0.04, noise=0.0))
    planes: PlaneTuning = field(default_factory=PlaneTuning)


def invert_by_generator(views: Sequence[PhotoView], pack: AvatarPack, head: HeadModel, progress: ProgressReport, *,
                        looks: Traits | None = None, features: FeatureNetwork | None = None,
                        settings: GeneratorInversion | None = None) -> InvertedPerson:
    """The person of the photographs as an avatar on the rows of a generator's pack.

    Args:
        views: of one person.
        pack: holds a generator.
        progress: is told what is being done; may raise, which ends it.
        looks: what is known about the person, another place to start from where the generator knows studio traits.
        features: the metrics' feature network of a dataset, whose embedding of identity then counts as well.

    Raises:
        InputError: there are no photographs.
        PackError: the pack holds no generator, or one for another head model.
        AssetError: the landmark model is missing.
    """
    if not views:
        raise InputError("there is no photograph to make an avatar of", "give one or more")
    settings = settings or GeneratorInversion()
    progress(InvertProgress("getting to know the generator", 0.0))
    generator = GeneratorSource(pack, head).generator()
    prior = style_prior(pack, generator)
    targets = targets_of(views, generator, SIZE)
    small = targets.reduced(SEARCH_SIZE)
    likeness, quick = Likeness(targets, features), Likeness(small)
    starts = [prior.mean, *prior.people[:CANDIDATES], *_known_style(pack, generator, looks)]
    start = most_alike(generator, starts, small, quick)
    style = search_style(generator, prior, start, small, quick, settings.style, _news(progress, "finding the person", 0.05, 0.35))
    count = len(generator.config.networks.resolutions)
    styles = search_style(generator, prior, style.expand(count, -1), targets, likeness, settings.blocks,
                          _news(progress, "refining the person", 0.35, 0.65))
    person, residual = person_of(generator, styles, targets)
    person = tune_planes(generator, person, residual, targets, likeness, settings.planes,
                         _news(progress, "painting what the photo shows", 0.65, 0.95))
    tags = ("photo",) if looks is None else ("photo", *tags_of(looks))
    sitter = Sitter(generator, person.w[0], targets.shape, person)
    identity = bind_sitter(pack, sitter, person_name(views[0]), None, tags).identity
    progress(InvertProgress("judging the likeness", 0.95))
    identity = with_rest(pack, identity)
    hung = photo_pack(pack, identity)
    psis = [view.fit.params.psi() for view in views]
    made = InvertedPerson(hung, identity, ROUTE, photo_score(hung, identity, views, psis, fit_head(views, head), head))
    progress(InvertProgress("done", 1.0))
    return made


def _known_style(pack: AvatarPack, generator: HeadGenerator, looks: Traits | None) -> list[torch.Tensor]:
    if looks is None or pack.manifest.generator.prior != "studio":
        return []
    return [style_of(generator, studio_z(looks)).clone()]


def _news(progress: ProgressReport, stage: str, first: float, last: float) -> Step:
    """Passes steps on as a part of the whole, with a picture now and then."""
    def step(done: int, total: int, drawn: Rendering) -> None:
        preview = _picture(drawn) if done % PREVIEW_STEPS == 0 or done == total else None
        progress(InvertProgress(stage, first + (last - first) * done / total, preview))

    return step


def _picture(drawn: Rendering) -> NDArray[np.uint8]:
    """The first photograph's rendering [SIZE, SIZE, 3] before grey."""
    rgb = resized(drawn.over(torch.tensor(BACKGROUND))[:1].detach().clamp(0, 1), SIZE)[0]
    return np.ascontiguousarray((rgb.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy())
