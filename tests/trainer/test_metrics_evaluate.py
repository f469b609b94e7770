"""A whole evaluation of portraitists whose faults are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.errors import InputError
from tests.trainer.test_metrics_features import CONFIG
from tests.trainer.toy_portraits import LATENT, draw, toy_dataset
from trainer.evaluate import EvaluateOptions, EvaluationPlan, check_options, evaluate, write_evaluation
from trainer.metrics.feature_training import FeatureBudget, train_features
from trainer.metrics.features import FEATURES_NAME, save_features
from trainer.metrics.leak import LeakMaps
from trainer.metrics.reference import Reference
from trainer.metrics.report import Evaluation, Row
from trainer.metrics.rows import distribution_rows
from trainer.metrics.scores import Scores

PLAN = EvaluationPlan(pictures=300, known=100, people=5, leak=10, frames=8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("toy")
    dataset = toy_dataset(folder)
    save_features(folder / FEATURES_NAME, *train_features(dataset, FeatureBudget(pictures=9000), CONFIG))
    return dataset


class Perfect:
    """Draws what it is told."""

    latent_size = LATENT

    def pictures(self, latent, shape, psi, neck, world_to_camera, intrinsics, size, seed):
        return self.spoiled(draw(latent, shape, psi, world_to_camera, size), seed)

    def spoiled(self, rgba, seed):
        return rgba

    def leak(self, latent, shape, psi, neck, world_to_camera, intrinsics, size, seed):
        passed = np.zeros((len(psi), size, size), np.float32)
        passed[:, ::4] = 0.5
        return LeakMaps(passed, np.ones_like(passed, bool))

    def rate(self, latent, shape, psi, neck, size):
        return float(len(psi))


class Blurred(Perfect):
    def __init__(self, factor):
        self.factor = factor

    def spoiled(self, rgba, seed):
        x = torch.from_numpy(rgba).permute(0, 3, 1, 2).float()
        x = functional.interpolate(functional.avg_pool2d(x, self.factor), scale_factor=self.factor, mode="bilinear")
        return x.permute(0, 2, 3, 1).byte().numpy()


class Noisy(Perfect):
    def spoiled(self, rgba, seed):
        noise = np.random.default_rng(seed).normal(0, 25, rgba.shape)
        return np.clip(rgba + noise * (rgba[..., 3:] > 0), 0, rgba[..., 3:]).astype(np.uint8)


class Deaf(Perfect):
    """Draws the same face whatever the driving vector and the view say."""

    def pictures(self, latent, shape, psi, neck, world_to_camera, intrinsics, size, seed):
        front = np.repeat(world_to_camera[:1], len(psi), 0)
        return draw(latent, shape, np.zeros_like(psi), front, size)


class OneFace(Perfect):
    """Draws one person whoever is wanted."""

    def pictures(self, latent, shape, psi, neck, world_to_camera, intrinsics, size, seed):
        return draw(np.zeros_like(latent), np.zeros_like(shape), psi, world_to_camera, size)


def value(evaluation, name):
    return evaluation.row(name).value


def test_a_perfect_portraitist_is_at_the_floor(dataset):
    found = evaluate(Perfect(), dataset, PLAN)
    for name in ("FD-synth", "AED", "APD", "camera", "SWD 32"):
        row = found.row(name)
        assert row.value < 1.5 * row.floor + 0.1, row
        assert row.floor < 0.6 * row.ceiling, row
    assert value(found, "sharpness") == pytest.approx(1, abs=0.05)
    assert value(found, "PSNR") == pytest.approx(100)
    assert value(found, "SSIM") == pytest.approx(1)
    assert value(found, "identity AUC") == pytest.approx(found.row("identity AUC").floor, abs=1e-6)  # the very same pictures
    assert value(found, "skin leak") == pytest.approx(25)
    assert value(found, "pictures per second") == 8
    assert value(found, "swap ψ: expression") > 1.5 * value(found, "swap person: expression")
    assert value(found, "swap person: identity") > 1.5 * value(found, "swap ψ: identity")


def test_numbers_get_worse_with_the_pictures(dataset):
    plan = replace(PLAN, known=0, people=0, leak=0, frames=0)
    good = evaluate(Perfect(), dataset, plan)
    two, four = evaluate(Blurred(2), dataset, plan), evaluate(Blurred(4), dataset, plan)
    for name in ("FD-synth", "FD-random", "SWD 32"):
        assert value(good, name) < value(two, name) < value(four, name), name
    assert value(good, "sharpness") > value(two, "sharpness") > value(four, "sharpness")
    noisy = evaluate(Noisy(), dataset, plan)
    assert value(noisy, "SWD 32") > 3 * value(good, "SWD 32")
    assert value(noisy, "sharpness") > 1.1
    assert all(good.row(name) is None for name in ("skin leak", "PSNR", "identity AUC"))


def test_who_does_not_listen_is_found_out(dataset):
    plan = replace(PLAN, known=0, leak=0, frames=0)
    good, deaf, one = (evaluate(who, dataset, plan) for who in (Perfect(), Deaf(), OneFace()))
    for name in ("AED", "APD", "camera"):
        assert value(deaf, name) > 1.5 * value(good, name), name
    assert value(deaf, "swap ψ: expression") < 0.1 * value(good, "swap ψ: expression")
    assert value(one, "swap person: identity") < 0.1 * value(good, "swap person: identity")
    assert value(one, "identity AUC") < 0.7 < value(good, "identity AUC")
    assert value(one, "FD-synth") > 3 * value(good, "FD-synth") + 1


def test_unknown_latents_are_drawn_at_random(dataset):
    class Other(Perfect):
        latent_size = 9

        def pictures(self, latent, shape, psi, neck, world_to_camera, intrinsics, size, seed):
            assert latent.shape == (len(psi), 9)
            return draw(latent[:, :LATENT], shape, psi, world_to_camera, size)

    found = evaluate(Other(), dataset, replace(PLAN, pictures=100))
    assert found.row("PSNR") is None
    assert found.row("identity match") is None
    assert value(found, "identity AUC") > 0.7


def test_the_reference_is_made_once(dataset, monkeypatch):
    plan = replace(PLAN, pictures=120, known=0, people=0, leak=0, frames=0)
    first = evaluate(Perfect(), dataset, plan)
    monkeypatch.setattr("trainer.metrics.reference._made", lambda *a: pytest.fail("made again"))
    assert evaluate(Perfect(), dataset, plan) == first
    (dataset.folder / "reference-120.safetensors").write_bytes(b"damaged")
    with pytest.raises(pytest.fail.Exception):
        evaluate(Perfect(), dataset, plan)


def test_an_estimator_that_sees_nothing_says_so():
    keys = ("expression", "jaw", "pose", "camera")
    floor, ceiling = (Scores(1, 1, None, (1,), 1, **dict.fromkeys(keys, x)) for x in (0.95, 1.0))
    reference = Reference(500, None, replace(floor, jaw=0.5), ceiling)
    said = {row.name: "no gate" in row.meaning for row in distribution_rows(ceiling, reference, 64)}
    assert said["AED"]
    assert not said["AED-jaw"]


class FakeInception(torch.nn.Module):
    def forward(self, x, return_features: bool = False):
        assert return_features
        return x.float().mean(dim=[2, 3])


def test_fid_takes_a_network_of_the_user(dataset, tmp_path):
    path = tmp_path / "inception.pt"
    torch.jit.script(FakeInception()).save(str(path))
    plan = replace(PLAN, pictures=100, known=0, people=0, leak=0, frames=0)
    row = evaluate(Perfect(), dataset, plan, path).row("FID")
    assert row.value < row.ceiling
    assert evaluate(Perfect(), dataset, plan).row("FID") is None
    with pytest.raises(InputError, match="does not exist"):
        evaluate(Perfect(), dataset, plan, tmp_path / "nothing.pt")
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="TorchScript"):
        evaluate(Perfect(), dataset, plan, path)


def test_the_result_survives_json_and_reads_as_a_table(tmp_path):
    evaluation = Evaluation((Row("a", 1.5, None, 20.0, "lower", "of something"), Row("ψ", 0.012, 0.01, None, "one", "else")))
    path = tmp_path / "report.json"
    write_evaluation(path, evaluation)
    assert Evaluation.from_json(path.read_text("utf-8")) == evaluation
    assert json.loads(path.read_text("utf-8"))["rows"][0] == {"name": "a", "value": 1.5, "floor": None, "ceiling": 20.0,
                                                              "better": "lower", "meaning": "of something"}
    lines = evaluation.text().splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:5] == ["a", "1.50", "-", "20.00", "lower"]
    with pytest.raises(InputError):
        Evaluation.from_json('{"rows": [{"name": 1}]}')
    with pytest.raises(ValueError, match="nicer"):
        Row("a", 1, None, None, "nicer", "")


def test_options_are_checked_before_the_work(tmp_path):
    for wrong in (EvaluateOptions(), EvaluateOptions(run=tmp_path, pack=tmp_path), EvaluateOptions(run=tmp_path, n=3),
                  EvaluateOptions(run=tmp_path, json=tmp_path / "no" / "x.json")):
        with pytest.raises(InputError):
            check_options(wrong)
    check_options(EvaluateOptions(run=tmp_path, json=tmp_path / "x.json"))
