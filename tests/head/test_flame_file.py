"""FLAME's own files may not be shipped: these are made to its published layout from the open head's data."""

from __future__ import annotations

import builtins
import copyreg
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import HeadModelError
from core.head.flame_file import converted_path
from core.head.library import load_head_model
from core.head.mesh import boundary_loops
from core.head.model import HeadModel
from core.head.safe_pickle import read_pickled_arrays
from tests.head.conftest import pretend_flame, write_chumpy_pickle


@pytest.fixture(scope="module")
def flame_pkl(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chumpy_pickle(tmp_path_factory.mktemp("flame") / "generic_model.pkl", pretend_flame(head))


@pytest.fixture(scope="module")
def flame(flame_pkl: Path) -> HeadModel:
    return load_head_model(flame_pkl)


def test_numbers_arrive_unchanged(head: HeadModel, flame: HeadModel) -> None:
    source = pretend_flame(head)
    count = len(source["v_template"])
    np.testing.assert_array_equal(flame.v_template[:count], source["v_template"].astype(np.float32))
    np.testing.assert_array_equal(flame.skin_weights[:count], source["weights"].astype(np.float32))
    assert flame.expression_count == 100
    assert flame.psi_layout.size == 109
    np.testing.assert_allclose(flame.neutral(np.zeros(0)).joints, head.neutral(np.zeros(0)).joints, atol=1e-6)


def test_it_poses_like_the_model_it_was_made_from(head: HeadModel, flame: HeadModel) -> None:
    pose = head.pose(jaw=0.3, gaze=(0.1, 0.2), neck=(0.1, -0.2, 0.0))
    skin = head.vertices_of("skin", "eye_l", "eye_r")
    expected = head.vertices(head.shape_bank[2], head.expression(mouthSmile=0.5), pose)[skin]
    actual = flame.vertices(head.shape_bank[2], head.expression(mouthSmile=0.5), pose)[:len(skin)]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_a_mouth_with_teeth_is_added(flame: HeadModel) -> None:
    assert {"mouth", "teeth_u", "teeth_l"} <= set(flame.part_names)
    mouth_edge = set(flame.vertices_of("skin")) & set(flame.vertices_of("mouth"))
    assert len(mouth_edge) > 20, "the pocket continues the lips"
    assert len(boundary_loops(flame.faces_of("skin", "mouth"))) == len(boundary_loops(flame.faces_of("skin"))) - 1
    opened = flame.vertices(np.zeros(0), None, flame.pose(jaw=flame.jaw_open_angle)) - flame.v_template
    assert opened[flame.vertices_of("teeth_l"), 1].mean() < -0.015
    assert np.abs(opened[flame.vertices_of("teeth_u")]).max() < 1e-6


def test_texture_coordinates_have_no_flips_on_the_skin(flame: HeadModel) -> None:
    a, b, c = (flame.uv[flame.uv_faces[flame.face_indices_of("skin"), k]].astype(float) for k in range(3))
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert areas.min() > 0
    assert flame.uv.min() >= 0
    assert flame.uv.max() <= 1


def test_it_is_converted_once_and_kept_by_its_hash(flame: HeadModel, flame_pkl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert converted_path(flame.sha256).is_file()

    def fail(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr("core.head.flame_file.complete_flame", fail)
    again = load_head_model(flame_pkl)
    assert again.sha256 == flame.sha256
    np.testing.assert_array_equal(again.uv, flame.uv)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_pickle_protocol_reads(head: HeadModel, tmp_path: Path, protocol: int) -> None:
    small = {"v_template": np.arange(12.0).reshape(4, 3), "J_regressor": np.eye(5, 4), "f": np.array([[0, 1, 2]], np.uint32),
             "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "half": np.float32([1.5, 2])}
    arrays = read_pickled_arrays(write_chumpy_pickle(tmp_path / "m.pkl", small, ("v_template",), protocol))
    for key, value in small.items():
        np.testing.assert_array_equal(arrays[key], value)


def test_npz_flame_reads_too(head: HeadModel, flame: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "flame2023.npz"
    np.savez(path, **pretend_flame(head))
    np.testing.assert_array_equal(load_head_model(path).v_template, flame.v_template)


# ---------------------------------------------------------------------- wrong files


def _body_model(count: int) -> dict[str, np.ndarray]:
    return {"v_template": np.zeros((count, 3)), "shapedirs": np.zeros((count, 3, 10)), "J_regressor": np.zeros((5, count))}


@pytest.mark.parametrize(("count", "said"), [(10475, "SMPL-X"), (6890, "SMPL"), (778, "MANO"), (4000, "4000 vertices")])
def test_other_models_are_named(tmp_path: Path, count: int, said: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(_body_model(count)))
    with pytest.raises(HeadModelError, match=said):
        load_head_model(path)
    np.savez(path.with_suffix(".npz"), **_body_model(count), dynamic=np.array([{}], object))
    with pytest.raises(HeadModelError, match=said):
        load_head_model(path.with_suffix(".npz"))


def _zip_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "said"), [
    (b"<!DOCTYPE html><html>log in</html>", "web page"),
    (b"\n\n <html><body>404</body></html>", "web page"),
    (b"", "empty"),
    (np.random.default_rng(0).bytes(5000), "not a head model|not a pickle"),
    (_zip_of("FLAME2023/flame2023.pkl"), "zip archive"),
    (pickle.dumps([1, 2, 3]), "not a head model"),
    (pickle.dumps({"lmk_face_idx": np.arange(51)}), "landmark embedding"),
    (pickle.dumps({"scalp": np.arange(9)}), "vertex masks"),
    (b"\x80\x02}q\x00(X\x0a", "damaged"),
])
def test_wrong_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(content)
    with pytest.raises(HeadModelError, match=said) as caught:
        load_head_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_download_is_refused(flame_pkl: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pkl"
    path.write_bytes(flame_pkl.read_bytes()[:2_000_000])
    with pytest.raises(HeadModelError, match="damaged"):
        load_head_model(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadModelError, match="No such file"):
        load_head_model(tmp_path / "nothing.pkl")


def test_wrong_shapes_and_numbers_are_refused(head: HeadModel, tmp_path: Path) -> None:
    for change, said in (({"weights": np.zeros((5023, 4))}, "weights"), ({"f": np.array([[0, 1, 6000]])}, "do not exist"),
                         ({"v_template": np.full((5023, 3), np.nan)}, "finite")):
        path = write_chumpy_pickle(tmp_path / "m.pkl", {**pretend_flame(head), **change})
        with pytest.raises(HeadModelError, match=said):
            load_head_model(path)


# ---------------------------------------------------------------------- pickles that run code


class _Calls:
    """Pickles to a call of `function` with `arguments`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def _attacks(marker: Path) -> dict[str, bytes]:
    touch = f"open({str(marker)!r}, 'w').close()"
    system = b"\x80\x02c" + os.system.__module__.encode() + b"\nsystem\n"
    argument = pickle.dumps(f"touch {marker}", 2)[2:-1]
    return {
        "os.system": pickle.dumps(_Calls(os.system, f"touch {marker}")),
        "builtins.eval": pickle.dumps(_Calls(builtins.eval, touch)),
        "builtins.exec": pickle.dumps(_Calls(builtins.exec, touch)),
        "getattr": pickle.dumps(_Calls(builtins.getattr, _Calls(__import__, "os"), "system")),
        "import": pickle.dumps(_Calls(__import__, "antigravity")),
        "inside an array's key": pickle.dumps({"v_template": _Calls(builtins.eval, touch)}),
        "numpy loads": b"\x80\x02cnumpy\nload\n" + pickle.dumps(str(marker), 2)[2:-1] + b"\x85R.",
        "numpy's ctypes": b"\x80\x02cnumpy.ctypeslib\nload_library\n" + argument + b"\x85R.",
        "object array": pickle.dumps({"v_template": np.array([_Calls(builtins.eval, touch)], object)}),
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x13ndarray.__subclasses__\x93)R.",
        "instance opcode": b"(S'" + touch.encode().replace(b"'", b"\"") + b"'\ni__builtin__\neval\n.",
        "object opcode": b"(c__builtin__\neval\nS'1'\no.",
        "copyreg to a type": pickle.dumps(_Calls(copyreg._reconstructor, type, object, None), 2),
        "extension registry": b"\x80\x02\x82\x01.",
        "state of a function": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}X\x08\x00\x00\x00__code__K\x01sb.",
        "state of a class": b"\x80\x02cnumpy\ndtype\nN}X\x08\x00\x00\x00__init__K\x01s\x86b.",
        "persistent id": b"\x80\x02X\x01\x00\x00\x00xQ.",
        "old style": system + argument + b"\x85R.",
        "sparse module": b"\x80\x02cscipy.sparse._csc\n__builtins__\n.",
        "chumpy submodule": b"\x80\x04\x8c\x09chumpy.ch\x8c\x11Ch.__init__.__globals__\x93.",
    }


@pytest.mark.parametrize("attack", sorted(_attacks(Path("x"))))
def test_malicious_pickles_are_refused_and_nothing_runs(tmp_path: Path, attack: str) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(_attacks(marker)[attack])
    with pytest.raises(HeadModelError):
        load_head_model(path)
    assert not marker.exists()


def test_the_attacks_are_real(tmp_path: Path) -> None:
    """Plain pickle does run the first payloads: the test above would notice."""
    for name in ("os.system", "builtins.eval", "builtins.exec"):
        marker = tmp_path / name
        pickle.loads(_attacks(marker)[name])
        assert marker.exists()


def test_stand_ins_do_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x02}X\x01\x00\x00\x00acchumpy.anything\nThing\n)R}X\x04\x00\x00\x00evilK\x01sbs.")
    assert read_pickled_arrays(path) == {}
