"""The command ``invert``: what it refuses, and once the whole with the networks where they have been fetched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs
import pytest

from core.assets import APP_NAME, FACE_LANDMARKER, PERSON_SEGMENTER
from core.avatar.pack import read_pack
from core.errors import InputError, OutputError
from core.head.library import load_open_head
from core.media.image import write_image
from core.render.renderer import open_renderer
from core.run_folder import RunFolder, RunState
from tools.photo_sheet import studio_photo
from trainer.commands.invert import InvertOptions, invert


def fetched(*assets) -> bool:
    folder = Path(platformdirs.user_cache_dir(APP_NAME)) / "assets"
    return all(Path(os.environ.get(asset.variable) or folder / asset.name).is_file() for asset in assets)


networks = pytest.mark.skipif(not fetched(FACE_LANDMARKER, PERSON_SEGMENTER), reason="the networks have not been fetched")


def options(folder: Path, *photos: Path, **more) -> InvertOptions:
    return InvertOptions(photos=photos, out=folder / "person.agora", **more)


def test_mistakes_are_told_before_the_work(tmp_path):
    photo = tmp_path / "a.png"
    photo.write_bytes(b"")
    with pytest.raises(InputError, match="no photograph"):
        invert(options(tmp_path))
    with pytest.raises(InputError, match=r"b\.png: there is no such file"):
        invert(options(tmp_path, tmp_path / "b.png"))
    with pytest.raises(InputError, match="at most 8"):
        invert(options(tmp_path, *[photo] * 9))
    with pytest.raises(OutputError, match=r"ends in \.agora"):
        invert(InvertOptions(photos=(photo,), out=tmp_path / "person.zip"))
    with pytest.raises(OutputError, match="does not exist"):
        invert(options(tmp_path / "nowhere", photo))


@networks
def test_what_is_no_photograph_is_refused_with_its_name(tmp_path):
    """The folder that is told says the same, and no pack is left."""
    photo = tmp_path / "noise.png"
    photo.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"noise\.png: "):
        invert(options(tmp_path, photo, progress=tmp_path / "run"))
    status = RunFolder(tmp_path / "run").status()
    assert status.state is RunState.FAILED
    assert "noise.png" in status.message
    assert not (tmp_path / "person.agora").exists()


@pytest.mark.slow
@networks
def test_a_photograph_becomes_a_pack(tmp_path, capsys):
    """With all steps and networks; the person is that of the photograph to 24 dB in its view, landmarks to 3 % of the eyes."""
    photo = tmp_path / "somebody.png"
    renderer = open_renderer("cpu")
    write_image(photo, studio_photo(41, 0.2, load_open_head(), renderer))
    renderer.close()
    wanted = options(tmp_path, photo, progress=tmp_path / "run", json=tmp_path / "scores.json", keep_photo=True, name="Somebody")
    assert invert(wanted) == 0
    assert "people who agreed" in capsys.readouterr().out
    pack = read_pack(wanted.out)
    assert pack.manifest.kind == "photo"
    assert pack.identities[0].name == "Somebody"
    assert {"photo.png", "Somebody.png"} == set(pack.thumbnails)
    scores = json.loads(wanted.json.read_text())
    assert scores["route"] == "studio"
    assert scores["psnr"] > 24
    assert scores["landmark_error"] < 0.03
    run = RunFolder(wanted.progress)
    assert run.status().state is RunState.FINISHED
    assert run.samples()
    assert json.loads(run.report.read_text())["scores"]["ssim"] == scores["ssim"]


@pytest.mark.media
@networks
def test_an_animal_is_refused(media, tmp_path):
    with pytest.raises(InputError, match=r"animal_monkey\.jpg: no face found"):
        invert(options(tmp_path, media / "portraits" / "animal_monkey.jpg"))
