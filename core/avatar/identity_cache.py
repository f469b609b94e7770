"""Finished people on disk, so that nobody is built twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from core.assets import write_atomically
from core.avatar.identity import Identity
from core.avatar.pack import AvatarPack, read_identity, stored_identity
from core.errors import PackError

CACHE_BYTES = 1 << 30
_DIGEST_SIZE = 32


class IdentityCache:
    """Finished people on disk. A damaged or foreign file counts as absent; when the folder is full the oldest go.

    Args:
        folder: one per fingerprint; its neighbours share the limit.
        pack: whose rows and latent the people must fit.
        limit: bytes that `folder` and its neighbours may hold together.
    """

    def __init__(self, folder: Path, pack: AvatarPack, limit: int) -> None:
        self._folder, self._pack, self._limit = folder, pack, limit

    def path(self, key: int | str) -> Path:
        """The file of a seed, or of the text of a mix."""
        return self._folder / f"{key}.identity"

    def read(self, key: int | str) -> Identity | None:
        path = self.path(key)
        try:
            data = path.read_bytes()
            if hashlib.sha256(data[_DIGEST_SIZE:]).digest() != data[:_DIGEST_SIZE]:
                return None
            tensors = load(data[_DIGEST_SIZE:])
            about = json.loads(tensors.pop("about").tobytes())
            seed = key if isinstance(key, int) else None
            identity = read_identity(str(path), tensors, self._pack.manifest, about["name"], seed, tuple(about["tags"]))
            path.touch()
        except (OSError, SafetensorError, PackError, KeyError, ValueError, TypeError):
            return None
        return identity

    def write(self, key: int | str, identity: Identity) -> None:
        """Keeps a person. A folder that cannot be written is no reason to fail: the person is there already."""
        about = json.dumps({"name": identity.name, "tags": identity.tags}).encode()
        data = save(stored_identity(self._pack.manifest, identity) | {"about": np.frombuffer(about, np.uint8)})
        try:
            self._make_room(len(data))
            write_atomically(self.path(key), hashlib.sha256(data).digest() + data)
        except OSError:
            return

    def _make_room(self, size: int) -> None:
        files = [(path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.parent.glob("*/*.identity")]
        held = sum(file_size for _, file_size, _ in files) + size
        for _, file_size, path in sorted(files):
            if held <= self._limit:
                break
            path.unlink(missing_ok=True)
            held -= file_size
