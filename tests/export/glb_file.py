"""A reader of GLB files by the letter of the glTF 2.0 specification, for the tests alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

_TYPES = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A document and its binary chunk."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        magic, version, size = struct.unpack_from("<4sII", content)
        assert (magic, version, size) == (b"glTF", 2, len(content))
        length, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON"
        self.document = json.loads(content[20:20 + length])
        rest, kind = struct.unpack_from("<I4s", content, 20 + length)
        assert kind == b"BIN\0"
        assert 28 + length + rest == len(content)
        self._binary = content[28 + length:]

    def view(self, number: int, skip: int = 0) -> bytes:
        view = self.document["bufferViews"][number]
        start = view.get("byteOffset", 0)
        return self._binary[start + skip:start + view["byteLength"]]

    def values(self, number: int) -> np.ndarray:
        """An accessor [N, width], float64 or integers."""
        accessor = self.document["accessors"][number]
        width, kind = _WIDTHS[accessor["type"]], np.dtype(_TYPES[accessor["componentType"]])
        count = accessor["count"]
        if "bufferView" in accessor:
            content = self.view(accessor["bufferView"], accessor.get("byteOffset", 0))
            values = np.frombuffer(content, kind, count * width).reshape(count, width).copy()
        else:
            values = np.zeros((count, width), kind)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            rows = np.frombuffer(self.view(sparse["indices"]["bufferView"]), _TYPES[sparse["indices"]["componentType"]],
                                 sparse["count"])
            assert (np.diff(rows.astype(int)) > 0).all()
            stored = np.frombuffer(self.view(sparse["values"]["bufferView"]), kind, sparse["count"] * width)
            values[rows] = stored.reshape(-1, width)
        if "min" in accessor:
            assert np.allclose(values.min(0), accessor["min"])
            assert np.allclose(values.max(0), accessor["max"])
        return values.astype(np.float64) if kind.kind == "f" else values

    def posed(self, weights: np.ndarray, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """Vertices [G, 3] under weights [M] of the targets and joints with rotations [J, 4] xyzw and translations [J, 3].

        Section 3.7.3.3 of the specification: linear blending of joint matrices times inverse bind matrices.
        """
        primitive = self.document["meshes"][0]["primitives"][0]
        vertices = self.values(primitive["attributes"]["POSITION"])
        for weight, target in zip(weights, primitive["targets"], strict=True):
            vertices = vertices + weight * self.values(target["POSITION"])
        skin, nodes = self.document["skins"][0], self.document["nodes"]
        binds = self.values(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        world = {}

        def visit(node: int, above: np.ndarray) -> None:
            x, y, z, w = rotations[skin["joints"].index(node)]
            local = np.eye(4)
            local[:3, :3] = [[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                             [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                             [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]]
            local[:3, 3] = translations[skin["joints"].index(node)]
            world[node] = above @ local
            for child in nodes[node].get("children", []):
                visit(child, world[node])

        visit(skin["skeleton"], np.eye(4))
        matrices = np.stack([world[joint] @ bind for joint, bind in zip(skin["joints"], binds, strict=True)])
        joints, shares = (self.values(primitive["attributes"][name]) for name in ("JOINTS_0", "WEIGHTS_0"))
        blended = np.einsum("gk,gkij->gij", shares, matrices[joints])
        return np.einsum("gij,gj->gi", blended[:, :3, :3], vertices) + blended[:, :3, 3]

    def track(self, animation: int, node: int, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Times [T] and values of a channel."""
        clip = self.document["animations"][animation]
        channel = next(c for c in clip["channels"] if c["target"] == {"node": node, "path": path})
        sampler = clip["samplers"][channel["sampler"]]
        return self.values(sampler["input"])[:, 0], self.values(sampler["output"])
