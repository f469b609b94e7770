"""Files of 32-byte records, read with nothing but `struct`."""

from __future__ import annotations

import struct

import numpy as np

from core.avatar.cloud_file import turned
from core.avatar.sources import open_source
from core.export.splat import importance_order, splat_bytes
from tests.avatar.conftest import random_gaussians
from tests.export.people import as_shown, pictures, psnr, smiling


def test_records_hold_the_numbers_as_well_as_bytes_can(generator):
    cloud = random_gaussians(generator, 300)
    content = splat_bytes(cloud)
    assert len(content) == 300 * 32
    records = [struct.unpack("<6f8B", content[i:i + 32]) for i in range(0, len(content), 32)]
    order = importance_order(cloud)
    for record, i in zip(records, order, strict=True):
        assert record[:3] == tuple(cloud.xyz[i])
        assert record[3:6] == tuple(cloud.scale[i])
        assert np.abs(np.array(record[6:10]) / 255 - [*cloud.rgb[i], cloud.opacity[i]]).max() <= 0.5 / 255 + 1e-6
        # half a step of 1/128; 1 itself has no byte of its own
        assert np.abs((np.array(record[10:]) - 128) / 128 - cloud.quat[i]).max() <= 1 / 128 + 1e-6


def test_what_is_large_and_opaque_comes_first(generator):
    cloud = random_gaussians(generator, 300)
    weight = cloud.scale.astype(np.float64).prod(1) * cloud.opacity
    assert (np.diff(weight[importance_order(cloud)]) <= 0).all()


def test_a_given_order_is_kept(generator):
    cloud = random_gaussians(generator, 50)
    content = splat_bytes(cloud, np.arange(50))
    assert np.frombuffer(content, "<f4").reshape(50, 8)[:, :3].tolist() == cloud.xyz.tolist()


def test_the_picture_of_the_file_is_nearly_the_avatars(tmp_path):
    """Measured: 59 dB; colours and opacities have 8 bits, rotations 7."""
    cloud = smiling()
    (tmp_path / "a.splat").write_bytes(splat_bytes(turned(cloud)))
    assert psnr(pictures(as_shown(open_source(tmp_path / "a.splat"))), pictures(cloud)) >= 54
