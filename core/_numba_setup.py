"""Settings of the numba compiler, which it reads from the environment when it is first imported.

Two of them matter. LLVM keeps to 256-bit vectors on processors that have 512-bit ones, which costs our kernels about a
third of their speed; and the compiled kernels are kept in the user's cache folder, so that an installation in a read-only
place starts quickly too. Whatever the user has set in the environment stays.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

NARROW_VECTORS = "prefer-256-bit"


def configure_numba() -> None:
    """Set numba's vector width and cache folder. Does nothing that needs numba, and nothing when numba is absent."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        folder = kernel_cache_folder()
        if folder is not None:
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "NUMBA_CPU_NAME" not in os.environ and "NUMBA_CPU_FEATURES" not in os.environ:
        processor = wide_vector_processor()
        if processor is not None:
            os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"] = processor


def kernel_cache_folder() -> Path | None:
    """Where compiled kernels are kept, or None to leave numba its default (beside the source files).

    numba compiles a kernel anew when its own file changes, but not when a file does from which it takes an operation or a
    constant. The renderer's kernels share such files, so the folder's name follows from their contents.
    """
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return None
    digest = hashlib.sha256()
    for source in sorted((Path(__file__).parent / "render").rglob("*.py")):
        digest.update(source.read_bytes())
    return Path(user_cache_path("agora-live")) / "kernels" / digest.hexdigest()[:12]


def wide_vector_processor() -> tuple[str, str] | None:
    """This processor's name and features as numba wants them, with full-width vectors allowed; None where it has none."""
    try:
        from llvmlite import binding
    except ImportError:
        return None
    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know how to ask this processor
        return None
    if not features.get("avx512f", False):
        return None
    return binding.get_host_cpu_name(), f"{features.flatten()},-{NARROW_VECTORS}"
