"""Golden data made with the published network code; tests that use it skip when it is absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    if not GOLDEN.is_dir():
        pytest.skip("the golden data is not here")
    return GOLDEN


@pytest.fixture(scope="session")
def checkpoint(golden_folder):
    from trainer.official_checkpoint import read_official_checkpoint

    return read_official_checkpoint(golden_folder / "official_small.pkl")


def load_arrays(path: Path, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]).to(device) for name in archive.files}


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def device(request) -> torch.device:
    """Where the published values must come out; on a graphics processor in full float32."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA graphics processor")
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield torch.device(request.param)
    torch.backends.cudnn.allow_tf32 = before
