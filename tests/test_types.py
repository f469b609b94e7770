"""The driving vector and the cloud of Gaussians keep what they are given."""

from __future__ import annotations

import numpy as np

from core.types import Gaussians, HeadParams, PsiLayout


def test_psi_round_trip(generator):
    params = HeadParams.neutral(49)
    psi = generator.normal(size=58).astype(np.float32)
    np.testing.assert_array_equal(params.with_psi(psi).psi(), psi)
    assert PsiLayout(49).size == 58


def test_joint_pose_leaves_root_and_neck_at_rest(generator):
    psi = generator.normal(size=58).astype(np.float32)
    pose = HeadParams.neutral(49).with_psi(psi).joint_pose()
    np.testing.assert_array_equal(pose[:2], 0)
    np.testing.assert_array_equal(pose[2:].ravel(), psi[49:])


def test_subset_keeps_the_rows_together(generator):
    n = 20
    cloud = Gaussians(*(generator.random(shape, np.float32) for shape in ((n, 3), (n, 3), (n, 4), (n, 3), n)))
    keep = generator.random(n) < 0.5
    part = cloud.subset(keep)
    assert len(part) == keep.sum()
    np.testing.assert_array_equal(part.quat, cloud.quat[keep])
    np.testing.assert_array_equal(part.opacity, cloud.opacity[keep])
