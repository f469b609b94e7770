"""Relief of a photographed person: a band with a closed form, silhouettes before and after, no holes from the sides, carving."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.render.cpu import CpuRenderer
from core.studio import build_identity, sample_traits
from core.types import Gaussians
from tests.trainer.studio_photos import studio_photo
from trainer.invert.looks_regions import head_sight, photo_regions
from trainer.invert.relief import carved, relief, rendered_surface
from trainer.invert.relief_field import FRONT_SHARE, shell_field

SIZE = 256
TURNED = np.radians(30)


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def traits(head):
    """Long hair, nothing else that stands off."""
    t = sample_traits(7, head)
    hair = replace(t.hair, style="long", fringe="none", ears_covered=True, length=1.1, volume=1.0)
    return replace(t, hair=hair, accessories=replace(t.accessories, glasses="none", earrings=False),
                   beard=replace(t.beard, style="none"))


@pytest.fixture(scope="module")
def bald(head, traits):
    return build_identity(replace(traits, hair=replace(traits.hair, style="bald")), head)


@pytest.fixture(scope="module")
def person(head, traits):
    return build_identity(traits, head)


@pytest.fixture(scope="module")
def photo(head, person):
    return studio_photo(head, person, np.radians(12), SIZE)


@pytest.fixture(scope="module")
def regions(head, photo):
    return photo_regions(photo, head_sight(photo, head))


@pytest.fixture(scope="module")
def shell(head, bald, photo, regions):
    surface = rendered_surface(bald.gaussians, photo.camera)
    return relief(photo, surface.covered, surface.depth, head, bald.rest_vertices, regions)


def coverage(cloud: Gaussians, camera) -> np.ndarray:
    return CpuRenderer(1).render(cloud, camera)[..., 3] / 255


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


# ---------------------------------------------------------------------- the field

def test_a_band_beside_a_plane_is_half_a_circle_around_its_continuation():
    size, width, pixel = 64, 20, 0.001
    held, inside = np.zeros((size, size), bool), np.zeros((size, size), bool)
    held[:, :10], inside[:, 10:10 + width] = True, True
    depth = np.where(held, 1.3, np.nan)
    field = shell_field(inside, held, depth, np.ones((size, size)), pixel, 1.2, deepest=1e3)
    # zero at the centres of the held column and of the first background column
    x = np.arange(1, width + 1)
    half = np.sqrt(x * (width + 1.0 - x)) * pixel
    np.testing.assert_allclose(field.middle[size // 2, 10:10 + width], 1.3, atol=1e-4)
    np.testing.assert_allclose(field.back[size // 2, 10:10 + width] - 1.3, half, atol=1e-4)
    np.testing.assert_allclose(1.3 - field.front[size // 2, 10:10 + width], FRONT_SHARE * half, atol=1e-4)


def test_what_continues_beyond_the_picture_is_not_rounded_there():
    held, inside = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    held[:10], inside[10:] = True, True
    field = shell_field(inside, held, np.where(held, 1.0, np.nan), np.ones((40, 40)), 0.001, 1.0, 1e3)
    half = (field.back - field.middle)[10:, 20]
    assert (np.diff(half) > -1e-9).all()


def test_the_middle_between_two_depths_runs_evenly_from_one_to_the_other():
    held, inside = np.zeros((30, 43), bool), np.zeros((30, 43), bool)
    held[:, :11], held[:, 32:], inside[:, 11:32] = True, True, True
    depth = np.where(np.arange(43) < 20, 1.0, 1.1) * np.ones((30, 1))
    field = shell_field(inside, held, depth, np.ones((30, 43)), 0.001, 1.0, 0.05)
    np.testing.assert_allclose(field.middle[15, 11:32], 1 + 0.1 * np.arange(1, 22) / 22, atol=1e-3)


# ---------------------------------------------------------------------- the shell

def test_the_shell_fills_the_silhouette(photo, bald, shell):
    person = photo.alpha > 0.5
    before = overlap(coverage(bald.gaussians, photo.camera) > 0.5, person)
    after = overlap(coverage(shell.joined(bald).gaussians, photo.camera) > 0.5, person)
    assert before < 0.75
    assert after > 0.96  # slivers of a cell or two stay open


def test_the_shell_shows_the_photograph(photo, bald, shell):
    open_ = (photo.alpha > 0.99) & (coverage(bald.gaussians, photo.camera) < 0.02)
    drawn = CpuRenderer(1).render(shell.joined(bald).gaussians, photo.camera, (0.5, 0.5, 0.5))[..., :3]
    error = np.abs(drawn[open_].astype(float) - photo.colors[open_])
    assert error.mean() < 12  # of 255: single strands are finer than the shell's cells


@pytest.mark.parametrize("yaw", [-TURNED, 0.0, TURNED])
def test_nothing_shines_through_from_the_sides(bald, shell, yaw):
    alpha = coverage(shell.joined(bald).gaussians, orbit_camera(yaw, 0.0, SIZE, SIZE))
    # inside is what stays after the soft border is taken away and gaps up to four pixels are closed
    solid = cv2.morphologyEx((alpha > 0.5).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    inside = cv2.erode(solid, np.ones((9, 9), np.uint8)) > 0
    assert (alpha[inside] < 0.95).mean() < 0.004


def test_the_shell_goes_on_where_the_rendering_ends(photo, bald, shell):
    """Where shell and bald head meet on the crown, no step opens: depths of neighbours differ by little."""
    surface = rendered_surface(shell.joined(bald).gaussians, photo.camera)
    bare = rendered_surface(bald.gaussians, photo.camera)
    border = (bare.covered > 0.9) & (cv2.dilate((bare.covered < 0.1).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    border &= (photo.alpha > 0.99) & (np.arange(SIZE)[:, None] < 0.3 * SIZE)
    step = np.abs(np.diff(np.where(surface.covered > 0.9, surface.depth, np.nan), axis=0, prepend=np.nan))
    assert np.nanmedian(step[border]) < 0.006  # metres from one pixel (2.5 mm) to the next on a surface that turns away


def test_the_head_s_shell_turns_with_the_head(head, photo, shell):
    turns = head.skin_weights[head.faces[shell.triangle], 0].mean(1) < 0.5
    high = shell.gaussians.xyz[:, 1] > -0.08
    assert turns[high].all()
    surprised = head.vertices(np.zeros(0), head.expression(browInnerUp=1.0, eyeBlink=1.0),
                              head.pose(jaw=head.jaw_open_angle))
    moved = np.linalg.norm(surprised - head.v_template, axis=1)[head.faces[shell.triangle[high]]]
    assert moved.max() < 0.001  # metres: no expression moves it
    for values in (shell.gaussians.xyz, shell.gaussians.scale, shell.gaussians.quat):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    np.testing.assert_allclose(np.linalg.norm(shell.gaussians.quat, axis=1), 1, atol=1e-5)


def test_a_person_who_lacks_nothing_gets_no_shell(head, person, photo, regions):
    surface = rendered_surface(person.gaussians, photo.camera)
    shell = relief(photo, surface.covered, surface.depth, head, person.rest_vertices, regions)
    assert len(shell) < 0.01 * len(person.gaussians)
    joined = shell.joined(person)
    assert len(joined.triangle) == len(joined.texel) == len(joined.rigid) == len(joined.gaussians)


# ---------------------------------------------------------------------- carving

def test_hair_that_sticks_out_is_carved_away(head, person, bald):
    """The photograph is of a bald head, the assembled person has long hair."""
    photo = studio_photo(head, bald, 0.0, SIZE)
    hair = np.ones(len(person.gaussians), bool)
    hair[np.flatnonzero(person.texel >= 0)] = False
    gain = carved(person.gaussians, hair, photo, photo.camera)
    assert (gain[~hair] == 1).all()
    assert gain.min() == 0
    trimmed = replace(person.gaussians, opacity=person.gaussians.opacity * gain)
    outside = cv2.dilate((photo.alpha > 0.5).astype(np.uint8), np.ones((13, 13), np.uint8)) == 0  # six pixels for soft tips
    assert (coverage(person.gaussians, photo.camera)[outside] > 0.5).sum() > 300
    assert (coverage(trimmed, photo.camera)[outside] > 0.5).sum() <= 5


def test_nothing_to_carve_from_one_s_own_photograph(person, photo):
    gain = carved(person.gaussians, person.texel < 0, photo, photo.camera)
    lost = person.gaussians.opacity * (1 - gain)
    assert lost.sum() < 0.02 * person.gaussians.opacity.sum()  # stray tips at the silhouette


def test_hair_before_bare_skin_goes_where_regions_tell(head, bald):
    photo = studio_photo(head, bald, 0.0, SIZE)
    regions = photo_regions(photo, head_sight(photo, head))
    strand = Gaussians(np.array([[0, -0.03, 0.06]], np.float32), np.full((1, 3), 0.002, np.float32),
                       np.array([[1, 0, 0, 0]], np.float32), np.zeros((1, 3), np.float32), np.ones(1, np.float32))
    movable = np.ones(1, bool)
    assert carved(strand, movable, photo, photo.camera)[0] > 0.99
    assert carved(strand, movable, photo, photo.camera, regions)[0] < 0.2
