"""The random numbers of torch's CUDA generators, computed with numpy: published seeds stay the same people without a GPU.

Torch draws on a GPU with Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). The key is the seed;
of the counter, the first word numbers the calls and the third one the threads. A tensor of up to 2048 numbers has a thread for
each number, which uses the first of the four words, or the first of the four normal numbers, that its thread draws.

The integers are exact: the generator is tested against the known answers of its authors. Normal numbers come from cuRAND's
Box-Muller transform in single precision, whose logarithm, sine and cosine a GPU takes from its fast units: they are tested
to 1e-6 against numbers that others published as a GPU's. `tests/gpu` compares whole draws, and integers between them, with
torch's own; they agreed on an H100.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray

MOST_NUMBERS = 2048  # of one call; every GPU has room for so many threads at a time
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_UNIT = np.float32(2.0**-32)
_TURN = np.float32(2.0**-32) * np.float32(2 * np.pi)


def philox4x32(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of counters [..., 4] under a key of two words -> [..., 4] uint32."""
    c0, c1, c2, c3 = (np.asarray(counter)[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = key
    for _ in range(_ROUNDS):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((second >> _WORD) ^ c1 ^ np.uint64(k0), second & _LOW,
                          (first >> _WORD) ^ c3 ^ np.uint64(k1), first & _LOW)
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], -1).astype(np.uint32)


class CudaRandom:
    """A ``torch.Generator("cuda")`` after ``manual_seed(seed)``.

    Args:
        seed: 0 to 2⁶⁴ − 1.
    """

    def __init__(self, seed: int) -> None:
        self._key = (seed & 0xFFFFFFFF, seed >> 32)
        self._calls = 0

    def normal(self, count: int) -> FloatArray:
        """``torch.randn(count)``, up to `MOST_NUMBERS` of them."""
        words = self._words(count)
        # The multiplication by a power of two is exact and the other one is fused with the addition: rounded once.
        u = (words[:, 0].astype(np.float32).astype(np.float64) * float(_UNIT) + float(_UNIT) / 2).astype(np.float32)
        angle = (words[:, 1].astype(np.float32).astype(np.float64) * float(_TURN) + float(_TURN) / 2).astype(np.float32)
        radius = np.sqrt((-2 * np.log(u.astype(np.float64))).astype(np.float32).clip(0))
        return (radius * np.sin(angle.astype(np.float64)).astype(np.float32)).astype(np.float32)

    def integer(self, bound: int) -> int:
        """``torch.randint(bound, (1,))`` for a bound below 2²⁸."""
        return int(self._words(1)[0, 0]) % bound

    def _words(self, count: int) -> NDArray[np.uint32]:
        """The four words [count, 4] of every thread of the next call."""
        if not 0 < count <= MOST_NUMBERS:
            raise ValueError(f"{count} numbers cannot be drawn at a time")
        counter = np.zeros((count, 4), np.uint32)
        counter[:, 0], counter[:, 2] = self._calls, np.arange(count)
        self._calls += 1
        return philox4x32(counter, self._key)
