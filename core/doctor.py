"""What works on this machine, and the mending step for what does not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from core import assets
from core.errors import AgoraError

MINIMUM_FREE_BYTES = 500 * 1024**2


class Health(Enum):
    """How a check came out; only BROKEN keeps the program from doing its work."""

    OK = "ok"
    LIMITED = "limited"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """The outcome of one check: what was looked at, how it is, and what mends it."""

    name: str
    health: Health
    detail: str
    mend: str = ""


def run_checks() -> list[Check]:
    """Look at everything the program uses. A check that itself fails is reported, never raised."""
    return [_guarded(name, probe) for name, probe in PROBES.items()]


def _guarded(name: str, probe: Callable[[], Check]) -> Check:
    try:
        return probe()
    except AgoraError as error:
        return Check(name, Health.BROKEN, error.message, error.hint)
    except Exception as error:  # a check must never take the report down with it
        return Check(name, Health.BROKEN, f"{type(error).__name__}: {error}")


def _python() -> Check:
    return Check("python", Health.OK, f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")


def _packages() -> Check:
    names = ("numpy", "numba", "scipy", "mediapipe", "av", "safetensors", "torch", "PySide6")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return Check("packages", Health.OK, ", ".join(versions))


def _opencv() -> Check:
    """Two OpenCV packages overwrite each other's cv2 folder."""
    wanted = "opencv-contrib-python"
    found = sorted({d.metadata["Name"] for d in importlib.metadata.distributions()
                    if (d.metadata["Name"] or "").lower().startswith("opencv")})
    if found == [wanted]:
        return Check("opencv", Health.OK, f"{wanted} {importlib.metadata.version(wanted)}, the only one")
    others = " ".join(name for name in found if name != wanted)
    return Check("opencv", Health.LIMITED, f"installed side by side: {', '.join(found)}",
                 f"{sys.executable} -m pip uninstall -y {others} && {sys.executable} -m pip install --force-reinstall {wanted}")


def _libraries() -> Check:
    import system_libraries

    missing = system_libraries.missing()
    if not missing:
        return Check("system libraries", Health.OK, "all there")
    broken = any(library.needed_for not in ("the window", "the microphone") for library in missing)
    uses = ", ".join(dict.fromkeys(library.needed_for for library in missing))
    return Check("system libraries", Health.BROKEN if broken else Health.LIMITED, f"missing for {uses}",
                 system_libraries.install_command([library.package for library in missing]))


def _landmark_model() -> Check:
    return Check("landmark model", Health.OK, str(assets.landmarker_model_path()))


def _head_model() -> Check:
    from core.head.library import load_open_head

    head = load_open_head()
    detail = f"{head.name}, {len(head.v_template)} vertices, {len(head.expression_names)} expressions"
    return Check("head model", Health.OK, detail)


def _storage() -> Check:
    folder = assets.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return Check("storage", Health.BROKEN, f"{folder} is not writable", "set AGORA_CACHE to a folder of yours")
    free = shutil.disk_usage(folder).free
    health = Health.OK if free > MINIMUM_FREE_BYTES else Health.LIMITED
    return Check("storage", health, f"{free / 1024**3:.1f} GB free at {folder}", "" if health is Health.OK else "free some space")


def has_display() -> bool:
    """Whether a window could open. Only Linux machines go without."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _display() -> Check:
    if has_display():
        return Check("display", Health.OK, "there is one")
    return Check("display", Health.LIMITED, "none: videos can be made, the window cannot open")


def _graphics() -> Check:
    """What the renderer setting "auto" takes. A machine without a graphics processor is served well: that is no defect."""
    from core.avatar.backend_choice import open_backend

    backend = open_backend("auto")
    description = backend.description
    backend.close()
    return Check("graphics", Health.OK, f"drawn by {description}")


PROBES: dict[str, Callable[[], Check]] = {
    "python": _python,
    "packages": _packages,
    "opencv": _opencv,
    "system libraries": _libraries,
    "landmark model": _landmark_model,
    "head model": _head_model,
    "storage": _storage,
    "display": _display,
    "graphics": _graphics,
}
