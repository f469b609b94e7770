"""How `main.py` is started by the window."""

from __future__ import annotations

import sys

from core.assets import resource

MAIN = resource("").parent / "main.py"
PROGRAM = (sys.executable, str(MAIN))
