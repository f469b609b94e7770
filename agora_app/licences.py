"""The licences of the program and of what it stands on: our own list, texts that ship with it, texts that libraries bring."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import qVersion

from core.assets import resource
from core.version import VERSION

_ROOT = resource("").parent
_OWN = ("LICENCE", "LICENSE", "COPYING", "NOTICE")
LIBRARIES = ("mediapipe", "numpy", "scipy", "numba", "llvmlite", "torch", "av", "pillow", "opencv-contrib-python", "PySide6",
             "pyqtgraph", "vispy", "PyOpenGL", "safetensors", "lightning-fabric", "tensorboard", "platformdirs", "tyro",
             "tqdm", "pydantic", "psutil", "sounddevice",
             "cv2-enumerate-cameras", "python-osc", "superqt", "QtAwesome", "pyvirtualcam", "gsplat")


@dataclass(frozen=True)
class Text:
    """Something to read.

    Attributes:
        title: for a list.
        read: the text; may take a moment.
        markdown: whether it is formatted so.
    """

    title: str
    read: Callable[[], str]
    markdown: bool = False


def texts() -> list[Text]:
    """Everything there is to read about licences, the overview first."""
    found = [Text("Third-party material", lambda: _file(_ROOT / "THIRD_PARTY.md"), markdown=True),
             Text("AGORA live (Apache-2.0)", lambda: _file(_ROOT / "LICENSE"))]
    found += [Text(path.stem, lambda path=path: _file(path)) for path in sorted(resource("licences").glob("*.txt"))]
    found += [Text(name, lambda name=name: library_text(name)) for name in LIBRARIES if _version(name)]
    return found


def library_text(name: str) -> str:
    """The licence files that an installed library brings; what its description says when it brings none."""
    distribution = importlib.metadata.distribution(name)
    files = [file for file in distribution.files or () if _is_licence(file)]
    parts = [_file(Path(str(file.locate()))) for file in files]
    if not parts:
        metadata = distribution.metadata
        stated = metadata.get("License-Expression") or metadata.get("License") or "not stated"
        parts = [f"{name} {distribution.version}\n\nLicence: {stated}\n\n{metadata.get('Home-page') or ''}".strip()]
    return "\n\n---\n\n".join(part.strip() for part in parts)


def versions(renderer: str = "") -> list[tuple[str, str]]:
    """What this program is made of, as (name, version)."""
    rows = [("AGORA live", VERSION), ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
            ("Qt", f"{qVersion()} (PySide6 {_version('PySide6')})"), ("FFmpeg", _ffmpeg()), ("MediaPipe", _version("mediapipe")),
            ("NumPy", _version("numpy")), ("Numba", _version("numba")), ("PyTorch", _version("torch"))]
    return rows + ([("Renderer", renderer)] if renderer else [])


def has_x264() -> bool:
    """Whether the FFmpeg at hand includes the x264 encoder, whose licence is the GPL."""
    from core.media.ffmpeg import av

    return "libx264" in av.codecs_available


def _ffmpeg() -> str:
    from core.media.ffmpeg import av

    return f"{av.ffmpeg_version_info} (PyAV {av.__version__})"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _is_licence(file: importlib.metadata.PackagePath) -> bool:
    """A library's own licence file; those of what it contains in turn lie deeper."""
    shallow = len(file.parts) <= 3 and not {"third_party", "DLLS"} & set(file.parts)
    return shallow and file.suffix.lower() in ("", ".txt", ".md") and file.name.upper().startswith(_OWN)


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
