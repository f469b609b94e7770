"""From the tracker's head to the published one: on a head in FLAME's layout that is made of the open head itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from core.avatar.driving_map import DrivingMap, check_driving
from core.errors import PackError
from core.geometry import rotation_from_axis_angle
from core.head.library import load_open_head
from trainer.official_driving import EXPRESSIONS, LIDS, fit_driving
from trainer.psi_sampling import PsiSampler

SCALE, SHIFT, TURN = 1.06, np.array([0.0, 0.023, 0.036]), np.array([0.04, 0.0, 0.0])


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def flame(head):
    """Another person's head of another size at another place: vertices shuffled, expressions mixed into 50 components."""
    rng = np.random.default_rng(2)
    order = rng.permutation(head.vertex_count)
    new_number = np.argsort(order)
    turn = rotation_from_axis_angle(TURN)
    shape = 0.5 * head.shape_bank[3]

    def placed(vectors):  # [V, 3, ...]
        return SCALE * np.einsum("ij,vj...->vi...", turn, vectors)[order]

    template = placed(head.neutral(shape).vertices) + SHIFT
    names = [n for n in head.expression_names if n not in (*LIDS, "tongueOut")]
    fields = head.expression_dirs[:, :, [head.expression_names.index(n) for n in names]].astype(np.float64)
    faces = rng.uniform(0, 0.6, (400, len(names))) * (rng.uniform(size=(400, len(names))) < 0.3)
    faces -= faces.mean(0)
    _, spread, mixes = np.linalg.svd(faces, full_matrices=False)
    components = np.einsum("vcn,kn->vck", fields, mixes * (spread / np.sqrt(len(faces)))[:, None])
    shapedirs = np.zeros((head.vertex_count, 3, 350), np.float32)
    shapedirs[:, :, 300:300 + components.shape[2]] = placed(components)
    poses = np.zeros((head.vertex_count, 3, 36))
    blinks = [placed(head.expression_dirs[:, :, head.expression_names.index(lid)])[None] for lid in LIDS]
    arrays = {"v_template": template, "shapedirs": shapedirs, "posedirs": poses.reshape(-1, 36).T,
              "J_regressor": head.joint_regressor[:, order], "lbs_weights": head.skin_weights[order],
              "l_eyelid": blinks[0], "r_eyelid": blinks[1], "faces_tensor": new_number[head.faces]}
    return SimpleNamespace(arrays={f"flame_lbs_model.{k}": v for k, v in arrays.items()}, order=order, turn=turn)


def moved_flame(flame, psi):
    """Displacement of the published head under ψ55, as specification 1.2 says, back in the open head's frame and order."""
    a = {k.removeprefix("flame_lbs_model."): v for k, v in flame.arrays.items()}
    rest = a["v_template"]
    shaped = rest + a["shapedirs"][:, :, 300:] @ psi[:EXPRESSIONS]
    joint = (a["J_regressor"] @ shaped)[2]
    swung = (shaped - joint) @ rotation_from_axis_angle(psi[50:53].astype(np.float64)).T + joint
    weight = a["lbs_weights"][:, 2:3]
    posed = weight * swung + (1 - weight) * shaped + psi[53] * a["l_eyelid"][0] + psi[54] * a["r_eyelid"][0]
    moved = (posed - rest) @ flame.turn / SCALE
    return moved[np.argsort(flame.order)]


def test_driven_vertices_follow(head, flame):
    fit = fit_driving(flame.arrays, head)
    assert fit.is_fitted
    rng = np.random.default_rng(0)
    psi = PsiSampler(head).sample(rng, 60)
    psi[:, head.expression_count + 3:] = 0  # FLAME's eyes do not turn
    psi[:, head.expression_names.index("tongueOut")] = 0
    skin = head.vertices_of("skin")
    rest, errors = head.neutral(np.zeros(1, np.float32)).vertices, []
    for face in psi:
        pose = np.zeros((5, 3), np.float32)
        pose[2] = face[head.expression_count:head.expression_count + 3]
        wanted = (head.vertices(np.zeros(1, np.float32), face[:head.expression_count], pose) - rest)[skin]
        got = moved_flame(flame, fit.map(face))[skin]
        errors.append(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))
    assert np.mean(errors) < 0.35, np.mean(errors)


def test_every_expression_goes_the_right_way(head, flame):
    fit = fit_driving(flame.arrays, head)
    skin = head.vertices_of("skin")
    for column, name in enumerate(head.expression_names):
        psi = np.zeros(head.psi_layout.size, np.float32)
        psi[column] = 1
        wanted = head.expression_dirs[skin, :, column].ravel()
        if name == "tongueOut" or not wanted.any():
            continue
        got = moved_flame(flame, fit.map(psi))[skin].ravel()
        assert got @ wanted > 0.5 * np.linalg.norm(got) * np.linalg.norm(wanted), name


def test_blinks_jaw_and_rest(head, flame):
    fit = fit_driving(flame.arrays, head)
    psi = np.zeros(head.psi_layout.size, np.float32)
    assert not fit.map(psi).any()
    psi[head.expression_names.index("eyeBlinkLeft")], psi[head.expression_count] = 0.8, 0.3
    driven = fit.map(psi)
    assert driven[53] == pytest.approx(0.8)
    assert driven[54] == 0
    assert driven[50] == pytest.approx(0.3, rel=0.1)  # the same jaw: the gain is about 1


def test_faces_stay_within_what_the_dataset_shows(head, flame):
    seen = np.random.default_rng(0).normal(0, 0.8, (500, EXPRESSIONS)).astype(np.float32)
    fit = fit_driving(flame.arrays, head, seen)
    wild = fit.map(np.full(head.psi_layout.size, 3.0, np.float32))
    assert (np.abs(wild[:EXPRESSIONS]) <= 1.34 * np.abs(seen).max(0)).all()
    assert wild[50] <= 0.55
    assert wild[53] == 1


@pytest.mark.parametrize("spoil", [
    lambda a: a.pop("flame_lbs_model.l_eyelid"),
    lambda a: a.update({"flame_lbs_model.v_template": np.random.default_rng(1).normal(0, 0.05, (5776, 3))}),
    lambda a: a.update({"flame_lbs_model.v_template": a["flame_lbs_model.v_template"] * [1, 2.5, 1]}),
], ids=["no lids", "noise", "stretched"])
def test_what_is_no_face_is_driven_by_jaw_and_lids_alone(head, flame, spoil):
    arrays = dict(flame.arrays)
    spoil(arrays)
    fit = fit_driving(arrays, head)
    assert not fit.is_fitted
    psi = np.ones(head.psi_layout.size, np.float32) * 0.1
    driven = fit.map(psi)
    assert not driven[:EXPRESSIONS].any()
    np.testing.assert_allclose(driven[50:], 0.1)


def test_untrusted_maps_are_checked():
    good = DrivingMap(np.zeros((55, 58), np.float32), -np.ones(55, np.float32), np.ones(55, np.float32)).tensors()
    assert check_driving("pack", good, 55, 58).matrix.shape == (55, 58)
    for bad in ({"matrix": np.full((55, 58), np.nan, np.float32)}, {"low": np.ones(55, np.float32)},
                {"high": np.ones(54, np.float32)}, {"extra": np.ones(1, np.float32)}):
        with pytest.raises(PackError, match="pack"):
            check_driving("pack", good | bad, 55, 58)
