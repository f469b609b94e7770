"""Factors against the camera's own definition; the feature network on pictures whose factors are plain to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.geometry import orbit_camera, rotation_from_axis_angle
from core.types import PsiLayout
from tests.trainer.toy_portraits import LAYOUT, toy_dataset
from trainer.metrics.factors import GROUPS, Factors, Scaling, factors_from
from trainer.metrics.feature_training import (
    FeatureBudget,
    _pairs,
    column_weights,
    landmark_components,
    same_person_loss,
    train_features,
)
from trainer.metrics.features import FeatureConfig, load_features, save_features
from trainer.metrics.pictures import composited

CONFIG = FeatureConfig(size=32, channels=(16, 32, 48), residuals=(0, 0, 1), hidden=64, features=32, embedding=16)


def test_factors_know_the_camera_and_the_head():
    yaw, pitch = np.radians([0, 40, -90, 15]), np.radians([0, 10, -20, 30])
    cameras = np.stack([orbit_camera(y, p, 64, 64).world_to_camera for y, p in zip(yaw, pitch, strict=True)])
    psi = np.arange(4 * 58, dtype=np.float32).reshape(4, 58)
    zero = np.zeros((4, 3), np.float32)
    found = factors_from(np.zeros((4, 7)), np.zeros((4, 100)), psi, zero, cameras, PsiLayout(49))
    np.testing.assert_allclose(found.view, np.stack([yaw, pitch], 1), atol=1e-6)
    np.testing.assert_array_equal(found.jaw, psi[:, 49:52])
    np.testing.assert_array_equal(found.eyes, psi[:, 52:58])
    assert found.widths == (2, 3, 3, 49, 6, 20, 7)
    np.testing.assert_allclose(found.head[0], 0, atol=1e-6)
    assert np.degrees(np.linalg.norm(found.head[2])) == pytest.approx(np.degrees(np.arccos(0.5 * (np.trace(
        np.diag([1, -1, -1]) @ cameras[2, :3, :3]) - 1))), abs=0.01)
    # a neck that turns the head towards a camera at the side makes it face the lens
    turned = factors_from(np.zeros((1, 0)), np.zeros((1, 3)), psi[:1], np.array([[0, 0.7, 0]]),
                          orbit_camera(0.7, 0, 64, 64).world_to_camera[None], PsiLayout(49))
    np.testing.assert_allclose(turned.head, 0, atol=1e-6)
    assert rotation_from_axis_angle(found.head).shape == (4, 3, 3)


def test_a_table_comes_apart_again(generator):
    parts = [generator.standard_normal((5, width)).astype(np.float32) for width in (2, 3, 3, 4, 6, 5, 0)]
    factors = Factors(*parts)
    again = Factors.of_table(factors.table, factors.widths)
    for name in GROUPS:
        np.testing.assert_array_equal(getattr(again, name), getattr(factors, name))


def test_what_never_varies_counts_nothing(generator):
    table = generator.standard_normal((50, 20)).astype(np.float32)
    table[:, 3] = 7
    scaling = Scaling.of(table)
    normalized = scaling.normalized(table)
    assert (normalized[:, 3] == 0).all()
    np.testing.assert_allclose(scaling.restored(normalized), table, atol=1e-5)
    weights = column_weights((2, 3, 3, 3, 3, 3, 3), scaling)
    assert weights[3] == 0
    assert (weights[[0, 1, 2, 4, 5]] > 0).all()


def test_landmark_components_are_white(generator):
    marks = generator.standard_normal((300, 4)) @ generator.standard_normal((4, 30)) + 5
    found = landmark_components(marks.astype(np.float32))
    assert found.shape == (300, 4)
    np.testing.assert_allclose(np.cov(found, rowvar=False, ddof=0), np.eye(4), atol=1e-4)
    assert landmark_components(np.zeros((9, 0), np.float32)).shape == (9, 1)


def test_pairs_show_the_same_person_twice(generator):
    person = np.repeat([0, 1, 2, 3], [4, 1, 5, 2])[np.random.default_rng(1).permutation(12)]
    pairs = _pairs(person, generator)
    assert len(pairs) == 2 + 0 + 2 + 1
    assert (person[pairs[:, 0]] == person[pairs[:, 1]]).all()
    assert len(np.unique(pairs)) == pairs.size


def test_the_loss_of_identity_is_small_for_the_right_neighbour():
    first = torch.eye(8)
    assert same_person_loss(torch.cat([first, first])) < 1e-3
    assert same_person_loss(torch.cat([first, first.roll(1, 0)])) > 5
    assert same_person_loss(torch.ones(16, 4) / 2) == pytest.approx(np.log(8))


def test_a_network_learns_what_is_plain_to_see_and_survives_the_disk(tmp_path):
    torch.set_num_threads(1)
    dataset = toy_dataset(tmp_path / "toy", people=60)
    network, quality = train_features(dataset, FeatureBudget(pictures=9000), CONFIG)
    assert quality["view"] > 0.8, quality
    assert min(quality["latent"], quality["expression"]) > 0.5, quality
    samples = dataset.samples("test")
    pictures = composited(samples.rgba)
    looks = network.look(pictures)
    total = looks.features.astype(np.float64).var(0).sum()
    assert total == pytest.approx(100, rel=0.3)  # the gain is set on other people
    same = samples.person[:, None] == samples.person
    similar = looks.identity @ looks.identity.T
    off = ~np.eye(len(same), dtype=bool)
    assert similar[same & off].mean() > similar[~same].mean() + 0.3
    path = tmp_path / "features.safetensors"
    save_features(path, network, quality)
    again = load_features(path)
    assert again.config == network.config
    assert again.fingerprint == network.fingerprint
    np.testing.assert_array_equal(again.look(pictures).features, looks.features)
    assert looks.factors.expression.shape[1] == LAYOUT.expression
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError):
        load_features(path)
    with pytest.raises(InputError):
        load_features(tmp_path / "nothing.safetensors")
