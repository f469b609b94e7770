"""Calibrating in a process of its own: a second of array work, of which the live threads shall notice nothing."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection

from core.errors import AgoraError
from core.tracking.calibration import Calibration, calibrate
from core.tracking.landmark_rig import LandmarkRig
from core.types import Landmarks

log = logging.getLogger(__name__)
_NICENESS = 5  # behind the live threads, but not starved: until it is done the average face is fitted
_ENDING_SECONDS = 1.0


def calibrate_apart(rig: LandmarkRig, clip: Sequence[Landmarks], *, head_sha256: str = "",
                    resting: Sequence[int] = ()) -> Calibration:
    """As `core.tracking.calibration.calibrate`, in a child process; in this thread where no process can be started.

    Raises:
        InputError: as `calibrate`.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs,), name="agora-calibration", daemon=True)
    try:
        child.start()
        theirs.close()  # so that a child that dies is noticed
        ours.send((rig, list(clip), head_sha256, list(resting)))
        outcome = ours.recv()
    except (OSError, EOFError) as error:
        log.warning("calibrating in a process of its own failed (%s); doing it here", error)
        return calibrate(rig, clip, head_sha256=head_sha256, resting=resting)
    finally:
        ours.close()
        if child.pid is not None:
            child.join(_ENDING_SECONDS)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _serve(connection: Connection) -> None:
    """The child's work: one calibration, behind everybody else."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    rig, clip, head_sha256, resting = connection.recv()
    try:
        outcome = calibrate(rig, clip, head_sha256=head_sha256, resting=resting)
    except AgoraError as error:
        outcome = error
    connection.send(outcome)
    connection.close()
