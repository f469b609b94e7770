"""Files of 3D Gaussians as other programs write them (PLY in the convention of 3DGS, .splat, .spz): formats and reading.

Axes. *head*: as everywhere in the program, y up, z out of the face. *3dgs*: half a turn about x from there, y down and z into
the picture, as trainers of 3DGS leave their scenes and as their viewers expect them.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import MAX_GAUSSIANS
from core.avatar.ply_file import PlyTable, read_ply
from core.errors import InputError
from core.types import FloatArray, Gaussians

CLOUD_SUFFIXES = (".ply", ".splat", ".spz")
AXES = ("3dgs", "head")
SH_C0 = 0.28209479177387814  # real spherical harmonic of degree 0: rgb = 0.5 + SH_C0 · f_dc
SH_REST = (0, 3, 8, 15)  # further coefficients of a channel by degree
AXES_COMMENT = "axes: "
SPLAT_RECORD = np.dtype([("xyz", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
SPZ_HEADER = np.dtype([("magic", "<u4"), ("version", "<u4"), ("count", "<u4"), ("degree", "u1"), ("fraction", "u1"),
                       ("flags", "u1"), ("reserved", "u1")])
SPZ_MAGIC, SPZ_VERSION, SPZ_ANTIALIASED = 0x5053474E, 3, 1
SPZ_COLOR = 0.15  # of 255 to one unit of f_dc
SPZ_SCALE_STEPS, SPZ_SCALE_ZERO = 16.0, 10.0  # byte = 16 · (log scale + 10)
SPZ_QUAT_LEVELS = 511  # of a quaternion's smaller components, which are at most sqrt(1/2)
_HALF_TURN = np.array([1, -1, -1], np.float32)
_THINNEST = 1e-7  # metres; of Gaussians that a file gives two scales only


@dataclass(frozen=True)
class CloudFile:
    """What a file of Gaussians holds, in the axes of the file.

    Attributes:
        cloud: the Gaussians, without those that are damaged.
        rest: [N, 3, M] coefficients of the spherical harmonics of degree 1 and more (M = 0, 3, 8 or 15).
        dropped: rows that were left out because a number in them is none, or a quaternion has no length.
        axes: "head" or "3dgs" where the file or its format says, else "".
    """

    cloud: Gaussians
    rest: FloatArray
    dropped: int
    axes: str = ""


def turned(cloud: Gaussians) -> Gaussians:
    """Half a turn about x: from the axes of the head to those of 3DGS, and back. Positions and orientations go round."""
    quat = cloud.quat[:, [1, 0, 3, 2]] * np.array([-1, 1, -1, 1], np.float32)  # (0, 1, 0, 0) ⊗ q
    return replace(cloud, xyz=np.ascontiguousarray(cloud.xyz * _HALF_TURN), quat=np.ascontiguousarray(quat))


def is_cloud_file(path: str | Path) -> bool:
    """Whether a file's name says that it holds Gaussians."""
    return Path(path).suffix.lower() in CLOUD_SUFFIXES


def read_cloud(path: str | Path) -> CloudFile:
    """Read a PLY, .splat or .spz file.

    Raises:
        InputError: missing, of another kind, damaged, cut off, empty, or with more Gaussians than can be opened.
    """
    path = Path(path)
    read = {".ply": _read_ply, ".splat": _read_splat, ".spz": _read_spz}.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: is not a file of Gaussians", f"those end in {', '.join(CLOUD_SUFFIXES)}")
    try:
        with np.errstate(all="ignore"):  # damaged rows are found afterwards
            found = read(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    return _without_damage(path, found)


def _read_ply(path: Path) -> CloudFile:
    table = read_ply(path, MAX_GAUSSIANS)
    names = set(table.names)
    if "packed_position" in names:
        raise InputError(f"{path}: is a compressed PLY", "save it as an ordinary PLY, as .splat or as .spz version 3")
    missing = [name for name in ("x", "y", "z", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3", "opacity")
               if name not in names]
    if missing:
        raise InputError(f"{path}: holds a mesh or points, not 3D Gaussians (there is no {missing[0]})")
    scale = np.exp(table.columns(*(name for name in ("scale_0", "scale_1", "scale_2") if name in names)))
    if scale.shape[1] == 2:
        scale = np.concatenate([scale, np.full_like(scale[:, :1], _THINNEST)], 1)
    cloud = Gaussians(table.columns("x", "y", "z"), scale, table.columns("rot_0", "rot_1", "rot_2", "rot_3"),
                      _ply_color(path, table), _sigmoid(table.columns("opacity")[:, 0]))
    axes = next((comment.removeprefix(AXES_COMMENT) for comment in table.comments if comment.startswith(AXES_COMMENT)), "")
    return CloudFile(cloud, _ply_rest(table), 0, axes if axes in AXES else "")


def _ply_color(path: Path, table: PlyTable) -> FloatArray:
    if {"f_dc_0", "f_dc_1", "f_dc_2"} <= set(table.names):
        return (0.5 + SH_C0 * table.columns("f_dc_0", "f_dc_1", "f_dc_2")).astype(np.float32)
    if {"red", "green", "blue"} <= set(table.names):
        is_byte = table.rows.dtype["red"].kind in "iu" or table.rows["red"].max() > 1
        return table.columns("red", "green", "blue") / np.float32(255 if is_byte else 1)
    raise InputError(f"{path}: the Gaussians have no colour (neither f_dc_0 nor red)")


def _ply_rest(table: PlyTable) -> FloatArray:
    """Coefficients [N, 3, M]; the file has all of the red channel first."""
    count = sum(f"f_rest_{i}" in table.names for i in range(3 * SH_REST[-1]))
    if count not in [3 * known for known in SH_REST[1:]]:
        return np.zeros((len(table.rows), 3, 0), np.float32)
    return table.columns(*(f"f_rest_{i}" for i in range(count))).reshape(len(table.rows), 3, -1)


def _read_splat(path: Path) -> CloudFile:
    size = path.stat().st_size
    count = size // SPLAT_RECORD.itemsize
    if size % SPLAT_RECORD.itemsize or not count:
        raise InputError(f"{path}: is not a .splat file: {size} bytes are no whole number of records of 32")
    _check_count(path, count)
    rows = np.fromfile(path, SPLAT_RECORD)
    colors = rows["rgba"].astype(np.float32) / 255
    cloud = Gaussians(rows["xyz"].astype(np.float32), rows["scale"].astype(np.float32),
                      (rows["quat"].astype(np.float32) - 128) / 128, colors[:, :3], colors[:, 3])
    return CloudFile(cloud, np.zeros((count, 3, 0), np.float32), 0)


def _read_spz(path: Path) -> CloudFile:
    """SPZ versions 2 and 3 (Niantic's published description): one gzip stream, attribute after attribute."""
    with path.open("rb") as raw:
        start = raw.read(4)
        if int.from_bytes(start, "little") == SPZ_MAGIC:
            raise InputError(f"{path}: is SPZ of version 4 or later", "save it as version 3, as .splat or as PLY")
        raw.seek(0)
        try:
            with gzip.open(raw) as stream:
                head = stream.read(SPZ_HEADER.itemsize)
                header = np.frombuffer(head, SPZ_HEADER)[0] if len(head) == SPZ_HEADER.itemsize else None
                if header is None or header["magic"] != SPZ_MAGIC:
                    raise InputError(f"{path}: is not an SPZ file")
                if header["version"] not in (2, 3) or header["degree"] > 4:
                    raise InputError(f"{path}: is SPZ of version {header['version']}, which is not read",
                                     "save it as version 3, as .splat or as PLY")
                count = int(header["count"])
                _check_count(path, count)
                content = np.frombuffer(stream.read((20 if header["version"] == 3 else 19) * count), np.uint8)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: the SPZ file is damaged or cut off") from error
    if len(content) < (20 if header["version"] == 3 else 19) * count:
        raise InputError(f"{path}: the SPZ file is cut off")
    xyz, alpha, color, scale, quat = np.split(content, np.cumsum([9 * count, count, 3 * count, 3 * count]))
    triple = xyz.reshape(count, 3, 3).astype(np.int32)
    fixed = (triple[..., 0] | triple[..., 1] << 8 | triple[..., 2] << 16) << 8 >> 8  # the shifts bring in the sign
    f_dc = (color.reshape(count, 3) / np.float32(255) - np.float32(0.5)) / np.float32(SPZ_COLOR)
    cloud = Gaussians((fixed / 2.0 ** int(header["fraction"])).astype(np.float32),
                      np.exp(scale.reshape(count, 3) / SPZ_SCALE_STEPS - SPZ_SCALE_ZERO).astype(np.float32),
                      _largest_left_out(quat) if header["version"] == 3 else _w_left_out(quat),
                      0.5 + np.float32(SH_C0) * f_dc, alpha / np.float32(255))
    return CloudFile(cloud, np.zeros((count, 3, 0), np.float32), 0, "head")


def _largest_left_out(content: NDArray[np.uint8]) -> FloatArray:
    """Quaternions wxyz [N, 4] from 32 bits each: the number of the largest of x, y, z, w, and sign and 9 bits of the others."""
    packed = np.ascontiguousarray(content).view("<u4").astype(np.int64)
    largest = packed >> 30
    left = np.stack([(packed >> shift) & 0x3FF for shift in (20, 10, 0)], 1)
    small = np.where(left & 0x200, -1, 1) * (left & 0x1FF) * (np.sqrt(0.5) / SPZ_QUAT_LEVELS)
    place = np.array([[j for j in range(4) if j != i] for i in range(4)])[largest]
    xyzw = np.zeros((len(packed), 4))
    np.put_along_axis(xyzw, place, small, 1)
    np.put_along_axis(xyzw, largest[:, None], np.sqrt(np.maximum(1 - (small**2).sum(1), 0))[:, None], 1)
    return xyzw[:, [3, 0, 1, 2]].astype(np.float32)


def _w_left_out(content: NDArray[np.uint8]) -> FloatArray:
    """Quaternions wxyz [N, 4] from a byte for each of x, y, z; w is not negative."""
    xyz = content.reshape(-1, 3) / 127.5 - 1
    return np.concatenate([np.sqrt(np.maximum(1 - (xyz**2).sum(1, keepdims=True), 0)), xyz], 1).astype(np.float32)


def _check_count(path: Path, count: int) -> None:
    if not 0 < count <= MAX_GAUSSIANS:
        raise InputError(f"{path}: holds {count} Gaussians",
                         f"between 1 and {MAX_GAUSSIANS} can be opened; thin it out in an editor")


def _without_damage(path: Path, found: CloudFile) -> CloudFile:
    """Leaves out rows with numbers that are none; normalises quaternions, limits opacities and scales."""
    cloud = found.cloud
    length = np.linalg.norm(cloud.quat, axis=1)
    sound = (length > 1e-6) & np.isfinite(length) & np.isfinite(cloud.opacity)
    for values in (cloud.xyz, cloud.scale, cloud.rgb):
        sound &= np.isfinite(values).all(1)
    sound &= (np.abs(cloud.xyz).max(1, initial=0) < 1e6) & (cloud.scale > 0).all(1)
    if not sound.any():
        raise InputError(f"{path}: holds no usable Gaussian")
    quat = cloud.quat[sound] / length[sound, None]
    clean = Gaussians(*(np.ascontiguousarray(values, np.float32) for values in (
        cloud.xyz[sound], cloud.scale[sound], quat, cloud.rgb[sound], cloud.opacity[sound].clip(0, 1))))
    rest = np.nan_to_num(found.rest[sound], nan=0, posinf=0, neginf=0)
    return replace(found, cloud=clean, rest=rest, dropped=int((~sound).sum()))


def _sigmoid(values: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-values.astype(np.float64)))).astype(np.float32)
