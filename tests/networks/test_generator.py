"""The generator against values that the published code computed, and against properties that need no oracle."""

from __future__ import annotations

import pytest
import torch

from core.networks.attributes import colour_from
from core.networks.config import GeneratorConfig
from core.networks.flame_camera import camera_centre, conditioning, intrinsics, world_to_camera
from core.networks.generator import Generator, MeshSizes
from core.networks.surface import driving_vector
from tests.networks.conftest import load_arrays

SMALL = GeneratorConfig(latent_size=128, channel_base=1024, channel_max=16)
SMALL_MESH = MeshSizes(vertices=210, uv_vertices=221, faces=372, back_vertices=14, anchors=2519)
NAMES_WE_DO_NOT_NEED = ("lmk_", "dynamic_lmk_", "full_lmk_", "neck_kin_chain")


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


@pytest.fixture(scope="module")
def golden(golden_folder, device):
    return load_arrays(golden_folder / "golden_generator.npz", device)


@pytest.fixture(scope="module")
def generator(checkpoint, device):
    made = Generator(SMALL, SMALL_MESH)
    missing, unexpected = made.load_state_dict(checkpoint.states["G_ema"], strict=False)
    assert missing == []
    left = [name for name in unexpected if name.startswith("flame_lbs_model.")]
    assert all(name.removeprefix("flame_lbs_model.").startswith(NAMES_WE_DO_NOT_NEED) for name in left)
    assert set(unexpected) - set(left) == {"dataset_label_std", "_gaussian_bg", "_gaussian_bg_train"}
    return made.eval().requires_grad_(False).to(device)


@pytest.fixture(scope="module")
def people(generator, golden):
    return generator.identity(golden["z"], golden["c12"], golden["flame_params"][:, 0], truncation=0.7)


def test_names_and_shapes_are_those_of_the_published_model(golden_folder):
    text = (golden_folder.parent / "spec" / "agora_official_tensors.txt").read_text().split("\n# D state_dict")[0]
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    published = {name: tuple(int(n) for n in shape.strip("()").split(",") if n.strip()) for name, shape, *_ in rows}
    with torch.device("meta"):
        ours = {name: tuple(value.shape) for name, value in Generator().state_dict().items()}
    back_of_the_head = {name for name in ours if ".bh_" in name}
    assert {name: ours[name] for name in set(ours) - back_of_the_head} == published


def test_mapping_and_truncation(generator, golden):
    close(generator.backbone.mapping(golden["z"], golden["c12"]), golden["w_psi1.0"], 1e-5)
    close(generator.backbone.mapping(golden["z"], golden["c12"], 0.7), golden["w_psi0.7"], 1e-5)
    close(conditioning(golden["c6"]), golden["c12"], 1e-6)


def test_planes_and_taps(people, golden):
    close(people.displacement[:, :, ::4, ::4], golden["shape_map_stride4"], 1e-6)
    close(people.planes[:, :, ::4, ::4], golden["planes_stride4"], 1e-4)
    close(people.planes[:, :, 100], golden["planes_row100"], 1e-4)
    close(people.tap.planes[:, :, ::2, ::2], golden["i64_stride2"], 1e-4)
    close(people.tap.features.mean((2, 3)), golden["x64_mean"], 1e-4)
    close(people.tap.features.flatten(2).std(2), golden["x64_std"], 1e-4)


@pytest.mark.parametrize("frame", range(3))
def test_frames(generator, people, golden, frame):
    params = golden["flame_params"][:, frame]
    residual = generator.residual_planes(people, driving_vector(params))
    close(residual[:, :, ::8, ::8], golden["residual_planes_stride8"][:, frame], 1e-4)
    vertices, joints = generator.flame_lbs_model(params)
    close(vertices, golden["vertices"][:, frame], 1e-6)
    close(joints, golden["joints"][:, frame], 1e-6)
    cloud, joints = generator.frame(people, params)
    close(cloud.xyz, golden["xyz"][:, frame], 1e-5)
    close(cloud.scale_log, golden["scale_log"][:, frame], 1e-4)
    close(cloud.quat, golden["rotation_wxyz"][:, frame], 1e-4)
    close(cloud.rendered_quat(), golden["rotation_rendered_wxyz"][:, frame], 1e-4)
    close(cloud.sh, golden["sh"], 1e-4)
    close(cloud.opacity, golden["opacity"][:, frame], 1e-5)


def test_cameras_and_colours(generator, people, golden):
    for frame in range(3):
        pivot = golden["joints"][:, frame, 0]
        close(world_to_camera(golden["c6"], pivot), golden["world2cam"][:, frame], 1e-5)
        close(intrinsics(golden["c6"], 64), golden["intrinsics_px64"][:, frame], 1e-3)
    cloud, joints = generator.frame(people, golden["flame_params"][:, 1])
    centre = camera_centre(world_to_camera(golden["sh_ref_cam"].expand(2, -1), joints[:, 0]))
    close(colour_from(cloud.sh, cloud.xyz, centre), golden["rgb_shref_frame1"], 1e-4)


def test_the_perturbed_network_gives_something_else(checkpoint, golden, device):
    """A loader that picked the wrong entry of the file would be noticed."""
    other = Generator(SMALL, SMALL_MESH)
    other.load_state_dict(checkpoint.states["G"], strict=False)
    other.to(device)
    with torch.no_grad():
        w = other.backbone.mapping(golden["z"], golden["c12"])
    assert (w - golden["w_psi1.0"]).abs().max() > 1e-3


def test_one_dense_convolution_equals_a_kernel_per_sample():
    """Modulation as in the paper, written out sample by sample in float64."""
    from core.networks.layers import ModulatedConv, activate, filter_picture

    torch.manual_seed(0)
    for up in (False, True):
        layer = ModulatedConv(5, 7, 9, 8, up=up).double()
        x, style = torch.randn(3, 5, 8 // (1 + up), 8 // (1 + up), dtype=torch.float64), torch.randn(3, 9, dtype=torch.float64)
        rows = []
        for sample, scales in zip(x, layer.affine(style), strict=True):
            kernel = layer.weight * scales[None, :, None, None]
            kernel = kernel * torch.rsqrt(kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8)
            if up:
                raw = torch.nn.functional.conv_transpose2d(sample[None], kernel.transpose(0, 1), stride=2)
                rows.append(filter_picture(raw, layer.resample_filter, 4.0, (1, 1)))
            else:
                rows.append(torch.nn.functional.conv2d(sample[None], kernel, padding=1))
        expected = activate(torch.cat(rows) + layer.bias[:, None, None])
        torch.testing.assert_close(layer(x, style, "none"), expected, atol=1e-10, rtol=1e-10)
