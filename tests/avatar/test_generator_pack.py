"""Packs that hold a generator: people from seeds and mixes, the binding, soft facing in every backend, and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.avatar import kernels
from core.avatar.backend import CpuBackend
from core.avatar.generator_binding import Sitter, bind_sitter
from core.avatar.generator_network import style_of
from core.avatar.generator_source import GeneratorSource, studio_z
from core.avatar.kernels import STATIC_ROW, fade_averted
from core.avatar.manifest import GeneratorDeclaration
from core.avatar.model import Avatar
from core.avatar.pack import read_pack, write_pack
from core.avatar.person import parse_person
from core.avatar.portraits import Portraitist
from core.avatar.self_test import probe_motion, self_test
from core.avatar.sources import IdentityCache, PackSource, open_source
from core.errors import DeviceError, InputError, PackError
from core.geometry import orbit_camera, rotation_from_quat
from core.head.library import load_open_head
from core.networks import head_generator
from core.studio import mix_traits, sample_traits
from core.types import HeadParams
from tests.avatar.generators import SHAPES, exact_pack, rounded, small_generator, table_of_shapes
from tests.avatar.test_pack import assert_same_tensors, edit_tensor, nan_first, rewrite

HEAD = load_open_head()
ENTRY = "generator.safetensors"
A_WEIGHT = "weight/mapping.fc0.weight"


@pytest.fixture(scope="module")
def generator():
    return small_generator()


@pytest.fixture(scope="module")
def pack(generator):
    return exact_pack(generator)


@pytest.fixture
def source(pack, tmp_path):
    return GeneratorSource(pack, folder=tmp_path)


@pytest.fixture
def written(pack, tmp_path):
    write_pack(tmp_path / "g.agora", pack)
    return tmp_path / "g.agora"


def wild_psi() -> np.ndarray:
    rng = np.random.default_rng(1)
    psi = np.zeros(HEAD.psi_layout.size, np.float32)
    psi[:HEAD.expression_count] = 0.6 * rng.uniform(size=HEAD.expression_count)
    psi[HEAD.expression_count] = 0.2
    return psi


# ---------------------------------------------------------------- pack-driven Gaussians

@pytest.mark.parametrize(("parametrization", "colors"), [("closed", 3), ("paper", 12)])
def test_a_face_in_the_basis_is_the_generator_s_own(parametrization, colors):
    """Every Gaussian that the pack drives lies where the generator puts it. Rows have 15 bits: 1/32000 of a block's largest."""
    model = rounded(small_generator(parametrization, color_channels=colors))
    traits = sample_traits(11, HEAD)
    sitter = Sitter(model, style_of(model, studio_z(traits)), traits.shape)
    psi = wild_psi()
    pack = exact_pack(model, face=(sitter, psi))
    bound = bind_sitter(pack, sitter, "somebody", 11)
    avatar = Avatar(pack, bound.identity, exact=True)
    driven, posed = avatar.pose(avatar.coefficients(psi)), sitter.posed(psi[None])
    wanted = {name: getattr(posed, name)[0][bound.seat] for name in ("xyz", "scale", "quat", "rgb", "opacity")}
    moved = np.linalg.norm(wanted["xyz"] - bound.identity.gaussians.xyz, axis=1)
    assert moved.max() > 5e-3
    np.testing.assert_allclose(driven.xyz, wanted["xyz"], atol=5e-6)
    np.testing.assert_allclose(driven.opacity, wanted["opacity"], atol=1e-4)
    np.testing.assert_array_equal(driven.rgb, sitter.rest.rgb[0][bound.seat])  # colour is constant, seen from the front
    sign = np.sign((driven.quat * wanted["quat"]).sum(1, keepdims=True))
    np.testing.assert_allclose(driven.quat * sign, wanted["quat"], atol=2e-4)
    grown = driven.scale / wanted["scale"]
    if parametrization == "closed":  # the thickness stays at rest: 3 channels of a row hold a strain in the plane
        np.testing.assert_allclose(grown[:, :2], 1, atol=2e-3)
        np.testing.assert_allclose(driven.scale[:, 2], bound.identity.gaussians.scale[:, 2], atol=0)
    else:
        np.testing.assert_allclose(grown, 1, atol=2e-2)


def test_hair_far_off_its_seat_goes_round_with_the_head(source):
    identity = source.build(5)
    moving = identity.row != STATIC_ROW
    assert np.linalg.norm(identity.offset[moving], axis=1).max() > 0.03
    avatar = Avatar(source.pack, identity, exact=True)
    still = avatar.pose(np.zeros(4, np.float32))
    np.testing.assert_allclose(still.xyz, identity.gaussians.xyz, atol=1e-7)
    motion = probe_motion(identity)
    turned = avatar.pose(np.zeros(4, np.float32), motion)
    whole = identity.neck_weight > 0.999
    assert whole.sum() > 100
    wanted = (still.xyz[whole] - identity.neck_joint) @ motion.rotation.T + identity.neck_joint + motion.head_shift
    np.testing.assert_allclose(turned.xyz[whole], wanted, atol=2e-4)
    assert identity.neck_weight.min() < 0.05  # the shoulders stay


def test_what_cannot_be_seen_is_dropped():
    model = rounded(small_generator("paper"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("synthesis") and ".torgb.bias" in name:
                parameter[-1] -= 1.6
    identity = GeneratorSource(exact_pack(model)).bind(parse_person("3")).identity
    assert 0 < len(identity) < len(model.surface)
    assert identity.gaussians.opacity.min() >= 1 / 255


# ---------------------------------------------------------------- soft facing

def test_fading_is_the_training_s_own(generator):
    assert (kernels.FACING, kernels.FACING_SOFTNESS) == (head_generator.FACING, head_generator.FACING_SOFTNESS)
    rng, n = np.random.default_rng(0), 400
    xyz = (0.1 * rng.standard_normal((n, 3))).astype(np.float32)
    quat = rng.standard_normal((n, 4)).astype(np.float32)
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    normal = rng.standard_normal((n, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    closed, opacity = (rng.uniform(size=n).astype(np.float32) for _ in range(2))
    closed[::3] = 0
    centre = np.array([0.3, 0.1, 1.2], np.float32)
    local = np.einsum("nij,ni->nj", rotation_from_quat(quat.astype(np.float64)), normal).astype(np.float32)
    faded = opacity.copy()
    fade_averted(xyz, quat, local, closed, centre, faded)
    tensors = [torch.from_numpy(array) for array in (xyz[None], normal[None], closed, centre[None])]
    expected = opacity * head_generator.facing(*tensors).numpy()[0]
    np.testing.assert_allclose(faded, expected, atol=2e-6)  # float32 with reordered sums
    assert (faded < 0.1 * opacity).any()


def test_faces_fade_as_the_generator_fades_them(generator, source):
    """The resting person seen from the side: `SeatedGaussians.seen_from` against `Avatar.seen_from`."""
    bound = source.bind(parse_person("4"))
    sitter = source.sitter(parse_person("4"))[0]
    camera = orbit_camera(0.9, 0.1, 64, 64)
    posed = sitter.rest
    centre = torch.from_numpy(camera.position.astype(np.float32))[None]
    factor = head_generator.facing(torch.from_numpy(posed.xyz), torch.from_numpy(posed.normal), source.generator().closed, centre)
    avatar = Avatar(source.pack, bound.identity, exact=True)
    seen = avatar.seen_from(camera, avatar.pose(np.zeros(4, np.float32)))
    np.testing.assert_allclose(seen.opacity, (posed.opacity * factor.numpy())[0][bound.seat], atol=1e-5)
    assert (seen.opacity < 0.05).sum() > 50


def test_the_processor_s_backend_fades(source):
    identity, camera = source.build(4), orbit_camera(0.8, 0.0, 64, 64)
    psi, motion = np.zeros(source.pack.manifest.psi.size, np.float32), probe_motion(identity)
    open_pack = replace(source.pack, manifest=replace(source.pack.manifest, facing="none"))
    backend = CpuBackend()
    faded, plain = (backend.performer(pack, identity).draw(psi, motion, camera) for pack in (source.pack, open_pack))
    again = backend.performer(source.pack, identity)
    for _ in range(2):  # a cloud that is used again does not fade twice
        np.testing.assert_array_equal(again.draw(psi, motion, camera), faded)
    assert (faded != plain).any()
    backend.close()


def test_torch_fades_alike(source):
    from core.avatar.torch_blend import TorchAvatar, TorchPack

    identity, camera = source.build(4), orbit_camera(0.8, 0.2, 64, 64)
    psi, motion = np.zeros(source.pack.manifest.psi.size, np.float32), probe_motion(identity)
    person = TorchAvatar(TorchPack(source.pack, "cpu"), identity)
    got = person.shown(psi, motion, camera).opacity.numpy()
    avatar = Avatar(source.pack, identity, exact=True)
    expected = avatar.seen_from(camera, avatar.pose(avatar.coefficients(psi), motion))
    np.testing.assert_allclose(got, expected.opacity, atol=1e-4)


def test_opengl_fades_alike(source):
    from core.avatar.backend_choice import open_backend

    try:
        open_backend("opengl").close()
    except DeviceError as error:
        pytest.skip(str(error))
    from core.avatar.gl_backend import GlBackend

    identity, backends = source.build(4), [GlBackend(), GlBackend(gpu_blend=False)]
    for backend in backends:
        assert self_test(backend, source.pack, identity) > 45  # half floats
    performer = backends[0].performer(source.pack, identity)
    camera = orbit_camera(0.8, 0.2, 64, 64)
    psi, motion = np.zeros(source.pack.manifest.psi.size, np.float32), probe_motion(identity)
    performer.draw(psi, motion, camera)
    avatar = Avatar(source.pack, identity, exact=True)
    expected = avatar.seen_from(camera, avatar.pose(avatar.coefficients(psi), motion))
    np.testing.assert_allclose(performer.person.read()[3], expected.opacity, atol=1e-4)
    for backend in backends:
        backend.close()


def test_thumbnails_and_driving(source):
    assert Portraitist(source, 48).png(parse_person("4")).startswith(b"\x89PNG")
    avatar = Avatar(source.pack, source.build(4))
    cloud = avatar.drive(HeadParams.neutral(HEAD.expression_count), np.zeros(3))
    assert avatar.seen_from(orbit_camera(0, 0, 8, 8), cloud) is cloud


# ---------------------------------------------------------------- people

def test_seeds_give_the_same_person_again(pack, source, tmp_path):
    first = source.build(7)
    other = GeneratorSource(pack, folder=tmp_path / "elsewhere")
    assert_same_tensors(first.tensors(), other.build("7").tensors())
    cached = GeneratorSource(pack, folder=tmp_path)
    assert_same_tensors(first.tensors(), cached.at_hand(parse_person("7")).tensors())
    assert cached._made is None  # nobody needed the network
    assert (first.seed, first.name, first.tags) == (7, cached.build(7).name, cached.build(7).tags)
    assert first.name.startswith("seed 7: ")
    assert (first.gaussians.rgb != source.build(2**32 - 1).gaussians.rgb).any()
    for bad in ("x", "-1", 2**32, "7+42@2"):
        with pytest.raises(InputError):
            source.build_person(str(bad))


def test_the_studio_prior_is_the_traits_of_the_seed(source):
    model, traits = source.generator(), sample_traits(7, HEAD)
    sitter = Sitter(model, style_of(model, studio_z(traits)), traits.shape)
    identity = source.build(7)
    np.testing.assert_array_equal(identity.latent[:SHAPES], traits.shape[:SHAPES])
    np.testing.assert_array_equal(identity.latent[SHAPES:], sitter.w.numpy())
    np.testing.assert_array_equal(identity.gaussians.xyz, sitter.rest.xyz[0])
    wearer = replace(traits, accessories=replace(traits.accessories, glasses="round"))
    np.testing.assert_array_equal(studio_z(wearer), studio_z(traits))


def test_mixes_of_the_studio_are_mixes_of_traits(source):
    mix = source.build_person("42+7@0.75")
    assert (mix.seed, mix.name[:13]) == (None, "mix 7+42@0.25")
    traits = mix_traits(sample_traits(7, HEAD), sample_traits(42, HEAD), 0.25)
    np.testing.assert_allclose(mix.latent[:SHAPES], traits.shape[:SHAPES])
    assert source.at_hand(parse_person("7+42@0.25")) is not None


def test_the_normal_prior_draws_z_and_a_shape(tmp_path):
    model = small_generator(latent=6, camera=12)
    pack = exact_pack(model, "normal")
    write_pack(tmp_path / "n.agora", pack)
    source = GeneratorSource(read_pack(tmp_path / "n.agora"), folder=tmp_path)
    people = {seed: source.build(seed) for seed in (7, 42)}
    random = torch.Generator("cpu").manual_seed(7)
    z = torch.randn(6, generator=random)
    shape = table_of_shapes()[int(torch.randint(7, (), generator=random))]
    np.testing.assert_array_equal(people[7].latent[:SHAPES], shape)
    np.testing.assert_allclose(people[7].latent[SHAPES:], style_of(source.generator(), z.numpy()).numpy(), atol=1e-6)
    mix = source.build_person("7+42@0.25")
    np.testing.assert_allclose(mix.latent, 0.75 * people[7].latent + 0.25 * people[42].latent, atol=1e-6)
    assert (mix.name, mix.tags) == ("mix 7+42@0.25", ())


def test_the_fingerprint_covers_weights_and_table(pack, generator, tmp_path):
    one = GeneratorSource(pack, folder=tmp_path).fingerprint
    weights = dict(pack.generator.weights)
    weights["mapping.fc0.bias"] = weights["mapping.fc0.bias"] + np.float16(0.5)
    other = GeneratorSource(replace(pack, generator=replace(pack.generator, weights=weights)), folder=tmp_path).fingerprint
    assert one != other
    table = exact_pack(small_generator(latent=6), "normal")
    changed = replace(table, generator=replace(table.generator, shapes=table.generator.shapes + 1))
    assert GeneratorSource(table, folder=tmp_path).fingerprint != GeneratorSource(changed, folder=tmp_path).fingerprint


# ---------------------------------------------------------------- files

def test_round_trip_keeps_everything(pack, source, written, tmp_path):
    back = read_pack(written)
    assert back.manifest == pack.manifest
    assert_same_tensors(back.generator.tensors(), pack.generator.tensors())
    write_pack(tmp_path / "again.agora", back)
    assert (tmp_path / "again.agora").read_bytes() == written.read_bytes()
    opened = open_source(written)
    assert isinstance(opened, GeneratorSource)
    assert_same_tensors(opened.build(7).tensors(), source.build(7).tensors())


def test_finished_people_of_such_packs_are_stored_too(pack, source, tmp_path):
    identity = source.build(7)
    write_pack(tmp_path / "p.agora", replace(pack, identities=(identity,)))
    back = PackSource(read_pack(tmp_path / "p.agora")).build(7)
    assert_same_tensors(back.tensors(), identity.tensors())
    blind = IdentityCache(tmp_path, replace(pack, manifest=replace(pack.manifest, facing="none")), 1 << 30)
    blind.write(7, identity)
    assert blind.read(7) is None  # the two normals do not belong there


def test_packs_of_other_kinds_say_nothing_of_generators(relative):
    assert {"facing", "generator"}.isdisjoint(relative.pack.manifest.to_json())
    with pytest.raises(PackError, match="holds no generator"):
        GeneratorSource(relative.pack)


def test_opening_such_a_pack_does_not_load_torch(written):
    code = (f"import sys; from core.avatar.sources import open_source; open_source({str(written)!r}).fingerprint;"
            "assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("tensor", "function", "match"), [
    (A_WEIGHT, nan_first, "finite"),
    (A_WEIGHT, lambda a: a.astype(np.float32), "float16"),
    ("shapes", None, "unexpected"),
    ("more", None, "unexpected"),
])
def test_bad_weights_are_refused_on_reading(written, tensor, function, match):
    def add(contents):
        from safetensors.numpy import load, save

        contents[ENTRY] = save(load(contents[ENTRY]) | {tensor: np.zeros((3, 3), np.float32)})

    rewrite(written, change=edit_tensor(ENTRY, tensor, function) if function else add)
    with pytest.raises(PackError, match=match) as caught:
        read_pack(written)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "value", "match"), [
    ("generator", None, "generator"), ("generator", {"prior": "hell", "config": {}}, "prior"),
    ("generator", {"prior": "studio", "config": {"networks": {"a": 1e99}}}, "config"),
    ("generator", {"prior": "studio", "config": {"networks": {"a": [1]}}}, "config"),
    ("generator", {"prior": "normal", "config": {}}, "shapes"),
    ("facing", "hard", "facing"), ("kind", "studio", "")])
def test_bad_declarations_are_refused_on_reading(written, key, value, match):
    rewrite(written, manifest_change=lambda manifest: manifest.update({key: value}))
    if key == "kind":
        assert read_pack(written).generator is None  # a studio pack has no use for it
        return
    with pytest.raises(PackError, match=match) as caught:
        read_pack(written)
    assert "\n" not in str(caught.value)


def test_a_missing_generator_is_refused(written):
    rewrite(written, change=lambda contents: contents.pop(ENTRY))
    with pytest.raises(PackError, match=r"generator\.safetensors' is missing"):
        read_pack(written)


def with_config(pack, **changes):
    """The pack with other sizes in its configuration; names that networks have go there."""
    raw = json.loads(pack.manifest.generator.config)
    for name, value in changes.items():
        (raw["networks"] if name in raw["networks"] else raw)[name] = value
    declared = GeneratorDeclaration("studio", json.dumps(raw))
    return replace(pack, manifest=replace(pack.manifest, generator=declared))


@pytest.mark.parametrize("changes", [
    {"plane_resolution": 65536}, {"plane_resolution": 48}, {"plane_resolution": 32.5}, {"tap_resolution": 64}, {"channel_max": 0},
    {"channel_max": 60000}, {"channel_base": 512}, {"latent_size": 17}, {"latent_size": -4}, {"latent_input": 9},
    {"psi_size": 3}, {"color_channels": 7}, {"camera_size": 5}, {"parametrization": "open"}, {"seat_resolution": -3},
    {"seat_resolution": 16}, {"surprise": 1}, {"unused_style_size": -90}, {"networks": 3}, {"latent_input": "many"}])
def test_configurations_that_do_not_fit_are_refused_before_anything_is_made(pack, changes, tmp_path):
    odd = GeneratorSource(with_config(pack, **changes), folder=tmp_path)
    with pytest.raises(PackError, match="pack 'small'") as caught:
        odd.build(7)
    assert "\n" not in str(caught.value)


def test_packs_that_do_not_belong_together_are_refused(pack, tmp_path):
    fewer = dict(list(pack.generator.weights.items())[1:])
    cases = [(replace(pack, generator=replace(pack.generator, weights=fewer)), "missing"),
             (replace(pack, manifest=replace(pack.manifest, surface="seats-of-others")), "other seats"),
             (replace(pack, rows=replace(pack.rows, texel=pack.rows.texel + 1)), "on no seat"),
             (replace(pack, manifest=replace(pack.manifest, head_sha256="0" * 64)), "another head model")]
    for odd, match in cases:
        with pytest.raises(PackError, match=match):
            GeneratorSource(odd, folder=tmp_path).build(7)
