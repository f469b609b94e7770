"""A person's head as glTF 2.0 in one binary file: mesh, texture, ARKit morph targets, jaw, eyes and neck as joints, and clips."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.export.gltf import INDEX_BUFFER, VERTEX_BUFFER, GlbWriter, Json
from core.export.head_rig import JOINT_NAMES, HeadRig, RigClip
from core.head.model import JOINT_PARENTS
from core.version import VERSION

_MATERIALS = {"skin": ("skin",), "mouth": ("mouth", "teeth_u", "teeth_l", "tongue"), "eyes": ("eye_l", "eye_r")}
_MESH_NODE = len(JOINT_NAMES)  # the joints are nodes 0..4
_LINEAR_MIPMAPS, _LINEAR, _CLAMP = 9987, 9729, 33071
_JPEG_QUALITY = 93


def glb_bytes(name: str, rig: HeadRig, texture: NDArray[np.uint8], clips: Sequence[RigClip] = (), about: str = "") -> bytes:
    """The content of a GLB file. glTF's axes (y up, z out of the face, metres) are those of the head.

    Colours are shown unlit, since the light on the person is in them already.

    Args:
        name: of the person.
        texture: RGB [S, S, 3], row 0 is v = 0 of the rig's uv.
        about: who may do what with the file.
    """
    writer = GlbWriter()
    attributes = _attributes(writer, rig)
    targets = [{"POSITION": writer.sparse(target)} for target in rig.targets]
    materials = [entry for entry, parts in _MATERIALS.items() if any(part in rig.faces for part in parts)]
    primitives = []
    for material in materials:
        faces = np.concatenate([rig.faces[part] for part in _MATERIALS[material] if part in rig.faces])
        primitives.append({"attributes": attributes, "indices": writer.accessor(faces.ravel(), INDEX_BUFFER),
                           "material": len(primitives), "targets": targets})
    binds = np.tile(np.eye(4, dtype=np.float32), (len(JOINT_NAMES), 1, 1))
    binds[:, 3, :3] = -rig.joints  # column-major
    document: Json = {
        "asset": {"version": "2.0", "generator": f"AGORA live {VERSION}", **({"copyright": about} if about else {})},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0, "scenes": [{"name": name, "nodes": [0, _MESH_NODE]}],
        "nodes": [*_joint_nodes(rig), {"name": name, "mesh": 0, "skin": 0}],
        "meshes": [{"name": name, "primitives": primitives, "weights": [0.0] * len(targets),
                    "extras": {"targetNames": list(rig.target_names)}}],
        "skins": [{"joints": list(range(len(JOINT_NAMES))), "skeleton": 0, "inverseBindMatrices": writer.accessor(binds)}],
        "materials": [_material(material) for material in materials],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAPS, "wrapS": _CLAMP, "wrapT": _CLAMP}],
        "images": [{"name": name, "mimeType": "image/jpeg", "bufferView": writer.view(_jpeg(texture))}],
    }
    if clips:
        document["animations"] = [_animation(writer, clip) for clip in clips]
    return writer.finish(document)


def _attributes(writer: GlbWriter, rig: HeadRig) -> Json:
    order = np.argsort(-rig.weights, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(rig.weights, order, 1)
    joints = np.where(weights > 0, order, 0).astype(np.uint8)
    weights /= weights.sum(1, keepdims=True)
    return {"POSITION": writer.accessor(rig.positions, VERTEX_BUFFER, limits=True),
            "NORMAL": writer.accessor(rig.normals, VERTEX_BUFFER),
            "TEXCOORD_0": writer.accessor(rig.uv, VERTEX_BUFFER),
            "JOINTS_0": writer.accessor(joints, VERTEX_BUFFER),
            "WEIGHTS_0": writer.accessor(weights.astype(np.float32), VERTEX_BUFFER)}


def _joint_nodes(rig: HeadRig) -> list[Json]:
    nodes = []
    for joint, (name, parent) in enumerate(zip(JOINT_NAMES, JOINT_PARENTS, strict=True)):
        local = rig.joints[joint] - (rig.joints[parent] if parent >= 0 else 0)
        children = [child for child, of in enumerate(JOINT_PARENTS) if of == joint]
        nodes.append({"name": name, "translation": local.astype(float).tolist(), **({"children": children} if children else {})})
    return nodes


def _material(name: str) -> Json:
    return {"name": name, "extensions": {"KHR_materials_unlit": {}},
            "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 0.8}}


def _animation(writer: GlbWriter, clip: RigClip) -> Json:
    times = writer.accessor(clip.seconds, limits=True)
    samplers: list[Json] = []
    channels: list[Json] = []

    def add(node: int, path: str, values: NDArray) -> None:
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
        samplers.append({"input": times, "output": writer.accessor(values), "interpolation": "LINEAR"})

    add(_MESH_NODE, "weights", clip.weights.reshape(-1))
    for joint in range(len(JOINT_NAMES)):
        add(joint, "rotation", clip.rotations[:, joint])
        add(joint, "translation", clip.translations[:, joint])
    return {"name": clip.name, "samplers": samplers, "channels": channels}


def _jpeg(texture: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(texture).save(content, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return content.getvalue()
