"""Gaussians of the open head: limits that no plane value may break, rigid motion, growth, and the paper's formulas."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.geometry import orbit_camera, quat_from_axis_angle, quat_multiply, rotation_from_axis_angle, rotation_from_quat
from core.head.library import load_open_head
from core.networks.attributes import colour_from, harmonics_of, log_scale, quat_of
from core.networks.config import POSITION, ROTATION, SCALE, GeneratorConfig
from core.networks.head_generator import (
    OPACITY_BIAS,
    OPACITY_FLOOR,
    RESIDUAL_REACH,
    RESIDUAL_SCALE,
    SCALE_FLOOR,
    SIGMA,
    THICKNESS,
    HeadGenerator,
    HeadGeneratorConfig,
    RawSeats,
    Seats,
    facing,
    grown,
)
from core.networks.layers import upsample
from trainer.rasterize import CameraBatch, rasterize

NETWORKS = GeneratorConfig(latent_size=16, plane_resolution=32, channel_base=256, channel_max=16, tap_resolution=8, camera_size=0,
                           psi_size=58, unused_style_size=0, color_channels=3, mapping_rate=1.0, normalize_latent=False,
                           residual_from_planes=False)
PAPER = replace(NETWORKS, color_channels=12, camera_size=12, mapping_rate=0.01, normalize_latent=True, residual_from_planes=True)
EXTREMES = (0.0, 0.3, -0.3, 2.0, -2.0, 50.0, -50.0, 1e4, -1e4)


@pytest.fixture(scope="module")
def head():
    return load_open_head()


def fresh(head, **changes) -> HeadGenerator:
    torch.manual_seed(0)
    networks = changes.pop("networks", NETWORKS)
    return HeadGenerator(HeadGeneratorConfig(networks, networks.latent_size, **changes), head)


@pytest.fixture(scope="module")
def generator(head):
    return fresh(head).requires_grad_(False)


@pytest.fixture(scope="module")
def paper(head):
    return fresh(head, networks=PAPER, parametrization="paper").requires_grad_(False)


@pytest.fixture(scope="module")
def people(head):
    """Shapes, driving vectors and necks of two."""
    rng = np.random.default_rng(2)
    psi = np.zeros((2, 58), np.float32)
    psi[:, :49] = rng.uniform(0, 0.4, (2, 49))
    psi[:, 49] = 0.5 * head.jaw_open_angle
    return head.shape_bank[:2], psi, np.array([[0.1, 0.3, 0], [0, -0.2, 0.1]], np.float32)


@pytest.fixture(scope="module")
def seats(generator, people):
    return generator.seats(*people)


def raw_of(generator, values) -> RawSeats:
    """Plane values from a function of a shape."""
    shape = (2, len(generator.reach), generator.config.networks.plane_channels)
    return RawSeats(values(shape), values(shape))


def wild(seed: int):
    """Random plane values, extreme ones among them."""
    source = torch.Generator().manual_seed(seed)
    choices = torch.tensor(EXTREMES)

    def values(shape):
        picked = choices[torch.randint(len(choices), shape, generator=source)]
        return torch.where(torch.rand(shape, generator=source) < 0.5, picked, torch.randn(shape, generator=source))
    return values


def stir(generator: HeadGenerator, size: float = 0.05) -> HeadGenerator:
    """The generator as after some training: no weight is exactly zero."""
    source = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=source))
    return generator


def in_frames(seats: Seats, vectors: torch.Tensor) -> torch.Tensor:
    """Head-space vectors [B, G, 3] along the seats' axes."""
    return torch.einsum("bgki,bgk->bgi", seats.frame, vectors)


# ---------------------------------------------------------------------- closed


def test_zero_planes_leave_everything_on_its_seat(generator, seats):
    cloud = generator.assemble(raw_of(generator, torch.zeros), seats)
    torch.testing.assert_close(cloud.xyz, seats.xyz, atol=0, rtol=0)
    expected = seats.pitch[..., None] * torch.tensor([SIGMA, SIGMA, THICKNESS])
    torch.testing.assert_close(cloud.scale, expected)
    torch.testing.assert_close(cloud.quat, seats.quat, atol=1e-5, rtol=0)  # the angle's square root is smoothed with 1e-6
    torch.testing.assert_close(cloud.color, torch.full_like(cloud.color, 0.5))
    shown, floor = 1 / (1 + math.exp(-OPACITY_BIAS)), OPACITY_FLOOR * generator.closed
    torch.testing.assert_close(cloud.opacity, (floor + (1 - floor) * shown).expand(2, -1))
    torch.testing.assert_close(cloud.normal, seats.frame[..., 2])


def test_a_fresh_generator_is_nearly_at_rest(generator, people):
    shape, psi, _ = people
    seats = generator.seats(shape, psi)
    cloud = generator(torch.randn(2, 16, generator=torch.Generator().manual_seed(1)), generator.shape_maps(shape),
                      torch.from_numpy(psi), seats)
    offset = in_frames(seats, cloud.xyz - seats.xyz) / generator.reach[:, None]
    assert offset.abs().mean() < 0.25  # planes are a tenth as large as those of the published start, whose tanh is 0.6 or so
    assert (cloud.color - 0.5).abs().mean() < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_no_plane_value_breaks_the_limits(generator, seats, seed):
    cloud = generator.assemble(raw_of(generator, wild(seed)), seats)
    closed, skin = generator.closed, generator.closed == 1
    for name in ("xyz", "scale", "quat", "color", "opacity"):
        assert getattr(cloud, name).isfinite().all(), name
    along = in_frames(seats, cloud.xyz - seats.xyz).abs()
    assert (along <= generator.reach[:, None] + RESIDUAL_REACH * generator.moves[:, None] + 1e-6).all()
    ratio = cloud.scale / (seats.pitch[..., None] * torch.tensor([SIGMA, SIGMA, THICKNESS]))
    assert (ratio[:, skin] >= SCALE_FLOOR * math.exp(-RESIDUAL_SCALE) - 1e-5).all()
    assert (ratio <= math.exp(1.6 + RESIDUAL_SCALE) + 1e-4).all()
    assert (cloud.opacity >= OPACITY_FLOOR * closed - 1e-6).all()
    assert (cloud.opacity <= 1).all()
    assert (cloud.color >= 0).all()
    assert (cloud.color <= 1).all()
    torch.testing.assert_close(cloud.quat.norm(dim=-1), torch.ones_like(cloud.opacity), atol=1e-5, rtol=0)
    tilt = 2 * torch.acos((cloud.quat * seats.quat).sum(-1).abs().clamp(max=1))
    assert (tilt[:, skin] <= math.sqrt(3) * 0.6 + 1e-3).all()  # 0.4 and 0.2 radians about each axis


def test_the_limits_are_reached(generator, seats):
    """Far out, the offset is the reach along the axis that was asked for, and only that."""
    def outward(shape):
        values = torch.zeros(shape)
        values[..., 2] = 100.0
        return values
    cloud = generator.assemble(RawSeats(outward((2, len(generator.reach), 13)), torch.zeros(2, len(generator.reach), 13)), seats)
    expected = seats.xyz + generator.reach[:, None] * seats.frame[..., 2]
    torch.testing.assert_close(cloud.xyz, expected, atol=1e-7, rtol=0)


def test_what_no_expression_moves_ignores_the_residual(generator, seats):
    still = generator.moves == 0
    assert 0.02 < still.float().mean() < 0.8
    calm = raw_of(generator, torch.zeros)
    stirred = generator.assemble(RawSeats(calm.main, wild(3)(calm.main.shape)), seats)
    resting = generator.assemble(calm, seats)
    for name in ("xyz", "scale", "quat", "opacity", "color"):
        torch.testing.assert_close(getattr(stirred, name)[:, still], getattr(resting, name)[:, still], atol=0, rtol=0)
    assert (stirred.xyz != resting.xyz)[:, generator.moves == 1].any()


def test_skin_that_faces_away_is_not_seen(generator, seats):
    """A point 3 m in front of a seat along its normal sees it, one as far behind does not; hair is seen from both sides."""
    seat, middle = int(torch.nonzero(generator.closed == 1)[0]), seats.xyz.mean(1)
    for sign, expected in ((1, 1.0), (-1, 0.0)):
        centre = seats.xyz[:, seat] + sign * 3 * seats.frame[:, seat, :, 2]
        seen = facing(seats.xyz, seats.frame[..., 2], generator.closed, centre)
        torch.testing.assert_close(seen[:, seat], torch.full((2,), expected), atol=1e-4, rtol=0)
    centre = middle + torch.tensor([0.0, 0.0, 3.0])
    seen = facing(seats.xyz, seats.frame[..., 2], generator.closed, centre)
    away = ((seats.xyz - centre[:, None]) * seats.frame[..., 2]).sum(-1) / (seats.xyz - centre[:, None]).norm(dim=-1)
    assert (seen[away < -0.1] > 0.99).all()
    skin = (generator.closed == 1).expand_as(seen)
    assert (seen[skin & (away > 0.6)] < 0.01).all()
    hair = (generator.closed == 0).expand_as(seen)
    assert (seen[hair] == 1).all()
    assert (seen >= 1 - generator.closed - 1e-6).all()


def test_gaussians_turn_with_their_seats(generator, seats):
    """A rigid motion of the seats is one of the Gaussians, whatever the planes say."""
    axis = np.array([0.4, -0.9, 0.2])
    turn = torch.from_numpy(rotation_from_axis_angle(axis)).float()
    quat, shift = torch.from_numpy(quat_from_axis_angle(axis)).float(), torch.tensor([0.1, -0.3, 0.2])
    raw = raw_of(generator, lambda shape: torch.randn(shape, generator=torch.Generator().manual_seed(5)))
    turned_quat = torch.from_numpy(quat_multiply(quat.numpy(), seats.quat.numpy()))
    still = generator.assemble(raw, seats)
    moved = generator.assemble(raw, Seats(seats.xyz @ turn.T + shift, turn @ seats.frame, turned_quat, seats.pitch))
    torch.testing.assert_close(moved.xyz, still.xyz @ turn.T + shift, atol=1e-6, rtol=0)
    torch.testing.assert_close(moved.normal, still.normal @ turn.T, atol=1e-6, rtol=0)
    expected = turn.numpy() @ rotation_from_quat(still.quat.numpy())
    np.testing.assert_allclose(rotation_from_quat(moved.quat.numpy()), expected, atol=1e-5)
    for name in ("scale", "color", "opacity"):
        torch.testing.assert_close(getattr(moved, name), getattr(still, name), atol=0, rtol=0)


def test_seats_are_those_of_the_posed_mesh(head, generator, people, seats):
    shape, psi, neck = people
    for person in range(2):
        pose = np.zeros((5, 3), np.float32)
        pose[1], pose[2:] = neck[person], psi[person, 49:].reshape(3, 3)
        vertices = head.vertices(shape[person], psi[person, :49], pose)
        np.testing.assert_array_equal(head.driven(shape[person], psi[person], neck[person]), vertices)
        np.testing.assert_allclose(seats.xyz[person], generator.surface.at(vertices), atol=1e-6)
    maps = generator.shape_maps(shape)
    expected = generator.surface.displacement_map(head.neutral(shape[1]).vertices)
    np.testing.assert_array_equal(maps[1], expected)


# ---------------------------------------------------------------------- paper


def test_the_paper_parametrization_is_the_papers(paper, seats):
    """Specification 3.6, written out."""
    raw = raw_of(paper, lambda shape: torch.randn(shape, generator=torch.Generator().manual_seed(6)))
    cloud, main, more = paper.assemble(raw, seats), raw.main, raw.residual
    offset = 0.25 * torch.tanh(main[..., POSITION]) + 0.1 * 0.25 * torch.tanh(more[..., POSITION])
    torch.testing.assert_close(cloud.xyz, seats.xyz + offset, atol=1e-6, rtol=0)
    torch.testing.assert_close(cloud.scale, torch.exp(log_scale(main[..., SCALE]) + log_scale(more[..., SCALE])))
    expected = quat_multiply(quat_of(main[..., ROTATION]).numpy(), quat_of(more[..., ROTATION]).numpy())
    np.testing.assert_allclose(cloud.quat, expected, atol=1e-5)
    torch.testing.assert_close(cloud.color, harmonics_of(main[..., 9:21]))
    logit = main[..., 21] + more[..., 21]
    torch.testing.assert_close(cloud.opacity, (torch.sigmoid(logit) * 1.002 - 0.001).clamp(0, 1))
    centre = torch.tensor([[0.1, 0.0, 1.2]]).expand(2, 3)
    color, opacity = cloud.seen_from(centre)
    torch.testing.assert_close(color, colour_from(cloud.color, cloud.xyz, centre))
    torch.testing.assert_close(opacity, cloud.opacity)  # nothing is culled


def test_the_paper_generator_runs(paper, people, seats):
    shape, psi, _ = people
    z, camera = torch.randn(2, 16), torch.eye(3).flatten().repeat(2, 1)
    camera = functional.pad(camera, (0, 3))
    cloud = paper(z, paper.shape_maps(shape), torch.from_numpy(psi), seats, camera)
    assert cloud.color.shape == (2, len(paper.reach), 4, 3)
    assert all(getattr(cloud, name).isfinite().all() for name in ("xyz", "scale", "quat", "color", "opacity"))


# ---------------------------------------------------------------------- seats, growth, configuration


@pytest.mark.parametrize("seat_resolution", [0, 64])
def test_seat_coordinates_are_where_the_planes_are_sampled(head, seat_resolution):
    """Planes that hold their own coordinates come out as the coordinates."""
    made = fresh(head, seat_resolution=seat_resolution)
    coordinates = made.seat_coordinates()
    side = seat_resolution or 32
    assert coordinates.shape == (1, len(made.reach), 3)
    assert coordinates[..., :2].abs().max() <= 1 - 1 / side + 1e-6
    assert (coordinates[..., 2] == -1).all()
    at = (torch.arange(32) + 0.5) / 16 - 1
    planes = torch.stack([at.expand(32, 32), at[:, None].expand(32, 32)])[None]
    sampled = made.raw(planes, planes).main
    inside = coordinates[0, :, :2].abs().amax(1) < 1 - 1 / 32  # beyond, the border is repeated
    torch.testing.assert_close(sampled[0, inside], coordinates[0, inside, :2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("seat_resolution", [0, 32])
def test_a_grown_generator_draws_the_same_people(head, people, seat_resolution):
    """Planes and residuals are those of before, resampled; pictures differ by the resampling alone."""
    shape, psi, neck = people
    small = stir(fresh(head, seat_resolution=32)).requires_grad_(False)
    large = grown(small, 64, seat_resolution).requires_grad_(False)
    z, psi_t = torch.randn(2, 16, generator=torch.Generator().manual_seed(3)), torch.from_numpy(psi)
    kernel = small.synthesis.b32.resample_filter
    clouds, planes, residuals, alphas = [], [], [], []
    for made in (small, large):
        person = made.people(z, small.shape_maps(shape), noise="none")
        residual = made.residual_planes(person, psi_t)
        cloud = made.assemble(made.raw(person.planes, residual), made.seats(shape, psi, neck))
        camera = orbit_camera(0.3, 0.1, 32, 32)
        cameras = CameraBatch(torch.from_numpy(camera.world_to_camera).expand(2, 4, 4).contiguous(),
                              torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]]).repeat(2, 1), 32, 32)
        color, opacity = cloud.seen_from(torch.from_numpy(camera.position)[None].float().expand(2, 3))
        drawn = rasterize(cloud.xyz, cloud.scale, cloud.quat, color, opacity, cameras)
        clouds.append(drawn.over(torch.ones(1, 3, 1, 1)))
        alphas.append(drawn.alpha)
        planes.append(person.planes)
        residuals.append(residual)
    torch.testing.assert_close(planes[1], upsample(planes[0], kernel), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(residuals[1], upsample(residuals[0], kernel), atol=1e-5, rtol=1e-5)
    inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # bilinear but for the edges, where zeros come in
    bilinear = functional.interpolate(planes[0], scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(planes[1][inner], bilinear[inner], atol=1e-5, rtol=1e-5)
    inside = ((alphas[0] > 0.98) & (alphas[1] > 0.98)).expand_as(clouds[0])
    assert inside.float().mean() > 0.25
    # noise from texel to texel is smoothed by the resampling: a share of the picture's own contrast
    difference, contrast = (clouds[0] - clouds[1])[inside], clouds[0][inside].std()
    assert difference.abs().mean() < 0.15 * contrast
    assert (alphas[0] - alphas[1]).abs().mean() < 0.06  # smaller Gaussians have sharper outlines


def test_a_grown_generator_learns_with_its_new_blocks(head, people):
    """The new block adds nothing, but its step to the planes must have a gradient: two zero factors would never get one."""
    large = grown(stir(fresh(head)), 64)
    new = [name for name, _ in large.named_parameters() if name.startswith(("synthesis.b64.", "deformation.synthesis.blocks.2."))]
    assert len(new) == 2 * 14
    _train_once(large, people)
    for name, parameter in large.named_parameters():
        if name in new and name.endswith((".torgb.weight", ".torgb.bias")):
            assert parameter.grad.abs().max() > 0, name
    with torch.no_grad():
        for parameter in large.parameters():
            if parameter.grad is not None:
                parameter.sub_(1e-3 * parameter.grad.sign())
    _train_once(large, people)
    idle = [name for name, parameter in large.named_parameters() if not parameter.grad.abs().max() > 0]
    assert idle == []


def _train_once(generator: HeadGenerator, people) -> None:
    shape, psi, neck = people
    z = torch.randn(2, generator.config.latent_input, generator=torch.Generator().manual_seed(4))
    person = generator.people(z, generator.shape_maps(shape), noise="const")
    residual = generator.deformation(person.tap, person.w, torch.from_numpy(psi), "const")
    cloud = generator.assemble(generator.raw(person.planes, residual), generator.seats(shape, psi, neck))
    color, opacity = cloud.seen_from(torch.tensor([[0.0, 0.0, 1.2]]).expand(2, 3))
    generator.zero_grad()
    source = torch.Generator().manual_seed(8)
    total = sum((value * torch.randn(value.shape, generator=source) / value.detach().std()).sum()
                for value in (cloud.xyz, cloud.scale, cloud.quat, color, opacity))
    total.backward()


@pytest.mark.parametrize("parametrization", ["closed", "paper"])
def test_every_parameter_learns(head, people, parametrization):
    made = stir(fresh(head, parametrization=parametrization))
    _train_once(made, people)
    idle = [name for name, parameter in made.named_parameters() if parameter.grad is None or not parameter.grad.abs().max() > 0]
    assert idle == []
    assert all(parameter.requires_grad and parameter.grad.isfinite().all() for parameter in made.parameters())


def test_a_fresh_deformation_can_start(head, people):
    """It begins silent: its last step is zero, and gets a gradient."""
    made = fresh(head)
    person = made.people(torch.randn(2, 16), made.shape_maps(people[0]))
    assert made.residual_planes(person, torch.from_numpy(people[1])).abs().max() == 0
    _train_once(made, people)
    for block in made.deformation.synthesis.blocks:
        assert block.torgb.weight.grad.abs().max() > 0


def test_ablations_switch_their_part_off(head, people):
    shape, psi, _ = people
    z = torch.randn(2, 16)
    shapeless = fresh(head, shape_map=False)
    maps = shapeless.shape_maps(shape)
    torch.testing.assert_close(shapeless.people(z, maps).planes, shapeless.people(z, 3 * maps.flip(0)).planes)
    full = fresh(head)
    assert (full.people(z, maps).planes - full.people(z, maps.flip(0)).planes).abs().max() > 1e-3
    stiff = stir(fresh(head, deformation=False))
    assert stiff.residual_planes(stiff.people(z, maps), torch.from_numpy(psi)).abs().max() == 0


def test_configurations_survive_json():
    for config in (HeadGeneratorConfig(NETWORKS, 99), HeadGeneratorConfig(PAPER, 16, "paper", 64, False, False)):
        assert HeadGeneratorConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert HeadGeneratorConfig(NETWORKS, 1).seats == 32
    assert HeadGeneratorConfig(NETWORKS, 1, seat_resolution=64).seats == 64
    with pytest.raises(TypeError, match="wings"):
        HeadGeneratorConfig.from_json({**HeadGeneratorConfig(NETWORKS, 1).to_json(), "wings": 2})


def test_seats_of_another_resolution_keep_the_state_apart(head, generator):
    """Limits are stored with the weights, so that weights of another seat map do not load silently."""
    other = fresh(head, seat_resolution=64)
    with pytest.raises(RuntimeError, match="reach"):
        other.load_state_dict(generator.state_dict())
