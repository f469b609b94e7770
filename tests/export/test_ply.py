"""PLY: what independent readers find in it, and that the picture is the avatar's."""

from __future__ import annotations

import gsply
import numpy as np
import pytest
from plyfile import PlyData

from core.avatar.cloud_file import turned
from core.avatar.sources import open_source
from core.export.ply import logit, ply_bytes
from tests.avatar.conftest import random_gaussians
from tests.export.people import as_shown, covariances, pictures, psnr, smiling


@pytest.fixture
def cloud(generator):
    return random_gaussians(generator, 500)


def test_plyfile_reads_the_same_numbers(cloud, tmp_path):
    (tmp_path / "a.ply").write_bytes(ply_bytes(cloud, "3dgs"))
    vertex = PlyData.read(tmp_path / "a.ply")["vertex"]
    assert [p.name for p in vertex.properties] == [
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2",
        "rot_0", "rot_1", "rot_2", "rot_3"]

    def columns(*names):
        return np.stack([vertex[name] for name in names], 1).astype(np.float64)

    assert (columns("x", "y", "z") == cloud.xyz).all()
    assert not columns("nx", "ny", "nz").any()
    # one rounding to float32 of a number below 10, seen through functions that hardly stretch it
    assert np.abs(0.5 + 0.28209479177387814 * columns("f_dc_0", "f_dc_1", "f_dc_2") - cloud.rgb).max() < 3e-7
    assert np.abs(np.exp(columns("scale_0", "scale_1", "scale_2")) / cloud.scale - 1).max() < 2e-6
    # opacities keep 1e-6 from 0 and 1
    assert np.abs(1 / (1 + np.exp(-columns("opacity")[:, 0])) - cloud.opacity).max() < 1.5e-6
    assert np.abs(columns("rot_0", "rot_1", "rot_2", "rot_3") - cloud.quat).max() < 1e-6


@pytest.mark.parametrize(("degree", "rest"), [(0, 0), (1, 3), (2, 8), (3, 15)])
def test_gsply_finds_the_degree_that_was_asked_for(cloud, tmp_path, degree, rest):
    (tmp_path / "a.ply").write_bytes(ply_bytes(cloud, "head", degree))
    read = gsply.plyread(str(tmp_path / "a.ply"))
    assert (read.means == cloud.xyz).all()
    assert np.abs(np.exp(read.scales) / cloud.scale - 1).max() < 2e-6
    assert np.abs(read.quats - cloud.quat).max() < 1e-6
    found = read.shN if read.shN is not None else np.zeros((500, 0, 3))
    assert found.shape[1] == rest
    assert not np.any(found)


def test_opacities_of_zero_and_one_stay_finite():
    assert np.isfinite(logit(np.array([0, 1e-9, 0.5, 1 - 1e-9, 1], np.float32))).all()


def test_turning_to_the_axes_of_3dgs_turns_positions_and_orientations(cloud):
    flip = np.diag([1.0, -1.0, -1.0])
    there = turned(cloud)
    assert (there.xyz == cloud.xyz @ flip.astype(np.float32)).all()
    assert np.abs(covariances(there) - flip @ covariances(cloud) @ flip).max() < 1e-12 + 1e-6 * covariances(cloud).max()
    assert np.abs(covariances(turned(there)) - covariances(cloud)).max() < 1e-6 * covariances(cloud).max()


@pytest.mark.parametrize("axes", ["3dgs", "head"])
def test_the_picture_of_the_file_is_the_avatars(tmp_path, axes):
    """Measured: 100 dB, that is equal pixels. The issue is the way through logarithms and logits and back."""
    cloud = smiling()
    (tmp_path / "a.ply").write_bytes(ply_bytes(turned(cloud) if axes == "3dgs" else cloud, axes))
    assert psnr(pictures(as_shown(open_source(tmp_path / "a.ply"))), pictures(cloud)) >= 70
