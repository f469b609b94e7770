"""A finished person from several sides, drawn before a studio wall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VIEWS = (("front", 0.0, ""), ("left", -30.0, ""), ("right", 30.0, ""), ("smile", 0.0, "smile"))  # name, degrees, preset face
SIZE = 384


@dataclass(frozen=True, eq=False)
class PersonView:
    """One look at a person.

    Attributes:
        name: "front", "left", "right" or "smile".
        picture: [S, S, 3] uint8 RGB.
    """

    name: str
    picture: NDArray[np.uint8]


def draw_views(pack: Path, size: int = SIZE) -> tuple[PersonView, ...]:
    """The first person of a pack from all sides; a face that the pack's ψ does not know is left out. Takes some seconds.

    Raises:
        AgoraError: the pack cannot be used.
    """
    from core.avatar.portraits import Portraitist
    from core.avatar.sources import open_source
    from core.head.library import load_open_head
    from core.head.presets import preset

    source = open_source(pack)
    person = getattr(source, "names", ("0",))[0]
    portraitist, head = Portraitist(source, size), load_open_head()
    drawn = []
    for name, degrees, face in VIEWS:
        if face and source.pack.manifest.psi.size != head.psi_layout.size:
            continue
        params = preset(head, face).head_params() if face else None
        drawn.append(PersonView(name, portraitist.picture(person, math.radians(degrees), params)))
    return tuple(drawn)
