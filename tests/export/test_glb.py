"""The mesh for other programs: their readers find it whole, and it moves as the head model does."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from core.assets import resource
from core.avatar.motion import head_motion
from core.avatar.sources import load_studio_pack
from core.avatar.static_pack import static_pack
from core.cli import DEMO_MOTION
from core.errors import InputError
from core.export.glb import glb_bytes
from core.export.head_rig import JOINT_NAMES, face_clip, motion_clip, rig_of, shape_of
from core.export.mesh_texture import press_texture
from core.head.library import load_open_head
from core.head.presets import preset
from core.tracking.motion_clip import read_motion
from tests.export.glb_file import Glb
from tests.export.people import avatar, somebody

FRAMES = 12
TEXTURE = 256  # texels; full size takes longer and tests nothing more


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def shaped(head):
    return head.neutral(shape_of(load_studio_pack(), somebody(), head))


@pytest.fixture(scope="module")
def rig(head, shaped):
    return rig_of(head, shaped)


@pytest.fixture(scope="module")
def motion():
    """A few lively frames."""
    return read_motion(resource(DEMO_MOTION)).params[20:20 + 5 * FRAMES:5]


@pytest.fixture(scope="module")
def texture(shaped, head):
    return press_texture(head, shaped.vertices, load_studio_pack(), somebody(), TEXTURE)


@pytest.fixture(scope="module")
def path(tmp_path_factory, head, rig, texture, motion):
    smile = preset(head, "smile")
    clips = [motion_clip("moving", rig, head, avatar(), motion, motion[0].head_translation),
             face_clip("smile", rig, head, smile.expression, smile.pose)]
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    path.write_bytes(glb_bytes("somebody", rig, texture, clips, "CC0"))
    return path


def test_trimesh_loads_all_of_the_mesh(path, head, shaped):
    scene = trimesh.load(path, process=False)
    shown = head.part != head.part_names.index("lashes")
    corners = set(zip(head.faces[shown].ravel(), head.uv_faces[shown].ravel(), strict=True))
    assert sum(len(part.faces) for part in scene.geometry.values()) == shown.sum()
    for part in scene.geometry.values():
        assert len(part.vertices) == len(corners)
        assert part.visual.material.baseColorTexture.size == (TEXTURE, TEXTURE)
        assert part.visual.uv.shape == (len(corners), 2)
    whole = trimesh.util.concatenate(list(scene.geometry.values()))
    wanted = shaped.vertices[head.faces[shown]]
    middles, wanted = (triangles.reshape(-1, 9).sum(1) for triangles in (whole.triangles, wanted))
    assert np.abs(np.sort(middles) - np.sort(wanted)).max() < 1e-6
    normals = np.cross(*(whole.triangles[:, k] - whole.triangles[:, 0] for k in (1, 2)))
    outward = (normals * whole.vertex_normals[whole.faces[:, 0]]).sum(1) > 0
    assert outward.mean() > 0.99  # corners of slivers may differ


def test_morph_targets_are_the_expressions_of_the_head_model(path, head, rig):
    glb = Glb(path)
    mesh = glb.document["meshes"][0]
    names = mesh["extras"]["targetNames"]
    assert tuple(names[:head.expression_count]) == tuple(head.expression_names)
    assert {"jawOpen", "jawLeft", "jawRight"} <= set(names)
    assert len(set(names)) == len(names) == len(mesh["weights"]) == len(mesh["primitives"][0]["targets"])
    for i in range(head.expression_count):
        delta = glb.values(mesh["primitives"][0]["targets"][i]["POSITION"])
        assert np.abs(delta - head.expression_dirs[rig.vertex, :, i]).max() < 1e-8


def test_jaw_open_as_a_target_is_the_jaw_opened(path, head, rig, shaped):
    glb = Glb(path)
    mesh = glb.document["meshes"][0]
    delta = glb.values(mesh["primitives"][0]["targets"][mesh["extras"]["targetNames"].index("jawOpen")]["POSITION"])
    opened = head.vertices(shaped, None, head.pose(jaw=head.jaw_open_angle))
    assert np.abs(delta - (opened - shaped.vertices)[rig.vertex]).max() < 1e-6


def test_the_skin_poses_as_the_head_model_does(path, head, rig, shaped, generator):
    """An independent linear blend in float64 of what the file says; 1e-5 m is what float32 joints and weights leave."""
    glb = Glb(path)
    for _ in range(4):
        expression = generator.uniform(0, 0.7, head.expression_count).astype(np.float32)
        pose = generator.normal(0, 0.15, (5, 3)).astype(np.float32)
        pose[0] = 0
        clip = face_clip("any", rig, head, expression, pose)
        posed = glb.posed(clip.weights[1], clip.rotations[1].astype(np.float64), clip.translations[1])
        assert np.abs(posed - head.vertices(shaped, expression, pose)[rig.vertex]).max() < 1e-5


def test_the_animation_in_the_file_is_the_motion_of_the_avatar(path, head, rig, shaped, motion):
    glb, driven, e = Glb(path), avatar(), head.expression_count
    times, weights = glb.track(0, len(JOINT_NAMES), "weights")
    weights = weights.reshape(len(times), -1)
    joints = range(len(JOINT_NAMES))
    rotations = np.stack([glb.track(0, joint, "rotation")[1] for joint in joints], 1)
    translations = np.stack([glb.track(0, joint, "translation")[1] for joint in joints], 1)
    assert np.abs(times - [(p.time_ns - motion[0].time_ns) / 1e9 for p in motion]).max() < 1e-5
    above = 1 - head.skin_weights[rig.vertex, :1]
    for i in range(0, FRAMES, 4):
        psi = driven.respond(motion[i])
        moved = head_motion(motion[i], shaped.joints[1], motion[0].head_translation)
        pose = np.zeros((5, 3), np.float32)
        pose[1], pose[2:] = motion[i].head_rotation, psi[e:e + 9].reshape(3, 3)
        wanted = head.vertices(shaped, psi[:e], pose)[rig.vertex] + above * moved.head_shift + (1 - above) * moved.body_shift
        assert np.abs(glb.posed(weights[i], rotations[i], translations[i]) - wanted).max() < 1e-5
    assert ((rotations[1:] * rotations[:-1]).sum(-1) > 0).all()  # players may interpolate
    assert np.abs(np.diff(weights, axis=0)).max() > 0.02


def test_the_file_says_what_it_is(path):
    document = Glb(path).document
    assert document["asset"]["copyright"] == "CC0"
    assert [clip["name"] for clip in document["animations"]] == ["moving", "smile"]
    assert [material["name"] for material in document["materials"]] == ["skin", "mouth", "eyes"]
    assert [node["name"] for node in document["nodes"][:5]] == list(JOINT_NAMES)


def test_the_texture_has_the_colours_of_the_person(path, texture, head, rig):
    """Skin Gaussians of the cheeks against the texels at their place: the same skin, but several Gaussians lie over a texel."""
    glb, person = Glb(path), somebody()
    stored = np.asarray(Image.open(io.BytesIO(glb.view(glb.document["images"][0]["bufferView"]))))
    assert np.abs(stored.astype(int) - texture).mean() < 2  # JPEG
    uv = glb.values(glb.document["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"])
    cheek = (head.masks.face > 0.9) & (head.masks.lips < 0.01) & (head.masks.eyelids < 0.01)
    chosen = np.flatnonzero(cheek[rig.vertex])[::7]
    nearest = [np.argmin(((person.gaussians.xyz - rig.positions[i]) ** 2).sum(1)) for i in chosen]
    texel = np.floor(uv[chosen] * TEXTURE).astype(int).clip(0, TEXTURE - 1)
    difference = np.abs(stored[texel[:, 1], texel[:, 0]] / 255 - person.gaussians.rgb[nearest]).max(1)
    assert np.median(difference) < 0.04


def test_meshes_that_are_not_ours_are_refused(head):
    pack = load_studio_pack()
    foreign = replace(pack, manifest=replace(pack.manifest, head_sha256="0" * 64, head_name="FLAME 2020"))
    with pytest.raises(InputError, match="FLAME 2020, which may not be passed on"):
        shape_of(foreign, somebody(), head)
    cloud = static_pack("a cloud", somebody().gaussians)
    with pytest.raises(InputError, match="no mesh"):
        shape_of(cloud, cloud.identities[0], head)
