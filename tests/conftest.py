"""What holds for every test: no network, no user folders, numerical errors raise."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from core import assets

MEDIA = Path(__file__).resolve().parent.parent.parent / "shared" / "media"


def pytest_configure(config):
    """Point caches and user data at a throw-away folder before anything reads them; keep what has been fetched."""
    for asset in assets.ASSETS:
        fetched = assets.cache_folder() / "assets" / asset.name
        if fetched.is_file():
            os.environ.setdefault(asset.variable, str(fetched))
    folder = Path(os.environ.get("PYTEST_AGORA_FOLDER") or _temporary_folder())
    os.environ["PYTEST_AGORA_FOLDER"] = str(folder)
    os.environ["AGORA_CACHE"] = str(folder / "cache")
    os.environ["AGORA_DATA"] = str(folder / "data")


def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        return
    import shutil

    shutil.rmtree(os.environ.get("PYTEST_AGORA_FOLDER", ""), ignore_errors=True)


def _temporary_folder() -> str:
    import tempfile

    return tempfile.mkdtemp(prefix="agora-tests-")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """A test that opens an Internet connection fails."""

    def refuse(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def _numerical_errors_raise():
    """Division by zero, overflow and invalid operations in NumPy are errors, not warnings."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


@pytest.fixture
def generator() -> np.random.Generator:
    """A seeded source of random numbers."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def media() -> Path:
    """Folder of real footage; tests that use it skip when it is absent."""
    if not MEDIA.is_dir():
        pytest.skip("real footage is not here")
    return MEDIA
