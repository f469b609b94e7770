"""The container of an avatar pack: a zip archive with stored entries, read without trusting it.

Everything that could hurt is checked against the central directory before a single entry is read: names, links,
encryption, compression, counts and sizes. Entries are then checked against the sizes and hashes of the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from core.assets import write_atomically
from core.errors import OutputError, PackError

MANIFEST_NAME = "manifest.json"
MAX_ENTRIES = 4096
MAX_MANIFEST_BYTES = 1 << 20
MAX_TOTAL_BYTES = 4 << 30
MAX_NAME_LENGTH = 160

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.(json|safetensors|png)")
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1


def read_archive(path: Path) -> tuple[dict, dict[str, bytes]]:
    """Manifest and entries of a pack file.

    Args:
        path: the ``.agora`` file.

    Returns:
        the manifest as plain JSON values and the bytes of every other entry by name.

    Raises:
        PackError: the file cannot be read, is damaged, or holds something a pack must not hold.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PackError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_directory(path, infos, len(data))
            contents = {info.filename: archive.read(info) for info in infos}
    except PackError:
        raise
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise PackError(f"{path}: not an avatar pack, or damaged ({error})") from error
    manifest = _parse_manifest(path, contents.pop(MANIFEST_NAME))
    return manifest, contents


def check_entries(path: Path, declared: Mapping[str, Mapping], contents: Mapping[str, bytes]) -> None:
    """Compares entries with the sizes and SHA-256 sums that the manifest declares.

    Raises:
        PackError: an entry is missing, undeclared or not what was written.
    """
    for name in contents:
        if name not in declared:
            raise PackError(f"{path}: entry '{name}' is not declared in the manifest")
    for name, expected in declared.items():
        if name not in contents:
            raise PackError(f"{path}: entry '{name}' is missing")
        if len(contents[name]) != expected.get("size"):
            raise PackError(f"{path}: entry '{name}' has the wrong size")
        if hashlib.sha256(contents[name]).hexdigest() != expected.get("sha256"):
            raise PackError(f"{path}: entry '{name}' was changed after it was written (checksum does not match)")


def describe_entries(contents: Mapping[str, bytes]) -> dict[str, dict]:
    """Sizes and SHA-256 sums of entries, as the manifest declares them."""
    return {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(contents.items())}


def write_archive(path: Path, manifest: Mapping, contents: Mapping[str, bytes]) -> None:
    """Writes a pack atomically; the same input gives the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [(MANIFEST_NAME, text.encode()), *sorted(contents.items())]:
            if not is_safe_name(name):
                raise OutputError(f"{path}: '{name}' is not a valid entry name")
            info = zipfile.ZipInfo(name, _FIXED_DATE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def is_safe_name(name: str) -> bool:
    """Whether an entry name is relative, plain and of a kind that cannot execute."""
    return len(name) <= MAX_NAME_LENGTH and _SAFE_NAME.fullmatch(name) is not None


def _check_directory(path: Path, infos: list[zipfile.ZipInfo], file_size: int) -> None:
    """Refuses archives by what their central directory says, before anything is read."""
    if len(infos) > MAX_ENTRIES:
        raise PackError(f"{path}: holds {len(infos)} entries, at most {MAX_ENTRIES} are allowed")
    seen: set[str] = set()
    for info in infos:
        name = info.orig_filename
        if not is_safe_name(name) or name != info.filename:
            raise PackError(f"{path}: unsafe entry name {name[:80]!r}")
        if name.lower() in seen:
            raise PackError(f"{path}: entry '{name}' occurs twice")
        seen.add(name.lower())
        file_type = stat.S_IFMT(info.external_attr >> 16)
        if file_type not in (0, stat.S_IFREG):
            raise PackError(f"{path}: entry '{name}' is a link or a special file")
        if info.flag_bits & _ENCRYPTED:
            raise PackError(f"{path}: entry '{name}' is encrypted")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise PackError(f"{path}: entry '{name}' is compressed, packs store their entries")
    total = sum(info.file_size for info in infos)
    if total > min(MAX_TOTAL_BYTES, file_size):
        raise PackError(f"{path}: entries claim {total} bytes, more than the file can hold")
    manifest = next((info for info in infos if info.filename == MANIFEST_NAME), None)
    if manifest is None:
        raise PackError(f"{path}: not an avatar pack, it has no {MANIFEST_NAME}")
    if manifest.file_size > MAX_MANIFEST_BYTES:
        raise PackError(f"{path}: {MANIFEST_NAME} is too large")


def _parse_manifest(path: Path, data: bytes) -> dict:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackError(f"{path}: {MANIFEST_NAME} is not valid JSON") from error
    if not isinstance(manifest, dict):
        raise PackError(f"{path}: {MANIFEST_NAME} is not a JSON object")
    return manifest
