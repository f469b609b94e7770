"""SPZ: what an independent reader finds in it, and the older version of the format."""

from __future__ import annotations

import gzip

import gsply
import numpy as np
import pytest

from core.avatar.cloud_file import read_cloud
from core.avatar.sources import open_source
from core.errors import InputError
from core.export.spz import spz_bytes
from tests.avatar.conftest import random_gaussians
from tests.export.people import as_shown, pictures, psnr, smiling


@pytest.fixture
def cloud(generator):
    return random_gaussians(generator, 400)


def quat_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between rotations [N], radians."""
    between = np.clip(np.abs((a.astype(np.float64) * b).sum(1)) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1), 0, 1)
    return 2 * np.arccos(between)


def test_gsply_reads_the_same_numbers(cloud, tmp_path):
    (tmp_path / "a.spz").write_bytes(spz_bytes(cloud))
    read = gsply.read_spz(str(tmp_path / "a.spz"))
    assert np.abs(read.means - cloud.xyz).max() <= 0.5 / 2**20 + 1e-7  # 24 bits, of which 20 behind the point
    assert np.abs(read.scales - np.log(cloud.scale)).max() <= 0.5 / 16 + 1e-5
    opacity = 1 / (1 + np.exp(-read.opacities.reshape(-1).astype(np.float64)))
    assert np.abs(opacity - cloud.opacity).max() <= 0.5 / 255 + 1e-5
    color = 0.5 + 0.28209479177387814 * read.sh0.reshape(-1, 3)
    assert np.abs(color - cloud.rgb).max() <= 0.5 / 255 * 0.2820948 / 0.15 + 1e-5
    assert quat_angle(read.quats, cloud.quat).max() < np.radians(0.35)  # ten bits of a component up to 0.707


def test_our_reader_agrees_with_gsply(cloud, tmp_path):
    (tmp_path / "a.spz").write_bytes(spz_bytes(cloud))
    theirs, ours = gsply.read_spz(str(tmp_path / "a.spz")), read_cloud(tmp_path / "a.spz")
    assert np.abs(theirs.means - ours.cloud.xyz).max() < 1e-7
    assert np.abs(np.exp(theirs.scales) / ours.cloud.scale - 1).max() < 1e-5
    assert quat_angle(theirs.quats, ours.cloud.quat).max() < 1e-3
    assert (ours.axes, ours.dropped) == ("head", 0)


def test_a_file_of_gsply_is_read(cloud, tmp_path):
    logits = np.log(np.clip(cloud.opacity, 1e-3, 0.999) / (1 - np.clip(cloud.opacity, 1e-3, 0.999)))
    data = gsply.GSData.from_arrays(cloud.xyz, np.log(cloud.scale), cloud.quat, logits.astype(np.float32),
                                    ((cloud.rgb - 0.5) / 0.28209479).astype(np.float32))
    gsply.write_spz(str(tmp_path / "b.spz"), data)
    read = read_cloud(tmp_path / "b.spz").cloud
    assert np.abs(read.xyz - cloud.xyz).max() <= 0.5 / 2**12 + 1e-7  # its own choice of bits
    assert np.abs(read.rgb - cloud.rgb).max() < 0.5 / 255 * 2
    assert quat_angle(read.quat, cloud.quat).max() < np.radians(0.35)


def test_large_clouds_keep_their_place(generator, tmp_path):
    """Positions of 100 m leave 16 bits behind the point."""
    cloud = random_gaussians(generator, 50)
    cloud.xyz[0] = (100.0, -100.0, 55.5)
    (tmp_path / "a.spz").write_bytes(spz_bytes(cloud))
    assert np.abs(gsply.read_spz(str(tmp_path / "a.spz")).means - cloud.xyz).max() <= 0.5 / 2**16 + 1e-5


def test_version_two_is_read(tmp_path):
    header = np.array([0x5053474E, 2, 1], "<u4").tobytes() + bytes([0, 12, 0, 0])
    body = (1 << 12).to_bytes(3, "little") + (-(1 << 11)).to_bytes(3, "little", signed=True) + bytes(3)  # 1, −0.5, 0 m
    body += bytes([255, 128, 128, 128, 160, 160, 160, 217, 128, 128])  # rotation (x, y, z) = (0.7, 0, 0) in bytes
    (tmp_path / "a.spz").write_bytes(gzip.compress(header + body))
    read = read_cloud(tmp_path / "a.spz").cloud
    assert read.xyz.tolist() == [[1.0, -0.5, 0.0]]
    assert read.opacity.tolist() == [1.0]
    assert np.abs(read.scale - 1).max() < 1e-6
    assert np.abs(read.quat - [[0.71, 0.70, 0, 0]]).max() < 0.01


@pytest.mark.parametrize(("content", "words"), [
    (b"", "not an SPZ"), (b"not gzip at all", "damaged"), (gzip.compress(b"too short"), "not an SPZ"),
    (gzip.compress(bytes(16)), "not an SPZ"), ((0x5053474E).to_bytes(4, "little") + bytes(40), "version 4"),
    (gzip.compress(np.array([0x5053474E, 1, 5, 0], "<u4").tobytes()), "version 1"),
    (gzip.compress(np.array([0x5053474E, 3, 5, 0], "<u4").tobytes() + bytes(40)), "cut off"),
    (gzip.compress(np.array([0x5053474E, 3, 1 << 30, 0], "<u4").tobytes()), "holds 1073741824"),
    (gzip.compress(np.array([0x5053474E, 3, 5, 0], "<u4").tobytes() + bytes(range(100)))[:80], "cut off")],
    ids=["empty", "plain text", "short", "zeros", "version 4", "version 1", "too few points", "too many points", "half a file"])
def test_what_is_no_spz_is_refused_in_one_line(tmp_path, content, words):
    (tmp_path / "x.spz").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_cloud(tmp_path / "x.spz")
    assert "x.spz" in caught.value.message
    assert "\n" not in str(caught.value)


def test_the_picture_of_the_file_is_nearly_the_avatars(tmp_path):
    """Measured: 55 dB; scales have steps of 6 %, colours of 0.7 %."""
    cloud = smiling()
    (tmp_path / "a.spz").write_bytes(spz_bytes(cloud))
    assert psnr(pictures(as_shown(open_source(tmp_path / "a.spz"))), pictures(cloud)) >= 50
