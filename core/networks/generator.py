"""The generator: identity planes once per person, deformation and lifting per frame (specification 3 to 5).

Parameters and buffers carry the published names, so that a published state fits as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.networks.attributes import GaussianTensors, harmonics_of, log_scale, opacity_of, rotation_of
from core.networks.config import POSITION, ROTATION, SCALE, GeneratorConfig
from core.networks.layers import SharedNoise
from core.networks.mapping import Mapping
from core.networks.surface import FlameSkinning, UvTables, driving_vector, only_shape
from core.networks.synthesis import Deformation, Synthesis, Tap

MAPPING_LAYERS = 2


@dataclass(frozen=True)
class MeshSizes:
    """Counts of the head mesh a generator is made for."""

    vertices: int = 5994
    uv_vertices: int = 6066
    faces: int = 11666
    back_vertices: int = 141
    anchors: int = 228_693


@dataclass(frozen=True)
class IdentityPlanes:
    """What depends on the person alone; the rest of a frame is cheap.

    Attributes:
        w: [B, W].
        planes: [B, 22, R, R] main planes as they leave the network.
        tap: for the deformation branch.
        displacement: [B, 3, R, R] metres.
    """

    w: Tensor
    planes: Tensor
    tap: Tap
    displacement: Tensor


@dataclass(frozen=True)
class RawGaussians:
    """Plane values at the Gaussians before activation, [B, G, 22] each; the regularisers look at them."""

    main: Tensor
    deform: Tensor


class _Backbone(nn.Module):
    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.synthesis = Synthesis(config)
        self.mapping = Mapping(config.latent_size, config.camera_size, config.latent_size, MAPPING_LAYERS)


class Generator(UvTables):
    """z, head shape and driving vector -> Gaussians.

    Args:
        config: sizes of the networks.
        mesh: counts of the head mesh.
    """

    def __init__(self, config: GeneratorConfig | None = None, mesh: MeshSizes | None = None) -> None:
        config, mesh = config or GeneratorConfig(), mesh or MeshSizes()
        super().__init__(mesh.uv_vertices, mesh.vertices, mesh.faces, config.plane_resolution, mesh.anchors)
        self.config = config
        self.backbone = _Backbone(config)
        self.deformation_generator = Deformation(config)
        self._zero_conv_position = _zero_convolution()
        self._deformation_zero_conv_position = _zero_convolution()
        self.flame_lbs_model = FlameSkinning(mesh.vertices, mesh.faces, mesh.back_vertices)

    def identity(self, z: Tensor, camera: Tensor, flame_params: Tensor, truncation: float = 1.0, noise: str = "const",
                 generator: SharedNoise | None = None) -> IdentityPlanes:
        """Planes of people: latents z [B, Z], conditioning cameras c12 [B, 12], parameters [B, 358] (their shape counts)."""
        w = self.backbone.mapping(z, camera, truncation)
        return self.identity_of(w, flame_params, noise, generator)

    def identity_of(self, w: Tensor, flame_params: Tensor, noise: str = "const",
                    generator: SharedNoise | None = None) -> IdentityPlanes:
        """As `identity`, for styles w [B, W]."""
        resting, _ = self.flame_lbs_model(only_shape(flame_params))
        displacement = self.displacement_map(resting)
        planes, tap = self.backbone.synthesis(w, displacement, noise, generator)
        return IdentityPlanes(w, planes, tap, displacement)

    def residual_planes(self, person: IdentityPlanes, psi: Tensor, noise: str = "const",
                        generator: SharedNoise | None = None) -> Tensor:
        """Planes [B, 22, R, R] of the deformation branch for ψ [B, 55]: without colour, masked."""
        planes = self.deformation_generator(person.tap, person.w, psi, noise, generator)
        color = self.config.color
        without_colour = torch.cat([planes[:, :color.start], torch.zeros_like(planes[:, color]), planes[:, color.stop:]], 1)
        return without_colour * self._deform_mask

    def raw(self, person: IdentityPlanes, residual: Tensor) -> RawGaussians:
        """Plane values at the Gaussians."""
        return RawGaussians(self.sample(_with_position(person.planes, self._zero_conv_position)),
                            self.sample(_with_position(residual, self._deformation_zero_conv_position)))

    def assemble(self, raw: RawGaussians, vertices: Tensor) -> GaussianTensors:
        """Attributes of the Gaussians on posed vertices [B, V, 3]."""
        main, deform, reach = raw.main, raw.deform, self.config.position_range
        color, opacity = self.config.color, self.config.opacity
        offset = torch.tanh(main[..., POSITION]) + self.config.deform_range * torch.tanh(deform[..., POSITION])
        return GaussianTensors(
            xyz=self.lift(vertices) + reach * offset,
            scale_log=log_scale(main[..., SCALE]) + log_scale(deform[..., SCALE]),
            quat=rotation_of(main[..., ROTATION], deform[..., ROTATION]),
            sh=harmonics_of(main[..., color]),
            opacity=opacity_of(main[..., opacity] + deform[..., opacity]))

    def frame(self, person: IdentityPlanes, flame_params: Tensor, noise: str = "const") -> tuple[GaussianTensors, Tensor]:
        """Gaussians of people with parameters [B, 358], and their posed joints [B, 5, 3]; the global rotation is ignored."""
        vertices, joints = self.flame_lbs_model(flame_params)
        residual = self.residual_planes(person, driving_vector(flame_params), noise)
        return self.assemble(self.raw(person, residual), vertices), joints


def _zero_convolution() -> nn.Conv2d:
    layer = nn.Conv2d(3, 3, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _with_position(planes: Tensor, layer: nn.Conv2d) -> Tensor:
    """Planes whose position channels have gone through their 1×1 convolution."""
    position = functional.conv2d(planes[:, POSITION], layer.weight, layer.bias)
    return torch.cat([position, planes[:, POSITION.stop:]], 1)
