from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from core.avatar import sources
from core.avatar.identity import parse_seed, parse_seeds
from core.avatar.pack import read_pack, write_pack
from core.avatar.person import parse_person
from core.avatar.sources import IdentityCache, PackSource, StudioSource, open_source
from core.errors import InputError, PackError
from tests.avatar.conftest import make_sample


@pytest.mark.parametrize("text", ["0", " 7 ", "4294967295", 12])
def test_seeds_are_read(text):
    assert parse_seed(text) == int(text)


@pytest.mark.parametrize("text", ["abc", "-1", "4294967296", "1.5", "", "1e3", "0x10", "٣", "99999999999999999999"])
def test_bad_seeds_name_the_rule(text):
    with pytest.raises(InputError, match=r"not a whole number from 0 to 4294967295") as caught:
        parse_seed(text)
    assert "\n" not in str(caught.value)


def test_seed_lists():
    assert parse_seeds("1000-1003") == [1000, 1001, 1002, 1003]
    assert parse_seeds("3,7,20-22") == [3, 7, 20, 21, 22]
    for bad in ("5-1", "1-", "-3", "1,,2", "0-4294967295"):
        with pytest.raises(InputError):
            parse_seeds(bad)


# ---------------------------------------------------------------- cache

@pytest.fixture
def cache(tmp_path, relative) -> IdentityCache:
    return IdentityCache(tmp_path / "cache" / "fingerprint", relative.pack, 1 << 30)


def test_cached_people_come_back_exactly(cache, relative):
    assert cache.read(12) is None
    cache.write(12, relative.identity)
    back = cache.read(12)
    assert (back.name, back.seed, back.tags) == ("somebody", 12, ("tall", "friendly"))
    for name, value in relative.identity.tensors().items():
        np.testing.assert_array_equal(back.tensors()[name], value)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:20], lambda data: data[:-1],
                                    lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], lambda data: b"x" * 4000])
def test_damaged_files_count_as_absent(cache, relative, damage):
    cache.write(12, relative.identity)
    cache.path(12).write_bytes(damage(cache.path(12).read_bytes()))
    assert cache.read(12) is None
    cache.write(12, relative.identity)
    assert cache.read(12) is not None


def test_people_of_another_pack_count_as_absent(cache, relative, tmp_path):
    cache.write(12, relative.identity)
    smaller = replace(relative.pack, manifest=replace(relative.pack.manifest, rows=10))
    assert IdentityCache(cache.path(12).parent, smaller, 1 << 30).read(12) is None


def test_the_folder_keeps_to_its_limit_and_forgets_the_oldest(tmp_path, relative):
    generous = IdentityCache(tmp_path / "a", relative.pack, 1 << 30)
    generous.write(0, relative.identity)
    size = generous.path(0).stat().st_size
    cache = IdentityCache(tmp_path / "b", relative.pack, int(3.5 * size))
    os.utime(generous.path(0), (1, 1))
    for seed in range(1, 5):
        cache.write(seed, relative.identity)
        os.utime(cache.path(seed), (10 * seed, 10 * seed))
    kept = sorted(int(path.stem) for path in tmp_path.glob("*/*.identity"))
    assert kept == [2, 3, 4]


def test_an_unwritable_folder_does_not_stop_anything(tmp_path, relative):
    (tmp_path / "file").write_text("in the way")
    cache = IdentityCache(tmp_path / "file" / "x", relative.pack, 1 << 30)
    cache.write(1, relative.identity)
    assert cache.read(1) is None


# ---------------------------------------------------------------- sources

class CountedBuilds:
    """Stands in for the studio: makes synthetic people and counts."""

    def __init__(self, monkeypatch, sample):
        self.count, self.sample = 0, sample
        monkeypatch.setattr(sources, "check_head", lambda *a: None)
        monkeypatch.setattr(sources.studio, "TexelAtlas", lambda head: None)
        monkeypatch.setattr(sources.studio, "build_identity", self.build)
        monkeypatch.setattr(sources, "bind_studio_identity", lambda pack, head, atlas, person: person)

    def build(self, seed, head):
        self.count += 1
        return replace(self.sample.identity, seed=seed)


class FakeHead:
    sha256 = "0" * 64


def test_people_are_built_once(monkeypatch, tmp_path, relative):
    builds = CountedBuilds(monkeypatch, relative)
    first = StudioSource(relative.pack, FakeHead(), tmp_path).build("5")
    again = StudioSource(relative.pack, FakeHead(), tmp_path).build(5)
    assert builds.count == 1
    np.testing.assert_array_equal(first.gaussians.xyz, again.gaussians.xyz)
    next(tmp_path.glob("*/5.identity")).write_bytes(b"damaged")
    StudioSource(relative.pack, FakeHead(), tmp_path).build(5)
    assert builds.count == 2


def test_another_head_or_pack_means_other_people(monkeypatch, tmp_path, relative):
    builds = CountedBuilds(monkeypatch, relative)

    class OtherHead:
        sha256 = "1" * 64

    StudioSource(relative.pack, FakeHead(), tmp_path).build(5)
    StudioSource(relative.pack, OtherHead(), tmp_path).build(5)
    StudioSource(replace(relative.pack, manifest=replace(relative.pack.manifest, surface="new")), FakeHead(), tmp_path).build(5)
    assert builds.count == 3


def test_bad_seed_for_the_studio(tmp_path, relative):
    with pytest.raises(InputError, match="seed 'abc'"):
        StudioSource(relative.pack, FakeHead(), tmp_path).build("abc")


def test_packs_with_people(tmp_path, additive):
    path = tmp_path / "p.agora"
    nameless = replace(additive.identity, seed=None)
    write_pack(path, replace(additive.pack, identities=(additive.identity,)))
    source = open_source(path)
    assert isinstance(source, PackSource)
    assert source.build(additive.identity.seed).name == additive.identity.name
    with pytest.raises(InputError, match="nobody with seed 99"):
        source.build(99)
    assert PackSource(replace(additive.pack, identities=(nameless,))).build(0).name == nameless.name
    write_pack(path, additive.pack)
    with pytest.raises(PackError, match="holds no people"):
        open_source(path)


def test_a_studio_pack_opens_as_the_studio(tmp_path, relative):
    write_pack(tmp_path / "s.agora", relative.pack)
    assert isinstance(open_source(tmp_path / "s.agora"), StudioSource)
    assert read_pack(tmp_path / "s.agora").manifest.kind == "studio"
    assert make_sample("relative").pack.manifest == relative.pack.manifest


def test_mixes_are_kept_under_their_normal_form(monkeypatch, tmp_path, relative):
    builds = CountedBuilds(monkeypatch, relative)
    monkeypatch.setattr(sources, "_make", lambda person, head: builds.build(person.seed, head))
    source = StudioSource(relative.pack, FakeHead(), tmp_path)
    first = source.build_person("7+42@0.25")
    again = StudioSource(relative.pack, FakeHead(), tmp_path).build_person("42+7@0.75")
    assert builds.count == 1
    assert (first.seed, again.seed) == (None, None)
    assert [path.name for path in tmp_path.glob("*/*")] == ["7+42@0.25.identity"]
    assert source.at_hand(parse_person("7+42@0.25")) is not None
    assert source.at_hand(parse_person("7+42@0.26")) is None
    source.build_person("7")
    assert source.build(7).seed == 7
    with pytest.raises(InputError, match="share"):
        source.build_person("7+42@2")


def test_stored_people_cannot_be_mixed(additive):
    source = PackSource(replace(additive.pack, identities=(additive.identity, replace(additive.identity, seed=None))))
    assert source.names == (str(additive.identity.seed), "1")
    assert source.build_person("1").seed is None
    with pytest.raises(InputError, match="cannot be mixed"):
        source.build_person("1+2@0.5")
