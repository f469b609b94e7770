"""Everything the product does without a window. The compiled kernels are set up here, because numba reads its settings once."""

from __future__ import annotations

from core._numba_setup import configure_numba

configure_numba()
