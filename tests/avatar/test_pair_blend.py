"""The integer blend against the float one, on this processor and compiled for smaller ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.avatar.kernels import BLOCK_ROWS, blend_blocks
from core.avatar.pair_blend import LANES, blend_pairs, interleave_pairs

ROOT = Path(__file__).resolve().parents[2]


def compare(planes_count: int, threshold: float) -> None:
    """Asserts that both blends agree to the rounding of the weights, for wildly different plane strengths."""
    rng = np.random.default_rng(planes_count)
    length = 3 * BLOCK_ROWS
    planes = rng.integers(-127, 128, (3, planes_count, length)).astype(np.int8)
    steps = (10.0 ** rng.uniform(-6, -2, (3, planes_count))).astype(np.float32)
    steps[1] = 0  # a block in which nothing moves
    component = rng.integers(0, 9, planes_count).astype(np.int32)
    coefficients = rng.standard_normal(9).astype(np.float32)
    blocks = np.array([0, 2, 3], np.int32)
    by_float, by_pairs = np.full((2, 5, length), 7, np.float32)
    blend_blocks(planes, steps, component, coefficients, blocks, np.float32(threshold), by_float)
    blend_pairs(interleave_pairs(planes), steps, component, coefficients, blocks, np.float32(threshold),
                np.empty(length, np.int32), by_pairs)
    largest = np.abs(coefficients[component] * steps).max(1)
    allowed = planes_count * 127 * largest / 65534 + 2 * threshold * planes_count + 1e-6
    for b, block in enumerate(blocks):
        assert np.abs(by_float[block] - by_pairs[block]).max() <= allowed[b]
    assert np.abs(by_pairs[2]).max() == 0
    np.testing.assert_array_equal(by_pairs[[1, 4]], 7)


@pytest.mark.skipif(LANES == 0, reason="this processor has no pair multiplication")
@pytest.mark.parametrize("planes_count", [1, 2, 7, 8, 80, 511])
@pytest.mark.parametrize("threshold", [0.0, 1e-3])
def test_pairs_equal_floats(planes_count, threshold):
    compare(planes_count, threshold)


def test_largest_sums_do_not_overflow():
    planes = np.full((1, 512, 64), 127, np.int8)
    out = np.empty((1, 64), np.float32)
    if LANES:
        blend_pairs(interleave_pairs(planes), np.ones((1, 512), np.float32), np.zeros(512, np.int32), np.ones(1, np.float32),
                    np.zeros(1, np.int32), np.float32(0), np.empty(64, np.int32), out)
        np.testing.assert_allclose(out, 127 * 512, rtol=1e-6)


@pytest.mark.skipif(LANES == 0, reason="this processor has no pair multiplication")
@pytest.mark.parametrize(("features", "lanes"), [("+sse4.2,+avx,+avx2,+fma", 8), ("+sse4.2", 0)])
def test_smaller_processors(features, lanes):
    code = (f"from core.avatar import pair_blend; assert pair_blend.LANES == {lanes}, pair_blend.LANES\n"
            "from tests.avatar.test_pair_blend import compare\n"
            "from tests.avatar.conftest import make_sample\n"
            "basis = make_sample('relative').pack.basis[0]; import numpy as np; out = basis.zeros()\n"
            "basis.blend(np.ones(basis.components, np.float32), out)\n"
            "got = out.transpose(0, 2, 1).reshape(-1, basis.channels)[:basis.rows]\n"
            "assert np.abs(got - basis.dense().sum(0)).max() < 1e-5\n"
            + ("compare(7, 0.0)" if lanes else ""))
    environment = os.environ | {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
