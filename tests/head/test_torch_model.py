from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from core.head.model import HeadModel
from tests.head.conftest import flame_arrays, random_pose

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def torch_head(head: HeadModel):
    from core.head.torch_model import TorchHead

    return TorchHead(head).double()


def test_torch_and_numpy_agree(head: HeadModel, torch_head, rng: np.random.Generator) -> None:
    shapes, expressions = rng.normal(0, 1, (3, 100)), rng.uniform(0, 1, (3, 49))
    poses = np.stack([random_pose(rng) for _ in range(3)]).astype(float)
    batch = torch_head(torch.tensor(shapes), torch.tensor(expressions), torch.tensor(poses)).numpy()
    for shape, expression, pose, vertices in zip(shapes, expressions, poses, batch, strict=True):
        # float32 against float64: a head is 0.4 m across, so rounding is near 1e-7 m; 1e-6 m is a thousandth of a millimetre
        np.testing.assert_allclose(head.vertices(shape, expression, pose), vertices, atol=1e-6)


def test_matches_smplx_linear_blend_skinning(head: HeadModel, torch_head, rng: np.random.Generator, tmp_path: Path) -> None:
    smplx = pytest.importorskip("smplx")
    arrays = flame_arrays(head)
    arrays["kintree_table"] = np.array([[-1, 0, 1, 1, 1], [0, 1, 2, 3, 4]])
    with (tmp_path / "FLAME_NEUTRAL.pkl").open("wb") as file:
        pickle.dump(arrays, file)
    with (tmp_path / "flame_static_embedding.pkl").open("wb") as file:  # it asks for landmarks, whose values do not matter here
        pickle.dump({"lmk_face_idx": np.arange(51), "lmk_b_coords": np.full((51, 3), 1 / 3)}, file)
    flame = smplx.FLAME(str(tmp_path), num_betas=100, num_expression_coeffs=49, use_face_contour=False, batch_size=4,
                        dtype=torch.float64)
    shape, expression = torch.tensor(rng.normal(0, 1, (4, 100))), torch.tensor(rng.uniform(0, 1, (4, 49)))
    pose = torch.tensor(np.stack([random_pose(rng) for _ in range(4)]).astype(float))
    with torch.no_grad():
        theirs = flame(betas=shape, expression=expression, global_orient=pose[:, 0], neck_pose=pose[:, 1], jaw_pose=pose[:, 2],
                       leye_pose=pose[:, 3], reye_pose=pose[:, 4], transl=torch.zeros(4, 3, dtype=torch.float64)).vertices
        ours = torch_head(shape, expression, pose)
    # smplx adds 1e-8 to every component before it takes the angle, so it is itself off by about 1e-8 m
    assert float((theirs - ours).abs().max()) < 1e-7, "1e-4 mm"


def test_gradients_match_finite_differences(torch_head, rng: np.random.Generator) -> None:
    weights = torch.tensor(rng.normal(size=(1, torch_head.v_template.shape[0], 3)))
    arguments = [torch.tensor(rng.normal(0, 1, (1, 4))), torch.tensor(rng.uniform(0, 1, (1, 6))),
                 torch.tensor(random_pose(rng).astype(float))[None]]
    for argument in arguments:
        argument.requires_grad_()

    def loss(shape, expression, pose):
        return (weights * torch_head(shape, expression, pose)).sum()

    # central differences with step 1e-6 on a function that is smooth to third order: relative error far below 1e-4
    assert torch.autograd.gradcheck(loss, arguments, eps=1e-6, atol=1e-5, rtol=1e-4)


def test_gradient_at_the_resting_pose_is_finite(torch_head) -> None:
    pose = torch.zeros(1, 5, 3, dtype=torch.float64, requires_grad=True)
    torch_head(torch.zeros(1, 1, dtype=torch.float64), None, pose)[..., 1].sum().backward()
    assert torch.isfinite(pose.grad).all()
    assert pose.grad[0, 2, 0].abs() > 0.1, "opening the jaw lowers it"
