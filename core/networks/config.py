"""Sizes of the networks: from a toy for tests, over what two cores train, to the published model."""

from __future__ import annotations

from dataclasses import dataclass

POSITION, SCALE, ROTATION = slice(0, 3), slice(3, 6), slice(6, 9)
"""Channels of the UV planes by attribute (AGORA, specification 3.5); colour and opacity follow, see `GeneratorConfig`."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of the generator.

    Attributes:
        latent_size: of z and w.
        plane_resolution: side of the UV planes, a power of two.
        channel_base, channel_max: a block of resolution r has min(base / r, max) channels.
        tap_resolution: where the deformation branch takes features off the main network.
        camera_size: of the conditioning camera (a rotation and three zeros).
        psi_size: of the driving vector ψ that the deformation branch is conditioned on.
        unused_style_size: columns of the styles that are always fed zeros; the published model has 55.
        position_range: metres, amplitude of the offset from the head's surface.
        deform_range: share of it that the deformation branch has.
        color_channels: 12 (spherical harmonics of degree 1) or 3 (plain RGB).
        mapping_rate: learning rate of the mapping network relative to the rest.
        normalize_latent: z is brought to unit length per number; off where its size says something (known factors).
        residual_from_planes: the deformation branch starts from the upsampled main planes, as published, not from zero.
        texel_maps: every block above the first adds a learned map to its features and one to its planes, so that what lies at
            the same texel of everybody (eyes, brows, lips) need not be drawn through the layers. Not in the published model.
        mixed_maps: further maps of planes, mixed by the style, in the main network's blocks up to `mixed_resolution`: what
            varies evenly over many texels (colour of hair, skin, garment) is learned as in a linear texture model.
    """

    latent_size: int = 512
    plane_resolution: int = 256
    channel_base: int = 32768
    channel_max: int = 512
    tap_resolution: int = 64
    camera_size: int = 12
    psi_size: int = 55
    unused_style_size: int = 55
    position_range: float = 0.25
    deform_range: float = 0.1
    color_channels: int = 12
    mapping_rate: float = 0.01
    normalize_latent: bool = True
    residual_from_planes: bool = True
    texel_maps: bool = False
    mixed_maps: int = 0
    mixed_resolution: int = 64

    @property
    def color(self) -> slice:
        """Channels of the colour."""
        return slice(ROTATION.stop, ROTATION.stop + self.color_channels)

    @property
    def opacity(self) -> slice:
        """Channel of the opacity, the last one."""
        return slice(self.color.stop, self.color.stop + 1)

    @property
    def plane_channels(self) -> int:
        """Channels of the UV planes, 22 in the published model."""
        return self.opacity.stop

    def channels(self, resolution: int) -> int:
        """Feature channels of a block."""
        return min(self.channel_base // resolution, self.channel_max)

    def maps_mixed_at(self, resolution: int) -> int:
        """Mixed maps of a block."""
        return self.mixed_maps if self.texel_maps and resolution <= self.mixed_resolution else 0

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Block resolutions of the main network, 4 upwards."""
        return tuple(2**i for i in range(2, self.plane_resolution.bit_length()))

    @property
    def deform_resolutions(self) -> tuple[int, ...]:
        """Block resolutions of the deformation branch, from the tap upwards."""
        return tuple(r for r in self.resolutions if r > self.tap_resolution)

    @property
    def style_size(self) -> int:
        """Width of the main network's styles."""
        return self.latent_size + self.unused_style_size


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of the discriminator.

    Attributes:
        resolution: of the pictures.
        image_channels: picture and displacement rendering.
        channel_base, channel_max: as in the generator.
        latent_size: of the camera embedding and the last layer.
        pretrained_resolution: resolution of the first stage when a block has been added on top of it, else `resolution`.
        clamp: activations of convolutions are limited to ± this.
        group_size: samples over which the minibatch's standard deviation is taken.
    """

    resolution: int = 256
    image_channels: int = 6
    channel_base: int = 32768
    channel_max: int = 512
    latent_size: int = 512
    camera_size: int = 12
    pretrained_resolution: int = 0
    clamp: float = 256.0
    group_size: int = 4

    def channels(self, resolution: int) -> int:
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def first_resolution(self) -> int:
        """Resolution of the residual network; a block above it is the added one."""
        return self.pretrained_resolution or self.resolution


OFFICIAL = GeneratorConfig()
DESKTOP = GeneratorConfig(latent_size=128, plane_resolution=128, channel_base=2048, channel_max=256, tap_resolution=32,
                          camera_size=0, psi_size=58, unused_style_size=0, color_channels=3, mapping_rate=1.0,
                          normalize_latent=False, residual_from_planes=False, texel_maps=True, mixed_maps=16)
TOY = GeneratorConfig(latent_size=32, plane_resolution=16, channel_base=256, channel_max=16, tap_resolution=8,
                      unused_style_size=0)
