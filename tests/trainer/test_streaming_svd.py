"""Streaming singular vectors against NumPy's, and what they need of memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from trainer.streaming_svd import Spool, streaming_svd


def matrix(rng, rows: int, columns: int, decay: float) -> np.ndarray:
    """Singular values fall like 1/k^decay; not centred."""
    size = min(rows, columns)
    left, _ = np.linalg.qr(rng.standard_normal((rows, size)))
    right, _ = np.linalg.qr(rng.standard_normal((columns, size)))
    return ((left * np.arange(1, size + 1.0) ** -decay) @ right.T).astype(np.float32)


def in_chunks(*matrices, rows: int = 37):
    def passes():
        for start in range(0, len(matrices[0]), rows):
            yield tuple(part[start:start + rows] for part in matrices)
    return passes


@pytest.mark.parametrize(("decay", "power"), [(1.5, 1), (0.7, 2)])
def test_subspace_and_values_are_numpy_s(decay, power):
    """The basis holds as much energy as the best one to 1 %, and the leading vectors are the same."""
    x = matrix(np.random.default_rng(0), 300, 500, decay)
    found, = streaming_svd(in_chunks(x), (20,), power=power)
    _, singular, right = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(20), atol=2e-5)
    np.testing.assert_allclose(found.energy, np.square(x, dtype=np.float64).sum(), rtol=1e-5)
    np.testing.assert_allclose(found.singular, singular[:20], rtol=0.01)
    rest = np.square(x - x @ found.vectors.T @ found.vectors).sum()
    best = np.square(singular[20:]).sum()
    assert best * (1 - 1e-3) < rest < 1.01 * best
    cosines = np.linalg.svd(found.vectors[:8] @ right[:12].T)[1]
    assert cosines.min() > 0.999


def test_rank_and_nothing_at_all():
    rng = np.random.default_rng(1)
    thin = (rng.standard_normal((90, 5)) @ rng.standard_normal((5, 60))).astype(np.float32)
    narrow, nothing = rng.standard_normal((90, 3)).astype(np.float32), np.zeros((90, 40), np.float32)
    found = streaming_svd(in_chunks(thin, narrow, nothing, thin), (12, 12, 12, 0))
    assert [len(part.vectors) for part in found] == [5, 3, 0, 0]
    np.testing.assert_allclose(thin @ found[0].vectors.T @ found[0].vectors, thin, atol=1e-4)
    assert found[2].energy == 0


def test_the_same_seed_gives_the_same_basis():
    x = matrix(np.random.default_rng(2), 120, 80, 1.0)
    first, second = (streaming_svd(in_chunks(x), (6,), seed=4)[0] for _ in range(2))
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Ten times the rows need the same: at most six sketches (K + 16 rows each) and a few chunks."""
    columns, count, chunk = 20_000, 8, 10
    rng = np.random.default_rng(3)
    base = rng.standard_normal((3, columns)).astype(np.float32)

    def peak(rows: int) -> int:
        def made():
            for _ in range(0, rows, chunk):
                yield (rng.standard_normal((chunk, 3)).astype(np.float32) @ base,)

        tracemalloc.start()
        with Spool(made(), tmp_path) as spool:
            found, = streaming_svd(spool, (count,))
            assert len(found.vectors) == 3
            assert spool.nbytes == rows * columns * 2
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    small, large = peak(100), peak(1000)
    assert large < 1.1 * small
    assert large < 6 * (count + 16) * columns * 4 + 8 * chunk * columns * 4


def test_a_spool_plays_what_it_recorded(tmp_path):
    rng = np.random.default_rng(5)
    chunks = [(rng.standard_normal((n, 7)).astype(np.float32), rng.standard_normal((n, 2)).astype(np.float32)) for n in (3, 1, 4)]
    with Spool(iter(chunks), tmp_path, np.float32) as spool:
        for _ in range(3):
            for got, wanted in zip(spool(), chunks, strict=True):
                for one, other in zip(got, wanted, strict=True):
                    np.testing.assert_array_equal(one, other)
    assert list(tmp_path.iterdir()) == []
