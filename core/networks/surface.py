"""The expressive head as the generator sees it: skinned vertices, and their positions over the texture map (1.2, 1.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.head.torch_model import rotation_from_axis_angle, skinning_transforms

SHAPE, EXPRESSION, GLOBAL, JAW, EYELIDS = slice(0, 300), slice(300, 350), slice(350, 353), slice(353, 356), slice(356, 358)
"""Columns of the published parameter vector ``flame_params`` [358]."""
FLAME_PARAMETERS = 358


def driving_vector(flame_params: Tensor) -> Tensor:
    """ψ [B, 55] of parameter vectors [B, 358]: expression, jaw, eyelids."""
    return torch.cat([flame_params[:, EXPRESSION], flame_params[:, JAW], flame_params[:, EYELIDS]], 1)


def only_shape(flame_params: Tensor) -> Tensor:
    """The same people [B, 358] at rest."""
    return functional.pad(flame_params[:, SHAPE], (0, FLAME_PARAMETERS - SHAPE.stop))


class FlameSkinning(nn.Module):
    """The head model inside a generator, under its published buffer names.

    Joints are regressed from the whole head; the published mesh has lost the back of the head, whose part of the regression is
    kept in the ``bh_`` buffers.
    """

    def __init__(self, vertices: int, faces: int, back_vertices: int = 0) -> None:
        super().__init__()
        self.register_buffer("v_template", torch.zeros(vertices, 3))
        self.register_buffer("shapedirs", torch.zeros(vertices, 3, EXPRESSION.stop))
        self.register_buffer("posedirs", torch.zeros(36, 3 * vertices))
        self.register_buffer("J_regressor", torch.zeros(5, vertices))
        self.register_buffer("lbs_weights", torch.zeros(vertices, 5))
        self.register_buffer("parents", torch.tensor([-1, 0, 1, 1, 1]))
        self.register_buffer("l_eyelid", torch.zeros(1, vertices, 3))
        self.register_buffer("r_eyelid", torch.zeros(1, vertices, 3))
        self.register_buffer("faces_tensor", torch.zeros(faces, 3, dtype=torch.long))
        self.eye_pose = nn.Parameter(torch.zeros(1, 6), requires_grad=False)
        self.neck_pose = nn.Parameter(torch.zeros(1, 3), requires_grad=False)
        if back_vertices:
            self.register_buffer("bh_vert", torch.zeros(back_vertices, 3))
            self.register_buffer("bh_vert_J_regressor", torch.zeros(5, back_vertices))
            self.register_buffer("bh_vert_shapedirs", torch.zeros(back_vertices, 3, EXPRESSION.stop))

    def forward(self, flame_params: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices [B, V, 3] and joints [B, 5, 3] of parameters [B, 358], metres, without the global rotation."""
        batch = len(flame_params)
        coefficients = flame_params[:, :EXPRESSION.stop]
        vertices = self.v_template + torch.einsum("vas,bs->bva", self.shapedirs, coefficients)
        joints = torch.einsum("jv,bva->bja", self.J_regressor, vertices)
        if hasattr(self, "bh_vert"):
            back = self.bh_vert + torch.einsum("vas,bs->bva", self.bh_vert_shapedirs, coefficients)
            joints = joints + torch.einsum("jv,bva->bja", self.bh_vert_J_regressor, back)
        pose = torch.cat([torch.zeros_like(flame_params[:, GLOBAL]), self.neck_pose.expand(batch, -1), flame_params[:, JAW],
                          self.eye_pose.expand(batch, -1)], 1).view(batch, 5, 3)
        rotations = rotation_from_axis_angle(pose)
        feature = (rotations[:, 1:] - torch.eye(3, dtype=pose.dtype, device=pose.device)).flatten(1)
        vertices = vertices + (feature @ self.posedirs).view(batch, -1, 3)
        transforms, posed = skinning_transforms(rotations, joints)
        blended = torch.einsum("vj,bjcd->bvcd", self.lbs_weights, transforms)
        skinned = torch.einsum("bvcd,bvd->bvc", blended[..., :3], vertices) + blended[..., 3]
        lids = flame_params[:, EYELIDS]
        return skinned + lids[:, :1, None] * self.l_eyelid + lids[:, 1:, None] * self.r_eyelid, posed


class UvTables(nn.Module):
    """Base of the generator: which vertices a texel sees, where the Gaussians sit, under the published buffer names.

    Args:
        uv_vertices, vertices, faces: counts of the mesh and its texture coordinates.
        resolution: of the texture map.
        anchors: number of Gaussians.
    """

    def __init__(self, uv_vertices: int, vertices: int, faces: int, resolution: int, anchors: int) -> None:
        super().__init__()
        self.register_buffer("_tidx_to_idx", torch.zeros(uv_vertices, dtype=torch.long))
        self.register_buffer("_idx_to_tidx", torch.zeros(vertices, dtype=torch.long))
        self.register_buffer("template_uv_coords", torch.zeros(uv_vertices, 2, dtype=torch.float64))
        self.register_buffer("template_faces", torch.zeros(faces, 3, dtype=torch.long))
        self.register_buffer("template_uv_faces", torch.zeros(faces, 3, dtype=torch.long))
        self.register_buffer("_uv_grid", torch.zeros(1, anchors, 1, 2))
        self.register_buffer("_idxim", torch.zeros(resolution, resolution, 3, dtype=torch.int32))
        self.register_buffer("_barim", torch.zeros(resolution, resolution, 3))
        self.register_buffer("_template_uv_positions_map", torch.zeros(1, 3, resolution, resolution))
        self.register_buffer("_deform_mask", torch.zeros(1, 1, resolution, resolution))

    def position_map(self, vertices: Tensor) -> Tensor:
        """Vertices [B, V, 3] spread over the texture map [B, 3, R, R]; 0 where no triangle is."""
        by_uv = vertices[:, self._tidx_to_idx]
        corners = by_uv[:, self._idxim.long()]  # [B, R, R, 3, 3]
        return (corners * self._barim[..., None]).sum(3).permute(0, 3, 1, 2)

    def displacement_map(self, neutral_vertices: Tensor) -> Tensor:
        """How far a resting head [B, V, 3] is from the template, over the texture map [B, 3, R, R] (3.4)."""
        return self.position_map(neutral_vertices) - self._template_uv_positions_map

    def lift(self, vertices: Tensor) -> Tensor:
        """Positions [B, G, 3] of the Gaussians' anchors on posed vertices [B, V, 3]."""
        return self._sample(self.position_map(vertices), "border")

    def sample(self, planes: Tensor) -> Tensor:
        """Planes [B, C, R, R] at the Gaussians [B, G, C]."""
        return self._sample(planes, "zeros")

    def _sample(self, planes: Tensor, padding: str) -> Tensor:
        grid = self._uv_grid.expand(len(planes), -1, -1, -1).to(planes.dtype)
        return functional.grid_sample(planes, grid, "bilinear", padding, align_corners=False)[..., 0].transpose(1, 2)
