"""The network of the published FID, when the user has it: a TorchScript file that takes 8-bit pictures. It is never fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.types import FloatArray

WHITE = 1.0
"""What pictures are laid on before it looks at them, as published (AGORA, specification 10)."""
_BATCH = 50
_HINT = "the file is inception-2015-12-05.pt, TorchScript, as its authors publish it; without --inception there is no FID"


def load_inception(path: Path) -> Callable[[Tensor], FloatArray]:
    """A function from pictures [n, 3, S, S] uint8 to features [n, D].

    Raises:
        InputError: missing, no TorchScript, or of another interface.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist", _HINT)
    try:
        network = torch.jit.load(path, map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path} is no TorchScript file", _HINT) from error

    @torch.no_grad()
    def look(pictures: Tensor) -> FloatArray:
        try:
            return np.concatenate([_features(network, batch) for batch in pictures.split(_BATCH)])
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path} does not take 8-bit pictures [n, 3, height, width]", _HINT) from error

    return look


def _features(network: torch.jit.ScriptModule, batch: Tensor) -> FloatArray:
    names = [argument.name for argument in network.forward.schema.arguments]
    out = network(batch, return_features=True) if "return_features" in names else network(batch)
    return out.flatten(1).float().numpy()
