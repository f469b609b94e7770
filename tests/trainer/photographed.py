"""Studio people as photographs whose truth is known: landmarks, mask and pose are exact, the fitted shape is not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.head.embedding import load_landmark_embedding
from core.head.mesh import project
from core.head.model import HeadModel
from core.render.renderer import open_renderer
from core.studio import StudioIdentity, Traits, build_identity, pose_identity, sample_traits
from core.types import HeadParams
from trainer.data.portrait_fit import SHAPE_COUNT, Framing, PortraitFit, _reframed
from trainer.invert.view import PhotoView

WALL = (0.30, 0.42, 0.36)


@dataclass(frozen=True)
class Photographed:
    """A photograph and what it is of."""

    view: PhotoView
    person: StudioIdentity
    traits: Traits
    vertices: np.ndarray


def photographed(head: HeadModel, seed: int, yaw: float = 0.0, size: int = 320, known: float = 0.75,
                 **expression: float) -> Photographed:
    """A person turned by `yaw` radians. `known` is the share of the shape coefficients that the fit has found."""
    traits = sample_traits(seed, head)
    traits = replace(traits, accessories=replace(traits.accessories, glasses="none", earrings=False))
    person = build_identity(traits, head)
    jaw = expression.pop("jaw", 0.0)
    columns = head.expression(**expression) if expression else np.zeros(head.expression_count, np.float32)
    pose = head.pose(jaw=jaw)
    vertices = head.vertices(traits.shape, columns, pose)
    params = replace(HeadParams.neutral(head.expression_count), expression=columns, jaw_pose=pose[2],
                     shape=(known * traits.shape[:SHAPE_COUNT]).astype(np.float32),
                     head_rotation=np.array([0.0, yaw, 0.0], np.float32))
    fit = _reframed(PortraitFit(params, Framing(np.full(2, size / 2), size), 0.01), Framing(np.full(2, size / 2), size))
    camera = fit.camera(size)
    renderer = open_renderer("cpu")
    cloud = pose_identity(person, vertices, columns)
    rgba = renderer.render(cloud, camera)
    before_wall = renderer.render(cloud, camera, WALL)[..., :3]
    renderer.close()
    alpha = rgba[..., 3].astype(np.float32) / 255
    colors = np.where(alpha[..., None] > 0.05, rgba[..., :3] / np.maximum(alpha[..., None], 0.05), rgba[..., :3])
    landmarks = np.zeros((478, 2), np.float32)
    landmarks[:468] = project(camera, load_landmark_embedding(head).points(vertices))[:, :2]
    for first, part in ((468, "eye_r"), (473, "eye_l")):
        landmarks[first:first + 5] = project(camera, vertices[head.vertices_of(part)].mean(0, keepdims=True))[:, :2]
    view = PhotoView(f"seed_{seed}.png", np.ascontiguousarray(before_wall), alpha, colors.clip(0, 255).astype(np.uint8),
                     landmarks, fit)
    return Photographed(view, person, traits, vertices)
