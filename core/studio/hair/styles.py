"""The table of styles."""

from __future__ import annotations

from collections.abc import Callable

from core.studio.anatomy import Anatomy
from core.studio.hair import beards, coily, flowing, gathered, short
from core.studio.hair.growth import Scalp, Strands
from core.studio.numerics import Array
from core.studio.regions import HairRegions
from core.studio.traits import Traits

Style = Callable[[Scalp], list[Strands]]

HAIR: dict[str, Style] = {
    "buzz": short.buzz,
    "textured": short.textured,
    "fade": short.fade,
    "side part": short.side_part,
    "slick": short.slick,
    "pixie": short.pixie,
    "bob": flowing.bob,
    "long": flowing.long,
    "wavy": flowing.wavy,
    "ponytail": gathered.ponytail,
    "bun": gathered.bun,
    "curly": coily.curly,
    "afro": coily.afro,
    "braids": flowing.braids,
    "bald": lambda scalp: [],
}

BEARDS: dict[str, Style] = {
    "none": lambda scalp: [],
    "stubble": beards.stubble,
    "short": beards.short_beard,
    "full": beards.full_beard,
    "goatee": beards.goatee,
}


def grow_hair(anatomy: Anatomy, traits: Traits, regions: HairRegions, vertices: Array, normals: Array) -> list[Strands]:
    """All strands of a person, not yet coloured: their shadow is needed first."""
    scalp = Scalp(anatomy, traits, regions, vertices, normals)
    return [*HAIR[traits.hair.style](scalp), *BEARDS[traits.beard.style](scalp)]
