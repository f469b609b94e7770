"""A photographed studio person becomes an avatar: colours, lids, the side that is not seen, the pack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.avatar.identity import Identity
from core.avatar.pack import read_pack, write_pack
from core.avatar.sources import PackSource, load_studio_pack, open_source
from core.head.library import load_open_head
from core.run_folder import Request, RunFolder, RunState
from core.studio import pose_identity, sample_traits
from tests.trainer.photographed import Photographed, photographed
from trainer.invert.pack import GREY, photo_pack, renamed, seen, thumbnail_name, with_photographs
from trainer.invert.person import InvertedPerson, InvertProgress, PhotoScore
from trainer.invert.score import fitted_likeness, likeness, turned
from trainer.invert.studio_route import Sitter, identity_of, remaining_psi, sit
from trainer.invert.telling import Ended, InvertTelling
from trainer.invert.worn import footprints, kinds_of


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def photo(head) -> Photographed:
    return photographed(head, 5, 0.25)


def looks(photo: Photographed, head):
    """The right haircut and garment, on somebody else: another light, another skin."""
    other = sample_traits(11, head)
    return lambda shape: replace(photo.traits, shape=shape, skin=other.skin, light=other.light, makeup=other.makeup)


@pytest.fixture(scope="module")
def sitter(photo, head) -> Sitter:
    return sit([photo.view], head, looks(photo, head), lambda news: None)


@pytest.fixture(scope="module")
def identity(sitter, head) -> Identity:
    return identity_of(sitter, head)


def test_the_avatar_looks_like_the_photograph_in_its_view(sitter, identity, photo):
    """At 256², as the finished avatar draws it: at 26 dB and a similarity of 0.85 two pictures are taken for one."""
    similarity, db = fitted_likeness(load_studio_pack(), identity, sitter.sights[0].view,
                                     remaining_psi(photo.view, sitter.fitted))
    assert db >= 26
    assert similarity >= 0.85


def test_the_hidden_side_has_the_skin_of_the_seen_one(sitter, identity, photo, head):
    """From the other side, 35 degrees from what was seen, the picture stays near the truth: 17 dB is a face in the right colours
    whose hair is not strand by strand the same; the untouched stand-in has less."""
    camera = turned(photo.view.fit.camera(256), 0.6)
    from core.render.cpu import CpuRenderer
    truth = CpuRenderer(1).render(pose_identity(photo.person, photo.vertices), camera)
    alpha = truth[..., 3].astype(np.float32) / 255
    colors = np.where(alpha[..., None] > 0.05, truth[..., :3] / np.maximum(alpha[..., None], 0.05), 0).clip(0, 255)
    drawn = seen(load_studio_pack(), identity, camera, remaining_psi(photo.view, sitter.fitted))
    assert likeness(drawn, colors.astype(np.uint8), alpha)[1] > 17


def test_lids_close(sitter, head):
    """Of what is seen of the open eyes, less than 3 % shows through closed lids."""
    from core.geometry import orbit_camera
    from core.studio.anatomy import anatomy_of

    camera, eye = orbit_camera(0.0, 0.0, 192, 192), kinds_of(sitter.person, anatomy_of(head)).eye
    ones = np.ones((192, 192), np.float32)
    shown = []
    for blink in (0.0, 1.0):
        vertices = head.vertices(sitter.fitted.shaped, head.expression(eyeBlink=blink))
        cloud = pose_identity(sitter.person, vertices)
        shown.append(footprints(cloud, camera, ones[..., None], ones).weight[eye].sum())
    assert shown[1] < 0.03 * shown[0]


def test_footprints_are_the_blending_weights(head, photo):
    """Weights of all Gaussians add up to the coverage, and the mean of a picture of one colour is that colour."""
    camera = photo.view.fit.camera(64)
    cloud = pose_identity(photo.person, photo.vertices)
    picture = np.full((64, 64, 3), 0.25, np.float32)
    read = footprints(cloud, camera, picture, np.ones((64, 64), np.float32))
    from core.render.cpu import CpuRenderer
    alpha = CpuRenderer(1).render(cloud, camera)[..., 3].astype(np.float32) / 255
    assert read.weight.sum() == pytest.approx(alpha.sum(), rel=0.01)  # the renderer finishes pixels at 1/1024
    assert np.allclose(read.mean[read.weight > 1e-3], 0.25, atol=1e-4)


def test_pack_round_trip(identity, photo, tmp_path):
    """The pack opens as a source of one person, without the photograph unless that was asked for."""
    made = InvertedPerson(photo_pack(load_studio_pack(), identity), identity, "studio", PhotoScore(1, 1, 0, 1))
    made = renamed(made, "Ada L. / ß")
    write_pack(tmp_path / "a.agora", made.pack)
    source = open_source(tmp_path / "a.agora")
    assert isinstance(source, PackSource)
    assert source.pack.manifest.kind == "photo"
    assert source.build(0).name == "Ada L. / ß"
    assert set(source.pack.thumbnails) == {thumbnail_name("Ada L. / ß")}
    write_pack(tmp_path / "b.agora", with_photographs(made.pack, [photo.view]))
    assert "photo.png" in read_pack(tmp_path / "b.agora").thumbnails


def test_several_photographs_show_more(head):
    """What the second photograph shows is drawn better than by one photograph alone."""
    left, right = photographed(head, 5, 0.5), photographed(head, 5, -0.5)
    pack, scores = load_studio_pack(), []
    for views in ([left.view], [left.view, right.view]):
        made = sit(views, head, looks(left, head), lambda news: None, refine=False)
        psi = remaining_psi(right.view, made.fitted)
        scores.append(fitted_likeness(pack, identity_of(made, head), right.view, psi)[1])
    assert scores[1] > scores[0] + 1


# ---------------------------------------------------------------------- telling

def test_a_request_ends_the_work(tmp_path):
    telling = InvertTelling(tmp_path / "run", lambda *news: None)
    run = RunFolder(tmp_path / "run")

    def work():
        with telling.telling():
            telling(InvertProgress("fitting the head", 0.3, np.zeros((8, 8, 3), np.uint8)))
            run.request(Request.STOP)
            telling(InvertProgress("fitting the head", 0.4))

    with pytest.raises(Ended):
        work()
    assert run.status().state is RunState.STOPPED
    assert run.status().images == 30
    assert [path.name for path in run.samples()] == ["000000030.png"]


def test_the_report_has_no_numbers_that_are_not_known(tmp_path):
    telling = InvertTelling(tmp_path / "run", lambda *news: None)
    with telling.telling():
        telling.report("studio", PhotoScore(0.9, 27.0, float("nan"), 0.8), ("careful",))
    text = RunFolder(tmp_path / "run").report.read_text()
    assert '"landmark_error": null' in text
    assert RunFolder(tmp_path / "run").status().state is RunState.FINISHED


def test_grey_is_what_pictures_are_compared_before():
    """A person who is not there at all differs from grey by nothing."""
    picture = np.full((32, 32, 3), round(255 * GREY), np.uint8)
    assert likeness(picture, picture, np.ones((32, 32), np.float32))[1] > 50
