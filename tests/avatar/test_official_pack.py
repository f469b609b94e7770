"""Packs of the published release: their people and their motion are those that the published code computed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.avatar.compact_identity import compact_tensors
from core.avatar.identity import Identity
from core.avatar.kernels import MIN_SCALE, OPACITY_HIGH, OPACITY_LOW
from core.avatar.model import Avatar, check_psi
from core.avatar.motion import rest_motion
from core.avatar.official_network import Sitter, build_official, draw
from core.avatar.official_source import OfficialSource
from core.avatar.pack import read_pack, write_pack
from core.avatar.person import Person
from core.avatar.sources import PackSource, open_source
from core.avatar.thinning import thinned
from core.avatar.torch_blend import TorchAvatar, TorchPack
from core.errors import InputError, PackError
from core.head.library import load_open_head
from core.networks.attributes import colour_from
from core.networks.flame_camera import camera_centre, world_to_camera
from core.types import HeadParams
from trainer.official import ImportSettings, import_official
from trainer.official_basis import OUR_ORDER
from trainer.official_files import find_official

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
SEEDS = (0, 3)  # of the golden data, which seeds with the processor's generator
K = 8


@pytest.fixture(scope="module")
def golden():
    if not GOLDEN.is_dir():
        pytest.skip("the golden data is not here")
    with np.load(GOLDEN / "golden_agora_m.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def release(golden, tmp_path_factory):
    """The golden files in the published layout, with the table."""
    folder = tmp_path_factory.mktemp("release")
    run = folder / "DGGHEAD-small"
    (run / "checkpoints").mkdir(parents=True)
    os.symlink(GOLDEN / "official_small.pkl", run / "checkpoints" / "checkpoint-1.pkl")
    os.symlink(GOLDEN / "official_small_model_config.json", run / "model_config.json")
    for name in ("svd_basis.pt", "mlp_regressor.pt"):
        os.symlink(GOLDEN / "agora_m_small" / name, folder / name)
    np.save(folder / "fused_params_dataset.npy", golden["fused_params"])
    return folder


@pytest.fixture(scope="module")
def made(release):
    return import_official(find_official(release), load_open_head(), ImportSettings(SEEDS, seeding="cpu"))


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("packs") / "official.agora"
    write_pack(path, made.pack)
    return path


@pytest.fixture(scope="module")
def source(written, tmp_path_factory):
    return OfficialSource(read_pack(written), tmp_path_factory.mktemp("people"))


def close(actual, expected, tolerance, relative=0.0):
    np.testing.assert_allclose(actual, expected, atol=tolerance, rtol=relative)


@pytest.mark.parametrize("number", [0, 1])
def test_new_people_are_the_golden_ones(source, golden, number):
    """Before anything is rounded, with the tolerances of the golden data."""
    z, row = draw("cpu", SEEDS[number], 128, len(golden["fused_params"]))
    close(z, golden["z"][number], 0)
    assert row == golden["shape_row"][number]
    w, shape = source.sitter_of(SEEDS[number])
    close(w, golden["w_code"][number], 1e-5)
    close(shape, golden["fused_params"][row, :300], 0)
    person = Sitter(source.generator, w, shape, source.pack.official.camera).resting()
    cloud = person.gaussians
    close(cloud.xyz, golden["base_xyz"][number], 1e-5)
    close(cloud.scale, golden["base_scale"][number], 1e-6)
    close(cloud.quat, golden["base_rotation"][number], 1e-5)
    close(cloud.opacity, golden["base_opacity"][number, :, 0], 1e-5)
    close(person.pivot, golden["joint_root"][number], 1e-6)
    pivot = torch.from_numpy(golden["joint_root"][number][None])
    eye = camera_centre(world_to_camera(torch.from_numpy(golden["c_front"]), pivot))
    seen = colour_from(*(torch.from_numpy(golden[k][number][None]) for k in ("base_sh", "base_xyz")), eye)[0].clamp(max=1)
    close(cloud.rgb, seen, 1e-4)


def published_coefficients(pack, ours):
    """Coefficients in the published order of attributes."""
    return np.concatenate([np.split(ours, 4)[i] for i in OUR_ORDER])


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("frame", [0, 1])
def test_driven_attributes_are_the_golden_ones(made, golden, number, frame):
    """The pack's regressor on the published basis before it is rounded, with the tolerances of the golden data."""
    basis = torch.load(GOLDEN / "agora_m_small" / "svd_basis.pt", weights_only=True)
    coefficients = made.pack.regressor.for_identity(golden["w_code"][number])(golden["psi55"][number, frame])
    close(published_coefficients(made.pack, coefficients), golden["coeffs"][number, frame], 1e-5, 1e-5)
    parts = dict(zip(("xyz", "rotation", "scale", "opacity"), np.split(coefficients, 4), strict=True))
    sums = {name: golden[f"base_{name}"][number] + (part @ basis[f"U_{name}"].numpy()).reshape(2519, -1)
            for name, part in parts.items()}
    close(sums["xyz"], golden["xyz"][number, frame], 1e-5)
    close(sums["scale"].clip(MIN_SCALE), golden["scale"][number, frame], 1e-6)
    close(sums["rotation"] / np.linalg.norm(sums["rotation"], axis=1, keepdims=True), golden["rotation"][number, frame], 1e-4)
    close(sums["opacity"].clip(OPACITY_LOW, OPACITY_HIGH), golden["opacity"][number, frame], 1e-5)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("frame", [0, 1])
def test_a_written_pack_is_off_by_no_more_than_its_rounding(written, golden, number, frame):
    """8-bit planes, people of 25 bytes a Gaussian. Frame 1 has eight times the expression of any face of the dataset."""
    pack, order = read_pack(written), read_pack(written).official.order
    avatar = Avatar(pack, pack.identities[number], exact=True)
    psi = golden["psi55"][number, frame]
    cloud = avatar.pose(avatar.coefficients(psi))
    parts = np.split(np.abs(avatar.coefficients(psi)), 4)
    # an integer step's half for every plane of a row's block, and what the person is rounded by
    rounding = [(part * basis.steps[:, :K].max(0) / 2).sum() for basis, part in zip(pack.basis, parts, strict=True)]
    close(cloud.xyz, golden["xyz"][number, frame][order], rounding[0] + 1e-5)
    close(cloud.scale, golden["scale"][number, frame][order], rounding[2] + 3e-6)
    close(cloud.opacity, golden["opacity"][number, frame, :, 0][order], rounding[3] + 5e-4)
    expected = golden["rotation"][number, frame][order]
    angle = 2 * np.arccos(np.abs((cloud.quat * expected).sum(1)).clip(0, 1))
    assert np.median(angle) < np.radians(0.5), np.degrees(np.median(angle))


def test_the_packed_generator_makes_the_golden_frames(written):
    """Its weights are complete: also expressions, which resting people do not need."""
    pack = read_pack(written)
    generator = build_official("pack", pack.official.weights)
    with np.load(GOLDEN / "golden_generator.npz") as arrays:
        golden = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    with torch.inference_mode():
        people = generator.identity(golden["z"], golden["c12"], golden["flame_params"][:, 0], truncation=0.7)
        for frame in range(3):
            cloud, _ = generator.frame(people, golden["flame_params"][:, frame])
            close(cloud.xyz, golden["xyz"][:, frame], 1e-5)
            close(cloud.scale_log, golden["scale_log"][:, frame], 1e-4)
            close(cloud.rendered_quat(), golden["rotation_rendered_wxyz"][:, frame], 1e-4)
            close(cloud.opacity, golden["opacity"][:, frame], 1e-5)


def test_the_generator_computes_where_it_is(written):
    """Torch refuses to mix devices, also the one without numbers, so that no graphics processor is needed to see it."""
    pack = read_pack(written)
    generator = build_official("pack", pack.official.weights, torch.device("meta"))
    sitter = Sitter(generator, np.zeros(generator.config.latent_size), np.zeros(300), pack.official.camera)
    with pytest.raises(NotImplementedError, match="meta tensor"):  # at the very end, where numbers are brought back
        sitter.resting()
    assert all(value.dtype != torch.float64 for value in generator.state_dict().values())


def tracked_face(seed=0):
    rng = np.random.default_rng(seed)
    head = load_open_head()
    neutral = HeadParams.neutral(head.expression_count)
    return replace(neutral.with_psi(rng.uniform(0, 0.5, head.psi_layout.size).astype(np.float32)),
                   head_rotation=np.array([0.1, 0.3, 0.0], np.float32))


def test_a_tracked_face_drives_it_in_every_backend(written):
    pack = read_pack(written)
    avatar, params = Avatar(pack, pack.identities[0], exact=True), tracked_face()
    assert avatar.psi_layout == load_open_head().psi_layout
    psi = avatar.respond(params)
    close(avatar.coefficients(psi), avatar.coefficients(pack.driving(psi)), 0)
    cloud = avatar.pose(avatar.coefficients(psi))
    on_torch = TorchAvatar(TorchPack(pack, "cpu"), pack.identities[0]).gaussians(psi, rest_motion())
    for name in ("xyz", "scale", "quat", "opacity"):
        close(getattr(on_torch, name).numpy(), getattr(cloud, name), 2e-5)
    assert np.abs(avatar.drive(params).xyz - avatar.identity.gaussians.xyz).max() > 1e-3
    with pytest.raises(InputError, match="58 numbers, 12 given"):
        check_psi(pack, np.zeros(12, np.float32))


def test_what_is_left_out_as_negligible_cannot_be_seen(written):
    """Scales and rotations are small numbers here: limits made for other conventions would leave everything out."""
    pack = read_pack(written)
    for psi in np.random.default_rng(1).normal(0, 0.3, (3, 55)).astype(np.float32):
        exact, quick = (Avatar(pack, pack.identities[0], exact=e).pose(pack.regressor.for_identity(
            pack.identities[0].latent)(psi)) for e in (True, False))
        # eight planes of less than the limit each at worst
        close(quick.xyz, exact.xyz, 8 * 2e-5)
        close(quick.scale, exact.scale, 8 * 2e-3 * exact.scale.mean())
        close(quick.opacity, exact.opacity, 8 * 3e-3)
        angle = 2 * np.arccos(np.abs((quick.quat * exact.quat).sum(1)).clip(0, 1))
        assert np.median(angle) < np.radians(0.5)


def test_stored_people_are_rounded_and_rounding_again_changes_nothing(made, written):
    before, after = made.pack.identities[1], read_pack(written).identities[1]
    close(after.gaussians.xyz, before.gaussians.xyz, 1e-5)  # 1/131070 of the box of 1 m at most
    close(after.gaussians.scale, before.gaussians.scale, 3e-8, 1e-3)
    close(after.gaussians.rgb, before.gaussians.rgb, 0.5 / 255 + 1e-6)
    close(after.gaussians.opacity, before.gaussians.opacity, 3e-8, 1e-3)
    assert (after.latent == before.latent).all()
    again = compact_tensors(after)
    assert all((value == compact_tensors(before)[name]).all() for name, value in again.items() if name != "box")


def test_people_come_from_the_pack_the_cache_or_the_generator(source):
    assert source.build(3) is source.pack.identities[1]
    new = source.build("17")
    assert (new.seed, new.name) == (17, "seed 17")
    kept = OfficialSource(source.pack, source._cache._folder.parent).at_hand(Person(17))
    close(kept.gaussians.xyz, new.gaussians.xyz, 1e-5)
    half, quarter = source.build_person("0+3@0.5"), source.build_person("0+3@0.25")
    w = [source.sitter_of(seed)[0] for seed in SEEDS]
    close(half.latent, (w[0] + w[1]) / 2, 1e-6)
    close(quarter.latent, 0.75 * w[0] + 0.25 * w[1], 1e-6)
    with pytest.raises(InputError, match="seed"):
        source.build("somebody")


def test_a_pack_without_generator_has_its_people_alone(made, tmp_path):
    bare = replace(made.pack, official=None, manifest=replace(made.pack.manifest, generator=None))
    write_pack(tmp_path / "bare.agora", bare)
    people = open_source(tmp_path / "bare.agora")
    assert isinstance(people, PackSource)
    assert people.build(3).seed == 3
    with pytest.raises(InputError, match="nobody with seed 5"):
        people.build(5)


def test_a_pack_with_generator_is_an_official_source(written):
    assert isinstance(open_source(written), OfficialSource)


@pytest.mark.parametrize(("change", "message"), [
    (lambda w: replace(w, order=w.order[::-1][1:].copy()), "order"),
    (lambda w: replace(w, order=np.zeros_like(w.order)), "order"),
    (lambda w: replace(w, camera=np.full(6, np.nan, np.float32)), "camera"),
    (lambda w: replace(w, shapes=w.shapes[:, :9].copy()), "shapes"),
    (lambda w: replace(w, table_rows=0), "shapes"),
    (lambda w: replace(w, weights={"a": np.full(3, np.inf, np.float32)}), "finite"),
    (lambda w: replace(w, weights={}), "weights"),
], ids=["short order", "no order", "camera", "shapes", "rows", "infinite", "empty"])
def test_untrusted_generators_are_checked(made, tmp_path, change, message):
    write_pack(tmp_path / "bad.agora", replace(made.pack, official=change(made.pack.official)))
    with pytest.raises(PackError, match=message):
        read_pack(tmp_path / "bad.agora")


@pytest.mark.parametrize(("name", "change"), [
    ("backbone.mapping.fc1.weight", None), ("backbone.synthesis.b64.conv1.weight", lambda a: a[:1]),
    ("_idxim", lambda a: a + 100_000), ("_uv_grid", lambda a: a[:, :7]), ("flame_lbs_model.parents", lambda a: a * 0)])
def test_weights_that_do_not_fit_are_said_in_one_line(made, tmp_path, name, change):
    weights = dict(made.pack.official.weights)
    if change is None:
        del weights[name]
    else:
        weights[name] = np.ascontiguousarray(change(weights[name]))
    pack = replace(made.pack, official=replace(made.pack.official, weights=weights), identities=())
    with pytest.raises(InputError) as error:
        OfficialSource(pack, tmp_path).build(1)
    assert "generator" in str(error.value)
    assert "\n" not in str(error.value)


def test_thinning_keeps_what_is_seen_and_how_it_moves(made):
    person = made.pack.identities[0]
    few = thinned(person, 4)
    assert len(few) == -(-len(person) // 4)
    assert thinned(person, 1) is person
    rows = {tuple(x): r for x, r in zip(person.gaussians.xyz.tolist(), person.row, strict=True)}
    assert all(rows[tuple(x)] == r for x, r in zip(few.gaussians.xyz.tolist(), few.row, strict=True))

    def covered(identity: Identity) -> float:
        sizes = np.sort(identity.gaussians.scale, 1)
        return float((identity.gaussians.opacity.clip(0, 1) * sizes[:, 1] * sizes[:, 2]).sum())

    # the growth is limited, and what is kept stands for its group
    assert 0.8 * covered(person) < covered(few) < 1.05 * covered(person)
