"""The rasteriser's kernels as a torch function with a gradient: buffers, stages, saving what the backward pass needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from core.render.cpu.blend import PREFETCH_DISTANCE, TILE_HEIGHT, TILE_WIDTH, TRANSMITTANCE_MIN, Workspace
from core.render.cpu.lanes import LANES
from core.render.cpu.project import BLUE, RED, SPLAT_FLOATS, pack_camera, project
from core.render.cpu.rasterizer import LARGEST_SIZE, aligned_floats
from core.render.cpu.sort_bin import DIGITS, count_tiles, fill_tiles, sort_by_depth
from core.render.reference import ALPHA_MIN
from core.types import Camera, FloatArray
from trainer.rasterize_kernels import GROUP, RECORD_FLOATS, blend_backward, blend_forward, make_blend_workspace
from trainer.rasterize_projection import OPACITY, QUAT, SCALE, XYZ, project_backward

if TYPE_CHECKING:
    from trainer.rasterize import CameraBatch

NEGLIGIBLE_ALPHA = 2.0**-60  # where an exact picture's Gaussians end: far below float32's resolution of any sum


class CutOffs(NamedTuple):
    """What is not drawn: contributions α below `alpha`, and what comes behind a transmittance of `transmittance`."""

    alpha: float
    transmittance: float


DRAWN = CutOffs(ALPHA_MIN, TRANSMITTANCE_MIN)
EXACT = CutOffs(NEGLIGIBLE_ALPHA, 0.0)


def rasterize_cpu(xyz: Tensor, scale: Tensor, quat: Tensor, color: Tensor, opacity: Tensor, cameras: CameraBatch, *,
                  exact: bool = False) -> tuple[Tensor, Tensor]:
    """As `trainer.rasterize.rasterize`, for float32 tensors on the processor, on one thread.

    As the CPU renderer does, it finishes a block of pixels at a transmittance of 1/1024 rather than 1e-4. More than three
    channels of colour are blended three at a time, so four to six cost twice as much.

    Returns:
        Premultiplied colour [B, C, H, W] and coverage [B, 1, H, W].

    Raises:
        ValueError: a side of the picture is longer than `LARGEST_SIZE`.
    """
    if max(cameras.width, cameras.height) > LARGEST_SIZE:
        raise ValueError(f"a picture of {cameras.width}×{cameras.height} pixels; the longest side is {LARGEST_SIZE}")
    world_to_camera = cameras.world_to_camera.detach().cpu().numpy().astype(np.float32)
    views = [Camera(matrix, *map(float, intrinsics), cameras.width, cameras.height)
             for matrix, intrinsics in zip(world_to_camera, cameras.intrinsics.detach().cpu().numpy(), strict=True)]
    return _Rasterize.apply(xyz, scale, quat, color, opacity, views, cameras.width, cameras.height, EXACT if exact else DRAWN)


class _Rasterize(torch.autograd.Function):
    """Forward and backward over a batch, sample by sample; the working memory lives as long as one call's graph."""

    @staticmethod
    def forward(ctx, xyz, scale, quat, color, opacity, views, width, height, cut_offs):
        fields = tuple(field.detach().contiguous() for field in (xyz, scale, quat, color, opacity))
        batch, count, channels = fields[3].shape
        picture = torch.empty(batch, channels, height, width)
        coverage = torch.empty(batch, 1, height, width)
        buffers = SharedBuffers.for_count(count)
        samples = []
        for b, view in enumerate(views):
            gaussians = GaussianArrays(*(field[b].numpy() for field in fields))
            sample = prepare_sample(gaussians, view, cut_offs, buffers)
            draw_sample(sample, gaussians.color, buffers, picture[b].numpy(), coverage[b, 0].numpy())
            samples.append(sample)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*fields, picture, coverage)
            ctx.samples, ctx.buffers = samples, buffers
        return picture, coverage

    @staticmethod
    @once_differentiable
    def backward(ctx, picture_gradient, coverage_gradient):
        *fields, picture, coverage = ctx.saved_tensors
        picture_gradient, coverage_gradient = picture_gradient.contiguous(), coverage_gradient.contiguous()
        gradients = tuple(torch.empty_like(field) for field in fields)
        for b, sample in enumerate(ctx.samples):
            differentiate_sample(
                sample, GaussianArrays(*(field[b].numpy() for field in fields)), ctx.buffers, picture[b].numpy(),
                coverage[b, 0].numpy(), picture_gradient[b].numpy(), coverage_gradient[b, 0].numpy(),
                GaussianArrays(*(gradient[b].numpy() for gradient in gradients)))
        return *gradients, None, None, None, None


class GaussianArrays(NamedTuple):
    """One sample's Gaussians, or their gradients: contiguous float32 [G, 3], [G, 3], [G, 4], [G, C], [G]."""

    xyz: FloatArray
    scale: FloatArray
    quat: FloatArray
    color: FloatArray
    opacity: FloatArray


class Sample(NamedTuple):
    """What one sample's forward pass leaves for its backward pass; the kernels' docstrings describe the arrays."""

    camera: FloatArray
    cut_offs: CutOffs
    columns: int
    width: int
    height: int
    splats: FloatArray
    starts: NDArray[np.int32]
    entries: NDArray[np.int32]


class SharedBuffers(NamedTuple):
    """Working memory that the samples of a batch share."""

    depths: NDArray[np.uint32]
    boxes: NDArray[np.uint32]
    by_low_digit: NDArray[np.int64]
    order: NDArray[np.int32]
    histograms: NDArray[np.int32]
    corner: FloatArray
    second_corner: FloatArray
    records: FloatArray
    blend: Workspace

    @staticmethod
    def for_count(count: int) -> SharedBuffers:
        capacity = _padded(count)
        return SharedBuffers(np.empty(capacity, np.uint32), np.empty(capacity, np.uint32), np.empty(capacity, np.int64),
                             np.empty(capacity, np.int32), np.empty(2 * (DIGITS + 1), np.int32),
                             aligned_floats(LANES * LANES), aligned_floats(LANES * LANES),
                             aligned_floats(capacity * RECORD_FLOATS), make_blend_workspace())


def prepare_sample(gaussians: GaussianArrays, view: Camera, cut_offs: CutOffs, buffers: SharedBuffers) -> Sample:
    """Project the Gaussians and list them per tile, nearest first."""
    count = len(gaussians.opacity)
    camera = pack_camera(view)
    splats = aligned_floats(_padded(count) * SPLAT_FLOATS)
    depth_range = np.array([np.iinfo(np.int32).max, 0])
    inputs = [_padded_input(field) for field in (*gaussians[:3], _color_group(gaussians.color, 0), gaussians.opacity)]
    project(*inputs, 0, camera, cut_offs.alpha, TILE_WIDTH, TILE_HEIGHT, splats, buffers.depths, buffers.boxes, depth_range)

    columns, rows = -(-view.width // TILE_WIDTH), -(-view.height // TILE_HEIGHT)
    starts = np.empty((columns + 1) * (rows + 1) + 1, np.int32)
    drawn = sort_by_depth(buffers.depths, buffers.boxes, count, depth_range, buffers.histograms, buffers.by_low_digit,
                          buffers.order)
    total = count_tiles(buffers.boxes, count, columns, rows, starts)
    entries = np.zeros(total + PREFETCH_DISTANCE, np.int32)
    fill_tiles(buffers.boxes, buffers.order, drawn, columns, starts, np.empty(columns * rows + 3, np.int32), entries)
    return Sample(camera, cut_offs, columns, view.width, view.height, splats, starts, entries)


def draw_sample(sample: Sample, color: FloatArray, buffers: SharedBuffers, picture: FloatArray, coverage: FloatArray) -> None:
    """Blend into picture [C, H, W] and coverage [H, W]."""
    for first in range(0, len(picture), GROUP):
        planes = _plane_group(picture, first)
        _set_colors(sample, color, first)
        blend_forward(*_blend_inputs(sample, buffers), planes.reshape(-1), coverage.reshape(-1))
        if len(picture) - first < GROUP:
            picture[first:first + GROUP] = planes[:len(picture) - first]


def differentiate_sample(sample: Sample, gaussians: GaussianArrays, buffers: SharedBuffers, picture: FloatArray,
                         coverage: FloatArray, picture_gradient: FloatArray, coverage_gradient: FloatArray,
                         gradients: GaussianArrays) -> None:
    """Gradients of one sample.

    Args:
        picture: [C, H, W] and coverage: [H, W], from `draw_sample`; picture_gradient, coverage_gradient: upstream.
        gradients: are written.
    """
    records = buffers.records.reshape(-1, RECORD_FLOATS)
    records[:] = 0
    for first in range(0, len(picture), GROUP):
        _set_colors(sample, gaussians.color, first)
        blend_backward(*_blend_inputs(sample, buffers), _plane_group(picture, first).reshape(-1), coverage.reshape(-1),
                       _plane_group(picture_gradient, first).reshape(-1), coverage_gradient.reshape(-1), buffers.corner,
                       buffers.records)
        present = min(GROUP, len(picture) - first)
        gradients.color[:, first:first + present] = records[:len(gradients.color), RED:RED + present]
        if first + GROUP < len(picture):
            records[:, RED:BLUE + 1] = 0
            coverage_gradient = np.zeros_like(coverage_gradient)  # it is in the sums already, the other channels' is not
    inputs = [_padded_input(field) for field in (*gaussians[:3], gaussians.opacity)]
    project_backward(*inputs, sample.camera, sample.splats, buffers.corner, buffers.second_corner, buffers.records)
    drawn = records[:len(gaussians.opacity)]
    gradients.xyz[:], gradients.scale[:], gradients.quat[:] = drawn[:, XYZ], drawn[:, SCALE], drawn[:, QUAT]
    gradients.opacity[:] = drawn[:, OPACITY]


def _padded(count: int) -> int:
    return -(-max(count, 1) // LANES) * LANES


def _padded_input(field: FloatArray) -> FloatArray:
    """A flat, read-only array for sixteen Gaussians at a time; Gaussians of opacity 0 fill it up."""
    count, padded = len(field), _padded(len(field))
    if count != padded:
        field = np.concatenate([field, np.zeros((padded - count, *field.shape[1:]), np.float32)])
    flat = field.reshape(-1)
    flat.flags.writeable = False
    return flat


def _color_group(color: FloatArray, first: int) -> FloatArray:
    """The three channels from `first` on [G, 3], zero where there are fewer."""
    if color.shape[1] == GROUP:
        return color
    group = np.zeros((len(color), GROUP), np.float32)
    part = color[:, first:first + GROUP]
    group[:, :part.shape[1]] = part
    return group


def _plane_group(picture: FloatArray, first: int) -> FloatArray:
    """The three planes from `first` on [3, H, W]: a view of the picture, or a copy filled up with zeros."""
    part = picture[first:first + GROUP]
    if len(part) == GROUP:
        return part
    group = np.zeros((GROUP, *picture.shape[1:]), np.float32)
    group[:len(part)] = part
    return group


def _set_colors(sample: Sample, color: FloatArray, first: int) -> None:
    """Put the channels from `first` on into the splats; those of the first three come from the projection."""
    if color.shape[1] > GROUP:
        sample.splats.reshape(-1, SPLAT_FLOATS)[:len(color), RED:BLUE + 1] = _color_group(color, first)


def _blend_inputs(sample: Sample, buffers: SharedBuffers) -> tuple:
    return (sample.splats, sample.starts, sample.entries, sample.columns, sample.width, sample.height, sample.cut_offs.alpha,
            sample.cut_offs.transmittance, buffers.blend)
