"""Synthetic portraits in miniature: the same bytes from the same seed, whatever happened in between; labels that fit the
pictures; splits as designed; and the truth on the texture map against people made of known parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import InputError
from core.head.embedding import load_landmark_embedding
from core.head.library import load_open_head
from core.head.mesh import project, rasterize_mesh
from core.networks.head_surface import head_surface
from core.networks.reach import hair_seats, seat_reach
from core.studio import StudioIdentity, Wrinkles, build_identity, pose_identity
from core.studio.trait_vector import TRAIT_VECTOR_SIZE, trait_vector
from core.types import Camera, Gaussians
from trainer.data import synth
from trainer.data.cli import SynthOptions
from trainer.data.cli import synth as synth_command
from trainer.data.dataset import ANCHOR_RESOLUTION, Dataset, shard_path
from trainer.data.population import SPLITS, Population
from trainer.data.synth import Photographer, SplitPlan, SynthPlan, enlarged, synthesize
from trainer.data.uv_truth import uv_truth
from trainer.rasterize import CameraBatch, rasterize

SIZE = 32
PLAN = SynthPlan(SIZE, 5, (SplitPlan("train", 2, 2),))


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module", autouse=True)
def people() -> dict[int, StudioIdentity]:
    """Everybody by seed, built once; a shard is one person."""
    built: dict[int, StudioIdentity] = {}

    def build(traits, head):
        if traits.seed not in built:
            built[traits.seed] = build_identity(traits, head)
        return built[traits.seed]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synth, "build_identity", build)
        patch.setattr(synth, "PEOPLE_PER_SHARD", 1)
        yield built


@pytest.fixture(scope="module")
def made(tmp_path_factory, people) -> Dataset:
    folder = tmp_path_factory.mktemp("synth")
    synthesize(folder, PLAN)
    return Dataset.open(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------- making, stopping, going on


def test_what_is_made(made, head):
    info = made.info
    assert (info.kind, info.size, info.seed, info.latent_size) == ("synthetic", SIZE, 5, TRAIT_VECTOR_SIZE)
    assert (info.head_sha256, info.psi) == (head.sha256, head.psi_layout)
    samples, crowd = made.samples("train"), made.people("train")
    assert samples.rgba.shape == (4, SIZE, SIZE, 4)
    assert samples.person.tolist() == [0, 0, 1, 1]
    seats = len(head_surface(head, ANCHOR_RESOLUTION))
    assert crowd.uv_color.shape == (2, seats, 3)
    assert crowd.uv_offset.shape == crowd.uv_known.shape == (2, seats)
    population = Population(head, "train", 5, SIZE, 2)
    for row in range(2):
        traits = population.person(row)
        assert crowd.seed[row] == traits.seed
        np.testing.assert_array_equal(crowd.latent[row], trait_vector(traits))
        np.testing.assert_array_equal(crowd.shape[row], traits.shape)
        np.testing.assert_array_equal(samples.shape[2 * row], traits.shape)


def test_the_same_seed_is_the_same_bytes(made, tmp_path):
    told = []
    synthesize(tmp_path, PLAN, progress=lambda done, total: told.append((done, total)))
    assert content(tmp_path) == content(made.folder)
    assert told == [(0, 4), (2, 4), (4, 4)]
    synthesize(tmp_path, PLAN, progress=lambda done, total: told.append((done, total)))
    assert told[3:] == [(4, 4)]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-7])])
def test_a_shard_that_is_lost_is_made_again(made, damage):
    before = content(made.folder)
    other = shard_path(made.folder, "train", 0)
    untouched = (other.stat().st_mtime_ns, other.stat().st_ino)
    damage(shard_path(made.folder, "train", 1))
    synthesize(made.folder, PLAN)
    assert content(made.folder) == before
    assert (other.stat().st_mtime_ns, other.stat().st_ino) == untouched


def test_a_stop_in_the_middle_leaves_whole_shards(made, tmp_path, monkeypatch):
    taken, take = [], Photographer.take

    def interrupted(self, *arguments):
        if len(taken) == 3:  # the second person's second picture
            raise KeyboardInterrupt
        taken.append(1)
        return take(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Photographer, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            synthesize(tmp_path, PLAN)
    first = shard_path(tmp_path, "train", 0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [first]
    assert first.read_bytes() == shard_path(made.folder, "train", 0).read_bytes()
    with pytest.raises(InputError, match="is not a dataset"):
        Dataset.open(tmp_path)
    synthesize(tmp_path, PLAN)
    assert content(tmp_path) == content(made.folder)


OTHERS = {"another seed": replace(PLAN, seed=6), "another size": replace(PLAN, size=64),
          "more shots": replace(PLAN, splits=(SplitPlan("train", 2, 3),))}


@pytest.mark.parametrize("name", OTHERS)
def test_another_dataset_is_left_alone(made, name):
    before = content(made.folder)
    with pytest.raises(InputError, match="holds another dataset") as refused:
        synthesize(made.folder, OTHERS[name])
    assert str(made.folder) in refused.value.message
    assert content(made.folder) == before


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_mixed_with_half_of_another_dataset(made, tmp_path, name):
    """Stopped before its description was written, it is known by its shards."""
    path = shard_path(tmp_path, "train", 0)
    path.parent.mkdir()
    path.write_bytes(shard_path(made.folder, "train", 0).read_bytes())
    with pytest.raises(InputError, match="belongs to another dataset") as refused:
        synthesize(tmp_path, OTHERS[name])
    assert str(path) in refused.value.message
    assert list(content(tmp_path)) == ["train/shard-00000.safetensors"]


def test_another_process_makes_the_same(made, tmp_path):
    """In a process of its own a shard has twenty people; with one person it is the shard that was made here."""
    plan = replace(PLAN, splits=(SplitPlan("train", 1, 2),))
    synthesize(tmp_path, plan, workers=2)
    assert shard_path(tmp_path, "train", 0).read_bytes() == shard_path(made.folder, "train", 0).read_bytes()
    assert Dataset.open(tmp_path).count("train") == 2


# ---------------------------------------------------------------------- pictures and labels


def vertices_of(head, samples, row: int) -> np.ndarray:
    pose = np.concatenate([np.zeros(3), samples.neck[row], samples.psi[row, -9:]]).reshape(5, 3).astype(np.float32)
    return head.vertices(samples.shape[row], samples.psi[row, :-9], pose)


def camera_of(samples, row: int) -> Camera:
    return Camera(samples.world_to_camera[row], *(float(x) for x in samples.intrinsics[row]), SIZE, SIZE)


def test_landmarks_are_where_the_mesh_is(made, head):
    """Pinhole formula by hand, and a z-buffer. The flag says that a point faces the camera; a nose or a lid may still be in
    front of it."""
    samples, embedding = made.samples("train"), load_landmark_embedding(head)
    for row in range(4):
        vertices = vertices_of(head, samples, row)
        points = np.einsum("nk,nkd->nd", embedding.barycentric, vertices[embedding.triangles]).astype(np.float64)
        view = points @ samples.world_to_camera[row, :3, :3].T.astype(np.float64) + samples.world_to_camera[row, :3, 3]
        fx, fy, cx, cy = samples.intrinsics[row]
        expected = np.stack([fx * view[:, 0] / view[:, 2] + cx, fy * view[:, 1] / view[:, 2] + cy], 1)
        np.testing.assert_allclose(samples.landmarks[row, :, :2], expected, atol=1e-3)
        seen = samples.landmarks[row, :, 2]
        assert set(np.unique(seen)) <= {0.0, 1.0}
        wide = 8 * SIZE
        depth = rasterize_mesh(project(enlarged(camera_of(samples, row), 8), vertices), head.faces_of("skin"), wide, wide).depth
        x, y = np.clip(8 * samples.landmarks[row, :, :2], 0, wide - 1).astype(int).T
        behind = view[:, 2] - depth[y, x]
        assert (np.abs(behind[seen == 1]) < 0.006).mean() > 0.75
        inside = np.isfinite(behind)  # a point on the outline may fall into a pixel whose middle is beside the head
        assert inside.mean() > 0.93
        assert (behind[inside] > -0.006).mean() > 0.95  # none floats before the mesh, but for steep rims
        assert seen.mean() > 0.4


def test_alpha_is_the_coverage(made, head, people):
    """Against the trainer's rasteriser at the same four samples a pixel; the studio's stops at a thousandth, in 8 bits."""
    samples, crowd = made.samples("train"), made.people("train")
    for row in (0, 3):
        person = people[int(crowd.seed[samples.person[row]])]
        cloud = pose_identity(person, vertices_of(head, samples, row), samples.psi[row, :-9])
        camera = enlarged(camera_of(samples, row), 2)
        cameras = CameraBatch(torch.from_numpy(camera.world_to_camera)[None],
                              torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]]), 2 * SIZE, 2 * SIZE)
        parts = (torch.from_numpy(value)[None] for value in (cloud.xyz, cloud.scale, cloud.quat, cloud.rgb, cloud.opacity))
        drawn = rasterize(*parts, cameras)
        expected = torch.nn.functional.avg_pool2d(torch.cat([drawn.color, drawn.alpha], 1), 2)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(samples.rgba[row] / 255, expected, atol=4 / 255)
        assert np.abs(samples.rgba[row] / 255 - expected).mean() < 1 / 255


def test_colours_are_premultiplied_and_the_head_is_covered(made, head):
    samples = made.samples("train")
    for row in range(4):
        alpha = samples.rgba[row, ..., 3].astype(int)
        assert (samples.rgba[row, ..., :3] <= alpha[..., None] + 2).all()  # roundings of colour and coverage
        wide = 4 * SIZE
        seen = rasterize_mesh(project(enlarged(camera_of(samples, row), 4), vertices_of(head, samples, row)),
                              head.faces_of("skin"), wide, wide).triangle.reshape(SIZE, 4, SIZE, 4) >= 0
        face = seen.all((1, 3))
        assert face.mean() > 0.15
        assert (alpha[face] > 240).mean() > 0.97
        assert alpha.min() == 0
        corner = alpha[:4, :4]
        assert corner.max() < 64


# ---------------------------------------------------------------------- who and how


def test_nobody_is_in_two_splits(head):
    """Ten thousand people of each have seeds of their own, none of which anybody would type."""
    first = {split: Population(head, split, 0, SIZE, 1 if split != "pairs" else 2).person(0).seed for split in SPLITS}
    ordered = sorted(first.values())
    assert min(np.diff(ordered)) > 100_000
    assert ordered[0] > 1_000_000
    assert ordered[-1] + 100_000 < 2**32
    population = Population(head, "test", 0, SIZE, 1)
    assert [population.person(i).seed - first["test"] for i in range(3)] == [0, 1, 2]


def assert_same_shot(a, b) -> None:
    np.testing.assert_array_equal(a.psi, b.psi)
    np.testing.assert_array_equal(a.neck, b.neck)
    np.testing.assert_array_equal(a.camera.world_to_camera, b.camera.world_to_camera)


def test_shots_follow_from_seed_split_and_person(head):
    population = Population(head, "train", 5, SIZE, 3)
    again = Population(head, "train", 5, SIZE, 3)
    again.shots(0)
    for a, b in zip(population.shots(7), again.shots(7), strict=True):
        assert_same_shot(a, b)
    for other in (Population(head, "train", 6, SIZE, 3), Population(head, "test", 5, SIZE, 3)):
        assert np.abs(other.shots(7)[0].psi - population.shots(7)[0].psi).max() > 1e-3
    assert np.abs(population.shots(8)[0].psi - population.shots(7)[0].psi).max() > 1e-3


def test_pairs_are_the_same_shots_of_everybody(head):
    """Half: many expressions, one view; half: one expression, many views."""
    population = Population(head, "pairs", 5, SIZE, 8)
    shots = population.shots(0)
    assert len(shots) == 8
    for a, b in zip(shots, population.shots(11), strict=True):
        assert_same_shot(a, b)
    assert len({shot.camera.world_to_camera.tobytes() for shot in shots[:4]}) == 1
    assert len({shot.psi.tobytes() for shot in shots[:4]}) == 4
    assert len({shot.camera.world_to_camera.tobytes() for shot in shots[4:]}) == 4
    assert {shot.psi.tobytes() for shot in shots[4:]} == {shots[0].psi.tobytes()}


def drawn(head, split: str, count: int = 250) -> np.ndarray:
    """Looking away, smile and jaw [n, 3] of pictures of a split."""
    population = Population(head, split, 1, SIZE, 1)
    smiles = [i for i, name in enumerate(head.expression_names) if name.startswith("mouthSmile")]
    rows = []
    for person in range(count):
        shot, = population.shots(person)
        x, _, z = shot.camera.position
        rows.append((abs(np.arctan2(x, z)), shot.psi[smiles].mean(), shot.psi[head.expression_count]))
    return np.array(rows)


def test_only_the_confounded_split_ties_expression_to_view(head):
    """Who looks away smiles less, who smiles opens the mouth. Correlations of 250 have a standard error of 0.06; clipping
    shrinks the 0.6 behind them."""
    tied = np.corrcoef(drawn(head, "confounded").T)
    assert tied[0, 1] < -0.3
    assert tied[1, 2] > 0.3
    free = np.corrcoef(drawn(head, "train").T)
    assert abs(free[0, 1]) < 0.2
    assert abs(free[0, 2]) < 0.2


def test_poses_are_limited(head):
    population = Population(head, "train", 0, SIZE, 4)
    shots = [shot for person in range(50) for shot in population.shots(person)]
    position = np.array([shot.camera.position for shot in shots])
    yaw = np.degrees(np.arctan2(position[:, 0], position[:, 2] + 0.05))
    assert np.abs(yaw).max() < 97
    assert 25 < yaw.std() < 40
    assert np.abs(yaw.mean()) < 8  # 32 / sqrt(200) is 2.3
    assert max(np.abs(shot.neck).max() for shot in shots) <= 0.5
    assert {shot.psi.dtype for shot in shots} == {np.dtype(np.float32)}


def test_glasses_are_taken_off_unless_asked_for(head):
    worn = [Population(head, "train", 0, SIZE, 1, glasses=True).person(i) for i in range(40)]
    bare = [Population(head, "train", 0, SIZE, 1).person(i) for i in range(40)]
    assert any(traits.accessories.glasses != "none" for traits in worn)
    assert all(traits.accessories.glasses == "none" for traits in bare)
    for a, b in zip(worn, bare, strict=True):
        np.testing.assert_array_equal(trait_vector(a), trait_vector(b))


# ---------------------------------------------------------------------- the command


@pytest.fixture
def planned(monkeypatch):
    """Plans that the command hands on."""
    seen = []

    def remember(folder, plan, workers, progress):
        seen.append((plan, workers))
        return synth._info(plan)

    monkeypatch.setattr(synth, "synthesize", remember)
    return seen


def test_the_command_plans_all_splits(planned, tmp_path, capsys):
    synth_command(SynthOptions(out=tmp_path, count=1000, workers=3, seed=9, size=64))
    plan, workers = planned[0]
    assert (plan.size, plan.seed, workers, plan.glasses) == (64, 9, 3, False)
    assert plan.splits == (SplitPlan("train", 100, 10), SplitPlan("test", 12, 8), SplitPlan("pairs", 2, 16),
                           SplitPlan("confounded", 12, 8))
    assert "1000 train, 96 test, 32 pairs, 96 confounded; 64 x 64 pixels" in capsys.readouterr().out
    synth_command(SynthOptions(out=tmp_path, count=7, shots=50, confounded=False))
    assert planned[1][0].splits[0] == SplitPlan("train", 1, 7)
    assert [split.name for split in planned[1][0].splits] == ["train", "test", "pairs"]


@pytest.mark.parametrize(("field", "value"), [("count", 0), ("size", 8), ("size", 5000), ("shots", 0), ("workers", 0)])
def test_impossible_options_are_refused(planned, tmp_path, field, value):
    with pytest.raises(InputError, match=f"--{field} must be a whole number from"):
        synth_command(SynthOptions(out=tmp_path, **{field: value}))
    assert planned == []


# ---------------------------------------------------------------------- the truth on the texture map


def doll(head, points, color, scale) -> StudioIdentity:
    """A person on the template made of opaque balls."""
    n = len(points)
    cloud = Gaussians(points.astype(np.float32), np.full((n, 3), scale, np.float32), np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
                      color.astype(np.float32), np.full(n, 0.95, np.float32))
    nobody = Wrinkles(np.zeros(0, np.int32), np.zeros((0, head.expression_count), np.float32))
    return StudioIdentity(0, np.zeros(head.shape_count, np.float32), cloud, np.zeros(n, np.int32), np.zeros(n, np.int32),
                          np.zeros(n, bool), nobody, head.faces, head.v_template, "doll", ())


@pytest.fixture(scope="module")
def map_of_the_head(head):
    """Seats, their limits, and twice as fine balls of skin coloured by place."""
    surface, fine = head_surface(head, ANCHOR_RESOLUTION), head_surface(head, 2 * ANCHOR_RESOLUTION)
    seats = fine.frames(head.v_template)
    skin = fine.of_part("skin")
    return surface, seat_reach(surface), seats.xyz[skin], seats.frame[skin], hair_seats(fine)[skin]


def shell(map_of_the_head, height: float) -> np.ndarray:
    """Balls at a height above the scalp, close enough that no ray slips through: three by three for every seat."""
    _, _, points, frames, hair = map_of_the_head
    points, frames = points[hair > 0.99], frames[hair > 0.99]
    steps = np.array([(u, v, height) for u in (-0.003, 0, 0.003) for v in (-0.003, 0, 0.003)])
    return (points[:, None] + np.einsum("gij,kj->gki", frames, steps)).reshape(-1, 3)


def painted(points) -> np.ndarray:
    """Colours that change slowly with place."""
    return np.clip(0.5 + points / 0.5, 0, 1)


def test_a_bald_doll_has_nothing_on_its_skin(head, map_of_the_head):
    surface, reach, points, _, _ = map_of_the_head
    truth = uv_truth(doll(head, points, painted(points), 0.001), surface, reach)
    seats = surface.template
    crown = surface.of_part("skin") & (seats[:, 1] > 0.06)
    assert truth.offset.dtype == np.float16
    assert (truth.offset[crown] == 0).mean() > 0.97  # a cell's diagonal is longer than the first step
    skin = surface.of_part("skin")
    assert truth.known[skin].mean() > 0.99
    flat = skin & (truth.offset == 0)
    # the nearest balls lie within a few millimetres; the paint changes by half a step of 8 bits in one
    assert np.abs(truth.color[flat] / 255 - painted(seats[flat])).max() < 0.03


def test_hair_stands_off_by_as_much_as_it_does(head, map_of_the_head):
    """A shell 30 mm above the scalp, of another colour: found to a cell and a step, and its colour with it."""
    surface, reach, points, _, _ = map_of_the_head
    grown = shell(map_of_the_head, 0.03)
    green = np.tile([0.1, 0.9, 0.1], (len(grown), 1))
    person = doll(head, np.concatenate([points, grown]), np.concatenate([painted(points), green]), 0.0025)
    truth = uv_truth(person, surface, reach)
    crown = (hair_seats(surface) > 0.99) & (surface.template[:, 1] > 0.05)
    assert crown.sum() > 1000
    assert np.median(truth.offset[crown]) == pytest.approx(0.03, abs=0.005)
    assert (np.abs(truth.offset[crown] - np.float16(0.03)) < 0.007).mean() > 0.95
    np.testing.assert_allclose(np.median(truth.color[crown], axis=0) / 255, [0.1, 0.9, 0.1], atol=0.01)
    face = surface.of_part("skin") & (reach < 0.0041)
    assert (truth.offset[face] == 0).all()  # where nothing may grow, no ray is sent


def test_hair_beyond_reach_is_cut_short(head, map_of_the_head):
    surface, reach, points, _, _ = map_of_the_head
    far = shell(map_of_the_head, 0.12)
    person = doll(head, np.concatenate([points, far]), painted(np.concatenate([points, far])), 0.0025)
    truth = uv_truth(person, surface, reach)
    assert (truth.offset <= reach + 0.001).all()  # half precision
    assert (truth.offset[(hair_seats(surface) > 0.99) & (surface.template[:, 1] > 0.06)] == 0).mean() > 0.9


def test_what_nothing_is_near_is_not_known(head, map_of_the_head):
    """Only the upper half of the head is made."""
    surface, reach, points, _, _ = map_of_the_head
    upper = points[points[:, 1] > 0]
    truth = uv_truth(doll(head, upper, painted(upper), 0.001), surface, reach)
    height, skin = surface.template[:, 1], surface.of_part("skin")
    assert truth.known[skin & (height < -0.015)].max() == 0
    assert truth.known[skin & (height > 0.005)].mean() > 0.99


def test_real_people_stand_within_their_limits_and_look_like_themselves(made, head, people):
    """Skin seats of the face have the colour of the nearest texel of the studio's skin."""
    crowd = made.people("train")
    surface = head_surface(head, ANCHOR_RESOLUTION)
    reach, face = seat_reach(surface), surface.of_part("skin") & (seat_reach(surface) < 0.0041)
    for row in range(2):
        person = people[int(crowd.seed[row])]
        assert (crowd.uv_offset[row] <= reach + 0.001).all()
        assert (crowd.uv_offset[row][face] == 0).all()
        assert crowd.uv_known[row][face].mean() > 0.95
        assert crowd.uv_offset[row][hair_seats(surface) > 0.99].max() > 0.006  # slick and pixie
        seats = surface.frames(person.rest_vertices).xyz
        skin = np.flatnonzero(person.texel >= 0)
        chosen = np.flatnonzero(face & (surface.template[:, 2] > 0.02))[::40]
        distance = np.linalg.norm(seats[chosen, None] - person.gaussians.xyz[skin][None], axis=2)
        nearest = person.gaussians.rgb[skin][distance.argmin(1)]
        assert np.median(np.abs(crowd.uv_color[row][chosen] / 255 - nearest).max(1)) < 0.05
