"""The differentiable rasteriser against float64, finite differences and the renderer's reference, and what training relies on.

Oracles: `core.render.reference` (numpy, float64) for pictures and for the projection's values; the dense torch path, itself
compared with that reference, for gradients. float32 has 6e-8; sums over a Gaussian's pixels lose one to two digits of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.geometry import orbit_camera
from core.render.benchmark import psnr, shell_cloud
from core.render.cpu.project import SPLAT_FLOATS, U_X, U_Y, V_Y
from core.render.reference import project, render_reference
from core.types import Camera, Gaussians
from tests.render.clouds import FIELDS, cloud, front_camera, random_cloud
from trainer.rasterize import CameraBatch, Rendering, rasterize
from trainer.rasterize_benchmark import measure_rasterizer
from trainer.rasterize_cpu import EXACT, GaussianArrays, SharedBuffers, prepare_sample
from trainer.rasterize_dense import rasterize_dense
from trainer.rasterize_gsplat import rasterize_gsplat
from trainer.rasterize_kernels import RECORD_FLOATS, SUM_P, SUM_U, SUM_UU, SUM_UV, SUM_V, SUM_VV
from trainer.rasterize_projection import OPACITY, QUAT, SCALE, WHITEN, XYZ, project_backward

FORWARD_ERROR = 1e-5
GRADIENT_ERROR = 1e-4  # relative, in the L2 norm over the cloud
PARITY_DB = 58.0  # 8-bit rounding alone leaves 58.9 dB
VIEW = orbit_camera(0.3, 0.2, 40, 32, 1.0, np.zeros(3), 22)


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def tensors(gaussians: Gaussians, dtype=torch.float32, channels: int = 3) -> list[torch.Tensor]:
    """The five inputs [1, G, …], quaternions of many lengths, colours of any number of channels."""
    random = np.random.default_rng(1)
    count = len(gaussians)
    values = [getattr(gaussians, field) for field in FIELDS]
    values[2] = values[2] * np.exp(random.uniform(-1, 1, (count, 1))).astype(np.float32)
    if channels != 3:
        values[3] = random.uniform(0, 1, (count, channels)).astype(np.float32)
    return [torch.tensor(value, dtype=dtype)[None].requires_grad_() for value in values]


def thick_cloud(generator) -> Gaussians:
    """Opaque and overlapping, so that pixels are finished."""
    gaussians = random_cloud(generator, 400)
    return replace(gaussians, opacity=gaussians.opacity**0.25, scale=gaussians.scale * 5)


def differentiate(inputs, cameras: CameraBatch, exact=False, color=True, alpha=True, seed=0) -> tuple[Rendering, tuple]:
    """A picture, and the gradients of a random linear function of it."""
    rendering = rasterize(*inputs, cameras, exact=exact)
    random = torch.Generator().manual_seed(seed)
    loss = 0.0
    for on, picture in ((color, rendering.color), (alpha, rendering.alpha)):
        weights = torch.randn(picture.shape, generator=random, dtype=torch.float64)
        loss = loss + (on * weights.to(picture.dtype) * picture).sum()
    return rendering, torch.autograd.grad(loss, inputs)


def assert_like_double(gaussians, camera, exact, channels=3, color=True, alpha=True, gradient_error=GRADIENT_ERROR):
    cameras = CameraBatch.of([camera])
    single, gradients = differentiate(tensors(gaussians, channels=channels), cameras, exact, color, alpha)
    double, expected = differentiate(tensors(gaussians, torch.float64, channels), cameras, exact, color, alpha)
    assert (single.color - double.color).abs().max() <= FORWARD_ERROR
    assert (single.alpha - double.alpha).abs().max() <= FORWARD_ERROR
    for name, gradient, truth in zip(FIELDS, gradients, expected, strict=True):
        assert (gradient - truth).norm() <= gradient_error * truth.norm() + 1e-12, name


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("yaw", [0.0, 1.3])
def test_the_dense_path_is_the_reference(generator, yaw):
    """In float64, up to rounding; cut-offs included."""
    layers = thick_cloud(generator)
    camera = orbit_camera(yaw, -0.2, 40, 32, 1.0, np.zeros(3), 22)
    color, coverage = render_reference(layers, camera)
    assert coverage.max() > 1 - 2e-4  # pixels are finished, too
    rendering = rasterize(*tensors(layers, torch.float64), CameraBatch.of([camera]))
    assert np.abs(rendering.color[0].detach().numpy() - color.transpose(2, 0, 1)).max() < 1e-6  # order within float32 depth
    assert np.abs(rendering.alpha[0, 0].detach().numpy() - coverage).max() < 1e-6


@pytest.mark.parametrize(("width", "height", "count"), [(1, 1, 40), (3, 5, 100), (33, 66, 333), (128, 128, 4096)])
def test_pictures_are_the_reference_s(generator, width, height, count):
    gaussians = random_cloud(generator, count) if count < 4096 else shell_cloud(count, width)[0]
    camera = orbit_camera(0.4, 0.1, width, height, 1.0, np.zeros(3), 20)
    color, coverage = render_reference(gaussians, camera)
    rendering = rasterize(*tensors(gaussians), CameraBatch.of([camera]))
    # A pixel whose α is within float32 of 1/255 may be there or not; a finished pixel lacks up to 1/1024.
    assert np.abs(rendering.color[0].detach().numpy() - color.transpose(2, 0, 1)).max() < 1.5 / 255
    if width * height > 200:
        assert psnr(rendering.color[0].detach().numpy(), color.transpose(2, 0, 1)) >= PARITY_DB
        assert psnr(rendering.alpha[0, 0].detach().numpy(), coverage) >= PARITY_DB


# ---- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 1, 4, 7])
def test_gradients_are_those_of_double_precision(generator, channels):
    assert_like_double(random_cloud(generator, 200), VIEW, exact=True, channels=channels)


def test_gradients_on_a_head_sized_shell():
    gaussians, camera = shell_cloud(24**2, 32)
    assert_like_double(gaussians, camera, exact=True)
    assert_like_double(gaussians, camera, exact=False)  # nothing is finished in so thin a shell: no step between the two


@pytest.mark.parametrize(("color", "alpha"), [(True, False), (False, True)])
def test_each_output_has_its_gradient(generator, color, alpha):
    assert_like_double(random_cloud(generator, 150), VIEW, exact=True, color=color, alpha=alpha)


def test_gradients_of_a_close_and_off_centre_camera(generator):
    """Gaussians beside the picture, where the Jacobian's centre is clamped; unequal focal lengths; several tiles."""
    gaussians = random_cloud(generator, 150)
    camera = Camera(orbit_camera(-0.4, 0.3, 10, 10, 0.25, np.zeros(3)).world_to_camera, 30.0, 42.0, 12.3, 60.8, 50, 70)
    assert_like_double(gaussians, camera, exact=True)


def test_gradients_with_cut_offs_in_a_dense_cloud(generator):
    """Finished pixels: our 1/1024 and the reference's 1e-4 differ by what lies between, some thousandths."""
    gaussians = thick_cloud(generator)
    inputs, doubles = tensors(gaussians), tensors(gaussians, torch.float64)
    rendering, gradients = differentiate(inputs, CameraBatch.of([VIEW]))
    assert (rendering.alpha > 1 - 1 / 1024).float().mean() > 0.1
    _, expected = differentiate(doubles, CameraBatch.of([VIEW]))
    for name, gradient, truth in zip(FIELDS, gradients, expected, strict=True):
        assert (gradient - truth).norm() <= 5e-3 * truth.norm(), name


def test_one_gaussian_s_coverage_in_closed_form():
    """At the centre of a pixel α = o·sqrt(det/det'), so ∂α/∂o is the compensation and ∂α/∂xyz is zero there."""
    camera = front_camera(9, 9, 90.0)
    camera = replace(camera, cx=4.5, cy=4.5)
    inputs = tensors(cloud([0, 0, 1], scale=0.02, opacity=0.8))
    rendering = rasterize(*inputs, CameraBatch.of([camera]))
    gradients = torch.autograd.grad(rendering.alpha[0, 0, 4, 4], inputs)
    variance = (90 * 0.02) ** 2
    compensation = variance / (variance + 0.3)
    assert rendering.alpha[0, 0, 4, 4].item() == pytest.approx(0.8 * compensation, rel=1e-5)
    assert gradients[4].item() == pytest.approx(compensation, rel=1e-5)
    assert gradients[0][0, 0, :2].abs().max() < 1e-4
    # ∂ log compensation / ∂ s for each axis in the picture: (1/σ² − 1/(σ² + 0.3))·σ·90
    expected = 0.8 * compensation * (1 / variance - 1 / (variance + 0.3)) * 1.8 * 90
    assert gradients[1][0, 0, :2].tolist() == pytest.approx([expected] * 2, rel=1e-4)
    assert gradients[3].abs().max() == 0


def test_a_clamped_gaussian_does_not_move():
    inputs = tensors(cloud([0, 0, 1], scale=10.0, opacity=1.0))
    rendering, gradients = differentiate(inputs, CameraBatch.of([front_camera(8, 8)]))
    assert rendering.alpha.min().item() == pytest.approx(0.999, abs=1e-6)
    for gradient in (gradients[i] for i in (0, 1, 2, 4)):
        assert not gradient.any()
    assert gradients[3].any()


def test_the_projection_s_gradient_by_finite_differences(generator):
    """A linear function of centre, covariance and log-opacity, its values from the float64 reference."""
    count = 16
    gaussians = random_cloud(generator, count)
    wild = replace(gaussians, scale=np.exp(generator.uniform(np.log(4e-3), np.log(3e-2), (count, 3))).astype(np.float32),
                   quat=gaussians.quat * np.float32(1.7), opacity=gaussians.opacity * 0.5 + 0.4)
    arrays = GaussianArrays(*(getattr(wild, field) for field in FIELDS))
    sample = prepare_sample(arrays, VIEW, EXACT, SharedBuffers.for_count(count))
    splats = sample.splats.reshape(-1, SPLAT_FLOATS)[:count].astype(np.float64)
    whitening = np.zeros((count, 2, 2))
    whitening[:, 0, 0], whitening[:, 0, 1], whitening[:, 1, 1] = splats[:, U_X], splats[:, U_Y], splats[:, V_Y]
    whitening *= np.sqrt(WHITEN)

    first, weight = generator.normal(size=(count, 2)), generator.normal(size=count)
    second = generator.normal(size=(count, 2, 2))
    second = second + second.transpose(0, 2, 1)
    records = np.zeros((len(sample.splats) // SPLAT_FLOATS, RECORD_FLOATS), np.float32)
    records[:count, SUM_P] = weight
    records[:count, [SUM_U, SUM_V]] = first / np.sqrt(WHITEN)
    records[:count, [SUM_UU, SUM_UV, SUM_VV]] = second[:, [0, 0, 1], [0, 1, 1]] / WHITEN
    by_center = np.einsum("nji,nj->ni", whitening, first)
    by_covariance = 0.5 * np.einsum("nji,njk,nkl->nil", whitening, second, whitening)

    def loss(values: list[np.ndarray]) -> np.ndarray:
        projected = project(Gaussians(values[0], values[1], values[2], wild.rgb, values[3]), VIEW)
        return ((by_center * projected.center).sum(1) + (by_covariance * projected.covariance).sum((1, 2))
                + weight * np.log(projected.opacity))

    inputs = [arrays.xyz, arrays.scale, arrays.quat, arrays.opacity]
    corners = np.empty((2, 256), np.float32)
    project_backward(*(value.reshape(-1) for value in inputs), sample.camera, sample.splats, *corners, records.reshape(-1))
    for number, gradient in enumerate(records[:, part] for part in (XYZ, SCALE, QUAT, OPACITY)):
        for component in range(gradient.size // count):
            sides = []
            for sign in (1, -1):
                moved = [value.astype(np.float64) for value in inputs]
                step = 1e-6 * max(1e-2, np.abs(moved[number]).max())
                moved[number].reshape(count, -1)[:, component] += sign * step
                sides.append(loss(moved))
            expected = (sides[0] - sides[1]) / (2 * step)
            # The whitening came through float32 (6e-8, twice squared), the second term of the difference is below 1e-7.
            np.testing.assert_allclose(gradient.reshape(count, -1)[:, component], expected, rtol=2e-4,
                                       atol=2e-5 * np.abs(gradient).max())


def test_the_length_of_a_quaternion_does_not_matter(generator):
    inputs = tensors(random_cloud(generator, 60))
    cameras = CameraBatch.of([VIEW])
    rendering, gradients = differentiate(inputs, cameras)
    assert (gradients[2] * inputs[2]).sum(-1).abs().max() <= 1e-4 * gradients[2].abs().max()
    longer = [*inputs[:2], (2 * inputs[2]).detach().requires_grad_(), *inputs[3:]]
    other, others = differentiate(longer, cameras)
    torch.testing.assert_close(other.color, rendering.color, rtol=0, atol=1e-6)
    torch.testing.assert_close(2 * others[2], gradients[2], rtol=1e-4, atol=1e-4 * gradients[2].abs().max().item())


# ---- what training relies on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_gradients_are_finite_whatever_comes(generator, exact):
    good = random_cloud(generator, 100)
    bad = [cloud([0, 0, -1]), cloud([0, 0, 0]), cloud([0, 0, 0.0101]), cloud([1e4, 0, 1]), cloud([0, 0, 1], scale=1e6),
           cloud([0, 0, 1], scale=1e-12), cloud([0, 0, 1], scale=0.0), cloud([0, 0, 1], scale=(0.1, 1e-9, 1e-9)),
           cloud([0, 0, 1], scale=(10.0, 1e-9, 1e-9)), cloud([0, 0, 1], quat=(0, 0, 0, 0)), cloud([0, 0, 1], opacity=0.0),
           cloud([0, 0, 1], opacity=1e-9), cloud([0, 0, 1], opacity=1.0, scale=0.5), cloud([0, 0, 1e20])]
    everything = Gaussians(*(np.concatenate([getattr(part, field) for part in (good, *bad)]) for field in FIELDS))
    rendering, gradients = differentiate(tensors(everything), CameraBatch.of([front_camera(32, 24)]), exact)
    assert torch.isfinite(rendering.color).all()
    assert torch.isfinite(rendering.alpha).all()
    for name, gradient in zip(FIELDS, gradients, strict=True):
        assert torch.isfinite(gradient).all(), name
    assert not gradients[0][0, 100:102].any()  # behind the camera, and in its plane


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty_pictures(dtype):
    cameras = CameraBatch.of([front_camera(12, 10)])
    for gaussians in (cloud([0, 0, -1]), cloud([1000, 0, 1]), cloud([0, 0, 1], opacity=0.0), cloud(np.zeros((0, 3)))):
        rendering, gradients = differentiate(tensors(gaussians, dtype), cameras)
        assert rendering.color.shape == (1, 3, 10, 12)
        assert rendering.color.dtype == dtype
        assert not rendering.color.any()
        assert not rendering.alpha.any()
        assert not any(gradient.any() for gradient in gradients[:4])


def test_a_batch_is_its_samples(generator):
    """To the bit, in pictures and gradients."""
    views = [orbit_camera(yaw, 0.1, 50, 40, 1.0, np.zeros(3), 22) for yaw in (0.0, 0.5, -2.0)]
    singles = [tensors(random_cloud(generator, 77)) for _ in views]
    batch = [torch.cat(fields).detach().requires_grad_() for fields in zip(*singles, strict=True)]
    cameras = CameraBatch.of(views)
    upstream, upstream_alpha = torch.randn(3, 3, 40, 50), torch.randn(3, 1, 40, 50)
    together = rasterize(*batch, cameras)
    gradients = torch.autograd.grad((together.color, together.alpha), batch, (upstream, upstream_alpha))
    for b, inputs in enumerate(singles):
        alone = rasterize(*inputs, CameraBatch.of(views[b:b + 1]))
        assert torch.equal(alone.color[0], together.color[b])
        assert torch.equal(alone.alpha[0], together.alpha[b])
        expected = torch.autograd.grad((alone.color, alone.alpha), inputs, (upstream[b:b + 1], upstream_alpha[b:b + 1]))
        for gradient, one in zip(gradients, expected, strict=True):
            assert torch.equal(gradient[b], one[0])


def test_two_runs_agree_to_the_bit(generator):
    gaussians = random_cloud(generator, 500)
    runs = [differentiate(tensors(gaussians), CameraBatch.of([VIEW])) for _ in range(2)]
    assert torch.equal(runs[0][0].color, runs[1][0].color)
    assert all(torch.equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))


def test_two_graphs_at_once_and_a_second_backward_pass(generator):
    """Calls do not share memory, and a graph that is kept can be used again."""
    first, second = (tensors(random_cloud(generator, 90)) for _ in range(2))
    cameras = CameraBatch.of([VIEW])
    _, expected = differentiate(first, cameras, alpha=False)
    weights = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    kept = rasterize(*first, cameras)
    differentiate(second, cameras)
    for _ in range(2):
        gradients = torch.autograd.grad(kept.color, first, weights, retain_graph=True)
        assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))


def test_some_inputs_without_gradient_and_strange_layouts(generator):
    inputs = tensors(random_cloud(generator, 50))
    cameras = CameraBatch.of([VIEW])
    _, expected = differentiate(inputs, cameras)
    strided = [torch.stack([field.detach()] * 2, -1)[..., 0] for field in inputs]
    strided[0].requires_grad_()
    rendering, (gradient,) = differentiate_one(strided, cameras)
    assert torch.equal(gradient, expected[0])
    with torch.no_grad():
        again = rasterize(*inputs, cameras)
    assert not again.color.requires_grad
    assert torch.equal(again.color, rendering.color)
    rasterize(*inputs, cameras).color.sum().backward()  # an upstream gradient that is one number, expanded


def differentiate_one(inputs, cameras):
    rendering = rasterize(*inputs, cameras)
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(picture.shape, generator=random, dtype=torch.float64).float()
               for picture in (rendering.color, rendering.alpha)]
    return rendering, torch.autograd.grad((rendering.color, rendering.alpha), inputs[:1], weights)


def test_half_precision_is_drawn_in_single(generator):
    inputs = [field.detach().to(torch.bfloat16).requires_grad_() for field in tensors(random_cloud(generator, 40))]
    rendering = rasterize(*inputs, CameraBatch.of([VIEW]))
    assert rendering.color.dtype == torch.float32
    rendering.color.sum().backward()
    assert inputs[0].grad.dtype == torch.bfloat16


def test_over_a_background():
    rendering = Rendering(torch.full((2, 3, 4, 5), 0.25), torch.full((2, 1, 4, 5), 0.5))
    torch.testing.assert_close(rendering.over(torch.tensor([1.0, 0.0, 0.5]).reshape(3, 1, 1))[1, :, 0, 0],
                               torch.tensor([0.75, 0.25, 0.5]))


def test_gsplat_is_called_by_its_conventions(generator):
    """With the dense path in gsplat's place: cameras, order of arguments, layout of the result, batches."""
    def stand_in(means, quats, scales, opacities, colors, viewmats, Ks, width, height, *, near_plane, eps2d, packed,
                 rasterize_mode):
        assert (near_plane, eps2d, packed, rasterize_mode) == (0.01, 0.3, False, "antialiased")
        (k,), (view,) = Ks.transpose(0, 1), viewmats.transpose(0, 1)  # one camera for each cloud
        intrinsics = torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], -1)
        color, alpha = rasterize_dense(means, scales, quats, colors, opacities, CameraBatch(view, intrinsics, width, height))
        return color.permute(0, 2, 3, 1)[:, None], alpha.permute(0, 2, 3, 1)[:, None], {}

    views = [orbit_camera(yaw, 0.1, 20, 16, 1.0, np.zeros(3), 22) for yaw in (0.0, 0.5)]
    inputs = [torch.cat(fields) for fields in zip(*(tensors(random_cloud(generator, 30)) for _ in views), strict=True)]
    color, alpha = rasterize_gsplat(*inputs, CameraBatch.of(views), stand_in)
    expected = rasterize_dense(*inputs, CameraBatch.of(views))
    torch.testing.assert_close(color, expected[0])
    torch.testing.assert_close(alpha, expected[1])
    empty = [field[:, :0] for field in inputs]
    assert not any(picture.any() for picture in rasterize_gsplat(*empty, CameraBatch.of(views), stand_in))


def test_shapes_that_do_not_fit(generator):
    inputs = tensors(random_cloud(generator, 10))
    cameras = CameraBatch.of([VIEW])
    for number, wrong in ((0, inputs[0][:, :5]), (2, inputs[2][..., :3]), (3, inputs[3][0]), (4, inputs[4][..., None])):
        changed = [wrong if k == number else field for k, field in enumerate(inputs)]
        with pytest.raises(ValueError, match="of shape"):
            rasterize(*changed, cameras)
    with pytest.raises(ValueError, match="cameras for"):
        rasterize(*inputs, CameraBatch.of([VIEW, VIEW]))
    with pytest.raises(ValueError, match="one type"):
        rasterize(inputs[0].double(), *inputs[1:], cameras)
    with pytest.raises(ValueError, match="of type"):
        rasterize(*(field.int() for field in inputs), cameras)
    with pytest.raises(ValueError, match="one size"):
        CameraBatch.of([VIEW, front_camera(3, 3)])
    with pytest.raises(ValueError, match="pixels"):
        CameraBatch(torch.zeros(1, 4, 4), torch.zeros(1, 4), 0, 4)
    with pytest.raises(ValueError, match="longest side"):
        rasterize(*inputs, CameraBatch(torch.eye(4)[None], torch.ones(1, 4), 5000, 4))


def test_the_benchmark_measures():
    times = measure_rasterizer(16, 64, repeats=2)
    assert 0 < times.forward_ms + times.backward_ms <= times.total_ms + 1e-9
