"""Machine-readable results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.assets import write_atomically
from core.errors import OutputError
from core.media.formats import require_writable


def check_json_output(path: Path | None) -> None:
    """Raise OutputError when a result could not be written to `path` later."""
    if path is not None:
        require_writable(path)


def write_json(path: Path | None, content: Any) -> None:
    """Write `content`, whole or not at all; nothing without a path. Raises OutputError."""
    if path is None:
        return
    try:
        write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
