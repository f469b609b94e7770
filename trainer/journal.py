"""What a training leaves behind to look at: numbers in the run's log and in TensorBoard, events, and grids of samples as PNG."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.assets import write_atomically
from core.run_folder import LogRecord, RunFolder

log = logging.getLogger(__name__)


class Journal:
    """The journal of one run; for the main process only. A context manager.

    It never stops a training: what cannot be written is left out, and the first such failure is logged as a warning.

    Attributes:
        problem: why something could not be written, empty when all could.
    """

    def __init__(self, run: RunFolder, *, start: int | None = None, seconds: float = 2.0, tensorboard: bool = True,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Open the journal.

        Args:
            start: training pictures shown when an earlier training goes on; what TensorBoard has of later ones is hidden.
            seconds: numbers are written at most this often, as means over the time between.
            tensorboard: whether to write for TensorBoard too; without its package this does nothing.
        """
        self.run = run
        self.problem = ""
        self._seconds, self._clock = seconds, clock
        self._written: float | None = None
        self._sums: dict[str, tuple[float, int]] = {}
        self._latest: tuple[tuple[str, float], ...] = ()
        self._board = _open_board(str(run.tensorboard), start) if tensorboard else None
        self._shows = tensorboard

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def latest(self) -> tuple[tuple[str, float], ...]:
        """The numbers written last."""
        return self._latest

    def numbers(self, images: int, values: Iterable[tuple[str, float]], phase: str = "") -> bool:
        """Note (name, value) pairs of one step; returns whether the means since the last writing were written now."""
        for name, value in values:
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + float(value), count + 1
        now = self._clock()
        if self._written is not None and now - self._written < self._seconds:
            return False
        self._written = now
        self.flush(images, phase)
        return True

    def flush(self, images: int, phase: str = "") -> None:
        """Write the means of what was noted since the last writing."""
        if not self._sums:
            return
        self._latest = tuple((name, total / count) for name, (total, count) in self._sums.items())
        self._sums.clear()
        self._try(lambda: self.run.append_log(LogRecord("numbers", images, phase, self._latest)))
        for name, value in self._latest:
            self._show(lambda board, name=name, value=value: board.add_scalar(name, value, images))

    def event(self, kind: str, images: int, text: str, phase: str = "", values: Iterable[tuple[str, float]] = ()) -> None:
        """Note something that happened; kind "resume" is for going on from a checkpoint of `images`."""
        pairs = tuple((name, float(value)) for name, value in values)
        self._try(lambda: self.run.append_log(LogRecord(kind, images, phase, pairs, text)))
        for name, value in pairs:
            self._show(lambda board, name=name, value=value: board.add_scalar(name, value, images))
        self._show(lambda board: board.add_text(kind, text, images))

    def went_back(self, images: int, text: str, phase: str = "") -> None:
        """Note that the training goes on from an earlier number of pictures; what came after it is hidden."""
        self._sums.clear()
        self.close()
        self._board = _open_board(str(self.run.tensorboard), images) if self._shows else None
        self.event("resume", images, text, phase)

    def samples(self, images: int, pictures: Tensor, columns: int = 0) -> None:
        """Write a grid of pictures.

        Args:
            pictures: [B, 3 or 1, H, W], 0..1.
            columns: of the grid; 0: about as many as rows.
        """
        grid = sample_grid(pictures, columns)
        content = io.BytesIO()
        Image.fromarray(grid).save(content, "PNG")
        self._try(lambda: write_atomically(self.run.sample_file(images), content.getvalue()))
        self._show(lambda board: board.add_image("samples", grid, images, dataformats="HWC"))

    def close(self) -> None:
        """Finish TensorBoard's file. Numbers that were noted and not written are given to `flush` before."""
        self._show(lambda board: board.close())
        self._board = None

    def _show(self, action: Callable[[Any], None]) -> None:
        board = self._board
        if board is not None:
            self._try(lambda: action(board))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            if not self.problem:
                log.warning("the journal of %s is incomplete: %s", self.run.path, error)
            self.problem = str(error)


def sample_grid(pictures: Tensor, columns: int = 0) -> NDArray[np.uint8]:
    """Pictures [B, 3 or 1, H, W] of 0..1 side by side, row by row; empty places are black. Returns uint8 [H', W', 3].

    What is not a number becomes black, so that a broken network can be seen.
    """
    count, _, height, width = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    values = torch.nan_to_num(pictures.detach().to("cpu", torch.float32), nan=0.0).clamp(0, 1)
    bytes_ = (values * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).expand(count, height, width, 3)
    grid = np.zeros((rows * columns, height, width, 3), np.uint8)
    grid[:count] = bytes_.numpy()
    return np.ascontiguousarray(grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(
        rows * height, columns * width, 3))


def _open_board(folder: str, start: int | None) -> Any:
    """TensorBoard's writer, None where it is not installed or its folder cannot be made."""
    try:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(folder, purge_step=start, flush_secs=30)
    except (ImportError, OSError) as error:
        log.info("no TensorBoard: %s", error)
        return None
