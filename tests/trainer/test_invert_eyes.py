"""Eyes, lids and the order of the skin of a photographed studio person, whom we know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.avatar.model import Avatar
from core.avatar.sources import load_studio_pack
from core.avatar.thinning import thinned
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.head.mesh import project, rasterize_mesh
from core.render.cpu import CpuRenderer
from core.studio import pose_identity, sample_traits
from core.studio.anatomy import anatomy_of
from core.types import HeadParams
from tests.trainer.photographed import Photographed, photographed
from trainer.invert.eye_paint import LIGHTEST_IRIS, LUMA, eye_tones, paint_eyes
from trainer.invert.geometry import LID_SHARES, OWN_NARROWEST, own_expression
from trainer.invert.pack import GREY
from trainer.invert.sight import eye_masks
from trainer.invert.studio_route import Sitter, identity_of, sit
from trainer.invert.texture import _laplacian, _other_side
from trainer.invert.worn import kinds_of


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def photo(head) -> Photographed:
    return photographed(head, 5, 0.1)


@pytest.fixture(scope="module")
def sitter(photo, head) -> Sitter:
    """On somebody else: another light, another skin, other eyes."""
    other = sample_traits(11, head)
    eyes = replace(photo.traits.eyes, iris=other.eyes.iris)
    stand_in = replace(photo.traits, skin=other.skin, light=other.light, makeup=other.makeup, eyes=eyes)
    return sit([photo.view], head, lambda shape: replace(stand_in, shape=shape), lambda news: None, refine=False)


def drawn(cloud, camera) -> np.ndarray:
    """[S, S, 3] 0..1 before grey."""
    return CpuRenderer(1).render(cloud, camera, (GREY,) * 3)[..., :3].astype(np.float32) / 255


def test_thinned_skin_stays_closed(sitter, head):
    """Slow machines draw every fourth Gaussian, enlarged. On forehead and cheeks no pixel in 500 may then differ by more than a
    tenth: hair behind the skin is much darker than that."""
    identity, camera = identity_of(sitter, head), orbit_camera(0.0, 0.0, 192, 192)
    rest = HeadParams.neutral(head.expression_count)
    pictures = []
    for share in (1, 4):
        avatar = Avatar(load_studio_pack(), thinned(identity, share))
        pictures.append(drawn(avatar.seen_from(camera, avatar.drive(rest, rest.head_translation)), camera))
    at = project(camera, sitter.fitted.shaped.vertices)
    triangle = rasterize_mesh(at, head.faces, 192, 192).triangle
    height, side = (head.v_template[head.faces[np.maximum(triangle, 0)], axis].mean(2) for axis in (1, 0))
    plain = (triangle >= 0) & np.isin(triangle, head.face_indices_of("skin")) & (np.abs(side) < 0.045)
    plain &= ((height > 0.020) & (height < 0.040)) | ((height > -0.045) & (height < -0.020) & (np.abs(side) > 0.025))
    difference = np.abs(pictures[1] - pictures[0]).max(2)[plain]
    assert len(difference) > 800
    assert (difference > 0.1).mean() < 0.002


def test_the_quarters_of_a_texel_follow_one_another(sitter):
    fine = sitter.person.texel[:4 * (len(sitter.person.texel) // 8)]
    quarters = fine[fine >= 0][:40_000].reshape(-1, 4)
    assert (quarters == quarters[:, :1]).all()


def test_eyes_are_as_light_as_in_the_photograph(sitter, photo):
    """Over the openings, in the photograph's own view: within a tenth of the mean brightness, for eyes as they are and for the
    same eyes in deep shade."""
    cloud = pose_identity(sitter.person, sitter.sights[0].vertices)
    opening = np.logical_or(*eye_masks(photo.view))
    made = drawn(cloud, photo.view.camera)[opening] @ LUMA
    assert made.mean() == pytest.approx(float((photo.view.colors[opening] / 255 @ LUMA).mean()), abs=0.10)


def test_shaded_eyes_become_shaded(sitter, head):
    sight, anatomy = sitter.sights[0], anatomy_of(head)
    eye = kinds_of(sitter.person, anatomy).eye
    opening = np.logical_or(*eye_masks(sight.view))[..., None]
    dark = replace(sight, picture=np.where(opening, 0.4 * sight.picture, sight.picture).astype(np.float32))
    made = paint_eyes(sitter.person, [dark], anatomy, eye)
    before, after = (p.gaussians.rgb[eye].mean() for p in (sitter.person, made))
    assert after == pytest.approx(0.4 * before, rel=0.15)  # dark colours are compared with a little added


def test_eyes_of_stone_can_look(sitter, head):
    """Where white and iris are of one colour, the iris is darkened: a look must be seen."""
    sight, anatomy = sitter.sights[0], anatomy_of(head)
    eye = kinds_of(sitter.person, anatomy).eye
    opening = np.logical_or(*eye_masks(sight.view))[..., None]
    stone = replace(sight, picture=np.where(opening, np.array([0.6, 0.4, 0.3]), sight.picture).astype(np.float32))
    tones = eye_tones(stone)
    assert np.allclose(tones.white, [0.6, 0.4, 0.3], atol=1e-3)
    assert np.allclose(tones.iris, tones.white, atol=1e-3)
    made = paint_eyes(sitter.person, [stone], anatomy, eye)
    light = drawn(pose_identity(made, sight.vertices), sight.camera)[opening[..., 0]] @ LUMA
    low, high = np.percentile(light, (25, 90))
    assert low < (LIGHTEST_IRIS + 0.1) * high


def test_closed_lids_have_the_tone_of_the_person(sitter, photo, head):
    """Against the same studio person with closed eyes, whom no photograph shows: less than the studio's shade there."""
    camera = orbit_camera(0.0, 0.0, 192, 192)
    blink = head.expression(eyeBlink=1.0)
    truth = drawn(pose_identity(photo.person, head.vertices(photo.traits.shape, blink), blink), camera)
    made = drawn(pose_identity(sitter.person, head.vertices(sitter.fitted.shaped, blink)), camera)
    at = project(camera, head.vertices(photo.traits.shape, blink))
    zone = np.zeros((192, 192), bool)
    for part in ("eye_l", "eye_r"):
        x, y = at[head.vertices_of(part), :2].mean(0).astype(int)
        zone[y - 4:y + 2, x - 5:x + 6] = True
    assert np.abs(made[zone].mean(0) - truth[zone].mean(0)).max() < 0.07


def test_narrow_eyes_can_still_blink(head):
    """Both eyes rest alike, as open as a blink needs and no farther; what is slight stays as it is."""
    names = head.expression_names
    lids = [names.index(name + side) for side in ("Left", "Right") for name in ("eyeBlink", "eyeSquint")]
    narrow = photographed(head, 5, eyeBlinkLeft=0.4, eyeSquintLeft=0.4, eyeSquintRight=0.3).view
    left, right = own_expression([narrow], head)[lids].reshape(2, 2)
    assert np.allclose(left, right)
    assert float(left @ LID_SHARES[:2]) == pytest.approx(OWN_NARROWEST, rel=1e-4)
    slight = photographed(head, 5, eyeSquint=0.2).view
    assert np.allclose(own_expression([slight], head)[lids], [0, 0.2, 0, 0.2], atol=1e-5)


def test_the_other_side_goes_on_smoothly(head):
    """A speckled mask of a hat on the side that is seen gives no speckles on the other one, whose skin is skin."""
    anatomy, rng = anatomy_of(head), np.random.default_rng(0)
    rest = anatomy.texels.rest
    belief = (rest[:, 0] > 0).astype(np.float64)
    hat = np.where(rng.random(len(rest)) < 0.1, 0.0, 1.0) * (rest[:, 1] > 0.03)
    other = _other_side(anatomy, _laplacian(rest), belief, belief * (1 - hat), hat)
    hidden = rest[:, 0] < -0.02
    assert other.hat[hidden & (rest[:, 1] > 0.045)].mean() > 0.8
    assert other.hat[hidden & (rest[:, 1] < 0.02)].max() < 0.05
    assert (other.skin + other.hat <= other.known + 1e-9).all()
    above = hidden & (rest[:, 1] > 0.045)
    assert other.hat[above].std() < 0.5 * hat[rest[:, 1] > 0.045].std()
