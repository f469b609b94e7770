"""What files are taken for, and the sheet that says so."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QWidget

from agora_app.drops import DropOverlay, classify, classify_all
from core.assets import resource


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "a clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 64)
    return path


def test_motion_pack_video_picture(tmp_path, clip):
    assert classify(resource("demo_motion.npz")).kind == "motion"
    assert classify(resource("studio.agora")).kind == "pack"
    assert classify(clip).kind == "video"
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png")
    assert classify(tmp_path / "face.png").kind == "photo"
    for found in (classify(resource("demo_motion.npz")), classify(str(clip))):
        assert found.is_accepted
        assert found.path.name in found.words


def test_several_photos_are_one_person(tmp_path, clip):
    photos = [str(tmp_path / name) for name in ("a.png", "b.jpg")]
    for path in photos:
        Image.new("RGB", (8, 8)).save(path)
    assert "these 2 photos" in classify_all(photos).words
    assert "a.png" in classify_all(photos[:1]).words
    assert classify_all([str(clip), *photos]).kind == "video"


@pytest.mark.parametrize("name", ["head.ply", "head.splat", "HEAD.SPZ"])
def test_files_of_splats_are_people(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert classify(tmp_path / name).kind == "pack"
    assert name in classify(tmp_path / name).words


def test_the_first_bytes_count_where_the_name_says_nothing(tmp_path):
    heads = {"movie": b"\0\0\0\x18ftypmp42", "movie.bin": b"\x1aE\xdf\xa3" + b"\0" * 20, "old": b"RIFF....AVI LIST"}
    for name, head in heads.items():
        (tmp_path / name).write_bytes(head)
        assert classify(tmp_path / name).kind == "video", name


@pytest.mark.parametrize(("name", "content", "word"), [
    ("empty.mp4", b"", "empty"), ("notes.txt", b"hello", "drop a video"), ("weights.pkl", b"\x80\x04.", "run programs"),
    ("model.pt", b"PK\3\4", "run programs"), ("broken.npz", b"PK\3\4 nonsense", "damaged"), ("text.npz", b"hello", "damaged"),
    ("broken.agora", b"\0" * 40, "damaged"), ("fake.png", b"<html>", "is none")])
def test_refusals_in_words(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    found = classify(tmp_path / name)
    assert found.kind == "refused"
    assert not found.is_accepted
    assert word in found.words
    assert str(tmp_path) not in found.words


def test_folders_missing_files_and_wrong_archives(tmp_path):
    assert "folder" in classify(tmp_path).words
    assert "does not exist" in classify(tmp_path / "gone.mp4").words
    np.savez(tmp_path / "other.npz", a=1)
    assert "not a motion clip" in classify(tmp_path / "other.npz").words
    with zipfile.ZipFile(tmp_path / "other.agora", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "no manifest" in classify(tmp_path / "other.agora").words


def test_the_sheet_covers_its_parent_and_says_what_will_happen(qtbot, clip, tmp_path, theme_dark):
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.resize(400, 300)
    overlay = DropOverlay(parent)
    parent.show()
    assert overlay.isHidden()
    overlay.announce(classify(clip))
    assert overlay.isVisible()
    assert overlay.geometry() == parent.rect()
    assert "a clip.mp4" in overlay.headline.text()
    parent.resize(500, 200)
    assert overlay.geometry() == parent.rect()
    overlay.announce(classify(tmp_path))
    assert "folder" in overlay.details.text()
    grabbed = parent.grab().toImage()  # a dashed line, and words
    assert len({grabbed.pixel(x, y) for x in range(0, 500, 3) for y in range(0, 200, 3)}) > 3
    overlay.hide()
