"""A release of the published size with random weights: a bust of the open head under the published names and shapes.

Written the way the published files are, so that reading it costs what reading those costs.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import torch

from core.networks.config import GeneratorConfig
from core.networks.generator import Generator, MeshSizes
from core.networks.layers import resampling_filter

ANCHORS, VERTICES, UV_VERTICES, FACES, BACK = 228_693, 5994, 6066, 11_666, 141
_PUBLISHED = "eg3d.torch_utils.persistence"
MASKED = 0.37  # share of the texture that expressions change


class _Persistent:
    """Pickles like a persistent module of the release: a call with one dict, the state inside."""

    def __init__(self, state: dict) -> None:
        self.state = state

    def __reduce__(self):
        return _reconstruct_persistent_obj, ({"type": "class", "version": 6, "module_src": "raise SystemExit",
                                              "class_name": "Layer", "state": self.state},)


def _reconstruct_persistent_obj(meta):
    raise AssertionError("the published loader would run source text here")


_reconstruct_persistent_obj.__module__ = _PUBLISHED


class _Storage:
    def __init__(self, tensor: torch.Tensor) -> None:
        buffer = io.BytesIO()
        torch.save(torch.storage.TypedStorage(wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True), buffer,
                   _use_new_zipfile_serialization=False)
        self.content = buffer.getvalue()

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.content,)


class _Tensor:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor.detach().contiguous()

    def __reduce__(self):
        shape = tuple(self.tensor.shape)
        return torch._utils._rebuild_tensor_v2, (_Storage(self.tensor), 0, shape, self.tensor.stride(), False, {})


def _modules(state: dict[str, torch.Tensor]) -> _Persistent:
    """The tree of modules of a flat state."""
    children: dict[str, dict[str, torch.Tensor]] = {}
    own = {}
    for name, value in state.items():
        first, dot, rest = name.partition(".")
        if dot:
            children.setdefault(first, {})[rest] = value
        else:
            own[first] = _Tensor(value)
    inside = {name: _modules(part) for name, part in children.items()}
    return _Persistent({"_parameters": {}, "_buffers": own, "_modules": inside})


def write_checkpoint(path: Path, networks: dict[str, dict[str, torch.Tensor]]) -> None:
    """A checkpoint in the published layout."""
    content = {"training_set_kwargs": {"resolution": 512}, **{name: _modules(state) for name, state in networks.items()},
               "augment_pipe": None}
    # a module of the published name is there while it is written, since pickle looks its functions up
    module = types.ModuleType(_PUBLISHED)
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    parents = [_PUBLISHED.rsplit(".", n)[0] for n in (2, 1)]
    sys.modules |= {name: types.ModuleType(name) for name in parents} | {_PUBLISHED: module}
    try:
        path.write_bytes(pickle.dumps(content, protocol=4))
    finally:
        for name in (*parents, _PUBLISHED):
            del sys.modules[name]


def full_size_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """A generator of the published size. The weights are those of an untrained network whose branches say something."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    generator = Generator(GeneratorConfig(), MeshSizes(VERTICES, UV_VERTICES, FACES, BACK, ANCHORS))
    state = {name: value.detach().clone() for name, value in generator.state_dict().items()}
    for name, value in state.items():
        if name.endswith("noise_strength"):
            value.fill_(0.05)
        elif "torgb.weight" in name:
            value.mul_(0.3)
        elif "zero_conv" in name and name.endswith("weight"):
            value.copy_(0.05 * torch.eye(3)[:, :, None, None])
    state["backbone.mapping.w_avg"] = 0.1 * torch.randn(512)
    # some faces are visible: the opacity channel is lifted
    state["backbone.synthesis.b256.torgb.bias"][21] = 2.0
    _put_head(state, rng)
    for name in state:
        if name.endswith("resample_filter"):
            state[name] = resampling_filter()
    return state


def _put_head(state: dict[str, torch.Tensor], rng: np.random.Generator) -> None:
    """An egg with a regular texture, a deform mask in front, and FLAME's kind of motion."""
    columns = 78
    u, v = np.meshgrid(np.linspace(0.01, 0.99, columns), np.linspace(0.01, 0.95, columns))
    u, v = u.ravel()[:UV_VERTICES], v.ravel()[:UV_VERTICES]
    around, height = 2 * np.pi * (u - 0.5), 1.0 - 2.0 * (1 - v)
    radius = np.sqrt(np.clip(1 - height**2, 0.05, None))
    points = np.stack([0.075 * radius * np.sin(around), 0.12 * height - 0.03, 0.09 * radius * np.cos(around)], 1)
    rows = np.minimum(np.arange(UV_VERTICES), VERTICES - 1)
    quads = np.arange((columns - 1) ** 2)
    corner = quads // (columns - 1) * columns + quads % (columns - 1)
    faces = np.concatenate([np.stack([corner, corner + 1, corner + columns], 1),
                            np.stack([corner + 1, corner + columns + 1, corner + columns], 1)])
    faces = faces[(faces < UV_VERTICES).all(1)][:FACES]
    faces = np.concatenate([faces, np.repeat(faces[-1:], FACES - len(faces), 0)])
    side = np.linspace(-1, 1, 512)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)[rng.permutation(512 * 512)[:ANCHORS]]
    grid = grid[np.lexsort((grid[:, 0], grid[:, 1]))]
    texel = (np.arange(256) + 0.5) / 256
    tu, tv = np.meshgrid(texel, texel)
    column, row = (np.clip((t - 0.01) / s * (columns - 1), 0, columns - 1.001) for t, s in ((tu, 0.98), (tv, 0.94)))
    c, r = column.astype(int), row.astype(int).clip(0, UV_VERTICES // columns - 2)
    first = r * columns + c
    fc, fr = column - c, (row - r).clip(0, 1)
    corners = np.stack([first, first + 1, first + columns], -1)
    barycentric = np.stack([1 - (fc + fr), fc, fr], -1).clip(0, 1)
    barycentric /= barycentric.sum(-1, keepdims=True)
    template = points[:VERTICES]
    position = np.einsum("yxk,yxkc->yxc", barycentric, template[rows[corners]])
    front = (position[..., 2] > np.quantile(position[..., 2], 1 - MASKED)).astype(np.float32)
    smooth = rng.normal(0, 1, (3, 12)) * 12
    waves = np.cos(template @ smooth + rng.uniform(0, 6, 12)) * np.clip(template[:, 2:] / 0.09, 0, 1)
    dirs = np.zeros((VERTICES, 3, 350))
    dirs[:, :, :300] = 2e-3 * np.einsum("vk,kcs->vcs", np.cos(template @ smooth), rng.normal(0, 1, (12, 3, 300)) / 6)
    dirs[:, :, 300:] = 2e-3 * np.einsum("vk,kcs->vcs", waves, rng.normal(0, 1, (12, 3, 50)) / 6)
    jaw = np.clip((-0.05 - template[:, 1]) / 0.03, 0, 1) * np.clip(template[:, 2] / 0.04, 0, 1)
    weights = np.stack([0 * jaw, 1 - jaw, jaw, 0 * jaw, 0 * jaw], 1)
    lid = np.exp(-np.square((template[:, None] - np.array([[0.03, 0.02, 0.085], [-0.03, 0.02, 0.085]])) / 0.012).sum(2))
    regressor = np.zeros((5, VERTICES))
    joints = [[0, -0.12, -0.02], [0, -0.1, -0.02], [0, -0.02, 0.0], [0.03, 0.02, 0.05], [-0.03, 0.02, 0.05]]
    for joint, place in enumerate(joints):
        near = np.argsort(np.square(template - place).sum(1))[:40]
        regressor[joint, near] = 1 / 40
    put = {"_tidx_to_idx": rows, "_idx_to_tidx": np.arange(VERTICES), "template_uv_coords": np.stack([u, v], 1),
           "template_faces": rows[faces], "template_uv_faces": faces, "_uv_grid": grid.reshape(1, -1, 1, 2), "_idxim": corners,
           "_barim": barycentric, "_template_uv_positions_map": position.transpose(2, 0, 1)[None],
           "_deform_mask": front[None, None],
           "flame_lbs_model.v_template": template, "flame_lbs_model.shapedirs": dirs, "flame_lbs_model.lbs_weights": weights,
           "flame_lbs_model.J_regressor": regressor, "flame_lbs_model.faces_tensor": rows[faces],
           "flame_lbs_model.l_eyelid": (lid[:, :1] * [0, -0.008, 0])[None],
           "flame_lbs_model.r_eyelid": (lid[:, 1:] * [0, -0.008, 0])[None]}
    for name, value in put.items():
        state[name] = torch.from_numpy(np.ascontiguousarray(value)).to(state[name].dtype).reshape(state[name].shape)


def write_basis(folder: Path, state: dict[str, torch.Tensor], components: int = 64, samples: int = 300, seed: int = 0) -> None:
    """AGORA-M of the published size: scales, opacities and rotations change where the mask is, positions where the face is."""
    rng = np.random.default_rng(seed)
    grid = state["_uv_grid"].numpy().reshape(-1, 2)
    texel = ((grid + 1) / 2 * 256).astype(int).clip(0, 255)
    inside = state["_deform_mask"].numpy()[0, 0][texel[:, 1], texel[:, 0]] > 0
    reach = np.clip(state["_template_uv_positions_map"].numpy()[0, 2][texel[:, 1], texel[:, 0]] / 0.09, 0, 1)
    saved = {"run_name": "random", "checkpoint": 1, "id_seed_start": 0, "n_identities": 1, "N_per_id": samples,
             "N_total": samples, "K": components, "G": len(grid), "flame_inputs": torch.zeros(samples, 55),
             "w_codes": torch.zeros(samples, 512)}
    size = {"xyz": 4e-3, "scale": 4e-5, "rotation": 0.1 * 2 / np.sqrt(len(grid)), "opacity": 0.05}
    for name, channels in (("xyz", 3), ("scale", 3), ("rotation", 4), ("opacity", 1)):
        share = reach if name == "xyz" else inside
        u = rng.standard_normal((components, len(grid), channels), np.float32) * share[:, None].astype(np.float32)
        length = np.sqrt(np.square(u).sum((1, 2), dtype=np.float64)).astype(np.float32)
        u /= length[:, None, None]
        falling = size[name] * length * (1 + np.arange(components)) ** -0.8
        saved[f"U_{name}"] = torch.from_numpy(u.reshape(components, -1))
        saved[f"S_{name}"] = torch.from_numpy(falling.astype(np.float32))
        saved[f"c_{name}"] = torch.from_numpy((rng.standard_normal((samples, components)) * falling).astype(np.float32))
    torch.save(saved, folder / "svd_basis.pt")
    falling = np.concatenate([saved[f"S_{name}"].numpy() for name in ("xyz", "scale", "rotation", "opacity")])
    torch.manual_seed(seed)
    layers = {}
    for layer, inputs, outputs in ((0, 567, 256), (2, 256, 512), (4, 512, 4 * components)):
        layers[f"net.{layer}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
        layers[f"net.{layer}.bias"] = torch.zeros(outputs)
    layers["net.4.weight"] *= torch.from_numpy(falling)[:, None]
    torch.save({"state_dict": layers, "K": components, "in_dim": 567, "hidden1": 256, "hidden2": 512, "out_dim": 4 * components,
                "val_loss": 0.1, "run_name": "random", "checkpoint": 1, "n_identities": 1, "id_seed_start": 0},
               folder / "mlp_regressor.pt")


def write_full_release(folder: Path, components: int = 64) -> None:
    """All files but the table, in the published folders."""
    state = full_size_state()
    run = folder / "dgghead" / "DGGHEAD-158_stage2_res512"
    (run / "checkpoints").mkdir(parents=True)
    (run / "model_config.json").write_text('{"generator_config": {"z_dim": 512, "plane_resolution": 256}}')
    write_checkpoint(run / "checkpoints" / "checkpoint-20500.pkl", {"G": state, "G_ema": state})
    (folder / "agora_m").mkdir()
    write_basis(folder / "agora_m", state, components)
