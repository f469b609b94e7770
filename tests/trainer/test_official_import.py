"""The published release to a pack: in whatever folders it lies, with whatever is missing, and with nothing of it executed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.avatar.model import Avatar
from core.avatar.official_source import OfficialSource
from core.avatar.pack import read_pack, write_pack
from core.errors import InputError
from core.head.library import load_open_head
from core.types import HeadParams
from trainer import official_reading
from trainer.cli import main
from trainer.official import ImportSettings, import_official
from trainer.official_basis import z_curve
from trainer.official_files import find_official
from trainer.official_reading import limit_process, reading

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"


@pytest.fixture
def release(tmp_path):
    """The golden files; a test takes away or replaces what it is about."""
    if not GOLDEN.is_dir():
        pytest.skip("the golden data is not here")
    folder = tmp_path / "release"
    folder.mkdir()
    for name in ("official_small.pkl", "official_small_model_config.json", "agora_m_small/svd_basis.pt",
                 "agora_m_small/mlp_regressor.pt"):
        os.symlink(GOLDEN / name, folder / Path(name).name)
    return folder


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# ------------------------------------------------------------------------------------------------------------- finding


@pytest.mark.parametrize(("names", "checkpoint", "config"), [
    (["dgghead/DGGHEAD-158_x/model_config.json", "dgghead/DGGHEAD-158_x/checkpoints/checkpoint-20500.pkl"],
     "dgghead/DGGHEAD-158_x/checkpoints/checkpoint-20500.pkl", "dgghead/DGGHEAD-158_x/model_config.json"),
    (["assets/checkpoints/DGGHEAD-158_stage2_res512/checkpoint-20500.pkl",
      "assets/checkpoints/DGGHEAD-158_stage2_res512/model_config.json"],
     "assets/checkpoints/DGGHEAD-158_stage2_res512/checkpoint-20500.pkl",
     "assets/checkpoints/DGGHEAD-158_stage2_res512/model_config.json"),
    (["a/checkpoint-6500.pkl", "a/checkpoint-20500.pkl", "a/other.pkl"], "a/checkpoint-20500.pkl", None),
    (["DGGHEAD-148_stage1/checkpoints/checkpoint-26500.pkl", "DGGHEAD-158_stage2/checkpoints/checkpoint-20500.pkl"],
     "DGGHEAD-158_stage2/checkpoints/checkpoint-20500.pkl", None),
    (["bare.pkl", "bare_model_config.json"], "bare.pkl", "bare_model_config.json"),
])
def test_layouts_of_the_release(tmp_path, names, checkpoint, config):
    folder = touched(tmp_path, *names, "agora_m/svd_basis.pt", "x/mlp_regressor.pt", "data/fused_params_dataset.npy")
    found = find_official(folder)
    assert found.checkpoint == folder / checkpoint
    assert found.config == (None if config is None else folder / config)
    assert (found.basis, found.regressor) == (folder / "agora_m/svd_basis.pt", folder / "x/mlp_regressor.pt")
    assert found.table == folder / "data/fused_params_dataset.npy"
    assert found.has_basis
    assert len(found.others) == sum(name.endswith(".pkl") for name in names) - 1


def test_a_checkpoint_itself_may_be_given(tmp_path):
    folder = touched(tmp_path, "checkpoint-100.pkl", "checkpoint-200.pkl")
    found = find_official(folder / "checkpoint-100.pkl")
    assert found.checkpoint == folder / "checkpoint-100.pkl"
    assert not found.has_basis


def test_the_basis_beside_the_checkpoint_is_preferred(tmp_path):
    folder = touched(tmp_path, "a/checkpoint-1.pkl", "a/m/svd_basis.pt", "b/svd_basis.pt")
    assert find_official(folder).basis == folder / "a/m/svd_basis.pt"


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_place_without_a_release(tmp_path, place):
    with pytest.raises(InputError, match=r"does not exist|no checkpoint"):
        find_official(tmp_path / place)


# ------------------------------------------------------------------------------------------------------------- limits


def _try(connection, place, what) -> None:
    limit_process(Path(place), memory=1 << 40)
    actions = {
        "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
        "program": lambda: subprocess.run(["true"], check=True),
        "system": lambda: os.system(f"touch {place}/../canary"),
        "write": lambda: (Path(place).parent / "canary").write_text("x"),
        "low write": lambda: os.open(f"{place}/../canary", os.O_WRONLY | os.O_CREAT),
        "remove": lambda: os.remove(f"{place}/../precious"),
        "rename": lambda: os.rename(f"{place}/../precious", f"{place}/../canary"),
        "inside": lambda: (Path(place) / "result").write_text("x"),
        "read": lambda: (Path(place).parent / "precious").read_text(),
    }
    try:
        actions[what]()
        connection.send_bytes(b"done")
    except PermissionError:
        connection.send_bytes(b"refused")


@pytest.mark.parametrize(("what", "answer"), [("connect", b"refused"), ("program", b"refused"), ("system", b"refused"),
                                              ("write", b"refused"), ("low write", b"refused"), ("remove", b"refused"),
                                              ("rename", b"refused"), ("inside", b"done"), ("read", b"done")])
def test_a_reader_that_was_taken_over_can_do_nothing(tmp_path, what, answer):
    (tmp_path / "precious").write_text("x")
    (tmp_path / "place").mkdir()
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("the child's tests need fork")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_try, args=(theirs, str(tmp_path / "place"), what))
    child.start()
    assert ours.poll(20)
    assert ours.recv_bytes() == answer
    child.join()
    assert (tmp_path / "precious").exists()
    assert not (tmp_path / "canary").exists()


# -------------------------------------------------------------------------------------------------------------- reading


def test_values_arrive_as_they_are(release):
    with reading(find_official(release)) as data:
        published = torch.load(GOLDEN / "agora_m_small" / "svd_basis.pt", weights_only=True)
        assert (data.basis.vectors[2] == published["U_rotation"].numpy()).all()
        assert (data.basis.samples[3] == published["c_opacity"].numpy()).all()
        assert len(data.generator) > 190
        assert data.table is None


def in_this_process(files, place):
    paths = {"checkpoint": files.checkpoint, "basis": files.basis, "regressor": files.regressor, "table": files.table}
    return official_reading._read(paths, place)


class Evil:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("name", ["official_small.pkl", "svd_basis.pt", "mlp_regressor.pt", "fused_params_dataset.npy"])
@pytest.mark.parametrize("kind", ["pickle", "torch", "script", "noise", "empty"])
def test_other_contents_are_refused_in_one_line_and_not_run(release, tmp_path, name, kind, monkeypatch):
    if kind != "pickle":  # starting a child takes seconds; what it says comes through the same way
        monkeypatch.setattr(official_reading, "_ask_child", in_this_process)
    canary, file = tmp_path / "canary", release / name
    file.unlink(missing_ok=True)
    if kind == "pickle" and name.endswith(".npy"):
        np.save(file, np.array([Evil(canary)], object), allow_pickle=True)
    elif kind == "pickle":
        file.write_bytes(pickle.dumps({"G_ema": Evil(canary), "U_xyz": Evil(canary), "state_dict": Evil(canary)}))
    elif kind == "torch":
        torch.save({"G_ema": Evil(canary), "U_xyz": Evil(canary), "state_dict": Evil(canary)}, file)
    elif kind == "script":
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    else:
        file.write_bytes(np.random.default_rng(0).bytes(5000) if kind == "noise" else b"")
    with pytest.raises(InputError) as error, reading(find_official(release)):
        pass
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert not canary.exists()


# -------------------------------------------------------------------------------------------------------------- missing


def drive(pack, psi_scale=0.3) -> np.ndarray:
    """How far a face with every expression moves the Gaussians of the first person, metres."""
    avatar = Avatar(pack, pack.identities[0])
    neutral = HeadParams.neutral(pack.manifest.driven_by.expression)
    face = neutral.with_psi(np.full(neutral.psi().size, psi_scale, np.float32))
    return np.linalg.norm(avatar.drive(face).xyz - avatar.drive(neutral).xyz, axis=1)


def test_without_agora_m_a_small_basis_is_made(release):
    (release / "mlp_regressor.pt").unlink()
    made = import_official(find_official(release), load_open_head(), ImportSettings((0,), people=5, faces=40, own_components=24))
    assert any("no mlp_regressor.pt" in line and "5×40 faces" in line for line in made.lacking)
    pack = made.pack
    assert max(pack.manifest.components) <= 24
    assert np.median(drive(pack)) > 1e-4
    # the jaw goes where the generator's own jaw goes, for somebody who was not learned from
    source = OfficialSource(pack, release)
    psi = np.zeros(55, np.float32)
    psi[50] = 0.25
    from core.avatar.official_network import Sitter

    w, shape = source.sitter_of(0)
    sitter = Sitter(source.generator, w, shape, pack.official.camera)
    wanted = (sitter.posed(psi)[0] - sitter.posed(0 * psi)[0])[pack.official.order]
    avatar = Avatar(pack, pack.identities[0], exact=True)
    got = avatar.pose(avatar.coefficients(psi)).xyz - avatar.identity.gaussians.xyz
    assert np.linalg.norm(got - wanted) < 0.8 * np.linalg.norm(wanted)


def test_without_agora_m_people_may_stay_still(release):
    (release / "svd_basis.pt").unlink()
    made = import_official(find_official(release), load_open_head(), ImportSettings((0, 1), distill=False))
    assert any("no svd_basis.pt: the people do not move" in line for line in made.lacking)
    assert made.pack.manifest.components == (0, 0, 0, 0)
    assert len(made.pack.identities) == 2
    assert drive(made.pack).max() < 1e-6


def test_fewer_components_are_the_leading_ones(release, tmp_path):
    full, few = (import_official(find_official(release), load_open_head(), ImportSettings((0,), components=n)).pack
                 for n in (None, 3))
    assert few.manifest.components == (3, 3, 3, 3)
    w, psi = full.identities[0].latent, np.full(55, 0.2, np.float32)
    ours, all_of_them = (pack.regressor.for_identity(w)(psi).reshape(4, -1) for pack in (few, full))
    np.testing.assert_allclose(ours, all_of_them[:, :3], atol=1e-6)
    np.testing.assert_allclose(few.basis[3].dense(), full.basis[3].dense()[:3], atol=1e-6)


def test_seeds_beyond_the_stored_shapes_have_plausible_ones(release):
    table = np.random.default_rng(0).normal(0, 0.3, (5000, 364)).astype(np.float32)
    np.save(release / "fused_params_dataset.npy", table)
    made = import_official(find_official(release), load_open_head(), ImportSettings((0,)))
    source = OfficialSource(made.pack, release)
    from core.avatar.official_network import draw

    row = draw("cuda", 4000, 128, 5000)[1]
    assert (source.sitter_of(4000)[1] == table[row, :300]).all()
    assert (source.sitter_of(4096 + 7)[1] == source.sitter_of(7)[1]).all()
    assert np.abs(made.pack.official.camera - [*table[:, 358:361].mean(0), 8, *table[:, 362:].mean(0)]).max() < 1e-6


# ------------------------------------------------------------------------------------------------------------- command


def test_the_command(release, tmp_path, capsys):
    assert main(["import-official", str(release), "--out", str(tmp_path / "p.agora"), "--seeds", "0-1,9", "--name", "Mine"]) == 0
    said = capsys.readouterr().out
    assert "found generator" in said
    assert "no fused_params_dataset.npy" in said
    assert "3 people" in said
    pack = read_pack(tmp_path / "p.agora")
    assert [person.seed for person in pack.identities] == [0, 1, 9]
    assert (pack.manifest.name, pack.manifest.generator.prior) == ("Mine", "cuda")


@pytest.mark.parametrize(("arguments", "message"), [
    (["{release}", "--out", "{folder}/p.zip"], "ends in .agora"),
    (["{release}", "--out", "{folder}/no/p.agora"], "does not exist"),
    (["{folder}/nothing", "--out", "{folder}/p.agora"], "does not exist"),
    (["{release}", "--out", "{folder}/p.agora", "--seeds", "0-99"], "100 people"),
    (["{release}", "--out", "{folder}/p.agora", "--seeds", "x"], "not a whole number"),
    (["{release}", "--out", "{folder}/p.agora", "--components", "0"], "--components"),
])
def test_mistakes_are_one_line_and_leave_nothing(release, tmp_path, capsys, arguments, message):
    filled = [word.format(release=release, folder=tmp_path) for word in arguments]
    assert main(["import-official", *filled]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert len(said.splitlines()) <= 2  # what is wrong, and what to do about it
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_parts_of_different_releases_are_told_apart(release, tmp_path, capsys):
    basis = torch.load(GOLDEN / "agora_m_small" / "svd_basis.pt", weights_only=True)
    (release / "svd_basis.pt").unlink()
    torch.save(basis | {"U_scale": basis["U_scale"][:, :300]}, release / "svd_basis.pt")
    assert main(["import-official", str(release), "--out", str(tmp_path / "p.agora")]) == 2
    assert "U_scale has shape" in capsys.readouterr().err
    (release / "official_small_model_config.json").unlink()
    (release / "model_config.json").write_text('{"generator_config": {"z_dim": 512}}')
    assert main(["import-official", str(release), "--out", str(tmp_path / "p.agora")]) == 2
    assert "z_dim is not that of official_small.pkl" in capsys.readouterr().err


def test_neighbours_along_the_curve_are_squares():
    side = np.linspace(-1, 1, 64)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    order = np.argsort(z_curve(grid.astype(np.float32)))
    cells = np.round((grid[order] + 1) * 31.5).astype(int).reshape(-1, 4, 2)
    assert (np.ptp(cells, axis=1) == 1).all()


# ---------------------------------------------------------------------------------------------------------- full size


@pytest.mark.slow
def test_the_published_size(tmp_path):
    """Random weights: memory, file size and seconds of a new person are those of the real release."""
    from tests.trainer.official_release import ANCHORS, write_full_release

    resource = pytest.importorskip("resource")

    release = tmp_path / "release"
    release.mkdir()
    write_full_release(release)
    assert main(["import-official", str(release), "--out", str(tmp_path / "full.agora"), "--seeds", "0-7"]) == 0
    pack = read_pack(tmp_path / "full.agora")
    write_pack(tmp_path / "bare.agora", replace(pack, official=None, manifest=replace(pack.manifest, generator=None)))
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024
    assert used < 6e9
    assert (tmp_path / "bare.agora").stat().st_size < 120e6
    source = OfficialSource(pack, tmp_path / "people")
    source.generator  # noqa: B018 - loaded once
    start = time.process_time()
    person = source.build(99)
    assert len(person) == ANCHORS
    assert time.process_time() - start < 20  # ten seconds of two cores
    published = torch.load(release / "agora_m" / "svd_basis.pt", weights_only=True, mmap=True)
    order = source.pack.official.order
    for attribute, name in ((0, "xyz"), (3, "opacity")):
        basis = source.pack.basis[attribute]
        exact = published[f"U_{name}"].numpy().reshape(64, ANCHORS, -1)[:, order[:len(basis.dense()[0])]]
        assert np.linalg.norm(basis.dense() - exact) < 0.02 * np.linalg.norm(exact)
