"""Light on the head's vertices: self-shadowing, hair shadow, a cheap subsurface blur, and one exposure for the portrait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.head.mesh import vertex_normals
from core.head.model import ShapedHead
from core.studio.anatomy import INNER_MARGIN, OUTER_MARGIN, Anatomy
from core.studio.light import FOLD_DIRECTIONS, SKIN_DIRECTIONS
from core.studio.numerics import Array, smoothstep
from core.studio.traits import Traits
from core.studio.visibility import HairVolume, mesh_visibility

SUBSURFACE_STEPS = (7, 4, 2)  # averaging steps over the mesh for red, green, blue: blood scatters red farthest
HAIR_SHADOW_FLOOR = 0.14
EAR_SHARPNESS = 0.75
CREVICE_OPEN, CREVICE_CLOSED, CREVICE_DARKNESS = 0.62, 0.18, 0.55  # occlusion where darkening starts and ends, its strength
LUMINANCE = np.array([0.3, 0.6, 0.1])
HIDDEN_PARTS = ("mouth", "teeth_u", "teeth_l", "tongue")


@dataclass(frozen=True)
class LitHead:
    """A shaped head under its light, per vertex.

    Attributes:
        vertices, normals: [V, 3].
        irradiance: [V, 3] light that arrives, after scattering in the skin, exposed for the portrait.
        occlusion: [V] share of the surroundings that a vertex sees.
        key_visibility: [V] share of the key light that reaches it.
        exposure: factor that the irradiance was multiplied by; highlights need it too.
    """

    vertices: Array
    normals: Array
    irradiance: Array
    occlusion: Array
    key_visibility: Array
    exposure: float


def head_normals(anatomy: Anatomy, vertices: Array) -> Array:
    """Smooth normals [V, 3], without the lash strips that share vertices with nothing."""
    head = anatomy.head
    return vertex_normals(vertices, head.faces_of(*(name for name in head.part_names if name != "lashes")))


def light_head(anatomy: Anatomy, traits: Traits, shaped: ShapedHead, hair: HairVolume) -> LitHead:
    """Gather light from 84 directions at every vertex of the neutral head."""
    vertices = shaped.vertices.astype(np.float64)
    head, light, directions = anatomy.head, traits.light, SKIN_DIRECTIONS
    solid = head.faces_of("skin", "eye_l", "eye_r")
    radiance = light.radiance(directions)
    normals = head_normals(anatomy, vertices)
    cosine = np.clip(directions @ normals.T, 0, 1)
    through_hair = hair.transmittance(vertices + 0.004 * normals, directions, 0.55, steps=8, step=0.012, start=0.004,
                                      needed=cosine > 0)
    visibility = mesh_visibility(vertices, solid, directions) * (HAIR_SHADOW_FLOOR + (1 - HAIR_SHADOW_FLOOR) * through_hair)
    arriving = cosine * visibility
    irradiance = arriving.T @ radiance * (4 / len(directions))
    irradiance = _with_unfolded_skin(anatomy, traits, shaped, irradiance)
    occlusion = arriving.sum(0) / np.maximum(cosine.sum(0), 1e-6)
    irradiance = _scattered(anatomy, irradiance) * _crevices(anatomy, occlusion)[:, None]
    # a camera exposes fair skin a little less, dark skin a little more
    metering = 0.93 + 0.11 * float(smoothstep(0.4, 1.6, traits.skin.melanin))
    exposure = metering * light.exposure / float((irradiance[_front_of_face(anatomy)] @ LUMINANCE).mean())
    toward_key = np.exp((directions @ light.key.direction - 1) / light.key.width)
    return LitHead(
        vertices=vertices, normals=normals, irradiance=irradiance * exposure,
        occlusion=occlusion,
        key_visibility=toward_key @ visibility / toward_key.sum(), exposure=exposure,
    )


def _scattered(anatomy: Anatomy, irradiance: Array) -> Array:
    """Light diffused under the skin; less in the ears, whose folds are finer than the diffusion."""
    diffused = irradiance.copy()
    for channel, steps in enumerate(SUBSURFACE_STEPS):
        for _ in range(steps):
            diffused[:, channel] = 0.45 * diffused[:, channel] + 0.55 * (anatomy.mean_of_neighbours @ diffused[:, channel])
    keep = EAR_SHARPNESS * anatomy.head.masks.ears.astype(np.float64)[:, None]
    return diffused * (1 - keep) + irradiance * keep


def _crevices(anatomy: Anatomy, occlusion: Array) -> Array:
    """Darkening [V] of nostrils, ear folds and the like, which the diffusion would fill with light; not of what unfolds."""
    dark = smoothstep(CREVICE_OPEN, CREVICE_CLOSED, occlusion) * (1 - _folded_weight(anatomy))
    return 1 - CREVICE_DARKNESS * dark


def _front_of_face(anatomy: Anatomy) -> Array:
    rest = anatomy.head.v_template[anatomy.skin_vertices]
    front = (rest[:, 2] > -0.01) & (rest[:, 1] > -0.09) & (rest[:, 1] < 0.06)
    return anatomy.skin_vertices[front]


def _with_unfolded_skin(anatomy: Anatomy, traits: Traits, shaped: ShapedHead, irradiance: Array) -> Array:
    """Light for surfaces that are folded away at neutral (lids, lip rims, mouth): that of a face with closed eyes, open mouth.

    Without it a blink shows a brown patch: skin that lay in the dark of its own fold.
    """
    head, directions = anatomy.head, FOLD_DIRECTIONS
    unfolded = head.vertices(shaped, head.expression(eyeBlink=1.0, mouthUpperUp=0.5, mouthLowerDown=0.5),
                             head.pose(jaw=0.75 * head.jaw_open_angle)).astype(np.float64)
    cosine = np.clip(directions @ head_normals(anatomy, unfolded).T, 0, 1)
    visibility = mesh_visibility(unfolded, head.faces_of("skin", "eye_l", "eye_r"), directions)
    other = (cosine * visibility).T @ traits.light.radiance(directions) * (4 / len(directions))
    for eye in anatomy.eyes:
        # the inside of a lid must not bleed darkness into its outside when light is diffused
        reference, reference_open = other[eye.rings[INNER_MARGIN + 2]].mean(0), irradiance[eye.rings[INNER_MARGIN + 2]].mean(0)
        for ring in eye.rings[: OUTER_MARGIN]:
            other[ring] = np.maximum(other[ring], reference)
            irradiance[ring] = np.maximum(irradiance[ring], 0.8 * reference_open)
    weight = _folded_weight(anatomy)[:, None]
    return irradiance * (1 - weight) + np.maximum(irradiance, 0.97 * other) * weight


def _folded_weight(anatomy: Anatomy) -> Array:
    """How much a vertex is hidden at neutral and shows in an expression [V]."""
    head = anatomy.head
    rest = head.v_template.astype(np.float64)
    weight = np.clip(head.masks.eyelids * 3.0, 0, 1)
    weight[head.vertices_of(*HIDDEN_PARTS)] = 1.0
    weight = np.maximum(weight, 0.8 * np.clip(head.masks.lips * 2.0, 0, 1))
    for _ in range(3):
        weight = np.maximum(weight * 0.999, 0.5 * weight + 0.5 * (anatomy.mean_of_neighbours @ weight))
    for eye in anatomy.eyes:
        center = rest[eye.rings[OUTER_MARGIN]].mean(0)
        distance = np.linalg.norm((rest - center) * [1.0, 1.15, 0.6], axis=1)
        weight = np.maximum(weight, smoothstep(0.026, 0.016, distance))
    return weight
