"""Photographs to an avatar on the rows of the studio's pack: a studio person, bent, painted and trimmed until it is theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from core.avatar.identity import Identity
from core.avatar.sources import load_studio_pack
from core.avatar.studio_binding import bind_studio_identity, check_head
from core.head.model import HeadModel
from core.render.cpu import CpuRenderer
from core.studio import StudioIdentity, TexelAtlas, Traits, build_identity
from core.studio.anatomy import Anatomy, anatomy_of
from core.studio.regions import hair_regions
from core.types import FloatArray
from trainer.invert.eye_paint import paint_eyes, paint_lashes
from trainer.invert.geometry import FittedHead, fit_head, view_weight
from trainer.invert.looks_regions import PhotoRegions, head_sight, photo_regions
from trainer.invert.pack import GREY, person_name, photo_pack, with_rest
from trainer.invert.person import InvertedPerson, InvertProgress, ProgressReport
from trainer.invert.refine import refined
from trainer.invert.relief import carved, relief, rendered_surface
from trainer.invert.score import photo_score
from trainer.invert.sight import PhotoSight, photo_sight
from trainer.invert.texture import SkinPaint, paint_skin, with_fine_face, without
from trainer.invert.view import PhotoView
from trainer.invert.worn import kinds_of, paint_close, paint_worn, posed_cloud, without_lonely

ROUTE = "studio"
PREVIEW_SIZE = 256
SCALP_SHARE = 1.5  # of the scalp's weight with which a texel counts as hair
SHELL_REACH = 0.008  # metres between points of a shell that hang together
CARVED = 0.3  # gain below which a strand is taken away
SKIN_AS_CLOTH = 0.7  # how far bare skin of the photograph may colour the studio's garment: a neckline is seldom the same
SURE_ALPHA = (0.45, 0.80)  # of the mask: what is fainter is fog of the background, from the second on it is the person


@dataclass(frozen=True)
class Sitter:
    """A photographed person as a studio person.

    Attributes:
        person: Gaussians on the resting head.
        fitted: the head.
        sights: the photographs with the head posed in them.
    """

    person: StudioIdentity
    fitted: FittedHead
    sights: tuple[PhotoSight, ...]


def invert_by_studio(views: Sequence[PhotoView], head: HeadModel, looks: Callable[[FloatArray], Traits],
                     progress: ProgressReport) -> InvertedPerson:
    """An avatar of the person in the photographs.

    Args:
        views: at least one.
        looks: the traits of the person for the shape of their head.
        progress: is told how far it is; may raise to end the work.

    Raises:
        PackError: the studio's pack was made for another head model.
    """
    sitter = sit(views, head, looks, progress)
    pack, identity = load_studio_pack(), identity_of(sitter, head)
    progress(InvertProgress("judging the likeness", 0.92, preview(sitter)))
    identity = with_rest(pack, identity)
    finished = photo_pack(pack, identity)
    ordered = [sight.view for sight in sitter.sights]
    psis = [remaining_psi(view, sitter.fitted) for view in ordered]
    return InvertedPerson(finished, identity, ROUTE, photo_score(finished, identity, ordered, psis, sitter.fitted, head))


def remaining_psi(view: PhotoView, fitted: FittedHead) -> FloatArray:
    """ψ [P] of a photograph's expression beyond what is the resting face's own."""
    psi = view.fit.params.psi()
    psi[:len(fitted.own)] -= fitted.own
    return psi


def sit(views: Sequence[PhotoView], head: HeadModel, looks: Callable[[FloatArray], Traits], progress: ProgressReport,
        refine: bool = True) -> Sitter:
    """The photographed person, built, painted and refined."""
    views = sorted((_sure(view) for view in views), key=view_weight, reverse=True)
    anatomy = anatomy_of(head)
    progress(InvertProgress("fitting the head", 0.02))
    fitted = fit_head(views, head)
    progress(InvertProgress("looking at hair and colours", 0.06))
    traits = looks(fitted.plain.shape)
    traits = replace(traits, shape=fitted.plain.shape, brows=replace(traits.brows, density=0.0))  # the photograph has brows
    progress(InvertProgress("building the head", 0.45))
    person = with_fine_face(build_identity(traits, head, "photo", fitted.shaped, whole_skin=True), anatomy)
    sights = tuple(photo_sight(view, head, posed.vertices) for view, posed in zip(views, fitted.posed, strict=True))
    regions = [photo_regions(view, head_sight(view, head, view.size)) for view in views]
    person = _carved(person, sights, regions, anatomy)
    progress(InvertProgress("painting the head", 0.55))
    person, paint = _painted(person, Sitter(person, fitted, sights), regions, anatomy, traits)
    sitter = Sitter(_with_shell(person, sights[0], regions[0], head, fitted), fitted, sights)
    if refine:
        progress(InvertProgress("comparing with the photograph", 0.65, preview(sitter)))
        sitter = replace(sitter, person=refined(sitter.person, sights, anatomy, paint, progress))
    return sitter


def identity_of(sitter: Sitter, head: HeadModel) -> Identity:
    """The person hung on the rows of the studio's pack.

    Raises:
        PackError: the pack was made for another head model.
    """
    pack, atlas = load_studio_pack(), TexelAtlas(head)
    check_head(pack, head, atlas)
    identity = bind_studio_identity(pack, head, atlas, sitter.person)
    view = sitter.sights[0].view
    return replace(identity, seed=None, name=person_name(view), tags=("photo", *identity.tags))


def preview(sitter: Sitter) -> NDArray[np.uint8]:
    """The person as the best photograph shows them, [S, S, 3]."""
    sight = sitter.sights[0]
    cloud = posed_cloud(sitter.person, sight)
    return np.ascontiguousarray(CpuRenderer(1).render(cloud, sight.view.fit.camera(PREVIEW_SIZE), (GREY,) * 3)[..., :3])


def _sure(view: PhotoView) -> PhotoView:
    low, high = SURE_ALPHA
    return replace(view, alpha=np.clip((view.alpha - low) / (high - low), 0, 1).astype(np.float32))


def _carved(person: StudioIdentity, sights: Sequence[PhotoSight], regions: Sequence[PhotoRegions],
            anatomy: Anatomy) -> StudioIdentity:
    """Without hair that sticks out of a photograph, or hangs before what is bare there."""
    kinds = kinds_of(person, anatomy)
    gain = np.ones(len(person.gaussians))
    for sight, region in zip(sights, regions, strict=True):
        cloud = posed_cloud(person, sight)
        outside, hiding = (carved(cloud, kinds.hair, sight.view, sight.camera, r) for r in (None, region))
        gain = np.minimum(gain, np.where(sight.before_surface(cloud.xyz), hiding, outside))
    person = without(person, gain < CARVED)
    return without_lonely(person, kinds_of(person, anatomy))


def _painted(person: StudioIdentity, sitter: Sitter, regions: Sequence[PhotoRegions], anatomy: Anatomy,
             traits: Traits) -> tuple[StudioIdentity, SkinPaint]:
    scalp = np.clip(SCALP_SHARE * hair_regions(anatomy, traits).scalp, 0, 1)
    kinds, sights = kinds_of(person, anatomy), sitter.sights
    person, paint = paint_skin(person, sitter.fitted, sights, anatomy, [region.hair for region in regions], scalp)
    person = paint_worn(person, sights, kinds, [(r.hair, r.cloth + SKIN_AS_CLOTH * r.skin) for r in regions])
    studio = person.gaussians.rgb
    person = paint_lashes(paint_close(person, anatomy, kinds, paint), studio, sights, anatomy)
    return paint_eyes(person, sights, anatomy, kinds.eye), paint


def _with_shell(person: StudioIdentity, sight: PhotoSight, regions: PhotoRegions, head: HeadModel,
                fitted: FittedHead) -> StudioIdentity:
    """With what the best photograph shows and the studio has nothing for."""
    surface = rendered_surface(posed_cloud(person, sight), sight.camera)
    shell = relief(sight.view, surface.covered, surface.depth, head, fitted.shaped.vertices, regions)
    whole = shell.joined(person)
    return without(whole, len(person.gaussians) + np.flatnonzero(_floating(shell.gaussians.xyz, person.gaussians.xyz)))


def _floating(shell: FloatArray, person: FloatArray) -> NDArray[np.bool_]:
    """[N] which points of a shell belong to a part that touches nothing of the person [M, 3]."""
    if len(shell) == 0:
        return np.zeros(0, bool)
    pairs = cKDTree(shell).query_pairs(SHELL_REACH, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(shell), len(shell)))
    part = connected_components(graph, directed=False)[1]
    touching = cKDTree(person).query(shell)[0] < SHELL_REACH
    return ~np.isin(part, part[touching])
