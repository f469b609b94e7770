"""How many threads the libraries below us may start."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def keep_blas_to_one_thread() -> None:
    """From now on NumPy's and SciPy's matrix products use the thread that asks for them.

    Ours are small and asked for by several threads or processes at a time. OpenBLAS gives each a pool as wide as the machine,
    whose members wait by spinning: on 16 cores a dataset took seven times the processor time that it takes with one thread each.
    """
    threadpool_limits(1, user_api="blas")
