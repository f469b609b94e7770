"""What goes into a file of Gaussians: axes, and skin that fades where it looks away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.avatar.cloud_file import read_cloud, turned
from core.avatar.model import Avatar
from core.errors import OutputError
from core.export.clouds import CloudOptions, check_file_output, cloud_of, write_cloud
from core.geometry import portrait_camera
from core.types import HeadParams
from tests.avatar.conftest import make_sample


@pytest.fixture
def somebody(generator) -> Avatar:
    """A person of a pack with soft facing."""
    sample = make_sample("relative")
    count = len(sample.identity)
    normal = generator.standard_normal((count, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    identity = replace(sample.identity, normal=normal.astype(np.float32), closed=np.ones(count, np.float32))
    return Avatar(replace(sample.pack, manifest=replace(sample.pack.manifest, facing="soft"), response=None), identity)


@pytest.fixture
def params(somebody) -> HeadParams:
    return HeadParams.neutral(somebody.psi_layout.expression)


def test_averted_skin_stays_unless_it_is_to_fade(somebody, params):
    kept = cloud_of(somebody, params, CloudOptions("ply", "head"))
    assert (kept.opacity == somebody.drive(params).opacity).all()
    faded = cloud_of(somebody, params, CloudOptions("ply", "head", averted="fade"))
    seen = somebody.seen_from(portrait_camera(512, 512), somebody.drive(params))
    assert (faded.opacity == seen.opacity).all()
    assert (faded.opacity < 0.5 * kept.opacity).mean() > 0.2


def test_what_has_faded_away_is_not_written(somebody, params, tmp_path):
    options = CloudOptions("ply", averted="fade")
    made = write_cloud(tmp_path / "a.ply", somebody, params, options)
    assert len(made) == len(read_cloud(tmp_path / "a.ply").cloud) < len(somebody.identity)
    assert made.opacity.min() >= 1 / 255


@pytest.mark.parametrize(("kind", "axes"), [("ply", "3dgs"), ("splat", "3dgs"), ("spz", "head")])
def test_each_format_has_the_axes_its_readers_expect(somebody, params, kind, axes):
    cloud = cloud_of(somebody, params, CloudOptions(kind))
    head = somebody.drive(params)
    assert CloudOptions(kind).file_axes == axes
    assert (cloud.xyz == (turned(head) if axes == "3dgs" else head).xyz).all()


def test_outputs_that_cannot_be(tmp_path):
    with pytest.raises(OutputError, match=r"must end in \.ply"):
        check_file_output(tmp_path / "a.txt", ".ply")
    with pytest.raises(OutputError, match="does not exist"):
        check_file_output(tmp_path / "no" / "a.ply", ".ply")
