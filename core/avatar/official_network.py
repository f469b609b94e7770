"""The published generator as a network: building it from arrays, and the people it makes. Torch.

What AGORA-M calls the physical attributes of a person (specification 9.1) is computed here, and nowhere else: scales are linear,
and every component of the rotations is divided by its norm over all Gaussians of the network (correction 1), before any is
left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.avatar.cuda_random import CudaRandom
from core.errors import InputError
from core.networks.attributes import GaussianTensors, colour_from
from core.networks.config import GeneratorConfig
from core.networks.flame_camera import camera_centre, conditioning, world_to_camera
from core.networks.generator import Generator, IdentityPlanes, MeshSizes
from core.networks.layers import resampling_filter
from core.networks.surface import EXPRESSION, EYELIDS, FLAME_PARAMETERS, JAW, SHAPE
from core.types import FloatArray, Gaussians, PsiLayout

TRUNCATION = 0.7  # of all published pictures and of AGORA-M
OFFICIAL_PSI = PsiLayout(expression=50, jaw=3, eyes=0, eyelids=2)
_UNUSED = ("template_uv_coords", "template_faces", "template_uv_faces", "_idx_to_tidx", "flame_lbs_model.faces_tensor")
_LARGEST = 1 << 22  # texels, vertices or Gaussians


@dataclass(frozen=True)
class OfficialPerson:
    """A person of the published generator at rest, all Gaussians in the network's order.

    Attributes:
        w: [W] float32.
        gaussians: physical attributes; quaternions are normalised over the Gaussians, component by component, so that their
            length is about 2/√N. Colours are those that the camera from the front sees, 0..1.
        pivot: [3] metres, the root joint, about which the published cameras turn.
    """

    w: FloatArray
    gaussians: Gaussians
    pivot: FloatArray


def needed_names(generator: Generator) -> list[str]:
    """Names of parameters and buffers without which the network says nothing; the others are the same for everybody."""
    return [name for name in generator.state_dict() if name not in _UNUSED and not name.endswith("resample_filter")]


def fastest_device() -> torch.device:
    """CUDA, else Apple's MPS, else the processor. MPS was never tried."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def build_official(where: str, arrays: Mapping[str, NDArray], device: torch.device | None = None) -> Generator:
    """The network whose arrays these are; its sizes are read off their shapes.

    Args:
        where: what to call the arrays in messages.
        arrays: by name; more than are needed may be there.
        device: where it computes; the processor when left out.

    Raises:
        InputError: an array is missing or does not fit the others.
    """
    try:
        config, mesh = _sizes(arrays)
        with torch.device("meta"):  # shapes are compared before anything of that size is made
            planned = Generator(config, mesh)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise InputError(f"{where}: not the published generator ({str(error).splitlines()[0]})") from error
    state, names = planned.state_dict(), needed_names(planned)
    for name in names:
        if name not in arrays:
            raise InputError(f"{where}: the generator's {name} is missing")
        if tuple(arrays[name].shape) != tuple(state[name].shape) and arrays[name].size != state[name].numel():
            raise InputError(f"{where}: {name} has shape {tuple(arrays[name].shape)}, expected {tuple(state[name].shape)}")
    _check_tables(where, arrays, mesh)
    with torch.device("meta"):
        generator = Generator(config, mesh)
    generator = generator.to_empty(device="cpu")
    given = {name: torch.from_numpy(np.array(arrays[name])).to(state[name].dtype).reshape(state[name].shape) for name in names}
    for name, value in generator.state_dict().items():
        if name.endswith("resample_filter"):
            given[name] = resampling_filter()
        elif name in _UNUSED:
            value.zero_()
    generator.load_state_dict(given, strict=False)
    generator.template_uv_coords = generator.template_uv_coords.float()  # unused, and MPS knows no float64
    return generator.requires_grad_(False).eval().to(device or torch.device("cpu"))


def _sizes(arrays: Mapping[str, NDArray]) -> tuple[GeneratorConfig, MeshSizes]:
    resolution = int(arrays["_barim"].shape[0])
    channels = {r: int(arrays[f"backbone.synthesis.b{r}.torgb.weight"].shape[1])
                for r in (2**i for i in range(2, resolution.bit_length()))}
    most = channels[4]
    base = next((r * count for r, count in channels.items() if count < most), most * resolution)
    latent = int(arrays["backbone.mapping.w_avg"].shape[0])
    blocks = sum(name.endswith(".torgb.bias") for name in arrays if name.startswith("deformation_generator."))
    planes = int(arrays["backbone.synthesis.b4.torgb.bias"].shape[0])
    if planes != GeneratorConfig().plane_channels:
        raise ValueError(f"{planes} channels instead of {GeneratorConfig().plane_channels}")
    config = GeneratorConfig(
        latent_size=latent, plane_resolution=resolution, channel_base=base, channel_max=most,
        tap_resolution=resolution >> blocks, camera_size=int(arrays["backbone.mapping.embed.weight"].shape[1]),
        psi_size=int(arrays["deformation_generator.flame_mlp.0.weight"].shape[1]),
        unused_style_size=int(arrays["backbone.synthesis.b4.torgb.affine.weight"].shape[1]) - latent)
    vertices, back = arrays["flame_lbs_model.v_template"], arrays.get("flame_lbs_model.bh_vert", ())
    mesh = MeshSizes(vertices=len(vertices), uv_vertices=len(arrays["_tidx_to_idx"]), faces=1, back_vertices=len(back),
                     anchors=int(arrays["_uv_grid"].shape[1]))
    if max(mesh.vertices, mesh.uv_vertices, mesh.anchors, resolution**2) > _LARGEST or config.psi_size != OFFICIAL_PSI.size:
        raise ValueError("sizes that no published generator has")
    return config, mesh


def _check_tables(where: str, arrays: Mapping[str, NDArray], mesh: MeshSizes) -> None:
    """Index tables must not point outside what they index."""
    for name, limit in (("_tidx_to_idx", mesh.vertices), ("_idxim", mesh.uv_vertices)):
        table = arrays[name]
        if table.dtype.kind not in "iu" or table.min() < 0 or table.max() >= limit:
            raise InputError(f"{where}: {name} is out of range")
    if np.ravel(arrays["flame_lbs_model.parents"]).tolist() != [-1, 0, 1, 1, 1]:
        raise InputError(f"{where}: the head model has other joints than FLAME")


def draw(seeding: str, seed: int, latent_size: int, rows: int) -> tuple[FloatArray, int]:
    """z [Z] and the row of the table of shapes (of `rows`) that a seed draws.

    Args:
        seeding: "cuda", as published, or "cpu", torch's generator on the processor.
    """
    if seeding == "cuda":
        random = CudaRandom(seed)
        return random.normal(latent_size), random.integer(max(rows, 1))
    source = torch.Generator("cpu").manual_seed(seed)
    z = torch.randn(1, latent_size, generator=source)[0].numpy()
    return z, int(torch.randint(0, max(rows, 1), (1,), generator=source))


def style_of(generator: Generator, z: FloatArray, camera: FloatArray) -> FloatArray:
    """w [W] of z [Z], conditioned on the rotation of a camera c6 [6], truncated."""
    device = generator._uv_grid.device
    with _exactly():
        c12 = conditioning(_sent(camera, device))
        return _array(generator.backbone.mapping(_sent(z, device), c12, TRUNCATION)[0])


class Sitter:
    """Somebody the generator draws; the planes are made once.

    Args:
        generator: from `build_official`.
        w: [W] style.
        shape: [300] shape coefficients.
        camera: [6] c6, whose centre the colours are seen from.
    """

    def __init__(self, generator: Generator, w: FloatArray, shape: FloatArray, camera: FloatArray) -> None:
        self.w = np.asarray(w, np.float32)
        self._generator = generator
        self._device = generator._uv_grid.device
        self._camera = _sent(camera, self._device)
        self._neutral = np.zeros(FLAME_PARAMETERS, np.float32)
        self._neutral[SHAPE] = shape
        with _exactly():
            self._planes: IdentityPlanes = generator.identity_of(_sent(self.w, self._device), _sent(self._neutral, self._device))

    def resting(self) -> OfficialPerson:
        """The person without expression."""
        with _exactly():
            cloud, joints = self._generator.frame(self._planes, _sent(self._neutral, self._device))
            eye = camera_centre(world_to_camera(self._camera, joints[:, 0]))
            rgb = colour_from(cloud.sh, cloud.xyz, eye).clamp(max=1)
            xyz, rotation, scale, opacity = physical(cloud)
            return OfficialPerson(self.w, Gaussians(*map(_array, (xyz, scale, rotation, rgb[0], opacity[:, 0]))),
                                  _array(joints[0, 0]))

    def posed(self, psi: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Physical xyz [N, 3], rotation [N, 4], scale [N, 3] and opacity [N, 1] under a driving vector ψ [55]."""
        params = self._neutral.copy()
        params[EXPRESSION], params[JAW], params[EYELIDS] = np.split(np.asarray(psi, np.float32), [50, 53])
        with _exactly():
            return tuple(map(_array, physical(self._generator.frame(self._planes, _sent(params, self._device))[0])))


def physical(cloud: GaussianTensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """xyz, rotation, scale and opacity of the first sample as AGORA-M's basis knows them (specification 9.1, correction 1)."""
    quat = cloud.quat[0]
    return cloud.xyz[0], quat / quat.norm(dim=0, keepdim=True), cloud.scale_log[0].exp(), cloud.opacity[0]


@contextmanager
def _exactly() -> Iterator[None]:
    """No gradients, and convolutions in full float32: a seed is to be the same person on every processor."""
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def _sent(value: FloatArray, device: torch.device) -> Tensor:
    """Numbers [n] as a batch of one [1, n] on a device."""
    return torch.from_numpy(np.array(value, np.float32))[None].to(device)


def _array(value: Tensor) -> FloatArray:
    return np.ascontiguousarray(value.cpu().numpy(), np.float32)
