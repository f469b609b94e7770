"""The CPU renderer: buffers, stages, timing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
from core.render.cpu.project import BLOCK, SPLAT_FLOATS, pack_camera, project
from core.render.cpu.simd import LANES
from core.render.cpu.sort_bin import DEPTH_BINS, sort_and_bin
from core.render.reference import ALPHA_MIN
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, Gaussians

CACHE_LINE = 64  # bytes


def aligned_floats(count: int) -> NDArray[np.float32]:
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


class CpuRenderer:
    """`Renderer` that rasterises on one core (two with a helper thread) with 16-lane kernels."""

    name = "cpu"

    def __init__(self, threads: int = 1) -> None:
        self.stats = RenderStats()
        self._reserve(1024, 0)
        self._histogram = np.zeros(DEPTH_BINS + 1, np.int32)
        self._workspace = make_workspace()
        self._depth_range = np.zeros(2, np.int64)

    def _reserve(self, gaussian_count: int, tile_count: int) -> None:
        padded = -(-gaussian_count // LANES) * LANES
        self._splats = aligned_floats(padded * SPLAT_FLOATS)
        self._depths = np.empty(padded, np.uint32)
        self._boxes = np.empty(padded, np.uint32)
        self._order = np.empty(padded, np.int32)
        self._entries = np.zeros(2 * padded + PREFETCH_DISTANCE, np.int32)

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        width, height, count = camera.width, camera.height, len(gaussians)
        if count > len(self._boxes):
            self._reserve(count, 0)
        columns, rows = -(-width // TILE_WIDTH), -(-height // TILE_HEIGHT)
        starts = np.empty(columns * rows + 1, np.int32)
        cursors = np.empty(columns * rows, np.int32)
        clock = StageClock()
        project(gaussians.xyz.reshape(-1), gaussians.scale.reshape(-1), gaussians.quat.reshape(-1), gaussians.rgb.reshape(-1),
                gaussians.opacity, pack_camera(camera), ALPHA_MIN, TILE_WIDTH, TILE_HEIGHT, self._splats, self._depths,
                self._boxes, self._depth_range)
        project_ms = clock.lap()
        while True:
            total = sort_and_bin(self._depths, self._boxes, count, self._depth_range, columns, self._histogram, self._order,
                                 starts, cursors, self._entries[:-PREFETCH_DISTANCE])
            if total <= len(self._entries) - PREFETCH_DISTANCE:
                break
            self._entries = np.zeros(total * 3 // 2 + PREFETCH_DISTANCE, np.int32)
        sort_ms = clock.lap()
        picture = np.empty(height * width, np.uint32)
        behind = np.array(background if background is not None else (0, 0, 0), np.float32)
        blend_tiles(self._splats, starts, self._entries, 0, columns * rows, columns, width, height, ALPHA_MIN, behind,
                    self._workspace, picture)
        self.stats = RenderStats(project_ms, sort_ms, clock.lap(), count)
        return picture.view(np.uint8).reshape(height, width, 4)

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        pass
