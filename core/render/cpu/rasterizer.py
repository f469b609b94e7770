"""The CPU renderer: stages, buffers, the helper thread, timing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.render.cpu.blend import (
    BATCH,
    LISTED,
    PREFETCH_DISTANCE,
    TILE_COLUMNS,
    TILE_FLOATS,
    TILE_HEIGHT,
    TILE_ROWS,
    TILE_WIDTH,
    Workspace,
    blend_tiles,
)
from core.render.cpu.helper import Helper
from core.render.cpu.lanes import LANES
from core.render.cpu.project import BLOCK, SPLAT_FLOATS, pack_camera, project
from core.render.cpu.sort_bin import DIGITS, count_tiles, fill_tiles, sort_by_depth
from core.render.reference import ALPHA_MIN
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, FloatArray, Gaussians

CACHE_LINE = 64  # bytes
LARGEST_SIZE = 4096  # pixels; a box of tiles is packed into four bytes


def aligned_floats(count: int) -> FloatArray:
    """An uninitialised float32 array that begins at a cache line, so that no 16-lane access straddles two."""
    raw = np.empty(4 * count + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start:start + 4 * count].view(np.float32)


def make_workspace() -> Workspace:
    """Working memory for one thread of `blend_tiles`."""
    lane = np.arange(LANES)
    pixel_x, pixel_y = aligned_floats(TILE_COLUMNS * LANES), aligned_floats(TILE_ROWS * LANES)
    pixel_x[:] = np.add.outer(BLOCK * np.arange(TILE_COLUMNS), lane % BLOCK).ravel()
    pixel_y[:] = np.add.outer(BLOCK * np.arange(TILE_ROWS), lane // BLOCK).ravel()
    return Workspace(
        state=aligned_floats(TILE_FLOATS), batch=aligned_floats(BATCH * SPLAT_FLOATS), pixel_x=pixel_x, pixel_y=pixel_y,
        live=np.zeros(LANES, np.int32), spans=np.zeros(2 * LANES, np.uint8),
        blocks=np.zeros(LISTED, np.uint8), owners=np.zeros(LISTED, np.uint8))


@dataclass
class _SplatBuffers:
    """What the stages hand on, for up to `capacity` Gaussians; the kernels' docstrings describe the arrays."""

    capacity: int
    splats: NDArray
    depths: NDArray
    boxes: NDArray
    by_low_digit: NDArray
    order: NDArray
    entries: NDArray

    @staticmethod
    def for_count(count: int) -> _SplatBuffers:
        capacity = -(-max(count, 1) // LANES) * LANES
        return _SplatBuffers(capacity, aligned_floats(capacity * SPLAT_FLOATS), np.empty(capacity, np.uint32),
                             np.empty(capacity, np.uint32), np.empty(capacity, np.int64), np.empty(capacity, np.int32),
                             np.zeros(2 * capacity + PREFETCH_DISTANCE, np.int32))


class CpuRenderer:
    """`Renderer` that rasterises on one core, or two, with 16-lane kernels.

    It follows the reference, except that a pixel is finished at a transmittance of 1/1024 instead of 1e-4 (a quarter of an
    8-bit step) and that exp is exact to 1e-4.

    Attributes:
        alpha_min: contributions below it are skipped. The reference's 1/255 is the default; 1/64 is the first rung of a
            ladder of qualities: a fifth faster, about 50 dB.
    """

    name = "cpu"

    def __init__(self, threads: int = 1, alpha_min: float = ALPHA_MIN) -> None:
        self.stats = RenderStats()
        self.alpha_min = alpha_min
        self._buffers, self._spare_buffers = _SplatBuffers.for_count(0), _SplatBuffers.for_count(0)
        self._workspace = make_workspace()
        self._helper = Helper(make_workspace()) if threads > 1 else None

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a picture, as `Renderer.render` says.

        Raises:
            InputError: the picture has no pixels or a side longer than `LARGEST_SIZE`.
        """
        if not (0 < camera.width <= LARGEST_SIZE and 0 < camera.height <= LARGEST_SIZE):
            raise InputError(f"a picture of {camera.width}×{camera.height} pixels cannot be drawn",
                             f"sides of 1 to {LARGEST_SIZE} pixels are possible")
        if len(gaussians) > self._buffers.capacity:
            self._buffers = _SplatBuffers.for_count(len(gaussians))
        clock = StageClock()
        depth_range = self._project(gaussians, camera)
        project_ms = clock.lap()
        starts = self._sort(len(gaussians), camera, depth_range)
        sort_ms = clock.lap()
        picture = self._blend(starts, camera, background)
        self.stats = RenderStats(project_ms, sort_ms, clock.lap(), len(gaussians))
        return picture

    def _project(self, gaussians: Gaussians, camera: Camera) -> NDArray[np.int64]:
        """First stage: fills splats, depths and boxes; returns the range of the depths."""
        buffers, count = self._buffers, len(gaussians)
        depth_range = np.array([np.iinfo(np.int32).max, 0])
        fields = [_kernel_input(field) for field in
                  (gaussians.xyz, gaussians.scale, gaussians.quat, gaussians.rgb, gaussians.opacity)]
        whole = count - count % LANES
        outputs = (pack_camera(camera), self.alpha_min, TILE_WIDTH, TILE_HEIGHT, buffers.splats, buffers.depths, buffers.boxes,
                   depth_range)
        project(*(field[:whole * field.size // max(count, 1)] for field in fields), 0, *outputs)
        if whole < count:
            # The kernel takes sixteen at a time: the rest is padded with Gaussians of opacity 0.
            rest = [np.zeros(LANES * field.size // count, np.float32) for field in fields]
            for padded, field in zip(rest, fields, strict=True):
                tail = field[whole * field.size // count:]
                padded[:len(tail)] = tail
            project(*(_kernel_input(padded) for padded in rest), whole, *outputs)
        return depth_range

    def _sort(self, count: int, camera: Camera, depth_range: NDArray[np.int64]) -> NDArray[np.int32]:
        """Second stage: fills entries; returns where each tile's list begins in them."""
        buffers = self._buffers
        columns, rows = _tile_grid(camera)
        starts = np.empty((columns + 1) * (rows + 1) + 1, np.int32)
        drawn = sort_by_depth(buffers.depths, buffers.boxes, count, depth_range, np.empty(2 * (DIGITS + 1), np.int32),
                              buffers.by_low_digit, buffers.order)
        total = count_tiles(buffers.boxes, count, columns, rows, starts)
        if total + PREFETCH_DISTANCE > len(buffers.entries):
            buffers.entries = np.zeros(total * 5 // 4 + PREFETCH_DISTANCE, np.int32)
        fill_tiles(buffers.boxes, buffers.order, drawn, columns, starts, np.empty(columns * rows + 3, np.int32), buffers.entries)
        return starts

    def _blend(self, starts: NDArray[np.int32], camera: Camera, background: Background) -> NDArray[np.uint8]:
        """Third stage: the picture."""
        columns, rows = _tile_grid(camera)
        behind = np.array(background if background is not None else (0, 0, 0), np.float32)
        inputs = (self._buffers.splats, starts, self._buffers.entries, columns, camera.width, camera.height, self.alpha_min,
                  behind)
        picture = np.empty((camera.height, camera.width), np.uint32)
        ends = np.array([0, columns * rows - 1])
        finished = np.zeros(columns * rows, np.uint8)
        job = self._helper.start(inputs, picture.shape, ends, finished.size) if self._helper else None
        blend_tiles(*inputs, self._workspace, picture.reshape(-1), ends, False, finished)
        if job:
            for tile in np.flatnonzero(finished == 0):
                if job.finished[tile]:
                    _copy_tile(job.picture, picture, tile, columns)
                else:
                    blend_tiles(*inputs, self._workspace, picture.reshape(-1), np.array([tile, tile]), False, finished)
            if not job.done.is_set():
                # The helper is in the middle of a tile and still reads the buffers. It has one job at a time, so two sets do.
                self._buffers, self._spare_buffers = self._spare_buffers, self._buffers
        return picture.view(np.uint8).reshape(camera.height, camera.width, 4)

    def warm_up(self) -> None:
        """Compile the kernels, or load them from the cache. Safe in a background thread, also while this renderer draws."""
        count = LANES + 1
        gaussians = Gaussians(np.zeros((count, 3), np.float32), np.full((count, 3), 0.1, np.float32),
                              np.ones((count, 4), np.float32), np.zeros((count, 3), np.float32), np.ones(count, np.float32))
        world_to_camera = np.eye(4, dtype=np.float32)
        world_to_camera[2, 3] = 1
        CpuRenderer().render(gaussians, Camera(world_to_camera, 16, 16, 8, 8, 16, 16))

    def close(self) -> None:
        """End the helper thread."""
        if self._helper:
            self._helper.stop()
            self._helper = None


def _tile_grid(camera: Camera) -> tuple[int, int]:
    """Columns and rows of tiles that cover the picture."""
    return -(-camera.width // TILE_WIDTH), -(-camera.height // TILE_HEIGHT)


def _kernel_input(field: NDArray) -> FloatArray:
    """A flat, read-only float32 view, whatever came in: numba compiles a kernel anew for each kind of array."""
    flat = np.require(field, np.float32, ["C", "A"]).reshape(-1)
    flat.flags.writeable = False
    return flat


def _copy_tile(source: NDArray[np.uint32], target: NDArray[np.uint32], tile: int, columns: int) -> None:
    top, left = tile // columns * TILE_HEIGHT, tile % columns * TILE_WIDTH
    here = np.s_[top:top + TILE_HEIGHT, left:left + TILE_WIDTH]
    target[here] = source[here]
