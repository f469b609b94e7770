from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from core.avatar.archive import MANIFEST_NAME, describe_entries, is_safe_name
from core.avatar.pack import read_pack, set_response, write_pack
from core.errors import OutputError, PackError
from tests.avatar.conftest import make_sample, random_response


def full_pack(rotation="relative"):
    """A pack with everything a pack can hold."""
    sample = make_sample(rotation)
    return replace(sample.pack, identities=(sample.identity,), response=random_response(sample.pack.manifest.psi.size),
                   thumbnails={"somebody.png": b"\x89PNG not really"})


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "people.agora"
    write_pack(path, full_pack())
    return path


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("rotation", ["relative", "additive"])
def test_round_trip_keeps_everything(tmp_path, rotation):
    pack = full_pack(rotation)
    write_pack(tmp_path / "p.agora", pack)
    back = read_pack(tmp_path / "p.agora")
    assert back.manifest == pack.manifest
    for before, after in zip(pack.basis, back.basis, strict=True):
        assert_same_tensors(before.tensors(), after.tensors())
    assert_same_tensors(pack.regressor.tensors(), back.regressor.tensors())
    assert_same_tensors(pack.response.tensors(), back.response.tensors())
    assert_same_tensors(pack.identities[0].tensors(), back.identities[0].tensors())
    assert (back.identities[0].name, back.identities[0].seed, back.identities[0].tags) == (
        pack.identities[0].name, pack.identities[0].seed, pack.identities[0].tags)
    assert back.thumbnails == pack.thumbnails
    assert (back.rows is None) == (pack.rows is None)


def test_equal_packs_give_equal_bytes(tmp_path, written):
    write_pack(tmp_path / "again.agora", full_pack())
    assert (tmp_path / "again.agora").read_bytes() == written.read_bytes()


def test_a_changed_byte_is_refused_or_harmless(written, tmp_path):
    """Bytes of data are always refused; a few header bytes (dates) carry nothing and may change."""
    original, data = written.read_bytes(), read_pack(written)
    rng = np.random.default_rng(0)
    refused, path = 0, tmp_path / "changed.agora"
    for position in rng.integers(0, len(original), 60):
        changed = bytearray(original)
        changed[position] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            back = read_pack(path)
        except PackError as error:
            message = str(error)
            refused += str(path) in message and "\n" not in message
        else:
            assert_same_tensors(data.basis[0].tensors(), back.basis[0].tensors())
            assert data.manifest == back.manifest
    assert refused >= 57


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.999])
def test_truncated_packs_are_refused(written, share):
    written.write_bytes(written.read_bytes()[:int(share * written.stat().st_size)])
    with pytest.raises(PackError, match=r"people\.agora"):
        read_pack(written)


def test_missing_file_and_wrong_kind_of_file(tmp_path):
    with pytest.raises(PackError, match="cannot be read"):
        read_pack(tmp_path / "nowhere.agora")
    (tmp_path / "text.agora").write_text("hello")
    with pytest.raises(PackError, match="not an avatar pack"):
        read_pack(tmp_path / "text.agora")


# ---------------------------------------------------------------- hostile archives

def rewrite(path: Path, change=None, extra=(), compression=zipfile.ZIP_STORED, manifest_change=None):
    """Writes a pack again with a change to its entries, keeping declared sizes and sums honest."""
    with zipfile.ZipFile(path) as archive:
        contents = {info.filename: archive.read(info) for info in archive.infolist()}
    manifest = json.loads(contents.pop(MANIFEST_NAME))
    if change:
        change(contents)
    manifest["entries"] = describe_entries(contents)
    if manifest_change:
        manifest_change(manifest)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(MANIFEST_NAME, json.dumps(manifest))
        for name, data in contents.items():
            archive.writestr(name, data)
        for info, data in extra:
            archive.writestr(info, data)


@pytest.mark.parametrize("name", ["../evil.safetensors", "/etc/evil.png", "C:/evil.png", "a/../../evil.png", "a\\evil.png",
                                  "evil.pkl", "evil.py", "a//b.png", ".hidden.png", "a/./b.png", "x" * 200 + ".png"])
def test_unsafe_names_are_refused(written, name, tmp_path):
    assert not is_safe_name(name)
    rewrite(written, extra=[(zipfile.ZipInfo(name), b"x")])
    with pytest.raises(PackError, match="unsafe entry name"):
        read_pack(written)
    assert not (tmp_path / "evil.png").exists()


def test_links_are_refused(written):
    link = zipfile.ZipInfo("thumbnails/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    rewrite(written, extra=[(link, b"/etc/passwd")])
    with pytest.raises(PackError, match="link"):
        read_pack(written)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["basis.safetensors", "BASIS.safetensors"])
def test_duplicates_are_refused(written, name):
    rewrite(written, extra=[(zipfile.ZipInfo(name), b"x")])
    with pytest.raises(PackError, match="twice"):
        read_pack(written)


def test_compressed_entries_are_refused_unread(written):
    rewrite(written, change=lambda contents: contents.update({"thumbnails/bomb.png": bytes(50_000_000)}),
            compression=zipfile.ZIP_DEFLATED)
    assert written.stat().st_size < 5_000_000
    with pytest.raises(PackError, match="compressed"):
        read_pack(written)


def test_encrypted_entries_are_refused(written):
    data = bytearray(written.read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    data[start + 8] |= 1  # general purpose flag of the first entry in the central directory
    written.write_bytes(data)
    with pytest.raises(PackError, match="encrypted"):
        read_pack(written)


def test_claimed_sizes_are_checked_before_reading(written):
    data = bytearray(written.read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    for field in (20, 24):  # compressed and uncompressed size
        data[start + field:start + field + 4] = (0x7FFFFFFF).to_bytes(4, "little")
    written.write_bytes(data)
    with pytest.raises(PackError, match="more than the file can hold"):
        read_pack(written)


def test_undeclared_and_missing_entries_are_refused(written):
    rewrite(written, extra=[(zipfile.ZipInfo("thumbnails/more.png"), b"x")])
    with pytest.raises(PackError, match="not declared"):
        read_pack(written)
    write_pack(written, full_pack())
    rewrite(written, manifest_change=lambda m: m["entries"].update({"thumbnails/gone.png": {"size": 1, "sha256": "0"}}))
    with pytest.raises(PackError, match="missing"):
        read_pack(written)


def test_a_pickle_in_a_pack_is_never_opened(written, tmp_path):
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(canary),)

    import pickle
    rewrite(written, change=lambda contents: contents.update({"basis.safetensors": pickle.dumps(Payload())}))
    with pytest.raises(PackError, match="not a readable safetensors file"):
        read_pack(written)
    assert not canary.exists()


# ---------------------------------------------------------------- inconsistent packs

@pytest.mark.parametrize(("version", "message"), [([2, 0], "format 2 is needed|reads format 2 is needed"), ([1], "no valid"),
                                                  ("1.0", "no valid"), ([1, True], "no valid")])
def test_unknown_versions_name_what_is_needed(written, version, message):
    rewrite(written, manifest_change=lambda m: m.update(version=version))
    with pytest.raises(PackError, match=message):
        read_pack(written)


def test_newer_minor_versions_and_unknown_keys_are_read(written):
    rewrite(written, manifest_change=lambda m: m.update(version=[1, 7], a_later_idea={"x": 1}))
    assert read_pack(written).manifest.minor == 7


@pytest.mark.parametrize(("key", "value"), [("rows", 10**9), ("rows", "many"), ("rows", True), ("kind", "malware"),
                                            ("rotation", 3), ("psi", None), ("features", ["pose_matrices", "pose_matrices"]),
                                            ("latent_size", -1),
                                            ("entries", None), ("identities", [{"entry": 3}]), ("name", None)])
def test_bad_manifest_fields_are_named(written, key, value):
    rewrite(written, manifest_change=lambda m: m.update({key: value}))
    with pytest.raises(PackError, match=key):
        read_pack(written)


def edit_tensor(entry, name, function):
    def change(contents):
        tensors = load(contents[entry])
        tensors[name] = function(tensors[name].copy())
        contents[entry] = save(tensors)
    return change


def nan_first(array):
    array.reshape(-1)[0] = np.nan
    return array


def add_to_first(amount):
    def change(array):
        array.reshape(-1)[0] += amount
        return array
    return change


@pytest.mark.parametrize(("entry", "tensor", "function"), [
    ("basis.safetensors", "xyz/steps", nan_first),
    ("basis.safetensors", "xyz/planes", lambda a: a[:, :, :-1].copy()),
    ("basis.safetensors", "rotation/planes", lambda a: a.astype(np.int16)),
    ("basis.safetensors", "xyz/blocks", add_to_first(1000)),
    ("basis.safetensors", "xyz/component", add_to_first(1000)),
    ("basis.safetensors", "opacity/component", add_to_first(-5)),
    ("regressor.safetensors", "network/1/weight", nan_first),
    ("regressor.safetensors", "network/1/weight", lambda a: a[:, 1:].copy()),
    ("regressor.safetensors", "linear/psi", lambda a: a.astype(np.float64)),
    ("rows.safetensors", "texel", lambda a: a[:-1].copy()),
    ("rows.safetensors", "texel", add_to_first(-5)),
    ("response.safetensors", "weight_1", lambda a: a[:-1].copy()),
    ("response.safetensors", "low", lambda a: np.full_like(a, np.nan)),
    ("response.safetensors", "low", lambda a: a + 10),
    ("response.safetensors", "score", lambda a: a + 1),
    ("response.safetensors", "variable", lambda a: a[:1].repeat(4)),
    ("response.safetensors", "uncertainty", lambda a: -a),
    ("response.safetensors", "bias_0", lambda a: a[None].copy()),
    ("identities/00000.safetensors", "rest_scores", lambda a: np.zeros(3, np.float32)),
    ("identities/00000.safetensors", "xyz", nan_first),
    ("identities/00000.safetensors", "row", add_to_first(100_000)),
    ("identities/00000.safetensors", "quat", lambda a: a[:, :3].copy()),
])
def test_bad_tensors_are_named(written, entry, tensor, function):
    rewrite(written, change=edit_tensor(entry, tensor, function))
    part = tensor.rsplit("/", 1)[-1]
    with pytest.raises(PackError, match=f"{part}|network|rows|component|blocks|response"):
        read_pack(written)


# ---------------------------------------------------------------- writing

def test_nothing_is_left_when_writing_fails(tmp_path):
    target = tmp_path / "file"
    target.write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_pack(target / "p.agora", full_pack())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_response_can_be_added_and_removed(written):
    size = full_pack().manifest.psi.size
    response = random_response(size, seed=1)
    set_response(written, response)
    assert_same_tensors(read_pack(written).response.tensors(), response.tensors())
    set_response(written, None)
    assert read_pack(written).response is None
    with pytest.raises(PackError, match="response"):
        set_response(written, random_response(size + 1))
