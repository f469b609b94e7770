"""Files of Gaussians that others wrote: every encoding, damage, axes and sizes; and the head that comes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from core.avatar.backend import CpuBackend
from core.avatar.backend_choice import open_backend
from core.avatar.cloud_file import read_cloud, turned
from core.avatar.model import Avatar
from core.avatar.motion import head_motion
from core.avatar.pack import read_pack, write_pack
from core.avatar.sources import open_source
from core.avatar.static_pack import guess_axes, harmonics, read_static_pack, static_pack
from core.errors import DeviceError, InputError
from core.export.ply import ply_bytes
from core.export.splat import splat_bytes
from core.geometry import PORTRAIT_TARGET, portrait_camera
from core.render.benchmark import psnr
from core.types import Gaussians, HeadParams
from tests.avatar.conftest import random_gaussians

C0 = 0.28209479177387814
COUNT = 400


@pytest.fixture
def cloud(generator) -> Gaussians:
    """A head on shoulders, roughly, in head space."""
    cloud = random_gaussians(generator, COUNT)
    head, shoulders = cloud.xyz[:COUNT // 2], cloud.xyz[COUNT // 2:]
    head[:] = 0.35 * head + (0.0, 0.02, -0.05)
    shoulders[:] = shoulders * (1.4, 0.2, 0.5) + (0.0, -0.22, -0.05)
    return replace(cloud, opacity=cloud.opacity.clip(0.2, 1))


def write_table(path, columns: dict[str, np.ndarray], text: bool = False, order: str = "<") -> None:
    rows = np.rec.fromarrays(list(columns.values()), names=list(columns))
    element = PlyElement.describe(np.asarray(rows), "vertex")
    PlyData([element], text=text, byte_order="=" if text else order).write(path)


def columns_of(cloud: Gaussians) -> dict[str, np.ndarray]:
    """A 3DGS table by the letter of its convention."""
    columns = {axis: cloud.xyz[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"f_dc_{i}": (cloud.rgb[:, i] - 0.5) / C0 for i in range(3)}
    clipped = cloud.opacity.astype(np.float64).clip(1e-6, 1 - 1e-6)
    columns |= {"opacity": np.log(clipped / (1 - clipped))}
    columns |= {f"scale_{i}": np.log(cloud.scale[:, i]) for i in range(3)}
    columns |= {f"rot_{i}": 2 * cloud.quat[:, i] for i in range(4)}  # trainers do not normalise
    return {name: values.astype(np.float32) for name, values in columns.items()}


def same(read: Gaussians, cloud: Gaussians, tolerance: float = 2e-6) -> bool:
    signs = np.sign((read.quat * cloud.quat).sum(1, keepdims=True))
    pairs = ((read.xyz, cloud.xyz), (read.scale / cloud.scale, 1), (read.quat * signs, cloud.quat), (read.rgb, cloud.rgb),
             (read.opacity, cloud.opacity))
    return all(np.abs(a - b).max() < tolerance for a, b in pairs)


@pytest.mark.parametrize(("text", "order"), [(True, "<"), (False, "<"), (False, ">")])
def test_every_encoding_of_ply(cloud, tmp_path, text, order):
    """Properties in reversed order, with others between, as plyfile writes them."""
    columns = dict(reversed(columns_of(cloud).items()))
    columns["nx"] = np.zeros(COUNT, np.float64)
    columns["segment"] = np.arange(COUNT, dtype=np.uint8)
    write_table(tmp_path / "a.ply", columns, text, order)
    read = read_cloud(tmp_path / "a.ply")
    assert same(read.cloud, cloud)
    assert (read.dropped, read.axes, read.rest.shape) == (0, "", (COUNT, 3, 0))


def test_damaged_rows_are_left_out_and_counted(cloud, tmp_path):
    columns = columns_of(cloud)
    damage = (("x", np.nan), ("scale_1", np.inf), ("opacity", np.nan), ("f_dc_2", -np.inf), ("y", 1e30))
    for row, (name, value) in enumerate(damage):
        columns[name][row] = value
    for name in ("rot_0", "rot_1", "rot_2", "rot_3"):
        columns[name][5] = 0
    write_table(tmp_path / "a.ply", columns)
    read = read_cloud(tmp_path / "a.ply")
    assert read.dropped == 6
    assert same(read.cloud, cloud.subset(np.arange(6, COUNT)))
    assert "6 damaged rows left out" in read_static_pack(tmp_path / "a.ply").identities[0].tags


def test_extreme_opacities_do_not_overflow(cloud, tmp_path):
    columns = columns_of(cloud)
    columns["opacity"][:2] = (-1e6, 1e6)
    write_table(tmp_path / "a.ply", columns)
    assert read_cloud(tmp_path / "a.ply").cloud.opacity[:2].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.ply", b"", "not a PLY"), ("a.ply", b"ply\nformat ascii 1.0\n", "not a PLY"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement face 3\nend_header\n", "no vertices"),
    ("a.ply", b"ply\nelement vertex 3\nproperty float x\nend_header\n", "encoded"),
    ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nend_header\n123", "cut off"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\nword\n", "damaged"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n1 2\n", "twice"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty wrong x\nend_header\n1\n", "damaged"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nend_header\n1 2\n", "mesh or"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty uint packed_position\nend_header\n1\n", "compressed"),
    ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999\nproperty float x\nend_header\n", "99999999"),
    ("a.splat", b"", "32"), ("a.splat", bytes(33), "32"), ("a.splat", bytes(64), "no usable"),
    ("a.obj", b"v 0 0 0", "not a file of Gaussians")])
def test_what_cannot_be_used_is_said_in_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_cloud(tmp_path / name)
    assert name in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_source(tmp_path / "none.ply")


@pytest.mark.parametrize("axes", ["3dgs", "head"])
def test_the_axes_a_file_names_are_followed(cloud, tmp_path, axes):
    (tmp_path / "a.ply").write_bytes(ply_bytes(turned(cloud) if axes == "3dgs" else cloud, axes))
    person = read_static_pack(tmp_path / "a.ply", fit="none").identities[0]
    assert np.abs(person.gaussians.xyz - cloud.xyz).max() == 0


def test_the_shoulders_tell_which_end_is_up(cloud, tmp_path):
    assert (guess_axes(turned(cloud)), guess_axes(cloud)) == ("3dgs", "head")
    (tmp_path / "a.splat").write_bytes(splat_bytes(cloud))
    (tmp_path / "b.splat").write_bytes(splat_bytes(turned(cloud)))
    up, down = (np.sort(read_static_pack(tmp_path / name).identities[0].gaussians.xyz[:, 1]) for name in ("a.splat", "b.splat"))
    assert np.abs(up - down).max() == 0
    forced = read_static_pack(tmp_path / "a.splat", axes="3dgs", fit="none").identities[0].gaussians.xyz[:, 1]
    assert np.abs(np.sort(-forced) - np.sort(cloud.xyz[:, 1])).max() == 0


def test_a_round_cloud_counts_as_y_down(generator):
    assert guess_axes(random_gaussians(generator, 500)) == "3dgs"


def test_a_cloud_of_another_size_is_brought_into_the_portrait(cloud, tmp_path):
    """Scales grow with positions, so that the picture is the same but for its frame."""
    big = replace(cloud, xyz=cloud.xyz * 40 + np.float32(7), scale=cloud.scale * 40)
    write_table(tmp_path / "a.ply", columns_of(big))
    fitted = read_static_pack(tmp_path / "a.ply", axes="head").identities[0].gaussians
    low, high = np.quantile(fitted.xyz, [0.01, 0.99], axis=0)
    assert np.abs((low + high) / 2 - PORTRAIT_TARGET).max() < 1e-5
    assert 0.29 < (high - low)[:2].max() < 0.31
    ratio = (high - low) / (np.quantile(cloud.xyz, 0.99, axis=0) - np.quantile(cloud.xyz, 0.01, axis=0))
    assert np.abs(fitted.scale / cloud.scale / ratio.mean() - 1).max() < 1e-4
    kept = read_static_pack(tmp_path / "a.ply", axes="head", fit="none").identities[0].gaussians
    assert np.abs(kept.xyz - big.xyz).max() == 0


def test_harmonics_are_orthonormal_and_named_as_3dgs_has_them(generator):
    """∫ Yi Yj = δij over the sphere, by Monte Carlo; the first three are C1·(−y, z, −x)."""
    directions = generator.standard_normal((40_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = np.stack([harmonics(direction) for direction in directions[:8000]])
    gram = 4 * np.pi * values.T @ values / len(values)
    assert np.abs(gram - np.eye(15)).max() < 0.12  # 8000 samples
    assert np.abs(harmonics(np.array([0.6, 0.0, 0.8]))[:3] - 0.4886025119029199 * np.array([0, 0.8, -0.6])).max() < 1e-9


def test_colours_are_those_seen_from_the_front(cloud, tmp_path):
    """One coefficient of degree 1: C1·z, and the camera of 3DGS looks along +z."""
    columns = columns_of(cloud)
    for i in range(9):
        columns[f"f_rest_{i}"] = np.full(COUNT, 0.1 if i == 1 else 0.0, np.float32)  # red, second coefficient
    write_table(tmp_path / "a.ply", columns)
    wanted = np.clip(cloud.rgb + np.array([0.1 * 0.4886025, 0, 0], np.float32), 0, 1)
    front = read_static_pack(tmp_path / "a.ply", axes="3dgs").identities[0].gaussians.rgb
    mean = read_static_pack(tmp_path / "a.ply", axes="3dgs", sh="none").identities[0].gaussians.rgb
    assert np.abs(front - wanted).max() < 1e-5
    assert np.abs(mean - cloud.rgb).max() < 1e-5


def test_the_head_turns_as_a_whole_and_no_expression_moves_it(cloud):
    pack = static_pack("somebody", cloud)
    avatar = Avatar(pack, pack.identities[0])
    params = HeadParams.neutral(avatar.psi_layout.expression)
    assert same(avatar.drive(params), cloud, 1e-6)
    smiling = replace(params, expression=np.ones_like(params.expression), jaw_pose=np.array([0.3, 0, 0], np.float32))
    assert same(avatar.drive(smiling), cloud, 1e-6)
    turning = replace(params, head_rotation=np.array([0.0, 0.4, 0.0], np.float32))
    neck = pack.identities[0].neck_joint
    rotation = head_motion(turning, neck).rotation
    assert np.abs(avatar.drive(turning).xyz - ((cloud.xyz - neck) @ rotation.T + neck)).max() < 1e-6
    assert abs(neck[0]) < 0.01
    assert -0.2 < neck[1] < -0.02


def test_the_processors_backend_draws_it(cloud):
    pack, backend = static_pack("somebody", cloud), CpuBackend()
    performer = backend.performer(pack, pack.identities[0])
    params = HeadParams.neutral(performer.avatar.psi_layout.expression)
    motion = head_motion(params, pack.identities[0].neck_joint)
    picture = performer.draw(performer.avatar.respond(params), motion, portrait_camera(64, 64))
    assert picture[..., 3].max() > 100
    backend.close()


def test_opengl_draws_the_same(cloud):
    """A pack without a basis is a corner of the textures' layout; 45 dB is what a target of bytes gives."""
    pack, pictures = static_pack("somebody", cloud), []
    motion = head_motion(replace(HeadParams.neutral(49), head_rotation=np.array([0, 0.3, 0], np.float32)),
                         pack.identities[0].neck_joint)
    try:
        backends = CpuBackend(), open_backend("opengl")
    except DeviceError as error:
        pytest.skip(str(error))
    for backend in backends:
        performer = backend.performer(pack, pack.identities[0])
        psi = performer.avatar.respond(HeadParams.neutral(performer.avatar.psi_layout.expression))
        pictures.append(performer.draw(psi, motion, portrait_camera(64, 64)))
        backend.close()
    assert psnr(*(picture / 255 for picture in pictures)) > 45


def test_it_can_be_kept_as_a_pack(cloud, tmp_path):
    write_pack(tmp_path / "a.agora", static_pack("somebody", cloud, ("static",)))
    pack = read_pack(tmp_path / "a.agora")
    assert pack.manifest.kind == "static"
    assert same(pack.identities[0].gaussians, cloud, 1e-9 + 2e-6)
    source = open_source(tmp_path / "a.agora")
    assert source.build("0").tags == ("static",)
