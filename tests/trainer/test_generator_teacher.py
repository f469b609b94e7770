"""A generator as teacher, its distillation into a pack, the gate of the regressor, and the comparison of both."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.avatar.generator_binding import bind_sitter
from core.avatar.generator_source import GeneratorSource
from core.avatar.manifest import PackManifest
from core.avatar.model import Avatar
from core.avatar.pack import read_pack, write_pack
from core.avatar.regressor import pose_features
from core.errors import InputError
from core.types import PsiLayout
from tests.avatar.generators import small_generator, table_of_shapes
from trainer.agora_m import ERROR_GAIN, compare, sheet
from trainer.distill_generator import GeneratorDistillSettings, distill_generator, distillation
from trainer.gated_regression import CoefficientSamples, fit_gated
from trainer.generator_teacher import BATCH, TRAINING_SEEDS, UNSEEN_SEEDS, GeneratorPrior, GeneratorTeacher
from trainer.regression import RegressionSettings

SMALL = GeneratorDistillSettings(components=(16, 10, 8, 6), people=8, faces=12, training_people=24, training_faces=6,
                                 unseen_people=3, unseen_faces=6, regression=RegressionSettings(epochs=4, validation=0.2))


@pytest.fixture(scope="module")
def teacher():
    return GeneratorTeacher(small_generator(), GeneratorPrior("studio"))


@pytest.fixture(scope="module")
def distilled():
    stages = []
    result = distillation(small_generator(), GeneratorPrior("studio", name="Small"), SMALL,
                          lambda stage, share: stages.append((stage, share)))
    assert {stage for stage, _ in stages} == {"faces", "more faces", "regressor", "check"}
    assert all(0 < share <= 1 for _, share in stages)
    return result


# ---------------------------------------------------------------- the teacher

def test_residuals_are_posed_minus_neutral(teacher):
    """Of the physical attributes, batch by batch as in one go."""
    person = teacher.person(TRAINING_SEEDS[0] + 3)
    psi = teacher.sample_psi(np.random.default_rng(0), BATCH + 3)
    xyz, rotation, scale, opacity = teacher.residuals(person, psi)
    seats = len(teacher.generator.surface)
    assert xyz.shape == rotation.shape == scale.shape == (len(psi), seats, 3)
    alone = teacher.residuals(person, psi[-1:])
    for together, one in zip((xyz, rotation, scale, opacity), alone, strict=True):
        np.testing.assert_allclose(together[-1:], one, atol=2e-5)  # convolutions of other batch sizes add in another order
    shown = opacity[-1, :, 0] - (person.posed(psi[-1:]).opacity - person.rest.opacity)[0]
    np.testing.assert_allclose(shown, 0, atol=2e-5)
    at_rest = teacher.residuals(person, np.zeros((1, psi.shape[1]), np.float32))
    assert max(np.abs(part).max() for part in at_rest) < 1e-4


def test_hair_seats_move_as_their_mesh_does(teacher):
    """Where no expression acts, the row says what the seat does, whatever the offset: 70 mm of hair are no part of it."""
    person = teacher.person(TRAINING_SEEDS[0])
    psi = teacher.sample_psi(np.random.default_rng(2), 3)
    still = teacher.generator.moves.numpy() == 0
    posed = person.posed(psi)
    np.testing.assert_allclose(teacher.residuals(person, psi)[0][:, still], (posed.seat - person.rest.seat)[:, still], atol=1e-5)


def test_training_and_judging_never_meet(teacher):
    assert TRAINING_SEEDS[1] <= UNSEEN_SEEDS[0]
    first, second = teacher.sample_identity(np.random.default_rng(0)), teacher.unseen_identity(np.random.default_rng(0))
    assert (first.shape != second.shape).any()


def test_priors_are_checked():
    with pytest.raises(InputError, match="no prior 'photo'"):
        GeneratorTeacher(small_generator(), GeneratorPrior("photo"))
    with pytest.raises(InputError, match="table of shapes"):
        GeneratorTeacher(small_generator(latent=6), GeneratorPrior("normal"))
    normal = GeneratorTeacher(small_generator(latent=6), GeneratorPrior("normal", table_of_shapes()))
    assert normal.latent(normal.sample_identity(np.random.default_rng(1))).shape == (normal.conventions.latent_size,)


def test_a_generator_that_has_diverged_is_refused():
    broken = small_generator()
    with torch.no_grad():
        next(broken.mapping.parameters())[0, 0] = 1e9
    with pytest.raises(InputError, match="half precision"):
        GeneratorTeacher(broken, GeneratorPrior("studio"))


# ---------------------------------------------------------------- the pack

def test_the_pack_drives_people_it_has_not_seen(distilled, tmp_path):
    """Not well after 240 faces of a network that was never trained, but better than not moving at all."""
    write_pack(tmp_path / "g.agora", distilled.pack)
    pack = read_pack(tmp_path / "g.agora")
    assert (pack.manifest.kind, pack.manifest.components, pack.manifest.name) == ("generator", (16, 10, 8, 6), "Small")
    source = GeneratorSource(pack, folder=tmp_path)
    teacher = GeneratorTeacher(small_generator(), GeneratorPrior("studio"))
    sitter = teacher.person(77)
    bound = bind_sitter(pack, sitter, "seed 77", 77)
    np.testing.assert_array_equal(source.build(77).gaussians.xyz, bound.identity.gaussians.xyz)  # half precision on both sides
    avatar = Avatar(pack, source.build(77))
    errors, motions = [], []
    for psi in teacher.sample_psi(np.random.default_rng(8), 8):
        wanted = sitter.posed(psi[None]).xyz[0][bound.seat]
        errors.append(np.linalg.norm(avatar.pose(avatar.coefficients(psi)).xyz - wanted, axis=1))
        motions.append(np.linalg.norm(avatar.identity.gaussians.xyz - wanted, axis=1))
    assert np.sqrt(np.square(errors).mean()) < 0.85 * np.sqrt(np.square(motions).mean())


def test_error_falls_with_the_size_of_the_basis(distilled):
    curve = distilled.curve
    for name in ("xyz", "rotation", "scale", "opacity"):
        assert (np.diff(curve.basis[name]) <= 1e-9).all()
        assert (np.array(curve.driven[name]) >= np.array(curve.basis[name]) - 1e-9).all()
    assert curve.basis["xyz"][-1] < 0.3
    assert curve.components[-1] == 16
    assert curve.basis_mm[0] / curve.basis["xyz"][0] == pytest.approx(curve.driven_mm[-1] / curve.driven["xyz"][-1])
    assert distilled.explained[0] > 0.95  # positions; six components of an untrained opacity explain less
    assert json.loads(json.dumps(distilled.as_json()))["components"] == [16, 10, 8, 6]


def test_the_same_seed_gives_the_same_pack():
    settings = replace(SMALL, people=2, faces=4, training_people=2, training_faces=3, unseen_people=1, unseen_faces=2)
    one, again = (distill_generator(small_generator(), GeneratorPrior("studio"), settings) for _ in range(2))
    for first, second in zip(one.basis, again.basis, strict=True):
        np.testing.assert_array_equal(first.planes, second.planes)
    for name, value in one.regressor.tensors().items():
        np.testing.assert_array_equal(value, again.regressor.tensors()[name])


def test_published_rules_and_generators_that_do_not_move():
    settings = replace(SMALL, people=2, faces=4, training_people=0, unseen_people=1, regression=RegressionSettings(epochs=0))
    paper = distill_generator(small_generator("paper", latent=6), GeneratorPrior("normal", table_of_shapes()), settings)
    assert (paper.manifest.rotation, paper.manifest.scale, paper.manifest.facing) == ("additive", "additive", "none")
    model = small_generator()
    for parameter in model.deformation.parameters():
        torch.nn.init.zeros_(parameter)
    mesh_only = distill_generator(model, GeneratorPrior("studio"), settings)
    assert mesh_only.manifest.components[3] == 0  # opacity
    assert mesh_only.manifest.rows < len(model.surface)


def test_the_comparison_shows_both_and_their_difference(distilled, tmp_path):
    source = GeneratorSource(distilled.pack, folder=tmp_path)
    psi = np.stack([np.zeros(58), source.generator().head.psi_layout.size * [0.1]]).astype(np.float32)
    compared = compare(source, ["7", "8+9@0.5"], psi, size=48)
    assert [(face.person, face.face) for face in compared.faces] == [("7", 0), ("7", 1), ("8+9@0.5", 0), ("8+9@0.5", 1)]
    rest, moved = compared.faces[:2]
    assert rest.psnr_db > 30
    assert 0 < rest.mean_mm < moved.max_mm
    page = sheet(compared, columns=2)
    assert page.shape == (2 * (3 * 48 + 8), 2 * 52, 3)
    np.testing.assert_array_equal(page[:48, :48], rest.full)
    np.testing.assert_array_equal(page[48:96, :48], rest.distilled)
    assert (page[96:144, :48, 0] > 0).sum() <= (rest.error * ERROR_GAIN > 0).sum()
    assert json.loads(json.dumps(compared.as_json()))["faces"][1]["person"] == "7"


# ---------------------------------------------------------------- the gate

LAYOUT = PsiLayout(expression=4, jaw=3, eyes=0)
CONVENTIONS = PackManifest("x", "generator", "none", "", LAYOUT, 5, 10, (2, 1, 0, 0),
                           features=("pose_matrices", "pose_by_latent", "jaw_by_expression"))


def samples(function, people: int = 20, faces: int = 25) -> CoefficientSamples:
    rng = np.random.default_rng(0)
    latent = np.repeat(rng.standard_normal((people, 5)), faces, 0).astype(np.float32)
    psi = rng.uniform(0, 0.6, (len(latent), LAYOUT.size)).astype(np.float32)
    first = function(latent, psi, pose_features(psi, LAYOUT)).astype(np.float32)
    return CoefficientSamples(latent, psi, np.repeat(np.arange(people), faces),
                              (first[:, :2], first[:, 2:], *[np.zeros((len(psi), 0), np.float32)] * 2))


def test_what_is_linear_is_left_to_the_ridge():
    """Products of the pose with the leading two numbers of the latent, exactly: nothing remains for a network to learn."""
    def formula(latent, psi, pose):
        return np.stack([psi[:, 0] + pose[:, 5] * latent[:, 1], pose[:, 7] * psi[:, 2], 3 * pose[:, 4] * latent[:, 0]], 1)

    given = samples(formula)
    regressor, report = fit_gated(given, CONVENTIONS, 2, RegressionSettings(epochs=2, validation=0.2))
    assert report.people == 16
    assert report.held_out == 4
    assert max(report.ridge) < 1e-3
    predicted = np.stack([regressor.for_identity(w)(psi) for w, psi in zip(given.latent[::29], given.psi[::29], strict=True)])
    np.testing.assert_allclose(predicted, np.concatenate(given.coefficients, 1)[::29], atol=2e-3)
    assert regressor.linear["pose_by_latent"].shape == (3, 9, 2)


def test_a_network_that_learns_people_by_heart_is_not_used():
    """What is random per person cannot be known of others: neither the network nor the ridge may pretend."""
    rng = np.random.default_rng(1)
    luck = rng.standard_normal((20, 3))

    def formula(latent, psi, pose):
        return luck[np.repeat(np.arange(20), 25)] * psi[:, :1]

    regressor, report = fit_gated(samples(formula), CONVENTIONS, 2, RegressionSettings(epochs=30, validation=0.3, batch=32))
    assert not any(report.network_is_used)
    assert not regressor.weights[0].any()
    assert max(report.ridge[:2]) < 1.1


def test_a_network_is_used_where_it_helps_strangers():
    def formula(latent, psi, pose):
        bend = np.square(psi[:, 0] - 0.3) + np.abs(psi[:, 1] - 0.3)
        return np.stack([bend, -bend, 2 * bend], 1)

    given = samples(formula)
    regressor, report = fit_gated(given, CONVENTIONS, 2, RegressionSettings(hidden=(32, 32), epochs=60, validation=0.2, batch=32))
    assert report.network_is_used == (True, True, False, False)
    assert max(report.network[:2]) < 0.7 * min(report.ridge[:2])
    held_out = regressor.for_identity(given.latent[0])(given.psi[:25])
    assert np.abs(held_out - np.concatenate(given.coefficients, 1)[:25]).mean() < 0.05


def test_a_driving_response_can_be_fitted_to_such_a_pack(distilled, monkeypatch, tmp_path):
    """With a reader that sees a mouth open as ψ opens it, in place of the landmarker, who does not know untrained faces."""
    from trainer import response

    class Reader:
        def __enter__(self):
            return self

        def __exit__(self, *exc_info):
            pass

        def rest_scores(self, avatar):
            return np.full(52, 0.05, np.float32)

        def scores(self, avatar, params):
            assert len(avatar.drive(params)) == len(avatar.identity)
            return np.full(52, 0.05 + 0.5 * abs(float(params.psi()[49])), np.float32)

    monkeypatch.setattr(response, "ScoreReader", Reader)
    source = GeneratorSource(distilled.pack, folder=tmp_path)
    fitted = response.fit_response(source, source.generator().head, range(900_000, 900_002),
                                   response.ResponseSettings(samples=8, epochs=1))
    write_pack(tmp_path / "r.agora", replace(distilled.pack, response=fitted))
    assert read_pack(tmp_path / "r.agora").response.psi_size == 58
