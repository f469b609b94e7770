"""The portrait light: a sky, a ground and three soft boxes, as radiance over directions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.studio.numerics import Array, normalize, sphere_directions, vector

SKIN_DIRECTIONS = sphere_directions(84)
FOLD_DIRECTIONS = sphere_directions(42)
AMBIENT_DIRECTIONS = sphere_directions(26)
FILL_WIDTH, RIM_WIDTH = 0.25, 0.06


@dataclass(frozen=True)
class SoftBox:
    """A broad lamp: radiance intensity * color * exp((cos angle - 1) / width) around `direction`."""

    direction: Array
    color: Array
    intensity: float
    width: float

    def radiance(self, directions: Array) -> Array:
        """[N, 3] unit vectors -> [N, 3]."""
        lobe = np.exp((directions @ self.direction - 1) / self.width)
        return self.intensity * lobe[:, None] * self.color

    @property
    def power(self) -> float:
        """Irradiance of a surface that faces the box, relative to the mean over the sphere used throughout."""
        return 2 * self.intensity * self.width


@dataclass(frozen=True)
class LightRig:
    """Light of one portrait.

    Attributes:
        key, fill, rim: main light, its soft opposite, light from behind.
        sky, ground: [3] colours from above and below.
        exposure: mean irradiance wanted on the front of the face.
    """

    key: SoftBox
    fill: SoftBox
    rim: SoftBox
    sky: Array
    ground: Array
    exposure: float

    def radiance(self, directions: Array) -> Array:
        """Light that arrives from unit vectors [N, 3] -> [N, 3]."""
        return self.ambient(directions) + self.key.radiance(directions) + self.fill.radiance(directions) \
            + self.rim.radiance(directions)

    def ambient(self, directions: Array) -> Array:
        """Sky, ground and a broad frontal glow, without the boxes."""
        up = 0.5 + 0.5 * directions[:, 1:2]
        frontal = 0.10 * np.clip(directions[:, 2:3], 0, 1)
        return self.sky * 0.32 * up**1.2 + self.ground * 0.30 * (1 - up) + frontal

    def without_lamps(self) -> LightRig:
        """Only what the hair receives as ambient light: sky, ground and fill."""
        return replace(self, key=replace(self.key, intensity=0.0), rim=replace(self.rim, intensity=0.0))


def sample_light(rng: np.random.Generator) -> LightRig:
    """A flattering three-point light: key 25 to 45 degrees to one side and above, fill opposite, rim behind."""
    side = rng.choice([-1.0, 1.0])
    azimuth = side * rng.uniform(0.42, 0.80)
    key = SoftBox(
        direction=normalize(vector(np.sin(azimuth), rng.uniform(0.45, 0.72), np.cos(azimuth))),
        color=vector(1.0, 0.945, 0.87) * rng.uniform(0.96, 1.0, 3),
        intensity=rng.uniform(3.6, 4.6),
        width=0.10,
    )
    fill = SoftBox(normalize(vector(-np.sin(azimuth), 0.10, 0.8)), vector(0.88, 0.93, 1.0), rng.uniform(0.40, 0.66), FILL_WIDTH)
    rim = SoftBox(normalize(vector(-np.sin(azimuth) * 1.1, 0.45, -0.75)), vector(0.87, 0.94, 1.0), rng.uniform(1.6, 2.8),
                  RIM_WIDTH)
    return LightRig(key, fill, rim, sky=vector(0.64, 0.67, 0.71), ground=vector(0.42, 0.37, 0.33) * rng.uniform(0.6, 1.0),
                    exposure=rng.uniform(0.83, 0.92))
