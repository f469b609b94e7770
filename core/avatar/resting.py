"""What the landmarker reads on an avatar: the same eyes that watch the driver look at the drawn face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.assets import landmarker_model_path
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.geometry import portrait_camera
from core.render.renderer import open_renderer
from core.tracking.mediapipe_landmarker import FaceLandmarker
from core.types import FloatArray, Frame, HeadParams

_PICTURE_SIZE = 384
_BACKGROUND = (0.40, 0.42, 0.45)


class ScoreReader:
    """Renders an avatar and reads the landmarker's scores off the picture. Close it or use it as a context manager.

    Raises:
        AssetError: the landmark model is missing.
    """

    def __init__(self) -> None:
        self._landmarker = FaceLandmarker(landmarker_model_path())
        self._renderer = open_renderer("cpu")
        self._camera = portrait_camera(_PICTURE_SIZE, _PICTURE_SIZE)

    def __enter__(self) -> ScoreReader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self._landmarker.close()
        self._renderer.close()

    def scores(self, avatar: Avatar, params: HeadParams) -> FloatArray | None:
        """Scores [52] of the avatar with an expression and pose; None when no face is found."""
        rest_translation = HeadParams.neutral(len(params.expression)).head_translation
        cloud = avatar.seen_from(self._camera, avatar.drive(params, rest_translation))
        picture = self._renderer.render(cloud, self._camera, _BACKGROUND)
        self._landmarker.reset()
        found = self._landmarker.detect(Frame(np.ascontiguousarray(picture[..., :3]), 0))
        return None if found is None else found.scores

    def rest_scores(self, avatar: Avatar) -> FloatArray | None:
        """Scores [52] of the resting face; None when no face is found."""
        return self.scores(avatar, HeadParams.neutral(avatar.psi_layout.expression))


def with_rest_scores(pack: AvatarPack, identity: Identity) -> Identity:
    """The identity with its resting scores read; unchanged when the landmarker finds no face in it.

    Raises:
        AssetError: the landmark model is missing.
    """
    with ScoreReader() as reader:
        scores = reader.rest_scores(Avatar(pack, identity))
    return identity if scores is None else replace(identity, rest_scores=scores)
