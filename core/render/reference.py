"""The specification of our rendering: float64, plain and slow. Every other back end is compared with it.

The rules are those of gsplat's *antialiased* mode (https://docs.gsplat.studio, Ye et al. 2024, "gsplat: An Open-Source
Library for Gaussian Splatting"; the opacity compensation is Yu et al. 2024, "Mip-Splatting", §5.2):

1. Σ₂ = J W Σ Wᵀ Jᵀ with the Jacobian J of the perspective projection at the Gaussian's centre (Zwicker et al. 2001, "EWA
   splatting"); the centre is clamped, for J alone, to 15 % beyond the picture.
2. Σ₂' = Σ₂ + 0.3·I pixels², and the opacity is multiplied by sqrt(det Σ₂ / det Σ₂').
3. Front to back by the depth of the centre: α = min(0.999, opacity·exp(−½ dᵀ Σ₂'⁻¹ d)) at the pixel's centre; α < 1/255
   is skipped; a pixel is finished before the Gaussian that would bring its transmittance T to 1e-4 or below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.geometry import rotation_from_quat
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, Gaussians

LOW_PASS_VARIANCE = 0.3  # pixels²
ALPHA_MIN = 1 / 255
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4
NEAR_PLANE = 0.01  # metres
FRUSTUM_MARGIN = 0.15  # of the picture's size, on each side

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProjectedGaussians:
    """Gaussians as ellipses in the picture.

    Attributes:
        center: [N, 2] pixels; the centre of the first pixel is at 0.5.
        covariance: [N, 2, 2] pixels², widened by the low-pass filter.
        opacity: [N] compensated for the widening; 0 where the Gaussian is not drawn.
        depth: [N] metres along the optical axis.
    """

    center: Float64Array
    covariance: Float64Array
    opacity: Float64Array
    depth: Float64Array


def project(gaussians: Gaussians, camera: Camera) -> ProjectedGaussians:
    """Rules 1 and 2 of the module's docstring."""
    world_to_camera = camera.world_to_camera.astype(np.float64)
    view_rotation = world_to_camera[:3, :3]
    position = gaussians.xyz.astype(np.float64) @ view_rotation.T + world_to_camera[:3, 3]
    in_front = position[:, 2] >= NEAR_PLANE
    depth = np.where(in_front, position[:, 2], 1.0)
    x, y = position[:, 0] / depth, position[:, 1] / depth

    axes = view_rotation @ rotation_from_quat(gaussians.quat.astype(np.float64)) * gaussians.scale.astype(np.float64)[:, None, :]
    jacobian = _perspective_jacobian(x, y, depth, camera)
    projected_axes = jacobian @ axes
    covariance = projected_axes @ projected_axes.transpose(0, 2, 1)
    widened = covariance + LOW_PASS_VARIANCE * np.eye(2)
    compensation = np.sqrt(np.maximum(np.linalg.det(covariance), 0) / np.linalg.det(widened))

    center = np.stack([camera.fx * x + camera.cx, camera.fy * y + camera.cy], -1)
    opacity = np.where(in_front, gaussians.opacity.astype(np.float64) * compensation, 0.0)
    return ProjectedGaussians(center, widened, opacity, position[:, 2])


def _perspective_jacobian(x: Float64Array, y: Float64Array, depth: Float64Array, camera: Camera) -> Float64Array:
    """Derivative of the pixel position by the position in camera space [N, 2, 3]; x, y are position / depth."""
    margin_x, margin_y = FRUSTUM_MARGIN * camera.width / camera.fx, FRUSTUM_MARGIN * camera.height / camera.fy
    x = np.clip(x, -camera.cx / camera.fx - margin_x, (camera.width - camera.cx) / camera.fx + margin_x)
    y = np.clip(y, -camera.cy / camera.fy - margin_y, (camera.height - camera.cy) / camera.fy + margin_y)
    jacobian = np.zeros((len(depth), 2, 3))
    jacobian[:, 0, 0] = camera.fx / depth
    jacobian[:, 0, 2] = -camera.fx * x / depth
    jacobian[:, 1, 1] = camera.fy / depth
    jacobian[:, 1, 2] = -camera.fy * y / depth
    return jacobian


def composite(projected: ProjectedGaussians, rgb: Float64Array, width: int, height: int) -> tuple[Float64Array, Float64Array]:
    """Rule 3 of the module's docstring.

    Returns:
        Premultiplied colour [H, W, 3] and transmittance [H, W].
    """
    picture = np.zeros((height, width, 3))
    transmittance = np.ones((height, width))
    finished = np.zeros((height, width), bool)
    inverse = np.linalg.inv(projected.covariance)
    visible = projected.opacity >= ALPHA_MIN
    for i in np.argsort(projected.depth.astype(np.float32), kind="stable"):
        if not visible[i]:
            continue
        # α falls to 1/255 on the ellipse dᵀ Σ⁻¹ d = 2 ln(255·opacity); this is the box around it.
        reach = np.sqrt(2 * np.log(projected.opacity[i] / ALPHA_MIN) * np.diag(projected.covariance[i]))
        x0, y0 = np.maximum(np.floor(projected.center[i] - reach), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(projected.center[i] + reach), (width, height)).astype(int)
        if x0 >= x1 or y0 >= y1:
            continue
        dx = np.arange(x0, x1) + 0.5 - projected.center[i, 0]
        dy = (np.arange(y0, y1) + 0.5 - projected.center[i, 1])[:, None]
        squared_distance = inverse[i, 0, 0] * dx**2 + 2 * inverse[i, 0, 1] * dx * dy + inverse[i, 1, 1] * dy**2
        alpha = np.minimum(projected.opacity[i] * np.exp(-0.5 * np.maximum(squared_distance, 0)), ALPHA_MAX)

        here = np.s_[y0:y1, x0:x1]
        after = transmittance[here] * (1 - alpha)
        contributes = (alpha >= ALPHA_MIN) & ~finished[here]
        finished[here] |= contributes & (after <= TRANSMITTANCE_MIN)
        contributes &= ~finished[here]
        weight = np.where(contributes, alpha * transmittance[here], 0.0)
        picture[here] += weight[..., None] * rgb[i]
        transmittance[here] -= weight
    return picture, transmittance


def render_reference(gaussians: Gaussians, camera: Camera, background: Background = None) -> tuple[Float64Array, Float64Array]:
    """The picture in full precision.

    Returns:
        Colour [H, W, 3] over the background (premultiplied when there is none), and coverage 1 − T [H, W].
    """
    picture, transmittance = composite(project(gaussians, camera), gaussians.rgb.astype(np.float64), camera.width, camera.height)
    if background is not None:
        picture = picture + transmittance[..., None] * np.asarray(background, np.float64)
    return picture, 1 - transmittance


class ReferenceRenderer:
    """`Renderer` on top of `render_reference`, for comparisons. Takes seconds a picture."""

    name = "reference"

    def __init__(self) -> None:
        self.stats = RenderStats()

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        clock = StageClock()
        color, coverage = render_reference(gaussians, camera, background)
        rgba = np.concatenate([color, coverage[..., None]], -1)
        image = (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)
        self.stats = RenderStats(blend_ms=clock.lap(), gaussian_count=len(gaussians))
        return image

    def warm_up(self) -> None:
        """Nothing is compiled here."""

    def close(self) -> None:
        """Nothing is held here."""
