"""Photo to avatar through a generator, on a tiny untrained one whose own people are the photographs: the truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.avatar.generator_binding import Sitter, bind_sitter
from core.avatar.generator_network import build_generator, style_of
from core.avatar.generator_source import studio_z
from core.avatar.model import Avatar
from core.avatar.pack import read_pack, write_pack
from core.avatar.sources import open_source
from core.errors import InputError
from core.geometry import axis_angle_from_rotation, orbit_camera
from core.head.embedding import load_landmark_embedding
from core.head.library import load_open_head
from core.head.mesh import project
from core.networks.head_surface import head_surface
from core.render.cpu import CpuRenderer
from core.studio import sample_traits
from core.types import HeadParams
from tests.avatar.generators import exact_pack, small_generator
from trainer.data.portrait_fit import Framing, PortraitFit
from trainer.invert.generator_likeness import Likeness
from trainer.invert.generator_planes import PlaneTuning, TexelRelations, seen_texels, tune_planes
from trainer.invert.generator_route import GeneratorInversion, invert_by_generator
from trainer.invert.generator_styles import StylePrior, StyleSearch, most_alike, person_of, search_style, style_prior
from trainer.invert.generator_target import draw, draw_style, targets_of
from trainer.invert.view import PhotoView
from trainer.metrics.features import FeatureConfig, FeatureNetwork

HEAD = load_open_head()
SIZE, SMALL = 128, 32
REST = np.zeros(HEAD.psi_layout.size, np.float32)
SEED = 77
TO_VIEWER = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pack():
    return exact_pack(small_generator())


@pytest.fixture(scope="module")
def generator(pack):
    return build_generator(pack.manifest, pack.generator, HEAD)


@pytest.fixture(scope="module")
def prior(pack, generator):
    return style_prior(pack, generator, 48)


@pytest.fixture(scope="module")
def truth(generator):
    traits = sample_traits(SEED, HEAD)
    return Sitter(generator, style_of(generator, studio_z(traits)).clone(), traits.shape[:40])


def photo_of(pack, sitter: Sitter, yaw: float = 0.0, psi: np.ndarray = REST) -> PhotoView:
    """A generator's person as a photograph that was fitted without any error."""
    camera = orbit_camera(math.radians(yaw), 0.0, SIZE, SIZE)
    bound = bind_sitter(pack, sitter, "somebody", None)
    posed = sitter.posed(psi[None])
    cloud = replace(bound.identity.gaussians, **{name: getattr(posed, name)[0][bound.seat]
                                                 for name in ("xyz", "scale", "quat", "rgb", "opacity")})
    rgba = CpuRenderer(1).render(Avatar(pack, bound.identity).seen_from(camera, cloud), camera).astype(np.float32)
    alpha = rgba[..., 3] / 255
    colors = (rgba[..., :3] / np.maximum(alpha, 1 / 255)[..., None]).clip(0, 255).astype(np.uint8)
    points = load_landmark_embedding(HEAD).points(HEAD.driven(HEAD.neutral(sitter.shape), psi))
    landmarks = np.zeros((478, 2), np.float32)
    landmarks[:len(points)] = project(camera, points)[:, :2]
    stands = camera.world_to_camera.astype(float)
    params = replace(HeadParams.neutral(HEAD.expression_count).with_psi(psi), shape=sitter.shape,
                     head_rotation=axis_angle_from_rotation(TO_VIEWER @ stands[:3, :3]).astype(np.float32),
                     head_translation=(TO_VIEWER @ stands[:3, 3]).astype(np.float32))
    fit = PortraitFit(params, Framing(np.full(2, SIZE / 2), float(SIZE)), 0.01)
    return PhotoView("somebody.jpg", colors, alpha, colors, landmarks, fit)


def decibels(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


def over_grey(targets) -> torch.Tensor:
    return targets.color + (1 - targets.alpha) * 0.5


# ---------------------------------------------------------------- styles

def test_equal_styles_of_all_blocks_are_one_style(generator, truth):
    """The generator's answer to [B, W] is what it was, to the last bit, and W+ with equal rows is the same."""
    shape_map = generator.shape_maps(truth.shape[None])
    count = len(generator.config.networks.resolutions)
    one = generator.people_of(truth.w[None], shape_map)
    many = generator.people_of(truth.w.expand(1, count, -1), shape_map)
    assert torch.equal(one.planes, many.planes)
    assert torch.equal(one.tap.features, many.tap.features)
    torch.testing.assert_close(many.w, one.w)
    other = truth.w.expand(1, count, -1).clone()
    other[0, -1] += 1  # the last block alone: what the tap took off before is untouched
    moved = generator.people_of(other, shape_map)
    assert torch.equal(moved.tap.features, one.tap.features)
    assert not torch.equal(moved.planes, one.planes)


def test_places_of_the_prior_s_people_are_standard_normal():
    people = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.tensor([3., 1, 1, 1, .5, 1e-4]))
    prior = StylePrior.of(people + 2)
    assert prior.axes.shape == (6, 5)  # nobody differs in the last direction
    place = prior.place(prior.people)
    torch.testing.assert_close(torch.cov(place.T), torch.eye(5), atol=1e-4, rtol=0)  # float32 sums of 500
    torch.testing.assert_close(prior.style(place)[:, :5], prior.people[:, :5], atol=1e-3, rtol=0)


def test_the_camera_of_a_target_is_the_photograph_s(pack, generator, truth):
    """A drawing of the true style is the photograph, up to the rounding of its bytes, from the side and with an expression."""
    psi = REST.copy()
    psi[:5], psi[HEAD.expression_count] = 0.4, 0.15
    targets = targets_of([photo_of(pack, truth, -25, psi), photo_of(pack, truth, 10)], generator, SIZE)
    with torch.no_grad():
        _, _, drawn = draw_style(generator, truth.w[None], targets)
    assert decibels(drawn.over(torch.tensor(0.5)), over_grey(targets)) > 45  # bytes alone allow about 50
    half = targets.reduced(SIZE // 2)
    with torch.no_grad():
        _, _, drawn = draw_style(generator, truth.w[None], half)
    assert decibels(drawn.over(torch.tensor(0.5)), over_grey(half)) > 30  # pixels are points when drawn, means when reduced


def test_a_person_of_the_generator_is_found_again(pack, generator, prior, truth):
    targets = targets_of([photo_of(pack, truth, 15)], generator, SIZE).reduced(SMALL)
    likeness = Likeness(targets)
    start = most_alike(generator, [prior.mean, *prior.people[:16]], targets, likeness)
    found = search_style(generator, prior, start, targets, likeness, StyleSearch(steps=60))

    def error(style):
        return float((prior.place(style) - prior.place(truth.w)).norm())

    assert error(found) < 0.5 * error(prior.mean)
    with torch.no_grad():
        at_first, at_last = (decibels(draw_style(generator, style[None], targets)[2].over(torch.tensor(0.5)), over_grey(targets))
                             for style in (prior.mean, found))
    assert at_last > at_first + 8


def test_the_most_alike_of_some_people_is_the_person(pack, generator, prior, truth):
    targets = targets_of([photo_of(pack, truth)], generator, SIZE).reduced(SMALL)
    among = [prior.mean, *prior.people[:6], truth.w, *prior.people[6:12]]
    assert torch.equal(most_alike(generator, among, targets, Likeness(targets)), truth.w)


def test_the_prior_holds_the_style_and_blocks_together(pack, generator, prior, truth):
    targets = targets_of([photo_of(pack, truth)], generator, SIZE).reduced(SMALL)
    likeness, count = Likeness(targets), len(generator.config.networks.resolutions)
    free, held = (search_style(generator, prior, prior.mean, targets, likeness, StyleSearch(steps=12, noise=0, prior=weight))
                  for weight in (0.0, 10.0))
    assert prior.place(held).norm() < 0.2 * prior.place(free).norm()
    apart, together = (search_style(generator, prior, prior.mean.expand(count, -1), targets, likeness,
                                    StyleSearch(steps=12, noise=0, spread=weight)) for weight in (0.0, 10.0))
    assert together.shape == apart.shape == (count, len(prior.mean))
    assert (together - together.mean(0)).norm() < 0.3 * (apart - apart.mean(0)).norm()


def test_likeness_is_best_at_the_photograph_and_feels_the_feature_network(pack, generator, prior, truth):
    targets = targets_of([photo_of(pack, truth)], generator, SIZE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = FeatureConfig(size=16, channels=(4, 4, 4), hidden=8, features=8, embedding=4, widths=(1,) * 7)
        network = FeatureNetwork(config).eval()
    grey = torch.full((1, 3, 1, 1), 0.3)
    with torch.no_grad():
        own, other = (draw_style(generator, w[None], targets)[2] for w in (truth.w, prior.mean))
    plain, seen = Likeness(targets), Likeness(targets, network.requires_grad_(False))
    assert float(plain(own, grey)) < 0.02 < float(plain(other, grey))
    assert abs(float(seen(own, grey)) - float(plain(own, grey))) < 1e-3
    assert float(seen(other, grey)) > float(plain(other, grey))
    style = prior.mean[None].clone().requires_grad_()
    (seen(draw_style(generator, style, targets)[2], grey) - plain(draw_style(generator, style, targets)[2], grey)).backward()
    assert float(style.grad.abs().max()) > 0


# ---------------------------------------------------------------- planes

FREE = PlaneTuning(steps=60, mirror=0.0, color_smoothness=0.0, hidden_smoothness=0.0, smoothness=0.0)


def test_texels_know_their_mirror_images(generator):
    surface = head_surface(HEAD, 32)
    relations = TexelRelations.of(surface)
    texel = surface.row * 32 + surface.column
    seat_of = np.full(32 * 32, -1)
    seat_of[texel] = np.arange(len(surface))
    twin = seat_of[relations.mirror.numpy().reshape(-1)[texel]]
    assert (twin >= 0).all()
    away = np.linalg.norm(surface.template[twin] * (-1, 1, 1) - surface.template, axis=1)
    assert np.median(away) < 0.006  # a texel of 32² is 8 to 10 mm wide
    left, right = (surface.of_part(name) for name in ("eye_l", "eye_r"))
    assert right[twin[left]].all()
    assert left[twin[right]].all()
    teeth = surface.of_part("teeth_l")  # lower, not left
    assert teeth[twin[teeth]].all()


def test_tuning_paints_what_is_seen_and_leaves_the_rest(pack, generator, prior, truth):
    """The photograph shows somebody else: the front becomes like it, the back of the head stays as the generator made it."""
    targets = targets_of([photo_of(pack, truth)], generator, SIZE).reduced(64)
    likeness = Likeness(targets)
    person, residual = person_of(generator, prior.mean, targets)
    tuned = tune_planes(generator, person, residual, targets, likeness, FREE)
    relations = TexelRelations.of(head_surface(HEAD, 32))
    seen = seen_texels(generator, person, residual, targets, relations)
    change = (tuned.planes - person.planes).abs().amax(1)[0]
    surface = head_surface(HEAD, 32)
    behind = surface.template[:, 2] < -0.12  # the back of the skull, behind ears and all
    back = torch.from_numpy(surface.picture(behind[:, None].astype(np.float32))[0]) > 0
    back &= seen == 0  # but for hair that sticks out; some more of it shows when what covers it moves
    assert back.sum() > 20
    assert (seen > 0.5).sum() > 100
    assert change[back].quantile(0.9) < 2e-3 < 0.1 < change[seen > 0.5].median()
    assert torch.equal(tuned.w, person.w)
    assert torch.equal(tuned.tap.features, person.tap.features)
    with torch.no_grad():
        pictures = [draw(generator, planes, residual, targets).over(torch.tensor(0.5)) for planes in (person, tuned)]
    before, after = (decibels(picture, over_grey(targets)) for picture in pictures)
    assert after > before + 5


def test_the_unseen_half_follows_its_mirror_image(pack, generator, prior, truth):
    targets = targets_of([photo_of(pack, truth, 40)], generator, SIZE).reduced(64)
    likeness = Likeness(targets)
    person, residual = person_of(generator, prior.mean, targets)
    relations = TexelRelations.of(head_surface(HEAD, 32))
    seen = seen_texels(generator, person, residual, targets, relations)
    twin_seen = seen.flatten()[relations.mirror]
    lonely = relations.used & (seen < 0.05) & (twin_seen > 0.6)
    assert lonely.sum() > 10
    color = generator.config.networks.color

    def apart(mirror: float) -> float:
        tuned = tune_planes(generator, person, residual, targets, likeness, PlaneTuning(steps=60, mirror=mirror))
        change = (tuned.planes - person.planes)[0, color]
        twin = change.flatten(1)[:, relations.mirror.flatten()].view_as(change)
        return float((change - twin)[:, lonely].abs().mean() / twin[:, lonely].abs().mean())

    assert apart(1.0) < 0.35 < 0.6 < apart(0.0)


def test_a_second_photograph_improves_the_side_it_shows(pack, generator, prior, truth):
    front, side = photo_of(pack, truth), photo_of(pack, truth, 45)
    judged = targets_of([side], generator, SIZE).reduced(64)

    def from_photos(views) -> float:
        targets = targets_of(views, generator, SIZE).reduced(64)
        person, residual = person_of(generator, prior.mean, targets)
        tuned = tune_planes(generator, person, residual, targets, Likeness(targets), PlaneTuning(steps=40))
        with torch.no_grad():
            return decibels(draw(generator, tuned, residual[-1:], judged).over(torch.tensor(0.5)), over_grey(judged))

    assert from_photos([front, side]) > from_photos([front]) + 2


# ---------------------------------------------------------------- the whole way

QUICK = GeneratorInversion(StyleSearch(steps=4), StyleSearch(steps=3, noise=0), PlaneTuning(steps=6))


def test_the_result_is_a_pack_that_drives(pack, truth, tmp_path):
    news = []
    made = invert_by_generator([photo_of(pack, truth)], pack, HEAD, news.append, looks=sample_traits(SEED, HEAD), settings=QUICK)
    assert [step.done for step in news] == sorted(step.done for step in news)
    assert news[0].done == 0
    assert news[-1].done == 1
    previews = [step.preview for step in news if step.preview is not None]
    assert previews
    assert all(picture.dtype == np.uint8 and picture.shape == (SIZE, SIZE, 3) for picture in previews)
    assert made.route == "generator"
    assert made.pack.manifest.kind == "photo"
    assert 0 < made.scores.ssim <= 1
    assert 5 < made.scores.psnr < 100
    path = tmp_path / "somebody.agora"
    write_pack(path, made.pack)
    back = read_pack(path)
    assert back.generator is None
    assert back.manifest.generator is None
    source = open_source(path)
    person = source.build(0)
    assert person.name == made.identity.name == "somebody"
    avatar = Avatar(back, person)
    still, moved = (avatar.drive(HeadParams.neutral(HEAD.expression_count).with_psi(psi)) for psi in (REST, REST + 0.2))
    assert np.isfinite(moved.xyz).all()
    assert moved.xyz.shape == still.xyz.shape


def test_it_ends_where_the_progress_says_so(pack, truth):
    class Enough(Exception):
        pass

    def stop(news):
        if news.done > 0.5:
            raise Enough

    with pytest.raises(Enough):
        invert_by_generator([photo_of(pack, truth)], pack, HEAD, stop, settings=QUICK)


def test_no_photograph_is_refused(pack):
    with pytest.raises(InputError, match="no photograph"):
        invert_by_generator([], pack, HEAD, lambda news: None)
