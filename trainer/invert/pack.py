"""A finished person as an avatar pack of kind photo."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.avatar.resting import with_rest_scores
from core.errors import AssetError
from core.geometry import portrait_camera
from core.render.cpu import CpuRenderer
from core.types import Camera, FloatArray
from trainer.invert.person import InvertedPerson
from trainer.invert.view import PhotoView

THUMBNAIL, THUMBNAIL_SIZE = "person.png", 256
GREY = 0.45
KEPT_PHOTO = "photo"  # name of the picture under which a photograph is kept, with a number from the second on
CREATOR, LICENCE = "made of photographs", "personal: the likeness belongs to the person shown"


def photo_pack(pack: AvatarPack, identity: Identity) -> AvatarPack:
    """One person on the basis, regressor and response of the pack they hang on, with a thumbnail."""
    manifest = replace(pack.manifest, name=identity.name, kind="photo", generator=None, creator=CREATOR, licence=LICENCE)
    camera = portrait_camera(THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    thumbnail = png(seen(pack, identity, camera, np.zeros(pack.manifest.psi.size, np.float32)))
    return replace(pack, manifest=manifest, identities=(identity,), thumbnails={THUMBNAIL: thumbnail}, generator=None)


def with_rest(pack: AvatarPack, identity: Identity) -> Identity:
    """The person with the landmarker's scores of the resting face, where the pack's driving response asks for them."""
    if pack.response is not None:
        with suppress(AssetError):  # no landmarker: the pack's average serves until there is one
            return with_rest_scores(pack, identity)
    return identity


def with_photographs(pack: AvatarPack, views: Sequence[PhotoView]) -> AvatarPack:
    """The pack with the photographs in it, as they were cut."""
    names = [f"{KEPT_PHOTO}{'' if i == 0 else f'-{i + 1}'}.png" for i in range(len(views))]
    kept = {name: png(view.picture) for name, view in zip(names, views, strict=True)}
    return replace(pack, thumbnails={**pack.thumbnails, **kept})


def renamed(made: InvertedPerson, name: str) -> InvertedPerson:
    """The same person under another name."""
    identity = replace(made.identity, name=name)
    pack = replace(made.pack, manifest=replace(made.pack.manifest, name=name), identities=(identity,),
                   thumbnails={thumbnail_name(name): picture for picture in made.pack.thumbnails.values()})
    return replace(made, pack=pack, identity=identity)


def person_name(view: PhotoView) -> str:
    """What a person is called until somebody says better: the photograph's file name."""
    return Path(view.name).stem.replace("_", " ").strip() or "photo"


def seen(pack: AvatarPack, identity: Identity, camera: Camera, psi: FloatArray) -> NDArray[np.uint8]:
    """The driven avatar [S, S, 3] before grey; the head itself does not turn."""
    avatar = Avatar(pack, identity)
    cloud = avatar.seen_from(camera, avatar.pose(avatar.coefficients(psi)))
    return np.ascontiguousarray(CpuRenderer(1).render(cloud, camera, (GREY,) * 3)[..., :3])


def thumbnail_name(name: str) -> str:
    """The entry of a person's picture in a pack: plain letters only."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-') or 'person'}.png"


def png(picture: NDArray[np.uint8]) -> bytes:
    """[H, W, 3] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()
